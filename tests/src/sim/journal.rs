//! The log as the judge reads it: every row when it becomes durable, folded by rules of its
//! own and compared with what the participants know at that moment.

use std::collections::BTreeMap;

use bytes::Bytes;
use saga_core::{
    Contradiction, Direction, Ending, Event, NodeId, OperationRoot, OperatorAct, Outcome,
    Resolution, SagaId, Settled, StepIndex, StepKind, Verdict, Word, encoding,
};
use saga_log::{Append, IndexChange};
use uuid::Uuid;

use super::{
    barrier::Recorded,
    deployed::{self, Deployed},
    shop::Shop,
};

mod verdict;

/// What the log says became of a step's action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// It took effect, or there was nothing to do but wait for it.
    Applied,
    /// It was refused, fenced, or cannot be asked for.
    Never,
    /// Its condition was false.
    Skipped,
}

/// One step as the log tells it.
#[derive(Clone, Debug, Default)]
pub struct StepFacts {
    /// Attempts of action and compensation that may have left.
    pub attempts: [u32; 2],
    /// Who made which attempt. That one may tell its answer whoever has the saga by then.
    callers: Vec<(Direction, u32, NodeId)>,
    /// Their requests.
    pub requests: [Option<Bytes>; 2],
    /// How often a person had them made under a new id.
    pub generations: [u32; 2],
    /// Inquiries that may have left.
    pub inquiries: u32,
    /// Whether an attempt of the action may have had an effect that is not known.
    pub in_doubt: bool,
    /// Whether a call may be under way.
    is_out: bool,
    /// What became of the action. `None`: not known.
    pub learned: Option<Learned>,
    /// Whether it is undone.
    pub undone: bool,
    /// Whether it was left standing on purpose.
    pub kept: bool,
    /// Whether a person said what became of it.
    pub by_hand: bool,
    /// Whether it began to wait for its signal.
    pub is_waited_for: bool,
    /// How its signal came.
    pub signal: Option<SignalFacts>,
    /// How its wait ended: the reason code of its refusal, empty where there was none.
    pub waited: Option<String>,
}

/// How a signal came into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalFacts {
    /// Before the step waited for it.
    pub early: bool,
    /// Whether a node drove the saga then.
    pub driven: bool,
    /// Written by the node that drove it last.
    pub by_owner: bool,
}

/// One saga as the log tells it.
#[derive(Debug)]
pub struct SagaLog {
    /// A number that is the same whenever the simulation is repeated.
    pub label: usize,
    /// The business key.
    pub key: String,
    /// What it is a saga of.
    pub deployed: &'static Deployed,
    /// What its operation ids are derived from.
    pub operations: OperationRoot,
    /// Rows so far.
    pub version: u64,
    /// Who drives it.
    pub owner: NodeId,
    /// How many owners it had.
    pub epoch: u64,
    /// Whether the index names its owner: otherwise it is parked.
    pub driven: bool,
    /// Its steps.
    pub steps: Vec<StepFacts>,
    /// The reason code for which it turned back.
    pub turned_back: Option<&'static str>,
    /// How it ended.
    pub ended: Option<Ending>,
    /// What a person is told: reason and step.
    pub stuck: Option<(String, String)>,
}

/// All logs.
#[derive(Debug, Default)]
pub struct Journal {
    /// By saga.
    pub sagas: BTreeMap<SagaId, SagaLog>,
    /// What each operation is part of.
    pub ops: BTreeMap<Uuid, (SagaId, StepIndex, Direction)>,
    /// Sagas by business key.
    pub keys: BTreeMap<String, SagaId>,
}

/// Where facts about a direction are kept.
#[must_use]
pub fn at(direction: Direction) -> usize {
    match direction {
        Direction::Forward => 0,
        Direction::Backward => 1,
    }
}

