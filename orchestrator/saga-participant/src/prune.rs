//! Deletes rows of the operation log that no log of sagas needs any more.
//!
//! Two hundred rows at most go in a transaction, with pauses, and only while nobody wants to write.
//! Which ones is decided by the start that is kept in them, which a repeat comes with as well.
//! A trigger of the table raises the horizon with them, and no further than they need: had a
//! clock been far ahead, no later saga would be behind it. An operation and the one that undoes
//! it go together, and an open intent stays.
//!
//! Begun by whoever tells the horizon, and gone on with by the next who does.

use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use uuid::Uuid;

use crate::{
    database::{Arg, Row, Sql, Tx},
    error::OperationError,
    horizon::{Horizon, raise, time_of, time_of_saga, told},
    op_log::State,
    participant::Participant,
};

/// Rows that are looked at in one transaction.
const ROWS_MAX: i64 = 200;

/// Between two transactions.
const PAUSE: Duration = Duration::from_millis(50);

/// How often it gives way to others before it waits in line like them.
const GIVES_WAY_MAX: u32 = 200;

/// Takes away what a service keeps of operations that are forgotten, in the transaction that
/// deletes their rows. It is given 200 ids at most, and must be quick: SQLite has one
/// writer. What it returns as an error takes the deletion back, and it is tried again later.
pub type Forget =
    for<'t> fn(
        &'t mut Tx,
        &'t [Uuid],
    ) -> Pin<Box<dyn Future<Output = Result<(), OperationError>> + Send + 't>>;

/// Whether a task is at it, and what the service does with it.
#[derive(Debug, Default)]
pub(crate) struct Pruner {
    state: Mutex<PrunerState>,
    forget: OnceLock<Forget>,
}

#[derive(Debug, Default)]
struct PrunerState {
    runs: bool,
    /// A horizon was told since it has begun.
    again: bool,
}

impl Pruner {
    fn state(&self) -> MutexGuard<'_, PrunerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a task has to be started.
    fn call(&self) -> bool {
        let mut state = self.state();
        state.again = true;
        !std::mem::replace(&mut state.runs, true)
    }

    /// Whether the task has to look through the log, again or for the first time; if not,
    /// nobody is at it.
    fn goes_on(&self) -> bool {
        let mut state = self.state();
        state.runs = std::mem::take(&mut state.again);
        state.runs
    }
}

/// What one transaction came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pruned {
    /// So many rows were deleted. There may be more behind this one.
    Some { rows: usize, after: i64 },
    /// There is nothing behind that is old enough.
    Done,
}

impl<S: Send + Sync + 'static> Participant<S> {
    /// Has `forget` take away what the service keeps of operations that are forgotten. Said once,
    /// before anything is served.
    #[must_use]
    pub fn forgetting(self, forget: Forget) -> Self {
        self.shared.pruner.forget.get_or_init(|| forget);
        self
    }

    /// Starts a task that deletes what may go, unless one is at it.
    pub(crate) fn prune_behind(&self) {
        if self.shared.pruner.call() {
            self.shared.database.tasks().spawn(prune(self.clone()));
        }
    }

    /// Looks through the log once; returns how many rows were deleted.
    async fn prune_all(&self) -> Result<usize, OperationError> {
        let (mut after, mut deleted) = (0, 0);
        // A database that is being closed waits for this task.
        while !self.shared.database.tasks().is_closed() {
            match self.prune_some(after).await? {
                Pruned::Some { rows, after: last } => (after, deleted) = (last, deleted + rows),
                Pruned::Done => break,
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(deleted)
    }

    async fn prune_some(&self, after: i64) -> Result<Pruned, OperationError> {
        let database = &self.shared.database;
        let mut given_way = 0;
        let permit = loop {
            if database.tasks().is_closed() {
                return Ok(Pruned::Done);
            }
            match database.try_enter_write() {
                Some(permit) => break permit,
                None if given_way == GIVES_WAY_MAX => break database.enter_write().await?,
                None => given_way += 1,
            }
            tokio::time::sleep(PAUSE).await;
        };
        let tx = database.begin_write(permit).await?;
        prune_in(tx, after, self.shared.pruner.forget.get().copied()).await
    }
}

async fn prune<S: Send + Sync + 'static>(participant: Participant<S>) {
    while participant.shared.pruner.goes_on() {
        match participant.prune_all().await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "old rows of the operation log are deleted"),
            Err(error) => tracing::warn!(%error, "old rows of the operation log stay for now"),
        }
    }
}

