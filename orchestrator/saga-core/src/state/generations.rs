//! Operations of a step that were made anew.

use crate::event::Direction;

/// How often each operation of a step was made anew under another id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Generations {
    pub action: u32,
    pub compensation: u32,
}

impl Generations {
    /// The generation of the operation in this direction.
    #[must_use]
    pub fn of(self, direction: Direction) -> u32 {
        match direction {
            Direction::Forward => self.action,
            Direction::Backward => self.compensation,
        }
    }
}
