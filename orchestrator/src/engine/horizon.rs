//! Tells participants how far the log may be forgotten, so that their own logs do not grow for ever.
//!
//! No saga that began before the horizon is open, nor in a backup of the log that may still be
//! restored: it is as old as the oldest open saga, and older by `keep_for_ms`. Behind it nothing is
//! answered any more, so it rather stays behind than goes ahead: it is not told while the log may
//! have gone back.

use std::{sync::Arc, time::Duration};

use saga_log::StoreError;
use uuid::Uuid;

use crate::engine::{Engine, LogMark, Shared};

/// How often it is told.
const EVERY: Duration = Duration::from_secs(10 * 60);

/// How long a participant may take to keep it.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);

/// How far a log may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    pub log_id: Uuid,
    /// By the clock of a node, as the times of the log are.
    pub at_ms: u64,
}

impl Engine {
    /// Tells participants the horizon from now on, until the engine stops.
    pub fn keep_telling_horizons(&self) {
        self.shared.tasks.spawn(tell_on(Arc::clone(&self.shared)));
    }

    /// Tells all participants the horizon now; returns it. `None`: there is none to be told.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the log was not asked, and nobody was told.
    pub async fn tell_horizon(&self) -> Result<Option<Horizon>, StoreError> {
        tell(&self.shared).await
    }
}

async fn tell_on(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shared.stopping() => return,
        }
        if let Err(error) = tell(&shared).await {
            tracing::debug!(%error, "no horizon is told");
        }
    }
}

async fn tell(shared: &Shared) -> Result<Option<Horizon>, StoreError> {
    let Some(horizon) = horizon(shared).await? else { return Ok(None) };
    let told = shared.caller.participants().into_iter().map(async |participant| {
        if !shared.caller.tell_horizon(&participant, horizon, TELL_TIMEOUT).await {
            tracing::debug!(participant, "a participant keeps no horizon, or did not answer");
        }
    });
    futures::future::join_all(told).await;
    Ok(Some(horizon))
}

async fn horizon(shared: &Shared) -> Result<Option<Horizon>, StoreError> {
    // Behind the log's own mark no clock of a node can be ahead of the others.
    let LogMark { log_id, at_ms: marked_ms, .. } = shared.log_mark();
    let oldest_ms = shared.log.store().oldest_open_started_at_ms().await?;
    if !shared.continuity.holds() || shared.continuity.awaits_epoch() {
        return Ok(None);
    }
    let open_since_ms = oldest_ms.unwrap_or(marked_ms).min(marked_ms);
    let at_ms = open_since_ms.saturating_sub(shared.limits.keep_for_ms);
    Ok((0 < at_ms).then_some(Horizon { log_id, at_ms }))
}
