//! The log in one SQLite file, for one orchestrator on one machine.
//!
//! A lock keeps every other process out. Everything that changes something goes
//! through one connection; readers have a few of their own, and never wait for it.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use saga_core::{NodeId, SagaId};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Executor, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;
use uuid::Uuid;

use self::file::{LogFile, Replaced, WriteAhead};
pub(crate) use self::inspect::inspect;
use crate::open::{OpenError, OpenOptions, check_schema, unreachable};
use crate::plan::{self, Plan};
use crate::rows::{
    self, DefinitionRecord, EpochRecord, IdentityRecord, LogRecord, NodeRecord,
    ParticipantActRecord, SagaRecord, to_i64,
};
use crate::sql::{self, bound, sql_acts, sql_finds, sql_store, sql_times};
use crate::store::{
    AgeRow, Append, CauseGroup, ClaimQuery, Count, DefinitionRow, EpochRow, HeldQuery, ListPage,
    ListQuery, LogIdentity, LogRow, NodeRow, ParticipantAct, SagaRow, StoreError, Written,
};

mod file;
mod inspect;
mod stamp;
mod write;

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("migrations/sqlite");
    migrator.dangerous_set_table_name("saga_log_schema");
    migrator
});

/// The log in an SQLite file.
pub struct SqliteStore {
    readers: SqlitePool,
    writer: Arc<Writer>,
}

struct Writer {
    options: SqliteConnectOptions,
    /// Whoever writes takes it out and puts it back when it is in order again, so a write
    /// that is abandoned closes it, which rolls back.
    slot: Mutex<Option<Writing>>,
    /// Behind the connections: it outlives them. The system frees it when the process dies.
    file: LogFile,
}

/// The connection that writes, and the write-ahead log that it writes to.
struct Writing {
    connection: SqliteConnection,
    write_ahead: WriteAhead,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("file", &self.writer.file.path())
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    const KIND: &str = "sqlite";
    const EXCLUSIVE: bool = true;
    /// It guesses without numbers about the rows.
    const NAMES_INDEX: bool = true;
    /// It runs in this process, and has the clock of this machine.
    const CLOCK: Option<&'static str> = None;

    /// Opens the log in the file at `path`, and locks it, with `path` + `.lock` beside it.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what an operator has to do. Without `migrate`, nothing was changed.
    pub async fn open(path: &Path, options: OpenOptions) -> Result<Self, OpenError> {
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|it| !it.exists()) {
            return Err(OpenError::FolderMissing { folder: folder.to_owned() });
        }
        if !options.migrate && !fs::exists(path).map_err(unreachable)? {
            return Err(OpenError::SchemaMissing);
        }
        let file = LogFile::lock(path, options.migrate)?;
        let connect = SqliteConnectOptions::new()
            .filename(file.path())
            .journal_mode(SqliteJournalMode::Wal)
            // A commit that was answered survives a power cut, not only a crash.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(false)
            .busy_timeout(Duration::from_secs(5))
            .pragma("journal_size_limit", "67108864")
            .disable_statement_logging();
        let mut connection = connect.connect().await.map_err(unreachable)?;
        if options.migrate {
            migrate(&mut connection).await?;
        }
        check_schema(&MIGRATOR, schema_version(&mut connection).await?)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers_max)
            .connect_lazy_with(connect.clone().pragma("query_only", "1"));
        // Into the file at once, so that it is told from all others from here on.
        file.stamp(&mut connection).await.map_err(unreachable)?;
        connection.execute("/* open */ pragma wal_checkpoint").await.map_err(unreachable)?;
        let write_ahead = file.write_ahead().map_err(unreachable)?;
        let slot = Mutex::new(Some(Writing { connection, write_ahead }));
        Ok(Self { readers, writer: Arc::new(Writer { options: connect, slot, file }) })
    }

    /// Runs `work` on a reading connection, in a task of its own. Dropping the future that
    /// waits for it changes nothing.
    async fn read<T, W>(&self, operation: &'static str, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut SqliteConnection) -> BoxFuture<'_, Result<T, sqlx::Error>> + Send + 'static,
    {
        let readers = self.readers.clone();
        let lane = tokio::spawn(async move {
            let mut connection = readers.acquire().await?;
            work(&mut connection).await
        });
        let done = lane.await.map_err(|died| unavailable(operation, died))?;
        done.map_err(|error| classify(operation, error))
    }

    /// Runs `work`, which changes something, on the writing connection, in a task of its own.
    async fn edit<T, W>(&self, operation: &'static str, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut SqliteConnection) -> BoxFuture<'_, Result<T, sqlx::Error>> + Send + 'static,
    {
        let writer = self.writer.clone();
        let lane = tokio::spawn(async move {
            let mut slot = writer.slot.lock().await;
            let mut writing = writer.take(&mut slot).await?;
            let done = work(&mut writing.connection).await?;
            writer.file.check(&writing.write_ahead).map_err(replaced)?;
            *slot = Some(writing);
            Ok(done)
        });
        let done = lane.await.map_err(|died| unavailable(operation, died))?;
        done.map_err(|error| classify(operation, error))
    }

    /// Writes each wave of the batch in one transaction.
    async fn write_batch(&self, batch: &[Append]) -> Result<Vec<Written>, StoreError> {
        let mut plan = Plan::of(batch)?;
        let mut slot = self.writer.slot.lock().await;
        // Whatever goes wrong before the first row, no row is to blame for.
        let mut writing =
            self.writer.take(&mut slot).await.map_err(|error| unavailable("write", error))?;
        let stamped = self.writer.file.stamp(&mut writing.connection).await;
        stamped.map_err(|error| unavailable("write", error))?;
        while let Some(wave) = plan.next_wave() {
            // An error leaves the slot empty: closing the connection rolls back.
            let written = write::write_wave(&mut writing.connection, &wave).await?;
            let file = self.writer.file.check(&writing.write_ahead);
            file.map_err(|replaced| unavailable("write", replaced))?;
            plan.answer(written);
        }
        *slot = Some(writing);
        Ok(plan.into_answers())
    }
}

sql_store!(SqliteStore);
sql_times!(SqliteStore);
sql_acts!(SqliteStore);
sql_finds!(SqliteStore, SqliteConnection);

impl Writer {
    /// Takes the connection out of its slot, or makes a new one.
    async fn take(&self, slot: &mut Option<Writing>) -> Result<Writing, sqlx::Error> {
        if let Some(writing) = slot.take() {
            return Ok(writing);
        }
        let mut connection = self.options.connect().await?;
        // The first look opens the write-ahead log.
        connection.execute(sql::IDENTITY).await?;
        let write_ahead = self.file.write_ahead().map_err(replaced)?;
        Ok(Writing { connection, write_ahead })
    }
}

fn replaced(replaced: Replaced) -> sqlx::Error {
    sqlx::Error::Configuration(replaced.into())
}

async fn schema_version(connection: &mut SqliteConnection) -> Result<Option<i64>, OpenError> {
    let exists: bool = sqlx::query_scalar(
        "/* schema_version */
        select exists (select 1 from sqlite_schema where name = 'saga_log_schema')",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(unreachable)?;
    if !exists {
        return Ok(None);
    }
    sqlx::query_scalar(
        "/* schema_version */ select max(version) from saga_log_schema where success",
    )
    .fetch_one(connection)
    .await
    .map_err(unreachable)
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    if let Some(found) = schema_version(connection).await?
        && let Err(error @ OpenError::SchemaTooNew { .. }) = check_schema(&MIGRATOR, Some(found))
    {
        return Err(error);
    }
    MIGRATOR.run(connection).await.map_err(|source| OpenError::Migration { source })
}

/// What a caller can do about an error. What the data is to blame for is refused for good;
/// everything else, a full disk among it, is worth another try.
fn classify(operation: &'static str, error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(refusal) => {
            let extended = refusal.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or(0);
            // TOOBIG, CONSTRAINT, MISMATCH. The low byte is the primary code.
            if matches!(extended & 0xff, 18..=20) {
                return StoreError::Rejected { operation, source: error.into() };
            }
            unavailable(operation, error)
        }
        sqlx::Error::Encode(_) => StoreError::Rejected { operation, source: error.into() },
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
            StoreError::Damaged { operation, what: error.to_string() }
        }
        _ => unavailable(operation, error),
    }
}

