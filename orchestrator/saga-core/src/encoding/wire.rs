//! The messages of the log's format.

use bytes::Bytes;
use prost::{Enumeration, Message};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Row {
    #[prost(message, repeated, tag = "1")]
    pub(super) events: Vec<Event>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    #[prost(uint64, tag = "1")]
    pub(super) at_ms: u64,
    #[prost(
        oneof = "event::Kind",
        tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 27"
    )]
    pub(super) kind: Option<event::Kind>,
}

pub(super) mod event {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(in super::super) enum Kind {
        #[prost(message, tag = "2")]
        Started(super::Started),
        #[prost(message, tag = "3")]
        Owned(super::Owned),
        #[prost(message, tag = "4")]
        Skipped(super::OfStep),
        #[prost(message, tag = "5")]
        Intended(super::Intended),
        #[prost(message, tag = "6")]
        Answered(super::Answered),
        #[prost(message, tag = "7")]
        Inquired(super::Inquired),
        #[prost(message, tag = "8")]
        Resolved(super::Resolved),
        #[prost(message, tag = "9")]
        Unrenderable(super::Unrenderable),
        #[prost(message, tag = "10")]
        CancelRequested(super::CancelRequested),
        #[prost(message, tag = "11")]
        TurnedBack(super::TurnedBack),
        #[prost(message, tag = "12")]
        OperatorActed(super::OperatorActed),
        #[prost(message, tag = "13")]
        Ended(super::Ended),
        #[prost(message, tag = "14")]
        WaitBegan(super::OfStep),
        #[prost(message, tag = "15")]
        Signalled(super::Signalled),
        #[prost(message, tag = "16")]
        WaitEnded(super::WaitEnded),
        #[prost(message, tag = "17")]
        Kept(super::OfStep),
        #[prost(message, tag = "27")]
        LogWentBack(super::LogWentBack),
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Started {
    #[prost(string, tag = "1")]
    pub(super) definition: String,
    #[prost(uint32, tag = "2")]
    pub(super) definition_version: u32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) definition_hash: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) input: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) node: Bytes,
    #[prost(message, optional, tag = "6")]
    pub(super) operations: Option<OperationRoot>,
    #[prost(uint64, tag = "7")]
    pub(super) log_epoch: u64,
    #[prost(bool, tag = "8")]
    pub(super) after_loss: bool,
}

/// What operation ids are derived from. Absent: the saga's id, which is derivation 1.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OperationRoot {
    #[prost(uint32, tag = "1")]
    pub(super) derivation: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) root: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Owned {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) node: Bytes,
    #[prost(uint64, tag = "2")]
    pub(super) epoch: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct LogWentBack {
    #[prost(uint64, tag = "1")]
    pub(super) log_epoch: u64,
    #[prost(bool, tag = "2")]
    pub(super) doubts_all: bool,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct OfStep {
    #[prost(uint32, tag = "1")]
    pub(super) step: u32,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Call {
    #[prost(uint32, tag = "1")]
    pub(super) step: u32,
    #[prost(bool, tag = "2")]
    pub(super) backward: bool,
    #[prost(uint32, tag = "3")]
    pub(super) attempt: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Intended {
    #[prost(message, optional, tag = "1")]
    pub(super) call: Option<Call>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub(super) request: Option<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Answered {
    #[prost(message, optional, tag = "1")]
    pub(super) call: Option<Call>,
    #[prost(message, optional, tag = "2")]
    pub(super) outcome: Option<Learned>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Inquired {
    #[prost(uint32, tag = "1")]
    pub(super) step: u32,
    #[prost(uint32, tag = "2")]
    pub(super) inquiry: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Resolved {
    #[prost(message, optional, tag = "1")]
    pub(super) inquiry: Option<Inquired>,
    #[prost(message, optional, tag = "2")]
    pub(super) resolution: Option<Learned>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Unrenderable {
    #[prost(message, optional, tag = "1")]
    pub(super) call: Option<Call>,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CancelRequested {
    #[prost(string, tag = "1")]
    pub(super) reason: String,
    #[prost(string, tag = "2")]
    pub(super) actor: String,
    #[prost(string, tag = "3")]
    pub(super) request_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TurnedBack {
    #[prost(enumeration = "BackReason", tag = "1")]
    pub(super) code: i32,
    #[prost(uint32, tag = "2")]
    pub(super) step: u32,
    #[prost(string, tag = "3")]
    pub(super) reason: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OperatorActed {
    #[prost(string, tag = "1")]
    pub(super) actor: String,
    #[prost(string, tag = "2")]
    pub(super) reason: String,
    #[prost(message, optional, tag = "3")]
    pub(super) act: Option<Act>,
    #[prost(string, tag = "4")]
    pub(super) request_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Act {
    #[prost(enumeration = "ActKind", tag = "1")]
    pub(super) kind: i32,
    #[prost(uint32, tag = "2")]
    pub(super) step: u32,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(super) reply: Option<Bytes>,
    /// Which call of the step is settled. Absent: whichever is open.
    #[prost(bool, optional, tag = "4")]
    pub(super) backward: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Ended {
    #[prost(enumeration = "Ending", tag = "1")]
    pub(super) ending: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Signalled {
    #[prost(uint32, tag = "1")]
    pub(super) step: u32,
    #[prost(string, tag = "2")]
    pub(super) request_id: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) payload: Bytes,
    #[prost(string, tag = "4")]
    pub(super) actor: String,
    #[prost(string, tag = "5")]
    pub(super) reason: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WaitEnded {
    #[prost(uint32, tag = "1")]
    pub(super) step: u32,
    #[prost(enumeration = "VerdictKind", tag = "2")]
    pub(super) verdict: i32,
    #[prost(string, tag = "3")]
    pub(super) reason: String,
}

/// An outcome of a call, or the resolution of an inquiry.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Learned {
    #[prost(enumeration = "LearnedKind", tag = "1")]
    pub(super) kind: i32,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) reply: Bytes,
    #[prost(string, tag = "3")]
    pub(super) reason: String,
    #[prost(string, tag = "4")]
    pub(super) message: String,
    #[prost(uint64, optional, tag = "5")]
    pub(super) retry_after_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub(super) enum LearnedKind {
    Unspecified = 0,
    Applied = 1,
    Rejected = 2,
    NotSent = 3,
    Busy = 4,
    Fault = 5,
    TimedOut = 6,
    ConnectionLost = 7,
    Status = 8,
    BadReply = 9,
    Fenced = 10,
    InProgress = 11,
    Unanswered = 12,
    Unsupported = 13,
    /// Refused, as far as one attempt goes. `Rejected` is on record for all of them.
    Refused = 14,
    AppliedUnread = 15,
    NothingToUndo = 16,
    OtherRequest = 17,
    /// A call that was refused as fenced. `Fenced` is the word of an inquiry.
    MeetsFence = 18,
    Reversed = 19,
    TooOld = 20,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub(super) enum VerdictKind {
    Unspecified = 0,
    Accepted = 1,
    Refused = 2,
    TimedOutAccepted = 3,
    TimedOutRefused = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub(super) enum BackReason {
    Unspecified = 0,
    StepRejected = 1,
    AttemptsExhausted = 2,
    Unrenderable = 3,
    DeadlinePassed = 4,
    Cancelled = 5,
    UndoneInLostRows = 6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub(super) enum ActKind {
    Unspecified = 0,
    Retry = 1,
    SettleApplied = 2,
    SettleNotApplied = 3,
    Renew = 4,
    Close = 5,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub(super) enum Ending {
    Unspecified = 0,
    Completed = 1,
    Compensated = 2,
    Closed = 3,
}
