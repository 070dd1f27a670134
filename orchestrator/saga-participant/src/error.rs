//! How an operation ends without a reply, and how that looks on the wire.
//!
//! Every status carries a `google.rpc.ErrorInfo` with a stable reason. Which code means
//! what to an orchestrator is fixed: FAILED_PRECONDITION, NOT_FOUND and ALREADY_EXISTS
//! say "nothing was done, and never will be by this operation"; ABORTED and
//! RESOURCE_EXHAUSTED say "nothing was done by this call, try again"; INVALID_ARGUMENT
//! and PERMISSION_DENIED say "nothing was done by this call, and trying again does not
//! help"; UNAVAILABLE and INTERNAL say nothing: ask again with the same id; DATA_LOSS says
//! that nobody knows any more.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use uuid::Uuid;

mod status;

pub(crate) use status::{fitting, recorded};
use status::{invalid_status, retry_status, status};

/// Reasons that the kit itself gives.
pub mod reason {
    /// A changing call without the metadata `saga-op-id`.
    pub const OP_ID_MISSING: &str = "OP_ID_MISSING";
    /// Somebody who is no configured engine speaks like one. Nothing was done.
    pub const ENGINE_UNKNOWN: &str = "ENGINE_UNKNOWN";
    /// An operation id that is not a UUID.
    pub const OP_ID_INVALID: &str = "OP_ID_INVALID";
    /// An operation id that came with another request before.
    pub const OP_ID_REUSED: &str = "OP_ID_REUSED";
    /// An operation that took effect and was undone since.
    pub const OP_REVERSED: &str = "OP_REVERSED";
    /// An operation of before, of which nobody can tell whether this is the same request.
    pub const OP_REQUEST_UNCERTAIN: &str = "OP_REQUEST_UNCERTAIN";
    /// An operation that was fenced before it came.
    pub const OP_FENCED: &str = "OP_FENCED";
    /// An operation from so long ago that what became of it may be deleted. Nothing was done.
    pub const OP_TOO_OLD: &str = "OP_TOO_OLD";
    /// A second operation that would undo the same one.
    pub const ALREADY_REVERSED: &str = "ALREADY_REVERSED";
    /// Another transaction works on the same operation.
    pub const OPERATION_IN_PROGRESS: &str = "OPERATION_IN_PROGRESS";
    /// A deadlock, or a row that stayed locked too long.
    pub const LOCK_CONFLICT: &str = "LOCK_CONFLICT";
    /// Other transactions were in the way of every try; nothing was done (S1-15).
    pub const PLEASE_RETRY: &str = "PLEASE_RETRY";
    /// More transactions wait than are allowed to.
    pub const OVERLOADED: &str = "OVERLOADED";
    /// A field that breaks a rule.
    pub const FIELD_INVALID: &str = "FIELD_INVALID";
    /// A field that a person filled in and that breaks a rule: a refusal.
    pub const INPUT_INVALID: &str = "INPUT_INVALID";
    /// The database did not answer.
    pub const DATABASE_UNAVAILABLE: &str = "DATABASE_UNAVAILABLE";
    /// The database did not answer a commit.
    pub const COMMIT_UNKNOWN: &str = "COMMIT_UNKNOWN";
    /// A mistake of this program: a statement that the database refuses, or a panic.
    pub const INTERNAL_FAULT: &str = "INTERNAL_FAULT";
    /// The provider's answer is not known.
    pub const PROVIDER_OUTCOME_UNKNOWN: &str = "PROVIDER_OUTCOME_UNKNOWN";
    /// The provider does not accept our credentials or our requests.
    pub const PROVIDER_CONFIGURATION: &str = "PROVIDER_CONFIGURATION";
    /// An id of a log that is not a UUID.
    pub const LOG_ID_INVALID: &str = "LOG_ID_INVALID";
    /// A horizon that lies in the last hour, or ahead.
    pub const HORIZON_INVALID: &str = "HORIZON_INVALID";
    /// A page token that is not one of the list.
    pub const PAGE_TOKEN_INVALID: &str = "PAGE_TOKEN_INVALID";
}

