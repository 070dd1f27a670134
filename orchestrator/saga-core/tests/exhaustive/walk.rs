//! The walker: from a state to every state that may follow, depth first, each state once.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use bytes::Bytes;
use saga_core::{
    Definition, Ending, Event, Next, NodeId, OperationRoot, SagaId, Started, State, StepSet, Stuck,
    encoding, stuck,
};
use uuid::Uuid;

use crate::{
    cases::Case,
    fate::Fate,
    node::{Course, Node},
    rules::{self, Rule, Violation, Words},
    world::Barrier,
};

const SAGA: SagaId = SagaId(Uuid::from_u128(1));

/// What is walked: the core and the participants, or a mutant of them.
pub(crate) struct Subject {
    pub(crate) decide: Box<Decide>,
    pub(crate) hold: Box<Hold>,
    pub(crate) record: Box<Recorder>,
    pub(crate) barrier: Barrier,
    pub(crate) order: Order,
    pub(crate) words: Words,
}

/// What happens next.
pub(crate) type Decide = dyn Fn(&Moment<'_>) -> Next;

/// What happens next where these steps are held back.
pub(crate) type Hold = dyn Fn(&Moment<'_>, StepSet) -> Next;

/// What is appended for an event that was about to be.
pub(crate) type Recorder = dyn Fn(&State, Event) -> Vec<Event>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    AppendThenSend,
    SendThenAppend,
}

impl Subject {
    pub(crate) fn real() -> Self {
        Self {
            decide: Box::new(|it| saga_core::next(it.definition, it.state, it.now_ms)),
            hold: Box::new(|it, held| {
                saga_core::next_without(it.definition, it.state, it.now_ms, held)
            }),
            record: Box::new(|_, event| vec![event]),
            barrier: Barrier::WHOLE,
            order: Order::AppendThenSend,
            words: Words::REAL,
        }
    }
}

/// What a decision may look at.
pub(crate) struct Moment<'m> {
    pub(crate) definition: &'m Definition,
    pub(crate) state: &'m State,
    pub(crate) log: &'m [Event],
    pub(crate) now_ms: u64,
}

/// What was walked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    states: usize,
    transitions: usize,
    /// Different ways from the start to where nothing more can happen.
    runs: u128,
    completed: usize,
    compensated: usize,
    closed: usize,
    /// States in which only a person can go on, by reason.
    stuck: BTreeMap<&'static str, usize>,
    pub(crate) fates: BTreeMap<Fate, usize>,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.states += other.states;
        self.transitions += other.transitions;
        self.runs += other.runs;
        self.completed += other.completed;
        self.compensated += other.compensated;
        self.closed += other.closed;
        for (reason, count) in &other.stuck {
            *self.stuck.entry(reason).or_default() += count;
        }
        for (fate, count) in &other.fates {
            *self.fates.entry(*fate).or_default() += count;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "states {:>7} transitions {:>8} runs {:>16} completed {:>5} compensated {:>6} closed {:>5}",
            self.states, self.transitions, self.runs, self.completed, self.compensated, self.closed
        )?;
        self.stuck.iter().try_for_each(|(reason, count)| write!(f, " {reason} {count}"))
    }
}

/// A walk over one case.
pub(crate) struct Walk<'w> {
    course: Course<'w>,
    /// The log of the run that is walked just now.
    log: Vec<Event>,
    /// Every state that was walked, and how many runs lead on from it.
    runs_from: HashMap<u64, u128>,
    counts: Counts,
}

impl<'w> Walk<'w> {
    /// Walks all there is to walk.
    pub(crate) fn over(case: &'w Case, subject: &'w Subject) -> Result<Counts, Violation> {
        let started = Started {
            definition: case.definition.name.clone(),
            definition_version: case.definition.version,
            definition_hash: [0; 32],
            input: Bytes::new(),
            operations: OperationRoot::Saga,
            node: NodeId(Uuid::from_u128(2)),
            log_epoch: 0,
            after_loss: false,
            at_ms: 0,
        };
        let state = State::start(SAGA, &case.definition, &started);
        let mut walk = Self {
            course: Course { definition: &case.definition, subject },
            log: vec![Event::Started(started)],
            runs_from: HashMap::new(),
            counts: Counts::default(),
        };
        let first = Node::first(case, state);
        walk.counts.runs = walk.visit(&first)?;
        walk.counts.states = walk.runs_from.len();
        Ok(walk.counts)
    }

    /// Judges a state and walks on from it. Returns how many runs lead on.
    fn visit(&mut self, node: &Node) -> Result<u128, Violation> {
        let key = node.key();
        if let Some(runs) = self.runs_from.get(&key) {
            return Ok(*runs);
        }
        let moment = Moment {
            definition: self.course.definition,
            state: &node.state,
            log: &self.log,
            now_ms: node.now_ms,
        };
        let decision = (self.course.subject.decide)(&moment);
        rules::judge_node(&moment, node, &decision).map_err(|broken| self.violation(broken))?;
        let held = rules::judge_held(&self.course.subject.hold, &moment);
        held.map_err(|broken| self.violation(broken))?;
        let (words, definition) = (&self.course.subject.words, self.course.definition);
        let said = rules::judge_words(words, definition, node, &decision);
        said.map_err(|broken| self.violation(broken))?;
        self.count(node, &decision)?;

        let mut runs = 0;
        for step in node.moves(self.course, &decision) {
            let length = self.log.len();
            self.counts.transitions += 1;
            *self.counts.fates.entry(step.fate).or_default() += 1;
            let after = node.take(self.course, &decision, step, &mut self.log);
            let after = after.map_err(|broken| self.violation(broken))?;
            runs += self.visit(&after)?;
            self.log.truncate(length);
        }
        let runs = runs.max(1);
        self.runs_from.insert(key, runs);
        Ok(runs)
    }

    fn count(&mut self, node: &Node, decision: &Next) -> Result<(), Violation> {
        match node.state.ended().map(|ended| ended.ending) {
            Some(Ending::Completed) => self.counts.completed += 1,
            Some(Ending::Compensated) => self.counts.compensated += 1,
            Some(Ending::Closed) => self.counts.closed += 1,
            None => {
                if let Some(stuck) = needs_a_person(self.course.definition, node, decision) {
                    *self.counts.stuck.entry(stuck.reason.code()).or_default() += 1;
                }
                return Ok(());
            }
        }
        self.judge_stored_log(node).map_err(|broken| self.violation(broken))
    }

    /// What was written and read again folds to the same state (L3).
    fn judge_stored_log(&self, node: &Node) -> Result<(), (Rule, String)> {
        let broken = |what: &dyn fmt::Display| (Rule::LogFolds, what.to_string());
        let log = encoding::decode(&encoding::encode(&self.log)).map_err(|it| broken(&it))?;
        let Some((Event::Started(started), rest)) = log.split_first() else {
            return Err(broken(&"the log has no start"));
        };
        let mut state = State::start(SAGA, self.course.definition, started);
        state.apply_all(rest).map_err(|it| broken(&it))?;
        if node.is_like(&state) { Ok(()) } else { Err(broken(&"the log folds to another state")) }
    }

    fn violation(&self, (rule, what): (Rule, String)) -> Violation {
        Violation { rule, what, log: self.log.clone() }
    }
}

/// Why only a person can go on here, where that is so.
pub(crate) fn needs_a_person(
    definition: &Definition,
    node: &Node,
    decision: &Next,
) -> Option<Stuck> {
    let is_out = node.world.network.iter().any(|message| message.awaited);
    if is_out || *decision != (Next::Wait { until_ms: None }) {
        return None;
    }
    stuck(definition, &node.state)
}
