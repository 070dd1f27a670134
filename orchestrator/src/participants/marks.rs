//! Asks a participant how far it has heard of a log.

use bytes::Bytes;
use prost::Message;
use tonic::Code;
use uuid::Uuid;

use super::exchange::Seen;
use crate::engine::{Heard, HeardMark};

/// Where participants with the kit answer.
pub(super) const PATH: &str = "/saga.participant.v1.ParticipantService/GetLogMark";

/// `saga.participant.v1.GetLogMarkRequest`.
#[derive(Clone, PartialEq, Message)]
struct GetLogMarkRequest {
    #[prost(string, tag = "1")]
    log_id: String,
}

/// `saga.participant.v1.GetLogMarkResponse`.
#[derive(Clone, PartialEq, Message)]
struct GetLogMarkResponse {
    #[prost(bool, tag = "1")]
    known: bool,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(uint64, tag = "3")]
    at_ms: u64,
}

pub(super) fn request(log_id: Uuid) -> Bytes {
    GetLogMarkRequest { log_id: log_id.to_string() }.encode_to_vec().into()
}

/// A participant without such a method has nothing to say, and is not asked again. The answer of a
/// proxy, or of rights that are not there yet, may pass; whatever else it is, does.
pub(super) fn heard(seen: Seen) -> Heard {
    let reply = match seen {
        Seen::Reply(reply) | Seen::NothingToUndo(reply) => reply,
        Seen::Status(status) if status.code() == Code::Unimplemented => return Heard::Nothing,
        Seen::Status(status) => match status.code() {
            Code::NotFound
            | Code::InvalidArgument
            | Code::Unauthenticated
            | Code::PermissionDenied => return Heard::Refused,
            _ => return Heard::Unanswered,
        },
        Seen::NotGrpc { .. } | Seen::BadReply { .. } | Seen::TooLarge { .. } => {
            return Heard::Refused;
        }
        Seen::NotSent { .. } | Seen::TimedOut | Seen::Lost { .. } => return Heard::Unanswered,
    };
    match GetLogMarkResponse::decode(reply) {
        Ok(GetLogMarkResponse { known: true, epoch, at_ms }) => {
            Heard::Mark(HeardMark { epoch, at_ms })
        }
        Ok(_) => Heard::Nothing,
        Err(_) => Heard::Refused,
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    fn reply(known: bool) -> Seen {
        let response = GetLogMarkResponse { known, epoch: 2, at_ms: 70 };
        Seen::Reply(response.encode_to_vec().into())
    }

    #[test]
    fn only_an_answer_ends_the_question() {
        assert_eq!(heard(reply(true)), Heard::Mark(HeardMark { epoch: 2, at_ms: 70 }));
        assert_eq!(heard(reply(false)), Heard::Nothing);
        assert_eq!(heard(Seen::Status(Box::new(Status::unimplemented("no kit")))), Heard::Nothing);
        let message = String::from("503 Service Unavailable");
        for passes in [Seen::Status(Box::new(Status::unavailable("later"))), Seen::TimedOut] {
            assert_eq!(heard(passes), Heard::Unanswered);
        }
        for may_pass in [
            Seen::Status(Box::new(Status::unauthenticated("not yet"))),
            Seen::Status(Box::new(Status::not_found("no such route"))),
            Seen::NotGrpc { message: message.clone() },
            Seen::BadReply { message: message.clone() },
            Seen::TooLarge { message, begins: Bytes::new(), nothing_to_undo: false },
            Seen::Reply(vec![0xff].into()),
        ] {
            assert_eq!(heard(may_pass), Heard::Refused);
        }
    }
}
