//! What lost rows may have said of a step, where the log went back in time, and how that is
//! found out: participants remember what they did, whatever the log has forgotten.

use bytes::Bytes;

use super::{By, Illegal, State, StepState};
use crate::{
    definition::{OnUnknown, StepIndex, StepKind},
    event::{Direction, Event, OperatorAct, Resolution, Settled},
    phase::{Pause, StepEvent, StepPhase},
};

/// The reason code of what lost rows may have told.
const ROWS_LOST: &str = "ROWS_LOST";

/// What is missing of a step since the log lost rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Recall {
    /// Nothing: no rows were lost, or what they may have said is known again.
    #[default]
    Whole,
    /// Lost rows may have told of calls of it: of its action, where the step has not begun; of
    /// its compensation, once it is applied.
    Due,
    /// Lost rows may have told of a call of its action, and only a person finds out: its
    /// participant is not asked, and it is never called twice.
    ByHand,
    /// The participant is being asked about the compensation, by the inquiry of this number.
    Asking { inquiries: u32 },
    /// It was asked about the compensation, and has not told.
    Untold { inquiries: u32, pause: Pause },
    /// It was asked about the compensation, and no answer of it will ever tell: a person has to
    /// look.
    Contradicted { inquiries: u32 },
}

impl State {
    /// The epoch of the log up to which the saga's course is known to be whole.
    #[must_use]
    pub fn log_epoch(&self) -> u64 {
        self.log_epoch
    }

    /// Whether the log has lost rows since the saga began.
    #[must_use]
    pub fn has_lost_rows(&self) -> bool {
        self.lost_rows
    }

    /// Rows were lost. Also of a saga that has turned back by what is left: the row that says so
    /// may have been written behind the loss, by a node that had not heard of it.
    pub(super) fn lose_rows(
        &mut self,
        log_epoch: u64,
        doubts_all: bool,
        at_ms: u64,
    ) -> Result<(), Illegal> {
        if log_epoch <= self.log_epoch {
            return Err(Illegal { event: "LogWentBack", step: None, phase: None });
        }
        let losses = losses_between(self.log_epoch, log_epoch);
        self.log_epoch = log_epoch;
        self.lost_rows = true;
        self.doubts_all |= doubts_all;
        let goes_back = self.turned_back.is_some();
        // Nothing is called again, on the way back, only to learn whether it was.
        let asked = self.steps.iter_mut().filter(|step| step.is_asked() || !goes_back);
        asked.for_each(|step| step.lose_rows(losses, doubts_all, at_ms));
        Ok(())
    }

    /// It may be a second saga of which nothing is left, in any epoch since the first.
    pub(super) fn lose_all_rows(&mut self, at_ms: u64) {
        let losses = losses_between(1, self.log_epoch.max(2));
        self.steps.iter_mut().for_each(|step| step.lose_rows(losses, false, at_ms));
    }

    /// Folds an event that is about the compensation of an applied step: whether it was undone
    /// in lost rows. `None`: it is about something else.
    pub(super) fn recall(&mut self, event: &Event) -> Option<Result<(), Illegal>> {
        let index = event.step()?;
        self.steps.get(index.at())?;
        if let Event::OperatorActed { act, actor, reason, at_ms, .. } = event
            && let OperatorAct::Settle {
                settled, reply, call: None | Some(Direction::Forward), ..
            } = act
            && self.has_no_witness(index)
        {
            let by = By::new(actor, reason, *at_ms);
            self.steps[index.at()].begin_by_hand(*settled, reply.as_ref(), by);
            return Some(Ok(()));
        }
        let step = self.steps.get_mut(index.at())?;
        if step.phase != StepPhase::Applied || step.recall == Recall::Whole {
            return None;
        }
        let is_legal = match event {
            Event::Inquired { inquiry, .. } => step.ask_back(*inquiry),
            Event::Resolved { inquiry, resolution, at_ms, .. } => {
                step.recall == Recall::Asking { inquiries: *inquiry }
                    && step.told(resolution, *at_ms)
            }
            Event::OperatorActed {
                act: OperatorAct::Settle { settled, .. },
                actor,
                reason,
                at_ms,
                ..
            } if step.recall.lacks_word() => {
                step.told_by_hand(*settled, By::new(actor, reason, *at_ms))
            }
            _ => return None,
        };
        let illegal = || Illegal { event: event.kind(), step: event.step(), phase: None };
        Some(is_legal.then_some(()).ok_or_else(illegal))
    }

    /// Whether the effect of this step may be undone, in rows that the log has lost.
    #[must_use]
    pub fn may_be_undone_unseen(&self, index: StepIndex) -> bool {
        let step = self.step(index);
        step.phase == StepPhase::Applied
            && (step.recall.lacks_word() || matches!(step.recall, Recall::Asking { .. }))
    }
}

/// How many losses there may have been: one of which the row was lost too has left an epoch.
fn losses_between(before: u64, log_epoch: u64) -> u32 {
    u32::try_from(log_epoch.saturating_sub(before)).unwrap_or(u32::MAX)
}

impl Recall {
    /// Whether it was asked, and nobody has told: a person may.
    pub(crate) fn lacks_word(self) -> bool {
        matches!(self, Self::Untold { .. } | Self::Contradicted { .. })
    }
}