impl Journal {
    /// Takes a row that has become durable. Answers its events, and what is wrong with it.
    ///
    /// # Panics
    ///
    /// Where the row cannot be read or names no deployed definition.
    pub fn row(&mut self, append: &Append, shop: &Shop) -> (Vec<Event>, Vec<String>) {
        let events = if append.events.is_empty() {
            Vec::new()
        } else {
            encoding::decode(&append.events).expect("a node writes what it can read")
        };
        let mut wrong = Vec::new();
        let saga = append.saga;
        if let Some(Event::Started(started)) = events.first() {
            let deployed = deployed::find(&started.definition).expect("only these are started");
            let IndexChange::Create(new) = &append.index else {
                panic!("a first row creates its saga");
            };
            let label = self.sagas.len();
            let steps = vec![StepFacts::default(); deployed.core().steps.len()];
            self.keys.insert(new.business_key.clone(), saga);
            let log = SagaLog {
                label,
                key: new.business_key.clone(),
                deployed,
                operations: started.operations,
                version: 0,
                owner: started.node,
                epoch: 1,
                driven: true,
                steps,
                turned_back: None,
                ended: None,
                stuck: None,
            };
            self.sagas.insert(saga, log);
        }
        let Some(log) = self.sagas.get_mut(&saga) else {
            return (events, vec![format!("L2: a row of saga {saga}, which never started")]);
        };
        if append.version != log.version + 1 {
            wrong.push(format!("L2: version {} follows {}", append.version, log.version));
        }
        log.version = append.version;
        for event in &events {
            log.judge(saga, event, append.writer, shop, &mut wrong);
            log.fold(saga, event, append.writer, &mut self.ops);
        }
        log.index(&append.index, &mut wrong);
        if log.ended.is_some() && events.iter().any(|it| matches!(it, Event::Ended { .. })) {
            wrong.extend(log.end_is_true(saga, shop));
        }
        let about = format!("saga {} ({})", log.label, log.deployed.name);
        (events, wrong.into_iter().map(|it| format!("{it} [{about}]")).collect())
    }

    /// The saga of this business key.
    #[must_use]
    pub fn by_key(&self, key: &str) -> Option<&SagaLog> {
        self.sagas.get(self.keys.get(key)?)
    }

    /// Sagas that have not ended.
    pub fn open(&self) -> impl Iterator<Item = &SagaLog> {
        self.sagas.values().filter(|it| it.ended.is_none())
    }
}

impl StepFacts {
    /// A refusal that is not on record ends no doubt.
    fn hear(&mut self, outcome: &Outcome) {
        self.is_out = false;
        match outcome {
            Outcome::Applied { .. } | Outcome::AppliedUnread { .. } => {
                self.learned = Some(Learned::Applied);
            }
            Outcome::Rejected { word, .. } if *word == Word::OnRecord || !self.in_doubt => {
                self.learned = Some(Learned::Never);
            }
            // Our own inquiry has fenced it.
            Outcome::Contradicted { cause: Contradiction::Fenced, .. } if self.inquiries > 0 => {
                self.learned = Some(Learned::Never);
            }
            Outcome::Unknown { .. } | Outcome::Contradicted { .. } => self.in_doubt = true,
            Outcome::Rejected { .. } | Outcome::NotDone { .. } | Outcome::Fault { .. } => {}
        }
    }

    /// An undo that finds nothing has undone nothing that was surely there.
    fn hear_of_undo(&mut self, outcome: &Outcome, is_given: bool) {
        self.is_out = false;
        self.undone |= match outcome {
            Outcome::Applied { .. } | Outcome::AppliedUnread { .. } => true,
            Outcome::Contradicted { cause: Contradiction::NoEffect, .. } => {
                is_given || self.learned != Some(Learned::Applied)
            }
            _ => false,
        };
    }

    /// A person has the operation that was refused made again, under a new id.
    fn renew(&mut self) {
        let which = usize::from(self.learned == Some(Learned::Applied));
        self.generations[which] += 1;
        (self.attempts[which], self.requests[which]) = (0, None);
        if which == 0 {
            (self.learned, self.inquiries, self.in_doubt) = (None, 0, false);
        }
    }
}

impl SagaLog {
    fn index(&mut self, change: &IndexChange, wrong: &mut Vec<String>) {
        let standing = match change {
            IndexChange::Create(new) => &new.standing,
            IndexChange::Set(standing) => standing,
            IndexChange::Keep => return,
        };
        self.stuck = standing.stuck.as_ref().map(|it| (it.reason.clone(), it.step.clone()));
        self.driven = standing.owner.is_some();
        let wakes = standing.wake_at_ms.is_some() || standing.waiting_on.is_some();
        if standing.ended_at_ms.is_none() && !wakes {
            wrong.push("L6, I10: nothing wakes it and it waits for nothing".to_owned());
        }
        if standing.ended_at_ms.is_some() != self.ended.is_some() {
            wrong.push("L6: index and log do not agree on the end".to_owned());
        }
    }

