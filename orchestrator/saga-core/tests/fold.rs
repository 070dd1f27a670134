//! What the fold refuses beyond the table of a single step: a log that says such a thing
//! was not written by this program, and its saga is set aside (L3, L4).

use bytes::Bytes;
use saga_core::{
    Definition,
    Direction::{self, Backward, Forward},
    Ending, Epoch, Event, NodeId, OnUnknown, OperationRoot, OperatorAct, Outcome, Resolution,
    RetryPolicy, SagaId, Settled, Started, State, Step, StepIndex, StepKind, StepPhase,
    TurnBackReason, UnknownCause, Word,
};
use uuid::Uuid;

const FIRST: StepIndex = StepIndex(0);
const SECOND: StepIndex = StepIndex(1);

#[test]
fn nothing_follows_the_end() {
    let mut state = folded(&[turned_back(), ended(Ending::Compensated)]);
    let before = state.clone();
    for event in [
        ended(Ending::Compensated),
        ended(Ending::Completed),
        Event::CancelRequested {
            actor: String::new(),
            reason: String::new(),
            at_ms: 0,
            request_id: String::new(),
        },
        owned(2),
        acted(OperatorAct::Retry),
        intended(FIRST, Forward, 1),
    ] {
        assert!(state.apply(&event).is_err(), "{event:?}");
    }
    assert_eq!(state, before);
}

#[test]
fn a_request_is_heard_once() {
    let retry = |request_id: &str| Event::OperatorActed {
        actor: "ada".to_owned(),
        reason: String::new(),
        act: OperatorAct::Retry,
        request_id: request_id.to_owned(),
        at_ms: 0,
    };
    let cancel = |request_id: &str| Event::CancelRequested {
        actor: "ada".to_owned(),
        reason: String::new(),
        request_id: request_id.to_owned(),
        at_ms: 0,
    };
    let heard = [retry("r-1")];
    let state = folded(&heard);
    assert!(state.has_heard("r-1") && !state.has_heard("r-2"));
    // Whatever it asks for.
    refuses(&heard, retry("r-1"));
    refuses(&heard, cancel("r-1"));
    accepts(&heard, retry("r-2"));
    accepts(&heard, cancel("r-2"));
    // Rows of before have none, and each of them counts.
    accepts(&[retry("")], retry(""));
}

#[test]
fn a_saga_is_not_completed_before_all_its_steps() {
    refuses(&[], ended(Ending::Completed));
    refuses(&done(FIRST), ended(Ending::Completed));
    accepts(&[done(FIRST), done(SECOND)].concat(), ended(Ending::Completed));
    let skipped = Event::Skipped { step: SECOND, at_ms: 0 };
    accepts(&[done(FIRST), vec![skipped]].concat(), ended(Ending::Completed));
}

#[test]
fn a_saga_that_turned_back_is_never_completed() {
    let all = [done(FIRST), done(SECOND), vec![turned_back()]].concat();
    refuses(&all, ended(Ending::Completed));
}

#[test]
fn a_saga_is_not_compensated_before_it_turned_back() {
    refuses(&[], ended(Ending::Compensated));
    accepts(&[turned_back()], ended(Ending::Compensated));
}

#[test]
fn a_saga_with_a_doubt_is_not_compensated() {
    let out = [vec![intended(FIRST, Forward, 1)], vec![turned_back()]].concat();
    refuses(&out, ended(Ending::Compensated));
    let doubtful = [unknown(FIRST), vec![turned_back()]].concat();
    refuses(&doubtful, ended(Ending::Compensated));
    let settled = acted(OperatorAct::Settle {
        step: FIRST,
        call: None,
        settled: Settled::NotApplied,
        reply: None,
    });
    accepts(&[doubtful, vec![settled]].concat(), ended(Ending::Compensated));
}

#[test]
fn a_saga_turns_back_once() {
    refuses(&[turned_back()], turned_back());
}

#[test]
fn a_saga_turns_back_for_a_step_that_it_has() {
    let of =
        |step| Event::TurnedBack { reason: TurnBackReason::AttemptsExhausted { step }, at_ms: 0 };
    accepts(&[], of(SECOND));
    refuses(&[], of(StepIndex(2)));
    refuses(&[], of(StepIndex(255)));
}

