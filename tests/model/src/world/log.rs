//! The log, which is its own fence: of two rows that build on the same one, one is taken.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use saga_core::{Direction, Epoch, Event};

use crate::{
    fold::{Course, Fact, Fold, Slot, Try, epoch_of, node_id},
    mixer::Mixer,
    participant::Ask,
    subject::LogRules,
    world::sum,
};

/// Tells a row from every other one. 0 stands for none: what the first row builds on.
pub type RowId = u32;

/// The durable log of the saga.
#[derive(Clone, Debug)]
pub struct Log {
    /// Oldest first. Empty where the log has lost the saga as a whole.
    rows: Vec<(RowId, Arc<Fold>)>,
    /// Before the first row.
    unbegun: Arc<Fold>,
    /// How often the saga was started. A saga that is started again is another one to the log.
    pub start: u8,
    /// Rows that were lost were here once.
    pub has_lost: bool,
    /// The highest try of each step that ever was in the log: action, undo, inquiry.
    announced: Vec<[u32; 3]>,
}

/// Where a row is that another builds on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// So many rows were written behind it, all of which the log may lose.
    Behind(usize),
    /// Others were written behind it, for ever.
    Inside,
    /// It is not in the log.
    Gone,
}

/// Who writes a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Author {
    Owner(Slot),
    /// A node that takes the saga over by this row.
    NewOwner(Slot),
    /// A node that does not drive the saga, for a client.
    Client,
}

#[derive(Debug)]
pub struct Row {
    pub id: RowId,
    pub author: Author,
    /// Of which start.
    pub start: u8,
    /// The row that it builds on.
    pub after_row: RowId,
    /// Its version.
    pub base: usize,
    pub before: Arc<Fold>,
    pub facts: Vec<Fact>,
    pub events: Vec<Event>,
    pub after: Arc<Fold>,
    pub tries: Vec<Try>,
    pub pauses: bool,
}

/// A row on its way to the log.
#[derive(Clone, Debug)]
pub struct Laned {
    pub row: Arc<Row>,
    pub teller: Teller,
}

/// Who hears what becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Teller {
    Writer(Slot),
    /// The connection is lost; the writer lives and has written the row again.
    LostWriter(Slot),
    Client,
    Nobody,
}

impl Log {
    /// A log without a row.
    #[must_use]
    pub fn empty(course: Course<'_>) -> Self {
        Self {
            rows: Vec::new(),
            unbegun: Arc::new(Fold::unbegun(course, 0, false)),
            start: 0,
            has_lost: false,
            announced: vec![[0; 3]; course.scope.definition.steps.len()],
        }
    }

    /// Takes the first row of the saga, written by the node in `slot`, and answers it.
    pub fn begin(&mut self, course: Course<'_>, slot: Slot, id: RowId) -> Arc<Row> {
        let before = Fold::unbegun(course, slot, self.has_lost);
        let draft = before.draft(course, slot, &[]);
        self.start += 1;
        let row = Row {
            id,
            author: Author::Owner(slot),
            start: self.start,
            after_row: 0,
            base: 0,
            before: Arc::new(before),
            facts: Vec::new(),
            events: draft.events,
            after: Arc::new(draft.after),
            tries: draft.tries,
            pauses: draft.pauses,
        };
        self.take(&row, row.after.clone());
        Arc::new(row)
    }

    /// What it folds to.
    #[must_use]
    pub fn fold(&self) -> &Arc<Fold> {
        self.rows.last().map_or(&self.unbegun, |(_, fold)| fold)
    }

    /// Rows so far.
    #[must_use]
    pub fn version(&self) -> usize {
        self.rows.len()
    }

    /// The newest row.
    #[must_use]
    pub fn last(&self) -> RowId {
        self.rows.last().map_or(0, |(id, _)| *id)
    }

