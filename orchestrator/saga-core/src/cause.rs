//! What holds a saga up, whether or not it needs a person yet: the fact that people group
//! sagas by. Sagas of any definition that call the same method of the same participant and
//! are answered with the same code have the same cause.

use crate::{
    definition::{Definition, StepIndex},
    event::Direction,
    explain::{StepView, step_view},
    phase::StepPhase,
    state::State,
    stuck::stuck,
};

/// What holds a saga up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'s> {
    /// A call of the step has not come to a definite outcome, or not to the one that the saga
    /// needs.
    Call {
        step: StepIndex,
        direction: Direction,
        /// The reason code of what was met last, such as `NOT_SENT`.
        code: &'s str,
        message: &'s str,
        /// In milliseconds since the Unix epoch.
        since_ms: u64,
    },
    /// The step waits for its signal.
    Signal {
        step: StepIndex,
        /// In milliseconds since the Unix epoch.
        since_ms: u64,
    },
}

/// What holds the saga up. `None`: nothing does, or it has ended.
///
/// What needs a person comes first, then the first step in trouble, then the first that waits.
#[must_use]
pub fn cause<'s>(definition: &Definition, state: &'s State) -> Option<Cause<'s>> {
    if state.ended().is_some() {
        return None;
    }
    if let Some(stuck) = stuck(definition, state) {
        let cause = of_call(state, stuck.step)?;
        return Some(cause);
    }
    let in_trouble = definition
        .indices()
        .filter(|step| is_held_up(state, *step))
        .find_map(|step| of_call(state, step));
    in_trouble.or_else(|| definition.indices().find_map(|step| of_signal(state, step)))
}

/// Whether something is still to be learned about the step, or to be done for it.
fn is_held_up(state: &State, step: StepIndex) -> bool {
    matches!(
        step_view(state, step),
        StepView::Calling
            | StepView::Retrying
            | StepView::Faulted
            | StepView::Unknown
            | StepView::Undoing
    )
}

fn of_call(state: &State, index: StepIndex) -> Option<Cause<'_>> {
    let step = state.step(index);
    let trouble = step.last_trouble.as_ref()?;
    let direction = match step.phase {
        StepPhase::Open { direction, .. }
        | StepPhase::InFlight { direction, .. }
        | StepPhase::Unrenderable { direction } => direction,
        _ => Direction::Forward,
    };
    Some(Cause::Call {
        step: index,
        direction,
        code: &trouble.reason,
        message: &trouble.message,
        since_ms: step.troubled_since_ms.unwrap_or(state.started_at_ms()),
    })
}

fn of_signal(state: &State, index: StepIndex) -> Option<Cause<'_>> {
    match state.step(index).phase {
        StepPhase::Waiting { since_ms }
            if state.turned_back().is_none() && state.step(index).signal.is_none() =>
        {
            Some(Cause::Signal { step: index, since_ms })
        }
        _ => None,
    }
}
