//! What happened to a saga: facts, in the order in which they became durable.

use bytes::Bytes;

use crate::{
    definition::{OnTimeout, StepIndex},
    id::{Epoch, NodeId, OperationRoot},
};

mod outcome;

pub(crate) use outcome::REPLY_TOO_LARGE;
pub use outcome::{Contradiction, NotDone, Outcome, Resolution, UnknownCause, Word};

/// One fact in the log of a saga.
///
/// Points in time are milliseconds since the Unix epoch by the clock of the node that
/// wrote the event. They serve deadlines, pauses and people, never order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The saga was accepted. Always the first event.
    Started(Started),
    /// A node took the saga. Calls that the owner before it had out are in doubt now.
    Owned { node: NodeId, epoch: Epoch, at_ms: u64 },
    /// The log lost rows, of this saga too for all that is known: it went back in time, and its
    /// history goes on in this epoch of the log. Participants may have heard more of the saga
    /// than the log tells. `doubts_all`: steps whose participants answer no inquiry are doubted
    /// too, which rows of before did not.
    LogWentBack { log_epoch: u64, doubts_all: bool, at_ms: u64 },
    /// The step's condition was false.
    Skipped { step: StepIndex, at_ms: u64 },
    /// A call may leave from now on. `request` is set in the first attempt of a
    /// direction; later attempts send the same bytes (F77).
    Intended {
        step: StepIndex,
        direction: Direction,
        attempt: u32,
        request: Option<Bytes>,
        at_ms: u64,
    },
    /// What became of the call of this attempt.
    Answered { step: StepIndex, direction: Direction, attempt: u32, outcome: Outcome, at_ms: u64 },
    /// A fencing inquiry about the step's action may leave from now on.
    Inquired { step: StepIndex, inquiry: u32, at_ms: u64 },
    /// What became of this inquiry.
    Resolved { step: StepIndex, inquiry: u32, resolution: Resolution, at_ms: u64 },
    /// The step's request cannot be made: an expression of the definition does not
    /// evaluate on the data of this saga.
    Unrenderable { step: StepIndex, direction: Direction, message: String, at_ms: u64 },
    /// The step waits for its signal from now on; its timer runs.
    WaitBegan { step: StepIndex, at_ms: u64 },
    /// A client sent the signal of the step, which may not have begun to wait. The first
    /// one counts. `request_id` tells a repeated request from another one. Actor and reason
    /// are empty where the client did not say.
    Signalled {
        step: StepIndex,
        request_id: String,
        payload: Bytes,
        actor: String,
        reason: String,
        at_ms: u64,
    },
    /// What the signal, or the end of the timer, means for the step.
    WaitEnded { step: StepIndex, verdict: Verdict, at_ms: u64 },
    /// The condition of the step's compensation was false: its effect stays.
    Kept { step: StepIndex, at_ms: u64 },
    /// A client asked the saga to turn back. Actor and reason are empty where it did not say,
    /// and so is the request id in rows of before.
    CancelRequested { actor: String, reason: String, request_id: String, at_ms: u64 },
    /// The saga turned back: from now on it only settles and undoes.
    TurnedBack { reason: TurnBackReason, at_ms: u64 },
    /// A person acted. The request id is empty in rows of before.
    OperatorActed {
        actor: String,
        reason: String,
        act: OperatorAct,
        request_id: String,
        at_ms: u64,
    },
    /// The saga ended. Always the last event.
    Ended { ending: Ending, at_ms: u64 },
}

impl Event {
    /// Says that it happened at `now_ms` where it claims to have happened later: the clock was
    /// set back since.
    pub fn bring_back(&mut self, now_ms: u64) {
        let at_ms = match self {
            Self::Started(started) => &mut started.at_ms,
            Self::Owned { at_ms, .. }
            | Self::LogWentBack { at_ms, .. }
            | Self::Skipped { at_ms, .. }
            | Self::Intended { at_ms, .. }
            | Self::Answered { at_ms, .. }
            | Self::Inquired { at_ms, .. }
            | Self::Resolved { at_ms, .. }
            | Self::Unrenderable { at_ms, .. }
            | Self::WaitBegan { at_ms, .. }
            | Self::Signalled { at_ms, .. }
            | Self::WaitEnded { at_ms, .. }
            | Self::Kept { at_ms, .. }
            | Self::CancelRequested { at_ms, .. }
            | Self::TurnedBack { at_ms, .. }
            | Self::OperatorActed { at_ms, .. }
            | Self::Ended { at_ms, .. } => at_ms,
        };
        *at_ms = now_ms.min(*at_ms);
    }
}

/// The first event of a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Name of the definition.
    pub definition: String,
    /// Version of the definition, pinned for the life of the saga (L7).
    pub definition_version: u32,
    /// SHA-256 of the definition's contents.
    pub definition_hash: [u8; 32],
    /// The input, as protobuf bytes of the definition's input type.
    pub input: Bytes,
    /// What the ids of this saga's operations are derived from.
    pub operations: OperationRoot,
    /// The first owner; its epoch is 1.
    pub node: NodeId,
    /// The epoch of the log that it was started in. 0: not on record, as in rows of before.
    pub log_epoch: u64,
    /// Whether the log had lost rows not long before: this saga may have been started before,
    /// in rows that are gone, and what was done then has the operation ids of this one.
    pub after_loss: bool,
    /// When the saga was accepted.
    pub at_ms: u64,
}

/// Which of a step's two calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The action.
    Forward,
    /// The compensation.
    Backward,
}

