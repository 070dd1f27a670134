//! What is known of a metric before anything is counted.

use prometheus_client::registry::Unit;

/// A metric: what it is called, and what its labels are.
///
/// `orchestrator/docs/metrics.md` explains every one, and a test compares.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// As it is asked for, with unit and suffix: `saga_starts_total`. The samples of a histogram
    /// are this with `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// One sentence without its full stop.
    pub help: &'static str,
    /// What its samples mean.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

/// What the samples of a metric mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows, from 0 at the start of the process.
    Counter,
    /// Is what it is now.
    Gauge,
    /// How many were at most how large.
    Histogram,
    /// Says something in its labels; its value is 1.
    Info,
}

impl Metric {
    /// A counter.
    #[must_use]
    pub const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, help, kind: Kind::Counter, labels }
    }

    /// A gauge.
    #[must_use]
    pub const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, help, kind: Kind::Gauge, labels }
    }

    /// A histogram.
    #[must_use]
    pub const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, help, kind: Kind::Histogram, labels }
    }

    /// The name without what the text's format adds to it: the unit, and the suffix of its kind.
    pub(crate) fn stem(&self) -> (&'static str, Option<Unit>) {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        let name = self.name.strip_suffix(suffix).unwrap_or(self.name);
        if let Some(name) = name.strip_suffix("_seconds") {
            (name, Some(Unit::Seconds))
        } else if let Some(name) = name.strip_suffix("_bytes") {
            (name, Some(Unit::Bytes))
        } else {
            (name, None)
        }
    }
}
