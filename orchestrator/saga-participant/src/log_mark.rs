//! How far each log of sagas has said that it is.
//!
//! A log that was restored from a backup does not know what it lost; its participants do,
//! if they keep what they heard. A row that every call updates would let one operation wait
//! for another, so the highest mark is kept in memory and written behind, in a transaction
//! of its own and at most four times a second.
//!
//! What is told was written before, so it is never taken back, and it misses nothing that
//! this process has heard. What a process that died, or another replica, has heard within
//! its last quarter of a second may be missing.
//!
//! A call of an epoch below the known one comes from a log that was restored without being
//! noticed yet. It is answered as any other: the operation log holds whatever its past is,
//! and the mark stays what it was.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use saga_proto::saga::participant::v1::GetLogMarkResponse;
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::{
    database::{Arg, Tx},
    error::OperationError,
    participant::Participant,
};

/// The log's id, a UUID.
pub const LOG_ID_KEY: &str = "saga-log-id";
/// The log's epoch, from 1: one more after each restore.
pub const LOG_EPOCH_KEY: &str = "saga-log-epoch";
/// Up to when the log is known to be durable, in milliseconds since the Unix epoch.
pub const LOG_AT_MS_KEY: &str = "saga-log-at-ms";

const WRITE_EVERY: Duration = Duration::from_millis(250);

/// A later one is greater. In a new epoch the time may have gone back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    epoch: i64,
    at_ms: i64,
}

/// The marks that this process has heard and not written yet.
#[derive(Debug, Default)]
pub(crate) struct LogMarks {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    unwritten: BTreeMap<Uuid, Mark>,
    /// Whether a task writes them.
    written_behind: bool,
}

impl LogMarks {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a mark. Returns whether a task has to be started that writes it.
    fn hear(&self, log_id: Uuid, mark: Mark) -> bool {
        let mut state = self.state();
        let highest = state.unwritten.entry(log_id).or_insert(mark);
        *highest = mark.max(*highest);
        !std::mem::replace(&mut state.written_behind, true)
    }

    fn heard(&self, log_id: Uuid) -> Option<Mark> {
        self.state().unwritten.get(&log_id).copied()
    }

    /// What has to be written; none, and then nobody is at it.
    fn unwritten(&self) -> BTreeMap<Uuid, Mark> {
        let mut state = self.state();
        state.written_behind = !state.unwritten.is_empty();
        state.unwritten.clone()
    }

    fn written(&self, marks: &BTreeMap<Uuid, Mark>) {
        let higher = |log_id: &Uuid, mark: &mut Mark| marks.get(log_id).is_none_or(|it| it < mark);
        self.state().unwritten.retain(higher);
    }

    /// Leaves what is not written to the next call.
    fn give_up(&self) {
        self.state().written_behind = false;
    }
}

impl<S: Send + Sync + 'static> Participant<S> {
    /// Keeps what a call says of its log. What is not well formed is passed over: nothing
    /// of an operation depends on it.
    pub(crate) fn hear_log(&self, metadata: &MetadataMap) {
        if let Some((log_id, mark)) = told(metadata)
            && self.shared.log_marks.hear(log_id, mark)
        {
            self.shared.database.tasks().spawn(write_behind(self.clone()));
        }
    }

    /// What is known of a log, written before it is told.
    pub(crate) async fn log_mark(
        &self,
        log_id: Uuid,
    ) -> Result<GetLogMarkResponse, OperationError> {
        let heard = self.shared.log_marks.heard(log_id);
        let work = move |mut tx: Tx| async move {
            if let Some(mark) = heard {
                raise(&mut tx, log_id, mark).await?;
            }
            let sql = "/* log_mark */ select epoch, at_ms from log_mark where log_id = $1";
            let Some(row) = tx.row(sql, &[Arg::Uuid(log_id)]).await? else {
                return Ok(GetLogMarkResponse::default());
            };
            let (epoch, at_ms) = (row.int(0)?.unsigned_abs(), row.int(1)?.unsigned_abs());
            tx.commit().await?;
            Ok(GetLogMarkResponse { known: true, epoch, at_ms })
        };
        self.shared.database.write(work).await
    }

    async fn write_marks(&self, marks: &BTreeMap<Uuid, Mark>) -> Result<(), OperationError> {
        let database = &self.shared.database;
        let mut tx = database.begin_write(database.enter_promised_write().await).await?;
        for (log_id, mark) in marks {
            raise(&mut tx, *log_id, *mark).await?;
        }
        tx.commit().await
    }
}

/// Writes marks until nothing new is heard for a while.
async fn write_behind<S: Send + Sync + 'static>(participant: Participant<S>) {
    let log_marks = &participant.shared.log_marks;
    loop {
        let marks = log_marks.unwritten();
        if marks.is_empty() {
            return;
        }
        if let Err(error) = participant.write_marks(&marks).await {
            tracing::warn!(%error, "the marks of logs were not written; the next call tries again");
            log_marks.give_up();
            return;
        }
        log_marks.written(&marks);
        tokio::time::sleep(WRITE_EVERY).await;
    }
}

async fn raise(tx: &mut Tx, log_id: Uuid, mark: Mark) -> Result<(), sqlx::Error> {
    tx.execute(
        "/* raise_log_mark */
        insert into log_mark (log_id, epoch, at_ms) values ($1, $2, $3)
        on conflict (log_id) do update set epoch = excluded.epoch, at_ms = excluded.at_ms
        where (log_mark.epoch, log_mark.at_ms) < (excluded.epoch, excluded.at_ms)",
        &[Arg::Uuid(log_id), Arg::Int(mark.epoch), Arg::Int(mark.at_ms)],
    )
    .await
    .map(drop)
}

fn told(metadata: &MetadataMap) -> Option<(Uuid, Mark)> {
    let value = |key: &str| metadata.get(key)?.to_str().ok();
    let number = |key: &str| value(key)?.parse::<i64>().ok().filter(|it| 0 < *it);
    let log_id = Uuid::try_parse(value(LOG_ID_KEY)?).ok()?;
    Some((log_id, Mark { epoch: number(LOG_EPOCH_KEY)?, at_ms: number(LOG_AT_MS_KEY)? }))
}
