//! Connections that are open and mute: behind a firewall that forgot them, or from before a
//! failover. Nothing comes back on them, no error either, for as long as TCP likes.
//!
//! What is asked on one may as well be at work, so silence alone proves nothing. A new
//! connection is asked: if it answers, and the server does not work for the silent one, the
//! silent one is mute, and so are all that were last heard of before.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::watch;
use tokio::time::{self, Instant};

/// How long a connection is silent before another one is asked about it.
pub(super) const SILENT: Duration = Duration::from_secs(1);

/// How long the new connection may take.
const ASK_MAX: Duration = Duration::from_secs(1);

const IS_AT_WORK: &str = "/* is_at_work */ select exists (
        select 1 from pg_stat_activity where pid = $1 and state <> 'idle'
    )";

/// A connection that nothing comes back on.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the database is open and mute; new ones answer")]
pub(super) struct Mute;

/// Which connections are not trusted any more.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    options: PgConnectOptions,
    /// Those that were last heard of before this are mute.
    since: Arc<watch::Sender<Instant>>,
}

impl Trust {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options, since: Arc::new(watch::Sender::new(Instant::now())) }
    }

    /// Whether a connection that was last used so long ago is still to be used.
    pub(super) fn has(&self, idle: Duration) -> bool {
        Instant::now().checked_sub(idle).is_some_and(|used| *self.since.borrow() <= used)
    }

    /// Ends when connections that were in use at the call are found to be mute.
    pub(super) async fn lost(&self) {
        let mut since = self.since.subscribe();
        // The sender lives as long as `self`.
        let _ = since.changed().await;
    }

    /// Asks on a new connection whether the server works for this silent one. `None`: nobody
    /// knows, as the new one does not answer either.
    pub(super) async fn is_at_work(&self, backend: Option<i32>) -> Option<bool> {
        let silent_at = Instant::now();
        let at_work = time::timeout(ASK_MAX, self.ask(backend)).await.ok()?.ok()?;
        if !at_work {
            self.since.send_if_modified(|since| {
                let is_later = *since < silent_at;
                *since = silent_at.max(*since);
                is_later
            });
        }
        Some(at_work)
    }

    async fn ask(&self, backend: Option<i32>) -> Result<bool, sqlx::Error> {
        let mut connection: PgConnection = self.options.connect().await?;
        // Without a backend, an answer is all that is asked for.
        let at_work = sqlx::query_scalar(IS_AT_WORK)
            .persistent(false)
            .bind(backend.unwrap_or(0))
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(at_work)
    }
}
