//! `SagaService`: starts sagas and shows where they stand.

use std::time::Duration;

use saga_core::{SagaId, StepIndex, encoding};
use saga_log::SagaRow;
use saga_proto::saga::v1::{self as pb, saga_name, saga_service_server::SagaService};
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::{
    access::Principal,
    api::{
        admit::{admitted, admitted_act},
        cancel, detached,
        error::{echo, invalid, status},
        events, in_turn, list, page, signal, start, view,
    },
    engine::{Engine, ReachError, Snapshot},
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
        let principal = Principal::of(&request)?;
        let request = request.into_inner();
        principal.check_in(&request.namespace)?;
        // Not detached: the engine finishes what it has begun, whoever waits for it.
        start::start(&self.engine, request).await.map(Response::new)
    }

    async fn get_saga(
        &self,
        request: Request<pb::GetSagaRequest>,
    ) -> Result<Response<pb::GetSagaResponse>, Status> {
        let engine = self.engine.clone();
        in_turn(&self.engine, async move {
            let row = find_row(&engine, admitted(&engine, request).await?.name).await?;
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
            let request = admitted(&engine, request).await?;
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
            let principal = Principal::of(&request)?;
            list::list(&engine, &principal, &request.into_inner()).await.map(Response::new)
        })
        .await
    }

    async fn count_sagas(
        &self,
        request: Request<pb::CountSagasRequest>,
    ) -> Result<Response<pb::CountSagasResponse>, Status> {
        let engine = self.engine.clone();
        in_turn(&self.engine, async move {
            let principal = Principal::of(&request)?;
            list::count(&engine, &principal, &request.into_inner()).await.map(Response::new)
        })
        .await
    }

    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        let engine = self.engine.clone();
        in_turn(&self.engine, async move {
            let request = admitted(&engine, request).await?;
            list_events(&engine, request).await.map(Response::new)
        })
        .await
    }

    async fn cancel_saga(
        &self,
        request: Request<pb::CancelSagaRequest>,
    ) -> Result<Response<pb::CancelSagaResponse>, Status> {
        let engine = self.engine.clone();
        detached(async move {
            cancel::cancel(&engine, admitted_act(&engine, request).await?).await.map(Response::new)
        })
        .await
    }

    async fn signal_saga(
        &self,
        request: Request<pb::SignalSagaRequest>,
    ) -> Result<Response<pb::SignalSagaResponse>, Status> {
        let engine = self.engine.clone();
        detached(async move {
            signal::signal(&engine, admitted_act(&engine, request).await?).await.map(Response::new)
        })
        .await
    }
}

fn too_long(field: &str) -> Status {
    invalid("BUSINESS_KEY_INVALID", field, format!("at most {KEY_CHARS_MAX} characters"))
}

pub(super) fn check_namespace(field: &str, namespace: &str) -> Result<(), Status> {
    if namespace.chars().nth(KEY_CHARS_MAX).is_some() {
        return Err(too_long(field));
    }
    Ok(())
}

pub(super) fn check_key(field: &str, key: &str) -> Result<(), Status> {
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
    let name = name.ok_or_else(missing)?;
    let row = match &name {
        saga_name::Name::SagaId(id) => {
            let saga = Uuid::try_parse(id).map_err(|_| {
                let told = format!("{:?} is not a UUID", echo(id));
                invalid("SAGA_ID_INVALID", "name.saga_id", told)
            })?;
            store.saga(SagaId(saga)).await
        }
        saga_name::Name::BusinessKey(key) => {
            check_key("name.business_key", key)?;
            store.saga_by_key(&namespace, key).await
        }
    };
    let row = row.map_err(ReachError::from)?;
    row.ok_or_else(|| absent(&pb::SagaName { name: Some(name), namespace }))
}

/// There is no saga of this name, for whoever asks.
pub(super) fn absent(name: &pb::SagaName) -> Status {
    let told = match (&name.name, name.namespace.as_str()) {
        (Some(saga_name::Name::BusinessKey(key)), "") => {
            format!("no saga has the key {} in the default namespace", echo(key))
        }
        (Some(saga_name::Name::BusinessKey(key)), namespace) => {
            format!("no saga has the key {} in namespace {}", echo(key), echo(namespace))
        }
        (Some(saga_name::Name::SagaId(id)), _) => {
            let id = Uuid::try_parse(id).map_or_else(|_| echo(id), |it| it.to_string());
            format!("no saga has the id {id}")
        }
        (None, _) => "no saga has no name".to_owned(),
    };
    status(Code::NotFound, "SAGA_NOT_FOUND", told)
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
