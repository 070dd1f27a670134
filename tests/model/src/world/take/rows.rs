//! What becomes of a row at the log, and of its writer: taken, refused, lost.

use std::sync::Arc;

use super::Taking;
use crate::{
    fold::{Fact, Slot},
    tally::Happening,
    world::{
        Cancel,
        log::{Author, Laned, Log, Row, Teller},
        node::{Memory, Pending},
    },
};

impl Taking<'_> {
    pub(super) fn lose_tail(&mut self, rows: usize) {
        let world = &mut self.world;
        world.left.tails -= 1;
        world.log.lose(rows);
        if world.log.is_gone() {
            self.happened.add(Happening::SagaLost);
        }
        if world.nodes.iter().flatten().any(|it| !world.log.contains(it.row)) {
            self.happened.add(Happening::TailLostUnderNode);
        }
    }

    pub(super) fn land(&mut self, at: usize) {
        let Laned { row, teller } = self.world.lane.remove(at);
        let log = &self.world.log;
        if row.fits(log, self.course.subject.log) {
            self.accept(&row);
            return;
        }
        if row.fits_version(log) {
            self.happened.add(Happening::ForeignRowHasTheVersion);
        }
        self.happened.add(Happening::RowRefused);
        match teller {
            Teller::Writer(slot) => self.refused(slot),
            // The client asks again, or lets it be.
            Teller::Client => self.world.cancel = Cancel::Possible,
            Teller::LostWriter(_) | Teller::Nobody => {}
        }
    }

    fn accept(&mut self, row: &Arc<Row>) {
        self.judge(row);
        let log = &self.world.log;
        let fold = if Arc::ptr_eq(&row.before, log.fold()) {
            row.after.clone()
        } else {
            let Some(fold) = log.fold().with(&row.events, &self.course.scope.definition) else {
                self.world.broken.does_not_fold = true;
                return;
            };
            fold
        };
        self.world.log.take(row, fold);
        for memory in self.world.nodes.iter_mut().flatten() {
            if let Some(pending) = memory.pending.as_mut().filter(|it| Arc::ptr_eq(&it.row, row)) {
                pending.is_landed = true;
            }
        }
        if row.author == Author::Client {
            self.world.cancel = Cancel::Asked;
        }
    }

    /// Notes which rules a row breaks by being accepted.
    fn judge(&mut self, row: &Row) {
        let log = &self.world.log;
        let broken = &mut self.world.broken;
        let is_by_other = match row.author {
            Author::Owner(slot) => {
                let epoch = row.before.state.epoch();
                (crate::fold::node_id(slot), epoch)
                    != (log.fold().owner(), log.fold().state.epoch())
            }
            Author::NewOwner(_) | Author::Client => false,
        };
        broken.written_by_other |= is_by_other;
        broken.built_on_older |= row.base != log.version();
        broken.mixed_histories |= row.base == log.version() && !row.follows(log);
        broken.written_behind_end |= log.fold().state.ended().is_some();
    }

    /// A node is told that its row was refused. Where that is its own row's doing, it waits
    /// to be told of that one. Where its rows are gone, it knows nothing any more.
    pub(super) fn refused(&mut self, slot: Slot) {
        let rules = self.course.subject.log;
        let is_known = |row: &Row, log: &Log| log.contains(row.id) && rules.recognises_own_row;
        let Some(pending) = self.memory(slot).and_then(|it| it.pending.take()) else { return };
        if pending.is_landed && is_known(&pending.row, &self.world.log) {
            self.happened.add(Happening::OwnRowRecognised);
            self.await_row(slot, pending);
            return;
        }
        let is_told = pending.row.is_told(&self.world.log) || !rules.tells_of_losses;
        if !self.world.log.contains(pending.row.after_row) || !is_told {
            self.happened.add(Happening::RowsGone);
            if rules.forgets_what_is_gone {
                self.turn_away(slot, &pending.row);
            } else {
                let row = pending.row.clone();
                self.world.lane.push(Laned { row, teller: Teller::Writer(slot) });
                self.await_row(slot, pending);
            }
            return;
        }
        let is_owner = matches!(pending.row.author, Author::Owner(_));
        let goes_on = is_owner && self.world.owns(slot) && !self.world.has_ended();
        if !goes_on {
            self.turn_away(slot, &pending.row);
            return;
        }
        self.happened.add(Happening::DecidedAgain);
        let known = Memory::of(&self.world.log);
        if let Some(memory) = self.memory(slot) {
            (memory.fold, memory.row, memory.version) = (known.fold, known.row, known.version);
        }
        self.begin(slot, pending.row.facts.clone());
    }

    fn await_row(&mut self, slot: Slot, pending: Pending) {
        if let Some(memory) = self.memory(slot) {
            memory.pending = Some(pending);
        }
    }

    fn turn_away(&mut self, slot: Slot, row: &Row) {
        if row.facts.contains(&Fact::Cancel) {
            self.world.cancel = Cancel::Possible;
        }
        self.happened.add(Happening::OwnerTurnedAway);
        self.leave(slot);
    }
}
