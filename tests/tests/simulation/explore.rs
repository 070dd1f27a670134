//! Runs seeds, one after the other on as many threads as there are cores, until there are
//! enough of them, the time is over or one is broken.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use saga_tests::sim::fault::Fault;

use crate::course::{Story, run};

/// How many seeds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) first: u64,
    /// So many at most.
    pub(crate) seeds: u64,
    /// None is begun later.
    pub(crate) seconds: u64,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Explored {
    pub(crate) seeds: u64,
    pub(crate) fired: BTreeMap<Fault, u64>,
    pub(crate) broken: Option<Story>,
    virtual_ms: u64,
    completed: u64,
    compensated: u64,
    nodes: u64,
    messages: u64,
    seconds: f64,
}

/// Runs them.
pub(crate) fn explore(budget: Budget) -> Explored {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let begun = Instant::now();
    let next = AtomicU64::new(budget.first);
    let stop = AtomicBool::new(false);
    let explored = Mutex::new(Explored::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    let is_over = budget.seeds <= seed - budget.first
                        || Duration::from_secs(budget.seconds) <= begun.elapsed();
                    if is_over || stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let story = run(seed, None);
                    stop.fetch_or(!story.violations.is_empty(), Ordering::SeqCst);
                    explored.lock().unwrap().add(story);
                }
            });
        }
    });
    let mut explored = explored.into_inner().unwrap();
    explored.seconds = begun.elapsed().as_secs_f64();
    explored
}

impl Explored {
    fn add(&mut self, story: Story) {
        self.seeds += 1;
        self.virtual_ms += story.virtual_ms;
        self.completed += story.completed;
        self.compensated += story.compensated;
        self.nodes += story.nodes;
        self.messages += story.messages;
        for (fault, count) in &story.fired {
            *self.fired.entry(*fault).or_default() += count;
        }
        let is_first = self.broken.as_ref().is_none_or(|it| story.seed < it.seed);
        if !story.violations.is_empty() && is_first {
            self.broken = Some(story);
        }
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, seconds, messages, nodes, completed, compensated, .. } = self;
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let (per_second, hours) = (*seeds as f64 / seconds, self.virtual_ms as f64 / 3_600_000.0);
        writeln!(
            f,
            "{seeds} seeds in {seconds:.0} s ({per_second:.1} a second), {hours:.0} simulated \
             hours"
        )?;
        writeln!(
            f,
            "{completed} sagas completed, {compensated} compensated; {messages} messages, {nodes} \
             nodes"
        )?;
        for (fault, count) in &self.fired {
            writeln!(f, "{count:>9} {fault}")?;
        }
        Ok(())
    }
}
