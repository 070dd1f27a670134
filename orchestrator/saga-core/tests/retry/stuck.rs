//! Which sagas are shown to a person, and why.

use saga_core::{
    CancelEffect, Cause, Definition,
    Direction::{Backward, Forward},
    Ending, Event, OnUnknown, OperatorAct, Resolution, Settled, Step, StepIndex, Stuck,
    StuckReason, cancel_effect, cause, stuck,
};

use crate::fixture::{
    FIRST, INQUIRIES, LAST, PIVOT, Saga, busy, definition, fault, not_sent, rejected, unanswered,
    unknown,
};

/// Nobody tells what became of the first attempt, for as long as the participant likes.
#[test]
fn a_doubt_that_is_only_declined_is_shown() {
    for on_unknown in [OnUnknown::Retry, OnUnknown::FinishThenUndo] {
        let mut definition = definition();
        definition.steps[FIRST.at()].on_unknown = on_unknown;
        let mut saga = Saga::of(definition).answered(FIRST, Forward, 1, unknown());
        for attempt in 2..=3 {
            assert_eq!(reason(&saga), None, "{on_unknown:?} {attempt}");
            saga = saga.answered(FIRST, Forward, attempt, busy(10));
        }
        assert_eq!(reason(&saga), Some("OUTCOME_UNKNOWN"), "{on_unknown:?}");
    }
}

#[test]
fn what_holds_an_undo_up_is_told_of_the_undo() {
    let saga = saga().undoing(unknown());
    let cause = cause(&saga.definition, &saga.state);
    assert!(
        matches!(cause, Some(Cause::Call { step: FIRST, direction: Backward, .. })),
        "{cause:?}"
    );
}

/// What its pivot came to will not be known.
#[test]
fn a_cancel_of_a_saga_that_was_closed_over_its_pivot_is_told_how_it_ended() {
    let (actor, reason, request_id) = (String::new(), String::new(), String::new());
    let saga = saga()
        .applied(FIRST)
        .answered(PIVOT, Forward, 1, unknown())
        .then(Event::CancelRequested { actor, reason, request_id, at_ms: 0 })
        .acted(OperatorAct::Close)
        .then(Event::Ended { ending: Ending::Closed, at_ms: 0 });
    let effect = cancel_effect(&saga.definition, &saga.state);
    assert_eq!(effect, CancelEffect::Ended(Ending::Closed));
}

#[test]
fn a_saga_that_goes_its_way_is_not_stuck() {
    for saga in [
        saga(),
        saga().out(FIRST, Forward, 1),
        saga().answered(FIRST, Forward, 1, unknown()),
        saga().exhausted(FIRST, &unknown()),
        saga().exhausted(FIRST, &not_sent()),
        saga().answered(FIRST, Forward, 1, rejected()),
        saga().applied(FIRST).applied(PIVOT).answered(LAST, Forward, 1, unknown()),
        saga().undoing(unknown()),
        saga().answered(FIRST, Forward, 1, unknown()).turned_back(),
    ] {
        assert_eq!(reason(&saga), None, "{:?}", saga.state);
    }
}

#[test]
fn a_wiring_fault_is_shown_at_once() {
    assert_eq!(reason(&saga().answered(FIRST, Forward, 1, fault())), Some("WIRING_FAULT"));
    assert_eq!(reason(&saga().undoing(fault())), Some("WIRING_FAULT"));
}

#[test]
fn a_wiring_fault_of_a_step_that_did_nothing_no_longer_matters_on_the_way_back() {
    assert_eq!(reason(&saga().answered(FIRST, Forward, 1, fault()).turned_back()), None);
}

#[test]
fn an_outcome_that_stays_unknown_is_shown_behind_the_last_inquiry_of_the_policy() {
    let mut saga = saga().exhausted(FIRST, &unknown());
    for inquiry in 1..INQUIRIES.attempts_max {
        saga = saga.resolved(FIRST, inquiry, unanswered());
        assert_eq!(reason(&saga), None, "{inquiry}");
    }
    let saga = saga.resolved(FIRST, INQUIRIES.attempts_max, unanswered());
    assert_eq!(reason(&saga), Some("OUTCOME_UNKNOWN"));
}