impl StepState {
    pub(super) fn lose_rows(&mut self, losses: u32, doubts_all: bool, at_ms: u64) {
        let unasked = if self.recall == Recall::Whole { 0 } else { self.losses };
        self.losses = unasked.saturating_add(losses);
        let is_at_stake = match self.phase {
            _ if self.is_unbegun() => {
                self.kind == StepKind::Call && (self.is_asked() || doubts_all)
            }
            StepPhase::InFlight { direction: Direction::Forward, .. }
            | StepPhase::Open { direction: Direction::Forward, .. }
            | StepPhase::Inquiring { .. } => {
                self.doubt(at_ms);
                self.compensable
            }
            StepPhase::Applied => self.compensable,
            _ => false,
        };
        // Nobody can be asked about an undo of which the log tells nothing.
        let is_told = self.is_asked() || self.is_unbegun();
        if is_at_stake && is_told && self.recall == Recall::Whole {
            // What could not be made once is not made again only to find out.
            let is_made = self.phase == StepPhase::Pending || self.phase == StepPhase::Applied;
            let is_left = !self.is_asked() && (!is_made || self.on_unknown == OnUnknown::Park);
            self.recall = if is_left { Recall::ByHand } else { Recall::Due };
            if !self.is_asked() {
                let message = "rows of the log are lost that may have told of a call, and its \
                               participant answers no inquiry";
                self.trouble(ROWS_LOST, message, at_ms);
            }
        }
    }

    /// What was not begun by the log has begun, or never will. A call of it may not be the
    /// first one, and what it did may be undone.
    pub(super) fn begin_unseen(&mut self, event: &Event) {
        let cannot_be_made = matches!(event, Event::Unrenderable { .. }) && !self.is_asked();
        if self.is_unbegun() && !cannot_be_made {
            return;
        }
        if let Event::Intended { at_ms, .. } = event {
            self.doubt(*at_ms);
        }
        if !(self.is_asked() && self.compensable && self.phase.is_out()) {
            self.recall = Recall::Whole;
        }
    }

    /// A person looked what became of an action that may have been called in lost rows. What was
    /// not is called from now on.
    fn begin_by_hand(&mut self, settled: Settled, reply: Option<&Bytes>, by: By) {
        self.recall = Recall::Whole;
        if settled == Settled::Applied {
            self.phase = self.phase.after(StepEvent::FoundDone).unwrap_or(self.phase);
            self.reply = reply.cloned();
        }
        self.settled = Some(super::Settlement { settled, by });
        self.settle();
    }

    fn doubt(&mut self, at_ms: u64) {
        self.phase = self.phase.after(StepEvent::RowsLost).unwrap_or(self.phase);
        self.doubtful_at_ms = Some(at_ms);
    }

    /// The action was undone in lost rows, or was about to be: what became of that is asked.
    pub(super) fn recall_undo(&mut self) {
        self.recall = Recall::Untold { inquiries: 0, pause: Pause::Over };
        self.settle();
    }

    fn ask_back(&mut self, inquiry: u32) -> bool {
        let asked = match self.recall {
            Recall::Due => 0,
            // An owner of before asks again, whatever the answer was.
            Recall::Untold { inquiries, .. } | Recall::Contradicted { inquiries } => inquiries,
            Recall::Whole | Recall::ByHand | Recall::Asking { .. } => return false,
        };
        self.recall = Recall::Asking { inquiries: inquiry };
        inquiry == asked + 1
    }

    /// What the participant has on record of the compensation, or answers.
    fn told(&mut self, resolution: &Resolution, at_ms: u64) -> bool {
        let Recall::Asking { inquiries } = self.recall else { return false };
        self.recall = Recall::Whole;
        match resolution {
            Resolution::Applied { .. } | Resolution::AppliedUnread { .. } => self.find_undone(),
            // The old id is of no use any more: where it is undone, that is another operation. So
            // it was in lost rows too, if it was fenced in them.
            Resolution::Fenced => {
                self.generations.compensation += 1;
                self.losses = self.losses.saturating_sub(1);
                if 0 < self.losses {
                    self.recall = Recall::Due;
                }
            }
            // Its refusal is found again when it is undone.
            Resolution::Rejected { .. } => self.undo_refused_unseen = true,
            // Who says for a moment that he cannot be asked, as a gateway does or an old replica,
            // has not said that the effect stands.
            Resolution::Unsupported { .. }
            | Resolution::InProgress
            | Resolution::Unanswered { .. } => {
                let untold = Recall::Untold { inquiries, pause: Pause::After { at_ms } };
                return self.not_told(untold, resolution, at_ms);
            }
            // Neither ever tells more: what was pruned is gone, and nothing of ours undoes an undo.
            Resolution::Reversed | Resolution::TooOld { .. } => {
                return self.not_told(Recall::Contradicted { inquiries }, resolution, at_ms);
            }
        }
        self.settle();
        true
    }

    fn not_told(&mut self, recall: Recall, resolution: &Resolution, at_ms: u64) -> bool {
        self.recall = recall;
        self.trouble(resolution.reason(), resolution.message(), at_ms);
        true
    }

    /// A person looked: the effect stands, or it is undone. What was asked may be fenced.
    fn told_by_hand(&mut self, settled: Settled, by: By) -> bool {
        self.recall = Recall::Whole;
        match settled {
            Settled::Applied => self.generations.compensation += self.losses.max(1),
            Settled::NotApplied => self.find_undone(),
        }
        self.settled = Some(super::Settlement { settled, by });
        self.settle();
        true
    }

    fn find_undone(&mut self) {
        self.phase = self.phase.after(StepEvent::FoundUndone).unwrap_or(self.phase);
    }

    /// Who asked is gone. Another one asks again.
    pub(super) fn forget_asking(&mut self) {
        if let Recall::Asking { inquiries } = self.recall {
            self.recall = Recall::Untold { inquiries, pause: Pause::Over };
        }
    }

    /// A person wants it asked now.
    pub(super) fn hurry_recall(&mut self) {
        if let Recall::Untold { inquiries, .. } | Recall::Contradicted { inquiries } = self.recall {
            self.recall = Recall::Untold { inquiries, pause: Pause::Over };
        }
    }
}
