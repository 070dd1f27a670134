//! The one writer of a node. Everything that waits goes into one batch, and the next batch
//! starts when this one is durable: no timer and no artificial delay, so one lonely append
//! is as fast as the disk, and under load batches grow by themselves.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::metrics::LogMetrics;
use crate::store::{Append, Store, StoreError, Written};
use batches::Batches;

mod aside;
mod batches;

/// How much may wait and how much is written at once.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// Appends that may wait. Beyond them [`Log::append`] waits for room.
    pub queue_rows_max: usize,
    /// Appends that may wait when a new saga is still admitted. Less than
    /// [`queue_rows_max`](Self::queue_rows_max), so that the sagas under way always find
    /// room before new ones.
    pub admitted_rows_max: usize,
    /// Bytes of events that may wait: what the queue can cost in memory.
    pub queue_bytes_max: u32,
    /// Appends in one transaction.
    pub batch_rows_max: usize,
    /// Bytes of events in one transaction. A single append may be larger.
    pub batch_bytes_max: usize,
    /// Bytes of the events of one append.
    pub row_bytes_max: u32,
    /// A write that takes longer than this makes [`Log::available`] false until it ends,
    /// in milliseconds. It is waited for all the same.
    pub write_slow_ms: u64,
    /// First pause after a write whose outcome is unknown, in milliseconds. It doubles.
    pub delay_first_ms: u64,
    /// Longest pause, in milliseconds: how long a database that is back stays unused.
    pub delay_max_ms: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            queue_rows_max: 16_384,
            admitted_rows_max: 8_192,
            queue_bytes_max: 64 * 1_024 * 1_024,
            batch_rows_max: 512,
            batch_bytes_max: 4 * 1_024 * 1_024,
            row_bytes_max: 2 * 1_024 * 1_024,
            write_slow_ms: 2_000,
            delay_first_ms: 50,
            delay_max_ms: 1_000,
        }
    }
}

/// Why an append was not written. One variant for each thing a caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Too much is waiting to admit a new saga. Nothing was queued. Try again later.
    #[error("log overloaded: {rows_max} rows wait already")]
    Overloaded { rows_max: usize },

    /// The database cannot be reached right now, so no new saga is admitted. Nothing was
    /// queued. Try again later.
    #[error("log unavailable")]
    Unavailable,

    /// The events are too large for one append. Nothing was queued, now or later.
    #[error("{bytes} bytes of events, {bytes_max} are allowed")]
    PayloadTooLarge { bytes: usize, bytes_max: usize },

    /// The database refuses this append for what is in it, or what is in its way is
    /// damaged. Nothing was written, and doing it again is of no use. Its saga needs a
    /// person; all others go on.
    #[error("append refused")]
    Rejected { source: StoreError },

    /// The writer has stopped. An append that was made before may have been written: load
    /// the log in the next process.
    #[error("log closed")]
    Closed,
}

/// Writes to the log. Clones share one queue and one writer.
#[derive(Clone, Debug)]
pub struct Log {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) limits: LogLimits,
    pub(crate) queue: mpsc::Sender<Entry>,
    pub(crate) queue_bytes: Arc<Semaphore>,
    pub(crate) queue_bytes_max: usize,
    pub(crate) metrics: LogMetrics,
    available: watch::Receiver<bool>,
    /// Set to true to ask the writer to stop.
    closing: Arc<watch::Sender<bool>>,
    /// Its sender is dropped when the writer has stopped.
    stopped: watch::Receiver<()>,
}

/// An append on its way to the writer.
#[derive(Debug)]
pub(crate) struct Entry {
    append: Append,
    /// When it came to wait.
    at: Instant,
    /// What the append takes of the queue. Given back when it is answered.
    bytes: OwnedSemaphorePermit,
    done: oneshot::Sender<Result<Written, AppendError>>,
}

