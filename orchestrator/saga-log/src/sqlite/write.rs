//! One wave in one transaction, with several rows per statement.

use std::collections::HashMap;
use std::iter;
use std::sync::LazyLock;

use futures::TryStreamExt;
use serde_json::{Value, json};
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Either, Executor, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::rows::{SagaRecord, from_i64, to_i64};
use crate::sql;
use crate::store::{Append, CauseRow, IndexChange, NewSaga, Standing, StoreError, Written};

/// Writes appends of distinct sagas, in the order of their ids, in one transaction.
pub(super) async fn write_wave(
    connection: &mut SqliteConnection,
    wave: &[&Append],
) -> Result<Vec<Written>, StoreError> {
    let classify = |error| super::classify("write", error);
    // As if all were new, which is so nearly always: many rows per statement.
    if try_all(connection, wave).await.map_err(classify)? {
        return Ok(vec![Written::Done; wave.len()]);
    }
    one_by_one(connection, wave).await
}

/// Writes all of the wave, or nothing: false where one append is not new.
async fn try_all(connection: &mut SqliteConnection, wave: &[&Append]) -> Result<bool, sqlx::Error> {
    let mut begin = true;
    for part in wave.chunks(ROOM_MAX) {
        if !write_part(connection, part, begin).await? {
            connection.execute("rollback").await?;
            return Ok(false);
        }
        begin = false;
    }
    connection.execute("commit").await?;
    Ok(true)
}

/// Writes each append that is new, and finds out what became of the others.
async fn one_by_one(
    connection: &mut SqliteConnection,
    wave: &[&Append],
) -> Result<Vec<Written>, StoreError> {
    let classify = |error| super::classify("write", error);
    let mut written = Vec::with_capacity(wave.len());
    connection.execute("begin immediate").await.map_err(classify)?;
    for append in wave {
        connection.execute("savepoint one").await.map_err(classify)?;
        if write_part(connection, &[append], false).await.map_err(classify)? {
            connection.execute("release one").await.map_err(classify)?;
            written.push(Written::Done);
        } else {
            connection.execute("rollback to one; release one").await.map_err(classify)?;
            written.push(look_up(connection, append).await?);
        }
    }
    connection.execute("commit").await.map_err(classify)?;
    Ok(written)
}

/// Writes at most [`ROOM_MAX`] appends inside a transaction, which it begins where `begin`
/// says so. False: one of them is not new, and the caller has to roll back.
///
/// All in one go: each is a hop to the thread that owns the connection and back, and the
/// task that waits for it stands in line with all others.
async fn write_part(
    connection: &mut SqliteConnection,
    part: &[&Append],
    begin: bool,
) -> Result<bool, sqlx::Error> {
    let created: Vec<(&Append, &NewSaga)> = part.iter().filter_map(|it| created(it)).collect();
    let changed: Vec<(&Append, &Standing)> = part.iter().filter_map(|it| changed(it)).collect();
    let shape = Shape {
        begin,
        created: room(created.len()),
        labels: created.iter().any(|(_, saga)| !saga.labels.is_empty()),
        appends: room(part.len()),
        changed: room(changed.len()),
    };
    let mut query = sqlx::query(STATEMENTS[&shape].as_str());
    for row in padded(&created, shape.created) {
        query = bind_saga(query, row);
    }
    if shape.labels {
        query = query.bind(labels(&created));
    }
    for row in padded(part, shape.appends) {
        query = bind_append(query, row.copied());
    }
    for row in padded(&changed, shape.changed) {
        query = query.bind(row.map(|(append, _)| append.saga.0));
        query = bind_standing(query, row.copied());
    }
    let mut results = connection.fetch_many(query);
    let mut affected = Vec::with_capacity(4);
    while let Some(step) = results.try_next().await? {
        if let Either::Left(done) = step {
            affected.push(done.rows_affected());
        }
    }
    if shape.labels {
        affected.remove(usize::from(begin) + 1);
    }
    let mut affected = affected.into_iter().skip(usize::from(begin));
    let mut all_new = |rows: usize| rows == 0 || affected.next() == Some(rows as u64);
    // As on PostgreSQL, nothing hangs on how many index rows or labels there were to write.
    Ok(all_new(created.len()) && all_new(part.len()))
}

