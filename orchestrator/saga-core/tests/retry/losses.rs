//! What is asked before a saga goes on whose log lost rows: participants remember what the log
//! has forgotten.

use bytes::Bytes;
use saga_core::{
    Action, CancelEffect, Contradiction, Definition,
    Direction::{Backward, Forward},
    Ending, Event, Next, OnUnknown, OperationRoot, OperatorAct, Outcome, Recall, Resolution,
    SagaId, Settled, Started, State, StepIndex, StepKind, StepPhase, StepSet, TurnBackReason, Word,
    cancel_effect, encoding,
    explain::{Because, StepView, UndoView, because, step_view, undo_view},
    offers, stuck,
};

use crate::fixture::{FIRST, LAST, PIVOT, Saga, call, definition, not_sent, unanswered};

#[test]
fn an_effect_is_asked_for_before_a_saga_goes_forward_over_it() {
    let saga = lost(Saga::of(definition()).applied(FIRST));
    saga.does(inquire(FIRST, 1));
    let asked = saga.then(Event::Inquired { step: FIRST, inquiry: 1, at_ms: 0 });
    assert_eq!(asked.next(), Next::Wait { until_ms: None });
    assert_eq!(step_view(&asked.state, FIRST), StepView::Unknown);
    assert_eq!(undo_view(&asked.definition, &asked.state, FIRST), UndoView::IfApplied);
}

/// The inquiry has made sure that the undo of lost rows never comes: where the saga turns back
/// later, that is another operation.
#[test]
fn an_effect_that_stands_is_gone_over_and_undone_under_another_id() {
    let before = Saga::of(definition()).applied(FIRST);
    let undo_before = before.state.operation(&before.definition, FIRST, Backward);
    let saga = lost(before).resolved(FIRST, 1, Resolution::Fenced);
    saga.does(call(PIVOT, Forward, 1));
    assert_ne!(saga.state.operation(&saga.definition, FIRST, Backward), undo_before);
    let back = saga.cancelled().resolved(PIVOT, 1, Resolution::Fenced);
    back.does(Action::TurnBack { reason: TurnBackReason::Cancelled });
}

#[test]
fn an_effect_that_lost_rows_have_undone_turns_the_saga_back() {
    let saga = lost(Saga::of(definition()).applied(FIRST)).resolved(FIRST, 1, applied());
    saga.does(inquire(PIVOT, 1));
    let saga = saga.resolved(PIVOT, 1, Resolution::Fenced);
    let reason = TurnBackReason::UndoneInLostRows { step: FIRST };
    saga.does(Action::TurnBack { reason: reason.clone() });
    let back = saga.then(Event::TurnedBack { reason, at_ms: 0 });
    assert_eq!(because(&back.state), Some(Because::UndoneInLostRows { step: FIRST }));
    let asked = back.resolved(LAST, 1, Resolution::Fenced);
    asked.does(Action::End { ending: Ending::Compensated });
}

/// The pivot stands, and what came before it does not: nobody but a person can mend that.
#[test]
fn an_effect_that_lost_rows_have_undone_before_a_pivot_that_stands_is_for_a_person() {
    let saga = lost(Saga::of(definition()).applied(FIRST)).resolved(FIRST, 1, applied());
    assert_eq!(stuck(&saga.definition, &saga.state), None);
    let passed = saga.resolved(PIVOT, 1, applied());
    let shown = stuck(&passed.definition, &passed.state).map(|it| (it.reason.code(), it.step));
    assert_eq!(shown, Some(("CONTRADICTION", FIRST)));
}

/// A compensation is called only where a saga has turned back: so it had, and so it does again.
#[test]
fn an_undo_that_lost_rows_were_refused_turns_the_saga_back() {
    let refused = Resolution::Rejected { reason: "NO".to_owned(), message: String::new() };
    let saga = lost(Saga::of(definition()).applied(FIRST)).resolved(FIRST, 1, refused);
    assert_eq!(step_view(&saga.state, FIRST), StepView::Applied);
    assert_eq!(saga.state.step(FIRST).generations.compensation, 0);
    let saga = saga.resolved(PIVOT, 1, Resolution::Fenced);
    let reason = TurnBackReason::UndoneInLostRows { step: FIRST };
    saga.does(Action::TurnBack { reason: reason.clone() });
    let back = saga.then(Event::TurnedBack { reason, at_ms: 0 });
    back.resolved(LAST, 1, Resolution::Fenced).does(call(FIRST, Backward, 1));
}

