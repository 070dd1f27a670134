//! Which sagas need a person, and why. A stuck saga is not a dead one: wherever trying
//! again makes sense the engine goes on trying, and the saga is shown as stuck meanwhile.

use crate::{
    definition::{Definition, OnUnknown, StepIndex},
    event::Direction,
    next::{may_begin, unread_before, wants_back},
    phase::{Last, StepPhase, Tries},
    state::{Recall, State},
};

/// Why a saga needs a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StuckReason {
    /// The participant cannot accept the call: wrong method, missing rights, a request it
    /// cannot read. Mend the wiring; the call is repeated by itself.
    WiringFault,
    /// The outcome of an action stays unknown. Nothing is decided until it is settled.
    OutcomeUnknown,
    /// The participant has no inquiry. Settle the outcome by hand.
    InquiryUnsupported,
    /// A compensation did not succeed for many attempts. It is repeated by itself.
    CompensationFailing,
    /// The participant refuses to undo what it applied.
    CompensationRejected,
    /// A step was refused or fenced after the pivot, where there is no turning back. Do
    /// by hand what it should have done, and settle it.
    RejectedAfterPivot,
    /// A step behind the pivot did not succeed for many attempts. It is repeated by itself.
    ForwardFailing,
    /// The request cannot be made from the data of this saga, where there is no turning
    /// back. It is made again where a person asks for it.
    Unrenderable,
    /// The participant's word contradicts the log. Nothing is decided before a person has
    /// looked.
    Contradiction,
    /// The step was applied, its reply was too large to be kept, and a later step or an undo
    /// looks at it.
    ReplyUnread,
}

impl StuckReason {
    /// The reason code, as people see it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::WiringFault => "WIRING_FAULT",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::InquiryUnsupported => "INQUIRY_UNSUPPORTED",
            Self::CompensationFailing => "COMPENSATION_FAILING",
            Self::CompensationRejected => "COMPENSATION_REJECTED",
            Self::RejectedAfterPivot => "REJECTED_AFTER_PIVOT",
            Self::ForwardFailing => "FORWARD_FAILING",
            Self::Unrenderable => "UNRENDERABLE",
            Self::Contradiction => "CONTRADICTION",
            Self::ReplyUnread => "REPLY_UNREAD",
        }
    }
}

/// A step that needs a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck {
    pub reason: StuckReason,
    pub step: StepIndex,
    /// Since when the step has not come to a definite outcome, in milliseconds since the
    /// Unix epoch.
    pub since_ms: u64,
}

/// Why this saga needs a person, where it does: the first step that says so.
#[must_use]
pub fn stuck(definition: &Definition, state: &State) -> Option<Stuck> {
    if state.ended().is_some() {
        return None;
    }
    definition.indices().find_map(|index| {
        let reason = stuck_reason(definition, state, index)?;
        let since_ms = state.step(index).troubled_since_ms.unwrap_or(state.started_at_ms());
        Some(Stuck { reason, step: index, since_ms })
    })
}

fn stuck_reason(definition: &Definition, state: &State, index: StepIndex) -> Option<StuckReason> {
    let forward_only = state.passed_pivot(definition);
    let step = state.step(index);
    // While a call is out, what is known is what the one before it met.
    let known = step.last_open.unwrap_or(Last::Unknown);
    match step.phase {
        _ if state.has_no_witness(index) => {
            is_left_unseen(definition, state, index).then_some(StuckReason::OutcomeUnknown)
        }
        StepPhase::Rejected | StepPhase::Fenced if forward_only => {
            Some(StuckReason::RejectedAfterPivot)
        }
        StepPhase::Applied if step.unread && is_missed(definition, state, index) => {
            Some(StuckReason::ReplyUnread)
        }
        // Lost rows have undone what they could not: the pivot stands.
        StepPhase::Undone if forward_only => Some(StuckReason::Contradiction),
        StepPhase::Applied if matches!(step.recall, Recall::Contradicted { .. }) => {
            Some(StuckReason::Contradiction)
        }
        StepPhase::Applied if is_untold(definition, state, index) => {
            Some(StuckReason::OutcomeUnknown)
        }
        StepPhase::Unrenderable { direction: Direction::Backward } if step.unread => {
            Some(StuckReason::ReplyUnread)
        }
        StepPhase::Unrenderable { direction: Direction::Backward } => {
            Some(StuckReason::Unrenderable)
        }
        StepPhase::Unrenderable { .. } if forward_only => Some(StuckReason::Unrenderable),
        StepPhase::Open { direction: Direction::Forward, tries, last, .. } => {
            forward_stuck(definition, state, index, tries, last)
        }
        StepPhase::InFlight { direction: Direction::Forward, tries }
        | StepPhase::Inquiring { tries } => forward_stuck(definition, state, index, tries, known),
        StepPhase::Open { direction: Direction::Backward, tries, last, .. } => {
            backward_stuck(definition, index, tries, last)
        }
        StepPhase::InFlight { direction: Direction::Backward, tries } => {
            backward_stuck(definition, index, tries, known)
        }
        _ => None,
    }
}

