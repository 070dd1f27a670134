//! The clock that ages are judged by, and a way to move it.
//!
//! Several instances share a database, and their clocks may be apart: what one intended, and
//! another asks about, is as old as the database says.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use saga_participant::{Database, OperationError, Tx};

/// The database's clock, or the wall's, moved by an offset. It decides when a provider's windows have passed,
/// and never what was paid.
#[derive(Debug, Default)]
pub struct Clock {
    offset_ms: AtomicI64,
    database: OnceLock<Database>,
}

impl Clock {
    /// A clock that is ahead of the wall by `offset_ms`.
    pub fn moved_by(offset_ms: i64) -> Self {
        Self { offset_ms: AtomicI64::new(offset_ms), database: OnceLock::new() }
    }

    /// From now on intents and their ages are judged by this database's clock.
    pub(crate) fn follow(&self, database: Database) {
        // Whoever was first stays: a service has one database.
        let _ = self.database.set(database);
    }

    /// The service's database, once it serves.
    pub(crate) fn database(&self) -> Option<&Database> {
        self.database.get()
    }

    /// What the clock says by which intents are dated.
    ///
    /// # Errors
    ///
    /// As of [`Database::read`].
    pub(crate) async fn database_ms(&self) -> Result<i64, OperationError> {
        let database_ms = match self.database.get() {
            None => wall_ms(),
            Some(database) => {
                database.read(|mut tx| async move { Ok(database_ms(&mut tx).await?) }).await?
            }
        };
        Ok(database_ms.saturating_add(self.offset_ms.load(Ordering::Acquire)))
    }

    /// Milliseconds since the Unix epoch, by the wall.
    pub fn now_ms(&self) -> i64 {
        wall_ms().saturating_add(self.offset_ms.load(Ordering::Acquire))
    }

    /// From now on the clock is ahead of the wall by `offset_ms`.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::Release);
    }
}

/// When something is intended: by the database's clock, which all instances share. SQLite has
/// the wall's.
pub(crate) async fn database_ms(tx: &mut Tx) -> Result<i64, sqlx::Error> {
    if !tx.is_postgres() {
        return Ok(wall_ms());
    }
    let now = "/* clock::database_ms */
        select floor(extract(epoch from clock_timestamp()) * 1000)::bigint";
    tx.row(now, &[]).await?.ok_or(sqlx::Error::RowNotFound)?.int(0)
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that others ask")]
fn wall_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
