//! The rules about pivots. Of several exactly one may run: their conditions say so, and nothing else
//! is believed.

use saga_core::{Definition, StepIndex, StepSet};

use super::limbo::Conditions;
use crate::{
    CompiledDefinition,
    file::{DefinitionFile, StepFile},
    finding::Findings,
};

/// The rules about pivots.
pub(super) fn check(
    file: &DefinitionFile,
    core: &Definition,
    made: Option<&CompiledDefinition>,
    findings: &mut Findings,
) {
    let pivots = core.pivots();
    match (pivots.iter().count(), made) {
        (0, _) => return,
        (1, _) => check_only(file, pivots, findings),
        (_, Some(made)) => {
            if !check_choice(file, made, findings) {
                return;
            }
        }
        // Whatever could not be made is reported; what its conditions say of each other is not
        // known.
        (_, None) => return,
    }
    for pivot in pivots.iter() {
        for index in core.indices() {
            check_beside(file, core, index, pivot, findings);
        }
    }
}

/// By pivot, where there are several: the steps that are surely skipped where it is not.
pub(crate) fn exclusions(definition: &CompiledDefinition) -> Vec<(StepIndex, StepSet)> {
    let pivots = definition.core.pivots();
    if pivots.iter().count() < 2 {
        return Vec::new();
    }
    let conditions = Conditions { definition };
    pivots.iter().map(|pivot| (pivot, conditions.excluded_by(pivot))).collect()
}

fn check_only(file: &DefinitionFile, pivots: StepSet, findings: &mut Findings) {
    let when = pivots.iter().find_map(|it| file.steps[it.at()].when.as_ref());
    if let Some(when) = when {
        let message = "the pivot may be skipped, and then nothing says where there is no way back";
        let remedy = "take `when` out, or put the pivot on a step that always runs; or make the step \
                      that runs instead a pivot too";
        findings.error("conditional-pivot", when.span, message, remedy);
    }
}

/// Whether exactly one of several pivots runs.
fn check_choice(file: &DefinitionFile, made: &CompiledDefinition, findings: &mut Findings) -> bool {
    let core = &made.core;
    let pivots: Vec<StepIndex> = core.pivots().iter().collect();
    let mut are_exclusive = true;
    for (at, second) in pivots.iter().enumerate() {
        let both = |first: &&StepIndex| !core.step(**first).excludes.contains(*second);
        let Some(first) = pivots[..at].iter().find(both) else { continue };
        are_exclusive = false;
        let [first, second] = [first, second].map(|it| &file.steps[it.at()]);
        let message = format!("a second pivot: {}", why_both(first, second));
        let remedy = "keep the first step after which nothing may be undone; of two ways of which \
                      one is taken each may have a pivot: `when: C` and `when: \"!(C)\"`";
        let span = second.pivot.unwrap_or(second.name.span);
        findings.error("pivot-twice", span, message, remedy);
    }
    if are_exclusive && !(Conditions { definition: made }).one_runs(core.pivots()) {
        let names: Vec<&str> = pivots.iter().map(|it| core.step(*it).name.as_str()).collect();
        let last = pivots.last().map(|it| &file.steps[it.at()]);
        let message = format!(
            "it is not certain that one of the pivots {} runs; where none does, nothing says where \
             there is no way back",
            names.join(" and ")
        );
        let remedy = "let the last of them run where no other does: `when: \"!(..)\"`, with the \
                      conditions of the others joined by ||";
        let span = last.and_then(|it| it.when.as_ref()).map(|it| it.span);
        findings.error("conditional-pivot", span.unwrap_or_default(), message, remedy);
    }
    are_exclusive
}

fn why_both(first: &StepFile, second: &StepFile) -> String {
    let [one, other] = [first, second].map(|it| it.name.value.as_str());
    match (&first.when, &second.when) {
        (Some(_), Some(_)) => format!(
            "it is not certain that the condition of {other} is false where that of {one} is true"
        ),
        (None, _) => format!("{one} always runs"),
        (_, None) => format!("{other} always runs"),
    }
}

/// A step that may run where `pivot` does stands before it, or behind it.
fn check_beside(
    file: &DefinitionFile,
    core: &Definition,
    index: StepIndex,
    pivot: StepIndex,
    findings: &mut Findings,
) {
    let is_excluded = core.step(pivot).excludes.contains(index);
    // What is there from the start refuses nothing.
    if index == pivot || is_excluded || file.steps[index.at()].is_given() {
        return;
    }
    let step = &file.steps[index.at()].name;
    let is_before = core.ancestors(pivot).contains(index);
    let pivot = &core.step(pivot).name;
    if is_before && core.is_after_pivot(index) {
        let message = format!(
            "step {} comes behind a pivot that may be skipped and before the pivot {pivot}: it may \
             have to be undone, and behind a pivot nothing is",
            step.value
        );
        let remedy =
            "give it the condition of the pivot before it, or put it before or behind both";
        findings.error("pivot-parallel", step.span, message, remedy);
    }
    let is_behind = core.ancestors(index).iter().any(|it| core.step(it).name == *pivot);
    if !is_before && !is_behind {
        let message = format!(
            "step {} runs beside the pivot {pivot}: it may refuse when there is no way back",
            step.value
        );
        let remedy = format!("add {} to `after` of {pivot}, or {pivot} to its own", step.value);
        findings.error("pivot-parallel", step.span, message, remedy);
    }
}
