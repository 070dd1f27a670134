//! The events of a saga as clients see them. Never a payload.

use saga_core::{
    Direction, Event, OnTimeout, OperatorAct, Outcome, Resolution, Settled, TurnBackReason, Verdict,
};
use saga_log::LogRow;
use saga_proto::saga::v1 as pb;

use crate::{api::view::timestamp, definition::CompiledDefinition};

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
        actor: said.actor,
        request_id: event.request_id().unwrap_or_default().to_owned(),
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
    actor: String,
}

/// `first: second`, or `first` alone.
fn joined(first: &str, second: &str) -> String {
    if second.is_empty() { first.to_owned() } else { format!("{first}: {second}") }
}

impl Said {
    fn by(actor: &str, message: String) -> Self {
        Self { actor: actor.to_owned(), message, ..Self::default() }
    }

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
                ..Self::default()
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
            Event::Signalled { request_id, actor, reason, .. } => {
                Self::by(actor, joined(&format!("request {request_id}"), reason))
            }
            Event::WaitEnded { verdict, .. } => Self {
                outcome: verdict_word(verdict),
                reason: verdict.reason().to_owned(),
                message: verdict.message().to_owned(),
                ..Self::default()
            },
            Event::CancelRequested { actor, reason, .. } => Self::by(actor, reason.clone()),
            Event::TurnedBack { reason, .. } => {
                let message = match reason {
                    TurnBackReason::StepRejected { reason, .. } => reason.clone(),
                    _ => String::new(),
                };
                Self { reason: reason.code().to_owned(), message, ..Self::default() }
            }
            Event::OperatorActed { actor, reason, act, .. } => {
                Self::by(actor, joined(act_word(act), reason))
            }
            Event::Ended { ending, .. } => {
                Self { message: format!("{ending:?}").to_lowercase(), ..Self::default() }
            }
            Event::LogWentBack { log_epoch, .. } => Self {
                message: format!(
                    "rows may be lost: epoch {log_epoch} of the log began, and participants are \
                     asked what they know"
                ),
                ..Self::default()
            },
            Event::Skipped { .. } | Event::WaitBegan { .. } | Event::Kept { .. } => Self::default(),
        }
    }
}

fn act_word(act: &OperatorAct) -> &'static str {
    match act {
        OperatorAct::Retry => "retry now",
        OperatorAct::Settle { settled: Settled::Applied, .. } => "settled as applied",
        OperatorAct::Settle { settled: Settled::NotApplied, .. } => "settled as not applied",
        OperatorAct::Renew { .. } => "made anew under another id",
        OperatorAct::Close => "closed as it is",
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
        Resolution::Applied { .. } | Resolution::AppliedUnread { .. } => "applied",
        Resolution::Rejected { .. } => "rejected",
        Resolution::Fenced => "fenced",
        Resolution::Reversed => "reversed",
        Resolution::TooOld { .. } => "too old",
        Resolution::InProgress => "in progress",
        Resolution::Unanswered { .. } => "unanswered",
        Resolution::Unsupported { .. } => "unsupported",
    }
}
