//! One run: a saga, its log, and the books of its participants.

use std::fmt;

use bytes::Bytes;
use saga_core::{
    Action, Contradiction, Definition, Direction, Ending, Epoch, Event, Next, NodeId, NotDone,
    Offer, OnUnknown, OperationRoot, OperatorAct, Outcome, Resolution, SagaId, Settled, Started,
    State, Step, StepIndex, StepKind, StepPhase, UnknownCause, Verdict, Word, next, offers, stuck,
};
use uuid::Uuid;

use crate::{DEADLINE_MS, choices::Choices};

/// A run that takes longer than this never ends.
const TURNS_MAX: usize = 200;

/// One step's participant: what it really did.
#[derive(Clone, Copy, Debug, Default)]
struct Books {
    applied: u32,
    undone: u32,
    /// Undone by the operation of this generation, where it keeps a log.
    undone_by: Option<u32>,
    /// It will not do it any more, as it was asked first.
    is_fenced: bool,
    /// The condition of the step, which is the same whenever it is looked at.
    is_off: bool,
}

impl Books {
    fn stands(self) -> bool {
        self.undone < self.applied
    }
}

pub(crate) struct End {
    pub(crate) is_completed: bool,
}

pub(crate) struct Run<'d> {
    definition: &'d Definition,
    state: State,
    log: Vec<Event>,
    books: Vec<Books>,
    now_ms: u64,
    losses_left: u64,
    log_epoch: u64,
    misfortunes_left: u32,
    acts_by_hand: u32,
}

impl fmt::Display for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.books)?;
        self.log.iter().skip(1).try_for_each(|event| writeln!(f, "    {event:?}"))
    }
}

type Wrong = String;

impl<'d> Run<'d> {
    pub(crate) fn new(definition: &'d Definition, losses: u64) -> Self {
        let started = started(definition);
        Self {
            definition,
            state: State::start(SagaId(Uuid::nil()), definition, &started),
            log: vec![Event::Started(started)],
            books: vec![Books::default(); definition.steps.len()],
            now_ms: 1,
            losses_left: losses,
            log_epoch: 1,
            // With a deadline or a second loss besides, there would be too many runs.
            misfortunes_left: u32::from(definition.deadline_ms.is_none() && losses == 1),
            acts_by_hand: 0,
        }
    }

    /// Whether only a person could go on at some moment, although the saga might have.
    pub(crate) fn needed_a_person(&self) -> bool {
        0 < self.acts_by_hand
    }

    pub(crate) fn play(&mut self, choices: &mut Choices) -> Result<End, Wrong> {
        for step in self.definition.indices() {
            let conditional = self.definition.step(step).conditional;
            self.books[step.at()].is_off = conditional && choices.of(2) == 1;
        }
        for _ in 0..TURNS_MAX {
            self.meet_fate(choices)?;
            match next(self.definition, &self.state, self.now_ms) {
                Next::Do(actions) => {
                    for action in actions {
                        self.act(&action, choices)?;
                    }
                }
                Next::Wait { until_ms: Some(until_ms) } if until_ms < DEADLINE_MS => {
                    self.now_ms = until_ms;
                }
                Next::Wait { until_ms: Some(until_ms) } if DEADLINE_MS < until_ms => {
                    self.now_ms = until_ms;
                }
                Next::Wait { .. } => self.wait_for_somebody()?,
                Next::Finished(ending) => return self.judge(ending),
            }
        }
        Err("it never ends".to_owned())
    }

    /// A cancel comes, or rows are lost, or neither.
    fn meet_fate(&mut self, choices: &mut Choices) -> Result<(), Wrong> {
        let is_over = self.state.ended().is_some();
        if !is_over && !self.state.cancel_requested() && choices.of(2) == 1 {
            let (actor, reason, request_id) = Default::default();
            self.append(Event::CancelRequested { actor, reason, request_id, at_ms: self.now_ms })?;
        }
        let has_deadline = self.definition.deadline_ms.is_some() && self.now_ms < DEADLINE_MS;
        if !is_over && has_deadline && choices.of(2) == 1 {
            self.now_ms = DEADLINE_MS;
        }
        if self.losses_left == 0 {
            return Ok(());
        }
        let lost = choices.of(self.may_lose() + 1);
        if lost == 0 {
            return Ok(());
        }
        self.losses_left -= 1;
        self.log_epoch += 1;
        if lost == self.log.len() {
            // All of it. The client asks again.
            let log_epoch = self.log_epoch;
            let again = Started { after_loss: true, log_epoch, ..started(self.definition) };
            self.state = State::start(SagaId(Uuid::nil()), self.definition, &again);
            self.log = vec![Event::Started(again)];
            return Ok(());
        }
        self.log.truncate(self.log.len() - lost);
        let log = std::mem::take(&mut self.log);
        let [Event::Started(started), rest @ ..] = &log[..] else { panic!("{log:?}") };
        self.state = State::start(SagaId(Uuid::nil()), self.definition, started);
        self.state.apply_all(rest).expect("what was written folds");
        self.log = log;
        let at_ms = self.now_ms;
        self.append(Event::Owned { node: node(), epoch: Epoch(self.state.epoch().0 + 1), at_ms })?;
        let log_epoch = self.log_epoch;
        self.append(Event::LogWentBack { log_epoch, doubts_all: true, at_ms })
    }

