//! The real core, as a node uses it: what the log folds to, and the next row.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use bytes::Bytes;
use saga_core::{
    Action, Contradiction, Definition, Direction, Epoch, Event, Next, NodeId, NotDone,
    OperationRoot, Outcome, Recall, Resolution, SagaId, Started, State, StepIndex, StepPhase,
    UnknownCause, Word,
    phase::{Last, Pause},
};
use uuid::Uuid;

use crate::{
    mixer::Mixer,
    participant::{Ask, Said},
    scope::{LATE_MS, Pauses, Scope},
    subject::Subject,
};

/// One of the two places where a node runs. A node that died and came again is the same
/// slot with nothing in memory.
pub type Slot = u8;

/// Rounds of decisions in one row at most; more is a defect.
const ROUNDS_MAX: usize = 32;

/// A state of the saga, with what two states have in common that behave alike.
#[derive(Clone, Debug)]
pub struct Fold {
    pub state: State,
    /// Equal for states from which the same can happen. Numbers of attempts, epochs and
    /// owners are left out: only whether they are the present ones matters, and the world
    /// knows that.
    pub key: u64,
}

/// What a node learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// What became of a call or an inquiry.
    Answer { tried: Try, said: Said },
    /// It took the saga over.
    Owned,
    /// The log lost rows.
    WentBack,
    /// A client wants the saga to turn back.
    Cancel,
    /// The pause is over.
    Late,
}

/// One call or inquiry that was announced in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Try {
    pub step: StepIndex,
    pub ask: Ask,
    /// Number of the attempt or of the inquiry.
    pub number: u32,
}

// The number is left out: of one step, one call at a time is awaited.
impl Hash for Try {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.step, self.ask).hash(hasher);
    }
}

/// What a node would append, and do once it is durable.
#[derive(Clone, Debug)]
pub struct Draft {
    pub events: Vec<Event>,
    pub after: Fold,
    pub tries: Vec<Try>,
    /// Whether time alone would change something.
    pub pauses: bool,
    /// Whether everything that was decided could be recorded.
    pub decisions_fit: bool,
}

/// What a draft is made with.
#[derive(Clone, Copy, Debug)]
pub struct Course<'c> {
    pub scope: &'c Scope,
    pub subject: &'c Subject,
}

impl Fold {
    pub fn new(state: State, definition: &Definition) -> Self {
        let mut hasher = Mixer::default();
        let turned_back = state.turned_back().is_some();
        (state.ended().map(|it| it.ending), turned_back, state.cancel_requested())
            .hash(&mut hasher);
        for (index, step) in definition.indices().zip(state.steps()) {
            let failures_max = definition.step(index).retry.attempts_max;
            hash_phase(step.phase, failures_max, &mut hasher);
            (hash_recall(step.recall), step.generations.compensation).hash(&mut hasher);
        }
        state.log_epoch().hash(&mut hasher);
        Self { key: hasher.finish(), state }
    }

    /// Before the first row: nothing was asked of anybody, unless the log lost a saga of the
    /// same key.
    #[must_use]
    pub fn unbegun(course: Course<'_>, slot: Slot, has_lost: bool) -> Self {
        let definition = &course.scope.definition;
        let started = Started {
            definition: definition.name.clone(),
            definition_version: definition.version,
            definition_hash: [0; 32],
            input: Bytes::new(),
            operations: OperationRoot::Saga,
            node: node_id(slot),
            log_epoch: epoch_of(has_lost),
            after_loss: has_lost && course.subject.log.tells_of_losses,
            at_ms: 0,
        };
        Self::new(State::start(SagaId(Uuid::from_u128(7)), definition, &started), definition)
    }

