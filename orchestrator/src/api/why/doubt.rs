//! What is said of a step of which nobody knows whether it was applied.

use saga_core::{
    Action, Direction, StepIndex, StepPhase,
    explain::{UndoView, with_undo},
};

use super::{
    Teller,
    words::{count, is_or_are, tries},
};
use crate::engine::Snapshot;

impl Teller<'_> {
    /// Nobody knows whether the step was applied; what was done about it, and what is next.
    pub(super) fn doubt(&self, index: StepIndex) -> String {
        let phase = self.snapshot.state.step(index).phase;
        let tries = tries(phase);
        let (name, last) = (self.name(index), self.trouble(index));
        let asked = self.participant(index, Direction::Forward);
        if self.snapshot.state.has_no_witness(index) {
            return format!(
                "nobody knows whether {name} was called in rows that the log has lost, and {asked} \
                 answers no inquiry"
            );
        }
        let mut told = match tries.attempt {
            0 => format!("nobody knows whether {name} was called in rows that the log has lost"),
            calls => {
                let calls = count(calls, "call");
                format!("nobody knows whether {name} was applied after {calls}")
            }
        };
        if 0 < tries.inquiries {
            told.push_str(&format!(" and {} to {asked}", count(tries.inquiries, "question")));
        }
        if 0 < tries.attempt {
            told.push_str(&format!(" (last: {last})"));
        }
        match self.is_next(index) {
            _ if phase == (StepPhase::Inquiring { tries }) => {
                told.push_str(&format!("; {asked} is being asked"));
            }
            _ if phase.is_out() => told.push_str("; it is being called"),
            Some(Action::Call { .. }) => {
                told.push_str(&format!("; it is called again{}", self.when(index)));
            }
            Some(Action::Inquire { .. }) => {
                told.push_str(&format!("; {asked} is asked again{}", self.when(index)));
            }
            _ => {}
        }
        told
    }

    /// What is not undone before the outcome of this step is known.
    pub(super) fn held_by(&self, index: StepIndex) -> String {
        let Snapshot { definition, state, .. } = self.snapshot;
        let planned = with_undo(&definition.core, state, UndoView::Planned);
        let held = definition.core.ancestors(index).intersection(planned);
        if held.is_empty() {
            return String::new();
        }
        format!(" Before that is known, {} {} not undone.", self.names(held), is_or_are(held))
    }
}
