//! One state of one run, and what may happen in it. The core is driven the way a driver
//! does it: append what was decided, then send, then append what was answered.

use bytes::Bytes;
use saga_core::{
    Action, CancelEffect, CancelEffect::Undecided, Definition, Direction, Ending, Epoch, Event,
    Next, NodeId, OperatorAct, State, StepPhase, phase::Last,
};
use uuid::Uuid;

mod acts;
mod answers;
mod choices;
mod key;
mod signals;

use crate::{
    cases::{Case, DEADLINE_MS, Keeps},
    fate::Fate,
    rules::{self, Rule},
    walk::{Order, Subject, needs_a_person},
    world::{Message, Mood, Request, World},
};

const NODE: NodeId = NodeId(Uuid::from_u128(1));

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) state: State,
    pub(crate) world: World,
    pub(crate) now_ms: u64,
    /// What who asked the saga to turn back was told last.
    pub(crate) cancel: Option<CancelEffect>,
    misfortunes_left: u8,
}

/// What stays the same in a whole walk.
#[derive(Clone, Copy)]
pub(crate) struct Course<'c> {
    pub(crate) definition: &'c Definition,
    pub(crate) subject: &'c Subject,
}

/// One thing that may happen; `at` is the message or the action that it happens to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    pub(crate) fate: Fate,
    at: usize,
}

type Taken<T> = Result<T, (Rule, String)>;

impl Node {
    pub(crate) fn first(case: &Case, state: State) -> Self {
        let (world, misfortunes_left) = (World::new(case), case.misfortunes_max);
        Self { state, world, now_ms: 0, cancel: None, misfortunes_left }
    }

    pub(crate) fn is_like(&self, state: &State) -> bool {
        self.state == *state
    }

    /// A take-over by another node, as its log would say it.
    pub(crate) fn owned_again(&self) -> Event {
        Event::Owned { node: NODE, epoch: Epoch(self.state.epoch().0 + 1), at_ms: self.now_ms }
    }

    /// Everything that may happen here.
    pub(crate) fn moves(&self, course: Course<'_>, decision: &Next) -> Vec<Move> {
        let mut moves = Vec::new();
        for (at, message) in self.world.network.iter().enumerate() {
            let fates = match message {
                Message { awaited: true, .. } => Fate::of_awaited(message.request),
                Message { forsaken: true, .. } if self.state.ended().is_none() => {
                    Fate::of_forsaken(message.request)
                }
                _ => Fate::of_given_up(message.request),
            };
            let may_refuse = self.world.may_be_refused(*message);
            let possible = fates.iter().copied().filter(|fate| match fate {
                Fate::Duplicated(_) => self.world.keeps != Keeps::Nothing,
                fate => may_refuse || !fate.is_a_refusal(),
            });
            moves.extend(possible.map(|fate| Move { fate, at }));
        }
        if self.state.ended().is_none() {
            self.moves_of_owner(course, decision, &mut moves);
        }
        moves.retain(|it| self.misfortunes_left > 0 || !it.fate.is_misfortune());
        moves
    }

    fn moves_of_owner(&self, course: Course<'_>, decision: &Next, moves: &mut Vec<Move>) {
        let mut may = |fate, at| moves.push(Move { fate, at });
        match decision {
            Next::Do(actions) => {
                may(Fate::Driven, 0);
                for (at, action) in actions.iter().enumerate() {
                    let is_call = matches!(action, Action::Call { .. } | Action::Inquire { .. });
                    if is_call && actions.len() > 1 {
                        may(Fate::HeldBack, at);
                    }
                    let (step, direction) = match *action {
                        Action::Call { step, direction, attempt: 1 } => (step, direction),
                        Action::BeginWait { step } | Action::Judge { step } => {
                            (step, Direction::Forward)
                        }
                        _ => continue,
                    };
                    if self.is_excluded(course.definition, step) {
                        continue;
                    }
                    may(Fate::Unrenderable(direction.into()), at);
                    // What is judged has begun.
                    let judges = matches!(action, Action::Judge { .. });
                    let free = self.freed_by_its_condition(course.definition, step, direction);
                    free.filter(|_| !judges).into_iter().for_each(|fate| may(fate, at));
                }
                if course.subject.order == Order::SendThenAppend {
                    may(Fate::DiesBeforeAppend, 0);
                }
            }
            // That the deadline comes before an answer is a misfortune.
            Next::Wait { until_ms: Some(until_ms) }
                if *until_ms < DEADLINE_MS || !self.world.network.iter().any(|it| it.awaited) =>
            {
                may(Fate::TimePasses, 0);
            }
            _ => {}
        }
        if let Some(stuck) = needs_a_person(course.definition, self, decision) {
            may(Fate::PersonSettles, stuck.step.at());
        }
        for (at, step) in self.state.steps().iter().enumerate() {
            let unread = step.unread && step.phase == StepPhase::Applied;
            if matches!(step.phase, StepPhase::Open { .. }) || unread {
                may(Fate::PersonSettlesEarly, at);
            }
            if self.may_renew(course.definition, step.phase) {
                may(Fate::Renewed, at);
            }
        }
        if self.misfortunes_left == 1 && !self.state.is_closing() {
            may(Fate::Closed, 0);
        }
        for step in self.signals_that_count(course.definition) {
            may(Fate::SignalSaysYes, step.at());
            may(Fate::SignalSaysNo, step.at());
        }
        may(Fate::RetryRequested, 0);
        may(Fate::OwnerDies, 0);
        if !self.state.cancel_requested() {
            may(Fate::CancelRequested, 0);
        }
        if self.now_ms < DEADLINE_MS {
            may(Fate::DeadlinePasses, 0);
        }
    }

