//! The log in PostgreSQL. Several orchestrators share it.
//!
//! Appends have a connection of their own, which is dropped and made again whenever its
//! state is in doubt. Everything else goes through a pool of single statements: nothing in
//! here begins a transaction on a connection of the pool, so no connection can go back to
//! it inside one.

use std::fmt;
use std::pin::pin;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use saga_core::{NodeId, SagaId};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use tokio::sync::Mutex;
use tokio::time;
use uuid::Uuid;

pub(crate) use self::inspect::inspect;
use self::line::Line;
use self::mute::{Mute, SILENT, Trust};
use self::session::Session;
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

mod inspect;
mod line;
mod link;
mod mute;
mod session;
mod write;

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("migrations/postgres");
    // A name of its own: the database may be shared with a service that also uses sqlx.
    migrator.dangerous_set_table_name("saga_log_schema");
    migrator
});

/// The log in a PostgreSQL database.
pub struct PostgresStore {
    options: PgConnectOptions,
    readers: PgPool,
    /// In front of `readers`, so that whoever asks them for a connection finds one free.
    line: Arc<Line>,
    /// The connection that appends. Whoever writes takes it out and puts it back when it is
    /// in order again, so a write that is abandoned closes it.
    writer: Mutex<Option<Session>>,
    trust: Trust,
    watchdog: Duration,
}

impl fmt::Debug for PostgresStore {
    /// Without the connection options, which hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    const KIND: &str = "postgres";
    const EXCLUSIVE: bool = false;
    /// Its planner sees what is bound, and knows the rows.
    const NAMES_INDEX: bool = false;
    const CLOCK: Option<&'static str> =
        Some("/* clock_ms */ select floor(extract(epoch from clock_timestamp()) * 1000)::bigint");

    /// Opens the log at `url`.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what an operator has to do. Without `migrate`, nothing was changed.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self, OpenError> {
        let connect = PgConnectOptions::from_str(url)
            .map_err(|error| OpenError::UrlInvalid { what: error.to_string() })?
            .application_name("amends saga-log");
        let connect = link::secured(connect, options.allow_insecure)?;
        let watchdog = Duration::from_millis(options.watchdog_ms);
        let opening = async {
            let mut connection = connect.connect().await.map_err(unreachable)?;
            session::check_database(&mut connection, &connect).await?;
            if options.migrate {
                migrate(&mut connection).await?;
            }
            check_schema(&MIGRATOR, schema_version(&mut connection).await?)?;
            connection.close().await.map_err(unreachable)?;
            // Before the readers: a role may have so few connections that they have them all,
            // and a node that can read and never write would serve.
            let options = connect.clone().disable_statement_logging();
            Session::writer(&options).await.map_err(unreachable)
        };
        let writer = time::timeout(watchdog, opening).await.map_err(unreachable)??;
        let trust = Trust::new(connect.clone().disable_statement_logging());
        let acquire_max = watchdog.min(ACQUIRE_MAX);
        let line = Arc::new(Line::new(options.readers_max, acquire_max));
        let readers = PgPoolOptions::new()
            .max_connections(options.readers_max)
            .acquire_timeout(acquire_max)
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(session::reader(connection)))
            // Instead of a ping, and as cheap: a primary may have been demoted since.
            .before_acquire({
                let trust = trust.clone();
                move |connection, used| {
                    let trust = trust.clone();
                    Box::pin(async move { answers(connection, &trust, used.idle_for).await })
                }
            })
            .connect_lazy_with(connect.clone());
        let options = connect.disable_statement_logging();
        Ok(Self { options, readers, line, writer: Mutex::new(Some(writer)), trust, watchdog })
    }

    /// Runs `work` in a task of its own, to the end or until the watchdog closes its
    /// connection. Dropping the future that waits for it changes nothing.
    async fn edit<T, W>(&self, operation: &'static str, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut PgConnection) -> BoxFuture<'_, Result<T, sqlx::Error>> + Send + 'static,
    {
        let (readers, line) = (self.readers.clone(), Arc::clone(&self.line));
        let (watchdog, trust) = (self.watchdog, self.trust.clone());
        let lane = tokio::spawn(async move {
            let _place = line.stand().await.map_err(|still| unavailable(operation, still))?;
            let mut connection =
                readers.acquire().await.map_err(|error| unavailable(operation, error))?;
            let done = tokio::select! {
                done = time::timeout(watchdog, work(&mut connection)) => done,
                () = trust.lost() => {
                    drop(connection.detach());
                    return Err(unavailable(operation, Mute));
                }
            };
            match done {
                Ok(Ok(done)) => {
                    line.move_up();
                    Ok(done)
                }
                Ok(Err(error)) => Err(classify(operation, error)),
                Err(late) => {
                    // Closed without a word to the server: a cancel could turn "not
                    // replicated" into success.
                    drop(connection.detach());
                    Err(unavailable(operation, late))
                }
            }
        });
        lane.await.unwrap_or_else(|died| Err(unavailable(operation, died)))
    }

    /// Like [`edit`](Self::edit). Only SQLite tells them apart.
    async fn read<T, W>(&self, operation: &'static str, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut PgConnection) -> BoxFuture<'_, Result<T, sqlx::Error>> + Send + 'static,
    {
        self.edit(operation, work).await
    }

    /// Writes each wave of the batch in one statement, which is a transaction by itself.
    async fn write_batch(&self, batch: &[Append]) -> Result<Vec<Written>, StoreError> {
        let mut plan = Plan::of(batch)?;
        let mut slot = self.writer.lock().await;
        let mut session = match slot.take() {
            Some(session) => session,
            None => self.watched(connect_writer(&self.options)).await?,
        };
        while let Some(wave) = plan.next_wave() {
            match self.write_wave(&mut session, &wave).await {
                Ok(written) => plan.answer(written),
                Err(StoreError::Locked { operation, .. }) => {
                    let saga = wave.first().map(|append| append.saga);
                    let by = self.watched(session::blocker(&mut session.connection, saga)).await?;
                    *slot = Some(session);
                    return Err(StoreError::Locked { operation, by });
                }
                Err(error) => {
                    // After any other error nobody knows what the connection is in.
                    if matches!(error, StoreError::Rejected { .. }) {
                        *slot = Some(session);
                    }
                    return Err(error);
                }
            }
        }
        *slot = Some(session);
        Ok(plan.into_answers())
    }

    /// Writes a wave, and gives up where its connection turns out to be mute.
    async fn write_wave(
        &self,
        session: &mut Session,
        wave: &[&Append],
    ) -> Result<Vec<Written>, StoreError> {
        let backend = session.backend;
        let mut writing = pin!(self.watched(write::write_wave(session, wave)));
        loop {
            if let Ok(done) = time::timeout(SILENT, &mut writing).await {
                return done;
            }
            if self.trust.is_at_work(Some(backend)).await == Some(false) {
                // Unless its answer came meanwhile.
                let done = time::timeout(LAST_WORD, &mut writing).await;
                return done.unwrap_or_else(|_late| Err(unavailable("write", Mute)));
            }
        }
    }

    /// Gives up waiting when the watchdog barks. Whoever calls this drops its connection
    /// then; the server may go on and even commit.
    async fn watched<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        time::timeout(self.watchdog, work)
            .await
            .unwrap_or_else(|late| Err(unavailable("write", late)))
    }
}

