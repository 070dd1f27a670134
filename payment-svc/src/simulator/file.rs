//! The simulator's file: how it is opened, its tables, and the clock that it keeps.

use std::{path::Path, time::Duration};

use sqlx::{
    Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::SimulatorError;

/// Version of the file's tables.
pub(super) const SCHEMA_VERSION: i64 = 2;

/// Readers at the same time.
const READERS_MAX: u32 = 4;

/// How long a writer waits for another process that writes the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// An open file.
pub(super) struct File {
    pub(super) writer: SqliteConnection,
    pub(super) reads: SqlitePool,
    pub(super) clock_offset_ms: i64,
}

pub(super) async fn open(path: &Path) -> Result<File, SimulatorError> {
    let unopened = |operation| move |source| SimulatorError::Open { operation, source };

    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT);
    let mut writer =
        SqliteConnection::connect_with(&options).await.map_err(unopened("open the file"))?;
    let found = lay_out(&mut writer).await.map_err(unopened("lay out the tables"))?;
    if found != SCHEMA_VERSION {
        return Err(SimulatorError::SchemaUnknown { found });
    }
    let clock_offset_ms = clock_offset_ms(&mut writer).await.map_err(unopened("read the clock"))?;
    let reads = SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .connect_with(options)
        .await
        .map_err(unopened("open readers"))?;
    Ok(File { writer, reads, clock_offset_ms })
}

/// Makes the tables that are missing, and returns the version of those that are there.
async fn lay_out(writer: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let mut tx = writer.begin_with("begin immediate").await?;
    let found: i64 = sqlx::query_scalar("pragma user_version").fetch_one(&mut *tx).await?;
    let scripts = [include_str!("schema.sql"), include_str!("schema_2.sql")];
    let Some(missing) = usize::try_from(found).ok().and_then(|it| scripts.get(it..)) else {
        return Ok(found);
    };
    for script in missing {
        sqlx::raw_sql(*script).execute(&mut *tx).await?;
    }
    sqlx::raw_sql("pragma user_version = 2").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(SCHEMA_VERSION)
}

async fn clock_offset_ms(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let offset_ms = sqlx::query_scalar(
        "/* file::clock_offset_ms */ select value from setting where name = 'clock_offset_ms'",
    )
    .fetch_optional(connection)
    .await?;
    Ok(offset_ms.unwrap_or(0))
}

/// Moves the clock that the file keeps, and returns its new offset.
pub(super) async fn move_clock(
    connection: &mut SqliteConnection,
    by_ms: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "/* file::move_clock */
        insert into setting (name, value) values ('clock_offset_ms', ?)
        on conflict (name) do update set value = value + excluded.value
        returning value",
    )
    .bind(by_ms)
    .fetch_one(connection)
    .await
}
