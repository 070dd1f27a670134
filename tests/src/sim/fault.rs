//! What can go wrong, and the defects that prove that it would be noticed.

use std::fmt;

/// One kind of fault. Each is counted where it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// No connection: the message never left.
    NotSent,
    /// The participant did it, and its reply was lost (F05, F13).
    ReplyLost,
    /// The connection broke before the participant had the message (F04).
    DroppedBeforeCommit,
    /// A 5xx, and nothing was done (F21).
    ErrorBefore,
    /// A 5xx, although it was done (F22).
    ErrorAfter,
    /// The message arrives after the caller has stopped waiting (F20).
    HangPastDeadline,
    /// The message arrives after its operation was fenced or its saga has ended (F15).
    LateAfterFence,
    /// The message arrives twice (F11).
    Duplicate,
    /// The message arrives twice, and both are worked on at the same time (F12).
    Twins,
    /// The participant has not committed when the caller stops waiting, and whoever comes
    /// next, with the same call, an inquiry or a compensation, finds it so (F12, F17).
    StillOpen,
    /// The message arrives behind the one that was sent after it (F14).
    Reordered,
    /// The participant dies with the message done and not answered (F10).
    ParticipantRestarted,
    /// The participant refuses what it has already, by a check before its operation log. Only
    /// what is repeated can meet that (DUPLICATE_ORDER_NO, SESSION_EXPIRED).
    RefusedByCheck,
    /// A conflict inside the participant (F24).
    Busy,
    /// The participant does not let us in (F26).
    Forbidden,
    /// A reply that is no such message (F27).
    Garbled,
    /// The provider does not answer the participant, and has done nothing.
    ProviderDown,
    /// The provider did it, and the participant does not hear of it (F74).
    ProviderAnswerLost,
    /// A node reaches a participant, and hears nothing of it (F18).
    RepliesCut,
    /// A node does not reach a participant (F53).
    RequestsCut,
    /// The log does not take a row (F34).
    LogUnavailable,
    /// The log takes a row and does not say so (F36).
    CommitUnknown,
    /// The log cannot be read.
    LogUnreadable,
    /// A node dies with a row on its lips (F03 to F09).
    KilledBeforeAppend,
    /// A node dies before it hears that its row is written (F03 to F09).
    KilledAfterAppend,
    /// A node dies at any moment.
    Killed,
    /// A node stands still for longer than others believe in it (F50, F55).
    Stalled,
    /// A node's clock jumps (F54).
    ClockJumped,
    /// The database's clock jumps.
    DatabaseClockJumped,
    /// A client takes its saga back (F81).
    Cancelled,
}

impl Fault {
    /// The twelve that happen to any one message.
    pub const OF_A_MESSAGE: [Self; 12] = *Self::ALL.first_chunk().expect("they stand first");

    /// Those, and what only a call can meet.
    pub const OF_A_CALL: [Self; 13] = *Self::ALL.first_chunk().expect("they stand first");

    /// All of them, those that happen to one message first.
    pub const ALL: [Self; 30] = [
        Self::NotSent,
        Self::ReplyLost,
        Self::DroppedBeforeCommit,
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::HangPastDeadline,
        Self::LateAfterFence,
        Self::Duplicate,
        Self::Twins,
        Self::StillOpen,
        Self::Reordered,
        Self::ParticipantRestarted,
        Self::RefusedByCheck,
        Self::Busy,
        Self::Forbidden,
        Self::Garbled,
        Self::ProviderDown,
        Self::ProviderAnswerLost,
        Self::RepliesCut,
        Self::RequestsCut,
        Self::LogUnavailable,
        Self::CommitUnknown,
        Self::LogUnreadable,
        Self::KilledBeforeAppend,
        Self::KilledAfterAppend,
        Self::Killed,
        Self::Stalled,
        Self::ClockJumped,
        Self::DatabaseClockJumped,
        Self::Cancelled,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A mistake that is made on purpose, so that the judge has something to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// The participants do not know a repeated operation.
    NoDedup,
    /// A compensation or an inquiry that comes first leaves no mark.
    NoTombstone,
    /// The participants look an operation up without a lock: of two at the same time neither
    /// sees the other.
    LooksWithoutLock,
    /// An inquiry about an operation that is absent says "never", and does not see to it.
    UnfencedInquiry,
    /// The network layer takes an unknown outcome for a refusal.
    UnknownIsRefusal,
    /// The network layer takes every refusal for one that is on record.
    RefusalEndsDoubt,
    /// The participants forget what they did, as after a restore from a backup. The engine is
    /// right about it, and calls a person.
    ParticipantForgets,
    /// The same, and the network layer takes an undo that finds nothing for done.
    NothingFoundIsUndone,
    /// The network layer answers compensations itself and sends none.
    UndoSkipped,
    /// Every attempt has an operation id of its own.
    IdPerAttempt,
    /// The stock service gives back only the first line of a reservation.
    PartialRelease,
    /// The payment service says that money went back, and does not ask the provider.
    RefundForgotten,
    /// The log says that a row is written, and forgets it.
    LogForgets,
    /// Of two rows with one version the log accepts both, and keeps one.
    NoCompareAndSet,
}

impl Defect {
    /// All of them, those that happen to one message first.
    pub const ALL: [Self; 14] = [
        Self::NoDedup,
        Self::NoTombstone,
        Self::LooksWithoutLock,
        Self::UnfencedInquiry,
        Self::UnknownIsRefusal,
        Self::RefusalEndsDoubt,
        Self::ParticipantForgets,
        Self::NothingFoundIsUndone,
        Self::UndoSkipped,
        Self::IdPerAttempt,
        Self::PartialRelease,
        Self::RefundForgotten,
        Self::LogForgets,
        Self::NoCompareAndSet,
    ];
}