fn unavailable<E>(operation: &'static str, source: E) -> StoreError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    StoreError::Unavailable { operation, source: source.into() }
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection as _};

    use super::*;
    use crate::store::{Filter, Status, TextColumn};

    /// What people ask for is found by an index, however many sagas there are.
    #[tokio::test]
    async fn lists_never_read_the_whole_table() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrate(&mut connection).await.unwrap();
        let running = Filter::Status(Status::Running);
        let refund = Filter::is(TextColumn::Definition, "refund");
        let rest = Filter::is(TextColumn::TurnedBack, "STEP_REJECTED");
        let label = Filter::Label { name: "customer".to_owned(), value: "c-1".to_owned() };
        for (filter, index) in [
            (Filter::default(), "PRIMARY KEY"),
            (running.clone(), "saga_status"),
            (Filter::Any(vec![running.clone(), Filter::Status(Status::Closed)]), "saga_status"),
            (Filter::Stuck, "saga_stuck"),
            (Filter::Every(vec![running, refund.clone()]), "saga_definition"),
            (Filter::Every(vec![refund, Filter::Not(Box::new(rest.clone()))]), "saga_definition"),
            (Filter::Every(vec![rest, label]), "PRIMARY KEY"),
        ] {
            let query = ListQuery { before: None, rows_max: 9, looks_max: 99, filter };
            let find = sql::find::Find::of(&query, true).unwrap();
            let end = Some(SagaId(Uuid::nil()));
            for statement in [find.end(), find.page(end), find.page(None), find.count(end)] {
                let explain = AssertSqlSafe(format!("explain query plan {}", statement.text));
                let explain = bound!(sqlx::query_as(explain), statement.binds);
                let plan: Vec<(i64, i64, i64, String)> =
                    explain.fetch_all(&mut connection).await.unwrap();
                let plan: Vec<String> = plan.into_iter().map(|(.., step)| step).collect();
                let is_look = |step: &&String| {
                    ["saga", "saga_label"].iter().any(|table| {
                        step.starts_with(&format!("SEARCH {table} "))
                            || step.starts_with(&format!("SCAN {table}"))
                    })
                };
                let looks: Vec<&String> = plan.iter().filter(is_look).collect();
                assert!(!looks.is_empty(), "{plan:#?}");
                let by_index = |step: &&&String| step.starts_with("SEARCH") && step.contains(index);
                assert_eq!(looks.iter().filter(by_index).count(), looks.len(), "{plan:#?}");
            }
        }
    }
}
