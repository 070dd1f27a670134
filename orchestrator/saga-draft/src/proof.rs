//! Proofs: everything that a saga of a definition may come to, found by driving the core itself
//! through every outcome of every call.
//!
//! At each point the engine goes on, or a call is answered in any way, or a cancel comes, or the
//! deadline passes, or a participant takes no call. Two points that differ in nothing that any
//! decision looks at are one. What a participant answers that contradicts itself, and wiring that
//! is wrong, are no outcomes of a saga.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use saga_core::{
    Action, Definition, Direction, Ending, Event, Jitter, Next, NodeId, OperationRoot, RetryPolicy,
    SagaId, Started, State, StepIndex, StepKind, StepPhase, StepSet, StuckReason, Timer,
    next_without, stuck,
};
use saga_definition::CompiledDefinition;
use uuid::Uuid;

use crate::AdvanceError;

mod calls;
mod certificate;
mod choices;
mod key;

pub use calls::CallsMax;
pub use certificate::{Uncertified, certificate, check_certificate, with_certificate};

/// Points that are looked at, at most.
pub const POINTS_MAX: usize = 1_000_000;

/// Every pause is this long: how long it is decides nothing.
const PAUSE_MS: u64 = 10;

/// How long a step waits for its signal.
const TIMER_MS: u64 = 50;

/// Behind every pause: it passes only where a deadline is what comes.
const DEADLINE_MS: u64 = 1 << 40;

/// When a saga starts.
const BEGIN_MS: u64 = 1_767_225_600_000;

/// What a saga may come to.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Each once, those that are reached first before the others.
    pub endings: Vec<Found>,
    /// How many points were looked at.
    pub points: usize,
    /// Whether these are all: else there were too many points.
    pub is_complete: bool,
    /// How often participants are called at most.
    pub calls_max: CallsMax,
}

/// One thing that a saga may come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub fate: Fate,
    /// Steps of which the effect stands.
    pub stands: StepSet,
    /// Steps of which nobody knows whether they have an effect.
    pub in_doubt: StepSet,
    /// What has to happen for it, beside what goes well: the shortest way.
    pub way: Vec<String>,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    Completed,
    Compensated,
    /// It needs a person, though it goes on trying where that makes sense.
    Stuck {
        reason: StuckReason,
        step: StepIndex,
    },
}

/// What an ending is for who wanted all or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// Every step that was to be done is done.
    All,
    /// Nothing stands.
    Nothing,
    /// Something stands, and the saga did not complete.
    Neither,
}

impl Found {
    /// Whether it is all, nothing, or neither.
    #[must_use]
    pub fn whole(&self) -> Whole {
        match self.fate {
            Fate::Completed => Whole::All,
            Fate::Compensated if self.stands.is_empty() && self.in_doubt.is_empty() => {
                Whole::Nothing
            }
            Fate::Compensated | Fate::Stuck { .. } => Whole::Neither,
        }
    }
}

/// Finds everything that a saga of this definition may come to.
///
/// # Errors
///
/// [`AdvanceError`]: the core does not take what it asked for, a defect of ours.
pub fn prove(definition: &CompiledDefinition) -> Result<Proof, AdvanceError> {
    let calls_max = calls::most(definition)?;
    let core = hastened(&definition.core);
    let (known, ways, endings) = (HashMap::new(), Vec::new(), Vec::new());
    let mut walk = Walk { definition, core: &core, known, ways, endings };
    let is_complete = walk.go()?;
    let points = walk.ways.len();
    let mut endings = walk.endings;
    // The nearest first, of each kind.
    endings.sort_by_key(|it| match (it.fate, it.whole()) {
        (_, Whole::All) => 0,
        (_, Whole::Nothing) => 1,
        (Fate::Completed | Fate::Compensated, Whole::Neither) => 2,
        (Fate::Stuck { .. }, Whole::Neither) => 3,
    });
    Ok(Proof { endings, points, is_complete, calls_max })
}

/// The definition with everything in it that decides, and with short times: one failed attempt
/// is as another, but for the last one.
fn hastened(core: &Definition) -> Definition {
    let policy = |attempts_max: u32| RetryPolicy {
        delay_first_ms: PAUSE_MS,
        factor_permille: 1000,
        delay_max_ms: PAUSE_MS,
        jitter: Jitter::None,
        attempts_max,
    };
    let steps = core.steps.iter().map(|step| saga_core::Step {
        kind: match step.kind {
            StepKind::Wait { timer: Some(Timer { then, .. }) } => {
                StepKind::Wait { timer: Some(Timer { after_ms: TIMER_MS, then }) }
            }
            kind => kind,
        },
        timeout_ms: PAUSE_MS,
        retry: policy(step.retry.attempts_max.min(2)),
        compensation_retry: policy(1),
        resolve_retry: policy(1),
        ..step.clone()
    });
    Definition {
        deadline_ms: core.deadline_ms.map(|_| DEADLINE_MS),
        steps: steps.collect(),
        ..core.clone()
    }
}

/// A saga that has just begun.
fn begun(definition: &CompiledDefinition, core: &Definition) -> State {
    let started = Started {
        definition: core.name.clone(),
        definition_version: core.version,
        definition_hash: definition.hash,
        input: bytes::Bytes::new(),
        operations: OperationRoot::Saga,
        node: NodeId(Uuid::nil()),
        log_epoch: 0,
        after_loss: false,
        at_ms: BEGIN_MS,
    };
    State::start(SagaId(Uuid::from_u128(1)), core, &started)
}

