//! More steps, more owners and more faults than the tests that run always. Takes minutes to an
//! hour, so it runs only where it is named:
//!
//! ```text
//! cargo test --profile demo -p saga-model --test long -- --nocapture --test-threads 1
//! ```
//!
//! `SAGA_MODEL_MINUTES` bounds each exploration (30 where absent). What was visited until then
//! is reported; a promise that was seen broken, or a state that was never seen, is a failure.

#![expect(clippy::print_stdout, reason = "people want to see how much was explored")]

use std::{env, time::Duration};

use saga_model::{
    protocol::{Protocol, Until},
    scope::{Faults, Pauses, Scope},
    subject::Subject,
};

const MINUTES: u64 = 30;

#[test]
fn an_order_with_three_owners_keeps_every_promise() {
    explore(Scope::reserve_pay_order(Faults { takeovers: 2, losses: 2, repeats: 1, tails: 0 }));
}

#[test]
fn an_order_with_four_owners_keeps_every_promise() {
    explore(Scope::reserve_pay_order(Faults { takeovers: 3, losses: 2, repeats: 2, tails: 0 }));
}

#[test]
fn an_order_that_pauses_between_attempts_keeps_every_promise() {
    let faults = Faults { takeovers: 2, losses: 2, repeats: 1, tails: 0 };
    explore(Scope { pauses: Pauses::Open, ..Scope::reserve_pay_order(faults) });
}

#[test]
fn a_saga_without_a_pivot_keeps_every_promise() {
    explore(Scope::reserve_pay(Faults { takeovers: 2, losses: 3, repeats: 1, tails: 0 }));
}

#[test]
fn steps_side_by_side_keep_every_promise() {
    explore(Scope::side_by_side(Faults { takeovers: 2, losses: 2, repeats: 1, tails: 0 }));
}

fn explore(scope: Scope) {
    let minutes = match env::var("SAGA_MODEL_MINUTES") {
        Ok(minutes) => minutes.parse().expect("SAGA_MODEL_MINUTES is a number of minutes"),
        Err(_) => MINUTES,
    };
    let faults = scope.faults;
    let model = Protocol::new(scope, Subject::real());
    let report = model.explore(&Until::Patience(Duration::from_secs(60 * minutes)), 2);
    println!("{faults:?}\n{report}");
    assert!(report.broken.is_empty(), "{report}");
    assert!(report.unmet.is_empty(), "never seen: {:?}", report.unmet);
}
