//! Walks every run of small sagas: every fate of every call, a death of the owner, a
//! cancel and the deadline at every moment, bounded only by how many of these things go
//! wrong in one run. In every state of every run the rules of [`rules`] must hold.
//!
//! The walker is tested too: [`mutants`] breaks each rule once on purpose.

mod cases;
mod fate;
mod mutants;
mod node;
mod rules;
mod walk;
mod world;

use std::{collections::BTreeSet, fmt::Write, panic::resume_unwind, thread};

use crate::{
    cases::Case,
    fate::Fate,
    walk::{Counts, Subject, Walk},
};

/// Number of states, transitions and runs of every case, and how the runs end. A change
/// here is a change of what is tested.
#[test]
fn every_run_keeps_every_rule() {
    let mut report = String::new();
    let mut total = Counts::default();
    let cases = cases::all();
    for (case, counts) in cases.iter().zip(walked(&cases)) {
        writeln!(report, "{:<34} {counts}", case.name).expect("a String takes everything");
        total.add(&counts);
    }
    writeln!(report, "{:<34} {total}", "all").expect("a String takes everything");
    println!("{report}");
    insta::assert_snapshot!("walked", report);

    // A fate that was never met would be a test of nothing (V6).
    let met: BTreeSet<Fate> = total.fates.keys().copied().collect();
    assert_eq!(met, Fate::ALL.into_iter().collect());
}

/// Walks every case, each in a thread of its own.
fn walked(cases: &[Case]) -> Vec<Counts> {
    thread::scope(|scope| {
        let walk = |case| scope.spawn(move || Walk::over(case, &Subject::real()));
        let walks: Vec<_> = cases.iter().map(walk).collect();
        let joined = walks.into_iter().zip(cases).map(|(walk, case)| match walk.join() {
            Ok(Ok(counts)) => counts,
            Ok(Err(violation)) => panic!("{}: {violation}", case.name),
            Err(panicked) => resume_unwind(panicked),
        });
        joined.collect()
    })
}
