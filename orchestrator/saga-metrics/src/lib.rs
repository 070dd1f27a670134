//! What our programs count, and how Prometheus reads it.
//!
//! Whoever does something counts it in a [`Counters`] or a [`Histograms`] of its own, whether or
//! not anybody reads them; a program that has an ops port puts them into a [`Registry`],
//! which writes them as OpenMetrics text. What is counted already elsewhere is read when the
//! text is written.
//!
//! * **Counting costs some nanoseconds.** A [`Counter`] or a [`Histogram`] is found once, by its
//!   labels, and kept: to count is then one or two atomic additions. Nobody who counts waits for
//!   who reads.
//! * **Labels are bounded.** A [`Metric`] names its labels, and has at most [`SERIES_MAX`] sets of
//!   values; what comes then is `other`.
//!
//! Reading order: `metric` (what is known of one), `series` and `histogram`, `registry`,
//! `process` (what the system says of the process).

mod histogram;
mod metric;
mod process;
mod registry;
mod series;

pub use histogram::{Buckets, Histogram};
pub use metric::{Kind, Metric};
pub use process::{METRICS as PROCESS_METRICS, register as register_process};
pub use prometheus_client::metrics::counter::Counter;
pub use registry::{CONTENT_TYPE, Registry, Sample};
pub use series::{Counters, FromZero, Histograms, SERIES_MAX, Series};
