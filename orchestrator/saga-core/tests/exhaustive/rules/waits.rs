//! The rules about steps that wait for a signal.

use saga_core::{Definition, StepIndex, StepKind, StepPhase, Timer};

use super::{Judged, Rule, judge};
use crate::node::Node;

/// Whether the log keeps what senders were told it keeps, and takes no other signal. Asked
/// in every state: before a step begins, while it waits, after it, on the way back, and
/// after the end.
pub(super) fn judge_signals(definition: &Definition, node: &Node) -> Judged {
    let counts = node.signals_that_count(definition);
    for step in definition.indices() {
        let kept = node.state.step(step).signal.is_some();
        let told = node.world.signals[step.at()].is_some();
        judge(Rule::FirstSignalIsKept, kept == told, || {
            format!("step {step}: kept {kept}, told {told}")
        })?;
        let taken = node.state.clone().apply(&node.signalled(step)).is_ok();
        judge(Rule::FirstSignalIsKept, taken == counts.contains(&step), || {
            format!("step {step}: another signal is taken: {taken}")
        })?;
    }
    Ok(())
}

/// Judges a decision to let a timer decide.
pub(super) fn judge_time_out(definition: &Definition, node: &Node, step: StepIndex) -> Judged {
    let signalled = node.world.signals[step.at()].is_some();
    judge(Rule::SignalDecides, !signalled, || format!("the timer of step {step} overrules it"))?;
    let over = due_ms(definition, node, step).is_some_and(|due_ms| due_ms <= node.now_ms);
    judge(Rule::TimerHolds, over, || format!("the timer of step {step} at {}", node.now_ms))
}

/// Judges a decision to do nothing before this time.
pub(super) fn judge_waiting(definition: &Definition, node: &Node, until_ms: Option<u64>) -> Judged {
    if node.state.turned_back().is_some() {
        return Ok(());
    }
    for step in waiting(definition, node) {
        let signalled = node.world.signals[step.at()].is_some();
        judge(Rule::SignalDecides, !signalled, || format!("step {step} waits on"))?;
        let in_time = due_ms(definition, node, step)
            .is_none_or(|due_ms| until_ms.is_some_and(|until_ms| until_ms <= due_ms));
        judge(Rule::TimerHolds, in_time, || format!("step {step} waits until {until_ms:?}"))?;
    }
    Ok(())
}

/// Whether only a signal can go on: no time is set for it.
pub(super) fn waits_without_timer(definition: &Definition, node: &Node) -> bool {
    waiting(definition, node).any(|step| due_ms(definition, node, step).is_none())
}

fn waiting(definition: &Definition, node: &Node) -> impl Iterator<Item = StepIndex> {
    let is_waiting =
        |step: &StepIndex| matches!(node.state.step(*step).phase, StepPhase::Waiting { .. });
    definition.indices().filter(is_waiting)
}

fn due_ms(definition: &Definition, node: &Node, step: StepIndex) -> Option<u64> {
    match (definition.step(step).kind, node.state.step(step).phase) {
        (
            StepKind::Wait { timer: Some(Timer { after_ms, .. }) },
            StepPhase::Waiting { since_ms },
        ) => Some(since_ms + after_ms),
        _ => None,
    }
}
