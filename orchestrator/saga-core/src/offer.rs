//! What a person or a client can do to a saga now. Who accepts an act and who offers it ask
//! the same question, so that nothing is offered that would be refused.

use crate::{
    cancel::{CancelEffect, cancel_effect},
    definition::{Definition, StepIndex, StepKind},
    event::{Direction, Event, OperatorAct, Settled},
    next::{Action, Next, next},
    phase::{Last, StepPhase},
    state::State,
    stuck::stuck,
};

/// One thing that can be done to a saga from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Have what waits tried now.
    Retry,
    /// Ask the saga to turn back.
    Cancel,
    /// Give the step its signal.
    Signal { step: StepIndex },
    /// Say what became of the step's call.
    Settle { step: StepIndex, settled: Settled },
    /// Have the step's refused call made again under another id.
    Renew { step: StepIndex },
    /// End the saga as it is.
    Close,
}

/// Everything that can be done to the saga now.
#[must_use]
pub fn offers(definition: &Definition, state: &State, now_ms: u64) -> Vec<Offer> {
    let mut offers = Vec::new();
    for step in definition.indices() {
        if may_signal(state, step) {
            offers.push(Offer::Signal { step });
        }
    }
    if may_retry(definition, state, now_ms) {
        offers.push(Offer::Retry);
    }
    for step in definition.indices() {
        for settled in [Settled::Applied, Settled::NotApplied] {
            if may_settle(definition, state, step, settled) {
                offers.push(Offer::Settle { step, settled });
            }
        }
    }
    offers.extend(
        definition
            .indices()
            .filter(|step| may_renew(definition, state, *step))
            .map(|step| Offer::Renew { step }),
    );
    if may_cancel(definition, state) {
        offers.push(Offer::Cancel);
    }
    // Always taken before the end; offered where nothing else may be of use.
    if stuck(definition, state).is_some() {
        offers.push(Offer::Close);
    }
    offers
}

/// Whether there is something to try now: the engine would do something at once.
#[must_use]
pub fn may_retry(definition: &Definition, state: &State, now_ms: u64) -> bool {
    !upcoming(definition, state, now_ms).is_empty()
}

/// What the engine would do now if every pause were over.
#[must_use]
pub fn upcoming(definition: &Definition, state: &State, now_ms: u64) -> Vec<Action> {
    let (actor, reason) = (String::new(), String::new());
    let retry = Event::OperatorActed {
        actor,
        reason,
        act: OperatorAct::Retry,
        at_ms: now_ms,
        request_id: String::new(),
    };
    let mut hurried = state.clone();
    if hurried.apply(&retry).is_err() {
        return Vec::new(); // It has ended.
    }
    match next(definition, &hurried, now_ms) {
        Next::Do(actions) => actions,
        Next::Wait { .. } | Next::Finished(_) => Vec::new(),
    }
}

/// Whether a request to turn back would change anything.
#[must_use]
pub fn may_cancel(definition: &Definition, state: &State) -> bool {
    let decided = state.cancel_requested() || state.turned_back().is_some();
    let effect = cancel_effect(definition, state);
    !decided && matches!(effect, CancelEffect::TurnsBack | CancelEffect::Undecided)
}

/// Whether the step waits for a signal, and has none.
#[must_use]
pub fn may_signal(state: &State, step: StepIndex) -> bool {
    let is_open = state.ended().is_none() && state.turned_back().is_none();
    let step = state.step(step);
    is_open && matches!(step.phase, StepPhase::Waiting { .. }) && step.signal.is_none()
}

/// Whether a person may say what became of the step: only where the engine cannot find
/// out by itself, or has no way on.
#[must_use]
pub fn may_settle(
    definition: &Definition,
    state: &State,
    step: StepIndex,
    settled: Settled,
) -> bool {
    let passed_pivot = state.passed_pivot(definition);
    match state.step(step).phase {
        _ if state.ended().is_some() => false,
        _ if state.has_no_witness(step) => true,
        StepPhase::Open { direction: Direction::Forward, tries, .. } => {
            tries.in_doubt || passed_pivot && settled == Settled::Applied
        }
        StepPhase::Open { direction: Direction::Backward, .. }
        | StepPhase::Unrenderable { direction: Direction::Backward } => settled == Settled::Applied,
        StepPhase::Rejected | StepPhase::Fenced | StepPhase::Unrenderable { .. } => {
            passed_pivot && settled == Settled::Applied
        }
        // Its reply could not be kept: a person can give it, or say that there is none.
        StepPhase::Applied if state.step(step).recall.lacks_word() => true,
        StepPhase::Applied => state.step(step).unread && settled == Settled::Applied,
        _ => false,
    }
}

/// Whether a person may have the step's call made again under another id: it was refused for
/// ever, and surely not done, where there is no turning back from it.
#[must_use]
pub fn may_renew(definition: &Definition, state: &State, step: StepIndex) -> bool {
    if state.ended().is_some() || definition.step(step).kind != StepKind::Call {
        return false;
    }
    match state.step(step).phase {
        StepPhase::Rejected | StepPhase::Fenced => {
            state.passed_pivot(definition) && state.turned_back().is_none()
        }
        StepPhase::Open { direction: Direction::Backward, tries, last, .. } => {
            last == Last::Refused && !tries.in_doubt
        }
        _ => false,
    }
}
