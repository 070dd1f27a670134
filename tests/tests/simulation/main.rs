//! The deterministic simulation: one number decides everything that happens to a few sagas
//! over one shop: which are started, what fails, who dies, whose clock jumps, and when. A
//! phase in which anything may go wrong, then everything is mended and everything must end.
//! The judge of `saga_tests::sim` looks at every row and at every message.
//!
//! `AMENDS_SIM_SEED=N` runs one seed and prints its story. `AMENDS_SIM_SEEDS=COUNT` runs so
//! many, `AMENDS_SIM_SECONDS=S` as many as fit into that time (60 by default);
//! `AMENDS_SIM_FIRST=N` begins elsewhere than at seed 0.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod course;
mod defects;
mod explore;
mod nemesis;

use saga_tests::sim::fault::Fault;

use crate::{
    course::{Story, run},
    explore::{Budget, explore},
};

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
        let story = run(seed, None);
        println!("{}", story.told(usize::MAX));
        assert!(story.violations.is_empty(), "seed {seed}: {:#?}", story.violations);
        return;
    }
    let budget = Budget {
        first: number("AMENDS_SIM_FIRST").unwrap_or(0),
        seeds: number("AMENDS_SIM_SEEDS"),
        seconds: number("AMENDS_SIM_SECONDS").unwrap_or(60),
    };
    let explored = explore(budget);
    println!("{explored}");
    if let Some(story) = &explored.broken {
        let seed = story.seed;
        panic!("{}\nreplay it with AMENDS_SIM_SEED={seed}", story.told(400));
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
        let (once, again) = (run(seed, None), run(seed, None));
        let differs = once.trace.iter().zip(&again.trace).position(|(a, b)| a != b);
        if let Some(line) = differs {
            let around = |story: &Story| story.trace[line.saturating_sub(12)..=line].join("\n");
            panic!("seed {seed}, line {line}:\n{}\n\nand\n\n{}", around(&once), around(&again));
        }
        assert_eq!(once.trace.len(), again.trace.len(), "seed {seed}");
    }
}
