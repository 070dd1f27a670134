//! What may have begun in lost rows at participants that answer no inquiry.

use saga_core::{
    Action, CancelEffect,
    Direction::{Backward, Forward},
    Ending, Event, Next, OnUnknown, OperatorAct, Outcome, Resolution, Settled, Step, StepIndex,
    StepPhase, TurnBackReason, cancel_effect,
    explain::{StepView, step_view},
    next::LATE_MS,
    offers, stuck,
};

use crate::{
    fixture::{FIRST, PIVOT, Saga, call, not_sent, rejected},
    losses::{applied, lost, refused, started_behind_a_loss, two_and_a_pivot, unasked},
};

/// Going on is the way to find out: the same operation id makes that safe.
#[test]
fn a_pivot_that_nobody_can_be_asked_about_is_called_whoever_cancels() {
    let saga = lost(Saga::of(unasked(OnUnknown::Retry)).applied(FIRST)).cancelled();
    assert_eq!(cancel_effect(&saga.definition, &saga.state), CancelEffect::Undecided);
    saga.does(call(PIVOT, Forward, 1));
    let passed = saga.clone().applied(PIVOT);
    assert_eq!(cancel_effect(&passed.definition, &passed.state), CancelEffect::TooLate);
    // That this call surely did nothing says nothing of another.
    let not_sent = saga.clone().answered(PIVOT, Forward, 1, not_sent());
    assert_eq!(cancel_effect(&not_sent.definition, &not_sent.state), CancelEffect::Undecided);
    let refused = saga.answered(PIVOT, Forward, 1, refused());
    assert_eq!(cancel_effect(&refused.definition, &refused.state), CancelEffect::Undecided);
}

/// What comes before it tells that nobody has called it: a cancel of what never began holds.
#[test]
fn a_pivot_that_nobody_can_be_asked_about_is_not_called_over_a_cancel_where_nothing_had_begun() {
    let mut definition = unasked(OnUnknown::Retry);
    definition.steps[FIRST.at()].on_unknown = OnUnknown::Resolve;
    let saga = lost(Saga::of(definition)).cancelled();
    saga.does(Action::Inquire { step: FIRST, inquiry: 1 });
    let fenced = saga.clone().resolved(FIRST, 1, Resolution::Fenced);
    fenced.does(Action::TurnBack { reason: TurnBackReason::Cancelled });
    // It had begun, and so may the pivot have.
    saga.resolved(FIRST, 1, applied()).does(Action::Inquire { step: FIRST, inquiry: 1 });
}

#[test]
fn what_may_have_been_called_and_cannot_be_asked_for_is_called_before_it_is_undone() {
    let mut definition = two_and_a_pivot();
    definition.steps[1].on_unknown = OnUnknown::Retry;
    let second = StepIndex(1);
    let saga = lost(Saga::of(definition)).turned_back();
    // It has not begun while what it waits for has not.
    let asked = |resolution| {
        saga.clone().resolved(StepIndex(2), 1, Resolution::Fenced).resolved(FIRST, 1, resolution)
    };
    asked(Resolution::Fenced).does(Action::End { ending: Ending::Compensated });
    let found = asked(applied());
    found.does(call(second, Forward, 1));
    assert_eq!(step_view(&found.state, second), StepView::Unknown);
    // Its condition is false, or its request cannot be made: so it was then.
    let skipped = found.clone().then(Event::Skipped { step: second, at_ms: 0 });
    skipped.does(call(FIRST, Backward, 1));
    let (direction, message) = (Forward, String::new());
    let unmade = Event::Unrenderable { step: second, direction, message, at_ms: 0 };
    found.clone().then(unmade).does(call(FIRST, Backward, 1));
    // No attempt of it is under way any more.
    found.applied(second).at(2_000 + LATE_MS).does(call(second, Backward, 1));
}

