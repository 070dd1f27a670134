//! What scenarios went through, and what none of them did.

use std::collections::BTreeSet;

use saga_core::{Definition, State, StepKind, StepPhase};
use saga_definition::Fate;

/// What one scenario, or several, went through: `STEP applied`, `STEP undone`, `ends completed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeSet<String>);

impl Coverage {
    pub(super) fn of(core: &Definition, state: &State, fate: Fate) -> Self {
        let mut seen = BTreeSet::from([ending(fate)]);
        for index in core.indices() {
            let name = &core.step(index).name;
            let words: &[&str] = match state.step(index).phase {
                StepPhase::Skipped => &["skipped"],
                StepPhase::Rejected | StepPhase::Fenced => &["refused"],
                StepPhase::Undone => &["applied", "undone"],
                StepPhase::Applied => &["applied"],
                StepPhase::Kept => &["applied", "kept"],
                _ => &[],
            };
            seen.extend(words.iter().map(|word| format!("{name} {word}")));
        }
        Self(seen)
    }

    /// Takes what another one went through along.
    pub fn add(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// What a saga of this definition can go through and none of these did.
    #[must_use]
    pub fn missing(&self, core: &Definition) -> Vec<String> {
        let mut all = vec![ending(Fate::Completed), ending(Fate::Compensated)];
        for index in core.indices() {
            let step = core.step(index);
            let may_turn_back = !step.pivot && !core.is_after_pivot(index);
            let words = [
                ("applied", true),
                ("refused", step.kind != StepKind::Given && !core.is_after_pivot(index)),
                ("skipped", step.conditional),
                ("undone", step.compensable && may_turn_back),
                ("kept", step.compensation_conditional && may_turn_back),
            ];
            let words = words.iter().filter(|(_, can)| *can);
            all.extend(words.map(|(word, _)| format!("{} {word}", step.name)));
        }
        all.retain(|it| !self.0.contains(it));
        all
    }
}

fn ending(fate: Fate) -> String {
    format!("ends {}", fate.as_str())
}