/// Whether only a person finds out what became of a step that lost rows may have begun, and the
/// saga waits for that.
fn is_left_unseen(definition: &Definition, state: &State, index: StepIndex) -> bool {
    let step = state.step(index);
    let may_begin = may_begin(definition, state, index);
    if may_begin {
        return step.is_left_to_a_person();
    }
    let tells_of_pivot = definition.is_after_pivot(index)
        && wants_back(definition, state)
        && !state.passed_pivot(definition)
        && state.pivot_in_doubt(definition).is_none();
    let goes_back = state.turned_back().is_some()
        || definition.step(index).pivot && wants_back(definition, state);
    // What it waits for may tell yet.
    let is_open = |before| {
        let before = state.step(before);
        before.phase.is_out() || matches!(before.phase, StepPhase::Open { .. })
    };
    tells_of_pivot || goes_back && !definition.ancestors(index).iter().any(is_open)
}

/// Whether nobody tells whether the effect of this step was undone in lost rows.
fn is_untold(definition: &Definition, state: &State, index: StepIndex) -> bool {
    let (Recall::Asking { inquiries } | Recall::Untold { inquiries, .. }) =
        state.step(index).recall
    else {
        return false;
    };
    definition.step(index).resolve_retry.attempts_max <= inquiries
}

/// Whether a step, or its undo, waits for the reply of this one, which was too large to be kept.
fn is_missed(definition: &Definition, state: &State, index: StepIndex) -> bool {
    let goes_forward = state.turned_back().is_none();
    definition.indices().any(|later| match state.step(later).phase {
        StepPhase::Unrenderable { direction } => {
            (goes_forward || direction == Direction::Backward)
                && unread_before(definition, state, later).contains(index)
        }
        _ => false,
    })
}

fn forward_stuck(
    definition: &Definition,
    state: &State,
    index: StepIndex,
    tries: Tries,
    last: Last,
) -> Option<StuckReason> {
    let step = definition.step(index);
    if last == Last::Contradicted {
        return Some(StuckReason::Contradiction);
    }
    if state.turned_back().is_some() && !tries.in_doubt {
        return None; // Nothing was done, and nothing will be.
    }
    // Another call of it could pass what lost rows had turned back from.
    let may_pass = step.pivot && step.on_unknown != OnUnknown::Resolve && tries.in_doubt;
    if may_pass && state.has_gone_back_unseen() {
        return Some(StuckReason::OutcomeUnknown);
    }
    // Nobody calls again by itself, whatever the last call said and however often.
    if tries.in_doubt && step.on_unknown == OnUnknown::Park {
        return Some(StuckReason::OutcomeUnknown);
    }
    match last {
        Last::Fault => return Some(StuckReason::WiringFault),
        Last::NoInquiry => return Some(StuckReason::InquiryUnsupported),
        _ => {}
    }
    if state.passed_pivot(definition) && !tries.refused {
        let failing = step.retry.attempts_max <= tries.setbacks;
        return failing.then_some(StuckReason::ForwardFailing);
    }
    let exhausted = step.retry.attempts_max <= tries.failures;
    let unsettled = tries.in_doubt
        && match step.on_unknown {
            // Refused in doubt: what another call would say is known. Who only declines tells
            // nothing for as long as they like.
            OnUnknown::Retry | OnUnknown::FinishThenUndo => {
                exhausted || tries.refused || step.retry.attempts_max <= tries.setbacks
            }
            OnUnknown::Park => false,
            OnUnknown::Resolve => step.resolve_retry.attempts_max <= tries.inquiries,
        };
    unsettled.then_some(StuckReason::OutcomeUnknown)
}

fn backward_stuck(
    definition: &Definition,
    index: StepIndex,
    tries: Tries,
    last: Last,
) -> Option<StuckReason> {
    match last {
        Last::Contradicted => Some(StuckReason::Contradiction),
        Last::Refused => Some(StuckReason::CompensationRejected),
        Last::Fault => Some(StuckReason::WiringFault),
        _ => {
            let policy = &definition.step(index).compensation_retry;
            (policy.attempts_max <= tries.setbacks).then_some(StuckReason::CompensationFailing)
        }
    }
}
