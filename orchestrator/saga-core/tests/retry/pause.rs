//! When a call is made again.

use saga_core::{
    Action, Definition,
    Direction::{Backward, Forward},
    Jitter, Next, OperatorAct, Outcome, REST_MS_MAX, RetryPolicy, Step, TurnBackReason,
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
fn a_wiring_fault_is_looked_at_ever_more_rarely_and_burns_no_attempt() {
    let mut saga = Saga::of(definition());
    for (attempt, pause_ms) in (1..=12).zip(DOUBLED) {
        saga = saga.answered(FIRST, Forward, attempt, fault());
        saga.clone().waits_until(pause_ms, call(FIRST, Forward, attempt + 1));
    }
}

/// Up to ten minutes apart, whatever the policy's own bound is.
#[test]
fn what_does_not_change_is_tried_ever_more_rarely() {
    for outcome in [not_sent(), busy(0), fault()] {
        let retry = RetryPolicy { delay_first_ms: 1, delay_max_ms: 1, ..PLAIN };
        let mut saga = Saga::of(with_first(|step| Step { retry, ..step }));
        let mut tries = 0;
        while saga.now_ms < 24 * 3_600_000 {
            tries += 1;
            saga = saga.answered(FIRST, Forward, tries, outcome.clone());
            let Next::Wait { until_ms: Some(until_ms) } = saga.next() else {
                panic!("{outcome:?}: {:?}", saga.next());
            };
            assert!(until_ms <= saga.now_ms + REST_MS_MAX, "{outcome:?}: {until_ms}");
            saga = saga.at(until_ms);
        }
        assert!((144..180).contains(&tries), "{outcome:?}: {tries} tries in a day");
    }
}

/// PLAIN's bound, doubled up to ten minutes.
const DOUBLED: [u64; 12] = [
    1_000,
    2_000,
    4_000,
    8_000,
    16_000,
    32_000,
    64_000,
    128_000,
    256_000,
    512_000,
    REST_MS_MAX,
    REST_MS_MAX,
];

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
fn what_surely_did_nothing_uses_up_no_attempt() {
    for outcome in [not_sent(), busy(0)] {
        let saga = Saga::of(definition()).exhausted(FIRST, &outcome);
        saga.clone().waits_until(400, call(FIRST, Forward, 4));
        // All three are still there for answers that count.
        let mut saga = saga;
        for attempt in 4..=6 {
            saga = saga.answered(FIRST, Forward, attempt, unknown());
        }
        saga.does(Action::Inquire { step: FIRST, inquiry: 1 });
    }
}

#[test]
fn what_surely_did_nothing_waits_for_its_deadline_or_a_cancel() {
    let definition = Definition { deadline_ms: Some(60_000), ..definition() };
    let saga = Saga::of(definition).exhausted(FIRST, &not_sent());
    let back = |reason| Action::TurnBack { reason };
    saga.clone().cancelled().does(back(TurnBackReason::Cancelled));
    saga.at(60_000).does(back(TurnBackReason::DeadlinePassed));
}

#[test]
fn behind_the_pivot_there_is_no_last_attempt() {
    let mut saga = Saga::of(definition()).applied(FIRST).applied(PIVOT);
    for attempt in 1..=20 {
        saga = saga.answered(LAST, Forward, attempt, unknown());
    }
    saga.waits_until(REST_MS_MAX, call(LAST, Forward, 21));
}

#[test]
fn a_compensation_has_no_last_attempt() {
    for outcome in [not_sent(), unknown(), rejected(), fault()] {
        let mut saga = Saga::of(definition()).undoing(outcome.clone());
        for attempt in 2..=20 {
            saga = saga.answered(FIRST, Backward, attempt, outcome.clone());
        }
        saga.waits_until(REST_MS_MAX, call(FIRST, Backward, 21));
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
