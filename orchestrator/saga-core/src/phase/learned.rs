//! Events and outcomes, as far as the phase of a step depends on them.

use super::{Last, StepPhase};
use crate::{
    definition::OnTimeout,
    event::{Contradiction, Direction, NotDone, Outcome, Resolution, Settled, Verdict, Word},
};

/// An event as far as the phase of a step depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEvent {
    Skipped,
    Unrenderable { direction: Direction },
    Intended { direction: Direction, attempt: u32 },
    Answered { direction: Direction, attempt: u32, learned: Learned, at_ms: u64 },
    Inquired { inquiry: u32 },
    Resolved { inquiry: u32, learned: Learned, at_ms: u64 },
    WaitBegan { at_ms: u64 },
    Signalled,
    WaitEnded { learned: Learned },
    Kept,
    OwnerLost,
    RowsLost,
    FoundDone,
    FoundUndone,
    RetryRequested,
    Settled(Settled),
    Renewed,
}

/// An outcome or a resolution without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    Applied,
    Rejected,
    /// Refused, as far as this attempt goes.
    Refused,
    Fenced,
    Contradicted(Contradiction),
    /// It took effect, and rows that the log has lost have undone it, or were about to.
    Recalled,
    NotDone {
        last: Last,
        retry_after_ms: Option<u64>,
    },
    Unknown {
        last: Last,
    },
}

impl From<&Outcome> for Learned {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Applied { .. } | Outcome::AppliedUnread { .. } => Self::Applied,
            Outcome::Contradicted { cause, .. } => Self::Contradicted(*cause),
            Outcome::Rejected { word: Word::OnRecord, .. } => Self::Rejected,
            Outcome::Rejected { word: Word::OfAttempt, .. } => Self::Refused,
            Outcome::NotDone { cause: NotDone::NotSent, retry_after_ms, .. } => {
                Self::NotDone { last: Last::NotSent, retry_after_ms: *retry_after_ms }
            }
            Outcome::NotDone { cause: NotDone::Busy, retry_after_ms, .. } => {
                Self::NotDone { last: Last::Busy, retry_after_ms: *retry_after_ms }
            }
            Outcome::Fault { .. } => Self::NotDone { last: Last::Fault, retry_after_ms: None },
            Outcome::Unknown { .. } => Self::Unknown { last: Last::Unknown },
        }
    }
}

impl StepEvent {
    /// Whether it says what became of one attempt, whose owner was replaced since, and ends the
    /// doubt about all.
    pub(crate) fn ends_doubt_of_others(self, before: StepPhase, after: StepPhase) -> bool {
        let Self::Answered { direction: Direction::Forward, learned, .. } = self else {
            return false;
        };
        let is_last_word =
            matches!(learned, Learned::Applied | Learned::Rejected | Learned::Recalled);
        let is_late = matches!(before, StepPhase::Open { last: Last::OwnerLost, .. });
        is_late && !is_last_word && before.may_stand() && !after.may_stand()
    }
}

impl Learned {
    /// Whether the attempt that it is about may have had an effect that is not known.
    #[must_use]
    pub(crate) fn may_have_acted(self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Contradicted(_))
    }
}

impl From<&Resolution> for Learned {
    fn from(resolution: &Resolution) -> Self {
        match resolution {
            Resolution::Applied { .. } | Resolution::AppliedUnread { .. } => Self::Applied,
            Resolution::Rejected { .. } => Self::Rejected,
            Resolution::Fenced => Self::Fenced,
            Resolution::Reversed => Self::Contradicted(Contradiction::Reversed),
            Resolution::TooOld { .. } => Self::Contradicted(Contradiction::TooOld),
            Resolution::InProgress | Resolution::Unanswered { .. } => {
                Self::Unknown { last: Last::Unresolved }
            }
            Resolution::Unsupported { .. } => Self::Unknown { last: Last::NoInquiry },
        }
    }
}

impl From<&Verdict> for Learned {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Accepted | Verdict::TimedOut { then: OnTimeout::Accept } => Self::Applied,
            Verdict::Refused { .. } | Verdict::TimedOut { then: OnTimeout::Refuse } => {
                Self::Rejected
            }
        }
    }
}
