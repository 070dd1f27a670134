//! From facts to the next row of the log: folds what was learned, asks the core what
//! must happen, and renders the requests. Decides nothing and does no I/O; what it
//! returns is a draft until its events are durable.

use bytes::Bytes;
use saga_core::{
    Action, Direction, Ending, Event, Next, OperatorAct, Outcome, Resolution, State, StepIndex,
    StepPhase, StepSet, Verdict, state::Illegal,
};
use saga_definition::{CompiledDefinition, RenderError, Rendered};
use saga_governor::Rank;

use crate::{gate::Admits, judged::judged, known::Known};

/// Payloads in one row, as far as one alone is not larger, in bytes. What belongs to one
/// moment may be several rows: ten replies side by side, or a reply and a request made of it.
pub const ROW_SHARE_BYTES: usize = 256 * 1024;

/// Bytes of a request at most, where nothing else is configured: what most gRPC servers take.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As far as possible.
    Drive,
    /// Only record what was learned: this node hands its sagas over.
    HandOver,
}

/// What is to be appended, and what to do once it is durable.
#[derive(Debug)]
pub struct Advance {
    pub events: Vec<Event>,
    /// The state behind these events.
    pub state: State,
    pub orders: Vec<Order>,
    pub rest: Rest,
    /// How many of the facts are dealt with.
    pub facts: usize,
    /// Facts that came too late, and are left out.
    pub too_late: Vec<Illegal>,
    /// Payloads in the events.
    bytes: usize,
    /// Steps whose call has no place.
    held: StepSet,
}

/// One request to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The call of this direction.
    Call {
        step: StepIndex,
        direction: Direction,
        attempt: u32,
        body: Bytes,
        /// Metadata that the definition adds.
        headers: Vec<(String, String)>,
    },
    /// About the operation of this direction.
    Inquire { step: StepIndex, direction: Direction, inquiry: u32 },
}

impl Order {
    /// The step that it is about.
    #[must_use]
    pub fn step(&self) -> StepIndex {
        match self {
            Self::Call { step, .. } | Self::Inquire { step, .. } => *step,
        }
    }
}

/// What comes after the orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Wait for answers, or until this time.
    Wait {
        until_ms: Option<u64>,
    },
    /// Go on in another row: this one is large enough.
    More,
    Finished(Ending),
}

/// The core asked for what it does not allow, or for ever more: a defect of ours.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    #[error(transparent)]
    Illegal(#[from] Illegal),
    #[error("no rest after {rounds} rounds of decisions")]
    Endless { rounds: usize },
}

/// The saga that is advanced, as far as it does not change.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'s> {
    pub definition: &'s CompiledDefinition,
    pub business_key: &'s str,
    pub namespace: &'s str,
    /// The largest request that is made.
    pub request_bytes_max: usize,
}

/// Folds `facts` into `state` and decides until there is nothing more to record. A fact
/// that does not fit any more is left out: the answer to a call that nobody waits for.
///
/// # Errors
///
/// [`AdvanceError`]: a defect. Nothing was written; the saga must be set aside.
pub fn advance(
    subject: Subject<'_>,
    state: &State,
    facts: &[Event],
    mode: Mode,
    now_ms: u64,
    gate: &mut dyn Admits,
) -> Result<Advance, AdvanceError> {
    let mut draft = Advance {
        events: Vec::with_capacity(facts.len() + 2),
        state: state.clone(),
        orders: Vec::new(),
        rest: Rest::Wait { until_ms: None },
        facts: 0,
        too_late: Vec::new(),
        bytes: 0,
        held: StepSet::EMPTY,
    };
    for fact in facts {
        if draft.facts > 0 && draft.bytes + payload_bytes(fact) > ROW_SHARE_BYTES {
            draft.rest = Rest::More;
            return Ok(draft);
        }
        draft.learn(subject, fact, now_ms);
    }
    if mode == Mode::HandOver {
        draft.rest = Rest::Wait { until_ms: Some(now_ms) };
        return Ok(draft);
    }

    let core = &subject.definition.core;
    let rounds_max = 8 * core.steps.len() + 8;
    for _ in 0..rounds_max {
        match saga_core::next_without(core, &draft.state, now_ms, draft.held) {
            Next::Do(actions) => {
                for action in actions {
                    if draft.bytes > ROW_SHARE_BYTES {
                        draft.rest = Rest::More;
                        return Ok(draft);
                    }
                    draft.perform(subject, action, now_ms, gate)?;
                }
            }
            Next::Wait { until_ms } => {
                draft.rest = Rest::Wait { until_ms };
                return Ok(draft);
            }
            Next::Finished(ending) => {
                draft.rest = Rest::Finished(ending);
                return Ok(draft);
            }
        }
    }
    Err(AdvanceError::Endless { rounds: rounds_max })
}

impl Advance {
    /// Folds a fact, unless it does not fit any more. Where the time was set back since it was
    /// learned, it was learned now: a pause that begins in the future would not end for years.
    fn learn(&mut self, subject: Subject<'_>, fact: &Event, now_ms: u64) {
        self.facts += 1;
        let mut fact = self.with(subject, |known| judged(known, fact)).into_owned();
        fact.bring_back(now_ms);
        match self.state.apply(&fact) {
            Ok(()) => {
                self.bytes += payload_bytes(&fact);
                self.events.push(fact);
            }
            Err(illegal) => self.too_late.push(illegal),
        }
    }

