//! Where time comes from, and ids that are made of it. Nothing but deadlines, pauses and
//! people depends on the time.

use std::{fmt::Debug, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

/// A wall clock.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;

    /// An id for a saga or a node: a UUID of version 7, which sorts by the time at which it
    /// was made. The pauses of a saga's calls follow from its id, so a simulation that is to
    /// be repeated makes ids of its own.
    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// The clock of the machine. May jump; no decision about ownership depends on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else uses")]
    fn now_ms(&self) -> u64 {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A clock that runs with the runtime's timers, so that a test that pauses them moves
/// both together.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeClock {
    origin: Instant,
    origin_ms: u64,
}

impl RuntimeClock {
    /// A clock that shows `origin_ms` now.
    #[must_use]
    pub fn starting_at(origin_ms: u64) -> Self {
        Self { origin: Instant::now(), origin_ms }
    }
}

impl Clock for RuntimeClock {
    fn now_ms(&self) -> u64 {
        let elapsed_ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.origin_ms.saturating_add(elapsed_ms)
    }
}
