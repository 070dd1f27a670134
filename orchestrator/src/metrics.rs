//! What the engine counts.
//!
//! Everything is counted where it happens, or read from what the engine keeps anyway; nothing
//! here scans sagas. What only the log's database knows is read by [`sample`](crate::engine),
//! now and then, and never because somebody looks.
//!
//! Reading order: `names` (every metric of the engine), `course` (what one definition is
//! counted by), `shown` (what is read when somebody looks).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use saga_metrics::{Buckets, Counters, Histograms, Registry};
use tokio::time::Instant;

use crate::definition::CompiledDefinition;

mod course;
mod names;
mod shown;

pub(crate) use course::Course;

/// Definitions whose handles are kept: versions of which sagas run. Beyond them handles are
/// looked up anew for each saga.
const COURSES_MAX: usize = 4_096;

/// The metrics of a node.
#[derive(Debug)]
pub(crate) struct Metrics {
    starts: Counters<1>,
    starts_refused: Counters<1>,
    endings: Counters<2>,
    turned_back: Counters<2>,
    duration: Histograms<2>,
    calls: Counters<3>,
    call: Histograms<2>,
    retries: Counters<2>,
    inquiries: Counters<2>,
    settled: Counters<3>,
    parkings: Counters<1>,
    taken_over: Counters<1>,
    courses: RwLock<HashMap<[u8; 32], Arc<Course>>>,
    began: Instant,
    /// Milliseconds since `began`.
    beaten_at_ms: AtomicU64,
    looked_at_ms: AtomicU64,
    sampled: Mutex<Option<Sampled>>,
}

/// What the log's database said the last time that it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Sampled {
    pub(crate) at: Instant,
    /// How many sagas need a person, by why.
    pub(crate) stuck: Vec<(String, u64)>,
    /// For how long the saga has been due that was due first and that nobody drives.
    pub(crate) oldest_due_ms: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            starts: Counters::new(&names::STARTS),
            starts_refused: Counters::new(&names::STARTS_REFUSED),
            endings: Counters::new(&names::ENDINGS),
            turned_back: Counters::new(&names::TURNED_BACK),
            duration: Histograms::new(&names::DURATION, Buckets::LONG),
            calls: Counters::new(&names::CALLS),
            call: Histograms::new(&names::CALL, Buckets::SHORT),
            retries: Counters::new(&names::RETRIES),
            inquiries: Counters::new(&names::INQUIRIES),
            settled: Counters::new(&names::SETTLED),
            parkings: Counters::new(&names::PARKINGS),
            taken_over: Counters::new(&names::TAKEN_OVER),
            courses: RwLock::default(),
            began: Instant::now(),
            beaten_at_ms: AtomicU64::new(0),
            looked_at_ms: AtomicU64::new(0),
            sampled: Mutex::default(),
        }
    }
}

impl Metrics {
    /// What sagas of this definition are counted by. Looked up once for each saga.
    pub(crate) fn course(&self, definition: &CompiledDefinition) -> Arc<Course> {
        let courses = self.courses.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(course) = courses.get(&definition.hash) {
            return Arc::clone(course);
        }
        drop(courses);
        let course = Arc::new(Course::of(self, definition));
        let mut courses = self.courses.write().unwrap_or_else(PoisonError::into_inner);
        if courses.len() < COURSES_MAX {
            courses.insert(definition.hash, Arc::clone(&course));
        }
        course
    }

    /// A start was not accepted.
    pub(crate) fn refused(&self, why: &str) {
        self.starts_refused.of([why]).inc();
    }

    /// A saga was taken over.
    pub(crate) fn took_over(&self, found: &str) {
        self.taken_over.of([found]).inc();
    }

    /// The log has taken a heartbeat of this node.
    pub(crate) fn beaten(&self) {
        self.beaten_at_ms.store(self.now_ms(), Relaxed);
    }

    /// It was looked for sagas that nobody drives.
    pub(crate) fn looked(&self) {
        self.looked_at_ms.store(self.now_ms(), Relaxed);
    }

    pub(crate) fn sampled(&self, sampled: Sampled) {
        *self.last_sample() = Some(sampled);
    }

    fn last_sample(&self) -> MutexGuard<'_, Option<Sampled>> {
        self.sampled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seconds_since(&self, at_ms: &AtomicU64) -> f64 {
        self.now_ms().saturating_sub(at_ms.load(Relaxed)) as f64 / 1e3
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn show(&self, registry: &mut Registry) {
        registry.counters(&self.starts);
        registry.counters(&self.starts_refused);
        registry.counters(&self.endings);
        registry.counters(&self.turned_back);
        registry.histograms(&self.duration);
        registry.counters(&self.calls);
        registry.histograms(&self.call);
        registry.counters(&self.retries);
        registry.counters(&self.inquiries);
        registry.counters(&self.settled);
        registry.counters(&self.parkings);
        registry.counters(&self.taken_over);
    }
}
