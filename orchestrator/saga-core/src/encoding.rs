//! How events are written to the log: protobuf, so that old rows can be read for ever.
//!
//! The messages here are the format. A tag is never used for anything else, and a new
//! variant gets a new tag; the golden files of every release are read by a test.

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use crate::{
    definition::StepIndex,
    event::{self, Event},
    id::{Epoch, NodeId, OperationRoot},
};

mod convert;
mod wire;

/// Bytes that are not a row of events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not protobuf of this format.
    #[error("row of events: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A value is missing or out of range: an event of a later version, or damage.
    #[error("row of events: {what} is missing or unknown")]
    Unknown { what: &'static str },
}

/// Encodes the events of one row.
#[must_use]
pub fn encode(events: &[Event]) -> Bytes {
    let row = wire::Row { events: events.iter().map(wire::Event::from).collect() };
    row.encode_to_vec().into()
}

/// Decodes the events of one row. Payloads share the memory of `row`.
///
/// # Errors
///
/// [`DecodeError`]: the row is damaged, or was written by a later version. Nothing of
/// it may be used.
pub fn decode(row: &Bytes) -> Result<Vec<Event>, DecodeError> {
    let row = wire::Row::decode(row.clone())?;
    row.events.into_iter().map(Event::try_from).collect()
}

fn step_index(step: u32) -> Result<StepIndex, DecodeError> {
    u8::try_from(step).map(StepIndex).map_err(|_| DecodeError::Unknown { what: "step" })
}

fn uuid(bytes: &[u8]) -> Result<Uuid, DecodeError> {
    Uuid::from_slice(bytes).map_err(|_| DecodeError::Unknown { what: "node" })
}

impl From<&Event> for wire::Event {
    fn from(event: &Event) -> Self {
        use wire::event::Kind;
        let (at_ms, kind) = match event {
            Event::Started(started) => (started.at_ms, Kind::Started(started.into())),
            Event::Owned { node, epoch, at_ms } => {
                let node = Bytes::copy_from_slice(node.0.as_bytes());
                (*at_ms, Kind::Owned(wire::Owned { node, epoch: epoch.0 }))
            }
            Event::LogWentBack { log_epoch, doubts_all, at_ms } => {
                let (log_epoch, doubts_all) = (*log_epoch, *doubts_all);
                (*at_ms, Kind::LogWentBack(wire::LogWentBack { log_epoch, doubts_all }))
            }
            Event::Skipped { step, at_ms } => (*at_ms, Kind::Skipped(of_step(*step))),
            Event::Intended { step, direction, attempt, request, at_ms } => {
                let call = call(*step, *direction, *attempt);
                (*at_ms, Kind::Intended(wire::Intended { call, request: request.clone() }))
            }
            Event::Answered { step, direction, attempt, outcome, at_ms } => {
                let call = call(*step, *direction, *attempt);
                let outcome = Some(outcome.into());
                (*at_ms, Kind::Answered(wire::Answered { call, outcome }))
            }
            Event::Inquired { step, inquiry, at_ms } => {
                let inquired = wire::Inquired { step: step.0.into(), inquiry: *inquiry };
                (*at_ms, Kind::Inquired(inquired))
            }
            Event::Resolved { step, inquiry, resolution, at_ms } => {
                let inquiry = wire::Inquired { step: step.0.into(), inquiry: *inquiry };
                let resolution = Some(resolution.into());
                let inquiry = Some(inquiry);
                (*at_ms, Kind::Resolved(wire::Resolved { inquiry, resolution }))
            }
            Event::Unrenderable { step, direction, message, at_ms } => {
                let call = call(*step, *direction, 0);
                let message = message.clone();
                (*at_ms, Kind::Unrenderable(wire::Unrenderable { call, message }))
            }
            Event::WaitBegan { step, at_ms } => (*at_ms, Kind::WaitBegan(of_step(*step))),
            Event::Signalled { step, request_id, payload, actor, reason, at_ms } => {
                let (request_id, payload) = (request_id.clone(), payload.clone());
                let (actor, reason) = (actor.clone(), reason.clone());
                let step = step.0.into();
                let signalled = wire::Signalled { step, request_id, payload, actor, reason };
                (*at_ms, Kind::Signalled(signalled))
            }
            Event::WaitEnded { step, verdict, at_ms } => {
                (*at_ms, Kind::WaitEnded(wire::WaitEnded::of(*step, verdict)))
            }
            Event::Kept { step, at_ms } => (*at_ms, Kind::Kept(of_step(*step))),
            Event::CancelRequested { actor, reason, request_id, at_ms } => {
                let (actor, reason) = (actor.clone(), reason.clone());
                let request_id = request_id.clone();
                let asked = wire::CancelRequested { reason, actor, request_id };
                (*at_ms, Kind::CancelRequested(asked))
            }
            Event::TurnedBack { reason, at_ms } => (*at_ms, Kind::TurnedBack(reason.into())),
            Event::OperatorActed { actor, reason, act, request_id, at_ms } => {
                let (actor, reason) = (actor.clone(), reason.clone());
                let (act, request_id) = (Some(act.into()), request_id.clone());
                let acted = wire::OperatorActed { actor, reason, act, request_id };
                (*at_ms, Kind::OperatorActed(acted))
            }
            Event::Ended { ending, at_ms } => {
                (*at_ms, Kind::Ended(wire::Ended { ending: wire::Ending::from(*ending).into() }))
            }
        };
        Self { at_ms, kind: Some(kind) }
    }
}

fn of_step(step: StepIndex) -> wire::OfStep {
    wire::OfStep { step: step.0.into() }
}

