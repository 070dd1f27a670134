//! From a file to a compiled definition: the steps of the check, in order.

use std::time::Duration;

use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};
use saga_core::{Definition, RetryPolicy, Step, StepIndex, StepSet};

use crate::definition::{
    CallPlan, CallSpec, Compiled, CompiledDefinition, RefusalCodes, Report, StepPlan, canonical,
    expression::{self, Expression, Reads, Scope},
    file::{self, CallFile, CompensationFile, DEFINITION_BYTES_MAX, DefinitionFile, suggest},
    finding::{Findings, Span, render},
    request, rules,
    value_type::Type,
    yaml,
};

/// Reads a file as far as its shape goes.
pub(super) fn read(yaml: &str, findings: &mut Findings) -> Option<(yaml::Node, DefinitionFile)> {
    if DEFINITION_BYTES_MAX < yaml.len() {
        let message = format!("{} bytes; at most {DEFINITION_BYTES_MAX} are allowed", yaml.len());
        findings.error("too-large", Span::default(), message, "split the saga");
        return None;
    }
    let root = yaml::parse(yaml, findings)?;
    let file = file::read(&root, findings)?;
    Some((root, file))
}

/// Checks and compiles a definition.
pub(super) fn compile(
    yaml: &str,
    file_name: &str,
    pool: &DescriptorPool,
) -> Result<Compiled, Report> {
    let mut findings = Findings::default();
    let Some((root, file)) = read(yaml, &mut findings) else {
        return Err(findings.into_report(file_name, yaml));
    };
    let core = core_of(&file, &mut findings);
    rules::check(&file, &core, &mut findings);

    let input = input_type(&file, pool, &mut findings);
    let methods = Methods::find(&file, pool, &mut findings);
    let names: Vec<String> = file.steps.iter().map(|it| it.name.value.clone()).collect();
    let steps: Vec<(String, Option<MessageDescriptor>)> = names
        .iter()
        .zip(&methods.actions)
        .map(|(name, method)| (name.clone(), method.as_ref().map(MethodDescriptor::output)))
        .collect();
    let types = Types { core: &core, input: input.as_ref(), steps: &steps };
    let plans: Vec<Option<StepPlan>> =
        core.indices().map(|index| types.plan(&file, index, &methods, &mut findings)).collect();
    let labels = types.labels(&file, &mut findings);

    let plans: Option<Vec<StepPlan>> = plans.into_iter().collect();
    if let (Some(input), Some(plans), Some(labels), false) =
        (input, plans, labels, findings.has_errors())
    {
        let hash = canonical::hash(&root);
        let pool = pool.clone();
        let definition = CompiledDefinition { core, hash, input, names, plans, labels, pool };
        let warnings = findings.sorted();
        let rendered = render(&warnings, file_name, yaml);
        return Ok(Compiled { definition, warnings, rendered });
    }
    Err(findings.into_report(file_name, yaml))
}

/// The part that decisions depend on.
fn core_of(file: &DefinitionFile, findings: &mut Findings) -> Definition {
    let dependencies = rules::dependencies(file, findings);
    let steps = file.steps.iter().zip(dependencies).map(|(step, after)| Step {
        name: step.name.value.clone(),
        after,
        conditional: step.when.is_some(),
        pivot: step.pivot.is_some(),
        compensable: matches!(step.compensation, CompensationFile::Call { .. }),
        on_unknown: step.on_unknown,
        retry: step.retry.as_ref().map_or(RetryPolicy::ACTION, |it| it.value),
        compensation_retry: match &step.compensation {
            CompensationFile::Call { retry: Some(retry), .. } => *retry,
            _ => RetryPolicy::COMPENSATION,
        },
        resolve_retry: step.resolve.unwrap_or(RetryPolicy::RESOLVE),
    });
    let mut core = Definition {
        name: file.name.value.clone(),
        version: file.version,
        deadline_ms: file.deadline_ms.as_ref().map(|it| it.value),
        steps: steps.collect(),
    };
    // After the pivot there is no last attempt, only one behind which a person is told.
    for index in core.indices() {
        if core.is_after_pivot(index) && file.steps[index.at()].retry.is_none() {
            core.steps[index.at()].retry = RetryPolicy::COMPENSATION;
        }
    }
    core
}

fn input_type(
    file: &DefinitionFile,
    pool: &DescriptorPool,
    findings: &mut Findings,
) -> Option<MessageDescriptor> {
    let found = pool.get_message_by_name(&file.input.value);
    if found.is_none() {
        let message = format!("there is no message type `{}`", file.input.value);
        let known: Vec<String> = pool.all_messages().map(|it| it.full_name().to_owned()).collect();
        let mut known: Vec<&str> = known.iter().map(String::as_str).collect();
        known.retain(|it| it.ends_with("Input") || it.ends_with("Request"));
        let near = suggest(&file.input.value, &known);
        let remedy = if near.starts_with("did") {
            near
        } else {
            "name a message that a participant serves by reflection: package.Message".to_owned()
        };
        findings.error("unknown-input", file.input.span, message, remedy);
    }
    found
}

/// The methods of all calls, by step. `None`: not found, which is reported.
struct Methods {
    actions: Vec<Option<MethodDescriptor>>,
    compensations: Vec<Option<MethodDescriptor>>,
}

