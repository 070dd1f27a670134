//! Tells a participant up to when a log needs what is recorded there.

use bytes::Bytes;
use prost::Message;
use saga_proto::saga::participant::v1::{AdvanceHorizonRequest, AdvanceHorizonResponse};
use tonic::Code;
use uuid::Uuid;

use super::{exchange::Seen, outcome::code_name};
use crate::engine::Advanced;

/// Where participants with the kit take note of it.
pub(super) const PATH: &str = "/saga.participant.v1.ParticipantService/AdvanceHorizon";

pub(super) fn request(log_id: Uuid, at_ms: u64) -> Bytes {
    AdvanceHorizonRequest { log_id: log_id.to_string(), at_ms }.encode_to_vec().into()
}

/// A participant without such a method keeps everything, which is as good.
pub(super) fn advanced(seen: Seen) -> Advanced {
    let message = match seen {
        Seen::Reply(reply) | Seen::NothingToUndo(reply) => {
            match AdvanceHorizonResponse::decode(reply) {
                Ok(AdvanceHorizonResponse { at_ms, .. }) => return Advanced::To { at_ms },
                Err(error) => error.to_string(),
            }
        }
        Seen::Status(status) if status.code() == Code::Unimplemented => return Advanced::KeepsAll,
        Seen::Status(status) => format!("{}: {}", code_name(status.code()), status.message()),
        Seen::TimedOut => "no answer in time".to_owned(),
        Seen::NotSent { message }
        | Seen::Lost { message }
        | Seen::NotGrpc { message }
        | Seen::BadReply { message }
        | Seen::TooLarge { message, .. } => message,
    };
    Advanced::Unanswered { message }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    #[test]
    fn who_takes_note_who_keeps_all_and_who_does_not_answer_are_three() {
        let reply = AdvanceHorizonResponse { at_ms: 7, pruned_before_ms: 0 }.encode_to_vec();
        assert_eq!(advanced(Seen::Reply(reply.into())), Advanced::To { at_ms: 7 });
        let without = Status::unimplemented("no kit, or one of before");
        assert_eq!(advanced(Seen::Status(Box::new(without))), Advanced::KeepsAll);
        let away = Status::unavailable("later");
        for seen in [
            Seen::Status(Box::new(away)),
            Seen::TimedOut,
            Seen::NotGrpc { message: "503".to_owned() },
            Seen::Reply(vec![0xff].into()),
        ] {
            assert!(matches!(advanced(seen), Advanced::Unanswered { .. }));
        }
    }
}
