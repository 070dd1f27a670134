//! Conditions that exclude each other: of several pivots exactly one runs.

use saga_core::{Action, Definition, Direction, Event, StepIndex, StepPhase};

use super::Node;
use crate::fate::Fate;

impl Node {
    /// Whether the condition of a step is surely false: that of a step that has begun excludes it.
    pub(super) fn is_excluded(&self, definition: &Definition, step: StepIndex) -> bool {
        let has_begun = |other: StepIndex| {
            !matches!(self.state.step(other).phase, StepPhase::Pending | StepPhase::Skipped)
        };
        let excludes = |one: StepIndex, other| definition.step(one).excludes.contains(other);
        self.state.step(step).phase == StepPhase::Pending
            && definition
                .indices()
                .any(|other| has_begun(other) && (excludes(other, step) || excludes(step, other)))
    }

    /// Whether the condition of a pivot is surely true: one of several runs.
    fn is_last_pivot(&self, definition: &Definition, step: StepIndex) -> bool {
        let skipped = |other: StepIndex| self.state.step(other).phase == StepPhase::Skipped;
        let rules = definition.step(step);
        let others = rules.excludes.intersection(definition.pivots());
        rules.pivot && !others.is_empty() && others.iter().all(skipped)
    }

    /// What becomes of a call where its condition is false, which it may be.
    pub(super) fn freed_by_its_condition(
        &self,
        definition: &Definition,
        step: StepIndex,
        direction: Direction,
    ) -> Option<Fate> {
        let rules = definition.step(step);
        match direction {
            Direction::Forward if rules.conditional && !self.is_last_pivot(definition, step) => {
                Some(Fate::Skipped)
            }
            Direction::Backward if rules.compensation_conditional => Some(Fate::Kept),
            _ => None,
        }
    }

    /// What is recorded of a step that may not begin.
    pub(super) fn kept_out(&self, definition: &Definition, action: &Action) -> Option<Event> {
        let (Action::Call { step, direction: Direction::Forward, .. } | Action::BeginWait { step }) =
            *action
        else {
            return None;
        };
        let at_ms = self.now_ms;
        self.is_excluded(definition, step).then_some(Event::Skipped { step, at_ms })
    }
}
