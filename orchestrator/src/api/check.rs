//! `CheckParticipant`: the conformance check of a running participant.

pub(super) mod run;

use std::{sync::Arc, time::Duration};

use saga_core::Direction;
use saga_proto::saga::v1::{self as pb, RuleVerdict};
use tonic::{Code, Status};

use crate::{
    api::{
        definition::check_size,
        error::{invalid, status},
        field,
    },
    conformance::{
        Bench, Check, CheckError, Left, Observation, Observer, PlannedStep, RuleFinding, Talk,
        Verdict,
    },
    definition::{CompiledDefinition, InputError, is_reserved},
    engine::Engine,
};

/// Sagas that one check may number before the next millisecond's check begins to.
const NUMBERS_PER_MS: u64 = 1_000;

/// Validates the request, and makes the check where it asks for more.
pub(super) async fn check(
    engine: &Engine,
    request: pb::CheckParticipantRequest,
) -> Result<pb::CheckParticipantResponse, Status> {
    let validate_only = request.validate_only;
    let bench = bench(engine, request).await?;
    if validate_only {
        return Ok(pb::CheckParticipantResponse { steps: steps(&bench), ..Default::default() });
    }
    // Nobody can be asked for a restart.
    made(&bench, &Talk::default()).await
}

/// Makes the check, and tells what it found.
pub(super) async fn made(
    bench: &Bench,
    talk: &Talk,
) -> Result<pb::CheckParticipantResponse, Status> {
    let checked = bench.run(talk).await?;
    Ok(pb::CheckParticipantResponse {
        steps: steps(bench),
        rules: checked.findings.into_iter().map(finding).collect(),
        left_behind: checked.left.into_iter().map(left).collect(),
    })
}

/// All that a check takes. Nothing was called.
pub(super) async fn bench(
    engine: &Engine,
    request: pb::CheckParticipantRequest,
) -> Result<Bench, Status> {
    let shared = &engine.shared;
    if request.definition.is_empty() == request.yaml.is_empty() {
        let message = "name a definition, or send one as yaml, and not both";
        return Err(invalid("DEFINITION_MISSING", "definition", message));
    }
    field::name("participant", &request.participant)?;
    field::name("definition", &request.definition)?;
    check_size(&request.yaml)?;
    if let Some(observe) = &request.observe {
        field::observation(observe, shared.limits.input_bytes_max)?;
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
        definition: Arc::clone(&definition),
        participant: request.participant.clone(),
        input: request.input_json,
        refused_input: request.refused_input_json,
        observer: None,
        restart: request.restart,
    };
    let resolve_timeout = Duration::from_millis(shared.limits.resolve_timeout_ms);
    let first_number = match request.first_number {
        0 => shared.clock.now_ms().saturating_mul(NUMBERS_PER_MS),
        given => given,
    };
    let caller = Arc::clone(&shared.caller);
    let bench = Bench::new(check, caller, resolve_timeout, first_number)?;
    let Some(observe) = request.observe else { return Ok(bench) };
    let observer = observer(engine, &definition, &request.participant, observe).await;
    Ok(bench.observing(observer.map_err(|why| invalid("OBSERVE_INVALID", "observe", why))?))
}

/// Finds the method that reads the number. A method that the definition calls is none.
async fn observer(
    engine: &Engine,
    definition: &CompiledDefinition,
    participant: &str,
    observe: pb::Observation,
) -> Result<Observer, String> {
    let calls = || {
        let directions = [Direction::Forward, Direction::Backward];
        let steps = definition.core.indices();
        steps.flat_map(move |step| directions.map(|it| definition.call(step, it))).flatten()
    };
    let (participant, method) = match observe.method.split('/').collect::<Vec<_>>()[..] {
        [method] => {
            let under_test = calls().find(|it| it.participant == participant);
            let path = under_test.map(|it| it.path.path().to_owned()).unwrap_or_default();
            let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
            (participant.to_owned(), format!("{service}/{method}"))
        }
        [service, method] => (participant.to_owned(), format!("{service}/{method}")),
        [other, service, method] => (other.to_owned(), format!("{service}/{method}")),
        _ => return Err("write participant/package.Service/Method".to_owned()),
    };
    let path = format!("/{method}");
    if method.split('/').next().is_some_and(is_reserved) {
        return Err(format!("{method} may change what becomes of operations of others"));
    }
    if calls().any(|it| it.participant == participant && it.path.path() == path) {
        return Err(format!("{method} is called by the definition, so it does not only read"));
    }
    if !engine.shared.caller.knows(&participant) {
        return Err(format!("participant {participant} is not in the server's configuration"));
    }
    let types = engine.shared.descriptors.of_participant(&participant).await;
    let (types, _) = types.map_err(|error| error.to_string())?;
    let (service, name) = method.split_once('/').unwrap_or_default();
    if let Some(methods) = types.methods(service).filter(|methods| !methods.contains(&name)) {
        let methods = methods.join(", ");
        return Err(format!("{service} has no such method; it has {methods}"));
    }
    let types = types.pool_of_method(service, name).map_err(|error| error.to_string())?;
    let (input, field) = (observe.input_json, observe.field);
    Observer::new(Observation { method, participant, input, field }, &types)
}

fn steps(bench: &Bench) -> Vec<pb::CheckedStep> {
    bench.plan().into_iter().map(step).collect()
}

fn step(step: PlannedStep) -> pb::CheckedStep {
    let PlannedStep { name, action, compensation, before } = step;
    pb::CheckedStep { step: name, action, compensation: compensation.unwrap_or_default(), before }
}

fn finding(finding: RuleFinding) -> pb::RuleFinding {
    let RuleFinding { step, claim, verdict } = finding;
    let mut told = pb::RuleFinding {
        step,
        rule: claim.name.to_owned(),
        contract: claim.contract.to_owned(),
        ..pb::RuleFinding::default()
    };
    match verdict {
        Verdict::Pass { note } => {
            told.set_verdict(RuleVerdict::Pass);
            told.note = note;
        }
        Verdict::NotObserved { why } => {
            told.set_verdict(RuleVerdict::NotObserved);
            told.why = why;
        }
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
    pb::LeftBehind { step, saga_id: saga.map(|it| it.to_string()).unwrap_or_default(), why }
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
