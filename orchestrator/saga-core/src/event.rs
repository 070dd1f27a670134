//! What happened to a saga: facts, in the order in which they became durable.

use bytes::Bytes;

use crate::{
    definition::StepIndex,
    id::{Epoch, NodeId},
};

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
    /// A client asked the saga to turn back.
    CancelRequested { reason: String, at_ms: u64 },
    /// The saga turned back: from now on it only settles and undoes.
    TurnedBack { reason: TurnBackReason, at_ms: u64 },
    /// A person acted.
    OperatorActed { actor: String, reason: String, act: OperatorAct, at_ms: u64 },
    /// The saga ended. Always the last event.
    Ended { ending: Ending, at_ms: u64 },
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
    /// The first owner; its epoch is 1.
    pub node: NodeId,
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

/// What is known about a call. Applied, rejected and unknown are the three outcomes of
/// an operation; the other two say that *this attempt* surely did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The participant did it.
    Applied { reply: Bytes },
    /// The participant refused, and will refuse for ever. Nothing was done.
    Rejected { reason: String, message: String },
    /// This attempt did nothing; another one may. Says nothing about earlier attempts.
    NotDone { cause: NotDone, message: String, retry_after_ms: Option<u64> },
    /// This attempt did nothing, and another one will not either until a person mends
    /// the wiring: a wrong method, missing rights, a request the participant cannot read.
    Fault { reason: String, message: String },
    /// Nobody knows. Never to be taken for a refusal (S3-13).
    Unknown { cause: UnknownCause, message: String },
}

/// Why an attempt surely did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDone {
    /// The request never left: no connection was made.
    NotSent,
    /// The participant said that it did nothing and that trying again makes sense.
    Busy,
}

/// Why nobody knows what became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownCause {
    /// No answer came in time.
    TimedOut,
    /// The connection broke after the request may have left.
    ConnectionLost,
    /// A status came that says nothing definite.
    Status,
    /// A reply came that cannot be read (F27).
    BadReply,
}

/// What a fencing inquiry learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The operation took effect; this is its stored reply.
    Applied { reply: Bytes },
    /// The operation was refused.
    Rejected { reason: String, message: String },
    /// The operation did not happen and never will.
    Fenced,
    /// The operation is under way. Ask again.
    InProgress,
    /// The inquiry was not answered. Ask again (S3-18).
    Unanswered { message: String },
    /// The participant has no inquiry. A person must look.
    Unsupported { message: String },
}

/// Why a saga turned back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnBackReason {
    /// The participant refused the step.
    StepRejected { step: StepIndex, reason: String },
    /// The step was tried as often as its policy allows, and surely did nothing.
    AttemptsExhausted { step: StepIndex },
    /// The saga took longer than its deadline.
    DeadlinePassed,
    /// A client asked for it.
    Cancelled,
}

/// What a person did to a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorAct {
    /// Try what is waiting now.
    Retry,
    /// The outcome of the step's open call, found out by looking at the participant.
    Settle { step: StepIndex, settled: Settled },
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
}
