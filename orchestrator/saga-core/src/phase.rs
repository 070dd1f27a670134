//! The life of one step: every phase, and every event that is legal in it.

use crate::event::{Direction, Settled};

mod answers;
mod learned;

use answers::{answered_phase, contradicted, resolved_phase};
pub use learned::{Learned, StepEvent};

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepPhase {
    /// Not begun.
    Pending,
    /// Its condition was false. It has no effect and never will.
    Skipped,
    /// Its request in this direction cannot be made, so nothing was sent.
    Unrenderable { direction: Direction },
    /// It waits for its signal, since this time.
    Waiting { since_ms: u64 },
    /// A call is out, or was about to leave when its owner died.
    InFlight { direction: Direction, tries: Tries },
    /// A fencing inquiry about the action is out.
    Inquiring { tries: Tries },
    /// No call is out, and there is no definite outcome. Something has to be done again
    /// when the pause is over.
    Open { direction: Direction, tries: Tries, last: Last, pause: Pause },
    /// The action took effect.
    Applied,
    /// The participant refused the action: it has no effect and never will.
    Rejected,
    /// The action did not happen and never will: it was fenced, or a person said so.
    Fenced,
    /// The action's effect is undone.
    Undone,
    /// The effect stays although the saga turned back: the compensation has a condition,
    /// and it was false.
    Kept,
}

/// What was tried in the present direction so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tries {
    /// Number of the last attempt, from 1.
    pub attempt: u32,
    /// Attempts that count against the policy: those that may have had an effect, and those
    /// that were answered with anything but "not now". A dead owner's attempt and a wiring
    /// fault do not count, nor does what surely never reached the participant.
    pub failures: u32,
    /// Answers that left the step open, whatever they said: what its pauses grow with.
    pub setbacks: u32,
    /// Number of the last inquiry; 0 before the first.
    pub inquiries: u32,
    /// Whether any attempt so far may have had an effect. A later attempt that surely
    /// did nothing does not take this back.
    pub in_doubt: bool,
    /// Whether an attempt was refused while an earlier one was in doubt. Calling again tells
    /// no more then: the refusal may be true *because* the earlier one had its effect.
    pub refused: bool,
}

/// What the last call or inquiry of an open step ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Last {
    NotSent,
    Busy,
    Fault,
    Unknown,
    /// The compensation was refused, or the action while an earlier attempt was in doubt.
    Refused,
    /// The participant's word contradicts the log: a person must look.
    Contradicted,
    /// The inquiry was not answered, or the operation is under way.
    Unresolved,
    /// The participant has no inquiry.
    NoInquiry,
    /// The owner died while a call or an inquiry was out.
    OwnerLost,
}

/// When an open step may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pause {
    /// One pause of the policy after this time.
    After { at_ms: u64 },
    /// One pause of the policy after this time, which the participant asked for.
    NotBefore { at_ms: u64 },
    /// At once.
    Over,
}

