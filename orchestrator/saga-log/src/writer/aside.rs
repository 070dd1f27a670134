//! Appends whose row somebody else holds locked: a person's open session, a tool. They wait
//! for their own turn, and nobody else waits for them.

use std::collections::VecDeque;
use std::future;
use std::time::Duration;

use tokio::time::{self, Instant};
use tracing::warn;

use super::Entry;

/// First pause of an append that met a lock.
const PAUSE_FIRST: Duration = Duration::from_millis(500);

/// The longest one: how long an append waits on although the lock is gone.
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// What is set aside, the one first that is due first.
#[derive(Debug, Default)]
pub(super) struct Aside {
    entries: VecDeque<(Instant, Entry)>,
    /// The pause of whoever meets a lock next. One for all: what is in the way is mostly one
    /// session, and each try costs everybody the wait for its lock.
    pause: Duration,
}

impl Aside {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sets an append aside that `by` is in the way of.
    pub(super) fn put(&mut self, entry: Entry, by: &str) {
        if self.entries.is_empty() && self.pause.is_zero() {
            warn!(
                saga.id = %entry.append.saga,
                by,
                "a saga's row is locked; this saga waits until it is not, and others go on"
            );
        }
        self.pause = (self.pause * 2).clamp(PAUSE_FIRST, PAUSE_MAX);
        self.entries.push_back((Instant::now() + self.pause, entry));
    }

    /// Ends when the first one may try again. Without one it does not end.
    pub(super) async fn due(&self) {
        match self.entries.front() {
            Some((due, _)) => time::sleep_until(*due).await,
            None => future::pending().await,
        }
    }

    /// The next one that may try again.
    pub(super) fn next(&mut self) -> Option<Entry> {
        if self.entries.is_empty() {
            self.pause = Duration::ZERO;
        }
        let is_due = self.entries.front().is_some_and(|(due, _)| *due <= Instant::now());
        if is_due { self.entries.pop_front().map(|(_, entry)| entry) } else { None }
    }
}
