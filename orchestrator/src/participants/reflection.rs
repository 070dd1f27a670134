//! Asks a participant for its types: gRPC server reflection, v1 or else v1alpha.
//!
//! The protocol is a stream of questions and answers; each question is asked in a stream
//! of its own here, which is then a call with one request and one reply.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, uri::PathAndQuery};
use prost::Message;
use tonic::Code;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse,
    server_reflection_request::MessageRequest as Ask,
    server_reflection_response::MessageResponse as Answer,
};

use crate::definition::ServedTypes;

use super::{
    DescriptorError,
    channels::Channel,
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
#[derive(Debug, Default)]
pub struct Reflected {
    /// Names of the services that it serves.
    pub services: Vec<String>,
    /// The types of all of them, as far as it tells them.
    pub types: ServedTypes,
}

/// Of a `google.protobuf.FileDescriptorProto`, what leads to further ones.
#[derive(Clone, PartialEq, prost::Message)]
struct Imports {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, repeated, tag = "3")]
    dependency: Vec<String>,
}

/// The files that a participant has told so far.
#[derive(Debug, Default)]
struct Told {
    files: Vec<Vec<u8>>,
    imports: Vec<String>,
    names: BTreeSet<String>,
}

/// Asks a participant what it serves.
pub(super) async fn descriptors(
    participant: &str,
    channel: &Channel,
) -> Result<Reflected, DescriptorError> {
    for path in PATHS {
        let reflection = Reflection { participant, channel, path };
        match reflection.all().await {
            Err(DescriptorError::Unsupported { .. }) => {}
            done => return done,
        }
    }
    Err(DescriptorError::Unsupported { participant: participant.to_owned() })
}

struct Reflection<'a> {
    participant: &'a str,
    channel: &'a Channel,
    path: &'static str,
}

impl Reflection<'_> {
    async fn all(&self) -> Result<Reflected, DescriptorError> {
        let services = match self.ask(Ask::ListServices(String::new())).await? {
            Answer::ListServicesResponse(list) => list.service,
            _ => return Err(self.unanswered("no list of services")),
        };
        let services: Vec<String> = services.into_iter().map(|service| service.name).collect();
        let mut told = Told::default();
        for service in &services {
            // Some servers list what they cannot describe: the health service of C++, and
            // reflection itself. It matters where it is called, and is missed there.
            self.add(Ask::FileContainingSymbol(service.clone()), &mut told).await?;
        }
        // What is imported may have been sent along, or has to be asked for.
        while let Some(import) = told.imports.pop() {
            if !told.names.contains(&import) {
                self.add(Ask::FileByFilename(import), &mut told).await?;
            }
        }
        let types = self.completed(&mut told).await?;
        Ok(Reflected { services, types })
    }

    /// The types of these files and of those that declare what they refer to: not every server
    /// says what a file imports.
    async fn completed(&self, told: &mut Told) -> Result<ServedTypes, DescriptorError> {
        let mut asked = BTreeSet::new();
        loop {
            let types = ServedTypes::read(&told.files)
                .map_err(|error| self.unanswered(&format!("unreadable file: {error}")))?;
            let missing: Vec<String> =
                types.missing().into_iter().filter(|it| asked.insert(it.clone())).collect();
            if missing.is_empty() {
                return Ok(types);
            }
            for symbol in missing {
                self.add(Ask::FileContainingSymbol(symbol), told).await?;
            }
        }
    }

    /// Asks for files, and adds those that come and are new. None come where the participant
    /// says that it does not know them.
    async fn add(&self, ask: Ask, told: &mut Told) -> Result<(), DescriptorError> {
        if FILES_MAX <= told.files.len() {
            return Err(self.unanswered("too many files"));
        }
        let files = match self.ask(ask).await? {
            Answer::FileDescriptorResponse(files) => files.file_descriptor_proto,
            Answer::ErrorResponse(_) => Vec::new(),
            _ => return Err(self.unanswered("no files")),
        };
        for file in files {
            let Imports { name, dependency } = Imports::decode(file.as_slice())
                .map_err(|error| self.unanswered(&format!("unreadable file: {error}")))?;
            if told.names.insert(name) {
                told.imports.extend(dependency);
                told.files.push(file);
            }
        }
        Ok(())
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
        let reply = match unary(self.channel, call).await {
            Seen::Reply(reply) | Seen::NothingToUndo(reply) => reply,
            Seen::Status(status) if status.code() == Code::Unimplemented => {
                let participant = self.participant.to_owned();
                return Err(DescriptorError::Unsupported { participant });
            }
            Seen::Status(status) => return Err(self.unanswered(status.message())),
            Seen::TimedOut => return Err(self.unanswered("no answer in time")),
            Seen::NotSent { message } => {
                let participant = self.participant.to_owned();
                return Err(DescriptorError::Unreached { participant, message });
            }
            Seen::Lost { message }
            | Seen::NotGrpc { message }
            | Seen::TooLarge { message, .. }
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