/// A call, in one message, so that the two that most rows consist of stay small.
fn call(step: StepIndex, direction: event::Direction, attempt: u32) -> Option<wire::Call> {
    let backward = direction == event::Direction::Backward;
    Some(wire::Call { step: step.0.into(), backward, attempt })
}

fn direction(backward: bool) -> event::Direction {
    if backward { event::Direction::Backward } else { event::Direction::Forward }
}

fn decoded_call(
    call: Option<wire::Call>,
) -> Result<(StepIndex, event::Direction, u32), DecodeError> {
    let call = call.unwrap_or_default();
    let direction = direction(call.backward);
    Ok((step_index(call.step)?, direction, call.attempt))
}

impl TryFrom<wire::Event> for Event {
    type Error = DecodeError;

    fn try_from(event: wire::Event) -> Result<Self, DecodeError> {
        use wire::event::Kind;
        let at_ms = event.at_ms;
        let decoded = match event.kind.ok_or(DecodeError::Unknown { what: "kind of event" })? {
            Kind::Started(started) => Self::Started(started.into_started(at_ms)?),
            Kind::Owned(owned) => {
                Self::Owned { node: NodeId(uuid(&owned.node)?), epoch: Epoch(owned.epoch), at_ms }
            }
            Kind::LogWentBack(wire::LogWentBack { log_epoch, doubts_all }) => {
                Self::LogWentBack { log_epoch, doubts_all, at_ms }
            }
            Kind::Skipped(skipped) => Self::Skipped { step: step_index(skipped.step)?, at_ms },
            Kind::Intended(intended) => {
                let (step, direction, attempt) = decoded_call(intended.call)?;
                Self::Intended { step, direction, attempt, request: intended.request, at_ms }
            }
            Kind::Answered(answered) => {
                let (step, direction, attempt) = decoded_call(answered.call)?;
                let outcome = answered.outcome.ok_or(DecodeError::Unknown { what: "outcome" })?;
                Self::Answered { step, direction, attempt, outcome: outcome.try_into()?, at_ms }
            }
            Kind::Inquired(inquired) => {
                let step = step_index(inquired.step)?;
                Self::Inquired { step, inquiry: inquired.inquiry, at_ms }
            }
            Kind::Resolved(resolved) => {
                let inquired = resolved.inquiry.unwrap_or_default();
                let resolution =
                    resolved.resolution.ok_or(DecodeError::Unknown { what: "resolution" })?;
                Self::Resolved {
                    step: step_index(inquired.step)?,
                    inquiry: inquired.inquiry,
                    resolution: resolution.try_into()?,
                    at_ms,
                }
            }
            Kind::Unrenderable(unrenderable) => {
                let (step, direction, _) = decoded_call(unrenderable.call)?;
                Self::Unrenderable { step, direction, message: unrenderable.message, at_ms }
            }
            Kind::WaitBegan(began) => Self::WaitBegan { step: step_index(began.step)?, at_ms },
            Kind::Signalled(wire::Signalled { step, request_id, payload, actor, reason }) => {
                let step = step_index(step)?;
                Self::Signalled { step, request_id, payload, actor, reason, at_ms }
            }
            Kind::WaitEnded(ended) => {
                let step = step_index(ended.step)?;
                Self::WaitEnded { step, verdict: ended.try_into()?, at_ms }
            }
            Kind::Kept(kept) => Self::Kept { step: step_index(kept.step)?, at_ms },
            Kind::CancelRequested(wire::CancelRequested { reason, actor, request_id }) => {
                Self::CancelRequested { actor, reason, request_id, at_ms }
            }
            Kind::TurnedBack(turned_back) => {
                Self::TurnedBack { reason: turned_back.try_into()?, at_ms }
            }
            Kind::OperatorActed(wire::OperatorActed { actor, reason, act, request_id }) => {
                let act = act.ok_or(DecodeError::Unknown { what: "act" })?;
                let act = act.try_into()?;
                Self::OperatorActed { actor, reason, act, request_id, at_ms }
            }
            Kind::Ended(ended) => Self::Ended {
                ending: wire::Ending::try_from(ended.ending)
                    .map_err(|_| DecodeError::Unknown { what: "ending" })?
                    .try_into()?,
                at_ms,
            },
        };
        Ok(decoded)
    }
}

impl From<&event::Started> for wire::Started {
    fn from(started: &event::Started) -> Self {
        Self {
            definition: started.definition.clone(),
            definition_version: started.definition_version,
            definition_hash: Bytes::copy_from_slice(&started.definition_hash),
            input: started.input.clone(),
            node: Bytes::copy_from_slice(started.node.0.as_bytes()),
            log_epoch: started.log_epoch,
            after_loss: started.after_loss,
            operations: match started.operations {
                OperationRoot::Saga => None,
                OperationRoot::Request(root) => {
                    let root = Bytes::copy_from_slice(root.as_bytes());
                    Some(wire::OperationRoot { derivation: 2, root })
                }
            },
        }
    }
}

impl wire::Started {
    fn into_started(self, at_ms: u64) -> Result<event::Started, DecodeError> {
        Ok(event::Started {
            definition: self.definition,
            definition_version: self.definition_version,
            definition_hash: <[u8; 32]>::try_from(self.definition_hash.as_ref())
                .map_err(|_| DecodeError::Unknown { what: "definition hash" })?,
            input: self.input,
            operations: match self.operations {
                None => OperationRoot::Saga,
                Some(wire::OperationRoot { derivation: 2, root }) => {
                    OperationRoot::Request(uuid(&root)?)
                }
                Some(_) => return Err(DecodeError::Unknown { what: "derivation of ids" }),
            },
            node: NodeId(uuid(&self.node)?),
            log_epoch: self.log_epoch,
            after_loss: self.after_loss,
            at_ms,
        })
    }
}
