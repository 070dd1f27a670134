//! Every run of small sagas: every order in which rows and messages can arrive, with every
//! fault at every moment, within the bounds of the scope.

use saga_core::{StepIndex, StepSet};
use saga_model::{
    protocol::{Protocol, Until},
    scope::{Faults, Pauses, Scope},
    subject::Subject,
    tally::Happening,
};

use crate::THREADS;

#[test]
fn an_order_with_three_owners_keeps_every_promise() {
    let faults = Faults { takeovers: 2, losses: 1, repeats: 1, tails: 0 };
    explore(&Scope::reserve_pay_order(faults), 1_678_332);
}

#[test]
fn money_with_two_losses_keeps_every_promise() {
    let faults = Faults { takeovers: 1, losses: 2, repeats: 1, tails: 0 };
    explore(&Scope::pay_order(faults), 737_842);
}

#[test]
fn a_saga_behind_its_pivot_keeps_every_promise() {
    let faults = Faults { takeovers: 2, losses: 2, repeats: 1, tails: 0 };
    explore(&Scope::order_ship(faults), 362_340);
}

#[test]
fn steps_side_by_side_keep_every_promise() {
    let faults = Faults { takeovers: 1, losses: 1, repeats: 1, tails: 0 };
    explore(&Scope::side_by_side(faults), 613_063);
}

#[test]
fn a_saga_that_pauses_between_attempts_keeps_every_promise() {
    let faults = Faults { takeovers: 1, losses: 1, repeats: 1, tails: 0 };
    explore(&Scope { pauses: Pauses::Open, ..Scope::pay_order(faults) }, 237_156);
}

/// What a participant has already it refuses, and does not look whether that is of this very
/// operation: the refusal of a second attempt says nothing about the first.
#[test]
fn participants_that_refuse_what_they_have_leave_no_effect_behind() {
    let faults = Faults { takeovers: 1, losses: 1, repeats: 1, tails: 0 };
    explore(&Scope { checked: steps(&[1]), ..Scope::pay_order(faults) }, 155_052);
    let faults = Faults { takeovers: 2, losses: 1, repeats: 1, tails: 0 };
    explore(&Scope { checked: steps(&[0, 1]), ..Scope::order_ship(faults) }, 197_462);
}

/// A standby takes over that has not heard of the newest rows.
#[test]
fn a_log_that_loses_its_newest_rows_keeps_every_promise() {
    let faults = Faults { takeovers: 1, losses: 0, repeats: 0, tails: 1 };
    explore(&Scope { tail_rows_max: 2, ..Scope::pay_order(faults) }, 171_736);
    let faults = Faults { takeovers: 0, losses: 1, repeats: 1, tails: 1 };
    explore(&Scope { tail_rows_max: 2, ..Scope::reserve_pay(faults) }, 289_677);
}

/// A backup takes the place of the log: any number of rows is gone, or the saga as a whole.
#[test]
fn a_log_that_was_restored_keeps_every_promise() {
    let faults = Faults { takeovers: 1, losses: 0, repeats: 0, tails: 1 };
    let every_row = usize::from(u8::MAX);
    explore(&Scope { tail_rows_max: every_row, ..Scope::reserve_pay(faults) }, 287_995);
}

/// Visits every state. Their number is part of the claim: where it changes, something else
/// is explored. So is every kind of event that the scope lets happen.
fn explore(scope: &Scope, states: usize) {
    let model = Protocol::new(scope.clone(), Subject::real());
    let report = model.explore(&Until::Explored, THREADS);
    println!("{report}");
    assert!(report.broken.is_empty(), "{report}");
    assert!(report.unmet.is_empty(), "never seen: {:?}", report.unmet);
    let missing = report.tally.counts().filter(|(_, count)| *count == 0).map(|(it, _)| it);
    let missing: Vec<_> = missing.filter(|it| may_happen(scope, *it)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
    assert_eq!(report.states, states, "something else is explored than before");
}

/// Whether the scope lets it happen.
fn may_happen(scope: &Scope, happening: Happening) -> bool {
    use Happening as H;

    let Faults { takeovers, losses, repeats, tails } = scope.faults;
    let is_undone = scope.definition.steps.iter().any(|step| step.compensable);
    match happening {
        H::PauseEnded => scope.pauses == Pauses::Open,
        H::ActionMetIntent | H::InquiryMetIntent => scope.provider.is_some(),
        H::LateUndoRepeated | H::ActionMetReversal => is_undone,
        H::RepeatRefusedByCheck => !scope.checked.is_empty(),
        H::Died | H::LivingOwnerReplaced | H::SentByReplacedOwner => 0 < takeovers,
        H::Lost | H::GivenUp | H::NotSent | H::RowLost => 0 < losses,
        H::DeliveredTwice | H::WrittenAgain | H::OwnRowRecognised => 0 < repeats,
        H::UndoAskedFor => 0 < tails && is_undone,
        H::TailLost
        | H::TailLostUnderNode
        | H::SagaLost
        | H::RowsGone
        | H::RowsMissed
        | H::ForeignRowHasTheVersion
        | H::StartedAgain => 0 < tails,
        _ => true,
    }
}

fn steps(indices: &[u8]) -> StepSet {
    indices.iter().copied().map(StepIndex).collect()
}
