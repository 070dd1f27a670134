//! Answers that come after their call's owner was replaced.

use saga_core::{
    Direction::{Backward, Forward},
    Event, Next, OnUnknown, OperatorAct, Outcome, Resolution, Settled, StepPhase, Word, stuck,
};

use crate::fixture::{FIRST, PIVOT, Saga, call, definition, not_sent, rejected, unknown};

fn told(saga: &Saga, attempt: u32, outcome: Outcome) -> Event {
    Event::Answered { step: FIRST, direction: Forward, attempt, outcome, at_ms: saga.now_ms }
}

fn applied() -> Outcome {
    Outcome::Applied { reply: bytes::Bytes::new() }
}

fn refused() -> Outcome {
    Outcome::Rejected { reason: "NO".to_owned(), message: String::new(), word: Word::OfAttempt }
}

/// A step that may be asked only once, and whose owner was replaced while it was asked.
fn asked_once() -> Saga {
    let mut definition = definition();
    definition.steps[0].on_unknown = OnUnknown::Park;
    Saga::of(definition).out(FIRST, Forward, 1).owned()
}

#[test]
fn the_answer_to_a_call_of_a_replaced_owner_settles_the_doubt() {
    let saga = asked_once();
    let done = saga.clone().then(told(&saga, 1, applied()));
    done.does(call(PIVOT, Forward, 1));
    for no in [refused(), rejected()] {
        let refused = saga.clone().then(told(&saga, 1, no));
        assert_eq!(refused.state.step(FIRST).phase, StepPhase::Rejected);
    }
    saga.clone().then(told(&saga, 1, not_sent())).waits_until(100, call(FIRST, Forward, 2));
}

#[test]
fn it_says_what_happened_also_while_another_attempt_is_out() {
    let saga = Saga::of(definition()).out(FIRST, Forward, 1).owned().out(FIRST, Forward, 2);
    let done = saga.clone().then(told(&saga, 1, applied()));
    assert_eq!(done.state.step(FIRST).phase, StepPhase::Applied);
    // The other attempt may yet arrive: nothing is undone before it is over.
    assert_eq!(done.state.step(FIRST).doubtful_at_ms, Some(saga.now_ms));
    let mut again = done.state;
    assert!(again.apply(&told(&saga, 2, applied())).is_err(), "it is told once");
}

#[test]
fn that_one_attempt_did_nothing_ends_no_doubt_about_another() {
    let saga = Saga::of(definition()).out(FIRST, Forward, 1).owned().out(FIRST, Forward, 2).owned();
    for nothing in [refused(), not_sent(), unknown()] {
        assert!(saga.state.clone().apply(&told(&saga, 1, nothing)).is_err());
    }
    for nothing in [refused(), not_sent()] {
        let still = saga.clone().then(told(&saga, 2, nothing));
        assert!(still.state.step(FIRST).phase.may_stand(), "the first attempt is in doubt");
    }
}

/// Whoever said that it never will be, the participant or a person: something happened.
#[test]
fn what_was_done_although_it_was_never_to_be_is_for_a_person() {
    let out = Saga::of(definition()).out(FIRST, Forward, 1).owned();
    let refusal = Resolution::Rejected { reason: String::new(), message: String::new() };
    let settled =
        OperatorAct::Settle { step: FIRST, call: None, settled: Settled::NotApplied, reply: None };
    for never in [
        out.clone().resolved(FIRST, 1, Resolution::Fenced),
        out.clone().resolved(FIRST, 1, refusal),
        out.acted(settled),
    ] {
        for saga in [never.clone(), never.turned_back()] {
            for nothing in [refused(), not_sent(), unknown()] {
                assert!(saga.state.clone().apply(&told(&saga, 1, nothing)).is_err());
            }
            let stands = saga.clone().then(told(&saga, 1, applied()));
            let shown = stuck(&stands.definition, &stands.state).unwrap();
            assert_eq!((shown.reason.code(), shown.step), ("CONTRADICTION", FIRST));
            assert_eq!(stands.next(), Next::Wait { until_ms: None });
            let trouble = stands.state.step(FIRST).last_trouble.clone().unwrap();
            assert_eq!(trouble.reason, "APPLIED_AFTER_ALL");
            let act =
                |settled| OperatorAct::Settle { step: FIRST, call: None, settled, reply: None };
            let found = stands.clone().acted(act(Settled::Applied));
            assert_eq!(found.state.step(FIRST).phase, StepPhase::Applied);
            stands.acted(act(Settled::NotApplied));
        }
    }
}

#[test]
fn an_answer_to_what_was_never_asked_is_refused() {
    let saga = asked_once();
    assert!(saga.state.clone().apply(&told(&saga, 2, applied())).is_err());
    let undoing = Saga::of(definition()).applied(FIRST).turned_back().out(FIRST, Backward, 1);
    assert!(undoing.state.clone().apply(&told(&undoing, 1, applied())).is_err());
}