#[test]
fn what_may_have_been_called_and_is_never_called_twice_waits_for_a_person() {
    let saga = lost(Saga::of(unasked(OnUnknown::Park)));
    assert_eq!(saga.next(), Next::Wait { until_ms: None });
    let shown = stuck(&saga.definition, &saga.state).map(|it| (it.reason.code(), it.step));
    assert_eq!(shown, Some(("OUTCOME_UNKNOWN", FIRST)));
    assert_eq!(step_view(&saga.state, FIRST), StepView::Unknown);
    let act = |settled| OperatorAct::Settle { step: FIRST, call: None, settled, reply: None };
    let offered = offers(&saga.definition, &saga.state, 0);
    for settled in [Settled::Applied, Settled::NotApplied] {
        assert!(offered.contains(&saga_core::Offer::Settle { step: FIRST, settled }));
    }
    saga.clone().acted(act(Settled::NotApplied)).does(call(FIRST, Forward, 1));
    let applied = saga.acted(act(Settled::Applied));
    assert_eq!(applied.state.step(FIRST).phase, StepPhase::Applied);
    // The next one may have been called too.
    let shown = stuck(&applied.definition, &applied.state).map(|it| it.step);
    assert_eq!(shown, Some(PIVOT));
    let tells = |step, settled| OperatorAct::Settle { step, call: None, settled, reply: None };
    let back = applied.acted(tells(PIVOT, Settled::NotApplied)).cancelled();
    back.does(Action::TurnBack { reason: TurnBackReason::Cancelled });
}

/// It is most likely a first one: a refusal of its first call is not taken for that of a second.
#[test]
fn of_a_start_behind_a_loss_nothing_is_doubted_that_nobody_can_be_asked_about() {
    for on_unknown in [OnUnknown::Retry, OnUnknown::Park, OnUnknown::FinishThenUndo] {
        let saga = started_behind_a_loss(unasked(on_unknown));
        assert_eq!(stuck(&saga.definition, &saga.state), None);
        saga.does(call(FIRST, Forward, 1));
        let cancelled = saga.clone().cancelled();
        let effect = cancel_effect(&cancelled.definition, &cancelled.state);
        assert_eq!(effect, CancelEffect::TurnsBack, "{on_unknown:?}");
        let refused = saga.answered(FIRST, Forward, 1, refused());
        assert!(!refused.state.may_stand(FIRST), "{on_unknown:?}");
    }
}

/// Steps in pairs, each of which waits for both before it: as many ways as 2 to the power of 31.
#[test]
fn what_may_have_begun_is_found_out_in_a_moment() {
    let mut definition = unasked(OnUnknown::Retry);
    let step = definition.steps[0].clone();
    let before = |at: u8| (at & !1).checked_sub(2).map(|first| [first, first + 1]);
    let after = |at| before(at).into_iter().flatten().map(StepIndex).collect();
    let of = |at: u8| Step { name: format!("step{at}"), after: after(at), ..step.clone() };
    definition.steps = (0..64).map(of).collect();
    let last = StepIndex(63);
    let saga = lost(Saga::of(definition));
    assert!(saga.state.may_have_begun_unseen(last));
    let refused = saga.answered(FIRST, Forward, 1, rejected());
    assert!(!refused.state.may_have_begun_unseen(last));
}

/// What the first call of this log did says nothing of those that it has lost.
#[test]
fn a_late_answer_ends_no_doubt_about_calls_of_lost_rows() {
    let saga = lost(Saga::of(unasked(OnUnknown::Retry))).out(FIRST, Forward, 1).owned();
    for outcome in [refused(), not_sent()] {
        let (step, direction, attempt, at_ms) = (FIRST, Forward, 1, 0);
        let late = Event::Answered { step, direction, attempt, outcome, at_ms };
        assert!(saga.state.clone().apply(&late).is_err(), "{late:?}");
    }
    let outcome = Outcome::Applied { reply: bytes::Bytes::new() };
    let (step, direction, attempt, at_ms) = (FIRST, Forward, 1, 0);
    let done = saga.then(Event::Answered { step, direction, attempt, outcome, at_ms });
    assert_eq!(done.state.step(FIRST).phase, StepPhase::Applied);
}
