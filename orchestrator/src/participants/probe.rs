//! Calls and inquiries of a conformance check: what a participant answered, without a
//! judgement of what that means for a saga.

use std::fmt;

use bytes::Bytes;
use prost::Message;
use saga_core::{OperationId, Outcome};
use saga_proto::saga::participant::v1 as pb;
use tonic_types::StatusExt;

use super::outcome::{self, Seen};
use crate::definition::RefusalCodes;

/// The trailer of a refusal that the participant has on record.
const REFUSAL: &str = "saga-refusal";

/// Whether a call carries its operation id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// As every call of a saga does.
    Sent,
    /// Left out: a participant must refuse such a call.
    LeftOut,
}

/// How an inquiry asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inquiry {
    /// Looks only.
    Peek,
    /// Forbids the operation where it is absent.
    Fence,
}

impl fmt::Display for Inquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Peek => "PEEK",
            Self::Fence => "FENCE",
        })
    }
}

/// What a call was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// OK, and the reply's bytes.
    Reply(Bytes),
    /// A status other than OK that came over the wire.
    Status(Refusal),
    /// No answer, or none that can be read. The call may have had an effect.
    Silent { message: String },
}

/// A status other than OK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code's name, as in `FAILED_PRECONDITION`.
    pub code: &'static str,
    /// The reason of its ErrorInfo. Empty: it has none.
    pub reason: String,
    /// Its text.
    pub message: String,
    /// What the engine takes it for.
    pub meaning: Meaning,
    /// Whether it came with the trailer that says that it is on record.
    pub recorded: bool,
}

/// What the engine takes a status for: the reply contract's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Refused for ever, nothing done.
    Refused,
    /// The call cannot be accepted, nothing done.
    Fault,
    /// Nothing done by this attempt; another may.
    Busy,
    /// It says nothing definite.
    Unknown,
}

impl Answer {
    pub(super) fn of(seen: Seen, refusals: RefusalCodes) -> Self {
        let message = match seen {
            Seen::Reply(reply) | Seen::NothingToUndo(reply) => return Self::Reply(reply),
            Seen::Status(status) => {
                let info = status.get_details_error_info();
                return Self::Status(Refusal {
                    code: outcome::code_name(status.code()),
                    reason: info.map(|it| outcome::short(&it.reason)).unwrap_or_default(),
                    message: outcome::short(status.message()),
                    recorded: status.metadata().get(REFUSAL).is_some_and(|it| it == "recorded"),
                    meaning: match outcome::of_status(&status, refusals) {
                        Outcome::Rejected { .. } | Outcome::Contradicted { .. } => Meaning::Refused,
                        Outcome::Fault { .. } => Meaning::Fault,
                        Outcome::NotDone { .. } => Meaning::Busy,
                        Outcome::Applied { .. }
                        | Outcome::AppliedUnread { .. }
                        | Outcome::Unknown { .. } => Meaning::Unknown,
                    },
                });
            }
            Seen::TimedOut => "no answer in time".to_owned(),
            Seen::TooLarge { message, .. }
            | Seen::NotSent { message }
            | Seen::Lost { message }
            | Seen::NotGrpc { message }
            | Seen::BadReply { message } => outcome::short(&message),
        };
        Self::Silent { message }
    }

    /// Whether the same call may be answered otherwise in a while.
    #[must_use]
    pub fn may_be_tried_again(&self) -> bool {
        match self {
            Self::Reply(_) => false,
            Self::Status(status) => status.meaning == Meaning::Busy || status.code == "UNAVAILABLE",
            Self::Silent { .. } => true,
        }
    }

    /// The reply, where there is one.
    #[must_use]
    pub fn reply(&self) -> Option<&Bytes> {
        match self {
            Self::Reply(reply) => Some(reply),
            Self::Status(_) | Self::Silent { .. } => None,
        }
    }

    /// Whether it says that nothing was done.
    #[must_use]
    pub fn did_nothing(&self) -> bool {
        matches!(self, Self::Status(status) if status.meaning != Meaning::Unknown)
    }

    /// Whether it is a status with this code and reason.
    #[must_use]
    pub fn is(&self, code: &str, reason: &str) -> bool {
        matches!(self, Self::Status(it) if it.code == code && it.reason == reason)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(reply) => write!(f, "OK with a reply of {} bytes", reply.len()),
            Self::Status(Refusal { code, reason, message, .. }) if reason.is_empty() => {
                write!(f, "{code} without a reason: {message}")
            }
            Self::Status(Refusal { code, reason, message, .. }) => {
                write!(f, "{code}/{reason}: {message}")
            }
            Self::Silent { message } => write!(f, "no definite answer: {message}"),
        }
    }
}

/// What an inquiry was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It took effect; the stored reply.
    Applied(Bytes),
    /// It took effect and was undone; the stored reply.
    Reversed(Bytes),
    /// It was refused.
    Rejected { reason: String },
    /// It did not happen and never will.
    Fenced,
    /// It is not recorded.
    Absent,
    /// It is under way.
    InProgress,
    /// No answer that can be read. The participant was reached.
    Odd { message: String },
    /// No answer. The participant may be away.
    Unanswered { message: String },
}

impl Told {
    pub(super) fn of(seen: Seen) -> Self {
        use pb::resolve_response::Resolution;

        let reply = match Answer::of(seen, RefusalCodes::NONE) {
            Answer::Reply(reply) => reply,
            other if other.may_be_tried_again() => {
                return Self::Unanswered { message: other.to_string() };
            }
            other => return Self::Odd { message: other.to_string() },
        };
        match pb::ResolveResponse::decode(reply).map(|it| it.resolution) {
            Ok(Some(told)) => match told {
                Resolution::Applied(it) => Self::Applied(Bytes::from(it.reply)),
                Resolution::Reversed(it) => Self::Reversed(Bytes::from(it.reply)),
                Resolution::Rejected(it) => Self::Rejected { reason: outcome::short(&it.reason) },
                Resolution::Fenced(_) => Self::Fenced,
                Resolution::Absent(_) => Self::Absent,
                Resolution::InProgress(_) => Self::InProgress,
            },
            Ok(None) => Self::Odd { message: "an empty answer".to_owned() },
            Err(error) => Self::Odd { message: error.to_string() },
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied(reply) => write!(f, "applied, with a reply of {} bytes", reply.len()),
            Self::Reversed(reply) => {
                write!(f, "reversed, with a reply of {} bytes", reply.len())
            }
            Self::Rejected { reason } => write!(f, "rejected: {reason}"),
            Self::Fenced => f.write_str("fenced"),
            Self::Absent => f.write_str("absent"),
            Self::InProgress => f.write_str("in progress"),
            Self::Odd { message } | Self::Unanswered { message } => {
                write!(f, "no answer: {message}")
            }
        }
    }
}

/// The request of an inquiry.
pub(super) fn resolve_request(operation: OperationId, inquiry: Inquiry) -> Bytes {
    let mode = match inquiry {
        Inquiry::Peek => pb::ResolveMode::Peek,
        Inquiry::Fence => pb::ResolveMode::Fence,
    };
    let request = pb::ResolveRequest { op_id: operation.to_string(), mode: mode.into() };
    request.encode_to_vec().into()
}
