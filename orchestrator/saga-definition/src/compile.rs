//! From a file to a compiled definition.
//!
//! Rules belong to the check, which a definition passes once, before it is stored. What is
//! stored was checked then: reading it only makes what runs it, and a rule that was added
//! since cannot keep it from being read. So no rule may end in `None` where something could
//! be made, and the bounds of the readers may be raised, never lowered.

use prost_reflect::{MessageDescriptor, MethodDescriptor};
use saga_core::{Definition, RetryPolicy, Step, StepKind, StepSet};

use crate::{
    Compiled, CompiledDefinition, Contracts, LANGUAGE_LEVEL, Report, StepPlan, Unreadable,
    canonical,
    descriptors::Search,
    file::{self, ActionFile, CompensationFile, DEFINITION_BYTES_MAX, DefinitionFile},
    finding::{Findings, Span},
    rules, yaml,
};

mod plan;

use plan::Types;

/// Checks a definition, and makes what runs it.
pub(super) fn check(
    yaml: &str,
    file_name: &str,
    contracts: &Contracts,
) -> Result<Compiled, Report> {
    let mut findings = Findings::default();
    if let Some(draft) = checked_draft(yaml, &mut findings) {
        rules::check_inquiries(&draft.file, contracts, &mut findings);
        let search = Search::served(&draft.file, contracts, &mut findings);
        let made = make(&draft, &search, LANGUAGE_LEVEL, &mut findings);
        let core = made.as_ref().map_or(&draft.core, |it| &it.core);
        rules::check(&draft.file, core, made.as_ref(), &mut findings);
        if let Some(definition) = &made {
            rules::check_dangers(&draft.file, definition, &mut findings);
            rules::check_values(definition, &mut findings);
            rules::check_limbo(&draft.file, definition, &mut findings);
        }
        if let (Some(definition), Some(sizes)) = (&made, &contracts.sizes) {
            rules::check_sizes(&draft.file, definition, sizes, &mut findings);
        }
        if let (Some(definition), false) = (made, findings.has_errors()) {
            let Report { findings: warnings, rendered, .. } = findings.into_report(file_name, yaml);
            return Ok(Compiled { definition, warnings, rendered });
        }
    }
    Err(findings.into_report(file_name, yaml))
}

/// Makes what runs a definition that was checked when it was stored, in the language of
/// `level`. A finding alone changes nothing: only what cannot be made does.
pub(super) fn read(
    yaml: &str,
    name: &str,
    level: u32,
    types: &[u8],
) -> Result<CompiledDefinition, Unreadable> {
    if !(1..=LANGUAGE_LEVEL).contains(&level) {
        return Err(Unreadable::Newer { level });
    }
    let mut findings = Findings::default();
    let search = Search::stored(types);
    let made =
        draft(yaml, &mut findings).and_then(|draft| make(&draft, &search, level, &mut findings));
    made.ok_or_else(|| Unreadable::Broken(Box::new(findings.into_report(name, yaml))))
}

/// A file whose shape is known.
pub(super) struct Draft {
    root: yaml::Node,
    pub(super) file: DefinitionFile,
    core: Definition,
}

impl Draft {
    /// SHA-256 of the canonical form.
    pub(super) fn hash(&self) -> [u8; 32] {
        canonical::hash(&self.root)
    }
}

/// Reads a file as far as its shape goes, within the limit for new ones.
pub(super) fn checked_draft(yaml: &str, findings: &mut Findings) -> Option<Draft> {
    if DEFINITION_BYTES_MAX < yaml.len() {
        let message = format!("{} bytes; at most {DEFINITION_BYTES_MAX} are allowed", yaml.len());
        findings.error("too-large", Span::default(), message, "split the saga");
        return None;
    }
    draft(yaml, findings)
}

/// Reads a file as far as its shape goes.
pub(super) fn draft(yaml: &str, findings: &mut Findings) -> Option<Draft> {
    let root = yaml::parse(yaml, findings)?;
    let file = file::read(&root, findings)?;
    let core = core_of(&file, findings);
    Some(Draft { root, file, core })
}

