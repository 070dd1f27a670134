//! What is asked where the log lost rows twice: what the first loss had asked may be lost too.

use saga_core::{
    Direction::Forward,
    OperatorAct, Resolution, Settled, StepPhase,
    explain::{StepView, step_view},
};

use crate::{
    fixture::{FIRST, PIVOT, Saga, call, definition},
    losses::{applied, inquire, lost, lost_in},
};

/// What the first loss asked may be lost with the second: the fence with which it was answered,
/// and the undo under the id that followed. Whatever became of each row, no id is left out.
#[test]
fn an_undo_is_asked_for_under_each_id_that_losses_may_have_left() {
    let (first, second) = (lost(Saga::of(definition()).applied(FIRST)), 3);
    let forgotten = Saga::of(definition()).applied(FIRST);
    for twice in [lost_in(first, second), lost_in(forgotten, second)] {
        let fenced = twice.resolved(FIRST, 1, Resolution::Fenced);
        fenced.does(inquire(FIRST, 1));
        assert_eq!(fenced.state.step(FIRST).generations.compensation, 1);
        assert_eq!(step_view(&fenced.state, FIRST), StepView::Applied);
        let undone = fenced.clone().resolved(FIRST, 1, applied());
        assert_eq!(undone.state.step(FIRST).phase, StepPhase::Undone);
        let stands = fenced.resolved(FIRST, 1, Resolution::Fenced);
        stands.does(call(PIVOT, Forward, 1));
        assert_eq!(stands.state.step(FIRST).generations.compensation, 2);
    }
    // What the first loss was told is not lost with the second.
    let told = lost(Saga::of(definition()).applied(FIRST)).resolved(FIRST, 1, Resolution::Fenced);
    lost_in(told, second).resolved(FIRST, 1, Resolution::Fenced).does(call(PIVOT, Forward, 1));
}

/// Who looked can't know which ids were used: the undo gets one that none of them was.
#[test]
fn a_person_who_finds_an_effect_behind_two_losses_has_it_undone_under_a_new_id() {
    let saga = lost_in(lost(Saga::of(definition()).applied(FIRST)), 3);
    let saga = saga.resolved(FIRST, 1, Resolution::Reversed).acted(OperatorAct::Settle {
        step: FIRST,
        call: None,
        settled: Settled::Applied,
        reply: None,
    });
    assert_eq!(saga.state.step(FIRST).generations.compensation, 2);
}
