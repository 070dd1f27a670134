//! The oracle is tested by breaking things: each mistake that is made on purpose is found by
//! some cell of the matrix.

use saga_tests::sim::{
    deployed,
    fault::{Defect, Fault},
    world::{Death, Part},
};

use crate::cells::{self, Cell, Subject};

/// Runs the cells of one definition until one of them finds the mistake.
fn found_by(defect: Defect, which: impl Fn(&Cell) -> bool) -> Option<Vec<String>> {
    let deployed = deployed::find("place-order").unwrap();
    let deaths = [None, Some(Death::BeforeAppend)];
    let cells = deaths.into_iter().flat_map(|death| cells::of(deployed, death));
    cells.filter(which).find_map(|cell| {
        let (report, _) = cell.run(Some(defect));
        (!report.violations.is_empty()).then_some(report.violations)
    })
}

#[track_caller]
fn is_found(defect: Defect, rules: &[&str], which: impl Fn(&Cell) -> bool) {
    let violations = found_by(defect, which).expect("no cell has found it");
    let named = |rule: &&str| violations.iter().any(|it| it.contains(*rule));
    assert!(rules.iter().any(named), "not as one of {rules:?}: {violations:#?}");
}

fn is(cell: &Cell, part: Part, fault: Fault) -> bool {
    cell.subject == Subject::Message(part, fault)
}

#[test]
fn participants_without_memory_are_found() {
    is_found(Defect::NoDedup, &["E1", "I4"], |it| is(it, Part::Action, Fault::Duplicate));
}

#[test]
fn participants_without_tombstones_are_found() {
    is_found(Defect::NoTombstone, &["L8", "E3"], |it| is(it, Part::Action, Fault::LateAfterFence));
}

/// F12: neither of two copies sees the other. F17: an inquiry does not see the original.
#[test]
fn participants_that_look_without_a_lock_are_found() {
    let defect = Defect::LooksWithoutLock;
    is_found(defect, &["E1", "I4"], |it| is(it, Part::Action, Fault::Twins));
    is_found(defect, &["L8", "E1", "E3", "I4"], |it| is(it, Part::Action, Fault::StillOpen));
}

#[test]
fn an_inquiry_that_does_not_fence_is_found() {
    is_found(Defect::UnfencedInquiry, &["L8", "E3"], |it| {
        is(it, Part::Action, Fault::LateAfterFence)
    });
}

#[test]
fn an_unknown_outcome_that_is_taken_for_a_refusal_is_found() {
    is_found(Defect::UnknownIsRefusal, &["L8"], |it| is(it, Part::Action, Fault::ReplyLost));
}

#[test]
fn a_refusal_of_a_repeat_that_ends_the_doubt_is_found() {
    is_found(Defect::RefusalEndsDoubt, &["L8", "E3"], |it| {
        is(it, Part::Action, Fault::RefusedByCheck)
    });
}

/// F70: the participant was restored from a backup, and the money is still at the provider.
#[test]
fn an_undo_that_finds_nothing_calls_a_person() {
    let stuck = &["V1: it has not ended; stuck: Some((\"CONTRADICTION\""];
    is_found(Defect::ParticipantForgets, stuck, |it| is(it, Part::Compensation, Fault::Duplicate));
}

#[test]
fn an_undo_that_finds_nothing_and_is_taken_for_done_is_found() {
    is_found(Defect::NothingFoundIsUndone, &["L8", "E3"], |it| {
        is(it, Part::Compensation, Fault::Duplicate)
    });
}

#[test]
fn a_compensation_that_is_not_sent_is_found() {
    is_found(Defect::UndoSkipped, &["L8", "E3"], |it| is(it, Part::Action, Fault::LateAfterFence));
}

#[test]
fn an_operation_id_for_each_attempt_is_found() {
    is_found(Defect::IdPerAttempt, &["L8", "E2"], |it| is(it, Part::Action, Fault::ReplyLost));
}

#[test]
fn a_release_that_forgets_a_line_is_found() {
    is_found(Defect::PartialRelease, &["E7", "I3"], |it| {
        is(it, Part::Compensation, Fault::Duplicate)
    });
}

#[test]
fn a_refund_that_the_provider_never_saw_is_found() {
    is_found(Defect::RefundForgotten, &["E4", "I8"], |it| {
        is(it, Part::Compensation, Fault::Duplicate)
    });
}

#[test]
fn a_log_that_forgets_is_found() {
    is_found(Defect::LogForgets, &["L1", "L2"], |it| is(it, Part::Action, Fault::Duplicate));
}