impl StepPhase {
    /// The phase after `event`, or `None` where the event is illegal in this phase.
    ///
    /// This table is the whole of a step's life; a pair that is not in it cannot have
    /// been written by this program.
    #[must_use]
    pub fn after(self, event: StepEvent) -> Option<Self> {
        use Direction::{Backward, Forward};
        use StepEvent as E;

        let next = match (self, event) {
            // The condition is looked at before the first attempt, never later.
            (Self::Pending, E::Skipped) => Self::Skipped,

            // A request that cannot be made is found out before the first attempt.
            (Self::Pending | Self::Waiting { .. }, E::Unrenderable { direction: Forward }) => {
                Self::Unrenderable { direction: Forward }
            }
            (Self::Applied, E::Unrenderable { direction: Backward }) => {
                Self::Unrenderable { direction: Backward }
            }

            // A signal may come early. While nothing is called, it changes what is known and
            // not where the step stands.
            (Self::Pending, E::WaitBegan { at_ms }) => Self::Waiting { since_ms: at_ms },
            (
                phase @ (Self::Pending
                | Self::Waiting { .. }
                | Self::Unrenderable { direction: Forward }),
                E::Signalled,
            ) => phase,
            (Self::Waiting { .. }, E::WaitEnded { learned: Learned::Applied }) => Self::Applied,
            (Self::Waiting { .. }, E::WaitEnded { learned: Learned::Rejected }) => Self::Rejected,

            // The condition of a compensation is looked at before its first attempt.
            (Self::Applied, E::Kept) => Self::Kept,

            // First attempts. Only what was applied is undone, and what met a refusal that does
            // not say whether it was: any other doubt is settled first.
            (Self::Pending, E::Intended { direction: Forward, attempt: 1 }) => {
                Self::first_attempt(Forward)
            }
            (Self::Applied, E::Intended { direction: Backward, attempt: 1 }) => {
                Self::first_attempt(Backward)
            }
            (
                Self::Open { direction: Forward, tries, .. },
                E::Intended { direction: Backward, attempt: 1 },
            ) if tries.refused => Self::first_attempt(Backward),

            // Another attempt of the same call, with the same operation id.
            (Self::Open { direction, tries, .. }, E::Intended { direction: again, attempt })
                if direction == again && tries.attempt + 1 == attempt =>
            {
                Self::InFlight { direction, tries: Tries { attempt, ..tries } }
            }

            // The answer to the call that is out, and to no other.
            (
                Self::InFlight { direction, tries },
                E::Answered { direction: answered, attempt, learned, at_ms },
            ) if direction == answered && tries.attempt == attempt => {
                answered_phase(direction, tries, learned, at_ms)?
            }

            // Lost rows may have told of a call of it. What the participant has on record is
            // asked before anybody takes it for never begun.
            (
                Self::Pending | Self::Unrenderable { direction: Forward },
                E::Inquired { inquiry: 1 },
            ) => Self::Inquiring {
                tries: Tries { inquiries: 1, in_doubt: true, ..Tries::default() },
            },

            // Only a doubt about an action is inquired into.
            (Self::Open { direction: Forward, tries, .. }, E::Inquired { inquiry })
                if tries.in_doubt && tries.inquiries + 1 == inquiry =>
            {
                Self::Inquiring { tries: Tries { inquiries: inquiry, ..tries } }
            }
            (Self::Inquiring { tries }, E::Resolved { inquiry, learned, at_ms })
                if tries.inquiries == inquiry =>
            {
                resolved_phase(tries, learned, at_ms)?
            }

            (phase, E::OwnerLost | E::RowsLost | E::FoundDone | E::FoundUndone) => {
                phase.after_loss(event)?
            }

            (phase, E::RetryRequested | E::Renewed | E::Settled(_)) => phase.after_act(event)?,

            (phase, E::Answered { direction, attempt, learned, at_ms }) => {
                phase.after_late(direction, attempt, learned, at_ms)?
            }

            _ => return None,
        };
        Some(next)
    }

    /// The phase after the answer to a call whose owner was replaced while it was out: who
    /// made the call hears it all the same, and says so.
    fn after_late(
        self,
        direction: Direction,
        attempt: u32,
        learned: Learned,
        at_ms: u64,
    ) -> Option<Self> {
        use Direction::{Backward, Forward};

        let (tries, is_last_word) = match self {
            // Its participant had said that it never will be.
            Self::Rejected | Self::Fenced => {
                let is_told = direction == Forward && learned == Learned::Applied;
                return is_told.then(|| contradicted(Forward, Tries::default(), at_ms));
            }
            // Nothing was learned since.
            Self::Open { direction: now, tries, last: Last::OwnerLost, .. } if now == direction => {
                (tries, tries.attempt == attempt)
            }
            Self::Open { last: Last::Contradicted, .. } => return None,
            Self::InFlight { direction: now, tries } | Self::Open { direction: now, tries, .. }
                if now == direction =>
            {
                (tries, false)
            }
            Self::Inquiring { tries } if direction == Forward => (tries, false),
            _ => return None,
        };
        if tries.attempt < attempt {
            return None;
        }
        match (direction, learned) {
            // What became of the operation, whichever attempt brought it about.
            (Forward, Learned::Applied | Learned::Rejected) | (Backward, Learned::Applied) => {
                answered_phase(direction, tries, learned, at_ms)
            }
            // What became of this attempt alone. Of the first there is no earlier doubt.
            _ if is_last_word => {
                let tries = Tries { in_doubt: attempt > 1, ..tries };
                answered_phase(direction, tries, learned, at_ms)
            }
            _ => None,
        }
    }