impl Methods {
    fn find(file: &DefinitionFile, pool: &DescriptorPool, findings: &mut Findings) -> Self {
        let actions = file.steps.iter().map(|it| method(&it.action, pool, findings)).collect();
        let compensations = file
            .steps
            .iter()
            .map(|it| match &it.compensation {
                CompensationFile::Call { call, .. } => method(call, pool, findings),
                CompensationFile::Absent | CompensationFile::None(_) => None,
            })
            .collect();
        Self { actions, compensations }
    }
}

fn method(
    call: &CallFile,
    pool: &DescriptorPool,
    findings: &mut Findings,
) -> Option<MethodDescriptor> {
    let Some(service) = pool.get_service_by_name(&call.service) else {
        let message = format!("there is no service `{}`", call.service);
        let known: Vec<String> = pool.services().map(|it| it.full_name().to_owned()).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        findings.error("unknown-service", call.span, message, suggest(&call.service, &known));
        return None;
    };
    let Some(method) = service.methods().find(|it| it.name() == call.method) else {
        let message = format!("{} has no method `{}`", call.service, call.method);
        let known: Vec<String> = service.methods().map(|it| it.name().to_owned()).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        findings.error("unknown-method", call.span, message, suggest(&call.method, &known));
        return None;
    };
    if method.is_client_streaming() || method.is_server_streaming() {
        let message = format!("{} streams", method.full_name());
        let remedy = "call a method with one request and one reply";
        findings.error("streaming-method", call.span, message, remedy);
    }
    Some(method)
}

/// What is known about types when calls are compiled.
struct Types<'a> {
    core: &'a Definition,
    input: Option<&'a MessageDescriptor>,
    steps: &'a [(String, Option<MessageDescriptor>)],
}

impl Types<'_> {
    fn scope(&self, readable: StepSet) -> Scope<'_> {
        Scope { input: self.input, steps: self.steps, readable }
    }

    fn plan(
        &self,
        file: &DefinitionFile,
        index: StepIndex,
        methods: &Methods,
        findings: &mut Findings,
    ) -> Option<StepPlan> {
        let step = &file.steps[index.at()];
        let before = self.core.ancestors(index);
        let when = step.when.as_ref().map(|text| {
            let made = expression::compile(text, &self.scope(before), findings)?;
            if made.of != Type::Bool {
                let message = format!("`{}` is a {}", text.value, made.of);
                findings.error("wrong-type", text.span, message, "make it true or false");
            }
            Some(made)
        });
        let guarded = when.iter().flatten().fold(StepSet::EMPTY, |set, it| {
            rules::check_reads(
                self.core,
                index,
                false,
                StepSet::EMPTY,
                &[(it.reads, it.span)],
                findings,
            );
            set.union(it.reads.asks)
        });
        let action = methods.actions[index.at()].as_ref().and_then(|method| {
            let refusals = step.refusals.as_ref().map_or(RefusalCodes::NONE, |it| it.value);
            let place = Place { index, compensation: false, readable: before, guarded, refusals };
            self.call(&step.action, method, &place, findings)
        });
        let compensation = match (&step.compensation, &methods.compensations[index.at()]) {
            (CompensationFile::Call { call, .. }, Some(method)) => {
                let place = Place {
                    index,
                    compensation: true,
                    readable: before.with(index),
                    guarded,
                    refusals: RefusalCodes::NONE,
                };
                Some(self.call(call, method, &place, findings)?)
            }
            _ => None,
        };
        let when = match when {
            None => None,
            Some(made) => Some(made?),
        };
        Some(StepPlan { when, action: action?, compensation })
    }

    fn call(
        &self,
        call: &CallFile,
        method: &MethodDescriptor,
        place: &Place,
        findings: &mut Findings,
    ) -> Option<CallPlan> {
        let scope = self.scope(place.readable);
        let request = request::compile(call.request.as_ref(), &method.input(), &scope, findings)?;
        let all = request.reads();
        let Place { index, compensation, guarded, .. } = *place;
        rules::check_reads(self.core, index, compensation, guarded, &all, findings);
        let reads = all.iter().fold(Reads::default(), |sum, (reads, _)| sum.union(*reads));
        let spec = CallSpec {
            participant: call.participant.clone(),
            path: call.path.clone(),
            timeout: Duration::from_millis(call.timeout_ms),
            refusals: place.refusals,
            reply_type: method.output(),
        };
        Some(CallPlan { spec, request, reads })
    }

    /// Labels are made when a saga starts: from its input, before any step.
    fn labels(
        &self,
        file: &DefinitionFile,
        findings: &mut Findings,
    ) -> Option<Vec<(String, Expression)>> {
        let scope = self.scope(StepSet::EMPTY);
        let mut labels = Vec::with_capacity(file.labels.len());
        for (name, text) in &file.labels {
            let made = expression::compile(text, &scope, findings);
            if let Some(made) = &made
                && !matches!(
                    made.of,
                    Type::String | Type::Int | Type::UInt | Type::Bool | Type::Enum(_)
                )
            {
                let message = format!("label `{}` is a {}", name.value, made.of);
                let remedy = "make it text, a whole number or true/false";
                findings.error("wrong-type", text.span, message, remedy);
            }
            labels.push(made.map(|made| (name.value.clone(), made)));
        }
        labels.into_iter().collect()
    }
}

/// Where a call stands.
struct Place {
    index: StepIndex,
    compensation: bool,
    readable: StepSet,
    guarded: StepSet,
    refusals: RefusalCodes,
}