#[test]
fn events_of_steps_that_do_not_exist_are_refused() {
    refuses(&[], intended(StepIndex(2), Forward, 1));
    refuses(&[], Event::Skipped { step: StepIndex(255), at_ms: 0 });
}

#[test]
fn a_saga_starts_once() {
    refuses(&[], Event::Started(started()));
}

#[test]
fn epochs_grow_by_one() {
    refuses(&[], owned(1));
    refuses(&[], owned(3));
    accepts(&[owned(2)], owned(3));
}

#[test]
fn nothing_is_undone_while_going_forward() {
    refuses(&done(FIRST), intended(FIRST, Backward, 1));
    accepts(&[done(FIRST), vec![turned_back()]].concat(), intended(FIRST, Backward, 1));
}

#[test]
fn nothing_begins_once_the_saga_turned_back() {
    refuses(&[turned_back()], intended(FIRST, Forward, 1));
    refuses(&[turned_back()], Event::Skipped { step: FIRST, at_ms: 0 });
}

#[test]
fn what_surely_did_nothing_is_not_called_again_once_the_saga_turned_back() {
    let fault = Outcome::Fault { reason: String::new(), message: String::new() };
    let sure = [answered(FIRST, fault), vec![turned_back()]].concat();
    refuses(&sure, intended(FIRST, Forward, 2));
    let doubtful = [unknown(FIRST), vec![turned_back()]].concat();
    accepts(&doubtful, intended(FIRST, Forward, 2));
}

/// Else a person could make the pivot stand behind the turning back.
#[test]
fn what_surely_did_nothing_is_not_settled_as_applied_once_the_saga_turned_back() {
    let settled = acted(OperatorAct::Settle {
        step: FIRST,
        call: None,
        settled: Settled::Applied,
        reply: None,
    });
    let rejected =
        Outcome::Rejected { reason: String::new(), message: String::new(), word: Word::OnRecord };
    let rejected = answered(FIRST, rejected);
    accepts(&rejected, settled.clone());
    refuses(&[rejected, vec![turned_back()]].concat(), settled.clone());
    accepts(&[unknown(FIRST), vec![turned_back()]].concat(), settled);
}

#[test]
fn a_request_is_written_with_the_first_attempt_and_never_again() {
    let bare =
        Event::Intended { step: FIRST, direction: Forward, attempt: 1, request: None, at_ms: 0 };
    refuses(&[], bare);
    let other = Event::Intended {
        step: FIRST,
        direction: Forward,
        attempt: 2,
        request: Some(Bytes::from_static(b"another")),
        at_ms: 0,
    };
    refuses(&unknown(FIRST), other);
}

#[test]
fn every_attempt_sends_the_bytes_of_the_first() {
    let state = folded(&[unknown(FIRST), vec![intended(FIRST, Forward, 2)]].concat());
    assert_eq!(state.step(FIRST).request.as_deref(), Some(&b"forward"[..]));
}

#[test]
fn the_compensation_sends_its_own_bytes() {
    let log = [done(FIRST), vec![turned_back(), intended(FIRST, Backward, 1)]].concat();
    assert_eq!(folded(&log).step(FIRST).request.as_deref(), Some(&b"backward"[..]));
}

#[test]
fn a_person_who_asks_has_an_unrenderable_request_made_again() {
    let (step, direction, message) = (FIRST, Backward, String::new());
    let unrenderable = Event::Unrenderable { step, direction, message, at_ms: 0 };
    let log = [done(FIRST), vec![turned_back(), unrenderable, acted(OperatorAct::Retry)]].concat();
    assert_eq!(folded(&log).step(FIRST).phase, StepPhase::Applied);
    accepts(&log, intended(FIRST, Backward, 1));
}