/// Everything that can be made of a draft with these types.
fn make(
    draft: &Draft,
    search: &Search<'_>,
    level: u32,
    findings: &mut Findings,
) -> Option<CompiledDefinition> {
    let Draft { file, core, .. } = draft;
    let endings = ["Input", "Request"];
    let input = search.message("unknown-input", &file.input, &endings, findings);
    let targets = Targets::find(file, search, findings);
    let names: Vec<String> = file.steps.iter().map(|it| it.name.value.clone()).collect();
    let replies = (0..names.len()).map(|step| targets.reply(step));
    let steps: Vec<(String, Option<MessageDescriptor>)> =
        names.iter().cloned().zip(replies).collect();
    let types = Types { core, input: input.as_ref(), steps: &steps, level };
    let plans: Vec<Option<StepPlan>> =
        core.indices().map(|index| types.plan(file, index, &targets, findings)).collect();
    let labels = types.labels(file, findings)?;
    let mut made = CompiledDefinition {
        core: core.clone(),
        hash: draft.hash(),
        retires: file.retires,
        input: input?,
        names,
        plans: plans.into_iter().collect::<Option<_>>()?,
        labels,
        pools: search.pools.clone(),
    };
    for (pivot, excludes) in rules::exclusions(&made) {
        made.core.steps[pivot.at()].excludes = excludes;
    }
    // After the pivot there is no last attempt, only one behind which a person is told.
    for index in core.indices() {
        if made.core.is_after_pivot(index) && file.steps[index.at()].retry.is_none() {
            made.core.steps[index.at()].retry = RetryPolicy::COMPENSATION;
        }
    }
    Some(made)
}

/// The part that decisions depend on.
fn core_of(file: &DefinitionFile, findings: &mut Findings) -> Definition {
    let dependencies = rules::dependencies(file, findings);
    let steps = file.steps.iter().zip(dependencies).map(|(step, after)| Step {
        name: step.name.value.clone(),
        kind: match &step.action {
            ActionFile::Call(_) => StepKind::Call,
            ActionFile::Wait(wait) => {
                StepKind::Wait { timer: wait.timer.as_ref().map(|it| it.value) }
            }
            ActionFile::Given => StepKind::Given,
        },
        after,
        conditional: step.when.is_some(),
        pivot: step.pivot.is_some(),
        // What conditions say is known once they are made.
        excludes: StepSet::EMPTY,
        compensable: step.undo().is_some(),
        compensation_conditional: step.undo().is_some_and(|undo| undo.when.is_some()),
        on_unknown: step.on_unknown.value,
        timeout_ms: step.call().map_or(0, |call| call.timeout_ms),
        retry: step.retry.as_ref().map_or(RetryPolicy::ACTION, |it| it.value),
        compensation_retry: match &step.compensation {
            CompensationFile::Call { retry: Some(retry), .. } => *retry,
            _ => RetryPolicy::COMPENSATION,
        },
        resolve_retry: step.resolve.unwrap_or(RetryPolicy::RESOLVE),
    });
    Definition {
        name: file.name.value.clone(),
        version: file.version,
        deadline_ms: file.deadline_ms.as_ref().map(|it| it.value),
        steps: steps.collect(),
    }
}

/// What the calls and waits of a definition refer to, by step. `None`: not found, which is
/// reported, or there is none.
struct Targets {
    actions: Vec<Option<MethodDescriptor>>,
    compensations: Vec<Option<MethodDescriptor>>,
    signals: Vec<Option<MessageDescriptor>>,
}

impl Targets {
    fn find(file: &DefinitionFile, search: &Search<'_>, findings: &mut Findings) -> Self {
        let (mut actions, mut compensations, mut signals) = (Vec::new(), Vec::new(), Vec::new());
        for step in &file.steps {
            actions.push(step.call().and_then(|call| search.method(call, findings)));
            compensations.push(step.undo().and_then(|call| search.method(call, findings)));
            let signal = step.wait().and_then(|wait| wait.of.as_ref());
            signals.push(
                signal.and_then(|it| search.message("unknown-signal-type", it, &[""], findings)),
            );
        }
        Self { actions, compensations, signals }
    }

    /// The type of a step's reply, where it has one.
    fn reply(&self, step: usize) -> Option<MessageDescriptor> {
        let reply = self.actions[step].as_ref().map(MethodDescriptor::output);
        reply.or_else(|| self.signals[step].clone())
    }
}
