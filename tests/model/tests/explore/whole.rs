//! Every run of small sagas: every order in which rows and messages can arrive, with every
//! fault at every moment, within the bounds of the scope.

use saga_model::{
    protocol::{Protocol, Until},
    scope::{Faults, Pauses, Scope},
    subject::Subject,
    tally::Happening,
};

use crate::THREADS;

#[test]
fn an_order_with_three_owners_keeps_every_promise() {
    let faults = Faults { takeovers: 2, losses: 1, repeats: 1 };
    explore(Scope::reserve_pay_order(faults), 1_864_068, &[Happening::PauseEnded]);
}

#[test]
fn money_with_two_losses_keeps_every_promise() {
    let faults = Faults { takeovers: 1, losses: 2, repeats: 1 };
    explore(Scope::pay_order(faults), 858_922, &[Happening::PauseEnded]);
}

#[test]
fn a_saga_behind_its_pivot_keeps_every_promise() {
    let faults = Faults { takeovers: 2, losses: 2, repeats: 1 };
    let without_provider = [
        Happening::PauseEnded,
        Happening::ActionMetIntent,
        Happening::InquiryMetIntent,
        Happening::LateUndoRepeated,
    ];
    explore(Scope::order_ship(faults), 441_044, &without_provider);
}

#[test]
fn steps_side_by_side_keep_every_promise() {
    let faults = Faults { takeovers: 1, losses: 1, repeats: 1 };
    let without_provider =
        [Happening::PauseEnded, Happening::ActionMetIntent, Happening::InquiryMetIntent];
    explore(Scope::side_by_side(faults), 684_061, &without_provider);
}

#[test]
fn a_saga_that_pauses_between_attempts_keeps_every_promise() {
    let faults = Faults { takeovers: 1, losses: 1, repeats: 1 };
    let scope = Scope { pauses: Pauses::Open, ..Scope::pay_order(faults) };
    explore(scope, 243_056, &[]);
}

/// Visits every state. Their number is part of the claim: where it changes, something else
/// is explored. So is every kind of event, but for those that `never` can happen.
fn explore(scope: Scope, states: usize, never: &[Happening]) {
    let model = Protocol::new(scope, Subject::real());
    let report = model.explore(&Until::Explored, THREADS);
    println!("{report}");
    assert!(report.broken.is_empty(), "{report}");
    assert!(report.unmet.is_empty(), "never seen: {:?}", report.unmet);
    let missing = report.tally.counts().filter(|(it, count)| *count == 0 && !never.contains(it));
    let missing: Vec<_> = missing.map(|(it, _)| it).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
    assert_eq!(report.states, states, "something else is explored than before");
}
