//! How outcomes, reasons and acts map to the messages of the log's format.

use bytes::Bytes;

use super::{
    DecodeError, direction, step_index,
    wire::{
        Act, ActKind, BackReason, Ending, Learned, LearnedKind, TurnedBack, VerdictKind, WaitEnded,
    },
};
use crate::{
    definition::{OnTimeout, StepIndex},
    event::{
        self, Contradiction, Direction, NotDone, OperatorAct, Outcome, Resolution, Settled,
        TurnBackReason, UnknownCause, Verdict, Word,
    },
};

impl Learned {
    fn reply(reply: &Bytes) -> Self {
        Self { kind: LearnedKind::Applied.into(), reply: reply.clone(), ..Self::default() }
    }

    fn said(kind: LearnedKind, reason: &str, message: &str) -> Self {
        let (reason, message) = (reason.to_owned(), message.to_owned());
        Self { kind: kind.into(), reason, message, ..Self::default() }
    }
}

impl From<&Outcome> for Learned {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Applied { reply } => Self::reply(reply),
            Outcome::AppliedUnread { message } => {
                Self::said(LearnedKind::AppliedUnread, "", message)
            }
            Outcome::Contradicted { cause, message } => Self::said((*cause).into(), "", message),
            Outcome::Rejected { reason, message, word } => {
                let kind = match word {
                    Word::OnRecord => LearnedKind::Rejected,
                    Word::OfAttempt => LearnedKind::Refused,
                };
                Self::said(kind, reason, message)
            }
            Outcome::Fault { reason, message } => Self::said(LearnedKind::Fault, reason, message),
            Outcome::NotDone { cause, message, retry_after_ms } => {
                let kind = match cause {
                    NotDone::NotSent => LearnedKind::NotSent,
                    NotDone::Busy => LearnedKind::Busy,
                };
                Self { retry_after_ms: *retry_after_ms, ..Self::said(kind, "", message) }
            }
            Outcome::Unknown { cause, message } => {
                let kind = match cause {
                    UnknownCause::TimedOut => LearnedKind::TimedOut,
                    UnknownCause::ConnectionLost => LearnedKind::ConnectionLost,
                    UnknownCause::Status => LearnedKind::Status,
                    UnknownCause::BadReply => LearnedKind::BadReply,
                };
                Self::said(kind, "", message)
            }
        }
    }
}

impl From<Contradiction> for LearnedKind {
    fn from(cause: Contradiction) -> Self {
        match cause {
            Contradiction::OtherRequest => Self::OtherRequest,
            Contradiction::Fenced => Self::MeetsFence,
            Contradiction::Reversed => Self::Reversed,
            Contradiction::NoEffect => Self::NothingToUndo,
            Contradiction::TooOld => Self::TooOld,
        }
    }
}

impl TryFrom<Learned> for Outcome {
    type Error = DecodeError;

    fn try_from(learned: Learned) -> Result<Self, DecodeError> {
        let kind = learned.kind();
        let Learned { reply, reason, message, retry_after_ms, .. } = learned;
        let not_done = |cause, message| Self::NotDone { cause, message, retry_after_ms };
        let outcome = match kind {
            LearnedKind::Applied => Self::Applied { reply },
            LearnedKind::AppliedUnread => Self::AppliedUnread { message },
            LearnedKind::NothingToUndo => {
                Self::Contradicted { cause: Contradiction::NoEffect, message }
            }
            LearnedKind::OtherRequest => {
                Self::Contradicted { cause: Contradiction::OtherRequest, message }
            }
            LearnedKind::MeetsFence => Self::Contradicted { cause: Contradiction::Fenced, message },
            LearnedKind::Reversed => Self::Contradicted { cause: Contradiction::Reversed, message },
            LearnedKind::TooOld => Self::Contradicted { cause: Contradiction::TooOld, message },
            LearnedKind::Rejected => Self::Rejected { reason, message, word: Word::OnRecord },
            LearnedKind::Refused => Self::Rejected { reason, message, word: Word::OfAttempt },
            LearnedKind::Fault => Self::Fault { reason, message },
            LearnedKind::NotSent => not_done(NotDone::NotSent, message),
            LearnedKind::Busy => not_done(NotDone::Busy, message),
            LearnedKind::TimedOut => Self::Unknown { cause: UnknownCause::TimedOut, message },
            LearnedKind::ConnectionLost => {
                Self::Unknown { cause: UnknownCause::ConnectionLost, message }
            }
            LearnedKind::Status => Self::Unknown { cause: UnknownCause::Status, message },
            LearnedKind::BadReply => Self::Unknown { cause: UnknownCause::BadReply, message },
            LearnedKind::Unspecified
            | LearnedKind::Fenced
            | LearnedKind::InProgress
            | LearnedKind::Unanswered
            | LearnedKind::Unsupported => return Err(DecodeError::Unknown { what: "outcome" }),
        };
        Ok(outcome)
    }
}

