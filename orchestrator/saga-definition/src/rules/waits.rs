//! Static rules about steps that wait for a signal.

use saga_core::{Definition, OnTimeout, Step, StepIndex, StepKind, Timer};

use crate::{
    file::{DefinitionFile, WaitFile},
    finding::Findings,
    told::span,
};

/// The rules about signals and timers.
pub(super) fn check(file: &DefinitionFile, core: &Definition, findings: &mut Findings) {
    let mut signals: Vec<&str> = Vec::new();
    for index in core.indices() {
        let Some(wait) = file.steps[index.at()].wait() else { continue };
        if signals.contains(&wait.signal.value.as_str()) {
            let message = format!("two steps wait for the signal `{}`", wait.signal.value);
            let remedy = "name another signal; what one step learned, others may read as its reply";
            findings.error("signal-twice", wait.signal.span, message, remedy);
        }
        signals.push(&wait.signal.value);
        if wait.of.is_none() {
            let message = format!("the signal `{}` has no type", wait.signal.value);
            let remedy = "add `type: package.Message`, a message that a participant serves";
            findings.error("wait-without-type", wait.span, message, remedy);
        }
        check_time(file, core, index, wait, findings);
        check_refusal(core, index, wait, findings);
    }
}

fn check_time(
    file: &DefinitionFile,
    core: &Definition,
    index: StepIndex,
    wait: &WaitFile,
    findings: &mut Findings,
) {
    let deadline = file.deadline_ms.as_ref().filter(|_| !core.is_after_pivot(index));
    let name = &core.step(index).name;
    match (&wait.timer, deadline) {
        (Some(timer), Some(deadline)) if deadline.value <= timer.value.after_ms => {
            let message = format!(
                "step {name} waits for {}, the saga has {}: its deadline always comes first",
                span(timer.value.after_ms),
                span(deadline.value)
            );
            let remedy = "lower `timeout`, or give the saga more time: `deadline` counts waits too";
            findings.warning("wait-longer-than-deadline", timer.span, message, remedy);
        }
        (None, None) => {
            let message =
                format!("step {name} may wait for ever: there is no timer and no deadline");
            let remedy = "add `timeout: 7d`, and `on_timeout: accept` where it may go on without";
            findings.warning("wait-without-end", wait.span, message, remedy);
        }
        _ => {}
    }
}

fn check_refusal(core: &Definition, index: StepIndex, wait: &WaitFile, findings: &mut Findings) {
    if !core.is_after_pivot(index) {
        return;
    }
    let name = &core.step(index).name;
    if let Some(accept) = &wait.accept {
        let message = format!(
            "step {name} comes after the pivot and its signal may say no: nothing could be undone"
        );
        let remedy = "take `accept` out and read the signal as steps.<name>.reply, or wait before \
                      the pivot";
        findings.error("refusal-after-pivot", accept.span, message, remedy);
    }
    if let Some(timer) = &wait.timer
        && timer.value.then == OnTimeout::Refuse
    {
        let message = format!(
            "step {name} comes after the pivot and its timer refuses: nothing could be undone"
        );
        let remedy = "write `on_timeout: accept`, or wait before the pivot";
        findings.error("refusal-after-pivot", timer.span, message, remedy);
    }
}

/// Why an applied or skipped step may have no reply, where it may not.
pub(super) fn may_lack_its_reply(step: &Step) -> Option<&'static str> {
    if step.conditional { Some("may be skipped") } else { may_go_on_alone(step) }
}

/// Why an applied step may have no reply, where it may not.
pub(super) fn may_go_on_alone(step: &Step) -> Option<&'static str> {
    match step.kind {
        StepKind::Wait { timer: Some(Timer { then: OnTimeout::Accept, .. }) } => {
            Some("may go on without a signal")
        }
        _ => None,
    }
}
