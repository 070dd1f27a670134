//! Rehearsals: a saga that is played by a scenario, in its own time, and of which nothing leaves.

use saga_core::{
    Direction, Ending, Event, NodeId, OperationRoot, SagaId, Started, State, StepIndex, StepPhase,
    stuck,
};
use saga_definition::{Cancel, CompiledDefinition, Fate, Scenario};
use uuid::Uuid;

use crate::{AdvanceError, AllLeave, Mode, Order, REQUEST_BYTES_MAX, Rest, Subject, advance};

mod answers;
mod compare;
mod course;
mod coverage;

use answers::Script;
pub use coverage::Coverage;

/// When every rehearsal begins, in milliseconds since the Unix epoch: 2026-01-01.
const BEGIN_MS: u64 = 1_767_225_600_000;

/// How long a saga that needs a person is watched: it goes on trying by itself.
const WATCHED_MS: u64 = 7 * 86_400_000;

/// Drafts of one rehearsal at most.
const DRAFTS_MAX: usize = 20_000;

/// What came of a scenario.
#[derive(Clone, Debug)]
pub struct Played {
    /// Where what followed is not what was expected: empty is as it should be.
    pub differences: Vec<String>,
    /// What happened, a line each, with the time since the start.
    pub course: Vec<String>,
    /// What the saga went through.
    pub coverage: Coverage,
}

/// A scenario that cannot be played with this definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unplayable {
    /// It names a step, a call or a signal that there is not.
    #[error("the definition has no {what}")]
    NoSuch { what: String },
    /// An input, a reply or a signal is not of its type.
    #[error("{of}: {message}")]
    NotOfItsType { of: String, message: String },
    /// The engine does not come to an end: a defect of ours.
    #[error("the engine does not come to rest: {message}")]
    Defect { message: String },
}

impl From<AdvanceError> for Unplayable {
    fn from(error: AdvanceError) -> Self {
        Self::Defect { message: error.to_string() }
    }
}

/// Plays a scenario.
///
/// # Errors
///
/// [`Unplayable`]: what it says does not fit the definition. Nothing is played then.
pub fn play(definition: &CompiledDefinition, scenario: &Scenario) -> Result<Played, Unplayable> {
    let mut stage = Stage::set(definition, scenario)?;
    let fate = stage.play()?;
    let compared = compare::Compared { stage: &stage, fate };
    Ok(Played {
        differences: compared.differences(&scenario.expect)?,
        coverage: Coverage::of(&definition.core, &stage.state, fate),
        course: stage.course,
    })
}

/// A fact, when it comes, and its place among those of the same time.
struct Due {
    at_ms: u64,
    fact: Event,
}

/// A call that left for the first time.
struct Left {
    step: StepIndex,
    direction: Direction,
    body: bytes::Bytes,
}

struct Stage<'s> {
    definition: &'s CompiledDefinition,
    key: &'s str,
    cancel_at: Option<StepIndex>,
    script: Script,
    state: State,
    now_ms: u64,
    due: Vec<Due>,
    left: Vec<Left>,
    course: Vec<String>,
}

impl<'s> Stage<'s> {
    fn set(definition: &'s CompiledDefinition, scenario: &'s Scenario) -> Result<Self, Unplayable> {
        let core = &definition.core;
        let script = Script::read(definition, &scenario.answers)?;
        let input = definition.encode_input_json(&scenario.input);
        let input = input.map_err(|error| Unplayable::NotOfItsType {
            of: "the input".to_owned(),
            message: error.to_string(),
        })?;
        let started = Started {
            definition: core.name.clone(),
            definition_version: core.version,
            definition_hash: definition.hash,
            input,
            operations: OperationRoot::Saga,
            node: NodeId(Uuid::nil()),
            log_epoch: 0,
            after_loss: false,
            at_ms: BEGIN_MS,
        };
        let saga = SagaId(Uuid::from_u128(1));
        let (mut due, mut cancel_at) = (Vec::new(), None);
        for sent in &scenario.signals {
            due.push(signal(definition, sent)?);
        }
        match &scenario.cancel {
            Some(Cancel::At { step }) => cancel_at = Some(step_named(definition, step)?),
            Some(Cancel::After { after_ms }) => due.push(cancelled(BEGIN_MS + after_ms)),
            None => {}
        }
        Ok(Self {
            definition,
            key: &scenario.key,
            cancel_at,
            script,
            state: State::start(saga, core, &started),
            now_ms: BEGIN_MS,
            due,
            left: Vec::new(),
            course: Vec::new(),
        })
    }

