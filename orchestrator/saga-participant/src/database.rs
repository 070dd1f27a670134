//! PostgreSQL and SQLite behind one small facade: a bounded number of transactions, each
//! in a task of its own, and statements that are written once.
//!
//! A gRPC handler is a future that its client can cancel, and a database future that is
//! cancelled in the middle can hand an open transaction to the next borrower of the
//! connection. So a transaction never lives in a handler: [`Database::write`] and
//! [`Database::read`] run it in a task that reports back and always comes to its end.

use std::{fmt, future::Future, sync::Arc};

use sqlx::{PgPool, SqlitePool};
use tokio_util::task::TaskTracker;

use crate::error::OperationError;

mod connect;
mod gate;
mod metrics;
mod sql;
mod statement;
mod tx;

pub use connect::ConnectError;
use gate::Gate;
pub(crate) use gate::Permit;
use metrics::Metrics;
pub use sql::{Arg, Row, Sql};
pub use tx::Tx;
use tx::TxOf;

/// How much a database is asked to do at once. Beyond it calls are refused, at once and
/// in words: OVERLOADED (S1-17).
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Transactions that are open at the same time, and connections. SQLite has one
    /// writer whatever is set here; it is the number of its readers.
    pub connections_max: u32,
    /// Transactions that may wait for their turn.
    pub waiting_max: u32,
    /// How long one waits for its turn before it is refused.
    pub wait_max_ms: u64,
    /// How long a connection to the database may take.
    pub connect_max_ms: u64,
    /// How long a statement waits for a row that another transaction holds.
    pub lock_wait_max_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 16,
            waiting_max: 1_024,
            wait_max_ms: 10_000,
            connect_max_ms: 5_000,
            lock_wait_max_ms: 5_000,
        }
    }
}

/// A database of a service. Clones share its connections.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Pools,
    writes: Gate,
    reads: Gate,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
}

/// What a transaction may do.
#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

enum Pools {
    Postgres(PgPool),
    Sqlite { writer: SqlitePool, readers: SqlitePool },
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.inner.pools {
            Pools::Postgres(_) => "Database(PostgreSQL)",
            Pools::Sqlite { .. } => "Database(SQLite)",
        })
    }
}