/// The labels of new sagas, as JSON: one value whatever their number is.
fn labels(created: &[(&Append, &NewSaga)]) -> String {
    let labels = created.iter().flat_map(|(append, saga)| {
        let saga_id = append.saga.0.simple().to_string();
        saga.labels.iter().map(move |(name, value)| json!([name, value, saga_id]))
    });
    Value::Array(labels.collect()).to_string()
}

/// `rows`, and then nothing until `room` is full.
fn padded<R>(rows: &[R], room: usize) -> impl Iterator<Item = Option<&R>> {
    rows.iter().map(Some).chain(iter::repeat(None)).take(room)
}

/// What became of an append that was not inserted.
async fn look_up(
    connection: &mut SqliteConnection,
    append: &Append,
) -> Result<Written, StoreError> {
    let classify = |error| super::classify("write", error);
    let (there, before, epoch): (Option<Uuid>, Option<Uuid>, i64) = sqlx::query_as(sql::LOOK_UP)
        .bind(append.saga.0)
        .bind(to_i64(append.version))
        .fetch_one(&mut *connection)
        .await
        .map_err(classify)?;
    match (append.found(there, before, from_i64(epoch)), &append.index) {
        (Some(known), _) => Ok(known),
        (None, IndexChange::Create(saga)) => {
            let holder: SagaRecord = sqlx::query_as(sql::SAGA_BY_KEY)
                .bind(&saga.namespace)
                .bind(&saga.business_key)
                .fetch_one(connection)
                .await
                .map_err(classify)?;
            Ok(Written::KeyInUse(Box::new(holder.row("write")?)))
        }
        // There is no other writer, so nothing can have changed in between.
        (None, _) => Err(super::unavailable("write", "what was in the way is gone")),
    }
}

type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

fn created(append: &Append) -> Option<(&Append, &NewSaga)> {
    match &append.index {
        IndexChange::Create(saga) => Some((append, saga)),
        IndexChange::Keep | IndexChange::Set(_) => None,
    }
}

fn changed(append: &Append) -> Option<(&Append, &Standing)> {
    match &append.index {
        IndexChange::Set(standing) => Some((append, standing)),
        IndexChange::Keep | IndexChange::Create(_) => None,
    }
}

fn bind_append<'q>(query: Bound<'q>, append: Option<&'q Append>) -> Bound<'q> {
    query
        .bind(append.map(|append| append.saga.0))
        .bind(append.map(|append| to_i64(append.version)))
        .bind(append.map(|append| append.writer.0))
        .bind(append.map(|append| append.append_id))
        .bind(append.map(|append| to_i64(append.at_ms)))
        .bind(append.map(|append| append.events.as_ref()))
        .bind(append.and_then(|append| append.after))
        .bind(append.map(|append| to_i64(append.log_epoch)))
}

fn bind_saga<'q>(query: Bound<'q>, row: Option<&(&'q Append, &'q NewSaga)>) -> Bound<'q> {
    let id = row.map(|(append, _)| append.saga.0);
    let saga = row.map(|(_, saga)| *saga);
    let query = query
        .bind(id)
        .bind(saga.map(|saga| &saga.namespace))
        .bind(saga.map(|saga| &saga.business_key))
        .bind(saga.map(|saga| &saga.definition))
        .bind(saga.map(|saga| i64::from(saga.definition_version)))
        .bind(saga.map(|saga| saga.request_hash.as_slice()))
        .bind(saga.map(|saga| to_i64(saga.started_at_ms)));
    bind_standing(query, row.map(|(append, saga)| (*append, &saga.standing)))
}

/// The columns of a standing, and when it was written.
fn bind_standing<'q>(query: Bound<'q>, row: Option<(&'q Append, &'q Standing)>) -> Bound<'q> {
    let standing = row.map(|(_, standing)| standing);
    let stuck = standing.and_then(|standing| standing.stuck.as_ref());
    let cause = standing.and_then(|standing| standing.cause.as_ref());
    query
        .bind(standing.map(|standing| standing.status.stored()))
        .bind(standing.and_then(|standing| standing.wake_at_ms).map(to_i64))
        .bind(standing.and_then(|standing| standing.waiting_on.as_deref()))
        .bind(standing.and_then(|standing| standing.owner).map(|node| node.0))
        .bind(stuck.map(|stuck| stuck.reason.as_str()))
        .bind(stuck.map(|stuck| stuck.step.as_str()))
        .bind(stuck.map(|stuck| stuck.message.as_str()))
        .bind(stuck.map(|stuck| to_i64(stuck.since_ms)))
        .bind(standing.and_then(|standing| standing.turned_back.as_deref()))
        .bind(standing.and_then(|standing| standing.ended_at_ms).map(to_i64))
        .bind(cause.map(CauseRow::key))
        .bind(cause.map(|cause| cause.message.as_str()))
        .bind(cause.map(|cause| to_i64(cause.since_ms)))
        .bind(row.map(|(append, _)| to_i64(append.at_ms)))
        .bind(standing.and_then(|standing| standing.rank).map(i16::from))
}

