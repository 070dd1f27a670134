//! What sagas of definitions may come to.

use std::fmt::Write as _;

use saga_core::{Direction, StepIndex, StepSet};
use saga_definition::CompiledDefinition;
use saga_draft::proof::{Fate, Found, Proof, Whole};
use serde_json::{Value, json};

use crate::look::{Look, Mark, plain};

/// Things on the way to an ending that are shown to people.
const WAY_MAX: usize = 12;

/// One definition that was proved.
#[derive(Debug)]
pub(crate) struct Proved {
    pub(crate) file: String,
    pub(crate) definition: CompiledDefinition,
    pub(crate) proof: Proof,
    /// The line that says so. `None`: not everything was found.
    pub(crate) certificate: Option<String>,
}

impl Proved {
    /// `place-order@4`.
    pub(crate) fn name(&self) -> String {
        format!("{}@{}", self.definition.core.name, self.definition.core.version)
    }

    /// A step and where its effect is: `reserve_stock (inventory)`. What the client brought along
    /// is where it is undone.
    fn step(&self, step: StepIndex) -> String {
        let name = &self.definition.core.step(step).name;
        match self.participant(step) {
            Some(participant) => format!("{name} ({participant})"),
            None => name.clone(),
        }
    }

    fn participant(&self, step: StepIndex) -> Option<&str> {
        let call = |direction| self.definition.call(step, direction);
        let spec = call(Direction::Forward).or_else(|| call(Direction::Backward));
        spec.map(|it| it.participant.as_str())
    }

    fn steps(&self, steps: StepSet) -> String {
        match steps.is_empty() {
            true => "nothing".to_owned(),
            false => steps.iter().map(|it| self.step(it)).collect::<Vec<_>>().join(", "),
        }
    }

    fn fate(&self, found: &Found) -> String {
        match found.fate {
            Fate::Completed => "completed".to_owned(),
            Fate::Compensated => "compensated".to_owned(),
            Fate::Stuck { reason, step } => {
                let name = &self.definition.core.step(step).name;
                format!("needs a person: {} at {name}", reason.code())
            }
        }
    }
}

/// For people.
pub(crate) fn report(all: &[Proved], look: &Look) -> String {
    let mut text = String::new();
    for proved in all {
        let _ = writeln!(text, "{}  {}", look.heading(&proved.name()), plain(&proved.file));
        for found in &proved.proof.endings {
            say(proved, found, look, &mut text);
        }
        let Proof { points, is_complete, calls_max, .. } = &proved.proof;
        let (calls, inquiries) = (calls_max.calls, calls_max.inquiries);
        let _ = writeln!(text, "  at most {calls} calls and {inquiries} inquiries");
        if let Some(certificate) = &proved.certificate {
            let _ = writeln!(text, "  {certificate}");
        }
        let _ = match is_complete {
            true => writeln!(text, "  {points} points, all that there are"),
            false => {
                let sign = look.paint(Mark::Refused, look.sign(Mark::Refused));
                writeln!(text, "  {sign} not all: {points} points were not enough")
            }
        };
    }
    text
}

fn say(proved: &Proved, found: &Found, look: &Look, text: &mut String) {
    let (mark, whole) = match (found.whole(), found.fate) {
        (Whole::All, _) => (Mark::Good, "all"),
        (Whole::Nothing, _) => (Mark::Good, "nothing"),
        (Whole::Neither, Fate::Stuck { .. }) => (Mark::Waiting, "neither"),
        (Whole::Neither, _) => (Mark::Refused, "neither"),
    };
    let sign = look.paint(mark, look.sign(mark));
    let _ = writeln!(text, "  {sign} {whole}: {}", proved.fate(found));
    let _ = writeln!(text, "      stands: {}", proved.steps(found.stands));
    if !found.in_doubt.is_empty() {
        let _ = writeln!(text, "      in doubt: {}", proved.steps(found.in_doubt));
    }
    if found.whole() != Whole::Neither {
        return;
    }
    let shown: Vec<&str> = found.way.iter().take(WAY_MAX).map(String::as_str).collect();
    let more = found.way.len() - shown.len();
    let behind = if more == 0 { String::new() } else { format!("; and {more} more") };
    let _ = writeln!(text, "      way: {}{behind}", shown.join("; "));
}

/// For programs.
pub(crate) fn value(all: &[Proved]) -> Value {
    let definitions = all.iter().map(|proved| {
        let effect = |step: StepIndex| {
            json!({
                "step": proved.definition.core.step(step).name,
                "participant": proved.participant(step),
            })
        };
        let effects = |steps: StepSet| steps.iter().map(effect).collect::<Vec<Value>>();
        let endings = proved.proof.endings.iter().map(|found| {
            let (ending, reason, step) = match found.fate {
                Fate::Completed => ("completed", None, None),
                Fate::Compensated => ("compensated", None, None),
                Fate::Stuck { reason, step } => {
                    let name = proved.definition.core.step(step).name.as_str();
                    ("needs_a_person", Some(reason.code()), Some(name))
                }
            };
            json!({
                "ending": ending,
                "reason": reason,
                "step": step,
                "whole": match found.whole() {
                    Whole::All => "all",
                    Whole::Nothing => "nothing",
                    Whole::Neither => "neither",
                },
                "stands": effects(found.stands),
                "in_doubt": effects(found.in_doubt),
                "way": found.way,
            })
        });
        let Proof { points, is_complete, calls_max, .. } = &proved.proof;
        json!({
            "file": proved.file,
            "definition": proved.definition.core.name,
            "version": proved.definition.core.version,
            "endings": endings.collect::<Vec<Value>>(),
            "calls_max": calls_max.calls,
            "inquiries_max": calls_max.inquiries,
            "points": points,
            "complete": is_complete,
            "certificate": proved.certificate,
        })
    });
    json!({ "definitions": definitions.collect::<Vec<Value>>() })
}
