//! `StartSaga`: a new saga, or the one that the same start has made before, whatever was
//! registered in between.

use std::{sync::Arc, time::Duration};

use saga_core::SagaId;
use saga_log::SagaRow;
use saga_proto::saga::v1::{self as pb, SagaState, start_saga_request::Input};
use tonic::Status;

use crate::{
    api::{
        error::{input_invalid, invalid},
        field, list,
        request::Asked,
        saga::{check_key, check_namespace, span},
        view,
    },
    definition::CompiledDefinition,
    engine::{EndState, EndWatch, Engine, ReachError, StartError, StartSaga, StartedSaga},
};

pub(super) async fn start(
    engine: &Engine,
    request: pb::StartSagaRequest,
) -> Result<pb::StartSagaResponse, Status> {
    check_key("business_key", &request.business_key)?;
    check_namespace("namespace", &request.namespace)?;
    field::name("definition", &request.definition)?;
    if request.definition.is_empty() {
        let missing = "name the definition to run, as in place-order";
        return Err(invalid("DEFINITION_MISSING", "definition", missing));
    }
    let wait = span("wait", request.wait)?.filter(|wait| !wait.is_zero());
    let definition = engine.definition(&request.definition, request.definition_version).await?;
    let started = new_or_before(engine, &request, &definition).await?;
    let pb::StartSagaRequest { namespace, business_key, .. } = request;
    match (started, wait) {
        (StartedSaga::New { saga, .. }, None) => {
            let (name, version) = (definition.core.name.clone(), definition.core.version);
            let saga = accepted(saga, namespace, business_key, name, version);
            Ok(pb::StartSagaResponse { saga: Some(saga), existed: false })
        }
        (StartedSaga::Existing(row), None) => {
            let (name, version) = (row.definition, row.definition_version);
            let saga = accepted(row.saga, namespace, business_key, name, version);
            Ok(pb::StartSagaResponse { saga: Some(saga), existed: true })
        }
        (StartedSaga::New { saga, end }, Some(wait)) => {
            let told = once_ended(end, wait).await;
            let told = told.map(|end| view::ended(saga, namespace, business_key, definition, &end));
            let saga = match told {
                Some(saga) => saga,
                None => as_it_stands(engine, saga).await?,
            };
            Ok(pb::StartSagaResponse { saga: Some(saga), existed: false })
        }
        (StartedSaga::Existing(row), Some(wait)) => {
            engine.wait_end(row.saga, wait).await?;
            let saga = as_it_stands(engine, row.saga).await?;
            Ok(pb::StartSagaResponse { saga: Some(saga), existed: true })
        }
    }
}

/// Starts the saga, or finds the one that this very request has started before.
async fn new_or_before(
    engine: &Engine,
    request: &pb::StartSagaRequest,
    definition: &Arc<CompiledDefinition>,
) -> Result<StartedSaga, Status> {
    let input = match input(engine, definition, request.input.as_ref()) {
        Ok(input) => input,
        Err(refused) => {
            let before = of_another_version(engine, request, definition, None).await?;
            return before.map(StartedSaga::Existing).ok_or(refused);
        }
    };
    let (name, version) = (request.definition.as_str(), request.definition_version);
    let asked = Asked { name, version, definition, input: &input };
    let start = StartSaga {
        namespace: request.namespace.clone(),
        business_key: request.business_key.clone(),
        request_hash: asked.hash(),
        definition: Arc::clone(definition),
        input: input.clone(),
    };
    match engine.start_saga(start).await {
        Ok(started) => Ok(started),
        Err(StartError::KeyReused { other, .. }) if asked.was_before(engine, &other).await? => {
            Ok(StartedSaga::Existing(other))
        }
        Err(StartError::KeyReused { business_key, other }) => {
            let found = Some(other.clone());
            let before = of_another_version(engine, request, definition, found).await?;
            let reused = || StartError::KeyReused { business_key, other };
            Ok(before.map(StartedSaga::Existing).ok_or_else(reused)?)
        }
        Err(error) => Err(error.into()),
    }
}

/// The saga that this request has started when another version was the newest: a request that
/// names no version is the same one afterwards, also where the newest reads its input otherwise
/// or not at all. `found`: who has the key, where that is known.
async fn of_another_version(
    engine: &Engine,
    request: &pb::StartSagaRequest,
    newest: &CompiledDefinition,
    found: Option<Box<SagaRow>>,
) -> Result<Option<Box<SagaRow>>, Status> {
    if request.definition_version != 0 {
        return Ok(None);
    }
    let store = engine.shared.log.store();
    let found = match found {
        Some(found) => Some(found),
        None => {
            let _turn = engine.shared.visits.acquire().await;
            let row = store.saga_by_key(&request.namespace, &request.business_key).await;
            row.map_err(ReachError::from)?.map(Box::new)
        }
    };
    let is_other = |row: &SagaRow| {
        row.definition == request.definition && row.definition_version != newest.core.version
    };
    let Some(row) = found.filter(|row| is_other(row)) else { return Ok(None) };
    let then = engine.definition(&row.definition, row.definition_version).await?;
    let Ok(input) = input(engine, &then, request.input.as_ref()) else { return Ok(None) };
    let asked = Asked { name: &row.definition, version: 0, definition: &then, input: &input };
    let same = asked.hash() == row.request_hash || asked.was_before(engine, &row).await?;
    Ok(same.then_some(row))
}

async fn once_ended(mut end: EndWatch, wait: Duration) -> Option<Arc<EndState>> {
    let told = tokio::time::timeout(wait, end.wait_for(Option::is_some)).await;
    told.ok()?.ok()?.clone()
}

async fn as_it_stands(engine: &Engine, saga: SagaId) -> Result<pb::Saga, Status> {
    let snapshot = engine.snapshot(saga).await?;
    Ok(view::saga(&snapshot, engine.shared.clock.now_ms()))
}

/// A saga of which nothing more is known than that it is durable: where it stands is
/// for `GetSaga` to say, and costs a read of the log.
fn accepted(
    saga: SagaId,
    namespace: String,
    business_key: String,
    definition: String,
    definition_version: u32,
) -> pb::Saga {
    pb::Saga {
        saga_id: saga.to_string(),
        namespace,
        business_key,
        definition,
        definition_version,
        state: SagaState::Running.into(),
        started_at: list::started_at(saga),
        version: 1,
        ..pb::Saga::default()
    }
}

fn input(
    engine: &Engine,
    definition: &CompiledDefinition,
    input: Option<&Input>,
) -> Result<bytes::Bytes, Status> {
    let bytes_max = engine.limits().input_bytes_max;
    let given = match input {
        Some(Input::Json(json)) => json.len(),
        Some(Input::Message(message)) => message.value.len(),
        None => 0,
    };
    // JSON takes more room than the bytes it stands for; what counts is the bytes.
    if given > bytes_max.saturating_mul(4) {
        return Err(too_large(given, bytes_max));
    }
    let encoded = match input {
        Some(Input::Json(json)) => definition.encode_input_json(json),
        Some(Input::Message(any)) => {
            let type_name = any.type_url.rsplit('/').next().unwrap_or_default();
            definition.check_input_bytes(type_name, &any.value)
        }
        None => definition.encode_input_json("{}"),
    };
    let encoded = encoded.map_err(|error| input_invalid(&error))?;
    if encoded.len() > bytes_max {
        return Err(too_large(encoded.len(), bytes_max));
    }
    Ok(encoded)
}

fn too_large(bytes: usize, bytes_max: usize) -> Status {
    invalid("INPUT_TOO_LARGE", "input", format!("{bytes} bytes, at most {bytes_max}; send less"))
}
