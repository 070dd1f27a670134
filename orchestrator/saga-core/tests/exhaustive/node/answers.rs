//! What whoever waits for an answer learns.

use bytes::Bytes;
use saga_core::{
    Contradiction, Direction, Event, NotDone, Outcome, Resolution, UnknownCause, Word,
};

use super::Node;
use crate::{
    cases::Keeps,
    fate::Fate,
    world::{Message, Record, Request},
};

impl Node {
    pub(super) fn answer(&self, message: Message, fate: Fate, record: Option<Record>) -> Event {
        let heard = match fate {
            Fate::Answered(_)
            | Fate::Duplicated(_)
            | Fate::Refused(_)
            | Fate::Told(_)
            | Fate::ToldRefused
            | Fate::Unread => record,
            _ => None,
        };
        let at_ms = self.now_ms;
        let Message { step, number, .. } = message;
        let direction = match message.request {
            Request::Inquiry => {
                let resolution = resolution(fate, heard);
                return Event::Resolved { step, inquiry: number, resolution, at_ms };
            }
            Request::Action => Direction::Forward,
            Request::Compensation => Direction::Backward,
        };
        let outcome = outcome(fate, heard, self.world.keeps);
        Event::Answered { step, direction, attempt: number, outcome, at_ms }
    }
}

fn outcome(fate: Fate, heard: Option<Record>, keeps: Keeps) -> Outcome {
    let (reason, message) = (String::new(), String::new());
    let word = if keeps == Keeps::Log { Word::OnRecord } else { Word::OfAttempt };
    match (heard, fate) {
        (Some(Record::Applied), Fate::Unread) => Outcome::AppliedUnread { message },
        (Some(Record::Applied), _) => Outcome::Applied { reply: Bytes::new() },
        (Some(Record::Fenced), _) if keeps != Keeps::Nothing => {
            Outcome::Contradicted { cause: Contradiction::Fenced, message }
        }
        (Some(_), _) | (None, Fate::Refused(_)) => Outcome::Rejected { reason, message, word },
        (None, Fate::Contradicted(_)) => {
            Outcome::Contradicted { cause: Contradiction::OtherRequest, message }
        }
        (None, Fate::NotSent(_) | Fate::ToldNotSent(_)) => {
            Outcome::NotDone { cause: NotDone::NotSent, message, retry_after_ms: None }
        }
        (None, Fate::Fault(_)) => Outcome::Fault { reason, message },
        (None, _) => Outcome::Unknown { cause: UnknownCause::TimedOut, message },
    }
}

fn resolution(fate: Fate, heard: Option<Record>) -> Resolution {
    let (reason, message) = (String::new(), String::new());
    match (heard, fate) {
        (Some(Record::Applied), _) => Resolution::Applied { reply: Bytes::new() },
        (Some(Record::Rejected), _) => Resolution::Rejected { reason, message },
        (Some(Record::Fenced), _) => Resolution::Fenced,
        (None, Fate::Contradicted(_)) => Resolution::Reversed,
        (None, Fate::InProgress) => Resolution::InProgress,
        (None, _) => Resolution::Unanswered { message },
    }
}
