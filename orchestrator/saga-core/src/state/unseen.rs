//! Which steps may have begun in rows that the log has lost.

use super::{Recall, State, StepState};
use crate::{
    definition::{OnUnknown, StepIndex, StepKind, StepSet},
    event::Direction,
    phase::StepPhase,
};

impl State {
    /// Whether the action of this step may have an effect that is not undone: by what the log
    /// tells, or by what rows may have told that it has lost.
    #[must_use]
    pub fn may_stand(&self, index: StepIndex) -> bool {
        self.step(index).phase.may_stand() || self.may_have_begun_unseen(index)
    }

    /// Whether the action may have been called in lost rows, although the log says that it has
    /// not begun. Who can be asked is asked whatever is so; of others, a step that came before
    /// may tell that it was not.
    #[must_use]
    pub fn may_have_begun_unseen(&self, index: StepIndex) -> bool {
        let step = self.step(index);
        let is_recalled = matches!(step.recall, Recall::Due | Recall::ByHand);
        is_recalled && step.is_unbegun() && (step.is_asked() || self.may_be_over_unseen(step))
    }

    /// Whether all that this step waits for may be over, and no way back was taken before it.
    fn may_be_over_unseen(&self, step: &StepState) -> bool {
        let may_have_passed = |step: &StepState| !step.pivot || !self.has_surely_not_passed_pivot();
        let (mut before, mut seen) = (step.after, StepSet::EMPTY);
        if !may_have_passed(step) {
            return false;
        }
        while let Some(index) = before.iter().find(|it| !seen.contains(*it)) {
            seen = seen.with(index);
            let step = self.step(index);
            match is_past(step) {
                Some(true) => {}
                Some(false) => return false,
                None if may_have_passed(step) => before = before.union(step.after),
                None => return false,
            }
        }
        true
    }

    /// A saga that goes back, or did so in lost rows, has made sure of that.
    fn has_surely_not_passed_pivot(&self) -> bool {
        self.turned_back.is_some() || self.has_gone_back_unseen()
    }

    /// Whether the saga went back in lost rows, by what a participant told of a compensation. No
    /// other saga calls one.
    pub(crate) fn has_gone_back_unseen(&self) -> bool {
        self.turned_back.is_none() && self.steps.iter().any(StepState::tells_of_a_way_back)
    }

    /// Whether only calling it, or a person, tells whether this step has begun in lost rows.
    #[must_use]
    pub fn has_no_witness(&self, index: StepIndex) -> bool {
        !self.step(index).is_asked() && self.may_have_begun_unseen(index)
    }
}

/// Whether the saga has surely, or surely not, passed this step in lost rows. `None`: it may have
/// if it has passed what the step waits for.
fn is_past(step: &StepState) -> Option<bool> {
    match step.phase {
        StepPhase::Rejected | StepPhase::Fenced => Some(false),
        // Open without a doubt: a person has made sure since.
        StepPhase::Open { direction: Direction::Forward, tries, .. } => Some(tries.in_doubt),
        StepPhase::Waiting { .. } => None,
        _ if !step.is_unbegun() => Some(true),
        // Nothing was sent, and nothing could be.
        StepPhase::Unrenderable { .. } if step.recall == Recall::Whole => Some(false),
        // Surely not called; a condition may have let the saga pass.
        _ if step.kind == StepKind::Call && step.recall == Recall::Whole && !step.conditional => {
            Some(false)
        }
        _ => None,
    }
}

impl StepState {
    /// Whether the log says that the action was not called.
    pub(super) fn is_unbegun(&self) -> bool {
        let unrenderable = StepPhase::Unrenderable { direction: Direction::Forward };
        self.phase == StepPhase::Pending || self.phase == unrenderable
    }

    /// Whether its compensation was called in lost rows, where the saga has not turned back.
    pub(crate) fn tells_of_a_way_back(&self) -> bool {
        let is_refused = self.undo_refused_unseen && self.phase == StepPhase::Applied;
        is_refused || self.phase == StepPhase::Undone
    }

    /// Whether its participant answers inquiries.
    pub(crate) fn is_asked(&self) -> bool {
        self.on_unknown == OnUnknown::Resolve
    }

    /// Whether lost rows may have told of a call of it, and it is not called to find out.
    pub(crate) fn is_left_to_a_person(&self) -> bool {
        self.recall == Recall::ByHand
    }
}
