//! `SagaService`: starts sagas and shows where they stand.

use std::{sync::Arc, time::Duration};

use saga_core::{SagaId, StepIndex, encoding};
use saga_log::{ListQuery, SagaRow, Status as RowStatus};
use saga_proto::saga::v1::{
    self as pb, SagaState, saga_name, saga_service_server::SagaService, start_saga_request::Input,
};
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::{
    api::{
        cancel, detached,
        error::{echo, input_invalid, invalid, status},
        events, field, in_turn, page,
        request::Asked,
        signal, view,
    },
    definition::CompiledDefinition,
    engine::{Engine, ReachError, Snapshot, StartError, StartSaga, StartedSaga},
};

/// Characters of a business key or a namespace at most.
const KEY_CHARS_MAX: usize = 200;
/// The longest time that a client may be kept waiting.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a client waits when it does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(30);

/// Serves `SagaService`.
#[derive(Clone, Debug)]
pub(crate) struct SagaApi {
    pub(crate) engine: Engine,
}

#[tonic::async_trait]
impl SagaService for SagaApi {
    async fn start_saga(
        &self,
        request: Request<pb::StartSagaRequest>,
    ) -> Result<Response<pb::StartSagaResponse>, Status> {
        // Not detached: the engine finishes what it has begun, whoever waits for it.
        start(&self.engine, request.into_inner()).await.map(Response::new)
    }

    async fn get_saga(
        &self,
        request: Request<pb::GetSagaRequest>,
    ) -> Result<Response<pb::GetSagaResponse>, Status> {
        let engine = self.engine.clone();
        in_turn(&self.engine, async move {
            let row = find_row(&engine, request.into_inner().name).await?;
            let snapshot = engine.snapshot_of(row).await?;
            let saga = Some(view::saga(&snapshot, engine.shared.clock.now_ms()));
            Ok(Response::new(pb::GetSagaResponse { saga }))
        })
        .await
    }

    async fn wait_saga(
        &self,
        request: Request<pb::WaitSagaRequest>,
    ) -> Result<Response<pb::WaitSagaResponse>, Status> {
        let engine = self.engine.clone();
        detached(async move {
            let request = request.into_inner();
            let patience = span("timeout", request.timeout)?.unwrap_or(WAIT_DEFAULT);
            let saga = find(&engine, request.name).await?;
            let ended = engine.wait_end(saga, patience).await?;
            let turn = engine.shared.visits.acquire().await;
            let snapshot = engine.snapshot(saga).await?;
            drop(turn);
            let saga = Some(view::saga(&snapshot, engine.shared.clock.now_ms()));
            Ok(Response::new(pb::WaitSagaResponse { saga, ended }))
        })
        .await
    }

    async fn list_sagas(
        &self,
        request: Request<pb::ListSagasRequest>,
    ) -> Result<Response<pb::ListSagasResponse>, Status> {
        let engine = self.engine.clone();
        in_turn(&self.engine, async move {
            list(&engine, &request.into_inner()).await.map(Response::new)
        })
        .await
    }

    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        let engine = self.engine.clone();
        in_turn(&self.engine, async move {
            list_events(&engine, request.into_inner()).await.map(Response::new)
        })
        .await
    }

    async fn cancel_saga(
        &self,
        request: Request<pb::CancelSagaRequest>,
    ) -> Result<Response<pb::CancelSagaResponse>, Status> {
        let engine = self.engine.clone();
        detached(
            async move { cancel::cancel(&engine, request.into_inner()).await.map(Response::new) },
        )
        .await
    }

    async fn signal_saga(
        &self,
        request: Request<pb::SignalSagaRequest>,
    ) -> Result<Response<pb::SignalSagaResponse>, Status> {
        let engine = self.engine.clone();
        detached(
            async move { signal::signal(&engine, request.into_inner()).await.map(Response::new) },
        )
        .await
    }
}

