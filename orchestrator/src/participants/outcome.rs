//! What a reply says about the effect of a call: the table of the reply contract.
//!
//! | seen | outcome |
//! |---|---|
//! | OK and a reply | applied |
//! | OK and a reply over the limit | applied, unread; unknown, where the definition judges the reply |
//! | reason OP_ID_REUSED, OP_FENCED, OP_REVERSED or OP_TOO_OLD, under any code; OK and `saga-nothing-to-undo` | contradicted, where the log does not explain it |
//! | FAILED_PRECONDITION, NOT_FOUND or ALREADY_EXISTS with an ErrorInfo reason; a code that the definition adds; trailer `saga-outcome: refused` | rejected, this attempt; every attempt where the trailer `saga-refusal: recorded` says so |
//! | INVALID_ARGUMENT, UNIMPLEMENTED, UNAUTHENTICATED, PERMISSION_DENIED | fault |
//! | ABORTED; RESOURCE_EXHAUSTED with RetryInfo or ErrorInfo | not done, busy |
//! | no connection, or the message never left | not done, not sent |
//! | everything else | unknown |
//!
//! A refusal without a reason is unknown too: a gateway that maps HTTP to gRPC makes
//! NOT_FOUND, and the engine must not undo a saga on a gateway's word. A service that
//! sends no ErrorInfo lists its codes in the definition (`refusals`).

use bytes::Bytes;
use prost::{
    Message,
    encoding::{WireType, decode_key, decode_varint},
};
use saga_core::{Contradiction, NotDone, Outcome, Resolution, UnknownCause, Word};
use saga_proto::saga::participant::v1 as pb;
use tonic::{Code, Status};
use tonic_types::StatusExt;

pub use super::exchange::Seen;
use crate::definition::RefusalCodes;

/// The longest pause that a participant can ask for, in milliseconds. A longer one
/// would let it hold a saga for as long as it likes.
pub const RETRY_AFTER_MS_MAX: u64 = 300_000;

/// Text of a participant that is kept, in bytes: it goes to the log.
const TEXT_BYTES_MAX: usize = 500;

/// The outcome of a call, by what was seen of it.
#[must_use]
pub fn of_call(seen: Seen, refusals: RefusalCodes) -> Outcome {
    match seen {
        Seen::Reply(reply) => Outcome::Applied { reply },
        Seen::NothingToUndo(_) | Seen::TooLarge { nothing_to_undo: true, .. } => {
            Outcome::Contradicted {
                cause: Contradiction::NoEffect,
                message: "the participant has no effect to undo".to_owned(),
            }
        }
        Seen::TooLarge { message, .. } => Outcome::AppliedUnread { message: short(&message) },
        Seen::Status(status) => of_status(&status, refusals),
        Seen::NotSent { message } => Outcome::NotDone {
            cause: NotDone::NotSent,
            message: short(&message),
            retry_after_ms: None,
        },
        Seen::TimedOut => unknown(UnknownCause::TimedOut, "no answer in time"),
        Seen::Lost { message } => unknown(UnknownCause::ConnectionLost, &message),
        Seen::NotGrpc { message } => {
            unknown(UnknownCause::Status, &format!("{NOT_GRPC}: {message}"))
        }
        Seen::BadReply { message } => unknown(UnknownCause::BadReply, &message),
    }
}

/// The outcome that a status other than OK says. Only for a status that came over the
/// wire: one that a library made says nothing.
#[must_use]
pub fn of_status(status: &Status, refusals: RefusalCodes) -> Outcome {
    let info = status.get_details_error_info().filter(|it| !it.reason.is_empty());
    let reason = info.map(|it| short(&it.reason));
    let with_reason = reason.is_some();
    let reason = reason.unwrap_or_else(|| code_name(status.code()).to_owned());
    let message = short(status.message());
    if let Some(cause) = contradiction(&reason) {
        return Outcome::Contradicted { cause, message };
    }
    let says = |key, value| status.metadata().get(key).is_some_and(|it| it == value);
    let recorded = says("saga-refusal", "recorded");
    let word = if recorded { Word::OnRecord } else { Word::OfAttempt };
    if recorded || says("saga-outcome", "refused") || refusals.contains(status.code()) {
        return Outcome::Rejected { reason, message, word };
    }
    let retry_after_ms = retry_after_ms(status);
    match status.code() {
        Code::FailedPrecondition | Code::NotFound | Code::AlreadyExists if with_reason => {
            Outcome::Rejected { reason, message, word }
        }
        Code::InvalidArgument
        | Code::Unimplemented
        | Code::Unauthenticated
        | Code::PermissionDenied => Outcome::Fault { reason, message },
        Code::Aborted => busy(&reason, &message, retry_after_ms),
        Code::ResourceExhausted if with_reason || retry_after_ms.is_some() => {
            busy(&reason, &message, retry_after_ms)
        }
        Code::FailedPrecondition | Code::NotFound | Code::AlreadyExists => {
            let says = format!(
                "{reason} without an ErrorInfo reason, which is not taken for a refusal; where this \
                 service means one, say so in the step: `refusals: [{reason}]`. It said: {message}"
            );
            unknown(UnknownCause::Status, &says)
        }
        _ => unknown(UnknownCause::Status, &format!("{reason}: {message}")),
    }
}

/// Answers to an inquiry that say nothing of use, and what a proxy says.
const NOT_FENCED: &str = "the participant did not fence";
const EMPTY: &str = "an empty answer to an inquiry";
const UNREADABLE: &str = "an answer that cannot be read";
const NOT_GRPC: &str = "not a gRPC answer";

