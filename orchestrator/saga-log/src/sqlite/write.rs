//! One wave in one transaction, with several rows per statement.

use std::sync::LazyLock;

use saga_core::SagaId;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Executor, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::rows::{SagaRecord, to_i64};
use crate::sql;
use crate::store::{Append, IndexChange, NewSaga, Standing, StoreError, Written};

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
    connection.execute("begin immediate").await?;
    let created: Vec<(SagaId, &NewSaga)> = wave.iter().filter_map(|it| created(it)).collect();
    let mut rest = created.as_slice();
    while let Some((statement, part)) = CREATE.cut(&mut rest) {
        let mut query = sqlx::query(statement);
        for (id, saga) in part {
            query = bind_saga(query, *id, saga);
        }
        if query.execute(&mut *connection).await?.rows_affected() != part.len() as u64 {
            connection.execute("rollback").await?;
            return Ok(false);
        }
    }
    let mut rest = wave;
    while let Some((statement, part)) = APPEND.cut(&mut rest) {
        let mut query = sqlx::query(statement);
        for append in part {
            query = bind_append(query, append);
        }
        if query.execute(&mut *connection).await?.rows_affected() != part.len() as u64 {
            connection.execute("rollback").await?;
            return Ok(false);
        }
    }
    let changed: Vec<(SagaId, &Standing)> = wave.iter().filter_map(|it| changed(it)).collect();
    let mut rest = changed.as_slice();
    while let Some((statements, part)) = SET.cut(&mut rest) {
        let mut query = sqlx::query(statements);
        for (id, standing) in part {
            query = bind_standing(query, standing).bind(id.0);
        }
        query.execute(&mut *connection).await?;
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
        if insert(connection, append).await.map_err(classify)? {
            set(connection, append).await.map_err(classify)?;
            written.push(Written::Done);
        } else {
            written.push(look_up(connection, append).await?);
        }
    }
    connection.execute("commit").await.map_err(classify)?;
    Ok(written)
}

/// Inserts one append and the index row that it makes. False: neither was inserted.
async fn insert(connection: &mut SqliteConnection, append: &Append) -> Result<bool, sqlx::Error> {
    if let Some((id, saga)) = created(append) {
        let query = bind_saga(sqlx::query(CREATE.one()), id, saga);
        if query.execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(false);
        }
    }
    let query = bind_append(sqlx::query(APPEND.one()), append);
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

async fn set(connection: &mut SqliteConnection, append: &Append) -> Result<(), sqlx::Error> {
    let Some((id, standing)) = changed(append) else {
        return Ok(());
    };
    let query = bind_standing(sqlx::query(SET.one()), standing).bind(id.0);
    query.execute(connection).await.map(drop)
}

/// What became of an append that was not inserted.
async fn look_up(
    connection: &mut SqliteConnection,
    append: &Append,
) -> Result<Written, StoreError> {
    let classify = |error| super::classify("write", error);
    let found: Option<Uuid> = sqlx::query_scalar(
        "/* write: look_up */
        select append_id from saga_event where saga_id = $1 and version = $2",
    )
    .bind(append.saga.0)
    .bind(to_i64(append.version))
    .fetch_optional(&mut *connection)
    .await
    .map_err(classify)?;
    match (found, &append.index) {
        (Some(append_id), _) if append_id == append.append_id => Ok(Written::Done),
        (None, IndexChange::Create(saga)) => {
            let holder: SagaRecord = sqlx::query_as(sql::SAGA_BY_KEY)
                .bind(&saga.namespace)
                .bind(&saga.business_key)
                .fetch_one(connection)
                .await
                .map_err(classify)?;
            Ok(Written::KeyInUse(Box::new(holder.row("write")?)))
        }
        _ => Ok(Written::Superseded),
    }
}

type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

fn created(append: &Append) -> Option<(SagaId, &NewSaga)> {
    match &append.index {
        IndexChange::Create(saga) => Some((append.saga, saga)),
        IndexChange::Keep | IndexChange::Set(_) => None,
    }
}

fn changed(append: &Append) -> Option<(SagaId, &Standing)> {
    match &append.index {
        IndexChange::Set(standing) => Some((append.saga, standing)),
        IndexChange::Keep | IndexChange::Create(_) => None,
    }
}