/// Codes of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCode {
    /// The state of things does not allow it.
    FailedPrecondition,
    /// What it names is not there.
    NotFound,
    /// What it would make is there.
    AlreadyExists,
}

/// A refusal: nothing was done. Recorded, and repeated byte for byte for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub code: RefusalCode,
    /// The reason code, such as `OUT_OF_STOCK`.
    pub reason: &'static str,
    /// A sentence for people: what is wrong, with the ids. Statuses travel in headers, and
    /// what does not fit there is cut, here at some 1,200 letters or 200 of Korean.
    pub message: String,
    /// Facts for programs. Keep them under 2 KiB: of more, the longest are left out.
    pub metadata: Vec<(&'static str, String)>,
}

impl From<RefusalCode> for Code {
    fn from(code: RefusalCode) -> Self {
        match code {
            RefusalCode::FailedPrecondition => Self::FailedPrecondition,
            RefusalCode::NotFound => Self::NotFound,
            RefusalCode::AlreadyExists => Self::AlreadyExists,
        }
    }
}

/// Of what there is too much (S1-17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overload {
    /// As many wait as may wait.
    #[error("{waiting_max} transactions are waiting already")]
    Full {
        /// How many may wait.
        waiting_max: u32,
    },

    /// The turn of this one did not come in the time that it may wait.
    #[error("its turn did not come within {} ms", wait_max.as_millis())]
    Late {
        /// How long it may wait.
        wait_max: Duration,
    },
}

/// How an operation ends without a reply. One variant for each thing a caller can do.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// Refused. No effect; recorded; the same answer for ever. Where the effect ran
    /// already inside the transaction, it is taken back first.
    #[error("{}", .0.message)]
    Rejected(Refusal),

    /// The request breaks a rule of the contract. No effect; not recorded. Sending it
    /// again cannot help.
    #[error("{field} is {value:?}: {remedy}")]
    Invalid {
        /// The reason code; [`reason::FIELD_INVALID`] where there is no better one.
        reason: &'static str,
        /// The field, as in the contract, such as `lines[3].qty`.
        field: String,
        /// What it held. Not for secrets: it is sent back.
        value: String,
        /// What it may be, such as "from 1 to 1,000,000".
        remedy: String,
    },

    /// Another transaction was in the way. Rolled back: no effect of this or of any
    /// earlier call of the operation; not recorded. Try again after the pause.
    #[error("{message}")]
    Conflict {
        /// The reason code, such as `STOCK_CONFLICT`.
        reason: &'static str,
        /// A sentence for people.
        message: String,
        /// The pause before the next try.
        retry_after_ms: u64,
    },

    /// It comes too early: another operation, which is sure to come, has to be first.
    /// Rolled back: no effect of this or of any earlier call of the operation; not
    /// recorded; not tried again here. Try again after the pause.
    #[error("{message}")]
    TooEarly {
        /// The reason code, such as `RESERVATION_HELD`.
        reason: &'static str,
        /// A sentence for people.
        message: String,
        /// The pause before the next try.
        retry_after_ms: u64,
    },

    /// It began before the horizon of the operation log: what became of it may be deleted. No
    /// effect of this call; an earlier call of the same operation may have had one. Not
    /// recorded. Sending it again cannot help; a person has to look at what stands.
    #[error(
        "operation {op_id} began so long ago that nobody can tell what became of it: such rows of \
         the operation log are deleted; nothing was done"
    )]
    TooOld {
        /// The operation's id.
        op_id: Uuid,
    },

    /// Too much is waiting already. No effect of this call; an earlier call of the same
    /// operation may have had one. Try again after a pause.
    #[error("overloaded: {0}")]
    Overloaded(Overload),

    /// Nobody knows whether the effect happened. Ask again with the same id.
    #[error("{message}")]
    Unknown {
        /// The reason code.
        reason: &'static str,
        /// A sentence for people.
        message: String,
    },

    /// An outside provider does not accept this service's credentials or requests. The
    /// operation stays open and goes on once the configuration is right. As with
    /// [`OperationError::Unknown`], nobody knows whether the effect happened.
    #[error("{message}")]
    Configuration {
        /// A sentence for people.
        message: String,
    },

    /// The database. A deadlock or a lock that was not given: rolled back, as
    /// [`OperationError::Conflict`]. Anything else: as [`OperationError::Unknown`].
    #[error("the database refused a statement or did not answer")]
    Database(#[from] sqlx::Error),
}

