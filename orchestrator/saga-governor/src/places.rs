//! The places at one participant: how many calls may be out at the same time, and which of
//! them are kept for undo and inquiries.

use crate::Rank;

/// The places of one participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Places {
    /// Calls at the same time, of this node.
    pub limit: u32,
    /// Sagas of this node that may be at this participant, calling or in line: its share of all
    /// that the node drives at the same time.
    pub seats: u32,
    undo_out: u32,
    rest_out: u32,
}

impl Places {
    /// Empty places.
    #[must_use]
    pub fn new(limit: u32, seats: u32) -> Self {
        Self { limit, seats, undo_out: 0, rest_out: 0 }
    }

    /// Calls that may be out at the same time.
    #[must_use]
    pub fn most(self) -> u32 {
        self.limit.min(self.seats)
    }

    /// Places that only undo and inquiries take, so that calls that hang cannot keep effects
    /// from being taken back. Of a single place there is none to keep.
    #[must_use]
    pub fn reserved(self) -> u32 {
        match self.most() {
            0 | 1 => 0,
            most => (most / 8).max(1),
        }
    }

    /// Calls that are out.
    #[must_use]
    pub fn out(self) -> u32 {
        self.undo_out + self.rest_out
    }

    /// Calls of undo that are out.
    pub(crate) fn undo_out(self) -> u32 {
        self.undo_out
    }

    /// Whether there is a place for another call of this rank.
    #[must_use]
    pub fn is_free(self, rank: Rank) -> bool {
        let free = self.out() < self.most();
        match rank {
            Rank::Undo => free,
            Rank::Committed | Rank::Fresh => free && self.rest_out < self.most() - self.reserved(),
        }
    }

    pub(crate) fn take(&mut self, rank: Rank) {
        *self.of(rank) += 1;
    }

    pub(crate) fn leave(&mut self, rank: Rank) {
        let out = self.of(rank);
        *out = out.saturating_sub(1);
    }

    fn of(&mut self, rank: Rank) -> &mut u32 {
        match rank {
            Rank::Undo => &mut self.undo_out,
            Rank::Committed | Rank::Fresh => &mut self.rest_out,
        }
    }
}
