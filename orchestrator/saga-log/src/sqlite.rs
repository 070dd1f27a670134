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
use crate::sql::{self, sql_acts, sql_store};
use crate::store::{
    Append, CauseGroup, ClaimQuery, DefinitionRow, EpochRow, Held, ListQuery, LogIdentity, LogRow,
    NodeRow, ParticipantAct, SagaRow, Status, StoreError, Written,
};

mod file;
mod inspect;
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
    /// It runs in this process, and has the clock of this machine.
    const CLOCK: Option<&'static str> = None;

    /// Opens the log in the file at `path`, and locks it, with `path` + `.lock` beside it.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what an operator has to do. Without `migrate`, nothing was changed.
    pub async fn open(path: &Path, options: OpenOptions) -> Result<Self, OpenError> {
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
        let mut writing =
            self.writer.take(&mut slot).await.map_err(|error| classify("write", error))?;
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
sql_acts!(SqliteStore);

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

    /// What people ask for is found by an index, however many sagas there are.
    #[tokio::test]
    async fn lists_never_read_the_whole_table() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrate(&mut connection).await.unwrap();
        for (list, index) in [
            (sql::LIST, "PRIMARY KEY"),
            (sql::LIST_STATUS, "saga_status"),
            (sql::LIST_STUCK, "saga_stuck"),
            (sql::LIST_DEFINITION, "saga_definition"),
        ] {
            let explain = AssertSqlSafe(format!("explain query plan {list}"));
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(explain).fetch_all(&mut connection).await.unwrap();
            let plan: Vec<String> = plan.into_iter().map(|(.., step)| step).collect();
            let looks: Vec<&String> = plan.iter().filter(|step| step.contains(" saga ")).collect();
            assert!(!looks.is_empty(), "{plan:#?}");
            assert!(looks.iter().all(|step| step.contains(index)), "{list}: {plan:#?}");
        }
    }
}
