//! What the writer and the database behind it are counted by.

use std::sync::Arc;

use saga_metrics::{Buckets, Counter, Counters, Histogram, Histograms, Metric, Registry};

use crate::Log;

const APPEND: Metric = Metric::histogram(
    "saga_log_append_seconds",
    &[],
    "Time of an append from the queue until it is durable or refused",
);
const WRITE: Metric = Metric::histogram(
    "saga_log_write_seconds",
    &[],
    "Time of one write of a batch to the database, whatever became of it",
);
const ROWS: Metric =
    Metric::histogram("saga_log_batch_rows", &[], "Rows that were written in one batch");
const REPEATED: Metric = Metric::counter(
    "saga_log_writes_repeated_total",
    &[],
    "Writes whose outcome was unknown or that met a lock, and that were made again",
);
const QUEUED: Metric =
    Metric::gauge("saga_log_queue_rows", &[], "Rows that wait to be written by this node");
const QUEUED_MAX: Metric =
    Metric::gauge("saga_log_queue_rows_max", &[], "Rows that may wait to be written");
const QUEUED_BYTES: Metric = Metric::gauge(
    "saga_log_queue_bytes",
    &[],
    "Bytes of events that wait to be written or are being written",
);
const AVAILABLE: Metric = Metric::gauge(
    "saga_log_available",
    &[],
    "Whether the log can be written, as far as the last write knows: 1 or 0",
);
const CONNECTIONS: Metric = Metric::gauge(
    "saga_log_connections",
    &["state"],
    "Connections to the database beside the writer's own, by whether they are in use or idle",
);
const CONNECTIONS_MAX: Metric = Metric::gauge(
    "saga_log_connections_max",
    &[],
    "Connections to the database that there may be beside the writer's own",
);

/// Counted by the writer and by who waits for it.
#[derive(Clone, Debug)]
pub(crate) struct LogMetrics {
    pub(crate) append: Histogram,
    pub(crate) write: Histogram,
    pub(crate) rows: Histogram,
    pub(crate) repeated: Counter,
    shown: (Histograms<0>, Histograms<0>, Histograms<0>, Counters<0>),
}

impl Default for LogMetrics {
    fn default() -> Self {
        let append = Histograms::new(&APPEND, Buckets::SHORT);
        let write = Histograms::new(&WRITE, Buckets::SHORT);
        let rows = Histograms::new(&ROWS, Buckets::COUNTS);
        let repeated = Counters::new(&REPEATED);
        Self {
            append: append.of([]),
            write: write.of([]),
            rows: rows.of([]),
            repeated: repeated.of([]),
            shown: (append, write, rows, repeated),
        }
    }
}

impl Log {
    /// Shows what this node writes and what waits for it.
    pub fn show(&self, registry: &mut Registry) {
        let (append, write, rows, repeated) = &self.metrics.shown;
        registry.histograms(append);
        registry.histograms(write);
        registry.histograms(rows);
        registry.counters(repeated);
        let queue = self.queue.clone();
        registry
            .read(&QUEUED, move || vec![([], (queue.max_capacity() - queue.capacity()) as f64)]);
        let rows_max = self.limits.queue_rows_max as f64;
        registry.read(&QUEUED_MAX, move || vec![([], rows_max)]);
        let (bytes, bytes_max) = (Arc::clone(&self.queue_bytes), self.queue_bytes_max);
        registry.read(&QUEUED_BYTES, move || {
            vec![([], bytes_max.saturating_sub(bytes.available_permits()) as f64)]
        });
        let available = self.available();
        registry.read(&AVAILABLE, move || vec![([], f64::from(u8::from(*available.borrow())))]);
        let store = Arc::clone(&self.store);
        registry.read(&CONNECTIONS, move || {
            let Some(connections) = store.connections() else { return Vec::new() };
            let in_use = connections.open.saturating_sub(connections.idle);
            vec![
                (["in_use".to_owned()], f64::from(in_use)),
                (["idle".to_owned()], f64::from(connections.idle)),
            ]
        });
        let store = Arc::clone(&self.store);
        registry.read(&CONNECTIONS_MAX, move || {
            let connections = store.connections();
            connections.map(|it| ([], f64::from(it.most))).into_iter().collect()
        });
    }
}