impl From<Refusal> for OperationError {
    fn from(refusal: Refusal) -> Self {
        Self::Rejected(refusal)
    }
}

const DATABASE_UNAVAILABLE: &str = "the database does not answer; ask again with the same id";
const RETRY_AFTER_MS: u64 = 100;
const VALUE_CHARS_MAX: usize = 100;

impl OperationError {
    /// A field that breaks a rule, with what it held and what it may be.
    pub fn invalid(
        field: impl Into<String>,
        value: impl ToString,
        remedy: impl Into<String>,
    ) -> Self {
        let value = value.to_string().chars().take(VALUE_CHARS_MAX).collect();
        let (field, remedy) = (field.into(), remedy.into());
        Self::Invalid { reason: reason::FIELD_INVALID, field, value, remedy }
    }

    /// Whether other transactions were in the way and nothing was done, so that trying
    /// again may help.
    pub(crate) fn is_conflict(&self) -> bool {
        match self {
            Self::Conflict { .. } => true,
            Self::Database(source) => is_lock_conflict(source),
            _ => false,
        }
    }

    pub(crate) fn please_retry(attempts: u32, retry_after_ms: u64) -> Self {
        let message =
            format!("others were in the way {attempts} times; nothing was done, please retry");
        Self::Conflict { reason: reason::PLEASE_RETRY, message, retry_after_ms }
    }

    pub(crate) fn commit_unknown() -> Self {
        let message = "the database did not answer the commit; ask again with the same id";
        Self::Unknown { reason: reason::COMMIT_UNKNOWN, message: message.to_owned() }
    }

    pub(crate) fn original_unknown() -> Self {
        let message = "the provider has not told what became of the operation to undo; ask again";
        Self::Unknown { reason: reason::PROVIDER_OUTCOME_UNKNOWN, message: message.to_owned() }
    }

    pub(crate) fn in_progress() -> Self {
        let message = "another call of this operation is under way; ask again".to_owned();
        Self::Unknown { reason: reason::OPERATION_IN_PROGRESS, message }
    }

    pub(crate) fn broken() -> Self {
        let message = "a fault of this service; its log tells more".to_owned();
        Self::Unknown { reason: reason::INTERNAL_FAULT, message }
    }

    /// For errors met before the first statement: whatever the database says then, such as
    /// that it lets nobody in, it cannot be used at present.
    pub(crate) fn not_begun(source: sqlx::Error) -> Self {
        if is_lock_conflict(&source) {
            return Self::before_claim(source);
        }
        tracing::warn!(error = %source, "the database cannot be used");
        let message = DATABASE_UNAVAILABLE.to_owned();
        Self::Unknown { reason: reason::DATABASE_UNAVAILABLE, message }
    }

    /// For errors met before the operation was claimed: an earlier call of it may hold
    /// the row, so not even a deadlock means that nothing was done.
    pub(crate) fn before_claim(source: sqlx::Error) -> Self {
        match weigh(&source) {
            Weight::Conflict => Self::in_progress(),
            Weight::Unavailable | Weight::Fault => Self::Database(source),
        }
    }

