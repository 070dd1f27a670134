//! Sagas and events as clients see them. Never a payload.

use std::sync::Arc;

use prost_types::Timestamp;
use saga_core::{
    Direction, Event, OnTimeout, OperatorAct, Outcome, Resolution, SagaId, StepIndex,
    TurnBackReason, Verdict, phase::StepPhase,
};
use saga_log::{LogRow, SagaRow, Standing, Status as RowStatus};
use saga_proto::saga::v1::{self as pb, SagaState, StepState};

use crate::{
    definition::CompiledDefinition,
    driver::standing::{Care, WAITING_ON_OPERATOR, standing},
    engine::{EndState, Snapshot},
};

/// A point in time, from milliseconds since the Unix epoch.
pub(super) fn timestamp(at_ms: u64) -> Timestamp {
    let seconds = i64::try_from(at_ms / 1_000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(at_ms % 1_000 * 1_000_000).unwrap_or(0);
    Timestamp { seconds, nanos }
}

/// A saga as its index row tells it, without steps.
pub(super) fn saga_of_row(row: &SagaRow) -> pb::Saga {
    let standing = &row.standing;
    let state = match standing.status {
        RowStatus::Completed => SagaState::Completed,
        RowStatus::Compensated => SagaState::Compensated,
        RowStatus::Closed => SagaState::Closed,
        _ if standing.stuck.is_some() => SagaState::Stuck,
        RowStatus::Running => SagaState::Running,
        RowStatus::Compensating => SagaState::Compensating,
    };
    // A saga that is being driven has a wake-up time only for the case that its owner dies.
    let wake_at = standing.wake_at_ms.filter(|_| standing.owner.is_none());
    pb::Saga {
        saga_id: row.saga.to_string(),
        namespace: row.namespace.clone(),
        business_key: row.business_key.clone(),
        definition: row.definition.clone(),
        definition_version: row.definition_version,
        state: state.into(),
        started_at: Some(timestamp(row.started_at_ms)),
        ended_at: standing.ended_at_ms.map(timestamp),
        wake_at: wake_at.map(timestamp),
        stuck: standing.stuck.as_ref().map(|stuck| pb::Stuck {
            reason: stuck.reason.clone(),
            step: stuck.step.clone(),
            message: stuck.message.clone(),
            since: Some(timestamp(stuck.since_ms)),
        }),
        turned_back: standing.turned_back.clone().unwrap_or_default(),
        owner: standing.owner.map(|node| node.to_string()).unwrap_or_default(),
        waiting_on: awaited(standing).to_owned(),
        why: match awaited(standing) {
            "" => String::new(),
            awaited => format!("It waits for {awaited}."),
        },
        ..pb::Saga::default()
    }
}

/// What a saga waits for from outside, or nothing. That it waits for a person is said by
/// why it is stuck.
fn awaited(standing: &Standing) -> &str {
    let awaited = standing.waiting_on.as_deref().filter(|_| standing.stuck.is_none());
    awaited.filter(|it| *it != WAITING_ON_OPERATOR).unwrap_or_default()
}

/// A saga as its whole log tells it.
pub(super) fn saga(snapshot: &Snapshot) -> pb::Saga {
    let Snapshot { row, definition, state, version } = snapshot;
    let steps = definition.core.indices().map(|index| step(snapshot, index)).collect();
    let rejected_reason = match state.turned_back() {
        Some(TurnBackReason::StepRejected { reason, .. }) => reason.clone(),
        _ => String::new(),
    };
    pb::Saga { steps, version: *version, why: why(snapshot), rejected_reason, ..saga_of_row(row) }
}

/// A saga that has just ended here, without reading its log again.
pub(super) fn ended(
    id: SagaId,
    namespace: String,
    business_key: String,
    definition: Arc<CompiledDefinition>,
    end: &EndState,
) -> pb::Saga {
    let state = end.state.clone();
    let standing = standing(&definition, &state, Care::Parked { until_ms: None }, 0);
    let row = SagaRow {
        saga: id,
        namespace,
        business_key,
        definition: definition.core.name.clone(),
        definition_version: definition.core.version,
        request_hash: [0; 32],
        started_at_ms: state.started_at_ms(),
        standing,
    };
    saga(&Snapshot { row, definition, state, version: end.version })
}

fn step(snapshot: &Snapshot, index: StepIndex) -> pb::SagaStep {
    let Snapshot { definition, state, .. } = snapshot;
    let step = state.step(index);
    let gone = state.turned_back().is_some();
    let name = &definition.core.step(index).name;
    let (step_state, attempt) = match step.phase {
        StepPhase::Pending => (StepState::Pending, 0),
        StepPhase::Skipped => (StepState::Skipped, 0),
        StepPhase::Unrenderable { .. } => (StepState::Faulted, 0),
        StepPhase::Applied => (StepState::Applied, 0),
        StepPhase::Rejected => (StepState::Rejected, 0),
        StepPhase::Waiting { .. } if !gone => (StepState::Waiting, 0),
        StepPhase::Waiting { .. } | StepPhase::Fenced | StepPhase::Undone => {
            (StepState::Compensated, 0)
        }
        StepPhase::Kept => (StepState::Kept, 0),
        StepPhase::Inquiring { tries } => (StepState::Unknown, tries.attempt),
        StepPhase::InFlight { direction: Direction::Forward, tries } => {
            (StepState::InFlight, tries.attempt)
        }
        StepPhase::Open { direction: Direction::Forward, tries, .. } if tries.in_doubt => {
            (StepState::Unknown, tries.attempt)
        }
        StepPhase::Open { direction: Direction::Forward, tries, last, .. } => {
            let faulted = last == saga_core::phase::Last::Fault;
            (if faulted { StepState::Faulted } else { StepState::Retrying }, tries.attempt)
        }
        StepPhase::InFlight { direction: Direction::Backward, tries }
        | StepPhase::Open { direction: Direction::Backward, tries, .. } => {
            (StepState::Compensating, tries.attempt)
        }
    };
    let trouble = step.last_trouble.as_ref().map(|trouble| match trouble.message.as_str() {
        "" => trouble.reason.clone(),
        message => format!("{}: {message}", trouble.reason),
    });
    pb::SagaStep {
        name: name.clone(),
        state: step_state.into(),
        attempt,
        action_op_id: state.operation(&definition.core, index, Direction::Forward).to_string(),
        last_result: trouble.unwrap_or_default(),
    }
}

/// One sentence that says what the saga waits for, or how it ended.
fn why(snapshot: &Snapshot) -> String {
    let Snapshot { row, definition, state, .. } = snapshot;
    let name = |index: StepIndex| definition.core.step(index).name.as_str();
    let because = match state.turned_back() {
        None => String::new(),
        Some(TurnBackReason::StepRejected { step, reason }) => {
            format!("{} was refused: {reason}", name(*step))
        }
        Some(TurnBackReason::AttemptsExhausted { step }) => {
            format!("{} was not done after its last attempt", name(*step))
        }
        Some(TurnBackReason::Unrenderable { step }) => {
            format!("the request of {} cannot be made", name(*step))
        }
        Some(TurnBackReason::DeadlinePassed) => "its deadline passed".to_owned(),
        Some(TurnBackReason::Cancelled) => "it was cancelled".to_owned(),
    };
    if let Some(stuck) = &row.standing.stuck {
        return stuck.message.clone();
    }
    match row.standing.status {
        RowStatus::Completed => "Every step is done.".to_owned(),
        RowStatus::Compensated => format!("Everything is undone, because {because}."),
        RowStatus::Closed => "An operator closed it.".to_owned(),
        RowStatus::Compensating => {
            format!("It is turning back, because {because}. {}", open_calls(snapshot))
        }
        RowStatus::Running => open_calls(snapshot),
    }
}

fn open_calls(snapshot: &Snapshot) -> String {
    let Snapshot { definition, state, .. } = snapshot;
    let open: Vec<String> = definition
        .core
        .indices()
        .filter_map(|index| {
            let name = &definition.core.step(index).name;
            match state.step(index).phase {
                StepPhase::InFlight { direction: Direction::Forward, .. } => {
                    Some(format!("{name} is being called"))
                }
                StepPhase::Waiting { .. } if state.turned_back().is_none() => {
                    let signal = definition.signals().find(|signal| signal.step == index);
                    signal.map(|signal| format!("{name} waits for the signal {}", signal.name))
                }
                StepPhase::Inquiring { .. } => Some(format!("{name} is being inquired into")),
                StepPhase::InFlight { .. } => Some(format!("{name} is being undone")),
                StepPhase::Open { tries, .. } => {
                    let tried = tries.attempt;
                    Some(format!("{name} is tried again after {tried} attempts"))
                }
                _ => None,
            }
        })
        .collect();
    if open.is_empty() { "It goes on at once.".to_owned() } else { format!("{}.", open.join("; ")) }
}

/// The events of one row.
pub(super) fn events(
    definition: &CompiledDefinition,
    row: &LogRow,
    events: &[Event],
) -> Vec<pb::SagaEvent> {
    events.iter().map(|event| saga_event(definition, row, event)).collect()
}

fn saga_event(definition: &CompiledDefinition, row: &LogRow, event: &Event) -> pb::SagaEvent {
    let step = event.step().filter(|index| index.at() < definition.core.steps.len());
    let step = step.map(|index| definition.core.step(index).name.clone()).unwrap_or_default();
    let said = Said::of(event);
    pb::SagaEvent {
        version: row.version,
        appended_at: Some(timestamp(row.at_ms)),
        kind: event.kind().to_owned(),
        step,
        direction: said.direction.map_or("", Direction::as_str).to_owned(),
        attempt: said.attempt,
        outcome: said.outcome.to_owned(),
        reason: said.reason,
        message: said.message,
    }
}

/// What an event says beside its step.
#[derive(Default)]
struct Said {
    direction: Option<Direction>,
    attempt: u32,
    outcome: &'static str,
    reason: String,
    message: String,
}

impl Said {
    fn of(event: &Event) -> Self {
        match event {
            Event::Started(started) => Self {
                message: format!(
                    "{} version {}, on node {}",
                    started.definition, started.definition_version, started.node
                ),
                ..Self::default()
            },
            Event::Owned { node, epoch, .. } => {
                Self { message: format!("node {node}, owner number {epoch}"), ..Self::default() }
            }
            Event::Intended { direction, attempt, .. } => {
                Self { direction: Some(*direction), attempt: *attempt, ..Self::default() }
            }
            Event::Answered { direction, attempt, outcome, .. } => Self {
                direction: Some(*direction),
                attempt: *attempt,
                outcome: outcome_word(outcome),
                reason: outcome.reason().to_owned(),
                message: outcome.message().to_owned(),
            },
            Event::Inquired { inquiry, .. } => Self { attempt: *inquiry, ..Self::default() },
            Event::Resolved { inquiry, resolution, .. } => Self {
                attempt: *inquiry,
                outcome: resolution_word(resolution),
                reason: resolution.reason().to_owned(),
                message: resolution.message().to_owned(),
                ..Self::default()
            },
            Event::Unrenderable { direction, message, .. } => {
                let (direction, message) = (Some(*direction), message.clone());
                Self { direction, message, ..Self::default() }
            }
            Event::Signalled { request_id, .. } => {
                Self { message: format!("request {request_id}"), ..Self::default() }
            }
            Event::WaitEnded { verdict, .. } => Self {
                outcome: verdict_word(verdict),
                reason: verdict.reason().to_owned(),
                message: verdict.message().to_owned(),
                ..Self::default()
            },
            Event::CancelRequested { reason, .. } => {
                Self { message: reason.clone(), ..Self::default() }
            }
            Event::TurnedBack { reason, .. } => {
                let message = match reason {
                    TurnBackReason::StepRejected { reason, .. } => reason.clone(),
                    _ => String::new(),
                };
                Self { reason: reason.code().to_owned(), message, ..Self::default() }
            }
            Event::OperatorActed { actor, reason, act, .. } => {
                let act = match act {
                    OperatorAct::Retry => "retry now".to_owned(),
                    OperatorAct::Settle { settled, .. } => format!("settled as {settled:?}"),
                    OperatorAct::Renew { .. } => "made anew under another id".to_owned(),
                    OperatorAct::Close => "closed as it is".to_owned(),
                };
                Self { message: format!("{actor}: {act}: {reason}"), ..Self::default() }
            }
            Event::Ended { ending, .. } => {
                Self { message: format!("{ending:?}").to_lowercase(), ..Self::default() }
            }
            Event::Skipped { .. } | Event::WaitBegan { .. } | Event::Kept { .. } => Self::default(),
        }
    }
}

fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Applied { .. } | Outcome::AppliedUnread { .. } => "applied",
        Outcome::Contradicted { .. } => "contradicted",
        Outcome::Rejected { .. } => "rejected",
        Outcome::NotDone { .. } => "not done",
        Outcome::Fault { .. } => "fault",
        Outcome::Unknown { .. } => "unknown",
    }
}

fn verdict_word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted | Verdict::TimedOut { then: OnTimeout::Accept } => "applied",
        Verdict::Refused { .. } | Verdict::TimedOut { then: OnTimeout::Refuse } => "rejected",
    }
}

fn resolution_word(resolution: &Resolution) -> &'static str {
    match resolution {
        Resolution::Applied { .. } => "applied",
        Resolution::Rejected { .. } => "rejected",
        Resolution::Fenced => "fenced",
        Resolution::Reversed => "reversed",
        Resolution::InProgress => "in progress",
        Resolution::Unanswered { .. } => "unanswered",
        Resolution::Unsupported { .. } => "unsupported",
    }
}
