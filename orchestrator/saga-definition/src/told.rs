//! What a definition says, with everything in it that it leaves to a default: to compare it with
//! another one. Two definitions that are told alike run alike.

use saga_core::{Jitter, OnTimeout, OnUnknown, RetryPolicy, StepIndex, StepKind};

use crate::{ActionPlan, CallPlan, CompiledDefinition, expression::written, file::REFUSAL_CODES};

impl CompiledDefinition {
    /// What it says, a path and a value each, in the order of its steps: `steps.pay.action.call`
    /// is `payment/acme.pay.v1.Payments/Charge`.
    #[must_use]
    pub fn told(&self) -> Vec<(String, String)> {
        let mut told = vec![("input".to_owned(), self.input.full_name().to_owned())];
        let deadline = self.core.deadline_ms.map_or("none".to_owned(), span);
        told.push(("deadline".to_owned(), deadline));
        for (name, expression) in &self.labels {
            let text = written(&expression.root, &self.names, None);
            told.push((format!("labels.{name}"), text));
        }
        self.core.indices().for_each(|step| self.tell_step(step, &mut told));
        told
    }

    fn tell_step(&self, index: StepIndex, told: &mut Vec<(String, String)>) {
        let (step, plan) = (self.core.step(index), &self.plans[index.at()]);
        let path = format!("steps.{}", step.name);
        let mut tell = |key: &str, text: String| told.push((format!("{path}.{key}"), text));
        let after: Vec<&str> = step.after.iter().map(|it| self.names[it.at()].as_str()).collect();
        tell("after", format!("[{}]", after.join(", ")));
        if let Some(when) = &plan.when {
            tell("when", written(&when.root, &self.names, None));
        }
        if step.pivot {
            tell("pivot", "true".to_owned());
        }
        match &plan.action {
            ActionPlan::Given => tell("given", "true".to_owned()),
            ActionPlan::Wait(wait) => {
                tell("wait.signal", wait.signal.clone());
                tell("wait.type", wait.of.full_name().to_owned());
                if let Some(accept) = &wait.accept {
                    tell("wait.accept", written(&accept.root, &self.names, None));
                    tell("wait.refused", wait.refused.clone());
                }
                if let StepKind::Wait { timer: Some(timer) } = step.kind {
                    tell("wait.timeout", span(timer.after_ms));
                    let then = match timer.then {
                        OnTimeout::Accept => "accept",
                        OnTimeout::Refuse => "refuse",
                    };
                    tell("wait.on_timeout", then.to_owned());
                }
            }
            ActionPlan::Call(call) => {
                tell("on_unknown", doubt(step.on_unknown).to_owned());
                tell("retry", policy(&step.retry));
                if step.on_unknown == OnUnknown::Resolve {
                    tell("resolve", policy(&step.resolve_retry));
                }
                self.tell_call(&format!("{path}.action"), call, told);
            }
        }
        let Some(undo) = &plan.compensation else { return };
        let path = format!("{path}.compensation");
        if let Some(when) = &undo.when {
            told.push((format!("{path}.when"), written(&when.root, &self.names, None)));
        }
        told.push((format!("{path}.retry"), policy(&step.compensation_retry)));
        self.tell_call(&path, &undo.call, told);
    }

    fn tell_call(&self, path: &str, call: &CallPlan, told: &mut Vec<(String, String)>) {
        let spec = &call.spec;
        let mut tell = |key: &str, text: String| told.push((format!("{path}.{key}"), text));
        tell("call", format!("{}{}", spec.participant, spec.path.path()));
        tell("timeout", span(u64::try_from(spec.timeout.as_millis()).unwrap_or(u64::MAX)));
        let refusals: Vec<&str> = REFUSAL_CODES
            .iter()
            .filter(|(_, code)| spec.refusals.contains(*code))
            .map(|(name, _)| *name)
            .collect();
        if !refusals.is_empty() {
            tell("refusals", format!("[{}]", refusals.join(", ")));
        }
        if !spec.already_undone.is_empty() {
            tell("already_undone", format!("[{}]", spec.already_undone.join(", ")));
        }
        if let Some(refused) = &call.refused {
            tell("refused_when", written(&refused.when.root, &self.names, None));
            if let Some(reason) = &refused.reason {
                tell("refused_reason", written(&reason.root, &self.names, None));
            }
        }
        for (name, header) in &call.headers {
            tell(&format!("headers.{name}"), written(&header.root, &self.names, None));
        }
        call.request.told(&format!("{path}.request"), &self.names, told);
        call.expect.told(&format!("{path}.expect"), &self.names, told);
    }
}

fn doubt(on_unknown: OnUnknown) -> &'static str {
    match on_unknown {
        OnUnknown::Resolve => "resolve",
        OnUnknown::Retry => "retry",
        OnUnknown::FinishThenUndo => "finish_then_undo",
        OnUnknown::Park => "park",
    }
}

/// A policy as a definition writes it.
fn policy(it: &RetryPolicy) -> String {
    let jitter = match it.jitter {
        Jitter::None => "none",
        Jitter::Full => "full",
    };
    format!(
        "{{ first: {}, factor: {}, max: {}, jitter: {jitter}, attempts: {} }}",
        span(it.delay_first_ms),
        f64::from(it.factor_permille) / 1000.0,
        span(it.delay_max_ms),
        it.attempts_max
    )
}

/// A duration in the largest unit that leaves nothing over, as a definition writes it.
pub(crate) fn span(ms: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let whole = units.into_iter().find(|(_, unit_ms)| 0 < ms && ms.is_multiple_of(*unit_ms));
    whole.map_or_else(|| format!("{ms}ms"), |(unit, unit_ms)| format!("{}{unit}", ms / unit_ms))
}
