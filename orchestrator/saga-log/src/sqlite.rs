//! The log in one SQLite file, for one orchestrator on one machine.
//!
//! A lock file keeps every other process out. Everything that changes something goes
//! through one connection; readers have a few of their own, and never wait for it.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use saga_core::{NodeId, SagaId};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::open::{OpenError, OpenOptions, check_schema, unreachable};
use crate::plan::{self, Plan};
use crate::rows::{self, DefinitionRecord, LogRecord, NodeRecord, SagaRecord, to_i64};
use crate::sql::{self, sql_store};
use crate::store::{
    Append, ClaimQuery, DefinitionRow, ListQuery, LogRow, NodeRow, SagaRow, Status, StoreError,
    StuckGroup, Written,
};

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
    /// Held as long as the store lives. The system frees it when the process dies.
    _lock: File,
}

struct Writer {
    options: SqliteConnectOptions,
    /// Whoever writes takes it out and puts it back when it is in order again, so a write
    /// that is abandoned closes it, which rolls back.
    connection: Mutex<Option<SqliteConnection>>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.writer.options.get_filename();
        f.debug_struct("SqliteStore").field("file", &file).finish_non_exhaustive()
    }
}

impl SqliteStore {
    const KIND: &str = "sqlite";
    const EXCLUSIVE: bool = true;

    /// Opens the log in the file at `path`, with `path` + `.lock` beside it.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what an operator has to do. Without `migrate`, nothing was changed.
    pub async fn open(path: &Path, options: OpenOptions) -> Result<Self, OpenError> {
        if !options.migrate && !fs::exists(path).map_err(unreachable)? {
            return Err(OpenError::SchemaMissing);
        }
        let lock = lock(path)?;
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(options.migrate)
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
            .connect_lazy_with(connect.clone().create_if_missing(false).pragma("query_only", "1"));
        let connection = Mutex::new(Some(connection));
        let writer = Arc::new(Writer { options: connect.create_if_missing(false), connection });
        Ok(Self { readers, writer, _lock: lock })
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
            let mut slot = writer.connection.lock().await;
            let mut connection = writer.take(&mut slot).await?;
            let done = work(&mut connection).await?;
            *slot = Some(connection);
            Ok(done)
        });
        let done = lane.await.map_err(|died| unavailable(operation, died))?;
        done.map_err(|error| classify(operation, error))
    }

    /// Writes each wave of the batch in one transaction.
    async fn write_batch(&self, batch: &[Append]) -> Result<Vec<Written>, StoreError> {
        let mut plan = Plan::of(batch)?;
        let mut slot = self.writer.connection.lock().await;
        let mut connection =
            self.writer.take(&mut slot).await.map_err(|error| classify("write", error))?;
        while let Some(wave) = plan.next_wave() {
            // An error leaves the slot empty: closing the connection rolls back.
            plan.answer(write::write_wave(&mut connection, &wave).await?);
        }
        *slot = Some(connection);
        Ok(plan.into_answers())
    }
}

sql_store!(SqliteStore);

impl Writer {
    /// Takes the connection out of its slot, or makes a new one.
    async fn take(
        &self,
        slot: &mut Option<SqliteConnection>,
    ) -> Result<SqliteConnection, sqlx::Error> {
        match slot.take() {
            Some(connection) => Ok(connection),
            None => self.options.connect().await,
        }
    }
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let file = File::options().create(true).append(true).open(&lock).map_err(unreachable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { lock: lock.into() }),
        Err(TryLockError::Error(error)) => Err(unreachable(error)),
    }
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