async fn start(
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
    let wait = span("wait", request.wait)?;
    let definition = engine.definition(&request.definition, request.definition_version).await?;
    let input = input(engine, &definition, request.input)?;
    let (name, version) = (request.definition.as_str(), request.definition_version);
    let asked = Asked { name, version, definition: &definition, input: &input };
    let (namespace, business_key) = (request.namespace, request.business_key);
    let start = StartSaga {
        namespace: namespace.clone(),
        business_key: business_key.clone(),
        request_hash: asked.hash(),
        definition: Arc::clone(&definition),
        input: input.clone(),
    };
    let (saga, end, existed) = match engine.start_saga(start).await {
        Ok(StartedSaga::New { saga, end }) => (saga, Some(end), false),
        Ok(StartedSaga::Existing(row)) => (row.saga, None, true),
        Err(StartError::KeyReused { other, .. }) if asked.was_before(engine, &other).await? => {
            (other.saga, None, true)
        }
        Err(error) => return Err(error.into()),
    };
    let Some(wait) = wait.filter(|wait| !wait.is_zero()) else {
        let saga = accepted(saga, namespace, business_key, &definition);
        return Ok(pb::StartSagaResponse { saga: Some(saga), existed });
    };
    if let Some(mut end) = end {
        let told = tokio::time::timeout(wait, end.wait_for(Option::is_some)).await;
        if let Ok(Ok(told)) = told
            && let Some(end) = told.as_ref()
        {
            let saga = view::ended(saga, namespace, business_key, definition, end);
            return Ok(pb::StartSagaResponse { saga: Some(saga), existed });
        }
    } else {
        engine.wait_end(saga, wait).await?;
    }
    let snapshot = engine.snapshot(saga).await?;
    let saga = Some(view::saga(&snapshot, engine.shared.clock.now_ms()));
    Ok(pb::StartSagaResponse { saga, existed })
}

/// A saga of which nothing more is known than that it is durable: where it stands is
/// for `GetSaga` to say, and costs a read of the log.
fn accepted(
    saga: SagaId,
    namespace: String,
    business_key: String,
    definition: &CompiledDefinition,
) -> pb::Saga {
    pb::Saga {
        saga_id: saga.to_string(),
        namespace,
        business_key,
        definition: definition.core.name.clone(),
        definition_version: definition.core.version,
        state: SagaState::Running.into(),
        ..pb::Saga::default()
    }
}

