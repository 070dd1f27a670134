//! What one call holds, from its headers to the end of its answer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::{
    answer::Refusal,
    connections::{Connection, Shared},
};

/// Bytes of its request that are not counted: a call may have these by being one.
pub(crate) const FREE_BYTES: usize = 16 << 10;

/// Calls that a connection may have although there are many in all, and requests of it that
/// may be on their way.
const FAIR: usize = 128;

/// An open call. Everything that it holds is given back where the last part of it is dropped.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) connection: Arc<Connection>,
    /// Bytes of its request that are in memory.
    bytes: AtomicUsize,
}

impl Call {
    /// Opens a call, where there is room for one more.
    pub(crate) fn open(
        shared: &Arc<Shared>,
        connection: &Arc<Connection>,
    ) -> Result<Arc<Self>, Refusal> {
        let calls_max = shared.limits.calls_max;
        let (all, own) = (shared.calls.load(Relaxed), connection.calls.load(Relaxed));
        if calls_max <= all || (calls_max / 4 * 3 <= all && FAIR <= own) {
            return Err(Refusal::TooManyCalls);
        }
        shared.calls.fetch_add(1, Relaxed);
        connection.calls.fetch_add(1, Relaxed);
        connection.moved(shared.now_ms());
        let (shared, connection) = (Arc::clone(shared), Arc::clone(connection));
        Ok(Arc::new(Self { shared, connection, bytes: AtomicUsize::new(0) }))
    }

    /// Counts bytes that are about to be kept.
    pub(crate) fn hold(&self, bytes: usize) -> Result<(), Refusal> {
        let held = self.bytes.load(Relaxed);
        let counted = counted(held + bytes) - counted(held);
        let all = self.shared.bytes.fetch_add(counted, Relaxed);
        if 0 < counted && self.shared.limits.requests_bytes_max < all + counted {
            self.shared.bytes.fetch_sub(counted, Relaxed);
            return Err(Refusal::TooManyBytes);
        }
        self.bytes.store(held + bytes, Relaxed);
        Ok(())
    }

    /// Gives bytes back.
    pub(crate) fn release(&self, bytes: usize) {
        let held = self.bytes.load(Relaxed);
        let left = held.saturating_sub(bytes);
        self.shared.bytes.fetch_sub(counted(held) - counted(left), Relaxed);
        self.bytes.store(left, Relaxed);
    }

    /// Its request is on its way, which a connection may have a few of.
    pub(crate) fn wait(self: &Arc<Self>) -> Result<Waiting, Refusal> {
        if FAIR <= self.connection.waiting.fetch_add(1, Relaxed) {
            self.connection.waiting.fetch_sub(1, Relaxed);
            // Each refusal costs as well. Nobody who sends requests as a whole gets here.
            if FAIR <= self.connection.refused.fetch_add(1, Relaxed) {
                self.connection.close();
            }
            return Err(Refusal::TooManyWaiting);
        }
        Ok(Waiting(Arc::clone(&self.connection)))
    }
}

/// The bytes of a call that count.
fn counted(bytes: usize) -> usize {
    bytes.saturating_sub(FREE_BYTES)
}

impl Drop for Call {
    fn drop(&mut self) {
        self.release(self.bytes.load(Relaxed));
        self.shared.calls.fetch_sub(1, Relaxed);
        self.connection.calls.fetch_sub(1, Relaxed);
        self.connection.moved(self.shared.now_ms());
    }
}

/// A request that is on its way.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Connection>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Relaxed) == 1 {
            self.0.refused.store(0, Relaxed);
        }
    }
}