/// Rows that a statement may have room for, beside none. Few, as every shape is prepared
/// once per connection; a row of room that stays empty costs a fifth of a full one.
const ROOMS: [usize; 3] = [4, 16, ROOM_MAX];
const ROOM_MAX: usize = 64;

/// The smallest room for `rows`, which are [`ROOM_MAX`] at most.
fn room(rows: usize) -> usize {
    if rows == 0 {
        return 0;
    }
    ROOMS.into_iter().find(|room| rows <= *room).unwrap_or(ROOM_MAX)
}

/// What the statements of one part have room for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    begin: bool,
    created: usize,
    labels: bool,
    appends: usize,
    changed: usize,
}

/// The statements of every shape.
static STATEMENTS: LazyLock<HashMap<Shape, String>> = LazyLock::new(|| {
    let none_or_up_to = |most: usize| iter::once(0).chain(ROOMS).filter(move |room| *room <= most);
    let mut statements = HashMap::new();
    for (appends, begin) in ROOMS.into_iter().flat_map(|room| [(room, false), (room, true)]) {
        for created in none_or_up_to(appends) {
            for changed in none_or_up_to(appends) {
                for labels in [false, 0 < created] {
                    let shape = Shape { begin, created, labels, appends, changed };
                    statements.insert(shape, shape.statements());
                }
            }
        }
    }
    statements
});

impl Shape {
    fn statements(self) -> String {
        let mut text = String::new();
        if self.begin {
            text.push_str("/* write: begin */ begin immediate;");
        }
        if self.created > 0 {
            text.push_str(&format!(
                "/* write: create */
                insert into saga (
                    saga_id, namespace, business_key, definition, definition_version,
                    request_hash, started_at_ms, status, wake_at_ms, waiting_on, owner,
                    stuck_reason, stuck_step, stuck_message, stuck_since_ms, turned_back,
                    ended_at_ms, cause, cause_message, cause_since_ms, wake_set_at_ms, rank
                )
                select * from ({rows}) where column1 is not null
                on conflict do nothing;",
                rows = values(self.created, 22),
            ));
        }
        if self.labels {
            text.push_str(
                "/* write: labels */
                insert into saga_label (name, value, saga_id)
                select value ->> 0, value ->> 1, unhex(value ->> 2) from json_each(?)
                where true on conflict do nothing;",
            );
        }
        // A row behind the first needs the very row that it builds on.
        text.push_str(&format!(
            "/* write: append */
            insert into saga_event (saga_id, version, writer, append_id, at_ms, events)
            select column1, column2, column3, column4, column5, column6 from ({rows})
            where column1 is not null and (column2 = 1 or exists (
                select 1 from saga_event as before
                where before.saga_id = column1 and before.version = column2 - 1
                and before.append_id = column7
            ))
            and (column8 = 0 or column8 >= (select max(epoch) from log_epoch))
            on conflict (saga_id, version) do nothing;",
            rows = values(self.appends, 8),
        ));
        if self.changed > 0 {
            // The rows come first and each looks up its saga by key, whatever the planner
            // knows of the tables: nothing else joins.
            text.push_str(&format!(
                "/* write: set */
                update saga set
                    status = new.column2, wake_at_ms = new.column3, waiting_on = new.column4,
                    owner = new.column5, stuck_reason = new.column6, stuck_step = new.column7,
                    stuck_message = new.column8, stuck_since_ms = new.column9,
                    turned_back = new.column10, ended_at_ms = new.column11, cause = new.column12,
                    cause_message = new.column13, cause_since_ms = new.column14,
                    wake_set_at_ms = new.column15, rank = new.column16
                from ({rows}) as new where saga.saga_id = new.column1;",
                rows = values(self.changed, 16),
            ));
        }
        text
    }
}

/// `values (?, ...), ...` with so many rows and columns.
fn values(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    format!("values {}", vec![row; rows].join(", "))
}
