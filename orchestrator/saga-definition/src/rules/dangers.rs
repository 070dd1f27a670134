//! What can be known to go wrong though every type fits: compensations that undo nothing,
//! conditions that are no conditions, expressions that may leave a saga in limbo.

use prost_reflect::Value;
use saga_core::{Direction, OnUnknown, StepIndex, StepSet};

use crate::{
    ActionPlan, CompiledDefinition,
    expression::{Constant, Ir, constant, operations, walk},
    file::{DefinitionFile, StepFile},
    finding::Findings,
};

/// Codes that a participant hardly ever means as a refusal of this operation.
const DOUBTFUL: [(i32, &str); 5] = [
    (7, "PERMISSION_DENIED"),
    (8, "RESOURCE_EXHAUSTED"),
    (10, "ABORTED"),
    (12, "UNIMPLEMENTED"),
    (16, "UNAUTHENTICATED"),
];

/// Below, every attempt ends in doubt.
const TIMEOUT_MS_MIN: u64 = 20;

/// Above, nobody learns of a participant that hangs.
const TIMEOUT_MS_MAX: u64 = 3_600_000;

/// Below, no saga can be in time.
const DEADLINE_MS_MIN: u64 = 100;

/// The rules about dangers.
pub(crate) fn check(
    file: &DefinitionFile,
    definition: &CompiledDefinition,
    findings: &mut Findings,
) {
    if let Some(deadline) = file.deadline_ms.as_ref().filter(|it| it.value < DEADLINE_MS_MIN) {
        let message =
            format!("a deadline of {} ms passes before a call is answered", deadline.value);
        let remedy = "write what a person would wait: `deadline: 5m`";
        findings.warning("odd-time", deadline.span, message, remedy);
    }
    for index in definition.core.indices() {
        let step = &file.steps[index.at()];
        check_times(step, findings);
        check_doubts(step, definition, index, findings);
        check_conditions(step, definition, index, findings);
        check_undo(step, definition, index, findings);
        check_keys(step, definition, index, findings);
        check_repeats(definition, index, findings);
    }
}

fn check_times(step: &StepFile, findings: &mut Findings) {
    for call in step.call().into_iter().chain(step.undo()) {
        if !(TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX).contains(&call.timeout_ms) {
            let message = format!(
                "step {}: {} ms for one attempt; {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX} make sense",
                step.name.value, call.timeout_ms
            );
            let remedy = "write how long the participant takes at its worst: `timeout: 5s`";
            findings.warning("odd-time", call.span, message, remedy);
        }
    }
}

/// What is said about doubts and refusals, and means something else than it looks like.
fn check_doubts(
    step: &StepFile,
    definition: &CompiledDefinition,
    index: StepIndex,
    findings: &mut Findings,
) {
    let name = &step.name.value;
    if step.on_unknown.value == OnUnknown::FinishThenUndo && step.undo().is_none() {
        let why = if step.pivot.is_some() { "is the pivot" } else { "has no compensation" };
        let message = format!("step {name} {why}: `finish_then_undo` undoes nothing there");
        let remedy = "write retry, resolve or park";
        findings.warning("undo-of-nothing", step.on_unknown.span, message, remedy);
    }
    if let Some(refusals) = &step.refusals {
        let doubtful = DOUBTFUL.iter().filter(|(code, _)| refusals.value.contains(*code));
        let doubtful: Vec<&str> = doubtful.map(|(_, name)| *name).collect();
        if !doubtful.is_empty() {
            let message = format!(
                "step {name} takes {} for a refusal: they say that a call should be tried again, or that \
                 the wiring is wrong",
                doubtful.join(" and ")
            );
            let remedy = "leave them out: an expired token would turn every saga back";
            findings.warning("doubtful-refusal", refusals.span, message, remedy);
        }
    }
    if definition.core.is_after_pivot(index)
        && let Some(retry) = &step.retry
        && retry.value.attempts_max == 1
    {
        let message =
            format!("step {name} comes after the pivot and is tried once before a person is told");
        let remedy = "leave `attempts` out: nothing else can be done there than to try again";
        findings.warning("doubtful-refusal", retry.span, message, remedy);
    }
}