    /// Plays until the saga has ended, or nothing happens any more.
    fn play(&mut self) -> Result<Fate, Unplayable> {
        let mut late: Vec<Event> = Vec::new();
        for _ in 0..DRAFTS_MAX {
            let mut facts = std::mem::take(&mut late);
            facts.extend(self.come());
            let subject = Subject {
                definition: self.definition,
                business_key: self.key,
                namespace: "",
                request_bytes_max: REQUEST_BYTES_MAX,
            };
            let draft =
                advance(subject, &self.state, &facts, Mode::Drive, self.now_ms, &mut AllLeave)?;
            late = facts.split_off(draft.facts);
            for event in &draft.events {
                self.course.extend(course::line(&self.definition.core, event, BEGIN_MS));
            }
            self.state = draft.state;
            draft.orders.into_iter().try_for_each(|order| self.leave(order))?;
            match draft.rest {
                Rest::Finished(ending) => return Ok(fate_of(ending)),
                Rest::More => {}
                Rest::Wait { until_ms } => match self.next_ms(until_ms) {
                    Some(at_ms) => self.now_ms = at_ms.max(self.now_ms),
                    None => return Ok(self.fate_at_rest()),
                },
            }
        }
        Err(Unplayable::Defect { message: format!("{DRAFTS_MAX} drafts were not enough") })
    }

    /// What has come by now, in order.
    fn come(&mut self) -> Vec<Event> {
        let mut come: Vec<Due> = Vec::new();
        let mut open = Vec::new();
        for it in self.due.drain(..) {
            if it.at_ms <= self.now_ms { come.push(it) } else { open.push(it) }
        }
        self.due = open;
        come.sort_by_key(|it| it.at_ms);
        come.into_iter().map(|it| it.fact).collect()
    }

    /// When something happens next. `None`: nothing does, or a person is needed for long.
    fn next_ms(&self, until_ms: Option<u64>) -> Option<u64> {
        let comes_ms = self.due.iter().map(|it| it.at_ms).min();
        let next_ms = comes_ms.into_iter().chain(until_ms).min()?;
        let is_watched = stuck(&self.definition.core, &self.state)
            .is_none_or(|stuck| next_ms < stuck.since_ms.saturating_add(WATCHED_MS));
        is_watched.then_some(next_ms)
    }

    fn fate_at_rest(&self) -> Fate {
        match stuck(&self.definition.core, &self.state) {
            Some(_) => Fate::Stuck,
            None => Fate::Waiting,
        }
    }

    fn leave(&mut self, order: Order) -> Result<(), Unplayable> {
        match order {
            Order::Call { step, direction, attempt, body, .. } => {
                if attempt == 1 {
                    self.left.push(Left { step, direction, body });
                    if direction == Direction::Forward && self.cancel_at == Some(step) {
                        self.due.push(cancelled(self.now_ms));
                    }
                }
                let Some(spec) = self.definition.call(step, direction) else { return Ok(()) };
                let timeout_ms = u64::try_from(spec.timeout.as_millis()).unwrap_or(u64::MAX);
                let met = self.script.call((step, direction), self.now_ms, timeout_ms);
                if let Some((after_ms, outcome)) = met {
                    let at_ms = self.now_ms.saturating_add(after_ms);
                    let fact = Event::Answered { step, direction, attempt, outcome, at_ms };
                    self.due.push(Due { at_ms, fact });
                }
            }
            Order::Inquire { step, direction, inquiry } => {
                let resolution = self.script.inquiry((step, direction), self.now_ms);
                let at_ms = self.now_ms.saturating_add(answers::ANSWER_MS);
                let fact = Event::Resolved { step, inquiry, resolution, at_ms };
                self.due.push(Due { at_ms, fact });
            }
        }
        Ok(())
    }

    /// Time since the start.
    fn elapsed_ms(&self) -> u64 {
        self.now_ms - BEGIN_MS
    }

    fn steps_that(&self, holds: impl Fn(StepPhase) -> bool) -> Vec<&str> {
        let core = &self.definition.core;
        let steps = core.indices().filter(|it| holds(self.state.step(*it).phase));
        steps.map(|it| core.step(it).name.as_str()).collect()
    }
}

fn fate_of(ending: Ending) -> Fate {
    match ending {
        Ending::Completed => Fate::Completed,
        Ending::Compensated | Ending::Closed => Fate::Compensated,
    }
}

fn cancelled(at_ms: u64) -> Due {
    let (actor, reason) = ("scenario".to_owned(), String::new());
    Due { at_ms, fact: Event::CancelRequested { actor, reason, at_ms, request_id: String::new() } }
}

fn signal(
    definition: &CompiledDefinition,
    sent: &saga_definition::Sent,
) -> Result<Due, Unplayable> {
    let known = definition.signals().find(|it| it.name == sent.signal);
    let spec =
        known.ok_or_else(|| Unplayable::NoSuch { what: format!("signal `{}`", sent.signal) })?;
    let payload = spec.encode_json(&sent.payload).map_err(|error| Unplayable::NotOfItsType {
        of: format!("the signal `{}`", sent.signal),
        message: error.to_string(),
    })?;
    let at_ms = BEGIN_MS.saturating_add(sent.after_ms);
    let fact = Event::Signalled {
        step: spec.step,
        request_id: String::new(),
        payload,
        actor: "scenario".to_owned(),
        reason: String::new(),
        at_ms,
    };
    Ok(Due { at_ms, fact })
}

fn step_named(definition: &CompiledDefinition, name: &str) -> Result<StepIndex, Unplayable> {
    let found = definition.core.index_of(name);
    found.ok_or_else(|| Unplayable::NoSuch { what: format!("step `{name}`") })
}
