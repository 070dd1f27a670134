//! What calls that came to nothing say: of the participant, or of one caller alone.

use std::collections::VecDeque;

use crate::{Rank, Word};

/// A call of one saga, as far as it can be told from others: its calls may hang while its
/// inquiries are answered.
pub(crate) type Who = (Rank, u64);

/// So many different callers are told apart at most.
pub(crate) const TOLD_APART_MAX: usize = 5;

/// Calls in a row that came to the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    pub(crate) times: u32,
    callers: Vec<u64>,
}

impl Run {
    pub(crate) fn add(&mut self, caller: u64) {
        self.times = self.times.saturating_add(1);
        if self.callers.len() < TOLD_APART_MAX && !self.callers.contains(&caller) {
            self.callers.push(caller);
        }
    }

    /// How many different callers have met it.
    pub(crate) fn callers(&self) -> usize {
        self.callers.len()
    }
}

/// Declines in a row after which everybody waits as long as the participant asks for.
const DECLINES_MAX: u32 = 8;

/// So many different callers must have met them: one may have a limit of its own.
const DECLINED_MIN: usize = 3;

/// Declines in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Declines(Run);

impl Declines {
    /// A participant that declines all calls and says for how long is left alone for so long.
    pub(crate) fn rest_ms(&mut self, word: Word, caller: u64) -> Option<u64> {
        let Word::Declined { retry_after_ms } = word else {
            self.0 = Run::default();
            return None;
        };
        self.0.add(caller);
        let are_all = DECLINES_MAX <= self.0.times && DECLINED_MIN <= self.0.callers();
        let rest_ms = retry_after_ms.filter(|_| are_all)?;
        self.0 = Run::default();
        Some(rest_ms)
    }
}

/// So many callers are remembered at most: those of the newest calls.
const UNANSWERED_MAX: usize = 32;

/// Those whose last call was not answered: that the next one is not says nothing new.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Unanswered(VecDeque<Who>);

impl Unanswered {
    pub(crate) fn has(&self, who: Who) -> bool {
        self.0.contains(&who)
    }

    pub(crate) fn add(&mut self, who: Who) {
        if self.has(who) {
            return;
        }
        if self.0.len() == UNANSWERED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(who);
    }

    pub(crate) fn remove(&mut self, who: Who) {
        self.0.retain(|it| *it != who);
    }

    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}
