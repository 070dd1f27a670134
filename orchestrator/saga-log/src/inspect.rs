//! What a log's database is, seen without opening the log: for whoever has to judge whether
//! it keeps what it was told. Changes nothing, and judges nothing.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    open::{OpenError, unreachable},
    postgres, sqlite,
};

/// How long the database may take to answer.
const INSPECT_MAX: Duration = Duration::from_secs(10);

/// What was seen.
#[derive(Clone, Debug)]
pub enum Inspection {
    /// Nothing is kept.
    Memory,
    Sqlite(SqliteFacts),
    Postgres(Box<PostgresFacts>),
}

/// Of an SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteFacts {
    pub path: PathBuf,
    /// What its folder is on, as in `nfs`; None where it is none of those that are known.
    pub file_system: Option<&'static str>,
    pub bytes_free: u64,
    /// Permission bits; None where there is no file yet.
    pub mode: Option<u32>,
    /// The newest migration; None where there is none.
    pub schema: Option<i64>,
    pub schema_known: i64,
}

/// Of a PostgreSQL database, as the log's role sees it.
#[derive(Clone, Debug)]
pub struct PostgresFacts {
    pub version: String,
    /// A pooler lends its connections per transaction.
    pub is_pooled: bool,
    pub encoding: String,
    pub fsync: bool,
    pub full_page_writes: bool,
    pub synchronous_commit: String,
    /// Whose answer a commit waits for. Empty: nobody's.
    pub synchronous_standby_names: String,
    /// Standbys that are connected now.
    pub standbys: i64,
    /// It is one itself, and takes no writes.
    pub is_standby: bool,
    /// This connection is encrypted.
    pub is_encrypted: bool,
    /// Of the machine, which is this one, or a socket.
    pub is_local: bool,
    pub role: String,
    pub is_superuser: bool,
    /// May make tables where the log's are.
    pub may_create: bool,
    /// May do with the log's tables what a node does; None where they are not there.
    pub may_write: Option<bool>,
    pub connections_max: i64,
    /// Of those, kept for superusers.
    pub connections_reserved: i64,
    /// Those of this role alone; negative: no limit.
    pub role_connections_max: i64,
    /// What its clock said, between these two of ours.
    pub clock_ms: i64,
    pub asked_at_ms: i64,
    pub answered_at_ms: i64,
    pub schema: Option<i64>,
    pub schema_known: i64,
}

/// Looks at the log at `url`. `now_ms` is the clock of this machine.
///
/// # Errors
///
/// [`OpenError::UrlInvalid`] or [`OpenError::Unreachable`]: nothing was seen.
pub async fn inspect(url: &str, now_ms: impl Fn() -> i64 + Send) -> Result<Inspection, OpenError> {
    if matches!(url, "memory:" | ":memory:" | "sqlite::memory:") {
        return Ok(Inspection::Memory);
    }
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return Ok(Inspection::Sqlite(sqlite::inspect(Path::new(path)).await?));
    }
    if !["postgres://", "postgresql://"].iter().any(|it| url.starts_with(it)) {
        return Err(OpenError::UrlInvalid { what: "unknown kind of database".to_owned() });
    }
    let looking = postgres::inspect(url, now_ms);
    let facts = tokio::time::timeout(INSPECT_MAX, looking).await.map_err(unreachable)??;
    Ok(Inspection::Postgres(Box::new(facts)))
}