    /// Whether the saga is not in the log any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.rows.is_empty()
    }

    #[must_use]
    pub fn contains(&self, row: RowId) -> bool {
        self.rows.iter().any(|(id, _)| *id == row)
    }

    /// Where `row` is, in a log that may lose so many rows.
    #[must_use]
    pub fn place(&self, row: RowId, may_lose: usize) -> Place {
        match self.rows.iter().rev().position(|(id, _)| *id == row) {
            Some(behind) if behind <= may_lose => Place::Behind(behind),
            Some(_) => Place::Inside,
            None => Place::Gone,
        }
    }

    /// Loses its newest rows.
    pub fn lose(&mut self, rows: usize) {
        self.rows.truncate(self.version() - rows);
        self.has_lost = true;
    }

    /// What the log would fold to without its newest row, without its two newest, and so on.
    pub(crate) fn pasts(&self, may_lose: usize) -> impl Iterator<Item = u64> + '_ {
        let rows = self.rows.iter().rev().map(|(_, fold)| fold.key);
        rows.skip(1).chain([0]).take(may_lose)
    }

    /// Whether the node would own the saga with that epoch again, where the log lost its
    /// newest row, its two newest, and so on: a bit for each.
    pub(crate) fn was_owned_by(&self, slot: Slot, epoch: Epoch, may_lose: usize) -> u64 {
        let rows = self.rows.iter().rev().skip(1).take(may_lose);
        let owns = |fold: &Fold| (fold.owner(), fold.state.epoch()) == (node_id(slot), epoch);
        rows.fold(1, |bits, (_, fold)| bits << 1 | u64::from(owns(fold)))
    }

    /// Whether the node owns the saga.
    #[must_use]
    pub fn is_owned_by(&self, slot: Slot) -> bool {
        !self.is_gone() && self.fold().owner() == node_id(slot)
    }

    /// Whether this try is in the log.
    #[must_use]
    pub fn announces(&self, tried: Try) -> bool {
        tried.number <= self.announced[tried.step.at()][column(tried.ask)]
    }

    /// Takes a row whose events lead to `fold`.
    pub fn take(&mut self, row: &Row, fold: Arc<Fold>) {
        self.rows.push((row.id, fold));
        self.announce(&row.events);
    }

    fn announce(&mut self, events: &[Event]) {
        for event in events {
            let (step, ask, number) = match event {
                Event::Intended { step, direction: Direction::Forward, attempt, .. } => {
                    (step, Ask::Action, attempt)
                }
                Event::Intended { step, attempt, .. } => (step, Ask::Undo, attempt),
                Event::Inquired { step, inquiry, .. } => (step, Ask::Inquiry, inquiry),
                _ => continue,
            };
            let highest = &mut self.announced[step.at()][column(ask)];
            *highest = (*highest).max(*number);
        }
    }
}

fn column(ask: Ask) -> usize {
    match ask {
        Ask::Action => 0,
        Ask::Undo => 1,
        Ask::Inquiry | Ask::UndoInquiry => 2,
    }
}

impl Row {
    /// Whether the log takes it.
    #[must_use]
    pub fn fits(&self, log: &Log, rules: LogRules) -> bool {
        let follows = !rules.names_row || self.follows(log);
        let is_told = !rules.tells_of_losses || self.is_told(log);
        !rules.compares_version || self.fits_version(log) && follows && is_told
    }

    /// Whether its writer had heard of the rows that the log lost. What a client says is true
    /// whatever was lost.
    pub fn is_told(&self, log: &Log) -> bool {
        self.author == Author::Client || epoch_of(log.has_lost) <= self.after.state.log_epoch()
    }

    /// Whether it builds on a row with the version of the last one.
    #[must_use]
    pub fn fits_version(&self, log: &Log) -> bool {
        self.start == log.start && self.base == log.version()
    }

    /// Whether it builds on the very last row.
    #[must_use]
    pub fn follows(&self, log: &Log) -> bool {
        self.start == log.start && self.after_row == log.last()
    }

    /// Whether its author owns the saga only from this row on.
    #[must_use]
    pub fn is_takeover(&self) -> bool {
        matches!(self.author, Author::NewOwner(_))
    }

    /// Equal for rows that do the same.
    pub(crate) fn key(&self, log: &Log, may_lose: usize) -> u64 {
        let author = match self.author {
            Author::Owner(_) => 0,
            Author::NewOwner(_) => 1,
            Author::Client => 2,
        };
        let mut hasher = Mixer::default();
        (author, self.after.key, self.pauses).hash(&mut hasher);
        (log.contains(self.id), log.place(self.after_row, may_lose)).hash(&mut hasher);
        self.facts.hash(&mut hasher);
        sum(self.tries.iter()).hash(&mut hasher);
        hasher.finish()
    }
}