impl From<&Resolution> for Learned {
    fn from(resolution: &Resolution) -> Self {
        match resolution {
            Resolution::Applied { reply } => Self::reply(reply),
            Resolution::AppliedUnread { message } => {
                Self::said(LearnedKind::AppliedUnread, "", message)
            }
            Resolution::Rejected { reason, message } => {
                Self::said(LearnedKind::Rejected, reason, message)
            }
            Resolution::Fenced => Self::said(LearnedKind::Fenced, "", ""),
            Resolution::Reversed => Self::said(LearnedKind::Reversed, "", ""),
            Resolution::TooOld { message } => Self::said(LearnedKind::TooOld, "", message),
            Resolution::InProgress => Self::said(LearnedKind::InProgress, "", ""),
            Resolution::Unanswered { message } => Self::said(LearnedKind::Unanswered, "", message),
            Resolution::Unsupported { message } => {
                Self::said(LearnedKind::Unsupported, "", message)
            }
        }
    }
}

impl TryFrom<Learned> for Resolution {
    type Error = DecodeError;

    fn try_from(learned: Learned) -> Result<Self, DecodeError> {
        let kind = learned.kind();
        let Learned { reply, reason, message, .. } = learned;
        let resolution = match kind {
            LearnedKind::Applied => Self::Applied { reply },
            LearnedKind::AppliedUnread => Self::AppliedUnread { message },
            LearnedKind::Rejected => Self::Rejected { reason, message },
            LearnedKind::Fenced => Self::Fenced,
            LearnedKind::Reversed => Self::Reversed,
            LearnedKind::TooOld => Self::TooOld { message },
            LearnedKind::InProgress => Self::InProgress,
            LearnedKind::Unanswered => Self::Unanswered { message },
            LearnedKind::Unsupported => Self::Unsupported { message },
            _ => return Err(DecodeError::Unknown { what: "resolution" }),
        };
        Ok(resolution)
    }
}

impl WaitEnded {
    pub(super) fn of(step: StepIndex, verdict: &Verdict) -> Self {
        let (kind, reason) = match verdict {
            Verdict::Accepted => (VerdictKind::Accepted, String::new()),
            Verdict::Refused { reason } => (VerdictKind::Refused, reason.clone()),
            Verdict::TimedOut { then: OnTimeout::Accept } => {
                (VerdictKind::TimedOutAccepted, String::new())
            }
            Verdict::TimedOut { then: OnTimeout::Refuse } => {
                (VerdictKind::TimedOutRefused, String::new())
            }
        };
        Self { step: step.0.into(), verdict: kind.into(), reason }
    }
}

impl TryFrom<WaitEnded> for Verdict {
    type Error = DecodeError;

    fn try_from(ended: WaitEnded) -> Result<Self, DecodeError> {
        match ended.verdict() {
            VerdictKind::Accepted => Ok(Self::Accepted),
            VerdictKind::Refused => Ok(Self::Refused { reason: ended.reason }),
            VerdictKind::TimedOutAccepted => Ok(Self::TimedOut { then: OnTimeout::Accept }),
            VerdictKind::TimedOutRefused => Ok(Self::TimedOut { then: OnTimeout::Refuse }),
            VerdictKind::Unspecified => Err(DecodeError::Unknown { what: "verdict" }),
        }
    }
}

