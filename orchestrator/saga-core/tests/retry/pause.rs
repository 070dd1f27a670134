//! When a call is made again.

use saga_core::{
    Definition,
    Direction::{Backward, Forward},
    Jitter, Next, OperatorAct, Outcome, RetryPolicy, Step, TurnBackReason,
};

use crate::fixture::{
    FIRST, LAST, PIVOT, PLAIN, Saga, busy, call, definition, fault, not_sent, rejected, unknown,
};

#[test]
fn a_call_that_did_nothing_is_made_again_after_its_pause() {
    let saga = Saga::of(definition()).at(5_000).answered(FIRST, Forward, 1, not_sent());
    saga.clone().waits_until(5_100, call(FIRST, Forward, 2));
    saga.at(6_000)
        .answered(FIRST, Forward, 2, not_sent())
        .waits_until(6_200, call(FIRST, Forward, 3));
}

#[test]
fn an_unknown_outcome_is_asked_for_again_with_the_same_operation() {
    let saga = Saga::of(definition()).answered(FIRST, Forward, 1, unknown());
    saga.waits_until(100, call(FIRST, Forward, 2));
}

#[test]
fn what_the_participant_asks_for_comes_before_the_pause() {
    let saga = Saga::of(definition()).at(1_000).answered(FIRST, Forward, 1, busy(700));
    saga.waits_until(1_000 + 700 + 100, call(FIRST, Forward, 2));
}

#[test]
fn a_participant_that_asks_for_ever_gets_it() {
    let saga = Saga::of(definition()).at(1_000).answered(FIRST, Forward, 1, busy(u64::MAX));
    assert_eq!(saga.next(), Next::Wait { until_ms: Some(u64::MAX) });
}

#[test]
fn a_wiring_fault_waits_the_longest_pause_and_burns_no_attempt() {
    let mut saga = Saga::of(definition());
    for attempt in 1..=10 {
        saga = saga.answered(FIRST, Forward, attempt, fault());
        saga.clone().waits_until(1_000, call(FIRST, Forward, attempt + 1));
    }
    saga.answered(FIRST, Forward, 11, not_sent()).waits_until(100, call(FIRST, Forward, 12));
}

#[test]
fn a_new_owner_calls_at_once_and_burns_no_attempt() {
    let mut saga = Saga::of(definition());
    for attempt in 1..=10 {
        saga = saga.out(FIRST, Forward, attempt).owned();
        saga.does(call(FIRST, Forward, attempt + 1));
    }
    saga.answered(FIRST, Forward, 11, not_sent()).waits_until(100, call(FIRST, Forward, 12));
}

#[test]
fn a_new_owner_keeps_the_pauses_of_the_one_before() {
    let saga = Saga::of(definition()).answered(FIRST, Forward, 1, not_sent()).at(50).owned();
    saga.waits_until(100, call(FIRST, Forward, 2));
}

#[test]
fn a_person_ends_a_pause() {
    let saga = Saga::of(definition()).answered(FIRST, Forward, 1, fault()).at(1);
    saga.acted(OperatorAct::Retry).does(call(FIRST, Forward, 2));
}

#[test]
fn attempts_that_surely_did_nothing_end_with_turning_back() {
    let reason = TurnBackReason::AttemptsExhausted { step: FIRST };
    let saga = Saga::of(definition()).exhausted(FIRST, &not_sent());
    saga.does(saga_core::Action::TurnBack { reason });
}

#[test]
fn behind_the_pivot_there_is_no_last_attempt() {
    let mut saga = Saga::of(definition()).applied(FIRST).applied(PIVOT);
    for attempt in 1..=20 {
        saga = saga.answered(LAST, Forward, attempt, unknown());
    }
    saga.waits_until(1_000, call(LAST, Forward, 21));
}

#[test]
fn a_compensation_has_no_last_attempt() {
    for outcome in [not_sent(), unknown(), rejected(), fault()] {
        let mut saga = Saga::of(definition()).undoing(outcome.clone());
        for attempt in 2..=20 {
            saga = saga.answered(FIRST, Backward, attempt, outcome.clone());
        }
        saga.waits_until(1_000, call(FIRST, Backward, 21));
    }
}

#[test]
fn a_compensation_has_pauses_of_its_own() {
    let compensation_retry = RetryPolicy { delay_first_ms: 40, ..PLAIN };
    let saga = Saga::of(with_first(|step| Step { compensation_retry, ..step }));
    saga.undoing(unknown()).waits_until(40, call(FIRST, Backward, 2));
}

#[test]
fn a_refused_compensation_is_looked_at_again_after_the_longest_pause() {
    Saga::of(definition()).undoing(rejected()).waits_until(1_000, call(FIRST, Backward, 2));
}

#[test]
fn a_compensation_of_a_dead_owner_is_made_again_at_once() {
    let saga = Saga::of(definition()).applied(FIRST).turned_back().out(FIRST, Backward, 1).owned();
    saga.does(call(FIRST, Backward, 2));
}

/// Sagas that met the same outage do not come back at the same time (F66), and none
/// changes its mind about when.
#[test]
fn jitter_spreads_the_sagas_over_the_pause() {
    let retry = RetryPolicy { delay_first_ms: 1_000, jitter: Jitter::Full, ..PLAIN };
    let definition = with_first(|step| Step { retry, ..step });
    let mut tenths = [0_u32; 10];
    for number in 0..1_000 {
        let saga = Saga::numbered(number, definition.clone());
        let saga = saga.answered(FIRST, Forward, 1, not_sent());
        let until_ms = match saga.next() {
            Next::Wait { until_ms } => until_ms.unwrap(),
            _ => 0,
        };
        assert_eq!(saga.next(), saga.clone().next());
        tenths[usize::try_from(until_ms / 100).unwrap().min(9)] += 1;
    }
    assert!(tenths.iter().all(|count| (60..=140).contains(count)), "{tenths:?}");
}

#[test]
fn jitter_differs_from_attempt_to_attempt() {
    let retry = RetryPolicy {
        delay_first_ms: 1_000_000,
        delay_max_ms: 1_000_000,
        jitter: Jitter::Full,
        attempts_max: 100,
        ..PLAIN
    };
    let mut saga = Saga::of(with_first(|step| Step { retry, ..step }));
    let mut waits = Vec::new();
    for attempt in 1..=20 {
        saga = saga.answered(FIRST, Forward, attempt, not_sent());
        waits.push(format!("{:?}", saga.next()));
    }
    waits.sort_unstable();
    waits.dedup();
    assert_eq!(waits.len(), 20);
}

#[test]
fn an_answer_ends_the_waiting() {
    let saga = Saga::of(definition()).answered(FIRST, Forward, 1, unknown());
    let applied = Outcome::Applied { reply: bytes::Bytes::new() };
    saga.answered(FIRST, Forward, 2, applied).does(call(PIVOT, Forward, 1));
}

fn with_first(change: impl Fn(Step) -> Step) -> Definition {
    let mut definition = definition();
    definition.steps[0] = change(definition.steps[0].clone());
    definition
}
