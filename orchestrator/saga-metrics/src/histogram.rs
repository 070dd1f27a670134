//! How many were at most how large.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric, family::MetricConstructor},
};

/// Between which sizes a histogram tells apart.
#[derive(Clone, Copy, Debug)]
pub struct Buckets {
    /// The largest that still belongs to each bucket, in what is observed. What is larger than
    /// all has a bucket of its own.
    bounds: &'static [u64],
    /// How much of what is observed is one of what is shown.
    per_unit: f64,
}

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const S: u64 = 1_000 * MS;

impl Buckets {
    /// Times of calls, of transactions and of writes.
    pub const SHORT: Self = Self {
        bounds: &[
            250 * US,
            500 * US,
            MS,
            2_500 * US,
            5 * MS,
            10 * MS,
            25 * MS,
            50 * MS,
            100 * MS,
            250 * MS,
            500 * MS,
            S,
            2_500 * MS,
            5 * S,
            10 * S,
            30 * S,
        ],
        per_unit: 1e9,
    };

    /// Times of whole sagas, which may wait for people.
    pub const LONG: Self = Self {
        bounds: &[
            5 * MS,
            10 * MS,
            25 * MS,
            50 * MS,
            100 * MS,
            250 * MS,
            500 * MS,
            S,
            5 * S,
            30 * S,
            60 * S,
            300 * S,
            1_800 * S,
            3_600 * S,
            21_600 * S,
            86_400 * S,
        ],
        per_unit: 1e9,
    };

    /// Numbers of things.
    pub const COUNTS: Self =
        Self { bounds: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024], per_unit: 1.0 };
}

/// One histogram. Cheap to clone; clones are the same. To observe takes two atomic additions
/// and no lock: a histogram of the library has one, which a reader holds while it writes.
#[derive(Clone, Debug)]
pub struct Histogram {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    buckets: Buckets,
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// Nothing was observed.
    #[must_use]
    pub fn new(buckets: Buckets) -> Self {
        let counts = (0..=buckets.bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { inner: Arc::new(Inner { buckets, counts, sum: AtomicU64::new(0) }) }
    }

    /// Counts one of this size.
    pub fn observe(&self, size: u64) {
        let Inner { buckets, counts, sum } = &*self.inner;
        let at = buckets.bounds.partition_point(|bound| *bound < size);
        counts[at].fetch_add(1, Relaxed);
        sum.fetch_add(size, Relaxed);
    }

    /// Counts one that took so long.
    pub fn took(&self, span: Duration) {
        self.observe(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many were observed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.inner.counts.iter().map(|it| it.load(Relaxed)).sum()
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let Inner { buckets: Buckets { bounds, per_unit }, counts, sum } = &*self.inner;
        let scaled = |it: u64| it as f64 / per_unit;
        let bounds = bounds.iter().map(|it| scaled(*it)).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> =
            bounds.zip(counts.iter().map(|it| it.load(Relaxed))).collect();
        // One by one, as they may grow meanwhile: the count is that of the buckets.
        let count = buckets.iter().map(|it| it.1).sum();
        encoder.encode_histogram::<NoLabelSet>(scaled(sum.load(Relaxed)), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(*self)
    }
}
