//! The rules about what people are told: each word against the participants' books, and
//! each offer against what becomes of it.

use saga_core::{
    CancelEffect, Cause, Definition, Event, Next, Offer, OperatorAct, State, StepIndex, StepKind,
    cancel_effect, cause,
    explain::{StepView, UndoView, step_view, undo_view},
    next, offers, stuck,
};

use super::{Judged, Rule, judge};
use crate::{
    cases::Keeps,
    node::Node,
    walk::needs_a_person,
    world::{Record, Request},
};

/// What people are told, or a mutant of it.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    pub(crate) cancel: fn(&Definition, &State) -> CancelEffect,
    pub(crate) step: fn(&State, StepIndex) -> StepView,
    pub(crate) undo: fn(&Definition, &State, StepIndex) -> UndoView,
    pub(crate) offers: fn(&Definition, &State, u64) -> Vec<Offer>,
    pub(crate) cause: for<'s> fn(&Definition, &'s State) -> Option<Cause<'s>>,
}

impl Words {
    pub(crate) const REAL: Self =
        Self { cancel: cancel_effect, step: step_view, undo: undo_view, offers, cause };
}

/// Judges everything that is said of this state.
pub(crate) fn judge_words(
    words: &Words,
    definition: &Definition,
    node: &Node,
    decision: &Next,
) -> Judged {
    judge_cancel(words, definition, node)?;
    for step in definition.indices() {
        let view = (words.step)(&node.state, step);
        judge(Rule::WordsAreTrue, view_is_true(node, step, view), || {
            format!("step {step} is called {view:?}")
        })?;
        let undo = (words.undo)(definition, &node.state, step);
        judge(Rule::WordsAreTrue, undo_is_true(definition, node, step, undo), || {
            format!("the effect of step {step} is called {undo:?}")
        })?;
    }
    judge(Rule::WordsAreTrue, cause_is_true(words, definition, node), || {
        format!("held up by {:?}", (words.cause)(definition, &node.state))
    })?;
    judge_offers(words, definition, node, decision)
}

/// What holds a saga up is a step that is not over, and the one that needs a person where one
/// does; and no step that is tried again or waits is passed over.
fn cause_is_true(words: &Words, definition: &Definition, node: &Node) -> bool {
    use StepView::{Calling, Faulted, Retrying, Undoing, Unknown, Waiting};

    let state = &node.state;
    let view = |step| step_view(state, step);
    let is_over = state.ended().is_some();
    let stuck = stuck(definition, state).map(|stuck| stuck.step);
    let is_unsettled =
        |step| matches!(view(step), Calling | Retrying | Faulted | Unknown | Undoing);
    match (words.cause)(definition, state) {
        Some(Cause::Call { step, .. }) => {
            !is_over && stuck.unwrap_or(step) == step && (stuck == Some(step) || is_unsettled(step))
        }
        Some(Cause::Signal { step, .. }) => !is_over && stuck.is_none() && view(step) == Waiting,
        None => {
            let is_passed_over = |step| match view(step) {
                Retrying | Faulted => true,
                Waiting => state.step(step).signal.is_none(),
                _ => false,
            };
            is_over || stuck.is_some() || !definition.indices().any(is_passed_over)
        }
    }
}

/// Who asks now is told what was told before, once that was decided.
fn judge_cancel(words: &Words, definition: &Definition, node: &Node) -> Judged {
    let Some(told) = node.cancel else { return Ok(()) };
    let now = (words.cancel)(definition, &node.state);
    let closed = told == CancelEffect::Undecided && node.state.is_closing();
    judge(Rule::CancelIsDecided, told == now || closed, || {
        format!("{told:?} was told, now {now:?}")
    })
}

