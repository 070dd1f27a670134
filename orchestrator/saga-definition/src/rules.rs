//! Static rules: what can be known to go wrong before any saga runs.

mod dangers;
mod inquiries;
mod limbo;
mod pivots;
mod sizes;
mod values;
mod waits;

pub(crate) use dangers::check as check_dangers;
pub(crate) use inquiries::check as check_inquiries;
pub(crate) use limbo::check as check_limbo;
pub(crate) use pivots::exclusions;
pub(crate) use sizes::check as check_sizes;
pub(crate) use values::check as check_values;

use saga_core::{Definition, OnUnknown, Step, StepIndex, StepSet};

use crate::{
    CompiledDefinition,
    expression::Reads,
    file::{CallFile, CompensationFile, DefinitionFile, StepFile, suggest},
    finding::{Findings, Span},
};

/// Every rule of the check. What each means stands in the report that it makes.
pub const RULES: [&str; 55] = [
    "call",
    "compensation-after-pivot",
    "compensation-missing",
    "compensation-reads-own-reply",
    "conditional-pivot",
    "conditional-reference",
    "constant-condition",
    "cycle",
    "differs-after-loss",
    "doubtful-refusal",
    "duplicate-step",
    "expression-syntax",
    "expression-too-large",
    "expression-type",
    "foreign-operation",
    "header",
    "inquiry-missing",
    "late-attempt",
    "may-fail-in-limbo",
    "name",
    "no-operation",
    "no-reply",
    "odd-time",
    "pause-too-short",
    "pivot-parallel",
    "pivot-twice",
    "refusal-after-pivot",
    "refusal-code",
    "request-too-large",
    "required-field",
    "reserved-service",
    "retry-longer-than-deadline",
    "shape",
    "signal-twice",
    "streaming-method",
    "too-large",
    "undo-of-nothing",
    "unknown-field",
    "unknown-function",
    "unknown-input",
    "unknown-key",
    "unknown-method",
    "unknown-reason",
    "unknown-service",
    "unknown-signal-type",
    "unknown-step",
    "unknown-value",
    "unknown-variable",
    "unreachable-reply",
    "unusable-types",
    "wait-longer-than-deadline",
    "wait-without-end",
    "wait-without-type",
    "wrong-type",
    "yaml",
];

/// Services of which every method decides over sagas and operations of others: an inquiry that
/// fences, an outcome that is forced. Whoever may write a definition may not do that.
const RESERVED: [&str; 3] = [
    "saga.participant.v1.ParticipantService",
    "saga.v1.DefinitionService",
    "saga.v1.OperatorService",
];

/// Whether no definition may call this service.
#[must_use]
pub fn is_reserved(service: &str) -> bool {
    RESERVED.contains(&service)
}

/// The rule about whom a definition may call.
pub(crate) fn check_reach(call: &CallFile, findings: &mut Findings) {
    if is_reserved(&call.service) {
        let message = format!("no definition may call `{}`", call.service);
        let remedy = "call a service of the participant's own: the engine alone makes inquiries, \
                      and people act on other sagas";
        findings.error("reserved-service", call.span, message, remedy);
    }
}

/// The steps that each step waits for, directly. Unknown names are left out.
pub(crate) fn dependencies(file: &DefinitionFile, findings: &mut Findings) -> Vec<StepSet> {
    let names: Vec<&str> = file.steps.iter().map(|it| it.name.value.as_str()).collect();
    let mut sets = Vec::with_capacity(names.len());
    for (position, step) in file.steps.iter().enumerate() {
        if names[..position].contains(&names[position]) {
            let message = format!("two steps are called `{}`", names[position]);
            findings.error("duplicate-step", step.name.span, message, "rename one of them");
        }
        let Some(after) = &step.after else {
            // What the client brought along is there from the start.
            let before = position.checked_sub(1);
            let before = before.filter(|it| !step.is_given() || file.steps[*it].is_given());
            sets.push(before.and_then(index_of).into_iter().collect());
            continue;
        };
        let mut set = StepSet::EMPTY;
        for name in after {
            match names.iter().position(|it| *it == name.value).and_then(index_of) {
                Some(after) if step.is_given() && !file.steps[after.at()].is_given() => {
                    let message = format!(
                        "step {} has no action: it is applied from the start",
                        step.name.value
                    );
                    let remedy = "take `after` out: it waits for nothing";
                    findings.error("shape", name.span, message, remedy);
                }
                Some(index) => set = set.with(index),
                None => {
                    let message = format!("there is no step `{}`", name.value);
                    let remedy = suggest(&name.value, &names);
                    findings.error("unknown-step", name.span, message, remedy);
                }
            }
        }
        sets.push(set);
    }
    sets
}

fn index_of(position: usize) -> Option<StepIndex> {
    u8::try_from(position).ok().map(StepIndex)
}

