//! States in words, and the marks that go with them.

use saga_proto::saga::v1::{Saga, SagaState, SagaStep, StepState};

use crate::look::{Look, Mark};

/// A saga's state. Capitals where a person must look.
pub(crate) fn saga_state(state: SagaState) -> (Mark, &'static str) {
    match state {
        SagaState::Unspecified => (Mark::Unknown, "(newer than this sagactl)"),
        SagaState::Running => (Mark::Moving, "running"),
        SagaState::Compensating => (Mark::Moving, "compensating"),
        SagaState::Stuck => (Mark::Trouble, "STUCK"),
        SagaState::Completed => (Mark::Good, "completed"),
        SagaState::Compensated => (Mark::Undone, "compensated"),
        SagaState::Closed => (Mark::Refused, "closed"),
    }
}

/// A step's state. Capitals where a person must look.
pub(crate) fn step_state(state: StepState) -> (Mark, &'static str) {
    match state {
        StepState::Unspecified => (Mark::Unknown, "(newer than this sagactl)"),
        StepState::Pending => (Mark::Waiting, "not started"),
        StepState::Skipped => (Mark::Waiting, "skipped"),
        StepState::InFlight => (Mark::Moving, "in flight"),
        StepState::Retrying => (Mark::Moving, "retrying"),
        StepState::Unknown => (Mark::Unknown, "UNKNOWN"),
        StepState::Applied => (Mark::Good, "applied"),
        StepState::Rejected => (Mark::Refused, "rejected"),
        StepState::Compensating => (Mark::Moving, "compensating"),
        StepState::Compensated => (Mark::Undone, "compensated"),
        StepState::Faulted => (Mark::Trouble, "FAULTED"),
        StepState::Waiting => (Mark::Moving, "waiting"),
        StepState::Kept => (Mark::Good, "kept"),
        StepState::NotDone => (Mark::Waiting, "not done"),
    }
}

/// The pivots that may run, of which one does.
pub(crate) fn pivots(saga: &Saga) -> Option<String> {
    let may_run = |it: &&SagaStep| it.pivot && it.state() != StepState::Skipped;
    let names: Vec<&str> = saga.steps.iter().filter(may_run).map(|it| it.name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(" or "))
}

/// `1 saga`, `2 sagas`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
/// How long a saga took, or what moves it next and until when it may.
pub(crate) fn course(saga: &Saga, look: &Look) -> Vec<String> {
    if saga.ended_at.is_some() {
        return vec![format!("took {}", look.took(saga.started_at, saga.ended_at))];
    }
    let mut facts = Vec::new();
    if saga.waiting_on.starts_with("participant ") {
        // It wakes up by itself only in case nobody tells it.
        facts.push(format!("waits for {}", saga.waiting_on));
    } else if saga.wake_at.is_some() {
        facts.push(format!("moves by itself {}", look.at(saga.wake_at)));
    }
    if saga.deadline_at.is_some() {
        facts.push(format!("deadline {}", look.at(saga.deadline_at)));
    }
    facts
}
