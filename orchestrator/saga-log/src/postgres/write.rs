//! The statement that writes a wave, and what became of appends that it did not write.

use sqlx::PgConnection;
use uuid::Uuid;

use super::session::{Pooled, Session};
use crate::rows::{SagaRecord, from_i64, to_i64};
use crate::sql;
use crate::store::{
    Append, CauseRow, IndexChange, NewSaga, SagaRow, Standing, StoreError, Written,
};

/// Writes appends of distinct sagas, in the order of their ids, in one statement. It is
/// its own transaction: there is no BEGIN that could be left open.
pub(super) async fn write_wave(
    session: &mut Session,
    wave: &[&Append],
) -> Result<Vec<Written>, StoreError> {
    let connection = &mut session.connection;
    let (inserted, backend, _durably) =
        insert(connection, wave).await.map_err(|error| super::classify("write", error))?;
    if backend != session.backend {
        // It was written all the same, and durably; the next connection is not trusted either.
        return Err(super::unavailable("write", Pooled));
    }
    if usize::try_from(inserted).is_ok_and(|count| count == wave.len()) {
        return Ok(vec![Written::Done; wave.len()]);
    }
    let mut written = Vec::with_capacity(wave.len());
    for append in wave {
        written.push(look_up(&mut session.connection, append).await?);
    }
    Ok(written)
}

/// The end of a statement that writes: what became of it, by whom, and that it is durable. The
/// last is decided when the statement commits, behind all that is in it; a role, a database or
/// whoever had the connection before may have set that a commit is answered before it is.
macro_rules! inserted {
    () => {
        "/* write: inserted */ select count(*), pg_backend_pid(),
            case when current_setting('synchronous_commit') = 'off'
                then set_config('synchronous_commit', 'on', true) end
        from inserted"
    };
}

