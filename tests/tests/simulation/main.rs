//! The deterministic simulation: one number decides everything that happens to a few sagas
//! over one shop: which are started, what fails, who dies, whose clock jumps, and when. A
//! phase in which anything may go wrong, then everything is mended and everything must end.
//! The judge of `saga_tests::sim` looks at every row and at every message.
//!
//! `AMENDS_SIM_SEED=N` runs one seed and prints its story. Otherwise as many seeds are run as
//! [`SEEDS`] says, or as two minutes allow. `AMENDS_SIM_SEEDS=COUNT` runs so many, however long
//! it takes, `AMENDS_SIM_SECONDS=S` as many as fit into that time; `AMENDS_SIM_FIRST=N` begins
//! elsewhere than at seed 0.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod course;
mod defects;
mod explore;
mod nemesis;

use saga_tests::sim::fault::Fault;

use crate::{
    course::{Story, told},
    explore::{Budget, explore},
};

/// Seeds of a run that is told nothing else.
const SEEDS: u64 = 10_000;

/// The simulation's share of a run of all tests.
const SECONDS: u64 = 120;

/// Seeds that even a slow and busy machine runs in that time; fewer prove too little.
const SEEDS_MIN: u64 = 2_500;

/// Seeds below which nobody can expect every rare fault to have happened.
const SEEDS_FOR_EVERY_FAULT: u64 = 60;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, not a number")))
}

/// V1, V6, V7, and all that the judge knows, under every fault of [`Fault::ALL`].
#[test]
fn every_seed_keeps_every_promise() {
    if let Some(seed) = number("AMENDS_SIM_SEED") {
        let story = told(seed, None);
        println!("{}", story.told(usize::MAX));
        assert!(story.violations.is_empty(), "seed {seed}: {:#?}", story.violations);
        return;
    }
    let asked = (number("AMENDS_SIM_SEEDS"), number("AMENDS_SIM_SECONDS"));
    let (seeds, seconds) = match asked {
        (None, None) => (SEEDS, SECONDS),
        (seeds, seconds) => (seeds.unwrap_or(u64::MAX), seconds.unwrap_or(u64::MAX)),
    };
    let first = number("AMENDS_SIM_FIRST").unwrap_or(0);
    let explored = explore(Budget { first, seeds, seconds });
    println!("{explored}");
    if let Some(story) = &explored.broken {
        let seed = story.seed;
        panic!("{}\nreplay it with `tests/run sim --seed {seed}`", story.told(400));
    }
    if asked == (None, None) {
        let seeds = explored.seeds;
        assert!(SEEDS_MIN <= seeds, "{seeds} seeds in {SECONDS} s are too few to prove anything");
    }
    if SEEDS_FOR_EVERY_FAULT <= explored.seeds {
        let never: Vec<Fault> =
            Fault::ALL.into_iter().filter(|it| !explored.fired.contains_key(it)).collect();
        assert!(never.is_empty(), "these never happened, so nothing is proved of them: {never:?}");
    }
}

/// Whoever replays a seed sees what was seen before.
#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 0..12 {
        let (once, again) = (told(seed, None), told(seed, None));
        let differs = once.trace.iter().zip(&again.trace).position(|(a, b)| a != b);
        if let Some(line) = differs {
            let around = |story: &Story| story.trace[line.saturating_sub(12)..=line].join("\n");
            panic!("seed {seed}, line {line}:\n{}\n\nand\n\n{}", around(&once), around(&again));
        }
        assert_eq!(once.trace.len(), again.trace.len(), "seed {seed}");
    }
}
