//! An open transaction and its statements.

use sqlx::{Postgres, Sqlite, Transaction};

use super::{
    gate::Permit,
    sql::{self, Arg, Row, Sql},
};
use crate::error::OperationError;

/// An open transaction. Dropped, it is rolled back.
#[derive(Debug)]
pub struct Tx {
    of: TxOf,
    _permit: Permit,
}

#[derive(Debug)]
pub(super) enum TxOf {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Tx {
    pub(super) fn new(of: TxOf, permit: Permit) -> Self {
        Self { of, _permit: permit }
    }

    /// Whether this is a transaction of PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        matches!(self.of, TxOf::Postgres(_))
    }

    /// Runs a statement; returns how many rows it changed.
    ///
    /// # Errors
    ///
    /// Those of the database. The transaction cannot be committed any more.
    pub async fn execute(
        &mut self,
        sql: impl Into<Sql>,
        args: &[Arg<'_>],
    ) -> Result<u64, sqlx::Error> {
        let sql = sql.into();
        match &mut self.of {
            TxOf::Postgres(tx) => {
                let arguments = sql::postgres_arguments(args)?;
                let done = sqlx::query_with(sql.postgres, arguments).execute(&mut **tx).await?;
                Ok(done.rows_affected())
            }
            TxOf::Sqlite(tx) => {
                let arguments = sql::sqlite_arguments(args)?;
                let done = sqlx::query_with(sql.sqlite, arguments).execute(&mut **tx).await?;
                Ok(done.rows_affected())
            }
        }
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
        let sql = sql.into();
        match &mut self.of {
            TxOf::Postgres(tx) => {
                let arguments = sql::postgres_arguments(args)?;
                let rows = sqlx::query_with(sql.postgres, arguments).fetch_all(&mut **tx).await?;
                Ok(rows.into_iter().map(Row::postgres).collect())
            }
            TxOf::Sqlite(tx) => {
                let arguments = sql::sqlite_arguments(args)?;
                let rows = sqlx::query_with(sql.sqlite, arguments).fetch_all(&mut **tx).await?;
                Ok(rows.into_iter().map(Row::sqlite).collect())
            }
        }
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
        let sql = sql.into();
        match &mut self.of {
            TxOf::Postgres(tx) => sqlx::raw_sql(sql.postgres).execute(&mut **tx).await.map(drop),
            TxOf::Sqlite(tx) => sqlx::raw_sql(sql.sqlite).execute(&mut **tx).await.map(drop),
        }
    }

    /// Marks the place that [`Tx::undo_to_mark`] goes back to.
    pub(crate) async fn mark(&mut self) -> Result<(), sqlx::Error> {
        self.script("/* mark */ savepoint effect").await
    }

    /// Takes back everything since [`Tx::mark`].
    pub(crate) async fn undo_to_mark(&mut self) -> Result<(), sqlx::Error> {
        self.script("/* undo_to_mark */ rollback to savepoint effect").await
    }

    /// Makes the changes durable.
    ///
    /// # Errors
    ///
    /// [`OperationError::Unknown`]: nobody knows whether the changes were made durable.
    pub async fn commit(self) -> Result<(), OperationError> {
        let committed = match self.of {
            TxOf::Postgres(tx) => tx.commit().await,
            TxOf::Sqlite(tx) => tx.commit().await,
        };
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
