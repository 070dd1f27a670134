//! What is true of a saga, in the words that people are told it with. Sentences are made of
//! these facts and of nothing else, so that none can say what the log does not.

use crate::{
    definition::{Definition, StepIndex, StepKind, StepSet},
    event::{Direction, Settled, TurnBackReason},
    phase::{Last, StepPhase},
    state::{By, State},
};

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepView {
    /// Nothing was called, and nothing was awaited.
    NotBegun,
    /// Its condition was false.
    Skipped,
    /// It waits for its signal.
    Waiting,
    /// Its action is out.
    Calling,
    /// Surely not done so far; it may be tried again.
    Retrying,
    /// Its request cannot be made, or the participant cannot read it; a person must look.
    Faulted,
    /// Nobody knows whether its effect stands.
    Unknown,
    /// Its effect stands.
    Applied,
    /// Refused: surely not done, and it never will be.
    Rejected,
    /// Surely not done, and it never will be: nothing was sent, every attempt did nothing,
    /// it was fenced, or a person said so.
    NotDone,
    /// Its effect stands, or is taken to stand, and its compensation is under way.
    Undoing,
    /// Its effect is undone.
    Undone,
    /// Its effect stays: the condition of its compensation was false.
    Kept,
}

/// Where the step at `index` stands.
#[must_use]
pub fn step_view(state: &State, index: StepIndex) -> StepView {
    use Direction::{Backward, Forward};
    let turned_back = state.turned_back().is_some();
    let is_over = state.ended().is_some();
    let is_in_question = turned_back || is_over || state.step(index).is_left_to_a_person();
    if is_in_question && state.may_have_begun_unseen(index) {
        return StepView::Unknown;
    }
    match state.step(index).phase {
        // Closed while a call was out, or before what it did was known: nobody will hear.
        StepPhase::InFlight { .. }
        | StepPhase::Open { direction: Backward, .. }
        | StepPhase::Unrenderable { direction: Backward }
            if is_over =>
        {
            StepView::Unknown
        }
        StepPhase::Pending => StepView::NotBegun,
        StepPhase::Skipped => StepView::Skipped,
        StepPhase::Applied if state.may_be_undone_unseen(index) => StepView::Unknown,
        StepPhase::Applied => StepView::Applied,
        StepPhase::Rejected => StepView::Rejected,
        StepPhase::Fenced => StepView::NotDone,
        StepPhase::Kept => StepView::Kept,
        StepPhase::Undone => StepView::Undone,
        StepPhase::InFlight { direction: Forward, .. } => StepView::Calling,
        StepPhase::InFlight { direction: Backward, .. }
        | StepPhase::Open { direction: Backward, .. } => StepView::Undoing,
        StepPhase::Inquiring { .. } => StepView::Unknown,
        StepPhase::Open { direction: Forward, tries, .. } if tries.in_doubt => StepView::Unknown,
        StepPhase::Unrenderable { direction: Backward } => StepView::Faulted,
        // Turning back, what has had no effect is not tried again.
        StepPhase::Waiting { .. }
        | StepPhase::Open { direction: Forward, .. }
        | StepPhase::Unrenderable { direction: Forward }
            if turned_back || is_over =>
        {
            StepView::NotDone
        }
        StepPhase::Waiting { .. } => StepView::Waiting,
        StepPhase::Unrenderable { direction: Forward }
        | StepPhase::Open { direction: Forward, last: Last::Fault, .. } => StepView::Faulted,
        StepPhase::Open { direction: Forward, .. } => StepView::Retrying,
    }
}

/// What becomes of a step's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UndoView {
    /// There is no effect.
    Nothing,
    /// The effect, if it is there, stays: nothing undoes it, or not any more.
    Stays,
    /// The effect stands, and is undone where the saga turns back.
    Planned,
    /// Nobody knows whether the effect stands. If it does, it is undone where the saga
    /// turns back.
    IfApplied,
    /// The effect is being undone.
    Underway,
    /// The effect is undone.
    Done,
}

