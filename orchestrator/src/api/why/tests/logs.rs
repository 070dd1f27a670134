//! Parts of logs, for the states of the table.

use bytes::Bytes;
use saga_core::{
    Contradiction, Direction,
    Direction::{Backward, Forward},
    Ending, Event, NotDone, OperatorAct, Outcome, Resolution, Settled, StepIndex, TurnBackReason,
    UnknownCause, Verdict, Word,
};

use super::{APPROVAL, INSERT, NOTE, RESERVE};

pub(super) fn reserved() -> Vec<Event> {
    called(RESERVE, Forward, 1, applied())
}

pub(super) fn noted() -> Vec<Event> {
    [reserved(), called(NOTE, Forward, 1, applied())].concat()
}

pub(super) fn approved() -> Vec<Event> {
    [noted(), vec![began(), signalled(), judged(Verdict::Accepted)]].concat()
}

pub(super) fn inserted() -> Vec<Event> {
    [approved(), called(INSERT, Forward, 1, applied())].concat()
}

/// The pivot is applied, and its reply was too large to be kept.
pub(super) fn noted_unread() -> Vec<Event> {
    let message = "the reply is over the limit of 1048576 bytes".to_owned();
    [approved(), called(INSERT, Forward, 1, Outcome::AppliedUnread { message })].concat()
}

pub(super) fn contradicted() -> Outcome {
    let message = "operation 7 came before with another request".to_owned();
    Outcome::Contradicted { cause: Contradiction::OtherRequest, message }
}

pub(super) fn nothing_to_undo() -> Outcome {
    let message = "the participant has no effect to undo".to_owned();
    Outcome::Contradicted { cause: Contradiction::NoEffect, message }
}

pub(super) fn closed() -> Vec<Event> {
    let (actor, reason) = ("bob".to_owned(), "given back by hand".to_owned());
    vec![Event::OperatorActed {
        actor,
        reason,
        act: OperatorAct::Close,
        at_ms: 2_500,
        request_id: String::new(),
    }]
}

pub(super) fn doubt() -> Vec<Event> {
    called(RESERVE, Forward, 1, unknown())
}

pub(super) fn busy(attempt: u32) -> Vec<Event> {
    called(RESERVE, Forward, attempt, not_sent())
}

pub(super) fn undone() -> Vec<Event> {
    called(RESERVE, Backward, 1, applied())
}

pub(super) fn turned_back(reason: TurnBackReason) -> Vec<Event> {
    vec![Event::TurnedBack { reason, at_ms: 3_000 }]
}

pub(super) fn overdue() -> Vec<Event> {
    turned_back(TurnBackReason::DeadlinePassed)
}

pub(super) fn gave_up() -> Vec<Event> {
    turned_back(TurnBackReason::AttemptsExhausted { step: RESERVE })
}

pub(super) fn refused(step: StepIndex, reason: &str) -> Vec<Event> {
    turned_back(TurnBackReason::StepRejected { step, reason: reason.to_owned() })
}

pub(super) fn compensated() -> Vec<Event> {
    vec![ended(Ending::Compensated)]
}

pub(super) fn out(step: StepIndex, direction: Direction, attempt: u32) -> Vec<Event> {
    let request = (attempt == 1).then(Bytes::new);
    vec![Event::Intended { step, direction, attempt, request, at_ms: 1_000 }]
}

pub(super) fn called(
    step: StepIndex,
    direction: Direction,
    attempt: u32,
    outcome: Outcome,
) -> Vec<Event> {
    let answered = Event::Answered { step, direction, attempt, outcome, at_ms: 1_000 };
    [out(step, direction, attempt), vec![answered]].concat()
}

pub(super) fn applied() -> Outcome {
    Outcome::Applied { reply: Bytes::new() }
}

pub(super) fn rejected() -> Outcome {
    let (reason, message) = ("OUT_OF_STOCK".to_owned(), "none left".to_owned());
    Outcome::Rejected { reason, message, word: Word::OnRecord }
}

pub(super) fn not_sent() -> Outcome {
    let message = "connection refused".to_owned();
    Outcome::NotDone { cause: NotDone::NotSent, message, retry_after_ms: None }
}

pub(super) fn unknown() -> Outcome {
    Outcome::Unknown { cause: UnknownCause::TimedOut, message: "no answer within 1 s".to_owned() }
}

pub(super) fn fault() -> Outcome {
    Outcome::Fault { reason: "UNIMPLEMENTED".to_owned(), message: "no such method".to_owned() }
}

pub(super) fn inquired(inquiry: u32) -> Vec<Event> {
    vec![Event::Inquired { step: RESERVE, inquiry, at_ms: 2_000 }]
}

pub(super) fn resolved(inquiry: u32, resolution: Resolution) -> Vec<Event> {
    vec![Event::Resolved { step: RESERVE, inquiry, resolution, at_ms: 2_000 }]
}

pub(super) fn unanswered() -> Resolution {
    Resolution::Unanswered { message: "UNAVAILABLE: down for the night".to_owned() }
}

pub(super) fn unrenderable(step: StepIndex, direction: Direction) -> Vec<Event> {
    let message = "`input.lines[0]`: there is no element 0".to_owned();
    vec![Event::Unrenderable { step, direction, message, at_ms: 2_000 }]
}

pub(super) fn began() -> Event {
    began_at(2_000)
}

pub(super) fn began_at(at_ms: u64) -> Event {
    Event::WaitBegan { step: APPROVAL, at_ms }
}

pub(super) fn signalled() -> Event {
    Event::Signalled {
        step: APPROVAL,
        request_id: "r-1".to_owned(),
        payload: Bytes::new(),
        actor: "ann".to_owned(),
        reason: "as agreed".to_owned(),
        at_ms: 2_500,
    }
}

pub(super) fn judged(verdict: Verdict) -> Event {
    Event::WaitEnded { step: APPROVAL, verdict, at_ms: 2_500 }
}

pub(super) fn cancelled() -> Vec<Event> {
    let (actor, reason) = ("ada".to_owned(), "the wrong order".to_owned());
    vec![Event::CancelRequested { actor, reason, at_ms: 2_500, request_id: String::new() }]
}

pub(super) fn settled(step: StepIndex, settled: Settled) -> Vec<Event> {
    let act = OperatorAct::Settle { step, call: None, settled, reply: None };
    let (actor, reason) = ("bob".to_owned(), "looked".to_owned());
    vec![Event::OperatorActed { actor, reason, act, at_ms: 2_500, request_id: String::new() }]
}

pub(super) fn ended(ending: Ending) -> Event {
    Event::Ended { ending, at_ms: 4_000 }
}