#[test]
fn who_does_not_tell_is_asked_again_and_shown_to_a_person() {
    let saga = lost(Saga::of(definition()).applied(FIRST)).resolved(FIRST, 1, unanswered());
    let Next::Wait { until_ms: Some(at_ms) } = saga.next() else { panic!("{:?}", saga.next()) };
    saga.clone().waits_until(at_ms, inquire(FIRST, 2));
    saga.clone().acted(OperatorAct::Retry).does(inquire(FIRST, 2));
    let attempts_max = saga.definition.step(FIRST).resolve_retry.attempts_max;
    let all = (2..=attempts_max).fold(saga, |saga, inquiry| {
        saga.acted(OperatorAct::Retry).resolved(FIRST, inquiry, unanswered())
    });
    let reason = stuck(&all.definition, &all.state).map(|it| (it.reason.code(), it.step));
    assert_eq!(reason, Some(("OUTCOME_UNKNOWN", FIRST)));

    let settle = |settled| {
        let act = OperatorAct::Settle { step: FIRST, call: None, settled, reply: None };
        let offered = offers(&all.definition, &all.state, 0);
        assert!(offered.contains(&saga_core::Offer::Settle { step: FIRST, settled }));
        all.clone().acted(act)
    };
    settle(Settled::Applied).does(call(PIVOT, Forward, 1));
    let undone = settle(Settled::NotApplied);
    assert_eq!(undone.state.step(FIRST).phase, StepPhase::Undone);
    undone.does(inquire(PIVOT, 1));
}

/// Asking again tells nothing else, however often.
#[test]
fn an_undo_that_is_too_old_to_be_told_waits_for_a_person() {
    let too_old = Resolution::TooOld { message: "pruned".to_owned() };
    for told in [too_old, Resolution::Reversed] {
        let saga = lost(Saga::of(definition()).applied(FIRST)).resolved(FIRST, 1, told.clone());
        let shown = stuck(&saga.definition, &saga.state).map(|it| (it.reason.code(), it.step));
        assert_eq!(shown, Some(("CONTRADICTION", FIRST)), "{told:?}");
        for saga in [saga.clone(), saga.clone().owned(), saga.clone().turned_back()] {
            let back = saga.state.turned_back().is_some();
            let saga = if back {
                saga.resolved(PIVOT, 1, Resolution::Fenced).resolved(LAST, 1, Resolution::Fenced)
            } else {
                saga
            };
            assert_eq!(saga.next(), Next::Wait { until_ms: None }, "{told:?}");
        }
        // A person may have it asked once more, and may say what is so.
        saga.clone().acted(OperatorAct::Retry).does(inquire(FIRST, 2));
        let act = |settled| OperatorAct::Settle { step: FIRST, call: None, settled, reply: None };
        for settled in [Settled::Applied, Settled::NotApplied] {
            let offered = offers(&saga.definition, &saga.state, 0);
            assert!(offered.contains(&saga_core::Offer::Settle { step: FIRST, settled }));
        }
        saga.clone().acted(act(Settled::Applied)).does(call(PIVOT, Forward, 1));
        let undone = saga.acted(act(Settled::NotApplied));
        assert_eq!(undone.state.step(FIRST).phase, StepPhase::Undone);
    }
}

/// Otherwise a call of lost rows could arrive behind the undo of what it depends on.
#[test]
fn what_the_log_has_not_begun_is_asked_for_before_a_saga_goes_back_past_it() {
    let definition = two_and_a_pivot();
    let saga = lost(Saga::of(definition).applied(FIRST)).turned_back();
    let second = StepIndex(1);
    let pivot = StepIndex(2);
    assert_eq!(saga.next(), Next::Do(vec![inquire(second, 1), inquire(pivot, 1)]));
    assert_eq!(step_view(&saga.state, second), StepView::Unknown);
    let found = saga.resolved(pivot, 1, Resolution::Fenced).resolved(second, 1, applied());
    found.does(call(second, Backward, 1));
    let undone = found.answered(second, Backward, 1, done());
    undone.does(call(FIRST, Backward, 1));
}

#[test]
fn a_pivot_that_lost_rows_may_have_passed_is_asked_for_before_the_saga_turns_back() {
    let saga = lost(Saga::of(definition())).cancelled();
    assert_eq!(cancel_effect(&saga.definition, &saga.state), CancelEffect::Undecided);
    saga.does(inquire(PIVOT, 1));
    let passed = saga.clone().resolved(PIVOT, 1, applied());
    assert_eq!(cancel_effect(&passed.definition, &passed.state), CancelEffect::TooLate);
    // What was lost of them is done again, each under its own id.
    assert_eq!(passed.next(), Next::Do(vec![call(FIRST, Forward, 1), call(LAST, Forward, 1)]));
    let fenced = saga.resolved(PIVOT, 1, Resolution::Fenced);
    fenced.does(Action::TurnBack { reason: TurnBackReason::Cancelled });
}

