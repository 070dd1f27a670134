//! Pruning: what is behind the horizon leaves the operation log, and with it what services keep of
//! operations. In small batches, each in a transaction of its own, so that no call waits for long.
//!
//! Kept, however old: what waits for a provider; an undo whose original is still there, or a
//! repeat of the original would be answered as if it stood; rows of logs that tell no horizon.

use std::{fmt, sync::atomic::Ordering};

use futures::future::BoxFuture;

use crate::{
    database::{Arg, Tx},
    error::OperationError,
    participant::Participant,
};

/// Rows of the operation log that are looked at in one transaction.
const ROWS_MAX: i64 = 500;

/// How much was pruned.
pub type Pruned<'a> = BoxFuture<'a, Result<u64, sqlx::Error>>;

/// What a service keeps of operations, and deletes when they are pruned.
pub struct Prune {
    /// What it is, for logs, such as `released reservations`.
    pub what: &'static str,
    /// Deletes some of it in the transaction; returns how much, 0 where nothing is left.
    pub batch: for<'a> fn(&'a mut Tx, Batch) -> Pruned<'a>,
}

impl fmt::Debug for Prune {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Prune({})", self.what)
    }
}

/// What a service may prune now: what belongs to an operation that has no row in `op_log` and is
/// not newer than this.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// The newest operation that was pruned, in milliseconds since the Unix epoch, by this
    /// service's clock.
    pub pruned_at_ms: i64,
    /// At most so many rows at once.
    pub rows_max: i64,
}

impl<S: Send + Sync + 'static> Participant<S> {
    /// Prunes what is behind the horizons from now on, unless somebody is at it.
    pub(crate) fn start_pruning(&self) {
        if self.shared.is_pruning.swap(true, Ordering::AcqRel) {
            return;
        }
        let participant = self.clone();
        self.shared.database.tasks().spawn(async move {
            match participant.prune().await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "pruned what no saga can ask for any more"),
                Err(error) => {
                    tracing::warn!(%error, "not all was pruned; the next horizon goes on")
                }
            }
            participant.shared.is_pruning.store(false, Ordering::Release);
        });
    }

    /// Prunes what is behind the horizons; returns how many operations that were. Several may do
    /// it at once, in this process and in others.
    ///
    /// # Errors
    ///
    /// Those of the database. What was pruned before stays pruned.
    pub async fn prune(&self) -> Result<u64, OperationError> {
        let (mut behind_seq, mut rows) = (0, 0);
        while let Some(pruned) = self.in_batch(move |tx| prune_window(tx, behind_seq)).await? {
            rows += pruned.rows;
            behind_seq = pruned.to_seq;
        }
        for prune in self.shared.prunes {
            while self.in_batch(|tx| prune_service(tx, prune)).await? != 0 {}
        }
        Ok(rows)
    }

    async fn in_batch<T, F>(&self, work: F) -> Result<T, OperationError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> BoxFuture<'a, Result<T, sqlx::Error>> + Send + 'static,
    {
        let write = move |mut tx: Tx| async move {
            let done = work(&mut tx).await?;
            tx.commit().await?;
            Ok(done)
        };
        self.shared.database.write(write).await
    }
}

/// Rows of the log that were looked at.
struct Window {
    to_seq: i64,
    rows: u64,
}

/// Prunes among the next rows behind `behind_seq`. `None`: there are none, or all are too new.
fn prune_window(
    tx: &mut Tx,
    behind_seq: i64,
) -> BoxFuture<'_, Result<Option<Window>, sqlx::Error>> {
    Box::pin(async move {
        let row = tx
            .row(
                "/* prune_window */
                select max(seq), min(at_ms), (select max(horizon_at_ms) from op_horizon)
                from (
                    select seq, at_ms from op_log where $1 < seq order by seq limit $2
                ) as next_rows",
                &[Arg::Int(behind_seq), Arg::Int(ROWS_MAX)],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let bounds = (row.optional_int(0)?, row.optional_int(1)?, row.optional_int(2)?);
        let (Some(to_seq), Some(oldest_at_ms), Some(horizon_at_ms)) = bounds else {
            return Ok(None);
        };
        if horizon_at_ms < oldest_at_ms {
            return Ok(None);
        }
        let mut rows = 0;
        // The undo of what goes now goes in the next round.
        loop {
            let pruned = delete(tx, behind_seq, to_seq).await?;
            if pruned == 0 {
                return Ok(Some(Window { to_seq, rows }));
            }
            rows += pruned;
        }
    })
}

async fn delete(tx: &mut Tx, behind_seq: i64, to_seq: i64) -> Result<u64, sqlx::Error> {
    // A trigger notes in `op_pruned` that something is gone, whoever deletes it.
    tx.execute(
        "/* prune_operations */
            delete from op_log
            where $1 < seq and seq <= $2 and state <> 'INTENDED'
                and not exists (
                    select 1 from op_log as original where original.op_id = op_log.reverses
                )
                and (
                    exists (
                        select 1 from op_horizon
                        where op_horizon.log_id = op_log.log_id
                            and op_log.saga_started_at_ms < horizon_at_ms
                    )
                    -- Nobody knows of which log it is: it is behind all of them.
                    or (
                        saga_started_at_ms is null
                        and at_ms < (select min(horizon_at_ms) from op_horizon)
                        and not exists (
                            select 1 from log_mark
                            where log_id not in (select log_id from op_horizon)
                        )
                    )
                )",
        &[Arg::Int(behind_seq), Arg::Int(to_seq)],
    )
    .await
}

fn prune_service<'a>(tx: &'a mut Tx, prune: &'static Prune) -> Pruned<'a> {
    Box::pin(async move {
        let sql = "/* pruned */ select at_ms from op_pruned";
        let Some(row) = tx.row(sql, &[]).await? else { return Ok(0) };
        let batch = Batch { pruned_at_ms: row.int(0)?, rows_max: ROWS_MAX };
        let deleted = (prune.batch)(tx, batch).await?;
        tracing::debug!(prune.what, deleted, "pruned what belongs to operations of long ago");
        Ok(deleted)
    })
}
