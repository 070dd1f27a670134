//! What followed, compared with what was expected.

use prost_reflect::{DynamicMessage, MessageDescriptor};
use saga_core::{Direction, StepPhase, TurnBackReason, stuck};
use saga_definition::{CallName, Expect, ExpectedCall, Fate, encode_json};

use super::{Left, Stage, Unplayable, answers::call_named};

pub(super) struct Compared<'c> {
    pub(super) stage: &'c Stage<'c>,
    pub(super) fate: Fate,
}

impl Compared<'_> {
    /// A line for each difference.
    pub(super) fn differences(&self, expect: &Expect) -> Result<Vec<String>, Unplayable> {
        let mut found = Vec::new();
        let mut differs = |what: &str, wanted: &str, came: &str| {
            if wanted != came {
                found.push(format!("{what}: {wanted} is expected, {came} came"));
            }
        };
        if let Some(fate) = expect.fate {
            differs("ending", fate.as_str(), self.fate.as_str());
        }
        if let Some(reason) = &expect.reason {
            differs("reason", reason, &self.reason());
        }
        let stands = |it| matches!(it, StepPhase::Applied | StepPhase::Kept);
        if let Some(steps) = &expect.stands {
            differs("stands", &listed(steps), &listed(&self.stage.steps_that(stands)));
        }
        if let Some(steps) = &expect.undone {
            let undone = self.stage.steps_that(|it| it == StepPhase::Undone);
            differs("undone", &listed(steps), &listed(&undone));
        }
        if let Some(within_ms) = expect.within_ms
            && within_ms < self.stage.elapsed_ms()
        {
            let came_ms = self.stage.elapsed_ms();
            found.push(format!("time: at most {within_ms} ms are expected, {came_ms} ms came"));
        }
        if let Some(calls) = &expect.calls {
            self.compare_calls(calls, &mut found)?;
        }
        Ok(found)
    }

    /// What turned it back, or what a person is needed for.
    fn reason(&self) -> String {
        let core = &self.stage.definition.core;
        match (stuck(core, &self.stage.state), self.stage.state.turned_back()) {
            (Some(stuck), _) => stuck.reason.code().to_owned(),
            (None, Some(TurnBackReason::StepRejected { reason, .. })) => reason.clone(),
            (None, Some(because)) => because.code().to_owned(),
            (None, None) => "none".to_owned(),
        }
    }

    fn compare_calls(
        &self,
        expected: &[ExpectedCall],
        found: &mut Vec<String>,
    ) -> Result<(), Unplayable> {
        let came: Vec<String> =
            self.stage.left.iter().map(|it| self.name(it).to_string()).collect();
        let wanted: Vec<String> = expected.iter().map(|it| it.call.to_string()).collect();
        if wanted != came {
            let (wanted, came) = (listed(&wanted), listed(&came));
            found.push(format!("calls: {wanted} are expected, {came} left"));
        }
        for call in expected {
            let (step, direction) = call_named(self.stage.definition, &call.call)?;
            let left =
                self.stage.left.iter().find(|it| it.step == step && it.direction == direction);
            let (Some(request), Some(left)) = (&call.request, left) else { continue };
            let of = self.stage.definition.request_type(step, direction);
            let Some(of) = of else { continue };
            found.extend(differences(of, &call.call, request, left)?);
        }
        Ok(())
    }

    fn name(&self, left: &Left) -> CallName {
        let step = self.stage.definition.core.step(left.step).name.clone();
        CallName { step, is_undo: left.direction == Direction::Backward }
    }
}

/// The fields of a request that are not as expected.
fn differences(
    of: &MessageDescriptor,
    name: &CallName,
    expected: &str,
    left: &Left,
) -> Result<Vec<String>, Unplayable> {
    let flaw = |message: String| Unplayable::NotOfItsType {
        of: format!("the expected request of {name}"),
        message,
    };
    let wanted = encode_json(of, expected).map_err(|error| flaw(error.to_string()))?;
    let decoded = |bytes: &bytes::Bytes| {
        DynamicMessage::decode(of.clone(), bytes.as_ref()).map_err(|error| flaw(error.to_string()))
    };
    let (wanted, came) = (decoded(&wanted)?, decoded(&left.body)?);
    let written: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(expected).map_err(|error| flaw(error.to_string()))?;
    let mut found = Vec::new();
    for key in written.keys() {
        let field = of.get_field_by_name(key).or_else(|| of.get_field_by_json_name(key));
        let Some(field) = field else { continue };
        let (wanted, came) = (wanted.get_field(&field), came.get_field(&field));
        if wanted != came {
            found.push(format!("request of {name}: {key}: {wanted} is expected, {came} left"));
        }
    }
    Ok(found)
}

/// `a, b` in the order in which they stand, or `nothing`.
fn listed<T: AsRef<str>>(all: &[T]) -> String {
    match all {
        [] => "nothing".to_owned(),
        all => all.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "),
    }
}