    /// How many of the last rows can be lost. Where participants are not asked, nobody can find
    /// out about an undo that was lost with the row by which the saga had turned back, as they
    /// answer a repeat as they answered before; and of a saga that is started again they are
    /// asked nothing by a cancel, so that one that is a first saga can be cancelled.
    fn may_lose(&self) -> usize {
        let is_told = |it: &Step| it.on_unknown == OnUnknown::Resolve || !it.compensable;
        let keeps_log = self.definition.steps.iter().all(is_told);
        let turned_back = self.log.iter().position(|it| matches!(it, Event::TurnedBack { .. }));
        let are_asked = self.definition.steps.iter().all(|it| it.on_unknown == OnUnknown::Resolve);
        let first = usize::from(!are_asked);
        let kept = turned_back.filter(|_| !keeps_log).map_or(first, |at| at + 1);
        self.log.len() - kept
    }

    fn append(&mut self, event: Event) -> Result<(), Wrong> {
        self.state.apply(&event).map_err(|it| format!("{it}: {event:?}"))?;
        self.log.push(event);
        Ok(())
    }

    fn act(&mut self, action: &Action, choices: &mut Choices) -> Result<(), Wrong> {
        let at_ms = self.now_ms;
        match action.clone() {
            Action::Call { step, direction: Direction::Forward, attempt } => {
                if self.books[step.at()].is_off {
                    return self.append(Event::Skipped { step, at_ms });
                }
                self.call(step, attempt, choices)
            }
            Action::Call { step, direction: Direction::Backward, attempt } => {
                self.undo(step, attempt)
            }
            Action::Inquire { step, inquiry } => self.inquire(step, inquiry),
            Action::BeginWait { step } => self.append(Event::WaitBegan { step, at_ms }),
            Action::Judge { step } => {
                self.append(Event::WaitEnded { step, verdict: Verdict::Accepted, at_ms })
            }
            Action::TurnBack { reason } => self.append(Event::TurnedBack { reason, at_ms }),
            Action::End { ending } => self.append(Event::Ended { ending, at_ms }),
            Action::TimeOut { .. } => Err("no wait has a timer".to_owned()),
        }
    }

    fn call(&mut self, step: StepIndex, attempt: u32, choices: &mut Choices) -> Result<(), Wrong> {
        let at_ms = self.now_ms;
        let direction = Direction::Forward;
        let request = (attempt == 1).then(Bytes::new);
        self.append(Event::Intended { step, direction, attempt, request, at_ms })?;
        let ways = if self.misfortunes_left == 0 { 1 } else { 4 };
        let way = choices.of(ways);
        self.misfortunes_left -= u32::from(0 < way);
        let on_unknown = self.definition.step(step).on_unknown;
        let books = &mut self.books[step.at()];
        let is_reversed = on_unknown == OnUnknown::Resolve && books.undone_by.is_some();
        let does_it = way < 2 && !books.is_fenced && !is_reversed;
        // Who is never to be called twice has its effect at each call.
        if does_it && (on_unknown == OnUnknown::Park || !books.stands()) {
            books.applied += 1;
        }
        let (reason, message) = Default::default();
        let outcome = match way {
            _ if books.is_fenced => Outcome::Contradicted { cause: Contradiction::Fenced, message },
            0 if is_reversed => Outcome::Contradicted { cause: Contradiction::Reversed, message },
            0 => Outcome::Applied { reply: Bytes::new() },
            1 => Outcome::Unknown { cause: UnknownCause::TimedOut, message },
            2 => Outcome::NotDone { cause: NotDone::NotSent, message, retry_after_ms: None },
            _ => Outcome::Rejected { reason, message, word: Word::OfAttempt },
        };
        self.append(Event::Answered { step, direction, attempt, outcome, at_ms })
    }

