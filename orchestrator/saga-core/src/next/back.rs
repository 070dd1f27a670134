//! Going back: doubts are settled first, and effects are undone in reverse topological order.

use super::{
    Action, Next, Plan, first_action, may_begin,
    open::{Open, quiet_at_ms},
    recall::recall_effect,
};
use crate::{
    definition::{Definition, StepIndex, StepSet},
    event::{Direction, Ending},
    phase::StepPhase,
    state::State,
};

pub(super) fn next_backward(
    definition: &Definition,
    state: &State,
    now_ms: u64,
    held: StepSet,
) -> Next {
    let mut plan = Plan::new(held);
    let mut all_clear = true;
    for index in definition.indices() {
        if is_clear(definition, state, index) {
            continue;
        }
        all_clear = false;
        let undo = Action::Call { step: index, direction: Direction::Backward, attempt: 1 };
        match state.step(index).phase {
            StepPhase::Open { direction: Direction::Forward, tries, last, pause } => {
                let open = Open { index, tries, last, pause };
                if open.is_undone_in_doubt(definition.step(index)) {
                    plan.at(quiet_at_ms(definition, state, index), now_ms, undo);
                } else {
                    open.settle(definition, state, now_ms, &mut plan);
                }
            }
            // Calling it is the way to find out, where it is called twice at all.
            _ if state.has_no_witness(index) => {
                let step = state.step(index);
                if !step.is_left_to_a_person() && may_begin(definition, state, index) {
                    plan.now(first_action(definition, index));
                }
            }
            _ if state.may_have_begun_unseen(index) => {
                plan.now(Action::Inquire { step: index, inquiry: 1 });
            }
            // Who was asked may have fenced the compensation: what it says comes first.
            StepPhase::Applied if state.may_be_undone_unseen(index) => {
                recall_effect(definition, state, index, now_ms, &mut plan);
            }
            StepPhase::Applied if later_effects_are_gone(definition, state, index) => {
                plan.at(quiet_at_ms(definition, state, index), now_ms, undo);
            }
            StepPhase::Open { direction: Direction::Backward, tries, last, pause } => {
                let policy = &definition.step(index).compensation_retry;
                let open = Open { index, tries, last, pause };
                open.call_again(definition, state, Direction::Backward, policy, now_ms, &mut plan);
            }
            _ => {}
        }
    }
    if all_clear {
        return Next::Do(vec![Action::End { ending: Ending::Compensated }]);
    }
    plan.into_next()
}

/// Whether nothing of this step is left to settle or to undo.
fn is_clear(definition: &Definition, state: &State, index: StepIndex) -> bool {
    match state.step(index).phase {
        StepPhase::Applied => !definition.step(index).compensable,
        StepPhase::Kept => true,
        _ => !state.may_stand(index),
    }
}

/// Whether every step that waited for this one, directly or not, is clear (E9).
fn later_effects_are_gone(definition: &Definition, state: &State, index: StepIndex) -> bool {
    definition
        .indices()
        .filter(|later| definition.ancestors(*later).contains(index))
        .all(|later| is_clear(definition, state, later))
}
