//! An open transaction and its statements.

use std::sync::Arc;

use sqlx::{Postgres, Sqlite, Transaction};
use tokio::time::Instant;

use super::{
    gate::Permit,
    metrics::Metrics,
    sql::{self, Arg, Row, Sql},
    statement::{Dialect, refuse_control},
};
use crate::error::OperationError;

/// An open transaction. Dropped, it is rolled back.
#[derive(Debug)]
pub struct Tx {
    of: TxOf,
    /// A statement was refused. What came before it must not be committed without it,
    /// even where the database would let it (SQLite) or would roll back and call that a
    /// success (PostgreSQL).
    failed: bool,
    ended: Ended,
    _permit: Permit,
}

/// Counts a transaction at its end: rolled back, unless something else is said before.
#[derive(Debug)]
struct Ended {
    metrics: Arc<Metrics>,
    began: Instant,
    how: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    RolledBack,
    Committed,
    Unknown,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let Self { metrics, began, how } = self;
        metrics.took.took(began.elapsed());
        match how {
            End::RolledBack => metrics.rolled_back.inc(),
            End::Committed => metrics.committed.inc(),
            End::Unknown => metrics.unknown.inc(),
        };
    }
}

#[derive(Debug)]
pub(super) enum TxOf {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Tx {
    pub(super) fn new(of: TxOf, permit: Permit, metrics: &Arc<Metrics>) -> Self {
        let metrics = Arc::clone(metrics);
        let ended = Ended { metrics, began: Instant::now(), how: End::RolledBack };
        Self { of, failed: false, ended, _permit: permit }
    }

    /// Whether this is a transaction of PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        matches!(self.of, TxOf::Postgres(_))
    }

    /// Runs a statement; returns how many rows it changed.
    ///
    /// # Errors
    ///
    /// Those of the database, and that it would begin, end or mark a transaction. The
    /// transaction cannot be committed any more.
    pub async fn execute(
        &mut self,
        sql: impl Into<Sql>,
        args: &[Arg<'_>],
    ) -> Result<u64, sqlx::Error> {
        let sql = self.allowed(sql)?;
        let done = self.of.execute(sql, args).await;
        self.noted(done)
    }

    /// Runs a statement; returns its rows.
    ///
    /// # Errors
    ///
    /// As of [`Tx::execute`].
    pub async fn rows(
        &mut self,
        sql: impl Into<Sql>,
        args: &[Arg<'_>],
    ) -> Result<Vec<Row>, sqlx::Error> {
        let sql = self.allowed(sql)?;
        let rows = self.of.rows(sql, args).await;
        self.noted(rows)
    }

    /// The first row of a statement, if there is one.
    ///
    /// # Errors
    ///
    /// As of [`Tx::execute`].
    pub async fn row(
        &mut self,
        sql: impl Into<Sql>,
        args: &[Arg<'_>],
    ) -> Result<Option<Row>, sqlx::Error> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Runs several statements without arguments, such as a migration.
    ///
    /// # Errors
    ///
    /// As of [`Tx::execute`].
    pub async fn script(&mut self, sql: impl Into<Sql>) -> Result<(), sqlx::Error> {
        let sql = self.allowed(sql)?;
        let done = self.of.script(sql).await;
        self.noted(done)
    }

    /// What a service asks, unless it would end the transaction.
    fn allowed(&mut self, sql: impl Into<Sql>) -> Result<Sql, sqlx::Error> {
        let dialect = if self.is_postgres() { Dialect::Postgres } else { Dialect::Sqlite };
        let sql = sql.into();
        let allowed = refuse_control(sql, dialect).map(|()| sql);
        self.noted(allowed)
    }

    fn noted<T>(&mut self, done: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.failed |= done.is_err();
        done
    }

    /// Marks the place that [`Tx::undo_to_mark`] goes back to.
    pub(crate) async fn mark(&mut self) -> Result<(), sqlx::Error> {
        self.control("/* mark */ savepoint effect").await
    }

    /// Takes back everything since [`Tx::mark`], a statement that was refused with it.
    pub(crate) async fn undo_to_mark(&mut self) -> Result<(), sqlx::Error> {
        self.control("/* undo_to_mark */ rollback to savepoint effect").await?;
        self.failed = false;
        Ok(())
    }

    /// Begins, ends or marks a transaction: only for the kit itself.
    pub(crate) async fn control(&mut self, text: &'static str) -> Result<(), sqlx::Error> {
        let done = self.of.script(text.into()).await;
        self.noted(done)
    }

    /// As [`Tx::rows`], for the kit's own record, which looks after the transaction itself.
    pub(crate) async fn record(
        &mut self,
        sql: Sql,
        args: &[Arg<'_>],
    ) -> Result<Vec<Row>, sqlx::Error> {
        let rows = self.of.rows(sql, args).await;
        self.noted(rows)
    }

    /// Makes the changes durable, unless one of its statements was refused: then all are
    /// taken back (D10).
    ///
    /// # Errors
    ///
    /// [`OperationError::Unknown`]: nobody knows whether the changes were made durable.
    pub async fn commit(mut self) -> Result<(), OperationError> {
        if self.failed {
            tracing::error!("a transaction went on after a statement was refused");
            self.rollback().await;
            return Err(OperationError::broken());
        }
        let committed = match self.of {
            TxOf::Postgres(tx) => tx.commit().await,
            TxOf::Sqlite(tx) => tx.commit().await,
        };
        self.ended.how = if committed.is_ok() { End::Committed } else { End::Unknown };
        committed.map_err(|source| {
            tracing::warn!(error = %source, "a commit was not answered");
            OperationError::commit_unknown()
        })
    }

    /// Takes the changes back. That an error is not reported is no loss: a transaction
    /// that was not committed is gone in any case.
    pub async fn rollback(self) {
        let undone = match self.of {
            TxOf::Postgres(tx) => tx.rollback().await,
            TxOf::Sqlite(tx) => tx.rollback().await,
        };
        if let Err(source) = undone {
            tracing::debug!(error = %source, "a rollback was not answered");
        }
    }
}

impl TxOf {
    async fn execute(&mut self, sql: Sql, args: &[Arg<'_>]) -> Result<u64, sqlx::Error> {
        match self {
            Self::Postgres(tx) => {
                let arguments = sql::postgres_arguments(args)?;
                let done = sqlx::query_with(sql.postgres, arguments).execute(&mut **tx).await?;
                Ok(done.rows_affected())
            }
            Self::Sqlite(tx) => {
                let arguments = sql::sqlite_arguments(args)?;
                let done = sqlx::query_with(sql.sqlite, arguments).execute(&mut **tx).await?;
                Ok(done.rows_affected())
            }
        }
    }

    async fn rows(&mut self, sql: Sql, args: &[Arg<'_>]) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Postgres(tx) => {
                let arguments = sql::postgres_arguments(args)?;
                let rows = sqlx::query_with(sql.postgres, arguments).fetch_all(&mut **tx).await?;
                Ok(rows.into_iter().map(Row::postgres).collect())
            }
            Self::Sqlite(tx) => {
                let arguments = sql::sqlite_arguments(args)?;
                let rows = sqlx::query_with(sql.sqlite, arguments).fetch_all(&mut **tx).await?;
                Ok(rows.into_iter().map(Row::sqlite).collect())
            }
        }
    }

    async fn script(&mut self, sql: Sql) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(tx) => sqlx::raw_sql(sql.postgres).execute(&mut **tx).await.map(drop),
            Self::Sqlite(tx) => sqlx::raw_sql(sql.sqlite).execute(&mut **tx).await.map(drop),
        }
    }
}