#[test]
fn a_participant_without_an_inquiry_is_shown_at_once() {
    let unsupported = Resolution::Unsupported { message: String::new() };
    let saga = saga().exhausted(FIRST, &unknown()).resolved(FIRST, 1, unsupported);
    assert_eq!(reason(&saga), Some("INQUIRY_UNSUPPORTED"));
}

#[test]
fn on_unknown_says_when_an_unknown_outcome_is_shown() {
    let once = |policy| reason(&policy_saga(policy).answered(FIRST, Forward, 1, unknown()));
    assert_eq!(once(OnUnknown::Resolve), None);
    assert_eq!(once(OnUnknown::Retry), None);
    assert_eq!(once(OnUnknown::FinishThenUndo), None);
    assert_eq!(once(OnUnknown::Park), Some("OUTCOME_UNKNOWN"));

    let exhausted = |policy| reason(&policy_saga(policy).exhausted(FIRST, &unknown()));
    assert_eq!(exhausted(OnUnknown::Resolve), None);
    assert_eq!(exhausted(OnUnknown::Retry), Some("OUTCOME_UNKNOWN"));
    assert_eq!(exhausted(OnUnknown::FinishThenUndo), Some("OUTCOME_UNKNOWN"));
}

/// Nothing is repeated by itself there, so no other reason would be true.
#[test]
fn a_parked_doubt_is_an_unknown_outcome_whatever_the_last_call_met_and_wherever() {
    let faulty = policy_saga(OnUnknown::Park).out(FIRST, Forward, 1).owned().answered(
        FIRST,
        Forward,
        2,
        fault(),
    );
    assert_eq!(reason(&faulty), Some("OUTCOME_UNKNOWN"));
    let behind_the_pivot = policy_saga(OnUnknown::Park).applied(FIRST).applied(PIVOT);
    let behind_the_pivot = behind_the_pivot.answered(LAST, Forward, 1, unknown());
    assert_eq!(reason(&behind_the_pivot), Some("OUTCOME_UNKNOWN"));
}

#[test]
fn a_compensation_is_shown_behind_the_last_attempt_of_its_policy() {
    let saga = saga().undoing(unknown()).answered(FIRST, Backward, 2, not_sent());
    assert_eq!(reason(&saga), None);
    let saga = saga.answered(FIRST, Backward, 3, unknown());
    assert_eq!(reason(&saga), Some("COMPENSATION_FAILING"));
    assert_eq!(reason(&saga.out(FIRST, Backward, 4)), Some("COMPENSATION_FAILING"));
}

#[test]
fn a_refused_compensation_is_shown_at_once() {
    assert_eq!(reason(&saga().undoing(rejected())), Some("COMPENSATION_REJECTED"));
}

#[test]
fn behind_the_pivot_a_refusal_a_fence_and_a_run_of_failures_are_shown() {
    let behind = || saga().applied(FIRST).applied(PIVOT);
    let refused = behind().answered(LAST, Forward, 1, rejected());
    assert_eq!(reason(&refused), Some("REJECTED_AFTER_PIVOT"));

    let not_applied =
        OperatorAct::Settle { step: LAST, call: None, settled: Settled::NotApplied, reply: None };
    let fenced = behind().answered(LAST, Forward, 1, unknown()).acted(not_applied);
    assert_eq!(reason(&fenced), Some("REJECTED_AFTER_PIVOT"));

    let failing = behind().exhausted(LAST, &not_sent());
    assert_eq!(reason(&failing), Some("FORWARD_FAILING"));
}

#[test]
fn what_a_person_did_by_hand_behind_the_pivot_ends_the_saga() {
    let settle = |settled| OperatorAct::Settle { step: LAST, call: None, settled, reply: None };
    let behind = || saga().applied(FIRST).applied(PIVOT);
    let refused = behind().answered(LAST, Forward, 1, rejected());
    let fenced = behind().answered(LAST, Forward, 1, unknown()).acted(settle(Settled::NotApplied));
    for stuck in [refused, fenced] {
        let ending = Ending::Completed;
        stuck.acted(settle(Settled::Applied)).does(saga_core::Action::End { ending });
    }
}