impl Log {
    /// Starts the writer, as a task of the current Tokio runtime.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn start(store: Arc<dyn Store>, limits: LogLimits) -> Self {
        let (queue, waiting) = mpsc::channel(limits.queue_rows_max.max(1));
        let (available_now, available) = watch::channel(true);
        let (closing, close_asked) = watch::channel(false);
        let (running, stopped) = watch::channel(());
        let metrics = LogMetrics::default();
        let batches = Batches {
            store: store.clone(),
            limits,
            available: available_now,
            metrics: metrics.clone(),
        };
        tokio::spawn(async move {
            batches.write_all(waiting, close_asked).await;
            drop(running);
        });
        let queue_bytes_max = limits.queue_bytes_max.max(limits.row_bytes_max) as usize;
        Self {
            store,
            limits,
            queue,
            queue_bytes: Arc::new(Semaphore::new(queue_bytes_max)),
            queue_bytes_max,
            metrics,
            available,
            closing: Arc::new(closing),
            stopped,
        }
    }

    /// Appends one row and waits until it is durable, through every outage of the database.
    ///
    /// The future may be dropped: an append that had found room in the queue still happens.
    /// Who drops it must load the log before the next append to this saga.
    ///
    /// # Errors
    ///
    /// [`AppendError::PayloadTooLarge`] and [`AppendError::Rejected`]: it was not written
    /// and cannot be. [`AppendError::Closed`]: it may have been written.
    pub async fn append(&self, append: Append) -> Result<Written, AppendError> {
        let bytes = self.checked_bytes(&append)?;
        let permit = self.queue_bytes.clone().acquire_many_owned(bytes).await;
        let permit = permit.map_err(|_| AppendError::Closed)?;
        let (done, written) = oneshot::channel();
        let entry = Entry { append, at: Instant::now(), bytes: permit, done };
        self.queue.send(entry).await.map_err(|_| AppendError::Closed)?;
        written.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Like [`append`](Self::append), for the first append of a saga: refuses it at once
    /// where much is waiting or the database is away, instead of waiting with it. What is
    /// admitted is kept like any other append.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append), and [`AppendError::Overloaded`] and
    /// [`AppendError::Unavailable`]: nothing was queued.
    pub async fn try_append(&self, append: Append) -> Result<Written, AppendError> {
        let bytes = self.checked_bytes(&append)?;
        if !*self.available.borrow() {
            return Err(AppendError::Unavailable);
        }
        let rows_max = self.limits.admitted_rows_max;
        let rows = self.queue.max_capacity() - self.queue.capacity();
        if rows >= rows_max {
            return Err(AppendError::Overloaded { rows_max });
        }
        let permit = self.queue_bytes.clone().try_acquire_many_owned(bytes);
        let permit = permit.map_err(|_| AppendError::Overloaded { rows_max })?;
        let (done, written) = oneshot::channel();
        let entry = Entry { append, at: Instant::now(), bytes: permit, done };
        self.queue.try_send(entry).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AppendError::Overloaded { rows_max },
            mpsc::error::TrySendError::Closed(_) => AppendError::Closed,
        })?;
        written.await.unwrap_or(Err(AppendError::Closed))
    }

    /// The database behind this log, for everything but appends.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// False while a write is being repeated or takes long. Appends wait meanwhile; none
    /// is lost.
    #[must_use]
    pub fn available(&self) -> watch::Receiver<bool> {
        self.available.clone()
    }

    /// Refuses new appends, writes all that were queued, and stops the writer. Returns when
    /// it has stopped, which takes as long as the database is away.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let mut stopped = self.stopped.clone();
        // No value is ever sent: this ends when the sender is dropped.
        while stopped.changed().await.is_ok() {}
    }

    /// Checks the append before it can meet others, and counts what it takes in memory.
    fn checked_bytes(&self, append: &Append) -> Result<u32, AppendError> {
        let bytes = append.events.len();
        let bytes_max = self.limits.row_bytes_max;
        let too_large = AppendError::PayloadTooLarge { bytes, bytes_max: bytes_max as usize };
        let bytes = match u32::try_from(bytes) {
            Ok(bytes) if bytes <= bytes_max => bytes,
            _ => return Err(too_large),
        };
        append
            .check()
            .map_err(|fault| AppendError::Rejected { source: fault.rejected("append") })?;
        Ok(bytes)
    }
}