/// Inserts what can be, and answers how many rows those are.
///
/// The conditions compare with `is true` and `=`, so that the planner cannot turn them into
/// joins: they become hash look-ups whatever the size of the wave. The look at the row
/// before is a scalar, so that it stays a look into the primary key; it compares that row
/// and not only its version, as a log that lost rows may hold another history.
const WRITE: &str = concat!(
    "/* write */
    with created as (
        insert into saga (
            saga_id, namespace, business_key, definition, definition_version, request_hash,
            started_at_ms, status, wake_at_ms, waiting_on, owner, stuck_reason, stuck_step,
            stuck_message, stuck_since_ms, turned_back, ended_at_ms, cause, cause_message,
            cause_since_ms, wake_set_at_ms, rank
        )
        select * from unnest(
            $9::uuid[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bytea[],
            $15::bigint[], $16::smallint[], $17::bigint[], $18::text[], $19::uuid[],
            $20::text[], $21::text[], $22::text[], $23::bigint[], $24::text[], $25::bigint[],
            $26::text[], $27::text[], $28::bigint[], $29::bigint[], $30::smallint[]
        )
        on conflict do nothing
        returning saga_id
    ),
    inserted as (
        insert into saga_event (saga_id, version, writer, append_id, at_ms, events)
        select saga_id, version, writer, append_id, at_ms, events
        from unnest(
            $1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bytea[],
            $7::uuid[], $8::bigint[]
        ) as append (saga_id, version, writer, append_id, at_ms, events, after, log_epoch)
        where (append.saga_id in (select saga_id from created)) = (append.version = 1)
        and (append.log_epoch = 0 or append.log_epoch >= (select max(epoch) from log_epoch))
        and (append.version = 1 or (
            select before.append_id = append.after from saga_event as before
            where before.saga_id = append.saga_id and before.version = append.version - 1
        ))
        on conflict (saga_id, version) do nothing
        returning saga_id
    ),
    changed as (
        update saga set
            status = new.status, wake_at_ms = new.wake_at_ms, waiting_on = new.waiting_on,
            owner = new.owner, stuck_reason = new.stuck_reason, stuck_step = new.stuck_step,
            stuck_message = new.stuck_message, stuck_since_ms = new.stuck_since_ms,
            turned_back = new.turned_back, ended_at_ms = new.ended_at_ms, cause = new.cause,
            cause_message = new.cause_message, cause_since_ms = new.cause_since_ms,
            wake_set_at_ms = new.wake_set_at_ms, rank = new.rank
        from unnest(
            $31::uuid[], $32::smallint[], $33::bigint[], $34::text[], $35::uuid[],
            $36::text[], $37::text[], $38::text[], $39::bigint[], $40::text[], $41::bigint[],
            $42::text[], $43::text[], $44::bigint[], $45::bigint[], $46::smallint[]
        ) as new (
            saga_id, status, wake_at_ms, waiting_on, owner, stuck_reason, stuck_step,
            stuck_message, stuck_since_ms, turned_back, ended_at_ms, cause, cause_message,
            cause_since_ms, wake_set_at_ms, rank
        )
        where saga.saga_id = new.saga_id
        and (new.saga_id in (select saga_id from inserted)) is true
    ),
    labelled as (
        insert into saga_label (name, value, saga_id)
        select name, value, saga_id
        from unnest($47::text[], $48::text[], $49::uuid[]) as label (name, value, saga_id)
        where saga_id in (select saga_id from created)
        on conflict do nothing
    ) ",
    inserted!()
);

/// The usual wave of steps under way: no saga starts, parks or ends in it.
const WRITE_EVENTS: &str = concat!(
    "/* write: events */
    with inserted as (
        insert into saga_event (saga_id, version, writer, append_id, at_ms, events)
        select saga_id, version, writer, append_id, at_ms, events
        from unnest(
            $1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bytea[],
            $7::uuid[], $8::bigint[]
        ) as append (saga_id, version, writer, append_id, at_ms, events, after, log_epoch)
        where (
            select before.append_id = append.after from saga_event as before
            where before.saga_id = append.saga_id and before.version = append.version - 1
        )
        and (append.log_epoch = 0 or append.log_epoch >= (select max(epoch) from log_epoch))
        on conflict (saga_id, version) do nothing
        returning saga_id
    ) ",
    inserted!()
);

/// How many rows were inserted, by which process of the server, and the setting that was not
/// good enough.
type Inserted = (i64, i32, Option<String>);

async fn insert(connection: &mut PgConnection, wave: &[&Append]) -> Result<Inserted, sqlx::Error> {
    let index: Vec<&Append> =
        wave.iter().copied().filter(|append| append.changes_index()).collect();
    let statement = if index.is_empty() { WRITE_EVENTS } else { WRITE };
    let events = sqlx::query_as(statement)
        .bind(column(wave, |append| append.saga.0))
        .bind(column(wave, |append| to_i64(append.version)))
        .bind(column(wave, |append| append.writer.0))
        .bind(column(wave, |append| append.append_id))
        .bind(column(wave, |append| to_i64(append.at_ms)))
        .bind(column(wave, |append| append.events.as_ref()))
        .bind(column(wave, |append| append.after))
        .bind(column(wave, |append| to_i64(append.log_epoch)));
    if index.is_empty() {
        return events.fetch_one(connection).await;
    }
    let mut created: Vec<(&Append, &NewSaga)> = index
        .iter()
        .filter_map(|append| match &append.index {
            IndexChange::Create(saga) => Some((*append, &**saga)),
            IndexChange::Keep | IndexChange::Set(_) => None,
        })
        .collect();
    let changed: Vec<(&Append, &Standing)> = index
        .iter()
        .filter_map(|append| match &append.index {
            IndexChange::Set(standing) => Some((*append, &**standing)),
            IndexChange::Keep | IndexChange::Create(_) => None,
        })
        .collect();
    // By key: that is where two nodes that start the same saga meet.
    created.sort_by_key(|(_, saga)| (&saga.namespace, &saga.business_key));
    let with_created = events
        .bind(column(&created, |(append, _)| append.saga.0))
        .bind(column(&created, |(_, saga)| saga.namespace.as_str()))
        .bind(column(&created, |(_, saga)| saga.business_key.as_str()))
        .bind(column(&created, |(_, saga)| saga.definition.as_str()))
        .bind(column(&created, |(_, saga)| i64::from(saga.definition_version)))
        .bind(column(&created, |(_, saga)| saga.request_hash.as_slice()))
        .bind(column(&created, |(_, saga)| to_i64(saga.started_at_ms)));
    let standings = column(&created, |(append, saga)| (*append, &saga.standing));
    let with_standings = bind_standings!(with_created, standings);
    let with_changed = with_standings.bind(column(&changed, |(append, _)| append.saga.0));
    let labels: Vec<(&Append, &(String, String))> = created
        .iter()
        .flat_map(|(append, saga)| saga.labels.iter().map(move |label| (*append, label)))
        .collect();
    bind_standings!(with_changed, changed)
        .bind(column(&labels, |(_, (name, _))| name.as_str()))
        .bind(column(&labels, |(_, (_, value))| value.as_str()))
        .bind(column(&labels, |(append, _)| append.saga.0))
        .fetch_one(connection)
        .await
}

/// Binds the fourteen columns of a standing, and when it was written. A macro, as the type of a
/// query cannot be named without its lifetimes.
macro_rules! bind_standings {
    ($query:expr, $standings:expr) => {
        $query
            .bind(column(&$standings, |(_, standing)| standing.status.stored()))
            .bind(column(&$standings, |(_, standing)| standing.wake_at_ms.map(to_i64)))
            .bind(column(&$standings, |(_, standing)| standing.waiting_on.as_deref()))
            .bind(column(&$standings, |(_, standing)| standing.owner.map(|node| node.0)))
            .bind(column(&$standings, |(_, standing)| {
                standing.stuck.as_ref().map(|stuck| stuck.reason.as_str())
            }))
            .bind(column(&$standings, |(_, standing)| {
                standing.stuck.as_ref().map(|stuck| stuck.step.as_str())
            }))
            .bind(column(&$standings, |(_, standing)| {
                standing.stuck.as_ref().map(|stuck| stuck.message.as_str())
            }))
            .bind(column(&$standings, |(_, standing)| {
                standing.stuck.as_ref().map(|stuck| to_i64(stuck.since_ms))
            }))
            .bind(column(&$standings, |(_, standing)| standing.turned_back.as_deref()))
            .bind(column(&$standings, |(_, standing)| standing.ended_at_ms.map(to_i64)))
            .bind(column(&$standings, |(_, standing)| standing.cause.as_ref().map(CauseRow::key)))
            .bind(column(&$standings, |(_, standing)| {
                standing.cause.as_ref().map(|cause| cause.message.as_str())
            }))
            .bind(column(&$standings, |(_, standing)| {
                standing.cause.as_ref().map(|cause| to_i64(cause.since_ms))
            }))
            .bind(column(&$standings, |(append, _)| to_i64(append.at_ms)))
            .bind(column(&$standings, |(_, standing)| standing.rank.map(i16::from)))
    };
}
use bind_standings;

/// One column of some rows, as PostgreSQL wants it: an array.
fn column<'r, R, C>(rows: &'r [R], value: impl Fn(&'r R) -> C) -> Vec<C> {
    rows.iter().map(value).collect()
}

/// What became of an append that the statement did not insert. The statement is over, so
/// whoever was in its way has committed and can be seen.
async fn look_up(connection: &mut PgConnection, append: &Append) -> Result<Written, StoreError> {
    let classify = |error| super::classify("write", error);
    let (there, before, epoch): (Option<Uuid>, Option<Uuid>, i64) = sqlx::query_as(sql::LOOK_UP)
        .bind(append.saga.0)
        .bind(to_i64(append.version))
        .fetch_one(&mut *connection)
        .await
        .map_err(classify)?;
    if let Some(known) = append.found(there, before, from_i64(epoch)) {
        return Ok(known);
    }
    // Nothing is in its way any more: a key was freed, or rows were taken away just now.
    let try_again = || super::unavailable("write", "what was in the way is gone");
    let IndexChange::Create(saga) = &append.index else {
        return Err(try_again());
    };
    let holder: Option<SagaRecord> = sqlx::query_as(sql::SAGA_BY_KEY)
        .bind(&saga.namespace)
        .bind(&saga.business_key)
        .fetch_optional(connection)
        .await
        .map_err(classify)?;
    let holder: SagaRow = holder.ok_or_else(try_again)?.row("write")?;
    Ok(Written::KeyInUse(Box::new(holder)))
}
