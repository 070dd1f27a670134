//! `ListSagas` and `CountSagas`: which sagas there are.

use std::time::Duration;

use prost_types::Timestamp;
use saga_core::SagaId;
use saga_log::{Filter, ListQuery, TextColumn};
use saga_proto::saga::v1 as pb;
use tokio::time::Instant;
use tonic::Status;

use crate::{
    access::Principal,
    api::{error::invalid, field, filter, page, view},
    engine::{Engine, ReachError},
};

/// Entries of an index that one look at the log reaches, where the filter is not in it: some
/// milliseconds, so that others who read have their turn.
const LOOKS_MAX: u32 = 20_000;
/// How long it is looked for what no index holds, or counted, before the asker is told how far
/// it came.
const LOOKING_MAX: Duration = Duration::from_secs(1);

pub(super) async fn list(
    engine: &Engine,
    principal: &Principal,
    request: &pb::ListSagasRequest,
) -> Result<pb::ListSagasResponse, Status> {
    let pb::ListSagasRequest { state, definition, filter, .. } = request;
    let list = page::of("sagas", &[&state.to_string(), definition, filter]);
    let before = page::position(&list, &request.page_token)?.map(SagaId);
    let rows_max = page::size(request.page_size)?;
    let filter = asked(engine, principal, *state, definition, filter)?;
    let mut query = ListQuery { before, rows_max, looks_max: LOOKS_MAX, filter };
    let began = Instant::now();
    let mut rows = Vec::new();
    let next = loop {
        let page = engine.shared.log.store().list(&query).await.map_err(ReachError::from)?;
        query.rows_max -= u32::try_from(page.rows.len()).unwrap_or(query.rows_max);
        rows.extend(page.rows);
        if page.next.is_none() || query.rows_max == 0 || LOOKING_MAX <= began.elapsed() {
            break page.next;
        }
        query.before = page.next;
    };
    Ok(pb::ListSagasResponse {
        sagas: rows.iter().map(view::saga_of_row).collect(),
        looked_until: shown(principal, next.filter(|_| 0 < query.rows_max)),
        next_page_token: next.map(|next| page::token(&list, next)).unwrap_or_default(),
    })
}

pub(super) async fn count(
    engine: &Engine,
    principal: &Principal,
    request: &pb::CountSagasRequest,
) -> Result<pb::CountSagasResponse, Status> {
    let pb::CountSagasRequest { state, definition, filter, page_token } = request;
    let list = page::of("count", &[&state.to_string(), definition, filter]);
    let before = page::position(&list, page_token)?.map(SagaId);
    let filter = asked(engine, principal, *state, definition, filter)?;
    let mut query = ListQuery { before, rows_max: 0, looks_max: LOOKS_MAX, filter };
    let began = Instant::now();
    let mut sagas = 0;
    let next = loop {
        let count = engine.shared.log.store().count(&query).await.map_err(ReachError::from)?;
        sagas += count.sagas;
        if count.next.is_none() || LOOKING_MAX <= began.elapsed() {
            break count.next;
        }
        query.before = count.next;
    };
    Ok(pb::CountSagasResponse {
        sagas: i64::try_from(sagas).unwrap_or(i64::MAX),
        next_page_token: next.map(|next| page::token(&list, next)).unwrap_or_default(),
        looked_until: shown(principal, next),
    })
}

/// What a filter means, of the sagas that are there for whoever asks.
pub(super) fn of_filter(
    engine: &Engine,
    principal: &Principal,
    filter: &str,
) -> Result<Filter, Status> {
    asked(engine, principal, 0, "", filter)
}

/// What is asked for, of the sagas that are there for whoever asks.
fn asked(
    engine: &Engine,
    principal: &Principal,
    state: i32,
    definition: &str,
    filter: &str,
) -> Result<Filter, Status> {
    field::name("definition", definition)?;
    let now_ms = engine.shared.clock.now_ms();
    let wrong = |message| invalid("FILTER_INVALID", "filter", message);
    let mut all = vec![filter::in_state(field::known("state", state)?)];
    if let Some(own) = principal.namespaces() {
        let own = own.into_iter().map(|it| Filter::is(TextColumn::Namespace, it));
        all.push(Filter::Any(own.collect()));
    }
    if !definition.is_empty() {
        all.push(Filter::is(TextColumn::Definition, definition));
    }
    all.push(filter::filter(filter, now_ms).map_err(wrong)?);
    Ok(Filter::Every(all))
}

/// How far was looked, for whoever may look at all that was.
fn shown(principal: &Principal, until: Option<SagaId>) -> Option<Timestamp> {
    until.filter(|_| principal.namespaces().is_none()).and_then(started_at)
}

/// When a saga with this id was made, by the clock of the node that made it.
fn started_at(saga: SagaId) -> Option<Timestamp> {
    let (seconds, nanos) = saga.0.get_timestamp()?.to_unix();
    Some(view::timestamp(seconds.saturating_mul(1_000) + u64::from(nanos / 1_000_000)))
}