/// What a message that says nothing of an effect says of the participant. Whoever answers with a
/// status of its own, or with a reply, is there.
#[must_use]
pub(crate) fn heard(message: &str) -> saga_governor::Word {
    let begins = message.split(':').next().unwrap_or_default();
    let is_code = |code: &str| (1..=16).any(|number| code_name(Code::from_i32(number)) == code);
    match begins {
        // As of a ping: a proxy says so, for a participant that is away.
        "UNAVAILABLE" | NOT_GRPC => saga_governor::Word::Indefinite,
        NOT_FENCED | EMPTY | UNREADABLE => saga_governor::Word::Answered,
        code if is_code(code) => saga_governor::Word::Answered,
        _ => saga_governor::Word::Unknown,
    }
}

/// What a fencing inquiry learned, by what was seen of it.
#[must_use]
pub fn of_resolve(seen: Seen) -> Resolution {
    use pb::resolve_response::Resolution as Told;

    let unanswered = |message: String| Resolution::Unanswered { message: short(&message) };
    let reply = match seen {
        Seen::Reply(reply) => reply,
        Seen::Status(status) if status.code() == Code::Unimplemented => {
            let message = format!("the participant has no inquiry: {}", status.message());
            return Resolution::Unsupported { message: short(&message) };
        }
        Seen::Status(status) if is_too_old(&status) => {
            return Resolution::TooOld { message: short(status.message()) };
        }
        Seen::Status(status) => {
            return unanswered(format!("{}: {}", code_name(status.code()), status.message()));
        }
        Seen::TimedOut => return unanswered("no answer in time".to_owned()),
        Seen::NothingToUndo(reply) => reply,
        Seen::TooLarge { message, begins, .. } => return of_beginning(begins, &short(&message)),
        Seen::NotSent { message } | Seen::Lost { message } => return unanswered(message),
        Seen::NotGrpc { message } => return unanswered(format!("{NOT_GRPC}: {message}")),
        Seen::BadReply { message } => return unanswered(format!("{UNREADABLE}: {message}")),
    };
    match pb::ResolveResponse::decode(reply) {
        Ok(pb::ResolveResponse { resolution: Some(told) }) => match told {
            Told::Applied(it) => Resolution::Applied { reply: Bytes::from(it.reply) },
            Told::Rejected(it) => {
                Resolution::Rejected { reason: short(&it.reason), message: short(&it.message) }
            }
            Told::Fenced(_) => Resolution::Fenced,
            Told::Reversed(_) => Resolution::Reversed,
            Told::InProgress(_) => Resolution::InProgress,
            // Only a peek may be answered so: the operation is not fenced.
            Told::Absent(_) => unanswered(NOT_FENCED.to_owned()),
        },
        Ok(_) => unanswered(EMPTY.to_owned()),
        Err(error) => unanswered(format!("{UNREADABLE}: {error}")),
    }
}

/// What an inquiry learned of an answer that is too large to be kept: which of them it is stands
/// in front.
fn of_beginning(mut begins: Bytes, over: &str) -> Resolution {
    let message = over.to_owned();
    match field(&mut begins) {
        Some((1, _)) => Resolution::AppliedUnread { message },
        Some((2, rejected)) => {
            let (reason, message) = texts(rejected);
            Resolution::Rejected { reason, message }
        }
        Some((6, _)) => Resolution::Reversed,
        _ => Resolution::Unanswered { message: short(&format!("{UNREADABLE}: {message}")) },
    }
}

/// Reason and message of a refusal, as far as they are there.
fn texts(mut rejected: Bytes) -> (String, String) {
    let (mut reason, mut message) = (String::new(), String::new());
    while let Some((number, text)) = field(&mut rejected) {
        let text = short(&String::from_utf8_lossy(&text));
        match number {
            1 => reason = text,
            2 => message = text,
            _ => {}
        }
    }
    (reason, message)
}

/// The number of the next field, which is a text or a message, and as much of it as is there.
fn field(of: &mut Bytes) -> Option<(u32, Bytes)> {
    let (number, kind) = decode_key(of).ok()?;
    let length = usize::try_from(decode_varint(of).ok()?).ok()?;
    (kind == WireType::LengthDelimited).then(|| (number, of.split_to(length.min(of.len()))))
}

/// What the participant has on record under the id of the call, where that is something else:
/// the reason says so, whatever code it comes with.
fn contradiction(reason: &str) -> Option<Contradiction> {
    const CAUSES: [Contradiction; 4] = [
        Contradiction::OtherRequest,
        Contradiction::Fenced,
        Contradiction::Reversed,
        Contradiction::TooOld,
    ];
    CAUSES.into_iter().find(|cause| cause.code() == reason)
}

fn is_too_old(status: &Status) -> bool {
    let info = status.get_details_error_info();
    info.is_some_and(|it| it.reason == Contradiction::TooOld.code())
}

fn unknown(cause: UnknownCause, message: &str) -> Outcome {
    Outcome::Unknown { cause, message: short(message) }
}

fn busy(reason: &str, message: &str, retry_after_ms: Option<u64>) -> Outcome {
    let message = short(&format!("{reason}: {message}"));
    Outcome::NotDone { cause: NotDone::Busy, message, retry_after_ms }
}

/// The pause that the participant asks for: RetryInfo, or else the pushback trailer of
/// gRPC's retry design.
fn retry_after_ms(status: &Status) -> Option<u64> {
    let told = status.get_details_retry_info().and_then(|it| it.retry_delay);
    let told_ms = told.and_then(|it| u64::try_from(it.as_millis()).ok());
    let pushback = || {
        let value = status.metadata().get("grpc-retry-pushback-ms")?;
        value.to_str().ok()?.parse::<u64>().ok()
    };
    told_ms.or_else(pushback).map(|it| it.min(RETRY_AFTER_MS_MAX))
}

/// `text`, cut to what is kept.
pub(super) fn short(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// The name of a code, as in the gRPC documentation.
pub(super) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