    /// Whether a person may have the operation made anew: it was refused for ever, where there
    /// is no turning back from it.
    fn may_renew(&self, definition: &Definition, phase: StepPhase) -> bool {
        match phase {
            StepPhase::Rejected | StepPhase::Fenced => self.state.passed_pivot(definition),
            StepPhase::Open { direction: Direction::Backward, tries, last, .. } => {
                last == Last::Refused && !tries.in_doubt
            }
            _ => false,
        }
    }

    /// What is after `step`. Its events are at the end of `log` then.
    pub(crate) fn take(
        &self,
        course: Course<'_>,
        decision: &Next,
        step: Move,
        log: &mut Vec<Event>,
    ) -> Taken<Self> {
        let mut node = self.after(course, decision, step, log)?;
        node.world.expire(node.now_ms);
        Ok(node)
    }

    fn after(
        &self,
        course: Course<'_>,
        decision: &Next,
        step: Move,
        log: &mut Vec<Event>,
    ) -> Taken<Self> {
        let mut node = self.clone();
        node.misfortunes_left -= u8::from(step.fate.is_misfortune());
        let at_ms = node.now_ms;
        let events = match (step.fate, decision) {
            (
                Fate::Driven
                | Fate::HeldBack
                | Fate::Skipped
                | Fate::Kept
                | Fate::Unrenderable(_)
                | Fate::DiesBeforeAppend,
                Next::Do(actions),
            ) => {
                node.drive(course, actions, step, log)?;
                return Ok(node);
            }
            (Fate::TimePasses, Next::Wait { until_ms: Some(until_ms) }) => {
                node.now_ms = *until_ms;
                vec![]
            }
            (Fate::DeadlinePasses, _) => {
                node.now_ms = DEADLINE_MS;
                vec![]
            }
            (Fate::OwnerDies, _) => {
                node.world.forsake_all();
                vec![self.owned_again()]
            }
            (Fate::CancelRequested, _) => {
                vec![Event::CancelRequested {
                    actor: String::new(),
                    reason: String::new(),
                    at_ms,
                    request_id: String::new(),
                }]
            }
            (Fate::PersonSettles | Fate::PersonSettlesEarly, _) => {
                let index = course.definition.indices().nth(step.at);
                vec![node.settle_by_hand(index.expect("the move is about a step"))]
            }
            (Fate::SignalSaysYes, _) => vec![node.signal(step.at, Mood::Accepts)],
            (Fate::SignalSaysNo, _) => vec![node.signal(step.at, Mood::Refuses)],
            (Fate::RetryRequested, _) => vec![self.acted(OperatorAct::Retry)],
            (Fate::Closed, _) => {
                // In one row: whoever takes the act goes on to the end at once.
                node.world.forsake_all();
                let ended = Event::Ended { ending: Ending::Closed, at_ms };
                vec![self.acted(OperatorAct::Close), ended]
            }
            (Fate::Renewed, _) => {
                let index = course.definition.indices().nth(step.at);
                vec![node.renew(index.expect("the move is about a step"))]
            }
            (fate, _) => {
                let message = node.world.network.remove(step.at);
                let learned = node.meet(course, message, fate);
                // What is told late is left out where it does not fit any more.
                let fits = |event: &Event| node.state.clone().apply(event).is_ok();
                learned.filter(|event| !fate.is_told() || fits(event)).into_iter().collect()
            }
        };
        for event in events {
            node.append(course, event, log)?;
        }
        if step.fate.is_told() {
            // What is out elsewhere for a step that is decided now is not waited for.
            let Self { state, world, .. } = &mut node;
            world.give_up(|step| !state.step(step).phase.is_out());
        }
        Ok(node)
    }

