//! The plan of each step: its expressions, typed, and whom it calls.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use prost_reflect::{MessageDescriptor, MethodDescriptor};
use saga_core::{Definition, StepIndex, StepSet};

use super::Targets;
use crate::{
    ActionPlan, CallPlan, CallSpec, RefusalCodes, RefusedPlan, StepPlan, UndoPlan, WaitPlan,
    expression::{self, Expression, Place, Reads, Scope},
    file::{ActionFile, CallFile, DefinitionFile, WaitFile},
    finding::{Findings, Span},
    request::{self, MessageTemplate},
    rules,
    value_type::Type,
    yaml::Spanned,
};

/// What is known about types when calls are compiled.
pub(super) struct Types<'a> {
    pub(super) core: &'a Definition,
    pub(super) input: Option<&'a MessageDescriptor>,
    pub(super) steps: &'a [(String, Option<MessageDescriptor>)],
    /// The language level.
    pub(super) level: u32,
}

impl Types<'_> {
    fn scope<'s>(&'s self, readable: StepSet, place: Place<'s>) -> Scope<'s> {
        Scope {
            input: self.input,
            steps: self.steps,
            readable,
            core: self.core,
            place,
            level: self.level,
        }
    }

    pub(super) fn plan(
        &self,
        file: &DefinitionFile,
        index: StepIndex,
        targets: &Targets,
        findings: &mut Findings,
    ) -> Option<StepPlan> {
        let step = &file.steps[index.at()];
        let before = self.core.ancestors(index);
        let forward = At { index, compensation: false, readable: before, guarded: StepSet::EMPTY };
        let when = self.condition(step.when.as_ref(), &forward, Place::Forward, findings);
        let guarded =
            when.iter().flatten().fold(StepSet::EMPTY, |set, it| set.union(it.reads.asks));
        let action = At { guarded, ..forward };
        let action = match &step.action {
            ActionFile::Call(call) => targets.actions[index.at()].as_ref().and_then(|method| {
                let refusals = step.refusals.as_ref().map_or(RefusalCodes::NONE, |it| it.value);
                let call = self.call(call, method, &action, findings)?;
                let spec = CallSpec { refusals, ..call.spec };
                Some(ActionPlan::Call(Box::new(CallPlan { spec, ..call })))
            }),
            ActionFile::Wait(wait) => {
                self.wait(wait, targets.signals[index.at()].as_ref(), &action, findings)
            }
            ActionFile::Given => Some(ActionPlan::Given),
        };
        let compensation = match (step.undo(), &targets.compensations[index.at()]) {
            (Some(call), Some(method)) => {
                let readable = before.with(index);
                let backward = At { index, compensation: true, readable, guarded };
                Some(self.undo(call, method, &backward, findings)?)
            }
            _ => None,
        };
        Some(StepPlan { when: when?, action: action?, compensation })
    }

    /// A condition that may be absent. The outer `None`: it is wrong, which is reported.
    fn condition(
        &self,
        text: Option<&Spanned<String>>,
        at: &At,
        place: Place<'_>,
        findings: &mut Findings,
    ) -> Option<Option<Expression>> {
        let Some(text) = text else { return Some(None) };
        let made = expression::compile(text, &self.scope(at.readable, place), findings)?;
        if made.of != Type::Bool {
            let message = format!("`{}` is a {}", text.value, made.of);
            findings.error("wrong-type", text.span, message, "make it true or false");
        }
        let reads = [(made.reads, made.span)];
        rules::check_reads(self.core, at.index, at.compensation, at.guarded, &reads, findings);
        Some(Some(made))
    }

    fn wait(
        &self,
        wait: &WaitFile,
        of: Option<&MessageDescriptor>,
        at: &At,
        findings: &mut Findings,
    ) -> Option<ActionPlan> {
        let accept = self.condition(wait.accept.as_ref(), at, Place::Accept(of), findings)?;
        let (signal, refused) = (wait.signal.value.clone(), wait.refused.clone());
        Some(ActionPlan::Wait(Box::new(WaitPlan { signal, of: of?.clone(), accept, refused })))
    }

    fn undo(
        &self,
        call: &CallFile,
        method: &MethodDescriptor,
        at: &At,
        findings: &mut Findings,
    ) -> Option<UndoPlan> {
        let when = self.condition(call.when.as_ref(), at, Place::Compensation, findings);
        let asked = when.iter().flatten().fold(at.guarded, |set, it| set.union(it.reads.asks));
        let call = self.call(call, method, &At { guarded: asked, ..*at }, findings);
        Some(UndoPlan { when: when?, call: call? })
    }

    fn call(
        &self,
        call: &CallFile,
        method: &MethodDescriptor,
        at: &At,
        findings: &mut Findings,
    ) -> Option<CallPlan> {
        let place = if at.compensation { Place::Compensation } else { Place::Forward };
        let scope = self.scope(at.readable, place);
        let given = call.request.as_ref();
        let request = request::compile("request", given, &method.input(), &scope, findings);
        if let Some(request) = &request {
            request.check_required(call.span, findings);
        }
        let given = call.expect.as_ref();
        let expect = request::compile("expect", given, &method.output(), &scope, findings);
        let headers = self.headers(call, &scope, findings);
        let refused = match &call.refused_when {
            Some(text) => Some(self.refused(text, call, method, at, findings)?),
            None => None,
        };
        let (request, expect) = (request?, expect?);
        let mut reads_of = |template: &MessageTemplate| {
            let all = template.reads();
            rules::check_reads(self.core, at.index, at.compensation, at.guarded, &all, findings);
            all.iter().fold(Reads::default(), |sum, (reads, _)| sum.union(*reads))
        };
        let (reads, expect_reads) = (reads_of(&request), reads_of(&expect));
        let headers = headers?;
        let header_reads: Vec<(Reads, Span)> =
            headers.iter().map(|(_, it)| (it.reads, it.span)).collect();
        rules::check_reads(
            self.core,
            at.index,
            at.compensation,
            at.guarded,
            &header_reads,
            findings,
        );
        let spec = CallSpec {
            participant: call.participant.clone(),
            path: call.path.clone(),
            timeout: Duration::from_millis(call.timeout_ms),
            refusals: RefusalCodes::NONE,
            already_undone: call.already_undone.clone(),
            request_type: method.input(),
            reply_type: method.output(),
            types_id: types_id(method),
        };
        Some(CallPlan { spec, request, reads, headers, expect, expect_reads, refused })
    }

    /// Metadata: texts.
    fn headers(
        &self,
        call: &CallFile,
        scope: &Scope<'_>,
        findings: &mut Findings,
    ) -> Option<Vec<(String, Expression)>> {
        let made = call.headers.iter().map(|(name, text)| {
            let made = expression::compile(text, scope, findings)?;
            if made.of != Type::String {
                let message = format!("header `{}` is a {}", name.value, made.of);
                findings.error("wrong-type", text.span, message, "make it a text: string(...)");
            }
            Some((name.value.clone(), made))
        });
        let made: Vec<Option<(String, Expression)>> = made.collect();
        made.into_iter().collect()
    }

    /// What a reply that says no is, and its reason.
    fn refused(
        &self,
        text: &Spanned<String>,
        call: &CallFile,
        method: &MethodDescriptor,
        at: &At,
        findings: &mut Findings,
    ) -> Option<RefusedPlan> {
        let of = method.output();
        let when = self.condition(Some(text), at, Place::Reply(&of), findings)??;
        let reason = match &call.refused_reason {
            None => None,
            Some(text) => {
                let scope = self.scope(at.readable, Place::Reply(&of));
                let made = expression::compile(text, &scope, findings)?;
                if made.of != Type::String {
                    let message = format!("`{}` is a {}", text.value, made.of);
                    let remedy = "make it a text: \"'OUT_OF_STOCK'\", or string(reply.code)";
                    findings.error("wrong-type", text.span, message, remedy);
                }
                Some(made)
            }
        };
        Some(RefusedPlan { when, reason })
    }

    /// Labels are made when a saga starts: from its input, before any step.
    pub(super) fn labels(
        &self,
        file: &DefinitionFile,
        findings: &mut Findings,
    ) -> Option<Vec<(String, Expression)>> {
        let scope = self.scope(StepSet::EMPTY, Place::Forward);
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

/// A number of the types that a method is declared among.
fn types_id(method: &MethodDescriptor) -> u64 {
    let mut hasher = DefaultHasher::new();
    method.parent_pool().encode_to_vec().hash(&mut hasher);
    hasher.finish()
}

/// Where an expression stands.
#[derive(Clone, Copy)]
struct At {
    index: StepIndex,
    compensation: bool,
    /// Steps whose replies may be read.
    readable: StepSet,
    /// Steps that a condition around it asks about.
    guarded: StepSet,
}