    fn undo(&mut self, step: StepIndex, attempt: u32) -> Result<(), Wrong> {
        let at_ms = self.now_ms;
        let direction = Direction::Backward;
        let request = (attempt == 1).then(Bytes::new);
        let generation = self.state.step(step).generations.compensation;
        self.append(Event::Intended { step, direction, attempt, request, at_ms })?;
        let books = &mut self.books[step.at()];
        books.undone = books.applied;
        books.undone_by = Some(generation);
        let outcome = Outcome::Applied { reply: Bytes::new() };
        self.append(Event::Answered { step, direction, attempt, outcome, at_ms })
    }

    fn inquire(&mut self, step: StepIndex, inquiry: u32) -> Result<(), Wrong> {
        let at_ms = self.now_ms;
        if self.definition.step(step).on_unknown != OnUnknown::Resolve {
            return Err(format!("step {step} is asked"));
        }
        let about_undo = self.state.step(step).phase == StepPhase::Applied;
        let generation = self.state.step(step).generations.compensation;
        self.append(Event::Inquired { step, inquiry, at_ms })?;
        let books = &mut self.books[step.at()];
        let reply = Bytes::new();
        let resolution = match about_undo {
            true if books.undone_by == Some(generation) => Resolution::Applied { reply },
            true => Resolution::Fenced,
            false if books.undone_by.is_some() => Resolution::Reversed,
            false if books.stands() => Resolution::Applied { reply },
            false => {
                books.is_fenced = true;
                Resolution::Fenced
            }
        };
        self.append(Event::Resolved { step, inquiry, resolution, at_ms })
    }

    /// A signal is given where one is waited for; else a person says what is so.
    fn wait_for_somebody(&mut self) -> Result<(), Wrong> {
        let at_ms = self.now_ms;
        let waits = |step: &StepIndex| {
            let waits = matches!(self.state.step(*step).phase, StepPhase::Waiting { .. });
            waits && self.state.turned_back().is_none()
        };
        let waiting = self.definition.indices().find(waits);
        let Some(stuck) = stuck(self.definition, &self.state) else {
            let step = waiting.ok_or("nobody is told what it waits for")?;
            let (actor, reason) = Default::default();
            let (request_id, payload) = (self.log.len().to_string(), Bytes::new());
            return self.append(Event::Signalled {
                step,
                request_id,
                payload,
                actor,
                reason,
                at_ms,
            });
        };
        self.acts_by_hand += 1;
        let step = stuck.step;
        let settled = self.look(step);
        let offered = Offer::Settle { step, settled };
        if !offers(self.definition, &self.state, at_ms).contains(&offered) {
            return Err(format!("{offered:?} is not offered"));
        }
        let act = OperatorAct::Settle { step, call: None, settled, reply: None };
        let (actor, reason, request_id) = Default::default();
        self.append(Event::OperatorActed { actor, reason, act, request_id, at_ms })
    }

    /// What a person finds at the participant, or does there.
    fn look(&mut self, step: StepIndex) -> Settled {
        let phase = self.state.step(step).phase;
        let books = &mut self.books[step.at()];
        match phase {
            _ if books.stands() => Settled::Applied,
            StepPhase::Rejected | StepPhase::Fenced => {
                books.applied += 1;
                Settled::Applied
            }
            _ => Settled::NotApplied,
        }
    }

    fn judge(&self, ending: Ending) -> Result<End, Wrong> {
        for step in self.definition.indices() {
            if self.definition.step(step).kind != StepKind::Call {
                continue;
            }
            let books = self.books[step.at()];
            let standing = books.applied - books.undone;
            let expected = u32::from(ending == Ending::Completed && !books.is_off);
            if standing != expected {
                return Err(format!("{ending:?}, and step {step} has {standing} effects"));
            }
        }
        Ok(End { is_completed: ending == Ending::Completed })
    }
}

fn started(definition: &Definition) -> Started {
    Started {
        definition: definition.name.clone(),
        definition_version: 1,
        definition_hash: [0; 32],
        input: Bytes::new(),
        operations: OperationRoot::Saga,
        node: node(),
        log_epoch: 1,
        after_loss: false,
        at_ms: 0,
    }
}

fn node() -> NodeId {
    NodeId(Uuid::from_u128(7))
}
