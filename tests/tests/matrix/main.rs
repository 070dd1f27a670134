//! The fault matrix: every deployed definition x every step x action, compensation and
//! inquiry x what can happen to a call or to an inquiry, and every wait x what can happen to
//! it, each x the orchestrator alive, killed before the append that follows the fault, and
//! killed after it. The cells are found by looking at what the definitions call, not listed by
//! hand; their number is asserted.
//!
//! Each cell is one saga over a fresh shop in virtual time. It asserts that its fault
//! happened, that the saga ended as it must, and that the judge of `saga_tests::sim` found
//! nothing wrong: E1 to E7, E9, E10, L1, L2, L4, L5, L6, L8, V1, I1 to I10.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cells;
mod defects;
mod offers;
mod outages;
mod trial;
mod waits;

use saga_tests::sim::world::Death;

/// F04, F05, F10 to F15, F17, F20 to F22, F80, F81 with a node that lives.
#[test]
fn every_fault_while_the_orchestrator_lives() {
    let counted = cells::run_all(None);
    println!("{counted}");
    insta::assert_snapshot!("cells", counted);
}

/// F03, F06, F08: as above, and the node dies before the row that tells of it is written.
#[test]
fn every_fault_with_the_orchestrator_killed_before_the_append() {
    let counted = cells::run_all(Some(Death::BeforeAppend));
    println!("{counted}");
    insta::assert_snapshot!("cells", counted);
}

/// F07, F08, F09: as above, and the node dies behind that row.
#[test]
fn every_fault_with_the_orchestrator_killed_after_the_append() {
    let counted = cells::run_all(Some(Death::AfterAppend));
    println!("{counted}");
    insta::assert_snapshot!("cells", counted);
}