/// The rules about the graph, the pivot and time. `made` is what was made of the file, where
/// something could be.
pub(crate) fn check(
    file: &DefinitionFile,
    core: &Definition,
    made: Option<&CompiledDefinition>,
    findings: &mut Findings,
) {
    for index in core.indices() {
        let step = &file.steps[index.at()];
        if core.ancestors(index).contains(index) {
            let message = format!("step {} waits for itself", step.name.value);
            let remedy = "take one of the steps of the circle out of `after`";
            findings.error("cycle", step.name.span, message, remedy);
        }
    }
    pivots::check(file, core, made, findings);
    for index in core.indices() {
        let step = &file.steps[index.at()];
        check_compensation(step, core, index, findings);
        check_refusals(step, core, index, findings);
        check_budget(file, core, index, findings);
    }
    waits::check(file, core, findings);
}

fn check_compensation(
    step: &StepFile,
    core: &Definition,
    index: StepIndex,
    findings: &mut Findings,
) {
    let name = &step.name;
    let forward_only = core.step(index).pivot || core.is_after_pivot(index);
    match &step.compensation {
        CompensationFile::Absent | CompensationFile::None(_) if step.is_given() => {
            let message = format!(
                "step {} does nothing: it has no action, and nothing undoes it",
                name.value
            );
            let remedy = "add `action` or `wait`; or `compensation`, if the client brought the \
                          effect along";
            findings.error("compensation-missing", name.span, message, remedy);
        }
        // A signal has no effect.
        CompensationFile::Absent if step.wait().is_some() => {}
        CompensationFile::Absent if !forward_only => {
            let message = format!("nothing undoes step {}", name.value);
            let remedy = "add `compensation`; or `pivot: true`, if the saga never turns back after \
                          it; or `compensation: none`, if there is nothing to undo";
            findings.error("compensation-missing", name.span, message, remedy);
        }
        CompensationFile::None(span) if !forward_only => {
            let message = format!("step {} stays as it is when the saga turns back", name.value);
            let remedy = "make sure that it leaves nothing behind that matters";
            findings.warning("compensation-missing", *span, message, remedy);
        }
        CompensationFile::Call { span, .. } if forward_only => {
            let message = format!("the compensation of {} is never called", name.value);
            let remedy = "take it out: the pivot and the steps after it are not undone";
            findings.warning("compensation-after-pivot", *span, message, remedy);
        }
        _ => {}
    }
}

fn check_refusals(step: &StepFile, core: &Definition, index: StepIndex, findings: &mut Findings) {
    if let Some(refused) = step.call().and_then(|call| call.refused_when.as_ref())
        && core.is_after_pivot(index)
    {
        let message = format!(
            "step {} comes after the pivot and may be refused by its reply: nothing could be done \
             about that",
            step.name.value
        );
        let remedy = "take `refused_when` out, or put the step before the pivot";
        findings.error("refusal-after-pivot", refused.span, message, remedy);
    }
    if let Some(refusals) = &step.refusals
        && core.is_after_pivot(index)
    {
        let message = format!(
            "step {} comes after the pivot and declares refusals: nothing could be done about one",
            step.name.value
        );
        let remedy = "take `refusals` out, or put the step before the pivot";
        findings.error("refusal-after-pivot", refusals.span, message, remedy);
    }
}

fn check_budget(
    file: &DefinitionFile,
    core: &Definition,
    index: StepIndex,
    findings: &mut Findings,
) {
    let step = &file.steps[index.at()];
    let (Some(deadline), Some(call)) = (&file.deadline_ms, step.call()) else { return };
    if core.is_after_pivot(index) {
        return;
    }
    let longest_ms = attempts_ms(core.step(index), call.timeout_ms);
    if deadline.value < longest_ms {
        let message = format!(
            "the attempts of step {} may take {}, the saga has {}",
            step.name.value,
            seconds(longest_ms),
            seconds(deadline.value)
        );
        let remedy = "lower `attempts`, `max` or `timeout`, or give the saga more time";
        let span = step.retry.as_ref().map_or(step.name.span, |it| it.span);
        findings.warning("retry-longer-than-deadline", span, message, remedy);
    }
}

/// How long the attempts of an action and the pauses between them take at most.
fn attempts_ms(step: &Step, timeout_ms: u64) -> u64 {
    let pauses_ms = (1..step.retry.attempts_max)
        .map(|attempt| step.retry.longest_ms_after(attempt))
        .fold(0, u64::saturating_add);
    timeout_ms.saturating_mul(step.retry.attempts_max.into()).saturating_add(pauses_ms)
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

/// The rule about a compensation that reads what its step replied.
pub(crate) fn check_reads(
    core: &Definition,
    index: StepIndex,
    compensation: bool,
    guarded: StepSet,
    reads: &[(Reads, Span)],
    findings: &mut Findings,
) {
    let step = core.step(index);
    for (reads, span) in reads {
        let own = reads.replies.contains(index);
        // `retry` goes on only when the reply is there.
        let sure = matches!(step.on_unknown, OnUnknown::Resolve | OnUnknown::Retry);
        let asked = reads.asks.contains(index) || guarded.contains(index);
        if compensation && own && !sure && !asked {
            let message = format!(
                "the compensation reads the reply of {}, which is not known when its outcome is not",
                step.name
            );
            let remedy = format!(
                "name the operation, op(\"{}\"), or write `on_unknown: resolve`, where an inquiry \
                 returns the stored reply, or `retry`",
                step.name
            );
            findings.warning("compensation-reads-own-reply", *span, message, remedy);
        }
    }
}
