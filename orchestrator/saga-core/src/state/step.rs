//! What is known about one step, beside its phase.

use bytes::Bytes;

use crate::{
    definition::{OnUnknown, Step, StepIndex, StepKind, StepSet},
    event::{
        Contradiction, Direction, Event, OperatorAct, Outcome, REPLY_TOO_LARGE, Resolution,
        Settled, Verdict,
    },
    phase::{Last, Learned, StepEvent, StepPhase},
    state::{Generations, Recall},
};

/// The reason code of a late answer that something was done which was never to be.
const APPLIED_AFTER_ALL: &str = "APPLIED_AFTER_ALL";

/// One step as the log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepState {
    /// How it comes to be applied, as the definition says.
    pub kind: StepKind,
    pub phase: StepPhase,
    /// The reply of the action, or the signal that was accepted. `None` before the step was
    /// applied, where the client brought the effect along, where a person settled it without
    /// one, where a timer did, and where it was too large.
    pub reply: Option<Bytes>,
    /// Whether the step was applied with a reply that was too large to be kept, and no person
    /// has settled it since.
    pub unread: bool,
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
    /// What the action was refused with while an earlier attempt was in doubt.
    pub refusal: Option<Trouble>,
    /// When the last attempt of the action left of which nobody knows what it did, in
    /// milliseconds since the Unix epoch. It may be under way for the length of a call.
    pub doubtful_at_ms: Option<u64>,
    /// How often a person had the action, or the compensation, made under a new id.
    pub generations: Generations,
    /// When the last attempt of the action left.
    pub(super) intended_at_ms: u64,
    /// When the last call was answered.
    pub(super) heard_at_ms: u64,
    /// Whether the compensation undoes what may never have been applied.
    undoes_doubt: bool,
    /// What is missing of it since the log lost rows.
    pub recall: Recall,
    /// How many losses of rows may each have hidden a fence of its compensation.
    pub(super) losses: u32,
    /// Whether its compensation was refused in lost rows.
    pub(super) undo_refused_unseen: bool,
    /// What is done about an unknown outcome of it.
    pub(super) on_unknown: OnUnknown,
    pub(super) after: StepSet,
    pub(super) conditional: bool,
    pub(super) pivot: bool,
    pub(super) compensable: bool,
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
            unread: false,
            refusal: None,
            doubtful_at_ms: None,
            generations: Generations::default(),
            intended_at_ms: 0,
            heard_at_ms: 0,
            undoes_doubt: false,
            recall: Recall::Whole,
            losses: 0,
            undo_refused_unseen: false,
            on_unknown: step.on_unknown,
            after: step.after,
            conditional: step.conditional,
            pivot: step.pivot,
            compensable: step.compensable,
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
            Event::Answered { .. } => !waits,
            Event::Signalled { .. }
            | Event::WaitEnded { verdict: Verdict::TimedOut { .. }, .. } => {
                waits && self.signal.is_none()
            }
            Event::WaitEnded { .. } => waits && self.signal.is_some(),
            _ => true,
        }
    }

    pub(super) fn payload_bytes(&self) -> usize {
        let signal = self.signal.as_ref().map(|it| &it.payload);
        let payloads = [self.reply.as_ref(), self.request.as_ref(), signal];
        payloads.into_iter().flatten().map(Bytes::len).sum()
    }

    pub(super) fn forget_payloads(&mut self) {
        let signal = self.signal.as_mut().map(|it| &mut it.payload);
        let payloads = [self.reply.as_mut(), self.request.as_mut(), signal];
        payloads.into_iter().flatten().for_each(|payload| *payload = Bytes::new());
    }

    /// The owner died. What was out may be anywhere.
    pub(super) fn lose_owner(&mut self, at_ms: u64) {
        self.doubtful_at_ms = self.doubtful_since_ms(at_ms);
        self.phase = self.phase.after(StepEvent::OwnerLost).unwrap_or(self.phase);
        self.forget_asking();
    }

    /// Keeps what later calls need, and what people want to know. `before` is the phase
    /// before the event.
    pub(super) fn remember(&mut self, event: &Event, before: StepPhase) {
        match event {
            Event::Intended { request, direction, at_ms, .. } => {
                self.intend(request.as_ref(), *direction, *at_ms, before);
            }
            Event::Answered { outcome, direction, attempt, at_ms, .. } => {
                if before.has_another_out(*attempt) {
                    self.doubtful_at_ms = Some(self.intended_at_ms);
                }
                self.heard_at_ms = *at_ms;
                self.hear(outcome, *direction, *at_ms);
            }
            Event::Resolved { resolution: Resolution::Applied { reply }, .. } => {
                self.reply = Some(reply.clone());
                self.settle();
            }
            Event::Resolved {
                resolution: Resolution::AppliedUnread { message }, at_ms, ..
            } => {
                self.miss_reply(message, *at_ms);
            }
            Event::OperatorActed { act, actor, reason, at_ms, .. } => {
                self.obey(act, before);
                if let OperatorAct::Settle { settled, .. } = act {
                    let by = By::new(actor, reason, *at_ms);
                    self.settled = Some(Settlement { settled: *settled, by });
                }
            }
            Event::Resolved { .. } if self.phase == StepPhase::Applied => self.recall_undo(),
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

    fn intend(
        &mut self,
        request: Option<&Bytes>,
        direction: Direction,
        at_ms: u64,
        before: StepPhase,
    ) {
        if let Some(request) = request {
            self.request = Some(request.clone());
        }
        match direction {
            Direction::Forward => self.intended_at_ms = at_ms,
            Direction::Backward if request.is_some() => {
                self.undoes_doubt = before != StepPhase::Applied;
                self.troubled_since_ms = None;
                self.last_trouble = None;
            }
            Direction::Backward => {}
        }
    }

    fn hear(&mut self, outcome: &Outcome, direction: Direction, at_ms: u64) {
        match (direction, outcome) {
            (_, Outcome::Applied { .. }) if self.phase == StepPhase::Undone => self.settle(),
            (Direction::Forward, Outcome::Applied { .. } | Outcome::AppliedUnread { .. })
                if matches!(self.phase, StepPhase::Open { last: Last::Contradicted, .. }) =>
            {
                self.trouble(APPLIED_AFTER_ALL, "it was said never to be done, and done", at_ms);
            }
            (Direction::Forward, Outcome::Applied { reply }) => {
                self.reply = Some(reply.clone());
                self.settle();
            }
            (Direction::Forward, Outcome::AppliedUnread { message }) => {
                self.miss_reply(message, at_ms);
            }
            _ if self.phase == StepPhase::Undone => self.settle(),
            (Direction::Forward, _) if self.phase == StepPhase::Applied => self.recall_undo(),
            _ => {
                self.trouble(outcome.reason(), outcome.message(), at_ms);
                let may_have_acted = Learned::from(outcome).may_have_acted();
                if direction == Direction::Forward && may_have_acted {
                    self.doubtful_at_ms = Some(self.intended_at_ms);
                }
                let refused = matches!(outcome, Outcome::Rejected { .. });
                if direction == Direction::Forward && refused && self.phase != StepPhase::Rejected {
                    self.refusal = self.last_trouble.clone();
                }
            }
        }
    }

    /// It was applied, with a reply that is too large to be kept.
    fn miss_reply(&mut self, message: &str, at_ms: u64) {
        self.settle();
        self.unread = true;
        self.trouble(REPLY_TOO_LARGE, message, at_ms);
    }

    /// A person gave the reply that could not be kept, or says that there is none.
    pub(super) fn read(&mut self, reply: Option<Bytes>, by: By) {
        self.settled = Some(Settlement { settled: Settled::Applied, by });
        self.reply = reply;
        self.unread = false;
        self.settle();
    }

    fn obey(&mut self, act: &OperatorAct, before: StepPhase) {
        match act {
            OperatorAct::Settle { settled: Settled::Applied, reply, .. } => {
                if self.phase == StepPhase::Applied {
                    self.reply.clone_from(reply);
                }
                self.settle();
            }
            OperatorAct::Renew { .. } => {
                let generation = match before {
                    StepPhase::Rejected | StepPhase::Fenced => &mut self.generations.action,
                    _ => &mut self.generations.compensation,
                };
                *generation += 1;
                self.request = None;
                self.refusal = None;
            }
            _ => {}
        }
    }

    pub(super) fn settle(&mut self) {
        self.request = None;
        self.troubled_since_ms = None;
        self.last_trouble = None;
    }

    pub(super) fn trouble(&mut self, reason: &str, message: &str, at_ms: u64) {
        self.troubled_since_ms.get_or_insert(at_ms);
        self.last_trouble =
            Some(Trouble { reason: reason.to_owned(), message: message.to_owned() });
    }
}

impl StepState {
    /// What an outcome means here. That a compensation found nothing contradicts the log only
    /// where the log has the effect: not where it was in doubt, or the client's word.
    /// What was reversed contradicts it only where no rows were lost that may have said so.
    fn learned(&self, learned: Learned) -> Learned {
        let is_sure = self.kind == StepKind::Call && !self.undoes_doubt;
        match learned {
            Learned::Contradicted(Contradiction::Reversed) if self.recall == Recall::Due => {
                Learned::Recalled
            }
            Learned::Contradicted(Contradiction::NoEffect) if !is_sure => Learned::Applied,
            learned => learned,
        }
    }
}

/// The step that `event` is about, and what its phase depends on.
pub(super) fn step_event(steps: &[StepState], event: &Event) -> Option<(StepIndex, StepEvent)> {
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
            learned: steps.get(step.at())?.learned(outcome.into()),
            at_ms: *at_ms,
        },
        Event::Inquired { inquiry, .. } => StepEvent::Inquired { inquiry: *inquiry },
        Event::Resolved { inquiry, resolution, at_ms, .. } => {
            let learned = steps.get(step.at())?.learned(resolution.into());
            StepEvent::Resolved { inquiry: *inquiry, learned, at_ms: *at_ms }
        }
        Event::WaitBegan { at_ms, .. } => StepEvent::WaitBegan { at_ms: *at_ms },
        Event::Signalled { .. } => StepEvent::Signalled,
        Event::WaitEnded { verdict, .. } => StepEvent::WaitEnded { learned: verdict.into() },
        Event::Kept { .. } => StepEvent::Kept,
        Event::OperatorActed { act: OperatorAct::Settle { settled, .. }, .. } => {
            StepEvent::Settled(*settled)
        }
        Event::OperatorActed { act: OperatorAct::Renew { .. }, .. } => StepEvent::Renewed,
        _ => return None,
    };
    Some((step, step_event))
}