fn input(
    engine: &Engine,
    definition: &CompiledDefinition,
    input: Option<Input>,
) -> Result<bytes::Bytes, Status> {
    let bytes_max = engine.limits().input_bytes_max;
    let given = match &input {
        Some(Input::Json(json)) => json.len(),
        Some(Input::Message(message)) => message.value.len(),
        None => 0,
    };
    // JSON takes more room than the bytes it stands for; what counts is the bytes.
    if given > bytes_max.saturating_mul(4) {
        return Err(too_large(given, bytes_max));
    }
    let encoded = match input {
        Some(Input::Json(json)) => definition.encode_input_json(&json),
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

fn too_long(field: &str) -> Status {
    invalid("BUSINESS_KEY_INVALID", field, format!("at most {KEY_CHARS_MAX} characters"))
}

fn check_namespace(field: &str, namespace: &str) -> Result<(), Status> {
    if namespace.chars().nth(KEY_CHARS_MAX).is_some() {
        return Err(too_long(field));
    }
    Ok(())
}

fn check_key(field: &str, key: &str) -> Result<(), Status> {
    if key.is_empty() {
        let missing = "missing; give what makes this saga one, such as an order number";
        return Err(invalid("BUSINESS_KEY_MISSING", field, missing));
    }
    if key.chars().nth(KEY_CHARS_MAX).is_some() {
        return Err(too_long(field));
    }
    Ok(())
}

/// A span of time that a client gave, up to the longest wait.
pub(super) fn span(
    field: &str,
    given: Option<prost_types::Duration>,
) -> Result<Option<Duration>, Status> {
    let Some(given) = given else {
        return Ok(None);
    };
    let span = Duration::try_from(given)
        .map_err(|_| invalid("DURATION_INVALID", field, "negative; give 0 s to 60 s"))?;
    Ok(Some(span.min(WAIT_MAX)))
}

/// The saga that a client means.
pub(super) async fn find(engine: &Engine, name: Option<pb::SagaName>) -> Result<SagaId, Status> {
    Ok(find_row(engine, name).await?.saga)
}

pub(super) async fn find_row(
    engine: &Engine,
    name: Option<pb::SagaName>,
) -> Result<SagaRow, Status> {
    let missing = || {
        let remedy = "missing; give saga_id or business_key";
        invalid("SAGA_NAME_MISSING", "name", remedy)
    };
    let pb::SagaName { name, namespace } = name.ok_or_else(missing)?;
    check_namespace("name.namespace", &namespace)?;
    let store = engine.shared.log.store();
    let (row, absent) = match name.ok_or_else(missing)? {
        saga_name::Name::SagaId(id) => {
            let saga = Uuid::try_parse(&id).map_err(|_| {
                let told = format!("{:?} is not a UUID", echo(&id));
                invalid("SAGA_ID_INVALID", "name.saga_id", told)
            })?;
            (store.saga(SagaId(saga)).await, format!("no saga has the id {saga}"))
        }
        saga_name::Name::BusinessKey(key) => {
            check_key("name.business_key", &key)?;
            let scope = match namespace.as_str() {
                "" => "the default namespace".to_owned(),
                namespace => format!("namespace {}", echo(namespace)),
            };
            let absent = format!("no saga has the key {} in {scope}", echo(&key));
            (store.saga_by_key(&namespace, &key).await, absent)
        }
    };
    let row = row.map_err(ReachError::from)?;
    row.ok_or_else(|| status(Code::NotFound, "SAGA_NOT_FOUND", absent))
}

async fn list(
    engine: &Engine,
    request: &pb::ListSagasRequest,
) -> Result<pb::ListSagasResponse, Status> {
    field::name("definition", &request.definition)?;
    let list = page::of("sagas", &[&request.state.to_string(), &request.definition]);
    let before: Option<Uuid> = page::position(&list, &request.page_token)?;
    let rows_max = page::size(request.page_size)?;
    let (row_status, stuck) = match field::known("state", request.state)? {
        SagaState::Unspecified => (None, None),
        SagaState::Running => (Some(RowStatus::Running), Some(false)),
        SagaState::Compensating => (Some(RowStatus::Compensating), Some(false)),
        SagaState::Stuck => (None, Some(true)),
        SagaState::Completed => (Some(RowStatus::Completed), None),
        SagaState::Compensated => (Some(RowStatus::Compensated), None),
        SagaState::Closed => (Some(RowStatus::Closed), None),
    };
    let query = ListQuery {
        before: before.map(SagaId),
        rows_max,
        status: row_status,
        stuck,
        definition: Some(request.definition.clone()).filter(|name| !name.is_empty()),
    };
    let rows = engine.shared.log.store().list(&query).await.map_err(ReachError::from)?;
    let is_full = u32::try_from(rows.len()).is_ok_and(|count| count == rows_max);
    let next_page_token = match rows.last() {
        Some(last) if is_full => page::token(&list, last.saga),
        _ => String::new(),
    };
    let sagas = rows.iter().map(view::saga_of_row).collect();
    Ok(pb::ListSagasResponse { sagas, next_page_token })
}

async fn list_events(
    engine: &Engine,
    request: pb::ListEventsRequest,
) -> Result<pb::ListEventsResponse, Status> {
    let row = find_row(engine, request.name).await?;
    let list = page::of("events", &[&row.saga.to_string()]);
    let after: Option<u64> = page::position(&list, &request.page_token)?;
    let definition = engine.definition(&row.definition, row.definition_version).await?;
    let rows_max = page::size(request.page_size)?;
    let rows = engine.rows(row.saga, after.unwrap_or(0), rows_max).await?;
    let is_full = u32::try_from(rows.len()).is_ok_and(|count| count == rows_max);
    let next_page_token = match rows.last() {
        Some(last) if is_full => page::token(&list, last.version),
        _ => String::new(),
    };
    let mut events = Vec::new();
    for row in &rows {
        let decoded = encoding::decode(&row.events).map_err(|error| {
            status(Code::DataLoss, "SAGA_UNREADABLE", format!("row {}: {error}", row.version))
        })?;
        events.extend(events::events(&definition, row, &decoded));
    }
    Ok(pb::ListEventsResponse { events, next_page_token })
}

/// The step of this name.
pub(super) fn step_index(snapshot: &Snapshot, name: &str) -> Result<StepIndex, Status> {
    snapshot.definition.core.index_of(name).ok_or_else(|| {
        let steps: Vec<&str> =
            snapshot.definition.core.steps.iter().map(|step| step.name.as_str()).collect();
        let remedy = format!("no step {:?}; the steps are {}", echo(name), steps.join(", "));
        status(Code::NotFound, "STEP_NOT_FOUND", remedy)
    })
}