async fn prune_in(
    mut tx: Tx,
    after: i64,
    forget: Option<Forget>,
) -> Result<Pruned, OperationError> {
    let horizon = told(&mut tx).await?;
    let rows = tx.rows(PAGE, &[Arg::Int(after), Arg::Int(ROWS_MAX)]).await?;
    let aged = rows.iter().map(Aged::read).collect::<Result<Vec<_>, _>>()?;
    let gone: Vec<&Kept> = aged.iter().filter(|it| it.may_go(horizon)).map(|it| &it.own).collect();
    let op_ids: Vec<Uuid> = gone.iter().map(|it| it.op_id).collect();
    // Rows are in the order in which they came: behind a page without an old one there is none.
    let is_old = !op_ids.is_empty() || aged.iter().any(|it| it.at_ms < horizon.0);
    let Some(after) = aged.last().filter(|_| is_old).map(|it| it.seq) else {
        tx.rollback().await;
        return Ok(Pruned::Done);
    };
    if op_ids.is_empty() {
        tx.rollback().await;
        return Ok(Pruned::Some { rows: 0, after });
    }
    // Of rows of before the trigger does not know it.
    let of_before = gone.iter().filter(|it| it.told_ms.is_none());
    if let Some(by_ids_ms) = of_before.filter_map(|it| it.by_ids_ms).max() {
        raise(&mut tx, Horizon(horizon.0.min(by_ids_ms.saturating_add(1)))).await?;
    }
    let deleted = tx.rows(DELETE, &[Arg::Uuids(&op_ids), Arg::Int(horizon.0)]).await?;
    let deleted = deleted.iter().map(|row| row.uuid(0)).collect::<Result<Vec<_>, _>>()?;
    if let Some(forget) = forget {
        forget(&mut tx, &deleted).await?;
    }
    tx.commit().await?;
    Ok(Pruned::Some { rows: deleted.len(), after })
}

/// Rows in the order in which they came, each with the row that it undoes or that undoes it.
const PAGE: Sql = Sql::same(
    "/* prune: page */
    select own.seq, own.at_ms,
        own.op_id, own.saga_id, own.state, own.started_at_ms,
        undo.op_id, undo.saga_id, undo.state, undo.started_at_ms,
        undone.op_id, undone.saga_id, undone.state, undone.started_at_ms
    from op_log as own
    left join op_log as undo on undo.reverses = own.op_id
    left join op_log as undone on undone.op_id = own.reverses
    where own.seq > $1 order by own.seq limit $2",
);

/// A row that is needed for longer since it was looked at stays.
const DELETE: Sql = Sql {
    postgres: "/* prune: delete */
        delete from op_log where op_id = any($1) and state <> 'INTENDED'
            and (started_at_ms is null or started_at_ms < $2)
        returning op_id",
    sqlite: "/* prune: delete */
        delete from op_log where op_id in (select unhex(value) from json_each($1))
            and state <> 'INTENDED' and (started_at_ms is null or started_at_ms < $2)
        returning op_id",
};

/// A row, and how old it is.
#[derive(Debug)]
struct Aged {
    seq: i64,
    at_ms: i64,
    own: Kept,
    /// Those that it stays or goes with.
    with: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    op_id: Uuid,
    state: State,
    /// As its calls have told it.
    told_ms: Option<i64>,
    /// As its ids tell it: rows of before have nothing else.
    by_ids_ms: Option<i64>,
}

impl Aged {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        let own = Kept::read(row, 2)?.ok_or(sqlx::Error::RowNotFound)?;
        let with = [Kept::read(row, 6)?, Kept::read(row, 10)?].into_iter().flatten().collect();
        Ok(Self { seq: row.int(0)?, at_ms: row.int(1)?, own, with })
    }

    fn may_go(&self, horizon: Horizon) -> bool {
        self.own.is_behind(horizon, self.at_ms)
            && self.with.iter().all(|it| it.is_behind(horizon, self.at_ms))
    }
}

impl Kept {
    fn read(row: &Row, from: usize) -> Result<Option<Self>, sqlx::Error> {
        let Some(op_id) = row.optional_uuid(from)? else { return Ok(None) };
        let by_saga = row.optional_text(from + 1)?.as_deref().and_then(time_of_saga);
        Ok(Some(Self {
            op_id,
            state: State::parse(&row.text(from + 2)?)?,
            told_ms: row.optional_int(from + 3)?,
            by_ids_ms: by_saga.or_else(|| time_of(op_id)),
        }))
    }

    /// Whether whoever comes back to it is told OP_TOO_OLD once it is gone.
    fn is_behind(&self, horizon: Horizon, at_ms: i64) -> bool {
        match (self.state, self.told_ms, self.by_ids_ms) {
            (State::Intended, ..) => false,
            (_, Some(told_ms), _) => told_ms < horizon.0,
            // The trigger knows only when it was recorded.
            (_, None, Some(by_ids_ms)) => by_ids_ms < horizon.0 && at_ms < horizon.0,
            // An inquiry that did not tell has fenced a call that may tell when it comes.
            (State::Fenced, None, None) => false,
            (State::Applied | State::Rejected, None, None) => at_ms < horizon.0,
        }
    }
}