    fn fold(
        &mut self,
        saga: SagaId,
        event: &Event,
        writer: NodeId,
        ops: &mut BTreeMap<Uuid, (SagaId, StepIndex, Direction)>,
    ) {
        match event {
            Event::Owned { node, epoch, .. } => {
                (self.owner, self.epoch) = (*node, epoch.0);
                // What was out may be anywhere.
                for facts in self.steps.iter_mut().filter(|it| it.attempts[0] > 0) {
                    facts.in_doubt |= facts.learned.is_none() && facts.is_out;
                }
            }
            Event::TurnedBack { reason, .. } => self.turned_back = Some(reason.code()),
            Event::Ended { ending, .. } => self.ended = Some(*ending),
            Event::Intended { step, direction, .. } => {
                ops.insert(self.op(saga, *step, *direction), (saga, *step, *direction));
            }
            _ => {}
        }
        let Some(step) = event.step() else { return };
        let (driven, by_owner) = (self.driven, writer == self.owner);
        let is_given = self.is_given(step);
        let facts = &mut self.steps[step.at()];
        match event {
            Event::Intended { direction, attempt, request, .. } => {
                facts.attempts[at(*direction)] = *attempt;
                facts.callers.push((*direction, *attempt, writer));
                facts.is_out = true;
                if request.is_some() {
                    facts.requests[at(*direction)].clone_from(request);
                }
            }
            Event::Inquired { inquiry, .. } => facts.inquiries = *inquiry,
            Event::Answered { direction: Direction::Forward, outcome, .. } => {
                facts.hear(outcome);
            }
            Event::Answered { outcome, .. } => facts.hear_of_undo(outcome, is_given),
            Event::Resolved { resolution, .. } => match resolution {
                Resolution::Applied { .. } | Resolution::AppliedUnread { .. } => {
                    facts.learned = Some(Learned::Applied);
                }
                Resolution::Rejected { .. } | Resolution::Fenced => {
                    facts.learned = Some(Learned::Never);
                }
                _ => {}
            },
            Event::WaitBegan { .. } => facts.is_waited_for = true,
            Event::Signalled { .. } => {
                let early = !facts.is_waited_for;
                facts.signal = Some(SignalFacts { early, driven, by_owner });
            }
            Event::WaitEnded { verdict, .. } => {
                facts.waited = Some(verdict.reason().to_owned());
                let accepted = matches!(verdict, Verdict::Accepted) || verdict.reason().is_empty();
                facts.learned = Some(if accepted { Learned::Applied } else { Learned::Never });
            }
            Event::Unrenderable { direction: Direction::Forward, .. } => {
                facts.learned = Some(Learned::Never);
            }
            Event::Skipped { .. } => facts.learned = Some(Learned::Skipped),
            Event::Kept { .. } => facts.kept = true,
            Event::OperatorActed { act: OperatorAct::Renew { .. }, .. } => facts.renew(),
            Event::OperatorActed { act: OperatorAct::Settle { settled, .. }, .. } => {
                facts.by_hand = true;
                match (facts.attempts[1], settled) {
                    (0, Settled::Applied) => facts.learned = Some(Learned::Applied),
                    (0, Settled::NotApplied) => facts.learned = Some(Learned::Never),
                    _ => facts.undone = true,
                }
            }
            _ => {}
        }
    }

    /// Whether the client brought the effect of this step along.
    fn is_given(&self, step: StepIndex) -> bool {
        self.deployed.core().step(step).kind == StepKind::Given
    }

    /// The id of a step's present operation.
    #[must_use]
    pub fn op(&self, saga: SagaId, step: StepIndex, direction: Direction) -> Uuid {
        let generation = self.steps[step.at()].generations[at(direction)];
        self.deployed.op(saga, self.operations, step, direction, generation)
    }

    /// What the participant of a step's call has recorded of it.
    fn recorded<'s>(
        &self,
        saga: SagaId,
        step: StepIndex,
        direction: Direction,
        shop: &'s Shop,
    ) -> Option<&'s Recorded> {
        let (participant, _) = self.deployed.target(step, direction)?;
        shop.recorded(participant, self.op(saga, step, direction))
    }

    /// How often a step's call took effect.
    fn effects(&self, saga: SagaId, step: StepIndex, direction: Direction, shop: &Shop) -> u32 {
        match self.deployed.target(step, direction) {
            Some(_) => shop.effect_count(self.op(saga, step, direction)),
            None => 0,
        }
    }
}