/// What becomes of the effect of the step at `index`.
#[must_use]
pub fn undo_view(definition: &Definition, state: &State, index: StepIndex) -> UndoView {
    let step = definition.step(index);
    // A signal that was accepted has no effect anywhere.
    let is_wait = matches!(step.kind, StepKind::Wait { .. });
    let is_over = state.ended().is_some() || state.passed_pivot(definition);
    let may_be_undone = step.compensable && !is_over;
    match state.step(index).phase {
        StepPhase::Undone => UndoView::Done,
        StepPhase::Kept => UndoView::Stays,
        _ if state.ended().is_some() && !is_wait && state.may_stand(index) => UndoView::Stays,
        StepPhase::InFlight { direction: Direction::Backward, .. }
        | StepPhase::Open { direction: Direction::Backward, .. } => UndoView::Underway,
        StepPhase::Unrenderable { direction: Direction::Backward } => UndoView::Planned,
        _ if is_wait || !state.may_stand(index) => UndoView::Nothing,
        _ if !may_be_undone => UndoView::Stays,
        StepPhase::Applied if state.may_be_undone_unseen(index) => UndoView::IfApplied,
        StepPhase::Applied => UndoView::Planned,
        _ => UndoView::IfApplied,
    }
}

/// The steps whose effect has this fate.
#[must_use]
pub fn with_undo(definition: &Definition, state: &State, fate: UndoView) -> StepSet {
    definition.indices().filter(|index| undo_view(definition, state, *index) == fate).collect()
}

/// The effects that stand and are undone where the saga turns back, in an order in which
/// they may be: none before what depends on it.
#[must_use]
pub fn undo_order(definition: &Definition, state: &State) -> Vec<StepIndex> {
    let mut order: Vec<StepIndex> =
        with_undo(definition, state, UndoView::Planned).iter().collect();
    // Whatever depends on a step has all of that step's ancestors, and one more.
    let depth = |index: &StepIndex| (definition.ancestors(*index).iter().count(), *index);
    order.sort_by_key(|index| std::cmp::Reverse(depth(index)));
    order
}

/// Why a saga turned back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because<'s> {
    /// The step was refused, with this reason code.
    Refused { step: StepIndex, reason: &'s str },
    /// A person said that the step was not applied.
    SettledByHand { step: StepIndex, by: &'s By },
    /// The outcome of the step was unknown, and an inquiry made sure that it never happens.
    Fenced { step: StepIndex },
    /// Every attempt of the step surely did nothing.
    GivenUp { step: StepIndex, attempts: u32 },
    /// The step's request cannot be made from the data of this saga.
    Unrenderable { step: StepIndex },
    /// The saga took longer than its deadline.
    DeadlinePassed,
    /// The saga had turned back before, in rows that the log lost: the step is undone already, or
    /// its undo was refused.
    UndoneInLostRows { step: StepIndex },
    /// Somebody asked for it.
    Cancelled { by: Option<&'s By> },
}

/// Why the saga turned back, where it did.
#[must_use]
pub fn because(state: &State) -> Option<Because<'_>> {
    let because = match state.turned_back()? {
        TurnBackReason::StepRejected { step, reason } => Because::Refused { step: *step, reason },
        TurnBackReason::AttemptsExhausted { step } => given_up(state, *step),
        TurnBackReason::Unrenderable { step } => Because::Unrenderable { step: *step },
        TurnBackReason::DeadlinePassed => Because::DeadlinePassed,
        TurnBackReason::UndoneInLostRows { step } => Because::UndoneInLostRows { step: *step },
        TurnBackReason::Cancelled => Because::Cancelled { by: state.cancelled() },
    };
    Some(because)
}

fn given_up(state: &State, index: StepIndex) -> Because<'_> {
    let step = state.step(index);
    match (step.phase, &step.settled) {
        (StepPhase::Fenced, Some(settled)) if settled.settled == Settled::NotApplied => {
            Because::SettledByHand { step: index, by: &settled.by }
        }
        (StepPhase::Open { tries, .. }, _) => {
            Because::GivenUp { step: index, attempts: tries.attempt }
        }
        _ => Because::Fenced { step: index },
    }
}