sql_store!(PostgresStore);
sql_times!(PostgresStore);
sql_acts!(PostgresStore);
sql_finds!(PostgresStore, PgConnection);

/// How long a reader waits for a connection to be made, and for a line that stands still.
const ACQUIRE_MAX: Duration = Duration::from_secs(5);

/// How long the answer of a connection that seems mute may be on its way to us.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Whether a connection of the pool is to be used: it is not mute, and its server takes
/// writes. Where it is not, another one is made.
async fn answers(
    connection: &mut PgConnection,
    trust: &Trust,
    idle: Duration,
) -> Result<bool, sqlx::Error> {
    if !trust.has(idle) {
        return Ok(false);
    }
    match time::timeout(SILENT, session::refuse_read_only(connection)).await {
        Ok(answer) => answer.map(|()| true),
        Err(_silent) => {
            trust.is_at_work(None).await;
            Ok(false)
        }
    }
}

/// Whatever a new connection is refused for, no row that waits for it is to blame.
async fn connect_writer(options: &PgConnectOptions) -> Result<Session, StoreError> {
    Session::writer(options).await.map_err(|error| unavailable("write", error))
}

async fn schema_version(connection: &mut PgConnection) -> Result<Option<i64>, OpenError> {
    let exists: bool = sqlx::query_scalar(
        "/* schema_version */ select to_regclass('saga_log_schema') is not null",
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

async fn migrate(connection: &mut PgConnection) -> Result<(), OpenError> {
    if let Some(found) = schema_version(connection).await?
        && let Err(error @ OpenError::SchemaTooNew { .. }) = check_schema(&MIGRATOR, Some(found))
    {
        return Err(error);
    }
    MIGRATOR.run(connection).await.map_err(|source| OpenError::Migration { source })
}

/// What a caller can do about an error. What the data is to blame for is refused for good;
/// everything else is worth another try, as nothing was written twice.
fn classify(operation: &'static str, error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(refusal) => {
            let code = refusal.code().unwrap_or_default();
            // Data exception, integrity violation, program limit exceeded.
            if ["22", "23", "54"].iter().any(|class| code.starts_with(class)) {
                return StoreError::Rejected { operation, source: error.into() };
            }
            // lock_not_available: longer than `lock_timeout`.
            if code == "55P03" {
                return StoreError::Locked { operation, by: "somebody else".to_owned() };
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