impl Database {
    /// Connects. A SQLite file that is absent is made.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says what to correct. Nothing was changed.
    pub async fn connect(url: &str, limits: Limits) -> Result<Self, ConnectError> {
        let metrics = Arc::<Metrics>::default();
        let writes;
        let pools;
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            pools = Pools::Postgres(connect::postgres(url, limits).await?);
            writes = Gate::new(limits.connections_max, limits, &metrics);
        } else if url.starts_with("sqlite:") {
            pools = connect::sqlite(url, limits).await?;
            writes = Gate::new(1, limits, &metrics);
        } else {
            let problem = "it begins with neither postgres:// nor sqlite:".to_owned();
            return Err(ConnectError::UrlInvalid { problem });
        }
        // PostgreSQL's readers and writers share the connections and so the gate.
        let reads = match pools {
            Pools::Postgres(_) => writes.clone(),
            Pools::Sqlite { .. } => Gate::new(limits.connections_max, limits, &metrics),
        };
        let tasks = TaskTracker::new();
        Ok(Self { inner: Arc::new(Inner { pools, writes, reads, metrics, tasks }) })
    }

    /// Whether nobody can listen to what is said with the database at `url`: it is on this
    /// machine, or its certificate is checked.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Insecure`] says what to do. Nobody was connected to.
    pub fn check_secret(url: &str) -> Result<(), ConnectError> {
        connect::check_secret(url)
    }

    /// Whether this is PostgreSQL, where several transactions write at once.
    pub fn is_postgres(&self) -> bool {
        matches!(self.inner.pools, Pools::Postgres(_))
    }

    /// Runs `work` in a transaction that may write, in a task that goes on to its end
    /// although the caller is gone. `work` ends it with [`Tx::commit`]; a transaction
    /// that is dropped is rolled back.
    ///
    /// # Errors
    ///
    /// [`OperationError::Overloaded`]: `work` was not called. Others are those of `work`
    /// and of the database; [`Tx::commit`] says when a change may have happened.
    pub async fn write<T, W>(
        &self,
        work: impl FnOnce(Tx) -> W + Send + 'static,
    ) -> Result<T, OperationError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, OperationError>> + Send + 'static,
    {
        self.run(Access::Write, work).await
    }

    /// Runs `work` in a transaction that sees one moment of the database and changes
    /// nothing. In a task of its own, as [`Database::write`] does.
    ///
    /// # Errors
    ///
    /// [`OperationError::Overloaded`], those of `work` and of the database.
    pub async fn read<T, W>(
        &self,
        work: impl FnOnce(Tx) -> W + Send + 'static,
    ) -> Result<T, OperationError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, OperationError>> + Send + 'static,
    {
        self.run(Access::Read, work).await
    }

    async fn run<T, W>(
        &self,
        access: Access,
        work: impl FnOnce(Tx) -> W + Send + 'static,
    ) -> Result<T, OperationError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, OperationError>> + Send + 'static,
    {
        let gate = match access {
            Access::Read => &self.inner.reads,
            Access::Write => &self.inner.writes,
        };
        let permit = gate.enter().await?;
        let database = self.clone();
        let work = async move {
            let tx = match access {
                Access::Read => database.begin_read(permit).await?,
                Access::Write => database.begin_write(permit).await?,
            };
            work(tx).await
        };
        self.finish(work).await
    }

    /// Whether it answers a question. One that is overloaded does.
    pub(crate) async fn answers(&self) -> bool {
        let asked =
            self.read(|mut tx| async move { Ok(tx.row("/* probe */ select 1", &[]).await?) });
        matches!(asked.await, Ok(_) | Err(OperationError::Overloaded(_)))
    }

    /// Waits for the tasks that are under way, then closes the connections.
    pub async fn close(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        match &self.inner.pools {
            Pools::Postgres(pool) => pool.close().await,
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }

    /// Runs `work` in a task that nobody can cancel, and waits for it.
    pub(crate) async fn finish<T, W>(&self, work: W) -> Result<T, OperationError>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, OperationError>> + Send + 'static,
    {
        self.inner.tasks.spawn(work).await.unwrap_or_else(|source| {
            tracing::error!(error = %source, "a transaction ended in a panic");
            Err(OperationError::broken())
        })
    }

    /// The tasks that [`Database::close`] waits for.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.inner.tasks
    }

    /// Waits for its turn to write. May be cancelled: no database future is involved.
    pub(crate) async fn enter_write(&self) -> Result<Permit, OperationError> {
        self.inner.writes.enter().await
    }

    /// Takes a turn to write where nobody wants it now: for work that can wait.
    pub(crate) fn try_enter_write(&self) -> Option<Permit> {
        self.inner.writes.try_enter()
    }

    /// Waits for its turn to write, however long: for work that was promised already.
    pub(crate) async fn enter_promised_write(&self) -> Permit {
        self.inner.writes.enter_promised().await
    }

    /// Begins a transaction that may write. Only inside a task that is never cancelled.
    pub(crate) async fn begin_write(&self, permit: Permit) -> Result<Tx, OperationError> {
        let of = match &self.inner.pools {
            Pools::Postgres(pool) => {
                // The barrier needs each statement to see what has been committed by then.
                let begin = "begin isolation level read committed";
                pool.begin_with(begin).await.map(TxOf::Postgres)
            }
            Pools::Sqlite { writer, .. } => {
                // Whoever ends the transaction takes the mark away; see `op_log::record`.
                let begin = "begin immediate; savepoint operation";
                writer.begin_with(begin).await.map(TxOf::Sqlite)
            }
        };
        let of = of.map_err(OperationError::not_begun)?;
        Ok(Tx::new(of, permit, &self.inner.metrics))
    }

    async fn begin_read(&self, permit: Permit) -> Result<Tx, OperationError> {
        let of = match &self.inner.pools {
            Pools::Postgres(pool) => {
                let begin = "begin isolation level repeatable read read only";
                pool.begin_with(begin).await.map(TxOf::Postgres)
            }
            Pools::Sqlite { readers, .. } => readers.begin_with("begin").await.map(TxOf::Sqlite),
        };
        let of = of.map_err(OperationError::not_begun)?;
        Ok(Tx::new(of, permit, &self.inner.metrics))
    }
}