fn bind_append<'q>(query: Bound<'q>, append: &'q Append) -> Bound<'q> {
    query
        .bind(append.saga.0)
        .bind(to_i64(append.version))
        .bind(append.writer.0)
        .bind(append.append_id)
        .bind(to_i64(append.at_ms))
        .bind(append.events.as_ref())
}

fn bind_saga<'q>(query: Bound<'q>, id: SagaId, saga: &'q NewSaga) -> Bound<'q> {
    let query = query
        .bind(id.0)
        .bind(&saga.namespace)
        .bind(&saga.business_key)
        .bind(&saga.definition)
        .bind(i64::from(saga.definition_version))
        .bind(saga.request_hash.as_slice())
        .bind(to_i64(saga.started_at_ms));
    bind_standing(query, &saga.standing)
}

fn bind_standing<'q>(query: Bound<'q>, standing: &'q Standing) -> Bound<'q> {
    let stuck = standing.stuck.as_ref();
    query
        .bind(standing.status.stored())
        .bind(standing.wake_at_ms.map(to_i64))
        .bind(standing.waiting_on.as_deref())
        .bind(standing.owner.map(|node| node.0))
        .bind(stuck.map(|stuck| stuck.reason.as_str()))
        .bind(stuck.map(|stuck| stuck.step.as_str()))
        .bind(stuck.map(|stuck| stuck.message.as_str()))
        .bind(stuck.map(|stuck| to_i64(stuck.since_ms)))
        .bind(standing.turned_back.as_deref())
        .bind(standing.ended_at_ms.map(to_i64))
}

/// A statement in all sizes of a power of two, each prepared once per connection. However
/// many rows there are, few statements hold them: each statement is a hop to the thread
/// that owns the connection and back.
struct Sizes([(usize, String); 7]);

impl Sizes {
    /// `row` is repeated as often as there are rows.
    fn new(head: &str, row: &str, separator: &str, tail: &str) -> Self {
        Self([64, 32, 16, 8, 4, 2, 1].map(|rows| {
            let values = vec![row; rows].join(separator);
            (rows, format!("{head} {values} {tail}"))
        }))
    }

    fn one(&'static self) -> &'static str {
        &self.0[6].1
    }

    /// Cuts the largest part off `rest` that a statement fits.
    fn cut<'r, R>(&'static self, rest: &mut &'r [R]) -> Option<(&'static str, &'r [R])> {
        let (rows, statement) = self.0.iter().find(|(rows, _)| *rows <= rest.len())?;
        let (part, behind) = rest.split_at(*rows);
        *rest = behind;
        Some((statement, part))
    }
}

/// A row behind the first needs the one before it.
static APPEND: LazyLock<Sizes> = LazyLock::new(|| {
    Sizes::new(
        "/* write: append */
        insert into saga_event (saga_id, version, writer, append_id, at_ms, events)
        select * from (values",
        "(?, ?, ?, ?, ?, ?)",
        ", ",
        ") as append
        where column2 = 1 or exists (
            select 1 from saga_event as before
            where before.saga_id = column1 and before.version = column2 - 1
        )
        on conflict (saga_id, version) do nothing",
    )
});

static CREATE: LazyLock<Sizes> = LazyLock::new(|| {
    Sizes::new(
        "/* write: create */
        insert into saga (
            saga_id, namespace, business_key, definition, definition_version, request_hash,
            started_at_ms, status, wake_at_ms, waiting_on, owner, stuck_reason, stuck_step,
            stuck_message, stuck_since_ms, turned_back, ended_at_ms
        ) values",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ", ",
        "on conflict do nothing",
    )
});

/// As many updates as rows: one that joins many values takes twice as long, and leaves to
/// the planner whether it scans all sagas.
static SET: LazyLock<Sizes> = LazyLock::new(|| {
    Sizes::new(
        "",
        "/* write: set */
        update saga set
            status = ?, wake_at_ms = ?, waiting_on = ?, owner = ?, stuck_reason = ?,
            stuck_step = ?, stuck_message = ?, stuck_since_ms = ?, turned_back = ?,
            ended_at_ms = ?
        where saga_id = ?;",
        " ",
        "",
    )
});