fn view_is_true(node: &Node, step: StepIndex, view: StepView) -> bool {
    let (world, books) = (&node.world, node.world.of(step));
    let is_over = node.state.ended().is_some();
    match view {
        StepView::NotBegun | StepView::Skipped | StepView::Rejected | StepView::NotDone => {
            !world.may_stand(step) && books.applied == 0
        }
        StepView::Waiting | StepView::Retrying => {
            !world.may_stand(step) && node.state.turned_back().is_none() && !is_over
        }
        StepView::Calling => world.has_on_the_wire(step, Request::Action) && !is_over,
        // Of a saga that was closed it may be all that is ever known.
        StepView::Faulted | StepView::Unknown => !is_over || node.state.is_closing(),
        StepView::Applied | StepView::Kept => world.stands(step),
        StepView::Undoing => is_undone(node, step) && !is_over,
        StepView::Undone => books.compensation && !world.may_stand(step),
    }
}

/// Whether there is something to undo, as far as the participant can tell.
fn is_undone(node: &Node, step: StepIndex) -> bool {
    let applied = node.world.of(step).action == Some(Record::Applied);
    applied || node.world.keeps == Keeps::Nothing
}

fn undo_is_true(definition: &Definition, node: &Node, step: StepIndex, undo: UndoView) -> bool {
    let (world, books) = (&node.world, node.world.of(step));
    let is_over = node.state.ended().is_some();
    let is_wait = matches!(definition.step(step).kind, StepKind::Wait { .. });
    match undo {
        UndoView::Nothing => is_wait || !world.may_stand(step) && books.undone == 0,
        UndoView::Stays => {
            let is_asked_for = world.has_on_the_wire(step, Request::Compensation);
            node.state.is_closing() || books.undone == 0 && !is_asked_for
        }
        UndoView::Planned => world.stands(step) && !is_over,
        UndoView::IfApplied => !is_over,
        UndoView::Underway => is_undone(node, step) && !is_over,
        UndoView::Done => books.undone == books.applied && !world.may_stand(step),
    }
}

/// Whatever is offered is taken and changes something; what is not offered would not.
fn judge_offers(words: &Words, definition: &Definition, node: &Node, decision: &Next) -> Judged {
    let offered = (words.offers)(definition, &node.state, node.now_ms);
    for offer in &offered {
        judge(Rule::OffersHold, is_taken(definition, node, *offer), || format!("{offer:?}"))?;
    }
    let is_idle = matches!(decision, Next::Wait { .. } | Next::Finished(_));
    let left_out =
        is_idle && !offered.contains(&Offer::Retry) && is_taken(definition, node, Offer::Retry);
    judge(Rule::OffersHold, !left_out, || "a try is not offered".to_owned())?;
    let is_way_out = |offer: &Offer| matches!(offer, Offer::Retry | Offer::Settle { .. });
    let is_stuck = needs_a_person(definition, node, decision).is_some();
    let is_lost = is_stuck && !offered.iter().any(is_way_out);
    judge(Rule::OffersHold, !is_lost, || "stuck, and nothing is offered".to_owned())
}

fn is_taken(definition: &Definition, node: &Node, offer: Offer) -> bool {
    let mut state = node.state.clone();
    let event = match offer {
        Offer::Retry => node.acted(OperatorAct::Retry),
        Offer::Settle { step, settled } => {
            node.acted(OperatorAct::Settle { step, call: None, settled, reply: None })
        }
        Offer::Renew { step } => node.acted(OperatorAct::Renew { step }),
        Offer::Close => node.acted(OperatorAct::Close),
        Offer::Signal { step } => node.signalled(step),
        Offer::Cancel => Event::CancelRequested {
            actor: String::new(),
            reason: String::new(),
            at_ms: node.now_ms,
            request_id: String::new(),
        },
    };
    if state.apply(&event).is_err() {
        return false;
    }
    match offer {
        Offer::Retry => matches!(next(definition, &state, node.now_ms), Next::Do(_)),
        Offer::Cancel => cancel_effect(definition, &state) != CancelEffect::TooLate,
        Offer::Settle { .. } | Offer::Signal { .. } => state != node.state,
        Offer::Renew { .. } | Offer::Close => {
            matches!(next(definition, &state, node.now_ms), Next::Do(_))
        }
    }
}
