//! What may happen in a world.

use crate::{
    fold::{Course, Slot},
    participant::{Ask, Mood},
    world::{Cancel, SLOTS, World, log::Teller, network::Leg},
};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// A row arrives at the log: it is taken, or refused.
    Land { row: usize },
    /// A node is told that its row is durable.
    Learn { slot: Slot },
    /// A message arrives.
    Deliver { message: usize, mood: Mood },
    /// A message arrives, and will arrive again.
    DeliverAndKeep { message: usize, mood: Mood },
    /// A message is lost.
    Lose { message: usize },
    /// A node waits for an answer no longer.
    GiveUp { slot: Slot, awaited: usize },
    /// A call could not be sent, and the node knows that.
    FailToSend { slot: Slot, awaited: usize },
    /// A pause is over.
    EndPause { slot: Slot },
    /// A node loses all that it has in memory.
    Die { slot: Slot },
    /// A node takes the saga over: its owner died, or only seems to have.
    TakeOver { slot: Slot },
    /// A client asks for the saga to turn back, at the node that drives it.
    CancelAtNode { slot: Slot },
    /// A client asks for it at a node that does not.
    CancelInLog,
    /// A node does not learn what became of its row, and writes it again.
    WriteAgain { slot: Slot },
    /// A row is lost with its writer.
    LoseRow { row: usize },
    /// The log loses its newest rows.
    LoseTail { rows: usize },
    /// A node that waits for nothing finds that its rows are not in the log.
    MissRows { slot: Slot },
    /// The log has lost the saga, and the client asks again.
    StartAgain { slot: Slot },
}

impl World {
    /// Everything that may happen. What is alike is listed once.
    pub(crate) fn moves(&self, course: Course<'_>, moves: &mut Vec<Move>) {
        self.moves_of_rows(moves);
        for slot in SLOTS {
            self.moves_of_node(slot, moves);
        }
        self.moves_of_messages(course, moves);
        self.take_overs(moves);
        self.losses(moves);
        if self.cancel == Cancel::Possible && !self.has_ended() && !self.log.is_gone() {
            moves.push(Move::CancelInLog);
        }
    }

    /// What happens next where nothing goes wrong any more and every participant accepts.
    /// `None`: nothing, for ever.
    pub(crate) fn healing_move(&self) -> Option<Move> {
        if let Some(slot) = SLOTS.into_iter().find(|slot| self.may_learn(*slot)) {
            return Some(Move::Learn { slot });
        }
        if !self.lane.is_empty() {
            return Some(Move::Land { row: 0 });
        }
        if let Some(message) = (0..self.network.len()).find(|it| self.may_arrive(*it)) {
            return Some(Move::Deliver { message, mood: Mood::Accepts });
        }
        for slot in SLOTS {
            let Some(memory) = self.node(slot).filter(|it| it.is_idle()) else { continue };
            let hopeless = (0..memory.awaited.len()).find(|it| self.is_hopeless(slot, *it));
            if let Some(awaited) = hopeless {
                return Some(Move::GiveUp { slot, awaited });
            }
            if memory.pauses {
                return Some(Move::EndPause { slot });
            }
        }
        if let Some(slot) = SLOTS.into_iter().find(|slot| self.may_miss_rows(*slot)) {
            return Some(Move::MissRows { slot });
        }
        let slot = self.empty_slot()?;
        if self.log.is_gone() {
            return Some(Move::StartAgain { slot });
        }
        (!self.is_cared_for() && !self.has_ended()).then_some(Move::TakeOver { slot })
    }

    fn losses(&self, moves: &mut Vec<Move>) {
        let may_lose = self.may_lose().min(self.log.version());
        moves.extend((1..=may_lose).map(|rows| Move::LoseTail { rows }));
        moves.extend(
            SLOTS
                .into_iter()
                .filter(|slot| self.may_miss_rows(*slot))
                .map(|slot| Move::MissRows { slot }),
        );
        if let Some(slot) = self.empty_slot().filter(|_| self.log.is_gone()) {
            moves.push(Move::StartAgain { slot });
        }
    }

    /// Whether the rows of an idle node are not in the log any more.
    fn may_miss_rows(&self, slot: Slot) -> bool {
        let memory = self.node(slot).filter(|it| it.is_idle());
        memory.is_some_and(|it| !self.log.contains(it.row))
    }