/// A point that was reached.
struct Point {
    state: State,
    now_ms: u64,
    /// Whether the deadline has passed.
    is_late: bool,
    at: usize,
}

/// How a point was reached.
struct Way {
    from: usize,
    said: Option<String>,
    /// How many things have happened until there.
    far: usize,
    /// Whether it was gone on from: no shorter way is found any more.
    is_walked: bool,
}

struct Walk<'w> {
    definition: &'w CompiledDefinition,
    core: &'w Definition,
    /// Points by what decides at them.
    known: HashMap<Vec<u8>, usize>,
    ways: Vec<Way>,
    endings: Vec<Found>,
}

impl Walk<'_> {
    /// Walks to every point, the nearest first: near is what takes the fewest things to happen.
    /// Returns whether these were all.
    fn go(&mut self) -> Result<bool, AdvanceError> {
        let state = begun(self.definition, self.core);
        self.known.insert(key::of(self.core, &state, false), 0);
        self.ways.push(Way { from: 0, said: None, far: 0, is_walked: false });
        let first = Point { state, now_ms: BEGIN_MS, is_late: false, at: 0 };
        let mut open = VecDeque::from([first]);
        while let Some(point) = open.pop_front() {
            if std::mem::replace(&mut self.ways[point.at].is_walked, true) {
                continue;
            }
            self.look(&point);
            for choice in choices::of(self.definition, self.core, &point)? {
                // What the engine does by itself is no step of the way.
                let is_free = choice.said.is_none();
                if let Some(next) = self.reach(point.at, choice) {
                    if is_free { open.push_front(next) } else { open.push_back(next) }
                }
                if POINTS_MAX < self.ways.len() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The point behind a choice, where it is new or nearer than it was.
    fn reach(&mut self, from: usize, choice: choices::Choice) -> Option<Point> {
        let choices::Choice { state, now_ms, is_late, said } = choice;
        let far = self.ways[from].far + usize::from(said.is_some());
        let way = Way { from, said, far, is_walked: false };
        let at = match self.known.entry(key::of(self.core, &state, is_late)) {
            Entry::Vacant(vacant) => {
                vacant.insert(self.ways.len());
                self.ways.push(way);
                self.ways.len() - 1
            }
            Entry::Occupied(known) => {
                let at = *known.get();
                if self.ways[at].is_walked || self.ways[at].far <= far {
                    return None;
                }
                self.ways[at] = way;
                at
            }
        };
        Some(Point { state, now_ms, is_late, at })
    }

    /// Keeps what a point is, where the saga has come to something.
    fn look(&mut self, point: &Point) {
        let state = &point.state;
        let fate = match (state.ended(), stuck(self.core, state)) {
            (Some(ended), _) if ended.ending == Ending::Completed => Fate::Completed,
            (Some(_), _) => Fate::Compensated,
            (None, Some(stuck)) => Fate::Stuck { reason: stuck.reason, step: stuck.step },
            (None, None) => return,
        };
        let has_effect =
            |it: &StepIndex| !matches!(self.core.step(*it).kind, StepKind::Wait { .. });
        let steps = || self.core.indices().filter(has_effect);
        let phase = |it: StepIndex| state.step(it).phase;
        let is_standing = |it: &StepIndex| {
            matches!(
                phase(*it),
                StepPhase::Applied
                    | StepPhase::Kept
                    | StepPhase::Open { direction: Direction::Backward, .. }
                    | StepPhase::InFlight { direction: Direction::Backward, .. }
            )
        };
        let stands: StepSet = steps().filter(is_standing).collect();
        let in_doubt = steps().filter(|it| state.may_stand(*it) && !stands.contains(*it));
        let in_doubt: StepSet = in_doubt.collect();
        // One step that is stuck is one thing, whatever else is under way meanwhile.
        let same = |it: &Found| match fate {
            Fate::Stuck { .. } => it.fate == fate,
            Fate::Completed | Fate::Compensated => it.fate == fate && it.stands == stands,
        };
        if !self.endings.iter().any(same) {
            let way = way_to(&self.ways, point.at);
            self.endings.push(Found { fate, stands, in_doubt, way });
        }
    }
}

/// What happened on the way to a point.
fn way_to(ways: &[Way], at: usize) -> Vec<String> {
    let mut said = Vec::new();
    let mut at = at;
    while at != 0 {
        said.extend(ways[at].said.clone());
        at = ways[at].from;
    }
    said.reverse();
    said
}

/// The next thing that the engine does in a draft, recorded.
fn recorded(state: &State, events: &[Event]) -> Result<State, AdvanceError> {
    let mut state = state.clone();
    for event in events {
        state.apply(event)?;
    }
    Ok(state)
}

/// What the core asks for at this time.
fn asked(core: &Definition, point: &Point, now_ms: u64) -> (Vec<Action>, Option<u64>) {
    match next_without(core, &point.state, now_ms, StepSet::EMPTY) {
        Next::Do(actions) => (actions, None),
        Next::Wait { until_ms } => (Vec::new(), until_ms),
        Next::Finished(_) => (Vec::new(), None),
    }
}