#[test]
fn a_refusal_in_doubt_is_kept_until_the_call_is_made_anew() {
    let refused =
        |word| Outcome::Rejected { reason: "HAVE_IT".to_owned(), message: String::new(), word };
    assert_eq!(folded(&answered(FIRST, refused(Word::OnRecord))).step(FIRST).refusal, None);

    let (direction, outcome) = (Forward, refused(Word::OfAttempt));
    let fenced = [
        intended(FIRST, Forward, 2),
        Event::Answered { step: FIRST, direction, attempt: 2, outcome, at_ms: 0 },
        Event::Inquired { step: FIRST, inquiry: 1, at_ms: 0 },
        Event::Resolved { step: FIRST, inquiry: 1, resolution: Resolution::Fenced, at_ms: 0 },
    ];
    let log = [unknown(FIRST), fenced.to_vec()].concat();
    assert_eq!(folded(&log).step(FIRST).refusal.as_ref().unwrap().reason, "HAVE_IT");
    let renewed = [log, vec![acted(OperatorAct::Renew { step: FIRST })]].concat();
    assert_eq!(folded(&renewed).step(FIRST).refusal, None);
}

fn accepts(log: &[Event], event: Event) {
    let mut state = folded(log);
    assert_eq!(state.apply(&event), Ok(()), "{event:?} after {log:?}");
}

/// Refused, and nothing has changed.
fn refuses(log: &[Event], event: Event) {
    let mut state = folded(log);
    let before = state.clone();
    assert!(state.apply(&event).is_err(), "{event:?} after {log:?}");
    assert_eq!(state, before);
}

fn folded(log: &[Event]) -> State {
    let mut state = State::start(SagaId(Uuid::nil()), &definition(), &started());
    assert_eq!(state.apply_all(log), Ok(()));
    state
}

fn definition() -> Definition {
    let step = |name: &str, after: &[StepIndex]| Step {
        name: name.to_owned(),
        kind: StepKind::Call,
        after: after.iter().copied().collect(),
        conditional: true,
        pivot: false,
        excludes: saga_core::StepSet::EMPTY,
        compensable: true,
        compensation_conditional: false,
        on_unknown: OnUnknown::Resolve,
        timeout_ms: 2_000,
        retry: RetryPolicy::ACTION,
        compensation_retry: RetryPolicy::COMPENSATION,
        resolve_retry: RetryPolicy::RESOLVE,
    };
    let steps = vec![step("first", &[]), step("second", &[FIRST])];
    Definition { name: "fold".to_owned(), version: 1, deadline_ms: None, steps }
}

fn started() -> Started {
    Started {
        definition: "fold".to_owned(),
        definition_version: 1,
        definition_hash: [0; 32],
        input: Bytes::new(),
        operations: OperationRoot::Saga,
        node: NodeId(Uuid::nil()),
        log_epoch: 0,
        after_loss: false,
        at_ms: 0,
    }
}

fn done(step: StepIndex) -> Vec<Event> {
    answered(step, Outcome::Applied { reply: Bytes::new() })
}

fn unknown(step: StepIndex) -> Vec<Event> {
    answered(step, Outcome::Unknown { cause: UnknownCause::TimedOut, message: String::new() })
}

/// The first attempt of an action and its answer.
fn answered(step: StepIndex, outcome: Outcome) -> Vec<Event> {
    let answer = Event::Answered { step, direction: Forward, attempt: 1, outcome, at_ms: 0 };
    vec![intended(step, Forward, 1), answer]
}

fn intended(step: StepIndex, direction: Direction, attempt: u32) -> Event {
    let bytes = Bytes::from_static(direction.as_str().as_bytes());
    let request = (attempt == 1).then_some(bytes);
    Event::Intended { step, direction, attempt, request, at_ms: 0 }
}

fn turned_back() -> Event {
    Event::TurnedBack { reason: TurnBackReason::Cancelled, at_ms: 0 }
}

fn ended(ending: Ending) -> Event {
    Event::Ended { ending, at_ms: 0 }
}

fn owned(epoch: u64) -> Event {
    Event::Owned { node: NodeId(Uuid::from_u128(2)), epoch: Epoch(epoch), at_ms: 0 }
}

fn acted(act: OperatorAct) -> Event {
    Event::OperatorActed {
        actor: String::new(),
        reason: String::new(),
        act,
        at_ms: 0,
        request_id: String::new(),
    }
}
