//! Static rules about doubt: what a step's choice of `on_unknown` means at its participant.

use saga_core::OnUnknown;

use crate::{
    Contracts, Inquiry,
    file::{DefinitionFile, StepFile},
    finding::Findings,
};

/// The choices for a step whose participant answers no inquiries, each with what it means.
const CHOICES: &str = "serve saga.participant.v1.ParticipantService there (the kit does; it must \
                       be listed by reflection), or choose for this step: `on_unknown: retry`, it \
                       is called again until it answers, and is shown as stuck behind the last \
                       attempt; `finish_then_undo`, the same, and is not shown as stuck: both for \
                       an action that has one effect however often its saga-op-id comes; `park`, a \
                       person looks and says what happened: sagactl saga settle";

/// The rules about participants that cannot be asked what became of a call.
pub(crate) fn check(file: &DefinitionFile, contracts: &Contracts, findings: &mut Findings) {
    for step in &file.steps {
        let Some(call) = step.call() else { continue };
        let inquiry = contracts.inquiry_of(&call.participant);
        match (step.on_unknown.value, inquiry) {
            (OnUnknown::Resolve, Inquiry::NotAnswered) => {
                let message = format!(
                    "step {} asks participant {} what became of a call whose answer is lost \
                     (`on_unknown: resolve`, the default), and it serves no inquiry",
                    step.name.value, call.participant
                );
                findings.error("inquiry-missing", step.on_unknown.span, message, CHOICES);
            }
            (OnUnknown::Resolve, Inquiry::Unknown) => {
                let message = format!(
                    "step {} asks participant {} what became of a call whose answer is lost \
                     (`on_unknown: resolve`, the default); the types do not say whether it \
                     serves inquiries",
                    step.name.value, call.participant
                );
                findings.warning("inquiry-missing", step.on_unknown.span, message, CHOICES);
            }
            (OnUnknown::Retry | OnUnknown::FinishThenUndo, Inquiry::NotAnswered) => {
                late(step, &call.participant, findings);
            }
            _ => {}
        }
    }
}

fn late(step: &StepFile, participant: &str, findings: &mut Findings) {
    let name = &step.name.value;
    let message = match step.undo() {
        Some(_) => format!(
            "an attempt of step {name} that is late on its way may reach {participant} behind the \
             compensation, and then has an effect that nobody undoes: nothing there fences it"
        ),
        None => format!(
            "an attempt of step {name} that is late on its way may reach {participant} behind one \
             that succeeded: nothing there fences it"
        ),
    };
    let remedy = "see that it refuses or repeats by saga-op-id whatever the order; or serve \
                  saga.participant.v1.ParticipantService (the kit does) and write `on_unknown: \
                  resolve`";
    findings.warning("late-attempt", step.on_unknown.span, message, remedy);
}
