//! The log, which is its own fence: of two rows that build on the same one, one is taken.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use saga_core::{Direction, Event};

use crate::{
    fold::{Course, Fact, Fold, Slot, Try},
    mixer::Mixer,
    participant::Ask,
    world::sum,
};

/// The durable log of the saga.
#[derive(Clone, Debug)]
pub struct Log {
    /// Rows so far.
    pub version: u32,
    pub fold: Arc<Fold>,
    /// The highest try of each step that is in the log: action, undo, inquiry.
    announced: Vec<[u32; 3]>,
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
    pub author: Author,
    /// The version that it builds on.
    pub base: u32,
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
    /// The log with its first row, and that row.
    #[must_use]
    pub fn first(course: Course<'_>) -> (Self, Arc<Row>) {
        let draft = Fold::first(course);
        let fold = Arc::new(draft.after);
        let steps = course.scope.definition.steps.len();
        let mut log = Self { version: 1, fold: fold.clone(), announced: vec![[0; 3]; steps] };
        log.announce(&draft.events);
        let row = Row {
            author: Author::Owner(0),
            base: 0,
            before: fold.clone(),
            facts: Vec::new(),
            events: draft.events,
            after: fold,
            tries: draft.tries,
            pauses: draft.pauses,
        };
        (log, Arc::new(row))
    }

    /// Whether this try is in the log.
    #[must_use]
    pub fn announces(&self, tried: Try) -> bool {
        tried.number <= self.announced[tried.step.at()][column(tried.ask)]
    }

    /// Takes a row whose events lead to `fold`.
    pub fn take(&mut self, row: &Row, fold: Arc<Fold>) {
        self.version += 1;
        self.fold = fold;
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
            self.announced[step.at()][column(ask)] = *number;
        }
    }
}

fn column(ask: Ask) -> usize {
    match ask {
        Ask::Action => 0,
        Ask::Undo => 1,
        Ask::Inquiry => 2,
    }
}

impl Row {
    /// Whether it builds on the last row of `log`.
    #[must_use]
    pub fn fits(&self, log: &Log) -> bool {
        self.base == log.version
    }

    /// Whether its author owns the saga only from this row on.
    #[must_use]
    pub fn is_takeover(&self) -> bool {
        matches!(self.author, Author::NewOwner(_))
    }

    /// Equal for rows that do the same.
    pub(crate) fn key(&self, log: &Log) -> u64 {
        let author = match self.author {
            Author::Owner(_) => 0,
            Author::NewOwner(_) => 1,
            Author::Client => 2,
        };
        let mut hasher = Mixer::default();
        (author, self.fits(log), self.after.key, self.pauses).hash(&mut hasher);
        self.facts.hash(&mut hasher);
        sum(self.tries.iter()).hash(&mut hasher);
        hasher.finish()
    }
}
