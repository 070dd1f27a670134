//! What is known about one step, beside its phase.

use bytes::Bytes;

use crate::{
    definition::{Step, StepIndex, StepKind},
    event::{Direction, Event, OperatorAct, Outcome, Resolution, Settled, Verdict},
    phase::{Last, StepEvent, StepPhase},
};

/// One step as the log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepState {
    /// How it comes to be applied, as the definition says.
    pub kind: StepKind,
    pub phase: StepPhase,
    /// The reply of the action, or the signal that was accepted. `None` before the step was
    /// applied, where the client brought the effect along, where a person settled it and
    /// where a timer did.
    pub reply: Option<Bytes>,
    /// The request of the present direction; every attempt sends these bytes.
    pub request: Option<Bytes>,
    /// Since when the present direction has not come to a definite outcome although it
    /// was tried, for people.
    pub troubled_since_ms: Option<u64>,
    /// What the last call that did not succeed said: a reason code and a sentence.
    pub last_trouble: Option<Trouble>,
    /// What the step was last left open with, while its next try is out: until that is
    /// answered, it is what is known.
    pub last_open: Option<Last>,
    /// The signal that came, whatever became of it.
    pub signal: Option<Signal>,
    /// What a person said last became of one of its calls.
    pub settled: Option<Settlement>,
}

/// Who acted on a saga from outside, when, and why. Names and reasons are for people; they
/// are empty where nobody said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    pub actor: String,
    pub reason: String,
    pub at_ms: u64,
}

impl By {
    pub(super) fn new(actor: &str, reason: &str, at_ms: u64) -> Self {
        Self { actor: actor.to_owned(), reason: reason.to_owned(), at_ms }
    }
}

/// What a person said became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub settled: Settled,
    pub by: By,
}

/// A signal from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Tells a repeated request from another one.
    pub request_id: String,
    /// Protobuf bytes of the type that the definition declares.
    pub payload: Bytes,
    /// Who sent it, and when it came.
    pub by: By,
}

/// What a call that did not succeed said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub reason: String,
    pub message: String,
}

impl StepState {
    /// A step of which nothing is known but its definition.
    pub(super) fn untouched(step: &Step) -> Self {
        let phase = match step.kind {
            StepKind::Call | StepKind::Wait { .. } => StepPhase::Pending,
            StepKind::Given => StepPhase::Applied,
        };
        Self {
            kind: step.kind,
            phase,
            reply: None,
            request: None,
            troubled_since_ms: None,
            last_trouble: None,
            last_open: None,
            signal: None,
            settled: None,
        }
    }

    /// Whether `event` is one of this kind of step, and fits what is known of its signal:
    /// the first one counts, and a timer ends only a wait without one.
    pub(super) fn may_see(&self, event: &Event) -> bool {
        let waits = matches!(self.kind, StepKind::Wait { .. });
        match event {
            Event::Intended { direction: Direction::Forward, .. } | Event::Inquired { .. } => {
                self.kind == StepKind::Call
            }
            Event::WaitBegan { .. } => waits,
            Event::Signalled { .. }
            | Event::WaitEnded { verdict: Verdict::TimedOut { .. }, .. } => {
                waits && self.signal.is_none()
            }
            Event::WaitEnded { .. } => waits && self.signal.is_some(),
            _ => true,
        }
    }

    /// Keeps what later calls need, and what people want to know.
    pub(super) fn remember(&mut self, event: &Event) {
        match event {
            Event::Intended { request: Some(request), direction, .. } => {
                self.request = Some(request.clone());
                if *direction == Direction::Backward {
                    self.troubled_since_ms = None;
                    self.last_trouble = None;
                }
            }
            Event::Answered { outcome: Outcome::Applied { reply }, direction, .. } => {
                if *direction == Direction::Forward {
                    self.reply = Some(reply.clone());
                }
                self.settle();
            }
            Event::Resolved { resolution: Resolution::Applied { reply }, .. } => {
                self.reply = Some(reply.clone());
                self.settle();
            }
            Event::OperatorActed {
                act: OperatorAct::Settle { settled, .. },
                actor,
                reason,
                at_ms,
            } => {
                if *settled == Settled::Applied {
                    self.settle();
                }
                let by = By::new(actor, reason, *at_ms);
                self.settled = Some(Settlement { settled: *settled, by });
            }
            Event::Answered { outcome, at_ms, .. } => {
                self.trouble(outcome.reason(), outcome.message(), *at_ms);
            }
            Event::Resolved { resolution, at_ms, .. } => {
                self.trouble(resolution.reason(), resolution.message(), *at_ms);
            }
            Event::Signalled { request_id, payload, actor, reason, at_ms, .. } => {
                let (request_id, payload) = (request_id.clone(), payload.clone());
                let by = By::new(actor, reason, *at_ms);
                self.signal = Some(Signal { request_id, payload, by });
            }
            Event::WaitEnded { verdict: Verdict::Accepted, .. } => {
                self.reply = self.signal.as_ref().map(|signal| signal.payload.clone());
                self.settle();
            }
            Event::WaitEnded { verdict, at_ms, .. } if !verdict.reason().is_empty() => {
                self.trouble(verdict.reason(), verdict.message(), *at_ms);
            }
            Event::Unrenderable { message, at_ms, .. } => {
                self.trouble("UNRENDERABLE", message, *at_ms);
            }
            _ => {}
        }
    }

    fn settle(&mut self) {
        self.request = None;
        self.troubled_since_ms = None;
        self.last_trouble = None;
    }

    fn trouble(&mut self, reason: &str, message: &str, at_ms: u64) {
        self.troubled_since_ms.get_or_insert(at_ms);
        self.last_trouble =
            Some(Trouble { reason: reason.to_owned(), message: message.to_owned() });
    }
}

/// The part of `event` that the phase of one step depends on.
pub(super) fn step_event(event: &Event) -> Option<(StepIndex, StepEvent)> {
    let step = event.step()?;
    let step_event = match event {
        Event::Skipped { .. } => StepEvent::Skipped,
        Event::Unrenderable { direction, .. } => StepEvent::Unrenderable { direction: *direction },
        Event::Intended { direction, attempt, .. } => {
            StepEvent::Intended { direction: *direction, attempt: *attempt }
        }
        Event::Answered { direction, attempt, outcome, at_ms, .. } => StepEvent::Answered {
            direction: *direction,
            attempt: *attempt,
            learned: outcome.into(),
            at_ms: *at_ms,
        },
        Event::Inquired { inquiry, .. } => StepEvent::Inquired { inquiry: *inquiry },
        Event::Resolved { inquiry, resolution, at_ms, .. } => {
            StepEvent::Resolved { inquiry: *inquiry, learned: resolution.into(), at_ms: *at_ms }
        }
        Event::WaitBegan { at_ms, .. } => StepEvent::WaitBegan { at_ms: *at_ms },
        Event::Signalled { .. } => StepEvent::Signalled,
        Event::WaitEnded { verdict, .. } => StepEvent::WaitEnded { learned: verdict.into() },
        Event::Kept { .. } => StepEvent::Kept,
        Event::OperatorActed { act, .. } => StepEvent::from(*act),
        _ => return None,
    };
    Some((step, step_event))
}