impl Direction {
    /// `forward` or `backward`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
        }
    }
}

/// How a wait for a signal ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The signal was accepted; it is the step's reply.
    Accepted,
    /// The signal was refused, with this reason code of the definition.
    Refused { reason: String },
    /// No signal came in time.
    TimedOut { then: OnTimeout },
}

/// The reason code of a step that was refused because no signal came in time.
pub const SIGNAL_TIMEOUT: &str = "SIGNAL_TIMEOUT";

/// Why a saga turned back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnBackReason {
    /// The participant refused the step.
    StepRejected { step: StepIndex, reason: String },
    /// The step was tried as often as its policy allows, and surely did nothing.
    AttemptsExhausted { step: StepIndex },
    /// The step's request cannot be made from the data of this saga.
    Unrenderable { step: StepIndex },
    /// The saga took longer than its deadline.
    DeadlinePassed,
    /// A client asked for it.
    Cancelled,
    /// The saga had turned back in rows that the log lost: the step's effect is undone already, or
    /// its undo was refused.
    UndoneInLostRows { step: StepIndex },
}

/// What a person did to a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorAct {
    /// Try what is waiting now.
    Retry,
    /// The outcome of the step's open call, found out by looking at the participant. `reply`
    /// is what later steps may read. `call` is the one that the person looked at: another one
    /// may be open by now. `None`, in logs of before: whichever is.
    Settle { step: StepIndex, call: Option<Direction>, settled: Settled, reply: Option<Bytes> },
    /// Make the step's refused call again as another operation, under an id of its own.
    Renew { step: StepIndex },
    /// End the saga as it is. What is left behind is left behind.
    Close,
}

/// An outcome that a person found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The call that is in doubt took effect.
    Applied,
    /// It did not, and never will.
    NotApplied,
}

/// How a saga ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Every step was applied or skipped.
    Completed,
    /// Everything that was applied is undone.
    Compensated,
    /// A person ended it as it was.
    Closed,
}

impl Event {
    /// The name of the event, as people see it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Started(_) => "Started",
            Self::Owned { .. } => "Owned",
            Self::LogWentBack { .. } => "LogWentBack",
            Self::Skipped { .. } => "Skipped",
            Self::Intended { .. } => "Intended",
            Self::Answered { .. } => "Answered",
            Self::Inquired { .. } => "Inquired",
            Self::Resolved { .. } => "Resolved",
            Self::Unrenderable { .. } => "Unrenderable",
            Self::WaitBegan { .. } => "WaitBegan",
            Self::Signalled { .. } => "Signalled",
            Self::WaitEnded { .. } => "WaitEnded",
            Self::Kept { .. } => "Kept",
            Self::CancelRequested { .. } => "CancelRequested",
            Self::TurnedBack { .. } => "TurnedBack",
            Self::OperatorActed { .. } => "OperatorActed",
            Self::Ended { .. } => "Ended",
        }
    }

    /// What tells a repeated request from another one, where it came with one.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Signalled { request_id, .. }
            | Self::CancelRequested { request_id, .. }
            | Self::OperatorActed { request_id, .. } => {
                Some(request_id.as_str()).filter(|it| !it.is_empty())
            }
            _ => None,
        }
    }

    /// The step that the event is about. `None`: the saga as a whole.
    #[must_use]
    pub fn step(&self) -> Option<StepIndex> {
        match self {
            Self::Skipped { step, .. }
            | Self::Intended { step, .. }
            | Self::Answered { step, .. }
            | Self::Inquired { step, .. }
            | Self::Resolved { step, .. }
            | Self::Unrenderable { step, .. }
            | Self::WaitBegan { step, .. }
            | Self::Signalled { step, .. }
            | Self::WaitEnded { step, .. }
            | Self::Kept { step, .. }
            | Self::OperatorActed {
                act: OperatorAct::Settle { step, .. } | OperatorAct::Renew { step },
                ..
            } => Some(*step),
            _ => None,
        }
    }
}

impl Verdict {
    /// The reason code of a refusal. Empty where the saga goes on.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Refused { reason } => reason,
            Self::TimedOut { then: OnTimeout::Refuse } => SIGNAL_TIMEOUT,
            Self::Accepted | Self::TimedOut { then: OnTimeout::Accept } => "",
        }
    }

    /// A sentence for people, or empty.
    #[must_use]
    pub fn message(&self) -> &'static str {
        match self {
            Self::Accepted => "",
            Self::Refused { .. } => "the signal says no",
            Self::TimedOut { .. } => "no signal came in time",
        }
    }
}

impl TurnBackReason {
    /// The reason code, as people see it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::StepRejected { .. } => "STEP_REJECTED",
            Self::AttemptsExhausted { .. } => "ATTEMPTS_EXHAUSTED",
            Self::Unrenderable { .. } => "UNRENDERABLE",
            Self::DeadlinePassed => "DEADLINE_PASSED",
            Self::Cancelled => "CANCELLED",
            Self::UndoneInLostRows { .. } => "UNDONE_IN_LOST_ROWS",
        }
    }

    /// The step that it is about. `None`: the saga as a whole.
    #[must_use]
    pub fn step(&self) -> Option<StepIndex> {
        match self {
            Self::StepRejected { step, .. }
            | Self::AttemptsExhausted { step }
            | Self::Unrenderable { step }
            | Self::UndoneInLostRows { step } => Some(*step),
            Self::DeadlinePassed | Self::Cancelled => None,
        }
    }
}