    fn append(&mut self, course: Course<'_>, event: Event, log: &mut Vec<Event>) -> Taken<()> {
        for event in (course.subject.record)(&self.state, event) {
            self.state.apply(&event).map_err(|it| (Rule::LogFolds, it.to_string()))?;
            log.push(event);
            // Whoever was told that nothing is decided asks again after every event.
            if self.state.cancel_requested() && self.cancel.is_none_or(|told| told == Undecided) {
                self.cancel = Some((course.subject.words.cancel)(course.definition, &self.state));
            }
        }
        Ok(())
    }

    fn drive(
        &mut self,
        course: Course<'_>,
        actions: &[Action],
        step: Move,
        log: &mut Vec<Event>,
    ) -> Taken<()> {
        for (at, action) in actions.iter().enumerate() {
            if step.fate == Fate::HeldBack && at == step.at {
                continue;
            }
            rules::judge_action(course.definition, self, action)?;
            let (event, message) = self.announce(action);
            let met = if at == step.at { self.met(step.fate, action) } else { None };
            let met = self.kept_out(course.definition, action).or(met);
            let event = match met {
                Some(met) => met,
                None => {
                    self.end_wait(action);
                    event
                }
            };
            let is_sent = matches!(event, Event::Intended { .. } | Event::Inquired { .. });
            if step.fate != Fate::DiesBeforeAppend {
                self.append(course, event, log)?;
            }
            if let Some(message) = message.filter(|_| is_sent) {
                self.world.send(message);
            }
        }
        if step.fate == Fate::DiesBeforeAppend {
            self.world.forsake_all();
            self.append(course, self.owned_again(), log)?;
        }
        Ok(())
    }

    /// What is recorded instead of the ordinary, where the saga's data do not allow it.
    fn met(&self, fate: Fate, action: &Action) -> Option<Event> {
        let at_ms = self.now_ms;
        let (step, direction) = match *action {
            Action::Call { step, direction, .. } => (step, direction),
            Action::BeginWait { step } | Action::Judge { step } => (step, Direction::Forward),
            _ => return None,
        };
        match fate {
            Fate::Skipped => Some(Event::Skipped { step, at_ms }),
            Fate::Kept => Some(Event::Kept { step, at_ms }),
            Fate::Unrenderable(_) => {
                Some(Event::Unrenderable { step, direction, message: String::new(), at_ms })
            }
            _ => None,
        }
    }

    /// The event that makes `action` durable, and the request that may leave then.
    fn announce(&self, action: &Action) -> (Event, Option<Message>) {
        let at_ms = self.now_ms;
        let keeps = self.world.keeps;
        let sent = |step, request, number| {
            let ages = keeps == Keeps::Nothing && request == Request::Action;
            let sent_at_ms = if ages { at_ms } else { 0 };
            Some(Message { step, request, number, awaited: true, forsaken: false, sent_at_ms })
        };
        match action.clone() {
            Action::Call { step, direction, attempt } => {
                let request = (attempt == 1).then(Bytes::new);
                let event = Event::Intended { step, direction, attempt, request, at_ms };
                (event, sent(step, direction.into(), attempt))
            }
            Action::Inquire { step, inquiry } => {
                (Event::Inquired { step, inquiry, at_ms }, sent(step, Request::Inquiry, inquiry))
            }
            Action::BeginWait { step } => (Event::WaitBegan { step, at_ms }, None),
            Action::Judge { step } => (self.judged(step), None),
            Action::TimeOut { step, then } => (self.timed_out(step, then), None),
            Action::TurnBack { reason } => (Event::TurnedBack { reason, at_ms }, None),
            Action::End { ending } => (Event::Ended { ending, at_ms }, None),
        }
    }

    /// A request meets its fate. Returns what whoever waits for it learns.
    fn meet(&mut self, course: Course<'_>, message: Message, fate: Fate) -> Option<Event> {
        let (arrives, mood) = match fate {
            Fate::Refused(Request::Action)
            | Fate::RefusalLost
            | Fate::ArrivesAndIsRefused
            | Fate::ToldRefused => (true, Mood::Refuses),
            Fate::Answered(_)
            | Fate::Contradicted(_)
            | Fate::Unread
            | Fate::Duplicated(_)
            | Fate::ReplyLost(_)
            | Fate::Told(_)
            | Fate::Arrives(_) => (true, Mood::Accepts),
            _ => (false, Mood::Accepts),
        };
        let barrier = course.subject.barrier;
        let record = arrives.then(|| self.world.receive(message, barrier, mood));
        if matches!(fate, Fate::Late(_) | Fate::Duplicated(_)) {
            self.world.send(Message { awaited: false, ..message });
        }
        (message.awaited || fate.is_told()).then(|| self.answer(message, fate, record))
    }
}