#[test]
fn a_request_that_cannot_be_made_is_shown_where_there_is_no_turning_back() {
    let unrenderable = |step, direction| Event::Unrenderable {
        step,
        direction,
        message: "no such key".to_owned(),
        at_ms: 0,
    };
    assert_eq!(reason(&saga().then(unrenderable(FIRST, Forward))), None);
    let behind = saga().applied(FIRST).applied(PIVOT).then(unrenderable(LAST, Forward));
    assert_eq!(reason(&behind), Some("UNRENDERABLE"));
    let back = saga().applied(FIRST).turned_back().then(unrenderable(FIRST, Backward));
    assert_eq!(reason(&back), Some("UNRENDERABLE"));
}

#[test]
fn a_person_has_a_request_made_again_that_could_not_be_made() {
    let unrenderable =
        |step, direction| Event::Unrenderable { step, direction, message: String::new(), at_ms: 0 };
    let behind = saga().applied(FIRST).applied(PIVOT).then(unrenderable(LAST, Forward));
    behind.acted(OperatorAct::Retry).does(crate::fixture::call(LAST, Forward, 1));
    let back = saga().applied(FIRST).turned_back().then(unrenderable(FIRST, Backward));
    back.acted(OperatorAct::Retry).does(crate::fixture::call(FIRST, Backward, 1));
}

#[test]
fn a_verdict_stands_while_the_next_try_is_out() {
    let met = saga().answered(FIRST, Forward, 1, fault());
    let before = stuck(&met.definition, &met.state).map(|it| it.reason);
    assert_eq!(before, Some(StuckReason::WiringFault));
    let out = met.out(FIRST, Forward, 2);
    assert_eq!(stuck(&out.definition, &out.state).map(|it| it.reason), before);
}

#[test]
fn since_is_when_the_trouble_began() {
    let saga = saga().at(10).answered(FIRST, Forward, 1, not_sent()).at(20).answered(
        FIRST,
        Forward,
        2,
        fault(),
    );
    let reason = StuckReason::WiringFault;
    assert_eq!(
        stuck(&saga.definition, &saga.state),
        Some(Stuck { reason, step: FIRST, since_ms: 10 })
    );
}

#[test]
fn what_the_action_met_is_not_held_against_the_compensation() {
    let saga = saga()
        .answered(FIRST, Forward, 1, unknown())
        .at(5)
        .answered(FIRST, Forward, 2, saga_core::Outcome::Applied { reply: bytes::Bytes::new() })
        .turned_back()
        .at(50)
        .answered(FIRST, Backward, 1, rejected());
    assert_eq!(stuck(&saga.definition, &saga.state).map(|it| it.since_ms), Some(50));
}

#[test]
fn what_a_person_settled_is_no_trouble_any_more() {
    let applied =
        OperatorAct::Settle { step: FIRST, call: None, settled: Settled::Applied, reply: None };
    let saga = saga().answered(FIRST, Forward, 1, unknown()).acted(applied);
    assert_eq!(saga.state.step(FIRST).troubled_since_ms, None);
    assert_eq!(saga.state.step(FIRST).last_trouble, None);
}

#[test]
fn the_first_step_in_trouble_is_named() {
    let parallel = |mut definition: Definition| {
        definition.steps[1] = Step {
            pivot: false,
            excludes: saga_core::StepSet::EMPTY,
            after: std::iter::empty::<StepIndex>().collect(),
            ..definition.steps[1].clone()
        };
        definition
    };
    let saga = Saga::of(parallel(definition())).answered(PIVOT, Forward, 1, fault()).answered(
        FIRST,
        Forward,
        1,
        fault(),
    );
    assert_eq!(stuck(&saga.definition, &saga.state).map(|it| it.step), Some(FIRST));
}

#[test]
fn a_saga_that_ended_is_not_stuck() {
    let ended = Event::Ended { ending: Ending::Compensated, at_ms: 0 };
    let saga = saga().answered(FIRST, Forward, 1, fault()).turned_back().then(ended);
    assert_eq!(reason(&saga), None);
}

fn reason(saga: &Saga) -> Option<&'static str> {
    stuck(&saga.definition, &saga.state).map(|stuck| stuck.reason.code())
}

fn saga() -> Saga {
    Saga::of(definition())
}

fn policy_saga(on_unknown: OnUnknown) -> Saga {
    let mut definition = definition();
    definition.steps = definition.steps.into_iter().map(|it| Step { on_unknown, ..it }).collect();
    Saga::of(definition)
}
