//! The times that a state remembers, where clocks disagree.
//!
//! A pause, a timer and a deadline are spans: so long after a time that is in the log. Who
//! takes a saga over may have a clock that is behind the one by which that was written. Then
//! the time lies in its future, and the span would end far too late, in years perhaps. It is
//! taken for now: no span ever takes longer than itself from then on.

use super::{Recall, State, StepState};
use crate::{
    event::Direction,
    phase::{Pause, StepPhase},
};

impl State {
    /// Brings back to `now_ms` what lies behind it, in the future of whoever has the saga.
    pub fn bring_times_back(&mut self, now_ms: u64) {
        self.started_at_ms = self.started_at_ms.min(now_ms);
        for step in &mut self.steps {
            // What was asked for is as far away as it was when it was asked for.
            let ahead_ms = step.heard_at_ms.saturating_sub(now_ms);
            step.map_times(|at_ms| at_ms.min(now_ms), |at_ms| at_ms.saturating_sub(ahead_ms));
        }
    }

    /// Moves everything by as much as the clock of this node was set: spans that run go on as
    /// if nothing had happened.
    pub fn move_times(&mut self, by_ms: i64) {
        let moved = |at_ms: u64| at_ms.saturating_add_signed(by_ms);
        self.started_at_ms = self.started_at_ms.saturating_add_signed(by_ms);
        self.steps.iter_mut().for_each(|step| step.map_times(moved, moved));
    }
}

impl StepState {
    /// From when on an attempt may be under way, where another owner takes the saga at `at_ms` by
    /// its own clock: that tells nothing of when an attempt left by the clock before.
    pub(super) fn doubtful_since_ms(&self, at_ms: u64) -> Option<u64> {
        match self.phase {
            StepPhase::InFlight { direction: Direction::Forward, .. } => Some(at_ms),
            StepPhase::InFlight { .. } | StepPhase::Open { direction: Direction::Backward, .. } => {
                self.doubtful_at_ms
            }
            _ => self.doubtful_at_ms.map(|_| at_ms),
        }
    }

    /// `past` for what has happened, `promised` for what a participant asked to wait for.
    fn map_times(&mut self, past: impl Fn(u64) -> u64, promised: impl Fn(u64) -> u64) {
        self.intended_at_ms = past(self.intended_at_ms);
        self.heard_at_ms = past(self.heard_at_ms);
        self.doubtful_at_ms = self.doubtful_at_ms.map(&past);
        self.troubled_since_ms = self.troubled_since_ms.map(&past);
        match &mut self.phase {
            StepPhase::Waiting { since_ms } => *since_ms = past(*since_ms),
            StepPhase::Open { pause: Pause::After { at_ms }, .. } => *at_ms = past(*at_ms),
            StepPhase::Open { pause: Pause::NotBefore { at_ms }, .. } => *at_ms = promised(*at_ms),
            _ => {}
        }
        if let Recall::Untold { pause: Pause::After { at_ms }, .. } = &mut self.recall {
            *at_ms = past(*at_ms);
        }
    }
}