#[test]
fn the_first_call_behind_a_loss_may_not_be_the_first() {
    let saga = lost(Saga::of(definition()));
    saga.does(call(FIRST, Forward, 1));
    saga.clone().answered(FIRST, Forward, 1, refused()).does(inquire(FIRST, 1));
    // That this one surely did nothing says nothing of the others.
    let back = saga.answered(FIRST, Forward, 1, not_sent()).turned_back();
    let back = back.resolved(PIVOT, 1, Resolution::Fenced).resolved(LAST, 1, Resolution::Fenced);
    back.does(inquire(FIRST, 1));
}

/// So is what was under way, and what it did may be undone.
#[test]
fn what_was_under_way_is_in_doubt_and_asked_for() {
    let open = lost(Saga::of(definition()).answered(FIRST, Forward, 1, not_sent()));
    let StepPhase::Open { tries, .. } = open.state.step(FIRST).phase else { panic!() };
    assert!(tries.in_doubt);
    let out = lost(Saga::of(definition()).out(FIRST, Forward, 1));
    let answered = out.then(Event::Answered {
        step: FIRST,
        direction: Forward,
        attempt: 1,
        outcome: done(),
        at_ms: 0,
    });
    answered.does(inquire(FIRST, 1));
}

/// Lost rows explain it; what became of the undo is still to be found out.
#[test]
fn a_reversed_action_contradicts_nothing_where_rows_were_lost() {
    let message = String::new();
    let reversed = Outcome::Contradicted { cause: Contradiction::Reversed, message };
    let whole = Saga::of(definition()).answered(FIRST, Forward, 1, reversed.clone());
    assert_eq!(stuck(&whole.definition, &whole.state).unwrap().reason.code(), "CONTRADICTION");
    let saga = lost(Saga::of(definition())).answered(FIRST, Forward, 1, reversed);
    saga.does(inquire(FIRST, 1));
    let back = saga.clone().turned_back().resolved(PIVOT, 1, Resolution::Fenced);
    let back = back.resolved(LAST, 1, Resolution::Fenced);
    back.does(inquire(FIRST, 1));
    let undone = saga.resolved(FIRST, 1, applied());
    assert_eq!(undone.state.step(FIRST).phase, StepPhase::Undone);
}

#[test]
fn behind_the_pivot_nothing_is_asked_for() {
    lost(Saga::of(definition()).applied(FIRST).applied(PIVOT)).does(call(LAST, Forward, 1));
}

#[test]
fn participants_without_an_inquiry_are_not_asked() {
    let saga = lost(Saga::of(unasked(OnUnknown::Retry)).applied(FIRST));
    assert_eq!(saga.state.step(FIRST).recall, Recall::Whole);
    saga.does(call(PIVOT, Forward, 1));
}

/// The client asked again: what was done in the saga that is lost has the ids of this one.
#[test]
fn a_start_behind_a_loss_may_be_the_second() {
    let saga = started_behind_a_loss(definition());
    saga.clone().cancelled().does(inquire(PIVOT, 1));
    // It was told of this epoch with its start.
    let told = Event::LogWentBack { log_epoch: 2, doubts_all: true, at_ms: 0 };
    let mut state = saga.state.clone();
    assert!(state.apply(&told).is_err());
    let started = behind_a_loss(&saga.definition);
    let row = encoding::encode(&[Event::Started(started.clone()), told.clone()]);
    assert_eq!(encoding::decode(&row), Ok(vec![Event::Started(started), told]));
}

pub(crate) fn started_behind_a_loss(definition: Definition) -> Saga {
    let started = behind_a_loss(&definition);
    let state = State::start(SagaId(uuid::Uuid::nil()), &definition, &started);
    Saga { definition, state, now_ms: 0 }
}

fn behind_a_loss(definition: &Definition) -> Started {
    Started {
        definition: definition.name.clone(),
        definition_version: 1,
        definition_hash: [0; 32],
        input: Bytes::new(),
        operations: OperationRoot::Saga,
        node: saga_core::NodeId(uuid::Uuid::nil()),
        log_epoch: 2,
        after_loss: true,
        at_ms: 0,
    }
}

