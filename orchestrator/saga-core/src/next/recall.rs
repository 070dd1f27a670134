//! What must be asked where the log lost rows: whether effects that it knows of were undone in
//! them. A saga that had turned back in lost rows may not go forward over what it undid.

use super::{Action, Plan, open::inquiry_due_ms};
use crate::{
    definition::{Definition, StepIndex},
    phase::{Pause, StepPhase},
    state::{Recall, State},
};

/// Asks about every effect that may be undone unseen. False: there is none.
pub(super) fn recall_effects(
    definition: &Definition,
    state: &State,
    now_ms: u64,
    plan: &mut Plan,
) -> bool {
    let is_due = |index: &StepIndex| {
        let step = state.step(*index);
        step.phase == StepPhase::Applied && step.recall != Recall::Whole
    };
    let due = definition.indices().filter(is_due);
    due.map(|index| recall_effect(definition, state, index, now_ms, plan)).count() > 0
}

/// Asks what became of the compensation of an applied step, unless that is being asked.
pub(super) fn recall_effect(
    definition: &Definition,
    state: &State,
    index: StepIndex,
    now_ms: u64,
    plan: &mut Plan,
) {
    let (inquiries, pause) = match state.step(index).recall {
        Recall::Due => (0, Pause::Over),
        Recall::Untold { inquiries, pause } => (inquiries, pause),
        _ => return,
    };
    let due_ms = inquiry_due_ms(state, definition.step(index), inquiries, pause, now_ms);
    plan.at(due_ms, now_ms, Action::Inquire { step: index, inquiry: inquiries + 1 });
}
