//! What must be true of each event when it becomes durable, and of each saga when it ends.

use saga_core::{
    Contradiction,
    Direction::{self, Backward, Forward},
    Ending, Event, NodeId, Outcome, Resolution, SagaId, StepIndex, Word,
};

use super::{Learned, SagaLog};
use crate::sim::{barrier::Recorded, shop::Shop};

impl SagaLog {
    /// Judges an event against what the log said before it and what the participants know.
    pub(super) fn judge(
        &self,
        saga: SagaId,
        event: &Event,
        writer: NodeId,
        shop: &Shop,
        wrong: &mut Vec<String>,
    ) {
        if self.ended.is_some() {
            wrong.push(format!("L4: {} after the end", event.kind()));
        }
        match event {
            Event::Owned { node, epoch, .. } => {
                let is_next = epoch.0 == self.epoch + 1 && *node == writer;
                let what = || format!("L2: epoch {} follows {}", epoch.0, self.epoch);
                wrong.extend((!is_next).then(what));
            }
            // Anybody may tell a saga something.
            Event::CancelRequested { .. }
            | Event::Signalled { .. }
            | Event::OperatorActed { .. } => {}
            Event::Answered { step, direction, attempt, .. }
                if self.steps[step.at()].callers.contains(&(*direction, *attempt, writer)) => {}
            _ if writer != self.owner => {
                wrong.push(format!("L2: {} by a node that does not own it", event.kind()));
            }
            _ => {}
        }
        match event {
            Event::Intended { step, direction: Backward, .. } => {
                self.judge_undo(saga, *step, shop, wrong);
            }
            Event::Answered { step, direction, outcome, .. } => {
                let recorded = self.recorded(saga, *step, *direction, shop);
                let is_reversed = self.is_reversed(saga, *step, shop);
                if !is_true(outcome, *direction, recorded, is_reversed) {
                    let step = &self.deployed.core().step(*step).name;
                    wrong.push(format!("L8: {step} {outcome:?}, and it is {recorded:?}"));
                }
            }
            Event::Resolved { step, resolution, .. } => {
                let recorded = self.recorded(saga, *step, Forward, shop);
                let is_true = match resolution {
                    Resolution::Applied { .. } | Resolution::AppliedUnread { .. } => {
                        matches!(recorded, Some(Recorded::Applied(_)))
                    }
                    Resolution::Rejected { .. } => matches!(recorded, Some(Recorded::Rejected(_))),
                    Resolution::Fenced => matches!(recorded, Some(Recorded::Fenced)),
                    Resolution::Reversed => self.is_reversed(saga, *step, shop),
                    // Nothing is pruned here.
                    Resolution::TooOld { .. } => false,
                    Resolution::InProgress
                    | Resolution::Unanswered { .. }
                    | Resolution::Unsupported { .. } => true,
                };
                if !is_true {
                    wrong.push(format!("L8: {resolution:?}, and it is {recorded:?}"));
                }
            }
            Event::TurnedBack { .. } if self.pivot_stands(saga, shop) => {
                wrong.push("E10: turned back although the pivot is done".to_owned());
            }
            _ => {}
        }
    }

    /// Whether the participant has undone the action of a step.
    fn is_reversed(&self, saga: SagaId, step: StepIndex, shop: &Shop) -> bool {
        let target = self.deployed.target(step, Forward);
        target.is_some_and(|(participant, _)| {
            shop.is_reversed(participant, self.op(saga, step, Forward))
        })
    }

    /// Whether the pivot took effect, whatever the engine knows of it.
    #[must_use]
    pub fn pivot_stands(&self, saga: SagaId, shop: &Shop) -> bool {
        let pivots = self.deployed.core().pivots();
        pivots.iter().any(|pivot| self.effects(saga, pivot, Forward, shop) > 0)
    }

    fn judge_undo(&self, saga: SagaId, step: StepIndex, shop: &Shop, wrong: &mut Vec<String>) {
        let core = self.deployed.core();
        if self.pivot_stands(saga, shop) {
            wrong.push("E10: a compensation although the pivot is done".to_owned());
        }
        let later = core.indices().filter(|it| core.ancestors(*it).contains(step));
        for later in later.filter(|it| core.step(*it).compensable) {
            let facts = &self.steps[later.at()];
            let done = self.effects(saga, later, Forward, shop) > 0
                || facts.learned == Some(Learned::Applied);
            if done && !facts.undone && !facts.kept {
                let (before, after) = (&core.step(step).name, &core.step(later).name);
                wrong.push(format!("E9: {before} is undone before {after}"));
            }
        }
    }

    /// What is wrong with the end of the saga, now or ever after (E1, E2, E3).
    #[must_use]
    pub fn end_is_true(&self, saga: SagaId, shop: &Shop) -> Vec<String> {
        let Some(ending) = self.ended else { return Vec::new() };
        let core = self.deployed.core();
        let mut wrong = Vec::new();
        for step in core.indices().filter(|it| !self.steps[it.at()].by_hand) {
            let facts = &self.steps[step.at()];
            let name = &core.step(step).name;
            let has_action = self.deployed.target(step, Forward).is_some();
            let done = self.effects(saga, step, Forward, shop);
            let undone = self.effects(saga, step, Backward, shop);
            match ending {
                // What is left behind is left behind.
                Ending::Closed => {}
                Ending::Completed => {
                    let wanted = u32::from(has_action && facts.learned != Some(Learned::Skipped));
                    if (done, undone) != (wanted, 0) {
                        wrong.push(format!("E2: {name} done {done} times, undone {undone} times"));
                    }
                }
                Ending::Compensated => {
                    let stays = core.step(step).pivot || core.is_after_pivot(step);
                    let left = if self.is_given(step) {
                        u32::from(!facts.kept && !facts.undone)
                    } else {
                        done.saturating_sub(undone)
                    };
                    if stays && done > 0 {
                        wrong.push(format!("E3: {name} is done and cannot be undone"));
                    } else if core.step(step).compensable && left > 0 && !facts.kept {
                        wrong.push(format!("E3: {name} done {done} times, undone {undone} times"));
                    }
                }
            }
        }
        wrong
    }
}

/// Whether what the log has of a call is the word of the participant's operation log. A
/// refusal that is not on record is not that: what the log makes of it is judged by the end.
fn is_true(
    outcome: &Outcome,
    direction: Direction,
    recorded: Option<&Recorded>,
    is_reversed: bool,
) -> bool {
    match outcome {
        Outcome::Applied { .. } | Outcome::AppliedUnread { .. } => {
            matches!(recorded, Some(Recorded::Applied(_)))
        }
        Outcome::Rejected { word: Word::OnRecord, .. } => {
            matches!(recorded, Some(Recorded::Rejected(_)))
        }
        Outcome::Contradicted { cause, .. } => match cause {
            Contradiction::OtherRequest => recorded.is_some(),
            Contradiction::Fenced => matches!(recorded, Some(Recorded::Fenced)),
            Contradiction::Reversed => direction == Forward && is_reversed,
            Contradiction::NoEffect => matches!(recorded, Some(Recorded::NothingToUndo)),
            Contradiction::TooOld => false,
        },
        Outcome::Rejected { word: Word::OfAttempt, .. }
        | Outcome::NotDone { .. }
        | Outcome::Fault { .. }
        | Outcome::Unknown { .. } => true,
    }
}
