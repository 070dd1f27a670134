//! When an outcome that stays unknown is inquired into.

use saga_core::{
    Action, Definition,
    Direction::{Backward, Forward},
    Event, Next, OnUnknown, OperatorAct, Resolution, Step, StepIndex, TurnBackReason, encoding,
};

use crate::fixture::{FIRST, PIVOT, Saga, call, definition, fault, not_sent, unanswered, unknown};

#[test]
fn behind_the_last_attempt_the_first_inquiry_leaves_at_once() {
    Saga::of(definition()).exhausted(FIRST, &unknown()).does(inquire(FIRST, 1));
}

#[test]
fn inquiries_are_repeated_after_15_30_60_seconds_and_so_on() {
    let mut saga = Saga::of(definition()).exhausted(FIRST, &unknown());
    let pauses_s = [15, 30, 60, 120, 240, 480, 600, 600, 600];
    for (inquiry, pause_s) in (1..).zip(pauses_s) {
        saga = saga.resolved(FIRST, inquiry, unanswered());
        saga.clone().waits_until(saga.now_ms + pause_s * 1_000, inquire(FIRST, inquiry + 1));
        saga.now_ms += pause_s * 1_000;
    }
}

/// It was applied, and a later step that reads the reply waits for it.
#[test]
fn an_answer_that_is_too_large_to_be_kept_is_an_answer() {
    let unread = Resolution::AppliedUnread { message: "too large".to_owned() };
    let saga =
        Saga::of(definition()).exhausted(FIRST, &unknown()).resolved(FIRST, 1, unread.clone());
    saga.does(call(PIVOT, Forward, 1));
    let first = saga.state.step(FIRST);
    assert!(first.unread && first.reply.is_none());
    assert_eq!(first.last_trouble.as_ref().map(|it| it.reason.as_str()), Some("REPLY_TOO_LARGE"));
    saga.turned_back().does(call(FIRST, Backward, 1));

    let events = [Event::Resolved { step: FIRST, inquiry: 1, resolution: unread, at_ms: 7 }];
    assert_eq!(encoding::decode(&encoding::encode(&events)).as_deref(), Ok(events.as_slice()));
}

#[test]
fn an_operation_under_way_is_asked_about_again() {
    let saga = Saga::of(definition()).exhausted(FIRST, &unknown());
    saga.resolved(FIRST, 1, Resolution::InProgress).waits_until(15_000, inquire(FIRST, 2));
}

#[test]
fn a_participant_that_gets_its_inquiry_later_is_asked_again() {
    let unsupported = Resolution::Unsupported { message: String::new() };
    let saga = Saga::of(definition()).exhausted(FIRST, &unknown());
    saga.resolved(FIRST, 1, unsupported).waits_until(15_000, inquire(FIRST, 2));
}

#[test]
fn a_new_owner_repeats_the_inquiry_at_once() {
    let saga = Saga::of(definition()).exhausted(FIRST, &unknown());
    let out = saga.then(Event::Inquired { step: FIRST, inquiry: 1, at_ms: 0 });
    assert_eq!(out.next(), Next::Wait { until_ms: None });
    out.owned().does(inquire(FIRST, 2));
}

#[test]
fn a_person_has_the_inquiry_repeated_at_once() {
    let saga = Saga::of(definition()).exhausted(FIRST, &unknown()).resolved(FIRST, 1, unanswered());
    saga.acted(OperatorAct::Retry).does(inquire(FIRST, 2));
}

/// What a later attempt surely did not do says nothing about the first.
#[test]
fn a_doubt_outlives_attempts_that_did_nothing() {
    let saga = Saga::of(definition())
        .answered(FIRST, Forward, 1, unknown())
        .answered(FIRST, Forward, 2, not_sent())
        .answered(FIRST, Forward, 3, not_sent());
    saga.turned_back().does(inquire(FIRST, 1));
}

#[test]
fn a_saga_that_turned_back_inquires_without_more_attempts() {
    let saga = Saga::of(definition()).answered(FIRST, Forward, 1, unknown()).turned_back();
    saga.does(inquire(FIRST, 1));
}

#[test]
fn a_cancel_waits_for_the_doubt_about_the_pivot() {
    let doubtful = Saga::of(definition()).applied(FIRST).answered(PIVOT, Forward, 1, unknown());
    let cancelled = doubtful.cancelled();
    cancelled.does(inquire(PIVOT, 1));

    let applied = Resolution::Applied { reply: bytes::Bytes::new() };
    let forward = cancelled.clone().resolved(PIVOT, 1, applied);
    forward.does(call(StepIndex(2), Forward, 1));

    let back = cancelled.resolved(PIVOT, 1, Resolution::Fenced);
    let reason = TurnBackReason::AttemptsExhausted { step: PIVOT };
    back.does(Action::TurnBack { reason });
    back.turned_back().does(call(FIRST, Backward, 1));
}

#[test]
fn without_an_inquiry_the_action_is_called_until_it_answers() {
    for policy in [OnUnknown::Retry, OnUnknown::FinishThenUndo] {
        let saga = Saga::of(with_policy(policy)).exhausted(FIRST, &unknown());
        saga.clone().waits_until(400, call(FIRST, Forward, 4));
        saga.turned_back().waits_until(400, call(FIRST, Forward, 4));
    }
}

#[test]
fn a_parked_step_is_left_to_a_person() {
    for answer in [unknown(), fault(), not_sent()] {
        let saga = Saga::of(with_policy(OnUnknown::Park)).answered(FIRST, Forward, 1, unknown());
        assert_eq!(saga.next(), Next::Wait { until_ms: None });
        assert_eq!(saga.turned_back().next(), Next::Wait { until_ms: None });

        let doubtful = Saga::of(with_policy(OnUnknown::Park)).out(FIRST, Forward, 1).owned();
        let doubtful = doubtful.answered(FIRST, Forward, 2, answer);
        assert_eq!(doubtful.next(), Next::Wait { until_ms: None });
    }
}

#[test]
fn a_parked_step_that_surely_did_nothing_is_called_again() {
    let saga = Saga::of(with_policy(OnUnknown::Park)).answered(FIRST, Forward, 1, not_sent());
    saga.waits_until(100, call(FIRST, Forward, 2));
}

fn inquire(step: StepIndex, inquiry: u32) -> Action {
    Action::Inquire { step, inquiry }
}

fn with_policy(on_unknown: OnUnknown) -> Definition {
    let mut definition = definition();
    definition.steps = definition.steps.into_iter().map(|it| Step { on_unknown, ..it }).collect();
    definition
}
