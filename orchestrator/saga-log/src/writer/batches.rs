//! The writer task: takes batches, writes each until its outcome is known, and answers.

use std::collections::VecDeque;
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio::{task, time};
use tracing::{debug, info, warn};

use super::aside::Aside;
use super::{AppendError, Entry, LogLimits};
use crate::metrics::LogMetrics;
use crate::store::{Append, Store, StoreError, Written};

pub(super) struct Batches {
    pub(super) store: Arc<dyn Store>,
    pub(super) limits: LogLimits,
    pub(super) available: watch::Sender<bool>,
    pub(super) metrics: LogMetrics,
}

/// Turns of the runtime that others have before a batch is closed: fewer and larger batches
/// for the same wait, and no wait where nobody is ready (`docs/performance.md`).
///
/// On one thread a turn is everybody's. More of them would gather all sagas in one batch, and
/// then they would wait for the database together, and the database for them. With several
/// threads it takes the answer to a call about three to come from its socket to the queue.
fn turns() -> usize {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => 1,
        _ => 3,
    }
}

/// What an append holds of the queue, since when, and who waits for it.
type Rest = (OwnedSemaphorePermit, Instant, oneshot::Sender<Result<Written, AppendError>>);

/// Locked rows of one batch that are set aside, each found at the price of a wait.
const LOCKED_MAX: usize = 4;

impl Batches {
    /// Writes what comes until all handles are gone or `close_asked` becomes true and the
    /// queue is empty.
    pub(super) async fn write_all(
        self,
        mut queue: mpsc::Receiver<Entry>,
        mut close_asked: watch::Receiver<bool>,
    ) {
        let mut waiting = VecDeque::new();
        let mut taken = Vec::new();
        let mut aside = Aside::default();
        let turns = turns();
        let mut is_over = false;
        while !(is_over && waiting.is_empty() && aside.is_empty()) {
            if *close_asked.borrow() && !queue.is_closed() {
                // What was queued can still be taken; then `recv_many` gives 0.
                queue.close();
            }
            let room = self.limits.batch_rows_max.max(1) - waiting.len();
            if waiting.is_empty() {
                tokio::select! {
                    biased;
                    received = queue.recv_many(&mut taken, room), if !is_over => {
                        is_over = received == 0;
                    }
                    Ok(_) = close_asked.wait_for(|close| *close), if !queue.is_closed() => {
                        continue;
                    }
                    () = aside.due() => {}
                }
                for _ in 0..turns {
                    task::yield_now().await;
                }
            }
            while taken.len() < room
                && let Ok(entry) = queue.try_recv()
            {
                taken.push(entry);
            }
            waiting.extend(taken.drain(..));
            if !waiting.is_empty() {
                self.write_batch(self.cut(&mut waiting), &mut aside).await;
            }
            while let Some(entry) = aside.next() {
                self.write_batch(vec![entry], &mut aside).await;
            }
        }
    }

    /// The next batch: the longest head of `waiting` that keeps to the byte limit, and at
    /// least one append.
    fn cut(&self, waiting: &mut VecDeque<Entry>) -> Vec<Entry> {
        let mut bytes = 0;
        let rows = waiting
            .iter()
            .take_while(|entry| {
                bytes += entry.append.events.len();
                bytes <= self.limits.batch_bytes_max
            })
            .count();
        waiting.drain(..rows.max(1)).collect()
    }

    /// Writes one batch and answers each append in it. A batch that is rejected, or that meets
    /// a locked row, is halved until only what is to blame is left, so the others are written.
    async fn write_batch(&self, batch: Vec<Entry>, aside: &mut Aside) {
        let mut appends = Vec::with_capacity(batch.len());
        let mut rest = Vec::with_capacity(batch.len());
        self.metrics.rows.observe(batch.len() as u64);
        for Entry { append, at, bytes, done } in batch {
            appends.push(append);
            // The bytes are held until the batch is done: what is being written takes memory.
            rest.push(Some((bytes, at, done)));
        }
        let whole = 0..appends.len();
        let (mut parts, mut locked) = (vec![whole], 0);
        while let Some(part) = parts.pop() {
            match self.write_until_known(&appends[part.clone()], locked < LOCKED_MAX).await {
                Ok(written) => {
                    for (rest, written) in rest[part].iter_mut().zip(written) {
                        self.send(rest.take(), Ok(written));
                    }
                }
                Err(error) if 1 < part.len() => {
                    debug!(error = chain(&error), rows = part.len(), "a batch is halved");
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                }
                Err(StoreError::Locked { by, .. }) => {
                    locked += 1;
                    if let Some((bytes, at, done)) = rest[part.start].take() {
                        let append = appends[part.start].clone();
                        aside.put(Entry { append, at, bytes, done }, &by);
                    }
                }
                Err(source) => {
                    self.send(rest[part.start].take(), Err(AppendError::Rejected { source }));
                }
            }
        }
    }

    /// Writes `appends` again and again until the database says what became of them.
    /// Appends are idempotent, so whatever an earlier try did is not done twice.
    ///
    /// Where many rows in a row are locked, or the whole table is, nothing is gained by trying
    /// each: then, without `sets_aside`, it is as if the database were away.
    async fn write_until_known(
        &self,
        appends: &[Append],
        sets_aside: bool,
    ) -> Result<Vec<Written>, StoreError> {
        let mut delay_ms = self.limits.delay_first_ms;
        loop {
            match self.write_watched(appends).await {
                Err(error @ StoreError::Locked { .. }) if sets_aside => return Err(error),
                Err(error @ (StoreError::Unavailable { .. } | StoreError::Locked { .. })) => {
                    if self.available.send_replace(false) {
                        warn!(
                            error = chain(&error),
                            "the log cannot be written; sagas wait until it can"
                        );
                    } else {
                        debug!(error = chain(&error), delay_ms, "the log still cannot be written");
                    }
                    self.metrics.repeated.inc();
                    time::sleep(Duration::from_millis(delay_ms)).await;
                    delay_ms = (delay_ms * 2).min(self.limits.delay_max_ms);
                }
                known => {
                    if !self.available.send_replace(true) {
                        info!("the log can be written again");
                    }
                    return known;
                }
            }
        }
    }

    /// Writes once. Says that the log is not available where that takes long, as it does
    /// when a synchronous standby is gone, and goes on waiting.
    async fn write_watched(&self, appends: &[Append]) -> Result<Vec<Written>, StoreError> {
        let began = Instant::now();
        let written = self.write_patiently(appends).await;
        self.metrics.write.took(began.elapsed());
        written
    }

    async fn write_patiently(&self, appends: &[Append]) -> Result<Vec<Written>, StoreError> {
        let mut write = pin!(self.store.write(appends));
        let slow = Duration::from_millis(self.limits.write_slow_ms);
        if let Ok(done) = time::timeout(slow, &mut write).await {
            return done;
        }
        if self.available.send_replace(false) {
            warn!(rows = appends.len(), "a write to the log takes long; no saga is admitted");
        }
        write.await
    }

    /// Whoever waited may be gone. The append is in the log all the same.
    fn send(&self, rest: Option<Rest>, result: Result<Written, AppendError>) {
        if let Some((_bytes, at, answer)) = rest {
            self.metrics.append.took(at.elapsed());
            let _gone = answer.send(result);
        }
    }
}

/// An error and what caused it, in one line.
fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
