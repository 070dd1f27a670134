//! Static rules about size: what a request may grow to, where that can be known.

use saga_core::{Direction, StepIndex};

use crate::{
    CallPlan, CompiledDefinition, Sizes,
    file::{CallFile, DefinitionFile},
    finding::Findings,
};

/// Warns of requests that may be over their limit. Numbers and texts are taken for small;
/// lists, maps, messages and bytes for as large as what they are copied from may be.
pub(crate) fn check(
    file: &DefinitionFile,
    definition: &CompiledDefinition,
    sizes: &Sizes,
    findings: &mut Findings,
) {
    for index in definition.core.indices() {
        let step = &file.steps[index.at()];
        let calls = [(Direction::Forward, step.call()), (Direction::Backward, step.undo())];
        for (direction, call) in calls {
            if let (Some(call), Some(plan)) = (call, definition.plan(index, direction)) {
                check_call(definition, plan, call, sizes, findings);
            }
        }
    }
}

fn check_call(
    definition: &CompiledDefinition,
    plan: &CallPlan,
    call: &CallFile,
    sizes: &Sizes,
    findings: &mut Findings,
) {
    let copied = plan.request.copied();
    let reply = |step: StepIndex| match definition.call(step, Direction::Forward) {
        Some(spec) => sizes.reply_bytes_max.get(&spec.participant).copied().unwrap_or(0),
        // A signal has the limit of an input.
        None => sizes.input_bytes_max,
    };
    let input = if copied.input { sizes.input_bytes_max } else { 0 };
    let bytes = copied.replies.iter().map(reply).fold(input, usize::saturating_add);
    if bytes <= sizes.request_bytes_max {
        return;
    }
    let from: Vec<String> = copied
        .input
        .then(|| "the input".to_owned())
        .into_iter()
        .chain(
            copied.replies.iter().map(|it| format!("the reply of {}", definition.names[it.at()])),
        )
        .collect();
    let message = format!(
        "this request copies parts of {}: up to {bytes} bytes, and a request has at most {}",
        from.join(" and "),
        sizes.request_bytes_max
    );
    let remedy = "copy less; or let the participant fetch it, by a reference; or lower \
                  `reply_bytes_max` of those that reply, or raise `request_bytes_max`: a request that \
                  is too large is not made, and its saga turns back, or is stuck behind its pivot";
    findings.warning("request-too-large", call.span, message, remedy);
}