    /// Folds what was learned and decides until there is nothing more to record: what
    /// `driver::advance` does, in the node in `slot`. A fact that does not fit any more is
    /// left out.
    #[must_use]
    pub fn draft(&self, course: Course<'_>, slot: Slot, facts: &[Fact]) -> Draft {
        let is_late = facts.contains(&Fact::Late) || course.scope.pauses == Pauses::Over;
        let now_ms = if is_late { LATE_MS } else { 0 };
        let mut drafting = Drafting {
            events: Vec::new(),
            state: self.state.clone(),
            tries: Vec::new(),
            decisions_fit: true,
        };
        let epoch = Epoch(self.state.epoch().0 + 1);
        let owned = Event::Owned { node: node_id(slot), epoch, at_ms: 0 };
        for event in facts.iter().filter_map(|fact| fact.event(&owned)) {
            for learned in (course.subject.learn)(&self.state, event) {
                drafting.record(learned);
            }
        }
        let pauses = drafting.decide(course, now_ms);
        let Drafting { events, state, tries, decisions_fit } = drafting;
        let after = Self::new(state, &course.scope.definition);
        Draft { events, after, tries, pauses, decisions_fit }
    }

    /// This state and `events`, where all of them can follow.
    pub fn with(&self, events: &[Event], definition: &Definition) -> Option<Arc<Self>> {
        let mut state = self.state.clone();
        state.apply_all(events).ok()?;
        Some(Arc::new(Self::new(state, definition)))
    }

    /// Whether the word of a participant contradicts the log: a person has to look.
    #[must_use]
    pub fn is_contradicted(&self) -> bool {
        let mut phases = self.state.steps().iter().map(|step| step.phase);
        phases.any(|it| matches!(it, StepPhase::Open { last: Last::Contradicted, .. }))
    }

    #[must_use]
    pub fn owner(&self) -> NodeId {
        self.state.owner()
    }

    #[must_use]
    pub fn phase(&self, step: StepIndex) -> StepPhase {
        self.state.step(step).phase
    }
}

/// How often it was asked is left out.
fn hash_recall(recall: Recall) -> (u8, Option<Pause>) {
    match recall {
        Recall::Whole => (0, None),
        Recall::Due => (1, None),
        Recall::Asking { .. } => (2, None),
        Recall::Untold { pause, .. } => (3, Some(pause)),
        Recall::Contradicted { .. } => (4, None),
        // Its participants are all asked.
        Recall::ByHand => (5, None),
    }
}

fn hash_phase(phase: StepPhase, failures_max: u32, hasher: &mut Mixer) {
    std::mem::discriminant(&phase).hash(hasher);
    match phase {
        StepPhase::InFlight { direction, tries } => {
            let failures = tries.failures.min(failures_max);
            (direction, tries.in_doubt, failures, tries.inquiries > 0).hash(hasher);
            tries.refused.hash(hasher);
        }
        StepPhase::Inquiring { tries } => {
            (tries.failures.min(failures_max), tries.refused).hash(hasher);
        }
        StepPhase::Open { direction, tries, pause, last } => {
            let failures = tries.failures.min(failures_max);
            (direction, tries.in_doubt, failures, tries.inquiries > 0, pause).hash(hasher);
            (tries.refused, last == Last::Contradicted).hash(hasher);
        }
        other => other.hash(hasher),
    }
}

/// The epoch of a log that has lost rows, or has not. It does so once.
#[must_use]
pub fn epoch_of(has_lost: bool) -> u64 {
    1 + u64::from(has_lost)
}

/// The identity of the node in `slot`.
#[must_use]
pub fn node_id(slot: Slot) -> NodeId {
    NodeId(Uuid::from_u128(u128::from(slot) + 1))
}

struct Drafting {
    events: Vec<Event>,
    state: State,
    tries: Vec<Try>,
    decisions_fit: bool,
}

impl Drafting {
    /// Whether time alone would change something in the end.
    fn decide(&mut self, course: Course<'_>, now_ms: u64) -> bool {
        for _ in 0..ROUNDS_MAX {
            match (course.subject.decide)(&course.scope.definition, &self.state, now_ms) {
                Next::Do(actions) => {
                    for action in actions {
                        self.perform(action);
                    }
                    if !self.decisions_fit {
                        return false;
                    }
                }
                Next::Wait { until_ms } => return until_ms.is_some(),
                Next::Finished(_) => return false,
            }
        }
        self.decisions_fit = false;
        false
    }

