//! What becomes of a world by a move.

use std::sync::Arc;

use saga_core::{Event, StepIndex};

use crate::{
    fold::{Course, Fact, Slot, Try, epoch_of},
    participant::{Ask, Mood, Said},
    tally::{Happened, Happening},
    world::{
        Cancel, World,
        log::{Author, Laned, Log, Place, Row, Teller},
        moves::Move,
        network::{Leg, Message},
        node::{Memory, Pending},
    },
};

mod rows;

/// A world that is being changed.
struct Taking<'c> {
    course: Course<'c>,
    world: World,
    happened: Happened,
}

impl World {
    /// The world after `step`, and what of it is counted.
    #[must_use]
    pub(crate) fn after(&self, course: Course<'_>, step: Move) -> (Self, Happened) {
        let mut taking = Taking { course, world: self.clone(), happened: Happened::default() };
        taking.take(step);
        taking.clear();
        taking.world.key = taking.world.present_key();
        (taking.world, taking.happened)
    }
}

impl Taking<'_> {
    fn take(&mut self, step: Move) {
        self.happened.add(Happening::of(step));
        match step {
            Move::Land { row } => self.land(row),
            Move::Learn { slot } => self.learn(slot),
            Move::Deliver { message, mood } => {
                let message = self.world.network.remove(message);
                self.deliver(message, mood);
            }
            Move::DeliverAndKeep { message, mood } => {
                self.world.left.repeats -= 1;
                let message = self.world.network.remove(message);
                self.put(Message { to: None, ..message });
                self.deliver(message, mood);
            }
            Move::Lose { message } => {
                self.world.left.losses -= 1;
                self.world.network.remove(message);
            }
            Move::GiveUp { slot, awaited } => {
                if !self.world.is_hopeless(slot, awaited) {
                    self.world.left.losses -= 1;
                }
                self.answer(slot, awaited, Said::Nothing);
            }
            Move::FailToSend { slot, awaited } => {
                self.world.left.losses -= 1;
                self.unsend(slot, awaited);
                self.answer(slot, awaited, Said::NotSent);
            }
            Move::EndPause { slot } => self.begin(slot, vec![Fact::Late]),
            Move::Die { slot } => {
                self.world.left.takeovers -= 1;
                self.leave(slot);
            }
            Move::TakeOver { slot } => self.take_over(slot),
            Move::CancelAtNode { slot } => {
                self.world.cancel = Cancel::Asked;
                self.begin(slot, vec![Fact::Cancel]);
            }
            Move::CancelInLog => self.cancel_in_log(),
            Move::WriteAgain { slot } => self.write_again(slot),
            Move::LoseRow { row } => {
                self.world.left.losses -= 1;
                self.world.lane.remove(row);
            }
            Move::LoseTail { rows } => self.lose_tail(rows),
            Move::MissRows { slot } => self.leave(slot),
            Move::StartAgain { slot } => self.world.begin(self.course, slot),
        }
    }

    fn learn(&mut self, slot: Slot) {
        let Some(memory) = self.memory(slot) else { return };
        let Some(Pending { row, .. }) = memory.pending.take() else { return };
        memory.fold = row.after.clone();
        (memory.row, memory.version) = (row.id, row.base + 1);
        memory.pauses = row.pauses;
        for laned in &mut self.world.lane {
            if laned.teller == Teller::LostWriter(slot) {
                laned.teller = Teller::Nobody;
            }
        }
        let is_behind = row.after.state.log_epoch() < epoch_of(self.world.log.has_lost);
        if is_behind && self.course.subject.log.tells_of_losses {
            // What it decided is about a history that may be gone: it loads what is there.
            self.leave(slot);
            return;
        }
        if self.course.subject.log.appends_before_sending {
            if !self.world.owns(slot) && !row.tries.is_empty() {
                self.happened.add(Happening::SentByReplacedOwner);
            }
            self.send(slot, &row.tries);
        }
        if row.after.state.ended().is_some() {
            self.leave(slot);
        }
    }

    /// A node takes up facts: it drafts the next row and writes it.
    fn begin(&mut self, slot: Slot, mut facts: Vec<Fact>) {
        let (course, id) = (self.course, self.world.new_row());
        let (log_epoch, tells) =
            (epoch_of(self.world.log.has_lost), course.subject.log.tells_of_losses);
        let Some(memory) = self.memory(slot) else { return };
        if tells && memory.fold.state.log_epoch() < log_epoch {
            facts.insert(0, Fact::WentBack);
        }
        let draft = memory.fold.draft(course, slot, &facts);
        memory.pauses = draft.pauses;
        if !draft.decisions_fit {
            self.world.broken.does_not_fold = true;
            return;
        }
        if draft.events.is_empty() {
            return;
        }
        let is_new = facts.contains(&Fact::Owned);
        let row = Arc::new(Row {
            id,
            author: if is_new { Author::NewOwner(slot) } else { Author::Owner(slot) },
            start: memory.start,
            after_row: memory.row,
            base: memory.version,
            before: memory.fold.clone(),
            facts,
            events: draft.events,
            after: Arc::new(draft.after),
            tries: draft.tries,
            pauses: draft.pauses,
        });
        memory.pending = Some(Pending { row: row.clone(), is_landed: false });
        if !course.subject.log.appends_before_sending {
            self.send(slot, &row.tries);
        }
        self.world.lane.push(Laned { row, teller: Teller::Writer(slot) });
    }

    fn send(&mut self, slot: Slot, tries: &[Try]) {
        let Some(start) = self.world.node(slot).map(|it| it.start) else { return };
        for tried in tries {
            self.world.broken.sent_before_log |= !self.world.log.announces(*tried);
            let barrier = self.course.subject.barrier;
            let id = match tried.ask {
                Ask::Action if !barrier.attempts_share_an_id => {
                    u8::try_from(tried.number).unwrap_or(u8::MAX)
                }
                Ask::Action if !barrier.starts_share_an_id => start,
                _ => 0,
            };
            let Try { step, ask, .. } = *tried;
            let id = match ask {
                Ask::Undo | Ask::UndoInquiry => generation(self.world.node(slot), step),
                Ask::Action | Ask::Inquiry => id,
            };
            self.put(Message { step, leg: Leg::Request, ask, to: Some(slot), id });
            if let Some(memory) = self.memory(slot) {
                memory.awaited.push(*tried);
            }
        }
    }

    fn deliver(&mut self, message: Message, mood: Mood) {
        if let (Leg::Reply(said), Some(slot)) = (message.leg, message.to) {
            let heard = self.memory(slot).and_then(|it| it.heard(message.step, message.ask));
            if let Some(tried) = heard {
                self.begin(slot, vec![Fact::Answer { tried, said }]);
            }
            return;
        }
        if message.leg == Leg::Request {
            self.happened.add(Happening::of_request(&self.world, message));
        }
        let (books, ledger, sent) = self.world.delivered(self.course, message, mood);
        self.world.books[message.step.at()] = books;
        self.world.ledger = ledger;
        if let Some(sent) = sent {
            if let Some(happening) = Happening::of_answer(sent) {
                self.happened.add(happening);
            }
            self.put(sent);
        }
    }

    /// The node takes `said` for the answer, and nobody waits for the real one any more.
    fn answer(&mut self, slot: Slot, awaited: usize, said: Said) {
        let Some(memory) = self.memory(slot) else { return };
        let tried = memory.awaited.remove(awaited);
        for message in &mut self.world.network {
            if (message.to, message.step, message.ask) == (Some(slot), tried.step, tried.ask) {
                message.to = None;
            }
        }
        self.begin(slot, vec![Fact::Answer { tried, said }]);
    }

    /// Takes back a request that did not leave.
    fn unsend(&mut self, slot: Slot, awaited: usize) {
        let Some(tried) = self.world.node(slot).map(|it| it.awaited[awaited]) else { return };
        let unsent = |it: &Message| {
            (it.to, it.step, it.ask, it.leg) == (Some(slot), tried.step, tried.ask, Leg::Request)
        };
        if let Some(at) = self.world.network.iter().position(unsent) {
            self.world.network.remove(at);
        }
    }

    fn take_over(&mut self, slot: Slot) {
        if self.world.is_cared_for() {
            self.world.left.takeovers -= 1;
            self.happened.add(Happening::LivingOwnerReplaced);
        }
        let memory = Memory::of(&self.world.log);
        self.world.nodes[usize::from(slot)] = Some(memory);
        if self.course.subject.log.takes_over_by_append {
            self.begin(slot, vec![Fact::Owned]);
        } else {
            self.send_what_is_out(slot);
        }
    }

    /// What a node does that takes a saga for its own without saying so.
    fn send_what_is_out(&mut self, slot: Slot) {
        let fold = self.world.log.fold().clone();
        let tries = self.course.scope.definition.indices().filter_map(|step| {
            let (ask, number) = crate::fold::out(fold.phase(step))?;
            Some(Try { step, ask, number })
        });
        let tries: Vec<Try> = tries.collect();
        self.send(slot, &tries);
    }

    fn cancel_in_log(&mut self) {
        let id = self.world.new_row();
        let log = &self.world.log;
        let events = vec![Event::CancelRequested {
            actor: String::new(),
            reason: String::new(),
            at_ms: 0,
            request_id: String::new(),
        }];
        let Some(after) = log.fold().with(&events, &self.course.scope.definition) else { return };
        let row = Row {
            id,
            author: Author::Client,
            start: log.start,
            after_row: log.last(),
            base: log.version(),
            before: log.fold().clone(),
            facts: vec![Fact::Cancel],
            events,
            after,
            tries: Vec::new(),
            pauses: false,
        };
        self.world.cancel = Cancel::UnderWay;
        self.world.lane.push(Laned { row: Arc::new(row), teller: Teller::Client });
    }

    fn write_again(&mut self, slot: Slot) {
        self.world.left.repeats -= 1;
        for laned in &mut self.world.lane {
            if laned.teller == Teller::Writer(slot) {
                laned.teller = Teller::LostWriter(slot);
            }
        }
        let pending = self.world.node(slot).and_then(|memory| memory.pending.as_ref());
        if let Some(row) = pending.map(|it| it.row.clone()) {
            self.world.lane.push(Laned { row, teller: Teller::Writer(slot) });
        }
    }

    /// The node has nothing in memory any more; what it sent goes on without it.
    fn leave(&mut self, slot: Slot) {
        self.world.nodes[usize::from(slot)] = None;
        for message in &mut self.world.network {
            message.to = message.to.filter(|it| *it != slot);
        }
        for laned in &mut self.world.lane {
            if matches!(laned.teller, Teller::Writer(it) | Teller::LostWriter(it) if it == slot) {
                laned.teller = Teller::Nobody;
            }
        }
    }

    /// Removes what can change nothing any more, and sorts the rest.
    fn clear(&mut self) {
        let Self { course, world, happened } = self;
        if course.subject.log.compares_version {
            let (log, rules, may_lose) = (&world.log, course.subject.log, world.may_lose());
            world.lane.retain(|it| {
                matches!(it.teller, Teller::Writer(_) | Teller::Client)
                    || it.row.fits(log, rules)
                    || may_fit(&it.row, log, may_lose)
            });
        }
        let network = std::mem::take(&mut world.network);
        let (spent, mut rest): (Vec<_>, Vec<_>) =
            network.into_iter().partition(|it| world.is_spent(*course, *it));
        for message in spent {
            happened.add(Happening::of_spent(world, message));
        }
        rest.sort_unstable();
        world.network = rest;
    }

    fn put(&mut self, message: Message) {
        self.world.network.push(message);
    }

    fn memory(&mut self, slot: Slot) -> Option<&mut Memory> {
        self.world.nodes[usize::from(slot)].as_mut()
    }
}

/// Under which of its ids a step is undone.
fn generation(memory: Option<&Memory>, step: StepIndex) -> u8 {
    let generation = memory.map_or(0, |it| it.fold.state.step(step).generations.compensation);
    u8::try_from(generation).unwrap_or(u8::MAX)
}

/// Whether `row` will be taken where the log loses what is in its way.
fn may_fit(row: &Row, log: &Log, may_lose: usize) -> bool {
    matches!(log.place(row.after_row, may_lose), Place::Behind(_))
}
