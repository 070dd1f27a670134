//! Everything that may happen to a saga and to its calls.

use crate::world::Request::{self, Action as Act, Compensation as Undo, Inquiry as Ask};

/// Everything that may happen. All but the ordinary course of things is a misfortune,
/// and a run has only so many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fate {
    Answered(Request),
    Refused(Request),
    NotSent(Request),
    Fault(Request),
    /// What is answered contradicts what was asked, whatever was done.
    Contradicted(Request),
    /// The reply of an action is too large to be kept.
    Unread,
    InProgress,
    RequestLost(Request),
    ReplyLost(Request),
    RefusalLost,
    /// The answer is given up, the request is still under way.
    Late(Request),
    Duplicated(Request),
    /// A request arrives that nobody waits for.
    Arrives(Request),
    ArrivesAndIsRefused,
    /// A request arrives whose owner was replaced, and who made it says what was answered.
    Told(Request),
    ToldRefused,
    /// Who made it says that it was never sent.
    ToldNotSent(Request),
    Driven,
    Skipped,
    Unrenderable(Request),
    /// The condition of a compensation is false.
    Kept,
    /// The signal of a step comes, and says yes.
    SignalSaysYes,
    SignalSaysNo,
    DiesBeforeAppend,
    TimePasses,
    OwnerDies,
    CancelRequested,
    DeadlinePasses,
    /// Only a person can go on, and does.
    PersonSettles,
    /// A person acts although the saga would go on by itself.
    PersonSettlesEarly,
    RetryRequested,
    /// A person has a refused operation made anew under another id.
    Renewed,
    Closed,
}

impl Fate {
    /// Those that the real core meets.
    pub(crate) const ALL: [Self; 51] = [
        Self::Answered(Act),
        Self::Answered(Ask),
        Self::Answered(Undo),
        Self::Refused(Act),
        Self::Refused(Undo),
        Self::NotSent(Act),
        Self::NotSent(Undo),
        Self::Fault(Act),
        Self::Fault(Undo),
        Self::Contradicted(Act),
        Self::Contradicted(Ask),
        Self::Contradicted(Undo),
        Self::Unread,
        Self::InProgress,
        Self::RequestLost(Act),
        Self::RequestLost(Ask),
        Self::RequestLost(Undo),
        Self::ReplyLost(Act),
        Self::ReplyLost(Ask),
        Self::ReplyLost(Undo),
        Self::RefusalLost,
        Self::Late(Act),
        Self::Late(Ask),
        Self::Late(Undo),
        Self::Duplicated(Act),
        Self::Duplicated(Undo),
        Self::Arrives(Act),
        Self::Arrives(Ask),
        Self::Arrives(Undo),
        Self::ArrivesAndIsRefused,
        Self::Told(Act),
        Self::Told(Undo),
        Self::ToldRefused,
        Self::ToldNotSent(Act),
        Self::ToldNotSent(Undo),
        Self::Driven,
        Self::Skipped,
        Self::Unrenderable(Act),
        Self::Unrenderable(Undo),
        Self::Kept,
        Self::SignalSaysYes,
        Self::SignalSaysNo,
        Self::TimePasses,
        Self::OwnerDies,
        Self::CancelRequested,
        Self::DeadlinePasses,
        Self::PersonSettles,
        Self::PersonSettlesEarly,
        Self::RetryRequested,
        Self::Renewed,
        Self::Closed,
    ];

    pub(crate) fn is_misfortune(self) -> bool {
        !matches!(
            self,
            Self::Answered(_)
                | Self::Arrives(_)
                | Self::Told(_)
                | Self::Driven
                | Self::SignalSaysYes
                | Self::TimePasses
                | Self::PersonSettles
        )
    }

    /// Whether it happens only to an action that may be refused.
    pub(crate) fn is_a_refusal(self) -> bool {
        matches!(
            self,
            Self::Refused(Act) | Self::RefusalLost | Self::ArrivesAndIsRefused | Self::ToldRefused
        )
    }

    /// Whether who made a call says what became of it although its saga is another's.
    pub(crate) fn is_told(self) -> bool {
        matches!(self, Self::Told(_) | Self::ToldRefused | Self::ToldNotSent(_))
    }

    /// What may become of a request whose owner was replaced.
    pub(crate) fn of_forsaken(request: Request) -> &'static [Self] {
        match request {
            Act => &[
                Self::Arrives(Act),
                Self::ArrivesAndIsRefused,
                Self::Told(Act),
                Self::ToldRefused,
                Self::ToldNotSent(Act),
            ],
            Undo => &[Self::Arrives(Undo), Self::Told(Undo), Self::ToldNotSent(Undo)],
            Ask => &[Self::Arrives(Ask)],
        }
    }

    /// What may become of a request that nobody hears of any more.
    pub(crate) fn of_given_up(request: Request) -> &'static [Self] {
        match request {
            Act => &[Self::Arrives(Act), Self::ArrivesAndIsRefused],
            Undo => &[Self::Arrives(Undo)],
            Ask => &[Self::Arrives(Ask)],
        }
    }

    /// What may become of a request that somebody waits for. The first is the ordinary one.
    pub(crate) fn of_awaited(request: Request) -> &'static [Self] {
        match request {
            Act => &[
                Self::Answered(Act),
                Self::Refused(Act),
                Self::NotSent(Act),
                Self::Fault(Act),
                Self::Contradicted(Act),
                Self::Unread,
                Self::RequestLost(Act),
                Self::ReplyLost(Act),
                Self::RefusalLost,
                Self::Late(Act),
                Self::Duplicated(Act),
            ],
            Ask => &[
                Self::Answered(Ask),
                Self::Contradicted(Ask),
                Self::InProgress,
                Self::RequestLost(Ask),
                Self::ReplyLost(Ask),
                Self::Late(Ask),
            ],
            Undo => &[
                Self::Answered(Undo),
                Self::Refused(Undo),
                Self::NotSent(Undo),
                Self::Fault(Undo),
                Self::Contradicted(Undo),
                Self::RequestLost(Undo),
                Self::ReplyLost(Undo),
                Self::Late(Undo),
                Self::Duplicated(Undo),
            ],
        }
    }
}
