//! `CheckParticipant`: the conformance check of a running participant.

use std::{sync::Arc, time::Duration};

use saga_proto::saga::v1::{self as pb, RuleVerdict};
use tonic::{Code, Status};

use crate::{
    api::error::{invalid, status},
    conformance::{Bench, Check, CheckError, Left, PlannedStep, RuleFinding, Verdict},
    definition::InputError,
    engine::Engine,
};

/// Sagas that one check may number before the next millisecond's check begins to.
const NUMBERS_PER_MS: u64 = 1_000;

/// Validates the request, and makes the check where it asks for more.
pub(super) async fn check(
    engine: &Engine,
    request: pb::CheckParticipantRequest,
) -> Result<pb::CheckParticipantResponse, Status> {
    let shared = &engine.shared;
    if request.definition.is_empty() == request.yaml.is_empty() {
        let message = "name a definition, or send one as yaml, and not both";
        return Err(invalid("DEFINITION_MISSING", "definition", message));
    }
    for (field, json) in
        [("input_json", &request.input_json), ("refused_input_json", &request.refused_input_json)]
    {
        if shared.limits.input_bytes_max < json.len() {
            let message =
                format!("{} bytes, at most {}", json.len(), shared.limits.input_bytes_max);
            return Err(invalid("INPUT_TOO_LARGE", field, message));
        }
    }
    let definition = if request.yaml.is_empty() {
        engine.definition(&request.definition, request.definition_version).await?
    } else {
        Arc::new(engine.check(&request.yaml, "definition.yaml").await?.definition)
    };
    let check = Check {
        definition,
        participant: request.participant,
        input: request.input_json,
        refused_input: request.refused_input_json,
    };
    let resolve_timeout = Duration::from_millis(shared.limits.resolve_timeout_ms);
    let first_number = match request.first_number {
        0 => shared.clock.now_ms().saturating_mul(NUMBERS_PER_MS),
        given => given,
    };
    let caller = Arc::clone(&shared.caller);
    let bench = Bench::new(check, caller, resolve_timeout, first_number)?;
    let steps = bench.plan().into_iter().map(step).collect();
    if request.validate_only {
        return Ok(pb::CheckParticipantResponse { steps, ..Default::default() });
    }
    let checked = bench.run().await?;
    Ok(pb::CheckParticipantResponse {
        steps,
        rules: checked.findings.into_iter().map(finding).collect(),
        left_behind: checked.left.into_iter().map(left).collect(),
    })
}

fn step(step: PlannedStep) -> pb::CheckedStep {
    let PlannedStep { name, action, compensation, before } = step;
    pb::CheckedStep { step: name, action, compensation: compensation.unwrap_or_default(), before }
}

fn finding(finding: RuleFinding) -> pb::RuleFinding {
    let RuleFinding { step, rule, verdict } = finding;
    let mut told = pb::RuleFinding {
        step,
        rule: rule.name().to_owned(),
        contract: rule.contract().to_owned(),
        ..pb::RuleFinding::default()
    };
    match verdict {
        Verdict::Pass => told.set_verdict(RuleVerdict::Pass),
        Verdict::Fail { seen, expected } => {
            told.set_verdict(RuleVerdict::Fail);
            (told.seen, told.expected) = (seen, expected);
        }
        Verdict::NotChecked { why } => {
            told.set_verdict(RuleVerdict::NotChecked);
            told.why = why;
        }
    }
    told
}

fn left(left: Left) -> pb::LeftBehind {
    let Left { step, saga, why } = left;
    pb::LeftBehind { step, saga_id: saga.to_string(), why }
}

impl From<CheckError> for Status {
    fn from(error: CheckError) -> Self {
        let message = error.to_string();
        match error {
            CheckError::NotConfigured { .. } => {
                status(Code::NotFound, "PARTICIPANT_NOT_CONFIGURED", message)
            }
            CheckError::NoStep { .. } => status(Code::NotFound, "NO_STEP_OF_PARTICIPANT", message),
            CheckError::Input { which, source: InputError { field, message, remedy } } => {
                let field =
                    if field.is_empty() { which.to_owned() } else { format!("{which}.{field}") };
                invalid("INPUT_INVALID", &field, format!("{message}; {remedy}"))
            }
            CheckError::NothingChecked { .. } => {
                status(Code::FailedPrecondition, "NOTHING_CHECKED", message)
            }
        }
    }
}