    /// As a status, with `ErrorInfo` and, where there is a pause to keep, `RetryInfo`.
    pub fn status(&self, domain: &str) -> Status {
        let message = self.to_string();
        match self {
            Self::Rejected(refusal) => refusal.status(domain),
            Self::Invalid { reason, field, value, remedy } => {
                invalid_status(domain, reason, field, value, remedy)
            }
            Self::Conflict { reason, retry_after_ms, .. }
            | Self::TooEarly { reason, retry_after_ms, .. } => {
                retry_status(Code::Aborted, reason, domain, &message, *retry_after_ms)
            }
            Self::TooOld { .. } => {
                status(Code::DataLoss, reason::OP_TOO_OLD, domain, &message, HashMap::new())
            }
            Self::Overloaded(_) => {
                let code = Code::ResourceExhausted;
                retry_status(code, reason::OVERLOADED, domain, &message, RETRY_AFTER_MS)
            }
            Self::Unknown { reason: reason::INTERNAL_FAULT, .. } => {
                let code = Code::Internal;
                status(code, reason::INTERNAL_FAULT, domain, &message, HashMap::new())
            }
            Self::Unknown { reason, .. } => {
                status(Code::Unavailable, reason, domain, &message, HashMap::new())
            }
            Self::Configuration { .. } => {
                let reason = reason::PROVIDER_CONFIGURATION;
                status(Code::Unavailable, reason, domain, &message, HashMap::new())
            }
            Self::Database(source) => database_status(domain, source),
        }
    }
}

/// Whether the database rolled back because other transactions were in the way.
pub fn is_lock_conflict(source: &sqlx::Error) -> bool {
    matches!(weigh(source), Weight::Conflict)
}

/// What an error of the database means to a caller.
enum Weight {
    /// Rolled back by the database because of other transactions.
    Conflict,
    /// It did not answer, or cannot work at present.
    Unavailable,
    /// A statement that it does not accept: a mistake of this program.
    Fault,
}

fn weigh(source: &sqlx::Error) -> Weight {
    let sqlx::Error::Database(error) = source else {
        return match source {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Weight::Unavailable,
            _ => Weight::Fault,
        };
    };
    let code = error.code().unwrap_or_default();
    // SQLSTATEs have five characters, SQLite's codes are numbers; the low byte of those is
    // the primary code: 5 busy, 6 locked, 10 I/O, 13 full, 8 read-only, 14 cannot open.
    if code.len() == 5 {
        return match code.as_ref() {
            "40P01" | "40001" | "55P03" => Weight::Conflict,
            "25006" | "57P01" | "57P02" | "57P03" | "25P03" => Weight::Unavailable,
            other if other.starts_with("08") || other.starts_with("53") => Weight::Unavailable,
            other if other.starts_with("58") => Weight::Unavailable,
            _ => Weight::Fault,
        };
    }
    match code.parse::<u32>().unwrap_or(0) & 0xff {
        5 | 6 => Weight::Conflict,
        8 | 10 | 13 | 14 => Weight::Unavailable,
        _ => Weight::Fault,
    }
}

fn database_status(domain: &str, source: &sqlx::Error) -> Status {
    match weigh(source) {
        Weight::Conflict => {
            tracing::debug!(error = %source, "rolled back by the database");
            let message = "other transactions were in the way; nothing was done, try again";
            let reason = reason::LOCK_CONFLICT;
            retry_status(Code::Aborted, reason, domain, message, RETRY_AFTER_MS)
        }
        Weight::Unavailable => {
            tracing::warn!(error = %source, "the database cannot be used");
            let reason = reason::DATABASE_UNAVAILABLE;
            status(Code::Unavailable, reason, domain, DATABASE_UNAVAILABLE, HashMap::new())
        }
        Weight::Fault => {
            tracing::error!(error = %source, "the database refused a statement");
            let message = "a fault of this service; its log tells more";
            status(Code::Internal, reason::INTERNAL_FAULT, domain, message, HashMap::new())
        }
    }
}