/// Its participants answer no inquiry.
pub(crate) fn unasked(on_unknown: OnUnknown) -> Definition {
    let mut definition = definition();
    definition.steps.iter_mut().for_each(|step| step.on_unknown = on_unknown);
    definition
}

/// The owner that asked is gone, and with it the answer.
#[test]
fn another_owner_asks_again() {
    let asked = lost(Saga::of(definition()).applied(FIRST)).then(Event::Inquired {
        step: FIRST,
        inquiry: 1,
        at_ms: 0,
    });
    asked.owned().does(inquire(FIRST, 2));
}

#[test]
fn what_was_asked_is_answered_before_it_is_undone() {
    let asked = lost(Saga::of(definition()).applied(FIRST)).then(Event::Inquired {
        step: FIRST,
        inquiry: 1,
        at_ms: 0,
    });
    let back = asked.turned_back();
    let back = back.resolved(PIVOT, 1, Resolution::Fenced).resolved(LAST, 1, Resolution::Fenced);
    assert_eq!(back.next(), Next::Wait { until_ms: None });
    let told = back.then(Event::Resolved {
        step: FIRST,
        inquiry: 1,
        resolution: Resolution::Fenced,
        at_ms: 0,
    });
    told.does(call(FIRST, Backward, 1));
}

pub(crate) fn two_and_a_pivot() -> Definition {
    let mut definition = definition();
    let pivot = definition.steps.remove(1);
    let after = [FIRST].into_iter().collect();
    let second =
        saga_core::Step { name: "second".to_owned(), after, ..definition.steps[0].clone() };
    let pivot = saga_core::Step { after: [StepIndex(1)].into_iter().collect(), ..pivot };
    definition.steps = vec![definition.steps[0].clone(), second, pivot];
    definition
}

pub(crate) fn lost(saga: Saga) -> Saga {
    lost_in(saga, 2)
}

/// Rows were lost, and this epoch of the log began.
pub(crate) fn lost_in(saga: Saga, log_epoch: u64) -> Saga {
    let at_ms = saga.now_ms;
    saga.then(Event::LogWentBack { log_epoch, doubts_all: true, at_ms })
}

pub(crate) fn refused() -> Outcome {
    let (reason, message) = ("EXISTS".to_owned(), String::new());
    Outcome::Rejected { reason, message, word: Word::OfAttempt }
}

pub(crate) fn inquire(step: StepIndex, inquiry: u32) -> Action {
    Action::Inquire { step, inquiry }
}

pub(crate) fn applied() -> Resolution {
    Resolution::Applied { reply: Bytes::new() }
}

fn done() -> Outcome {
    Outcome::Applied { reply: Bytes::new() }
}

/// A wait was the pivot: nobody can be asked whether it was over, and what is behind it tells.
/// So it was for calls in rows of before, which did not doubt them.
#[test]
fn what_is_behind_a_pivot_that_nobody_can_be_asked_about_tells_whether_it_was_passed() {
    let lost = |saga: Saga| {
        let is_wait = matches!(saga.definition.step(PIVOT).kind, StepKind::Wait { .. });
        saga.then(Event::LogWentBack { log_epoch: 2, doubts_all: is_wait, at_ms: 0 })
    };
    for (kind, on_unknown) in [
        (StepKind::Wait { timer: None }, OnUnknown::Resolve),
        (StepKind::Call, OnUnknown::Retry),
        (StepKind::Call, OnUnknown::Park),
        (StepKind::Call, OnUnknown::FinishThenUndo),
    ] {
        let mut definition = definition();
        let pivot = &mut definition.steps[PIVOT.at()];
        (pivot.kind, pivot.on_unknown) = (kind, on_unknown);
        definition.steps[LAST.at()].after = StepSet::EMPTY.with(PIVOT);
        let saga = lost(Saga::of(definition)).cancelled();
        saga.does(inquire(LAST, 1));
        let fenced = saga.clone().resolved(LAST, 1, Resolution::Fenced);
        fenced.does(Action::TurnBack { reason: TurnBackReason::Cancelled });
        let unknown = saga.clone().resolved(LAST, 1, unanswered());
        assert!(matches!(unknown.next(), Next::Wait { until_ms: Some(_) }), "{kind:?}");

        let passed = saga.resolved(LAST, 1, applied());
        assert_eq!(cancel_effect(&passed.definition, &passed.state), CancelEffect::TooLate);
        let turns_back = |next: &Next| matches!(next, Next::Do(all) if all.iter().any(|it| matches!(it, Action::TurnBack { .. })));
        assert!(!turns_back(&passed.next()), "{kind:?} {on_unknown:?}");
    }
}
