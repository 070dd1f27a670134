//! What a person says of a step, and which of its calls that is about.

use bytes::Bytes;

use super::{By, State};
use crate::{definition::StepIndex, event::Direction, phase::StepPhase};

impl State {
    /// The call of the step of which a person would say what became of it, with or without the
    /// reply of its action. `None`: there is no such step.
    #[must_use]
    pub fn call_in_question(&self, step: StepIndex, with_reply: bool) -> Option<Direction> {
        let is_undo = match self.steps.get(step.at())?.phase {
            StepPhase::Open { direction, .. } => direction == Direction::Backward,
            StepPhase::Unrenderable { direction: Direction::Backward } => {
                !self.is_unread(step, with_reply)
            }
            _ => false,
        };
        Some(if is_undo { Direction::Backward } else { Direction::Forward })
    }

    /// Whether what a person says of this step is about the reply of its action: also where the
    /// request of its undo waits for that, and a reply comes with it.
    pub(super) fn is_unread(&self, step: StepIndex, with_reply: bool) -> bool {
        let undo = StepPhase::Unrenderable { direction: Direction::Backward };
        self.steps.get(step.at()).is_some_and(|it| {
            it.unread && (it.phase == StepPhase::Applied || with_reply && it.phase == undo)
        })
    }

    /// A person gives the reply that could not be kept, or says that there is none. What
    /// could not be rendered without it is made again.
    pub(super) fn read(&mut self, step: StepIndex, reply: Option<Bytes>, by: By) {
        self.steps[step.at()].read(reply, by);
        self.retry_steps(|it| matches!(it, StepPhase::Unrenderable { .. }));
    }
}