    fn perform(&mut self, action: Action) {
        let (event, tried) = match action {
            Action::Call { step, direction, attempt } => {
                let request = (attempt == 1).then(Bytes::new);
                let event = Event::Intended { step, direction, attempt, request, at_ms: 0 };
                let ask = match direction {
                    Direction::Forward => Ask::Action,
                    Direction::Backward => Ask::Undo,
                };
                (event, Some(Try { step, ask, number: attempt }))
            }
            Action::Inquire { step, inquiry } => {
                let is_applied = self.state.step(step).phase == StepPhase::Applied;
                let ask = if is_applied { Ask::UndoInquiry } else { Ask::Inquiry };
                let tried = Try { step, ask, number: inquiry };
                (Event::Inquired { step, inquiry, at_ms: 0 }, Some(tried))
            }
            Action::TurnBack { reason } => (Event::TurnedBack { reason, at_ms: 0 }, None),
            Action::End { ending } => (Event::Ended { ending, at_ms: 0 }, None),
            // Of steps that are not in any scope.
            other => panic!("not modelled: {other:?}"),
        };
        if self.record(event) {
            self.tries.extend(tried);
        } else {
            self.decisions_fit = false;
        }
    }

    fn record(&mut self, event: Event) -> bool {
        let fits = self.state.apply(&event).is_ok();
        if fits {
            self.events.push(event);
        }
        fits
    }
}

impl Fact {
    /// What is recorded of it; `owned` is that of a new owner.
    fn event(self, owned: &Event) -> Option<Event> {
        match self {
            Self::Answer { tried, said } => Some(tried.answered(said)),
            Self::Owned => Some(owned.clone()),
            Self::WentBack => {
                Some(Event::LogWentBack { log_epoch: epoch_of(true), doubts_all: true, at_ms: 0 })
            }
            Self::Cancel => Some(Event::CancelRequested {
                actor: String::new(),
                reason: String::new(),
                at_ms: 0,
                request_id: String::new(),
            }),
            Self::Late => None,
        }
    }
}

impl Try {
    fn answered(self, said: Said) -> Event {
        let Self { step, ask, number } = self;
        let direction = match ask {
            Ask::Action => Direction::Forward,
            Ask::Undo => Direction::Backward,
            Ask::Inquiry | Ask::UndoInquiry => {
                let resolution = resolution(said);
                return Event::Resolved { step, inquiry: number, resolution, at_ms: 0 };
            }
        };
        Event::Answered { step, direction, attempt: number, outcome: outcome(said), at_ms: 0 }
    }
}

fn outcome(said: Said) -> Outcome {
    let message = String::new();
    match said {
        Said::Applied => Outcome::Applied { reply: Bytes::new() },
        Said::Rejected | Said::Refused => {
            let on_record = said == Said::Rejected;
            let word = if on_record { Word::OnRecord } else { Word::OfAttempt };
            Outcome::Rejected { reason: "NO".to_owned(), message, word }
        }
        Said::Fenced => Outcome::Contradicted { cause: Contradiction::Fenced, message },
        Said::Reversed => Outcome::Contradicted { cause: Contradiction::Reversed, message },
        Said::NothingToUndo => Outcome::Contradicted { cause: Contradiction::NoEffect, message },
        Said::Nothing => Outcome::Unknown { cause: UnknownCause::TimedOut, message },
        Said::NotSent => {
            Outcome::NotDone { cause: NotDone::NotSent, message, retry_after_ms: None }
        }
    }
}

fn resolution(said: Said) -> Resolution {
    match said {
        Said::Applied => Resolution::Applied { reply: Bytes::new() },
        Said::Rejected => Resolution::Rejected { reason: "NO".to_owned(), message: String::new() },
        Said::Fenced => Resolution::Fenced,
        Said::Reversed => Resolution::Reversed,
        // Calls alone are answered so: an inquiry looks into the operation log.
        Said::Refused | Said::NothingToUndo | Said::Nothing | Said::NotSent => {
            Resolution::Unanswered { message: String::new() }
        }
    }
}

/// The call or inquiry of a step that is out, where one is.
#[must_use]
pub fn out(phase: StepPhase) -> Option<(Ask, u32)> {
    match phase {
        StepPhase::InFlight { direction: Direction::Forward, tries } => {
            Some((Ask::Action, tries.attempt))
        }
        StepPhase::InFlight { tries, .. } => Some((Ask::Undo, tries.attempt)),
        StepPhase::Inquiring { tries } => Some((Ask::Inquiry, tries.inquiries)),
        _ => None,
    }
}
