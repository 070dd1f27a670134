//! What is counted under one name, by the values of its labels.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use prometheus_client::metrics::{
    counter::Counter,
    family::{Family, MetricConstructor},
};

use crate::{Buckets, Histogram, Metric};

/// Sets of label values that a metric has. They come from configuration and definitions, which
/// are fewer; a program that registers definitions without end does not fill the memory of
/// whoever watches it.
pub const SERIES_MAX: usize = 2_000;

/// What stands for every value beyond [`SERIES_MAX`].
const OTHER: &str = "other";

pub(crate) type Labels<const N: usize> = [(&'static str, String); N];

/// A metric with `N` labels, counted by the values of these. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub struct Series<const N: usize, T, C> {
    pub(crate) metric: &'static Metric,
    pub(crate) family: Family<Labels<N>, T, C>,
    /// How many sets of values there are. A few more where several came at once.
    made: Arc<AtomicUsize>,
}

/// Makes counters.
#[derive(Clone, Copy, Debug)]
pub struct FromZero;

impl MetricConstructor<Counter> for FromZero {
    fn new_metric(&self) -> Counter {
        Counter::default()
    }
}

/// A counter, by its labels.
pub type Counters<const N: usize> = Series<N, Counter, FromZero>;

/// A histogram, by its labels.
pub type Histograms<const N: usize> = Series<N, Histogram, Buckets>;

impl<const N: usize> Counters<N> {
    /// Nothing was counted.
    ///
    /// # Panics
    ///
    /// Where the metric has not `N` labels.
    #[must_use]
    pub fn new(metric: &'static Metric) -> Self {
        Self::made_by(metric, FromZero)
    }
}

impl<const N: usize> Histograms<N> {
    /// Nothing was observed.
    ///
    /// # Panics
    ///
    /// Where the metric has not `N` labels.
    #[must_use]
    pub fn new(metric: &'static Metric, buckets: Buckets) -> Self {
        Self::made_by(metric, buckets)
    }
}

impl<const N: usize, T: Clone, C: MetricConstructor<T>> Series<N, T, C> {
    fn made_by(metric: &'static Metric, constructor: C) -> Self {
        assert_eq!(metric.labels.len(), N, "{}", metric.name);
        let family = Family::new_with_constructor(constructor);
        Self { metric, family, made: Arc::default() }
    }

    /// The one with these values of the labels, in their order. It is there from now on, so that
    /// its first step is seen. Keep it: it is looked for under a lock.
    #[must_use]
    pub fn of(&self, values: [&str; N]) -> T {
        let labels = labels(self.metric, values);
        if let Some(found) = self.family.get(&labels) {
            return found.clone();
        }
        if SERIES_MAX <= self.made.load(Relaxed) {
            return self.family.get_or_create_owned(&self::labels(self.metric, [OTHER; N]));
        }
        self.made.fetch_add(1, Relaxed);
        self.family.get_or_create_owned(&labels)
    }
}

/// The values with the names that the metric has for them.
pub(crate) fn labels<const N: usize>(metric: &'static Metric, values: [&str; N]) -> Labels<N> {
    let mut names = metric.labels.iter();
    values.map(|value| (names.next().copied().unwrap_or_default(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRIC: Metric = Metric::counter("tests_total", &["name"], "Tests");

    #[test]
    fn names_without_end_do_not_make_series_without_end() {
        let counters = Counters::<1>::new(&METRIC);
        for name in 0..3 * SERIES_MAX {
            counters.of([&name.to_string()]).inc();
        }
        assert_eq!(counters.of(["other"]).get(), 2 * SERIES_MAX as u64);
        assert_eq!(counters.of(["7"]).get(), 1, "who was there keeps its own");
    }
}
