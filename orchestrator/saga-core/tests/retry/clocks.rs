//! Spans, where the clock by which they began is not the one by which they end.

use saga_core::{
    Action,
    Direction::{Backward, Forward},
    Event, Next, OnTimeout, OnUnknown, Outcome, StepKind, TurnBackReason,
    definition::Timer,
    next::LATE_MS,
};

use crate::fixture::{FIRST, Saga, busy, call, definition, fault, not_sent, unanswered, unknown};

const HOUR_MS: u64 = 3_600_000;
const YEARS_MS: u64 = 10 * 365 * 24 * HOUR_MS;

/// How far the clock of the next owner is behind.
const JUMPS_MS: [u64; 3] = [3_000, HOUR_MS, YEARS_MS];

/// When the log was written, and when the next owner thinks that it is.
fn clocks() -> impl Iterator<Item = (u64, u64)> {
    JUMPS_MS.into_iter().map(|jump_ms| (2 * YEARS_MS, 2 * YEARS_MS - jump_ms))
}

#[test]
fn a_pause_is_no_longer_than_itself_by_a_clock_that_is_behind() {
    for (then_ms, now_ms) in clocks() {
        let saga = Saga::of(definition()).at(then_ms);
        let forward = saga.clone().answered(FIRST, Forward, 1, not_sent());
        forward.at(now_ms).owned().waits_until(now_ms + 100, call(FIRST, Forward, 2));
        let asked = saga.clone().answered(FIRST, Forward, 1, busy(700));
        asked.at(now_ms).owned().waits_until(now_ms + 700 + 100, call(FIRST, Forward, 2));
        let undo = saga.clone().undoing(fault());
        undo.at(now_ms).owned().waits_until(now_ms + 1_000, call(FIRST, Backward, 2));
        let doubt = saga.exhausted(FIRST, &unknown()).resolved(FIRST, 1, unanswered());
        let (inquiry, first_ms) = (2, doubt.definition.steps[0].resolve_retry.delay_first_ms);
        let inquire = Action::Inquire { step: FIRST, inquiry };
        doubt.at(now_ms).owned().waits_until(now_ms + first_ms, inquire);
    }
}

/// An answer that came before the clock was set back, and is written after it.
#[test]
fn a_pause_does_not_begin_in_the_future() {
    for (then_ms, now_ms) in clocks() {
        let mut answer = Event::Answered {
            step: FIRST,
            direction: Forward,
            attempt: 1,
            outcome: not_sent(),
            at_ms: then_ms,
        };
        answer.bring_back(now_ms);
        let saga = Saga::of(definition()).at(now_ms).out(FIRST, Forward, 1).then(answer.clone());
        saga.waits_until(now_ms + 100, call(FIRST, Forward, 2));
        let written = answer.clone();
        answer.bring_back(now_ms + 1);
        assert_eq!(answer, written, "what is past stays when it was");
    }
}

#[test]
fn a_timer_and_a_deadline_are_no_longer_than_themselves_by_a_clock_that_is_behind() {
    for (then_ms, now_ms) in clocks() {
        let mut waits = definition();
        let timer = Timer { after_ms: 300_000, then: OnTimeout::Refuse };
        waits.steps[0].kind = StepKind::Wait { timer: Some(timer) };
        let began = Event::WaitBegan { step: FIRST, at_ms: then_ms };
        let saga = Saga::of(waits).at(then_ms).then(began).at(now_ms).owned();
        let out = Action::TimeOut { step: FIRST, then: OnTimeout::Refuse };
        saga.waits_until(now_ms + 300_000, out);

        let mut bounded = definition();
        bounded.deadline_ms = Some(60_000);
        let saga = Saga::started_at(then_ms, bounded).out(FIRST, Forward, 1);
        let late = Action::TurnBack { reason: TurnBackReason::DeadlinePassed };
        let saga = saga.at(now_ms).owned().out(FIRST, Forward, 2);
        saga.waits_until(now_ms + 60_000, late);
    }
}

#[test]
fn what_has_passed_by_a_clock_that_agrees_counts() {
    let saga = Saga::of(definition()).at(5_000).answered(FIRST, Forward, 1, fault());
    saga.at(5_400).owned().waits_until(6_000, call(FIRST, Forward, 2));
}

/// A node whose clock was set moves what it remembers by as much.
#[test]
fn spans_that_run_go_on_when_the_clock_is_set() {
    for by_ms in [-3_000, 3_000, -3_600_000, 3_600_000] {
        let then_ms = 2 * HOUR_MS;
        let mut saga = Saga::of(definition()).at(then_ms).answered(FIRST, Forward, 1, fault());
        saga.state.move_times(by_ms);
        let due_ms = then_ms.saturating_add_signed(by_ms) + 1_000;
        assert_eq!(saga.at(due_ms - 1).next(), Next::Wait { until_ms: Some(due_ms) });
    }
}

/// What is said of a start to others is what its log has, whatever clocks do.
#[test]
fn a_saga_was_accepted_when_its_log_says() {
    for (then_ms, now_ms) in clocks() {
        let mut saga = Saga::started_at(then_ms, definition()).at(now_ms).owned();
        assert_eq!(saga.state.started_at_ms(), now_ms, "the clock is behind");
        saga.state.move_times(5_000);
        assert_eq!(saga.state.accepted_at_ms(), then_ms);
    }
}

/// Whoever takes the saga over has a clock that is ahead: that makes no attempt older.
#[test]
fn an_attempt_is_under_way_for_as_long_by_a_clock_that_is_ahead() {
    let mut definition = definition();
    definition.steps[0].on_unknown = OnUnknown::Retry;
    for jump_ms in JUMPS_MS {
        let saga = Saga::of(definition.clone()).answered(FIRST, Forward, 1, unknown());
        let saga = saga.at(jump_ms).owned().answered(FIRST, Forward, 2, done()).turned_back();
        let quiet_ms = jump_ms + definition.steps[0].timeout_ms + LATE_MS;
        saga.clone().waits_until(quiet_ms, call(FIRST, Backward, 1));
        // Once it is being undone, another owner waits for nothing.
        let undone = saga.at(quiet_ms).out(FIRST, Backward, 1);
        undone.at(quiet_ms + jump_ms).owned().does(call(FIRST, Backward, 2));
    }
}

fn done() -> Outcome {
    Outcome::Applied { reply: bytes::Bytes::new() }
}
