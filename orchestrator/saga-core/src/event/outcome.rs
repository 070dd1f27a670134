//! What calls and inquiries come to.

use bytes::Bytes;

/// What is known about a call. Applied, rejected and unknown are the three outcomes of
/// an operation; not done and fault say that *this attempt* surely did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The participant did it.
    Applied { reply: Bytes },
    /// The participant did it, and its reply is larger than may be kept.
    AppliedUnread { message: String },
    /// The participant refused. What it did at earlier attempts is for `word` to say.
    Rejected { reason: String, message: String, word: Word },
    /// The participant's operation log contradicts the call.
    Contradicted { cause: Contradiction, message: String },
    /// This attempt did nothing; another one may. Says nothing about earlier attempts.
    NotDone { cause: NotDone, message: String, retry_after_ms: Option<u64> },
    /// This attempt did nothing, and another one will not either until a person mends
    /// the wiring: a wrong method, missing rights, a request the participant cannot read.
    Fault { reason: String, message: String },
    /// Nobody knows. Never to be taken for a refusal (S3-13).
    Unknown { cause: UnknownCause, message: String },
}

/// How far a refusal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// It is on record in the participant's operation log: no attempt had an effect, and none
    /// ever will.
    OnRecord,
    /// It is about its own attempt. An earlier one may have had its effect: "I have it
    /// already" is a refusal too.
    OfAttempt,
}

/// What a participant has on record where it contradicts what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contradiction {
    /// An operation with another request: something happened under this id.
    OtherRequest,
    /// That the operation may never happen.
    Fenced,
    /// That the operation was done and undone.
    Reversed,
    /// Nothing, of an effect that our log has as applied (F70).
    NoEffect,
    /// Nothing any more: what sagas of so long ago did is pruned from its log (F33).
    TooOld,
}

impl Contradiction {
    /// The reason code, as people see it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::OtherRequest => "OP_ID_REUSED",
            Self::Fenced => "OP_FENCED",
            Self::Reversed => "OP_REVERSED",
            Self::NoEffect => "NOTHING_TO_UNDO",
            Self::TooOld => "OP_TOO_OLD",
        }
    }
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
    /// The operation took effect, and its stored reply is larger than may be kept.
    AppliedUnread { message: String },
    /// The operation was refused.
    Rejected { reason: String, message: String },
    /// The operation did not happen and never will.
    Fenced,
    /// The operation took effect and was undone, which our log knows nothing of.
    Reversed,
    /// What became of it is pruned from the participant's log: a person has to look.
    TooOld { message: String },
    /// The operation is under way. Ask again.
    InProgress,
    /// The inquiry was not answered. Ask again (S3-18).
    Unanswered { message: String },
    /// The participant has no inquiry. A person must look.
    Unsupported { message: String },
}

/// The reason code of what was done, and replied more than may be kept.
pub(crate) const REPLY_TOO_LARGE: &str = "REPLY_TOO_LARGE";

impl Outcome {
    /// The reason code: the participant's where it gave one, else ours. Empty for applied.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Applied { .. } => "",
            Self::AppliedUnread { .. } => REPLY_TOO_LARGE,
            Self::Contradicted { cause, .. } => cause.code(),
            Self::Rejected { reason, .. } | Self::Fault { reason, .. } => reason,
            Self::NotDone { cause: NotDone::NotSent, .. } => "NOT_SENT",
            Self::NotDone { cause: NotDone::Busy, .. } => "BUSY",
            Self::Unknown { cause: UnknownCause::TimedOut, .. } => "TIMED_OUT",
            Self::Unknown { cause: UnknownCause::ConnectionLost, .. } => "CONNECTION_LOST",
            Self::Unknown { cause: UnknownCause::Status, .. } => "INDEFINITE_STATUS",
            Self::Unknown { cause: UnknownCause::BadReply, .. } => "BAD_REPLY",
        }
    }

    /// A sentence for people. Empty for applied.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Applied { .. } => "",
            Self::AppliedUnread { message }
            | Self::Contradicted { message, .. }
            | Self::Rejected { message, .. }
            | Self::NotDone { message, .. }
            | Self::Fault { message, .. }
            | Self::Unknown { message, .. } => message,
        }
    }
}

impl Resolution {
    /// A reason code. Empty for applied.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Applied { .. } => "",
            Self::AppliedUnread { .. } => REPLY_TOO_LARGE,
            Self::Rejected { reason, .. } => reason,
            Self::Fenced => "FENCED",
            Self::Reversed => Contradiction::Reversed.code(),
            Self::TooOld { .. } => Contradiction::TooOld.code(),
            Self::InProgress => "IN_PROGRESS",
            Self::Unanswered { .. } => "INQUIRY_UNANSWERED",
            Self::Unsupported { .. } => "INQUIRY_UNSUPPORTED",
        }
    }

    /// A sentence for people, or empty.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Applied { .. } | Self::Fenced | Self::InProgress => "",
            Self::Reversed => "the operation was done and undone, which is not in the log",
            Self::AppliedUnread { message }
            | Self::Rejected { message, .. }
            | Self::TooOld { message }
            | Self::Unanswered { message }
            | Self::Unsupported { message } => message,
        }
    }
}