    fn perform(
        &mut self,
        subject: Subject<'_>,
        action: Action,
        at_ms: u64,
        gate: &mut dyn Admits,
    ) -> Result<(), AdvanceError> {
        match action {
            Action::Call { step, direction, attempt } => {
                return self.call(subject, (step, direction, attempt), at_ms, gate);
            }
            Action::BeginWait { step } => {
                let begins = self.with(subject, |known| subject.definition.begins(step, known));
                self.record(match begins {
                    Ok(true) => Event::WaitBegan { step, at_ms },
                    Ok(false) => Event::Skipped { step, at_ms },
                    Err(error) => unrenderable(step, Direction::Forward, &error, at_ms),
                })?;
            }
            Action::Judge { step } => {
                let judged = self.with(subject, |known| subject.definition.judge(step, known));
                self.record(match judged {
                    Ok(verdict) => Event::WaitEnded { step, verdict, at_ms },
                    Err(error) => unrenderable(step, Direction::Forward, &error, at_ms),
                })?;
            }
            Action::TimeOut { step, then } => {
                self.record(Event::WaitEnded { step, verdict: Verdict::TimedOut { then }, at_ms })?;
            }
            Action::Inquire { step, inquiry } => {
                let direction = match self.state.step(step).phase {
                    StepPhase::Applied => Direction::Backward,
                    _ => Direction::Forward,
                };
                if self.is_admitted(subject, step, direction, Rank::Undo, gate) {
                    self.record(Event::Inquired { step, inquiry, at_ms })?;
                    self.orders.push(Order::Inquire { step, direction, inquiry });
                }
            }
            Action::TurnBack { reason } => self.record(Event::TurnedBack { reason, at_ms })?,
            Action::End { ending } => self.record(Event::Ended { ending, at_ms })?,
        }
        Ok(())
    }

    fn call(
        &mut self,
        subject: Subject<'_>,
        (step, direction, attempt): (StepIndex, Direction, u32),
        at_ms: u64,
        gate: &mut dyn Admits,
    ) -> Result<(), AdvanceError> {
        let pinned = if attempt == 1 { None } else { self.state.step(step).request.clone() };
        let (body, request) = match pinned {
            Some(body) => (body, None),
            None => {
                let made =
                    self.with(subject, |known| subject.definition.render(step, direction, known));
                match made {
                    Ok(Rendered::Request(body)) if subject.request_bytes_max < body.len() => {
                        let (bytes, bytes_max) = (body.len(), subject.request_bytes_max);
                        let message =
                            format!("the request has {bytes} bytes; at most {bytes_max} are sent");
                        return self.record(Event::Unrenderable {
                            step,
                            direction,
                            message,
                            at_ms,
                        });
                    }
                    Ok(Rendered::Request(body)) => (body.clone(), Some(body)),
                    Ok(Rendered::Skip) => {
                        return self.record(match direction {
                            Direction::Forward => Event::Skipped { step, at_ms },
                            Direction::Backward => Event::Kept { step, at_ms },
                        });
                    }
                    Err(error) => {
                        return self.record(unrenderable(step, direction, &error, at_ms));
                    }
                }
            }
        };
        let headers =
            self.with(subject, |known| subject.definition.headers(step, direction, known));
        let headers = match headers {
            Ok(headers) => headers,
            Err(error) => return self.record(unrenderable(step, direction, &error, at_ms)),
        };
        // Only now: a call that is not made needs no place.
        let rank = match direction {
            Direction::Backward => Rank::Undo,
            Direction::Forward if self.state.passed_pivot(&subject.definition.core) => {
                Rank::Committed
            }
            Direction::Forward => Rank::Fresh,
        };
        if !self.is_admitted(subject, step, direction, rank, gate) {
            return Ok(());
        }
        self.record(Event::Intended { step, direction, attempt, request, at_ms })?;
        self.orders.push(Order::Call { step, direction, attempt, body, headers });
        Ok(())
    }

    /// Whether the call has a place. Where it has none, it is left out of the draft.
    fn is_admitted(
        &mut self,
        subject: Subject<'_>,
        step: StepIndex,
        direction: Direction,
        rank: Rank,
        gate: &mut dyn Admits,
    ) -> bool {
        let call = subject.definition.call(step, direction);
        // A call that there is not is recorded as a fault.
        let admitted = call.is_none_or(|spec| gate.admits(step, &spec.participant, rank));
        if !admitted {
            self.held = self.held.with(step);
        }
        admitted
    }

    /// Lets the definition look at what the saga knows.
    fn with<T>(&self, subject: Subject<'_>, look: impl FnOnce(&Known<'_>) -> T) -> T {
        look(&Known { state: &self.state, subject })
    }

    fn record(&mut self, event: Event) -> Result<(), AdvanceError> {
        self.state.apply(&event)?;
        self.bytes += payload_bytes(&event);
        self.events.push(event);
        Ok(())
    }
}

/// What makes an event large.
fn payload_bytes(event: &Event) -> usize {
    match event {
        Event::Intended { request: Some(payload), .. }
        | Event::Answered { outcome: Outcome::Applied { reply: payload }, .. }
        | Event::Resolved { resolution: Resolution::Applied { reply: payload }, .. }
        | Event::OperatorActed { act: OperatorAct::Settle { reply: Some(payload), .. }, .. }
        | Event::Signalled { payload, .. } => payload.len(),
        _ => 0,
    }
}

fn unrenderable(step: StepIndex, direction: Direction, error: &RenderError, at_ms: u64) -> Event {
    Event::Unrenderable { step, direction, message: error.to_string(), at_ms }
}
