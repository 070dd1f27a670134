//! When a saga's time is up, and whom that concerns.

use saga_core::{
    Action, Definition,
    Direction::{Backward, Forward},
    Next, StepIndex, TurnBackReason,
};

use crate::fixture::{
    FIRST, LAST, PIVOT, Saga, call, definition, fault, not_sent, rejected, unknown,
};

const DEADLINE_MS: u64 = 5_000;

const LATE: Action = Action::TurnBack { reason: TurnBackReason::DeadlinePassed };

#[test]
fn a_saga_wakes_at_its_deadline_while_a_call_is_out() {
    saga().out(FIRST, Forward, 1).waits_until(DEADLINE_MS, LATE);
}

#[test]
fn a_pause_that_ends_before_the_deadline_comes_first() {
    saga().answered(FIRST, Forward, 1, not_sent()).waits_until(100, call(FIRST, Forward, 2));
}

#[test]
fn a_pause_that_ends_behind_the_deadline_is_cut_short() {
    saga().at(4_500).answered(FIRST, Forward, 1, fault()).waits_until(DEADLINE_MS, LATE);
}

#[test]
fn nothing_begins_after_the_deadline() {
    saga().at(DEADLINE_MS).does(LATE);
    saga().applied(FIRST).at(DEADLINE_MS).does(LATE);
}

#[test]
fn a_refusal_says_more_than_the_deadline() {
    let reason = TurnBackReason::StepRejected { step: FIRST, reason: "OUT_OF_STOCK".to_owned() };
    let saga = saga().answered(FIRST, Forward, 1, rejected()).at(DEADLINE_MS);
    saga.does(Action::TurnBack { reason });
}

#[test]
fn the_deadline_waits_for_the_doubt_about_the_pivot() {
    let out = saga().applied(FIRST).out(PIVOT, Forward, 1).at(DEADLINE_MS);
    assert_eq!(out.next(), Next::Wait { until_ms: None });
    let doubtful = saga().applied(FIRST).answered(PIVOT, Forward, 1, unknown()).at(DEADLINE_MS);
    doubtful.does(Action::Inquire { step: PIVOT, inquiry: 1 });
}

#[test]
fn behind_the_pivot_there_is_no_deadline() {
    let saga = saga().applied(FIRST).applied(PIVOT);
    let out = saga.clone().out(LAST, Forward, 1);
    assert_eq!(out.next(), Next::Wait { until_ms: None });
    saga.at(10 * DEADLINE_MS).does(call(LAST, Forward, 1));
}

#[test]
fn behind_the_pivot_a_cancel_comes_too_late() {
    saga().applied(FIRST).applied(PIVOT).cancelled().does(call(LAST, Forward, 1));
}

#[test]
fn the_way_back_has_no_deadline() {
    let saga = saga().undoing(unknown()).at(10 * DEADLINE_MS);
    saga.does(call(FIRST, Backward, 2));
}

#[test]
fn a_deadline_at_the_end_of_time_does_not_overflow() {
    let definition = Definition { deadline_ms: Some(u64::MAX), ..definition() };
    let saga = Saga::of(definition).at(1).out(StepIndex(0), Forward, 1);
    assert_eq!(saga.next(), Next::Wait { until_ms: Some(u64::MAX) });
}

fn saga() -> Saga {
    Saga::of(Definition { deadline_ms: Some(DEADLINE_MS), ..definition() })
}
