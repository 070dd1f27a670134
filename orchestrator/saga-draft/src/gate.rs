//! Who says which calls of a draft may leave.

use saga_core::StepIndex;
use saga_governor::Rank;

/// Says which calls may leave now.
pub trait Admits {
    /// Whether the call or inquiry of `step` has a place at `participant`. Asked once for each
    /// in a draft, and before anything is recorded of it.
    fn admits(&mut self, step: StepIndex, participant: &str, rank: Rank) -> bool;
}

/// Lets nothing leave: where only what was learned is recorded.
#[derive(Clone, Copy, Debug)]
pub struct NoCalls;

impl Admits for NoCalls {
    fn admits(&mut self, _: StepIndex, _: &str, _: Rank) -> bool {
        false
    }
}

/// Lets everything leave: where nothing is sent.
#[derive(Clone, Copy, Debug)]
pub struct AllLeave;

impl Admits for AllLeave {
    fn admits(&mut self, _: StepIndex, _: &str, _: Rank) -> bool {
        true
    }
}