    fn moves_of_rows(&self, moves: &mut Vec<Move>) {
        for (row, laned) in self.lane.iter().enumerate() {
            moves.push(Move::Land { row });
            if laned.teller == Teller::Nobody && 0 < self.left.losses {
                moves.push(Move::LoseRow { row });
            }
        }
    }

    fn moves_of_node(&self, slot: Slot, moves: &mut Vec<Move>) {
        let Some(memory) = self.node(slot) else { return };
        if self.may_learn(slot) {
            moves.push(Move::Learn { slot });
        }
        // A node that was replaced and writes nothing is as good as dead.
        if 0 < self.left.takeovers && (self.owns(slot) || memory.pending.is_some()) {
            moves.push(Move::Die { slot });
        }
        if memory.pending.is_some() {
            if 0 < self.left.repeats {
                moves.push(Move::WriteAgain { slot });
            }
            return;
        }
        if memory.pauses {
            moves.push(Move::EndPause { slot });
        }
        if self.cancel == Cancel::Possible {
            moves.push(Move::CancelAtNode { slot });
        }
        for (awaited, tried) in memory.awaited.iter().enumerate() {
            if 0 < self.left.losses || self.is_hopeless(slot, awaited) {
                moves.push(Move::GiveUp { slot, awaited });
            }
            let waits_here = self.network.iter().any(|it| {
                (it.to, it.step, it.ask, it.leg)
                    == (Some(slot), tried.step, tried.ask, Leg::Request)
            });
            if 0 < self.left.losses && waits_here && matches!(tried.ask, Ask::Action | Ask::Undo) {
                moves.push(Move::FailToSend { slot, awaited });
            }
        }
    }

    fn moves_of_messages(&self, course: Course<'_>, moves: &mut Vec<Move>) {
        for (at, message) in self.network.iter().enumerate() {
            let is_repeated = 0 < at && self.network[at - 1] == *message;
            if is_repeated || !self.may_arrive(at) {
                continue;
            }
            let both = [Mood::Accepts, Mood::Refuses];
            let moods = if self.is_open(course, *message) { &both[..] } else { &both[..1] };
            for mood in moods {
                moves.push(Move::Deliver { message: at, mood: *mood });
            }
            let is_reply = matches!(message.leg, Leg::Reply(_));
            let is_request = matches!(message.leg, Leg::Request | Leg::AtProvider(_));
            if is_request && 0 < self.left.repeats {
                for mood in moods {
                    moves.push(Move::DeliverAndKeep { message: at, mood: *mood });
                }
            }
            // A lost reply is a call that is given up; a lost request that nobody waits for
            // is one that never arrives.
            let is_missed = !is_reply && (message.to.is_some() || message.leg != Leg::Request);
            if is_missed && 0 < self.left.losses {
                moves.push(Move::Lose { message: at });
            }
        }
    }

    fn take_overs(&self, moves: &mut Vec<Move>) {
        if self.has_ended() || self.log.is_gone() {
            return;
        }
        let Some(slot) = self.empty_slot() else { return };
        if 0 < self.left.takeovers || !self.is_cared_for() {
            moves.push(Move::TakeOver { slot });
        }
    }

    fn may_learn(&self, slot: Slot) -> bool {
        let is_landed = self
            .node(slot)
            .and_then(|memory| memory.pending.as_ref())
            .is_some_and(|pending| pending.is_landed);
        is_landed && self.lane.iter().all(|it| it.teller != Teller::Writer(slot))
    }

    fn may_arrive(&self, message: usize) -> bool {
        let message = self.network[message];
        match (message.leg, message.to) {
            (Leg::Reply(_), Some(slot)) => self.node(slot).is_some_and(|it| it.is_idle()),
            _ => true,
        }
    }

    /// Whether nothing that could lead to the answer is under way any more.
    pub(crate) fn is_hopeless(&self, slot: Slot, awaited: usize) -> bool {
        let Some(memory) = self.node(slot) else { return true };
        let tried = memory.awaited[awaited];
        let leads_to_it = |it: &crate::world::network::Message| {
            (it.to, it.step, it.ask) == (Some(slot), tried.step, tried.ask)
        };
        !self.network.iter().any(leads_to_it)
    }

    fn empty_slot(&self) -> Option<Slot> {
        SLOTS.into_iter().find(|slot| self.node(*slot).is_none())
    }
}
