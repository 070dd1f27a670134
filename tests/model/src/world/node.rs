//! What a node has in memory while it drives the saga. It never runs ahead of the log.

use std::sync::Arc;

use crate::{
    fold::{Fold, Try},
    participant::Ask,
    world::log::{Log, Row, RowId},
};

#[derive(Clone, Debug)]
pub struct Memory {
    pub fold: Arc<Fold>,
    /// Which start of the saga it drives.
    pub start: u8,
    /// The row that `fold` ends with.
    pub row: RowId,
    /// Rows of the log that `fold` holds.
    pub version: usize,
    /// Calls and inquiries whose answers it waits for.
    pub awaited: Vec<Try>,
    /// The row that it waits for. Until it is told, it does nothing else.
    pub pending: Option<Pending>,
    /// Whether the end of a pause would change something.
    pub pauses: bool,
}

/// A row whose writer does not know yet what became of it.
#[derive(Clone, Debug)]
pub struct Pending {
    pub row: Arc<Row>,
    /// Whether it is in the log.
    pub is_landed: bool,
}

impl Memory {
    #[must_use]
    pub fn of(log: &Log) -> Self {
        let (fold, row, version) = (log.fold().clone(), log.last(), log.version());
        let start = log.start;
        Self { fold, start, row, version, awaited: Vec::new(), pending: None, pauses: false }
    }

    /// Whether it can take up a fact.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.pending.is_none()
    }

    /// No longer waits for the answer to `ask`; returns which try it was.
    pub fn heard(&mut self, step: saga_core::StepIndex, ask: Ask) -> Option<Try> {
        let at = self.awaited.iter().position(|it| (it.step, it.ask) == (step, ask))?;
        Some(self.awaited.remove(at))
    }
}