impl From<&TurnBackReason> for TurnedBack {
    fn from(reason: &TurnBackReason) -> Self {
        let (code, step, reason) = match reason {
            TurnBackReason::StepRejected { step, reason } => {
                (BackReason::StepRejected, step.0, reason.clone())
            }
            TurnBackReason::AttemptsExhausted { step } => {
                (BackReason::AttemptsExhausted, step.0, String::new())
            }
            TurnBackReason::Unrenderable { step } => {
                (BackReason::Unrenderable, step.0, String::new())
            }
            TurnBackReason::DeadlinePassed => (BackReason::DeadlinePassed, 0, String::new()),
            TurnBackReason::Cancelled => (BackReason::Cancelled, 0, String::new()),
            TurnBackReason::UndoneInLostRows { step } => {
                (BackReason::UndoneInLostRows, step.0, String::new())
            }
        };
        Self { code: code.into(), step: step.into(), reason }
    }
}

impl TryFrom<TurnedBack> for TurnBackReason {
    type Error = DecodeError;

    fn try_from(turned_back: TurnedBack) -> Result<Self, DecodeError> {
        let step = step_index(turned_back.step)?;
        let reason = match turned_back.code() {
            BackReason::StepRejected => Self::StepRejected { step, reason: turned_back.reason },
            BackReason::AttemptsExhausted => Self::AttemptsExhausted { step },
            BackReason::Unrenderable => Self::Unrenderable { step },
            BackReason::DeadlinePassed => Self::DeadlinePassed,
            BackReason::Cancelled => Self::Cancelled,
            BackReason::UndoneInLostRows => Self::UndoneInLostRows { step },
            BackReason::Unspecified => {
                return Err(DecodeError::Unknown { what: "reason to turn back" });
            }
        };
        Ok(reason)
    }
}

impl From<&OperatorAct> for Act {
    fn from(act: &OperatorAct) -> Self {
        let (kind, step, call, reply) = match act {
            OperatorAct::Retry => (ActKind::Retry, 0, None, None),
            OperatorAct::Settle { step, call, settled: Settled::Applied, reply } => {
                (ActKind::SettleApplied, step.0, *call, reply.clone())
            }
            OperatorAct::Settle { step, call, settled: Settled::NotApplied, reply } => {
                (ActKind::SettleNotApplied, step.0, *call, reply.clone())
            }
            OperatorAct::Renew { step } => (ActKind::Renew, step.0, None, None),
            OperatorAct::Close => (ActKind::Close, 0, None, None),
        };
        let backward = call.map(|it| it == Direction::Backward);
        Self { kind: kind.into(), step: step.into(), reply, backward }
    }
}

impl TryFrom<Act> for OperatorAct {
    type Error = DecodeError;

    fn try_from(act: Act) -> Result<Self, DecodeError> {
        let step = step_index(act.step)?;
        let kind = act.kind();
        let call = act.backward.map(direction);
        let settle = |settled| Self::Settle { step, call, settled, reply: act.reply };
        match kind {
            ActKind::Retry => Ok(Self::Retry),
            ActKind::SettleApplied => Ok(settle(Settled::Applied)),
            ActKind::SettleNotApplied => Ok(settle(Settled::NotApplied)),
            ActKind::Renew => Ok(Self::Renew { step }),
            ActKind::Close => Ok(Self::Close),
            ActKind::Unspecified => Err(DecodeError::Unknown { what: "act" }),
        }
    }
}

impl From<event::Ending> for Ending {
    fn from(ending: event::Ending) -> Self {
        match ending {
            event::Ending::Completed => Self::Completed,
            event::Ending::Compensated => Self::Compensated,
            event::Ending::Closed => Self::Closed,
        }
    }
}

impl TryFrom<Ending> for event::Ending {
    type Error = DecodeError;

    fn try_from(ending: Ending) -> Result<Self, DecodeError> {
        match ending {
            Ending::Completed => Ok(Self::Completed),
            Ending::Compensated => Ok(Self::Compensated),
            Ending::Closed => Ok(Self::Closed),
            Ending::Unspecified => Err(DecodeError::Unknown { what: "ending" }),
        }
    }
}
