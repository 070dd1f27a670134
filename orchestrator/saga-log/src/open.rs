//! Opens the log that a URL names, and says what to do where that is not possible.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migrator};

use crate::memory::MemoryStore;
use crate::postgres::PostgresStore;
use crate::sqlite::SqliteStore;
use crate::store::Store;

/// How to open a log.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// Bring the schema up to date first, and make the file of an SQLite log where there
    /// is none. Otherwise a schema that is not the one this program knows is an error.
    pub migrate: bool,
    /// Take a database on another machine although its certificate is not checked.
    pub allow_insecure: bool,
    /// Connections for everything but appends. Appends have one of their own.
    pub readers_max: u32,
    /// How long one attempt to write or to read may take before its connection is given
    /// up, in milliseconds. The write is then repeated on a new one.
    pub watchdog_ms: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { migrate: false, allow_insecure: false, readers_max: 8, watchdog_ms: 30_000 }
    }
}

impl OpenOptions {
    /// What one node has open with PostgreSQL: its readers, the writer, and one that asks
    /// whether the server is still there.
    #[must_use]
    pub fn connections_max(&self) -> u32 {
        self.readers_max + 2
    }
}

/// Why a log could not be opened. One variant for each thing an operator can do about it.
/// The texts hold no password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Correct the configuration.
    #[error("log URL: {what}; use postgres://.., sqlite:PATH or memory:")]
    UrlInvalid { what: String },

    /// Have the database's certificate checked.
    #[error(
        "the log's database is at {host}, and its URL does not ask for its certificate to be \
         checked: whoever is on the way could read and change every saga; add \
         ?sslmode=verify-full&sslrootcert=CA.pem to the URL, or say allow_insecure_database = true \
         where something else keeps others away"
    )]
    Insecure { host: String },

    /// Check that the database runs, that its address is right and that it lets us in.
    #[error(
        "the log's database cannot be reached; check that it runs, that its address is right \
         and that it lets us in"
    )]
    Unreachable { source: Box<dyn std::error::Error + Send + Sync> },

    /// Make the folder, or correct the URL.
    #[error("log URL: the folder {} does not exist; make it, or correct the path", folder.display())]
    FolderMissing { folder: PathBuf },

    /// Stop the other process, or give this one a log of its own.
    #[error("another process has the log open: {} is locked", lock.display())]
    InUse { lock: PathBuf },

    /// Go round the pooler.
    #[error(
        "a pooler lends the database's connections per transaction, and the log needs its own; \
         name the database itself in the log's URL, or give the log a pool in session mode"
    )]
    Pooled,

    /// Make a database that can hold any text, and give the log to it.
    #[error(
        "the database has the encoding {found}, and the log needs UTF8; make another one with \
         `create database NAME encoding 'UTF8' template template0` and name it in the log's URL"
    )]
    Encoding { found: String },

    /// Check that the URL names the right database; then migrate it.
    #[error("the database holds no saga log yet")]
    SchemaMissing,

    /// Migrate the database.
    #[error("the log's schema has version {found}, this program needs {known}")]
    SchemaTooOld { found: i64, known: i64 },

    /// Run the newer program, or one that knows this schema.
    #[error("the log's schema has version {found}, this program knows {known} at most; upgrade it")]
    SchemaTooNew { found: i64, known: i64 },

    /// Look into the database; a migration is done as a whole or not at all.
    #[error("the log's schema could not be migrated")]
    Migration { source: MigrateError },
}

/// Opens the log at `url`: `postgres://user@host/database`, `sqlite:PATH` or `memory:`.
///
/// # Errors
///
/// [`OpenError`] says what an operator has to do. Without `migrate`, nothing was changed.
pub async fn open(url: &str, options: OpenOptions) -> Result<Arc<dyn Store>, OpenError> {
    if matches!(url, "memory:" | ":memory:" | "sqlite::memory:") {
        return Ok(Arc::new(MemoryStore::default()));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Arc::new(PostgresStore::open(url, options).await?));
    }
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.contains('?') {
            let what = "an SQLite log needs a path, without options".to_owned();
            return Err(OpenError::UrlInvalid { what });
        }
        return Ok(Arc::new(SqliteStore::open(path.as_ref(), options).await?));
    }
    Err(OpenError::UrlInvalid { what: "unknown kind of database".to_owned() })
}

/// Compares what is in a database with what this program knows. `found` is the newest
/// migration applied, `None` where there was none.
pub(crate) fn check_schema(migrator: &Migrator, found: Option<i64>) -> Result<(), OpenError> {
    let known = newest(migrator);
    match found {
        None => Err(OpenError::SchemaMissing),
        Some(found) if found < known => Err(OpenError::SchemaTooOld { found, known }),
        Some(found) if found > known => Err(OpenError::SchemaTooNew { found, known }),
        Some(_) => Ok(()),
    }
}

/// The newest schema that this program knows.
pub(crate) fn newest(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}

pub(crate) fn unreachable<E>(source: E) -> OpenError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    OpenError::Unreachable { source: source.into() }
}
