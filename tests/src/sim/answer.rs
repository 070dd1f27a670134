//! What a participant answers, and what the engine sees of it.

use std::{collections::HashMap, time::Duration};

use orchestrator::participants::outcome::Seen;
use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, StatusExt};

/// A reply in protobuf bytes, or why there is none.
pub type Answer = Result<Vec<u8>, Deny>;

/// Why a participant does not reply. One variant for each thing a caller can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deny {
    /// Nothing was done, and nothing ever will be.
    Refused(Refused),
    /// This call is refused, and nobody records that: it tells nothing of the operation, or
    /// of its past alone.
    Unrecorded(Refused),
    /// Nothing was done; ask again.
    Busy { reason: &'static str, retry_after_ms: u64 },
    /// Nobody knows; ask again.
    Unknown { reason: &'static str },
    /// The request cannot be read, or breaks the contract.
    Invalid { message: String },
    /// There is no such method here.
    NoSuchMethod { path: String },
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// FAILED_PRECONDITION, NOT_FOUND or ALREADY_EXISTS.
    pub code: Code,
    /// The reason code.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl Deny {
    /// A refusal because the state of things does not allow it.
    #[must_use]
    pub fn refused(reason: &'static str, message: impl Into<String>) -> Self {
        let code = Code::FailedPrecondition;
        Self::Refused(Refused { code, reason, message: message.into() })
    }

    /// A refusal because what was named is not there.
    #[must_use]
    pub fn not_found(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Refused(Refused { code: Code::NotFound, reason, message: message.into() })
    }

    /// A request that breaks the contract.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into() }
    }
}

/// What a client sees of an answer that arrives.
#[must_use]
pub fn seen(answer: Answer) -> Seen {
    let deny = match answer {
        Ok(reply) => return Seen::Reply(reply.into()),
        Err(deny) => deny,
    };
    let status = match deny {
        Deny::Refused(Refused { code, reason, message }) => {
            let mut status = status(code, reason, message);
            let recorded = MetadataValue::from_static("recorded");
            status.metadata_mut().insert("saga-refusal", recorded);
            status
        }
        Deny::Unrecorded(Refused { code, reason, message }) => status(code, reason, message),
        Deny::Busy { reason, retry_after_ms } => {
            let mut details = ErrorDetails::with_error_info(reason, "sim", HashMap::new());
            details.set_retry_info(Some(Duration::from_millis(retry_after_ms)));
            Status::with_error_details(Code::Aborted, "busy", details)
        }
        Deny::Unknown { reason } => status(Code::Unavailable, reason, String::new()),
        Deny::Invalid { message } => status(Code::InvalidArgument, "FIELD_INVALID", message),
        Deny::NoSuchMethod { path } => status(Code::Unimplemented, "NO_SUCH_METHOD", path),
    };
    Seen::Status(Box::new(status))
}

/// A status as a service makes it, with its reason code.
#[must_use]
pub fn status(code: Code, reason: &str, message: String) -> Status {
    let details = ErrorDetails::with_error_info(reason, "sim", HashMap::new());
    Status::with_error_details(code, message, details)
}

/// Reads a request.
///
/// # Errors
///
/// [`Deny::Invalid`]: the bytes are not such a message.
pub fn read<M: prost::Message + Default>(body: &[u8]) -> Result<M, Deny> {
    M::decode(body).map_err(|error| Deny::invalid(error.to_string()))
}

/// Reads an operation id in a request.
///
/// # Errors
///
/// [`Deny::Invalid`]: it is not a UUID.
pub fn read_op_id(text: &str) -> Result<uuid::Uuid, Deny> {
    uuid::Uuid::try_parse(text).map_err(|_| Deny::invalid(format!("{text:?} is not a UUID")))
}
