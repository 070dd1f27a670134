//! Asks a participant for its types: gRPC server reflection, v1 or else v1alpha.
//!
//! The protocol is a stream of questions and answers; each question is asked in a stream
//! of its own here, which is then a call with one request and one reply.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, uri::PathAndQuery};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::Code;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse,
    server_reflection_request::MessageRequest as Ask,
    server_reflection_response::MessageResponse as Answer,
};

use super::{
    DescriptorError,
    channels::Channels,
    exchange::{Seen, Unary, unary},
};

/// The two versions differ in the name of the package only.
const PATHS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Time for one question.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Longest answer to a question.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Files of one participant at most.
const FILES_MAX: usize = 1_000;

/// What a participant says of itself.
#[derive(Clone, Debug, Default)]
pub struct Reflected {
    /// Names of the services that it serves.
    pub services: Vec<String>,
    /// All files that they are declared in, and what these import.
    pub files: FileDescriptorSet,
}

/// Asks a participant what it serves.
pub(super) async fn descriptors(
    participant: &str,
    channels: &Channels,
) -> Result<Reflected, DescriptorError> {
    for path in PATHS {
        let reflection = Reflection { participant, channels, path };
        match reflection.all().await {
            Err(DescriptorError::Unsupported { .. }) => {}
            done => return done,
        }
    }
    Err(DescriptorError::Unsupported { participant: participant.to_owned() })
}

struct Reflection<'a> {
    participant: &'a str,
    channels: &'a Channels,
    path: &'static str,
}

impl Reflection<'_> {
    async fn all(&self) -> Result<Reflected, DescriptorError> {
        let services = match self.ask(Ask::ListServices(String::new())).await? {
            Answer::ListServicesResponse(list) => list.service,
            _ => return Err(self.unanswered("no list of services")),
        };
        let mut set = FileDescriptorSet::default();
        let mut known = BTreeSet::new();
        let services: Vec<String> = services.into_iter().map(|service| service.name).collect();
        for service in &services {
            // Reflection lists itself, and some servers cannot describe that.
            if service.starts_with("grpc.reflection.") {
                continue;
            }
            let files = self.files(Ask::FileContainingSymbol(service.clone())).await?;
            add(files, &mut set, &mut known);
        }
        // What is imported may have been sent along, or has to be asked for.
        let mut next = 0;
        while next < set.file.len() {
            for import in set.file[next].dependency.clone() {
                if known.contains(&import) {
                    continue;
                }
                if FILES_MAX <= set.file.len() {
                    return Err(self.unanswered("too many files"));
                }
                let files = self.files(Ask::FileByFilename(import.clone())).await?;
                add(files, &mut set, &mut known);
                if !known.contains(&import) {
                    return Err(self.unanswered(&format!("{import} is missing")));
                }
            }
            next += 1;
        }
        Ok(Reflected { services, files: set })
    }

    async fn files(&self, ask: Ask) -> Result<Vec<FileDescriptorProto>, DescriptorError> {
        match self.ask(ask).await? {
            Answer::FileDescriptorResponse(files) => files
                .file_descriptor_proto
                .iter()
                .map(|file| FileDescriptorProto::decode(file.as_slice()))
                .collect::<Result<_, _>>()
                .map_err(|error| self.unanswered(&format!("unreadable file: {error}"))),
            Answer::ErrorResponse(error) => Err(self.unanswered(&error.error_message)),
            _ => Err(self.unanswered("no files")),
        }
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, DescriptorError> {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
        let call = Unary {
            path: PathAndQuery::from_static(self.path),
            metadata: HeaderMap::new(),
            body: Bytes::from(request.encode_to_vec()),
            timeout: TIMEOUT,
            reply_bytes_max: ANSWER_BYTES_MAX,
        };
        let reply = match unary(self.channels.next(), call).await {
            Seen::Reply(reply) | Seen::NothingToUndo(reply) => reply,
            Seen::Status(status) if status.code() == Code::Unimplemented => {
                let participant = self.participant.to_owned();
                return Err(DescriptorError::Unsupported { participant });
            }
            Seen::Status(status) => return Err(self.unanswered(status.message())),
            Seen::TimedOut => return Err(self.unanswered("no answer in time")),
            Seen::NotSent { message }
            | Seen::Lost { message }
            | Seen::NotGrpc { message }
            | Seen::TooLarge { message }
            | Seen::BadReply { message } => return Err(self.unanswered(&message)),
        };
        let response = ServerReflectionResponse::decode(reply)
            .map_err(|error| self.unanswered(&format!("unreadable answer: {error}")))?;
        response.message_response.ok_or_else(|| self.unanswered("an empty answer"))
    }

    fn unanswered(&self, message: &str) -> DescriptorError {
        DescriptorError::Unanswered {
            participant: self.participant.to_owned(),
            message: message.to_owned(),
        }
    }
}

fn add(files: Vec<FileDescriptorProto>, set: &mut FileDescriptorSet, known: &mut BTreeSet<String>) {
    for file in files {
        if known.insert(file.name().to_owned()) {
            set.file.push(file);
        }
    }
}
