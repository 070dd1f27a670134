//! Which states are the same.

use std::hash::{DefaultHasher, Hash, Hasher};

use saga_core::{StepPhase, phase::Pause};

use super::Node;
use crate::cases::{DEADLINE_MS, ON_THE_WIRE_MS, PAUSE_MS, TIMER_MS};

impl Node {
    /// What makes this state another one than others. Of times, only how far away they
    /// are matters; of payloads and texts, nothing.
    pub(crate) fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for step in self.state.steps() {
            self.timeless(step.phase).hash(&mut hasher);
            step.signal.is_some().hash(&mut hasher);
            (step.unread, step.refusal.is_some(), step.generations).hash(&mut hasher);
            let doubtful_ms = step.doubtful_at_ms.map(|at_ms| self.now_ms - at_ms);
            doubtful_ms.map(|age_ms| age_ms.min(ON_THE_WIRE_MS)).hash(&mut hasher);
        }
        self.state.cancel_requested().hash(&mut hasher);
        self.state.turned_back().is_some().hash(&mut hasher);
        self.state.ended().map(|ended| ended.ending).hash(&mut hasher);
        self.state.is_closing().hash(&mut hasher);
        self.world.timeless(self.now_ms).hash(&mut hasher);
        self.cancel.hash(&mut hasher);
        self.misfortunes_left.hash(&mut hasher);
        (self.now_ms < DEADLINE_MS).hash(&mut hasher);
        hasher.finish()
    }

    fn timeless(&self, phase: StepPhase) -> StepPhase {
        let age_ms = |at_ms: u64| self.now_ms.saturating_sub(at_ms).min(PAUSE_MS);
        let (direction, tries, last, pause) = match phase {
            StepPhase::Open { direction, tries, last, pause } => (direction, tries, last, pause),
            StepPhase::Waiting { since_ms } => {
                let since_ms = self.now_ms.saturating_sub(since_ms).min(TIMER_MS);
                return StepPhase::Waiting { since_ms };
            }
            other => return other,
        };
        let pause = match pause {
            Pause::After { at_ms } => Pause::After { at_ms: age_ms(at_ms) },
            Pause::NotBefore { at_ms } => Pause::NotBefore { at_ms: age_ms(at_ms) },
            Pause::Over => Pause::Over,
        };
        StepPhase::Open { direction, tries, last, pause }
    }
}