    /// The phase after something was lost: an owner, or rows of the log.
    fn after_loss(self, loss: StepEvent) -> Option<Self> {
        use Direction::Forward;
        use StepEvent as E;

        let next = match (self, loss) {
            // The call of a dead owner may be anywhere. Nobody will hear its answer.
            (Self::InFlight { direction, tries }, E::OwnerLost) => Self::Open {
                direction,
                tries: Tries { in_doubt: true, ..tries },
                last: Last::OwnerLost,
                pause: Pause::Over,
            },
            (Self::Inquiring { tries }, E::OwnerLost) => {
                Self::Open { direction: Forward, tries, last: Last::OwnerLost, pause: Pause::Over }
            }
            (settled, E::OwnerLost) => settled,

            // What was tried may have had its effect in rows that are lost.
            (Self::InFlight { direction: Forward, tries }, E::RowsLost) => {
                Self::InFlight { direction: Forward, tries: Tries { in_doubt: true, ..tries } }
            }
            (Self::Open { direction: Forward, tries, last, pause }, E::RowsLost) => Self::Open {
                direction: Forward,
                tries: Tries { in_doubt: true, ..tries },
                last,
                pause,
            },
            (other, E::RowsLost) => other,

            // What a person says of an action that lost rows may have called.
            (Self::Pending | Self::Unrenderable { direction: Forward }, E::FoundDone) => {
                Self::Applied
            }
            // What a person or an inquiry says of an effect that lost rows may have undone.
            (Self::Applied, E::FoundUndone) => Self::Undone,

            _ => return None,
        };
        Some(next)
    }

    /// The phase after a person acted.
    fn after_act(self, act: StepEvent) -> Option<Self> {
        use Direction::{Backward, Forward};
        use StepEvent as E;

        let next = match (self, act) {
            // A person who wants it tried now ends the pause, whatever it was.
            (Self::Open { direction, tries, last, .. }, E::RetryRequested) => {
                Self::Open { direction, tries, last, pause: Pause::Over }
            }
            // Where the request could not be made, nothing was sent: it is made again.
            (Self::Unrenderable { direction: Forward }, E::RetryRequested) => Self::Pending,
            (Self::Unrenderable { direction: Backward }, E::RetryRequested) => Self::Applied,
            (other, E::RetryRequested) => other,

            // What surely did not happen may be asked for under another id, and only that.
            (Self::Rejected | Self::Fenced, E::Renewed) => Self::Pending,
            (Self::Open { direction: Backward, tries, last: Last::Refused, .. }, E::Renewed)
                if !tries.in_doubt =>
            {
                Self::Applied
            }

            (phase, E::Settled(settled)) => phase.settled(settled)?,

            _ => return None,
        };
        Some(next)
    }

    fn first_attempt(direction: Direction) -> Self {
        Self::InFlight { direction, tries: Tries { attempt: 1, ..Tries::default() } }
    }

    /// The phase after a person said what is true, where that is in question.
    fn settled(self, settled: Settled) -> Option<Self> {
        use Direction::{Backward, Forward};
        match (self, settled) {
            (
                Self::Open { direction: Forward, .. } | Self::Unrenderable { direction: Forward },
                Settled::Applied,
            )
            // Done by hand although it cannot happen any more: only of use after the pivot.
            | (Self::Rejected | Self::Fenced, Settled::Applied) => Some(Self::Applied),
            (
                Self::Open { direction: Forward, .. } | Self::Unrenderable { direction: Forward },
                Settled::NotApplied,
            ) => Some(Self::Fenced),
            (
                Self::Open { direction: Backward, .. } | Self::Unrenderable { direction: Backward },
                Settled::Applied,
            ) => Some(Self::Undone),
            _ => None,
        }
    }

    /// Whether the action may have an effect that is not undone.
    #[must_use]
    pub fn may_stand(self) -> bool {
        match self {
            Self::Pending
            | Self::Skipped
            | Self::Waiting { .. }
            | Self::Rejected
            | Self::Fenced
            | Self::Undone => false,
            Self::Unrenderable { direction } => direction == Direction::Backward,
            Self::Open { direction: Direction::Forward, tries, .. } => tries.in_doubt,
            Self::InFlight { .. }
            | Self::Inquiring { .. }
            | Self::Open { .. }
            | Self::Applied
            | Self::Kept => true,
        }
    }

    /// Whether another attempt of the action than this one is out.
    pub(crate) fn has_another_out(self, than: u32) -> bool {
        matches!(self, Self::InFlight { direction: Direction::Forward, tries } if tries.attempt != than)
    }

    /// Whether a call or an inquiry is out.
    #[must_use]
    pub fn is_out(self) -> bool {
        matches!(self, Self::InFlight { .. } | Self::Inquiring { .. })
    }
}