fn check_conditions(
    step: &StepFile,
    definition: &CompiledDefinition,
    index: StepIndex,
    findings: &mut Findings,
) {
    let plan = &definition.plans[index.at()];
    let accept = match &plan.action {
        ActionPlan::Wait(wait) => wait.accept.as_ref(),
        ActionPlan::Call(_) | ActionPlan::Given => None,
    };
    let undo = plan.compensation.as_ref().and_then(|it| it.when.as_ref());
    for condition in [plan.when.as_ref(), accept, undo].into_iter().flatten() {
        if let Constant::Value(Value::Bool(is)) = constant(condition) {
            let message = format!("step {}: this condition is always {is}", step.name.value);
            let remedy = "ask something of the input or of a reply, or take it out";
            findings.warning("constant-condition", condition.span, message, remedy);
        }
    }
}

/// A compensation that names nothing of its own step.
fn check_undo(
    step: &StepFile,
    definition: &CompiledDefinition,
    index: StepIndex,
    findings: &mut Findings,
) {
    // What the client brought along has no operation of its own.
    let (Some(action), Some(call)) = (step.call(), step.undo()) else { return };
    let Some(plan) = definition.plan(index, Direction::Backward) else { return };
    let name = &step.name.value;
    let expressions = plan.request.expressions();
    let mut named = StepSet::EMPTY;
    expressions.iter().for_each(|it| operations(&it.root, &mut named));
    let own_reply = expressions.iter().any(|it| it.reads.replies.contains(index));
    let reads =
        expressions.iter().any(|it| it.reads.input || it.reads.replies.iter().next().is_some());
    if own_reply || named.contains(index) {
        // Also by the method of its action: one that moves a state may move it back.
        return;
    }
    if action.path == call.path {
        let message = format!("the compensation of {name} calls the method of its action again");
        let remedy = "call the method that takes the effect back";
        findings.warning("undo-of-nothing", call.span, message, remedy);
    }
    let message = if let Some(other) = named.iter().next() {
        let other = &definition.names[other.at()];
        format!("the compensation of {name} names the operation of {other}, and nothing of {name}")
    } else if !reads {
        format!("the compensation of {name} names nothing of the saga: it cannot know what to undo")
    } else {
        // By a number of the input, as an order's: it may be known by it.
        return;
    };
    let remedy = format!("name what is undone: op(\"{name}\"), or what its reply names");
    findings.warning("undo-of-nothing", call.span, message, remedy);
}

/// The operation of a step, given to a participant that knows nothing of it.
fn check_keys(
    step: &StepFile,
    definition: &CompiledDefinition,
    index: StepIndex,
    findings: &mut Findings,
) {
    let Some(plan) = definition.plan(index, Direction::Forward) else { return };
    for expression in plan.request.expressions() {
        let mut named = StepSet::EMPTY;
        operations(&expression.root, &mut named);
        let foreign = named.iter().find(|other| {
            let of = definition.call(*other, Direction::Forward);
            let service = |path: &str| path.rsplit_once('/').map(|it| it.0.to_owned());
            *other != index
                && of.is_some_and(|of| {
                    of.participant != plan.spec.participant
                        || service(of.path.path()) != service(plan.spec.path.path())
                })
        });
        if let Some(other) = foreign {
            let other = &definition.names[other.at()];
            let message = format!(
                "step {} gives the operation id of {other} to another service: as a key it would be \
                 that of two operations",
                step.name.value
            );
            let remedy = format!("write op(\"{}\")", step.name.value);
            findings.warning("foreign-operation", expression.span, message, remedy);
        }
    }
}

/// What another start of the same saga would send otherwise, under the same operation id.
fn check_repeats(definition: &CompiledDefinition, index: StepIndex, findings: &mut Findings) {
    let plans = [Direction::Forward, Direction::Backward];
    for plan in plans.into_iter().filter_map(|it| definition.plan(index, it)) {
        for expression in plan.request.expressions() {
            let mut named = None;
            walk(&expression.root, &mut |part| match part {
                Ir::SagaId => named = Some("saga.id"),
                Ir::StartedAt => named = Some("saga.started_at"),
                _ => {}
            });
            let Some(named) = named else { continue };
            let message = format!(
                "step {} sends `{named}`: where the log loses this saga and it is started again, \
                 the same operation has another request, and a person is needed",
                definition.names[index.at()]
            );
            let remedy = format!(
                "send what a second start has again: saga.business_key, op(\"{}\"), or a field of \
                 the input",
                definition.names[index.at()]
            );
            findings.warning("differs-after-loss", expression.span, message, remedy);
        }
    }
}
