//! The steps of a definition as they stand in the file.

use http::uri::PathAndQuery;
use saga_core::{OnUnknown, RetryPolicy, STEPS_MAX};

use super::{
    fields::{Fields, list, scalar},
    headers::read_headers,
    keys,
    reasons::read_reasons,
    retry::read_retry,
    wait::{WaitFile, read_wait},
};
use crate::{
    RefusalCodes,
    file::is_name,
    finding::{Findings, Span},
    yaml::{Node, NodeValue, Spanned},
};

/// Time for one attempt where the definition says nothing, in milliseconds.
const TIMEOUT_MS: u64 = 5_000;

/// Codes that a definition may declare to be refusals. The others are also made by gRPC
/// libraries and by proxies, and so say nothing about what the participant did.
pub(crate) const REFUSAL_CODES: [(&str, i32); 10] = [
    ("ABORTED", 10),
    ("ALREADY_EXISTS", 6),
    ("FAILED_PRECONDITION", 9),
    ("INVALID_ARGUMENT", 3),
    ("NOT_FOUND", 5),
    ("OUT_OF_RANGE", 11),
    ("PERMISSION_DENIED", 7),
    ("RESOURCE_EXHAUSTED", 8),
    ("UNAUTHENTICATED", 16),
    ("UNIMPLEMENTED", 12),
];

/// A step as it stands in the file.
#[derive(Debug)]
pub(crate) struct StepFile {
    pub(crate) name: Spanned<String>,
    /// `None`: after the step before it in the file.
    pub(crate) after: Option<Vec<Spanned<String>>>,
    pub(crate) when: Option<Spanned<String>>,
    /// Where `pivot: true` stands.
    pub(crate) pivot: Option<Span>,
    pub(crate) action: ActionFile,
    pub(crate) compensation: CompensationFile,
    pub(crate) on_unknown: Spanned<OnUnknown>,
    pub(crate) retry: Option<Spanned<RetryPolicy>>,
    pub(crate) resolve: Option<RetryPolicy>,
    /// Where `refusals` stands, and its codes.
    pub(crate) refusals: Option<Spanned<RefusalCodes>>,
}

/// What the file says about how a step comes to be applied.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there are 64 at most, and not for long")]
pub(crate) enum ActionFile {
    /// `action`.
    Call(CallFile),
    /// `wait`.
    Wait(WaitFile),
    /// Neither: the client brought the effect along.
    Given,
}

/// What the file says about undoing a step.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there are 64 at most, and not for long")]
pub(crate) enum CompensationFile {
    /// Nothing.
    Absent,
    /// `compensation: none`.
    None(Span),
    /// A call.
    Call { span: Span, call: CallFile, retry: Option<RetryPolicy> },
}

impl StepFile {
    /// The call of its action, where it has one.
    pub(crate) fn call(&self) -> Option<&CallFile> {
        match &self.action {
            ActionFile::Call(call) => Some(call),
            ActionFile::Wait(_) | ActionFile::Given => None,
        }
    }

    /// The call that undoes it, where there is one.
    pub(crate) fn undo(&self) -> Option<&CallFile> {
        match &self.compensation {
            CompensationFile::Call { call, .. } => Some(call),
            CompensationFile::Absent | CompensationFile::None(_) => None,
        }
    }

    /// What it waits for, where it does.
    pub(crate) fn wait(&self) -> Option<&WaitFile> {
        match &self.action {
            ActionFile::Wait(wait) => Some(wait),
            ActionFile::Call(_) | ActionFile::Given => None,
        }
    }

    /// Whether the client brought its effect along.
    pub(crate) fn is_given(&self) -> bool {
        matches!(self.action, ActionFile::Given)
    }
}

/// A call as it stands in the file.
#[derive(Debug)]
pub(crate) struct CallFile {
    pub(crate) participant: String,
    pub(crate) service: String,
    pub(crate) method: String,
    pub(crate) path: PathAndQuery,
    /// Where `call` stands.
    pub(crate) span: Span,
    /// A mapping from fields to expressions. `None`: an empty request.
    pub(crate) request: Option<Node>,
    /// A mapping from fields of the reply to expressions. `None`: nothing is compared.
    pub(crate) expect: Option<Node>,
    /// Metadata of the call: names, and expressions that give texts.
    pub(crate) headers: Vec<(Spanned<String>, Spanned<String>)>,
    /// Of an action: a reply for which this is true says no.
    pub(crate) refused_when: Option<Spanned<String>>,
    /// The reason that such a reply gives.
    pub(crate) refused_reason: Option<Spanned<String>>,
    pub(crate) timeout_ms: u64,
    /// Of a compensation: it is made only where this is true.
    pub(crate) when: Option<Spanned<String>>,
    /// Of a compensation: reasons of refusals that say that the effect is undone already.
    pub(crate) already_undone: Vec<String>,
}

/// Reads the steps. Returns `None` where any of them is not usable.
pub(super) fn read(node: &Node, findings: &mut Findings) -> Option<Vec<StepFile>> {
    let items = list(node, "steps", findings)?;
    if items.is_empty() || STEPS_MAX < items.len() {
        let message = format!("{} steps; 1 to {STEPS_MAX} are allowed", items.len());
        findings.error("shape", node.span, message, "split the saga, or add a step");
        return None;
    }
    let steps: Vec<Option<StepFile>> = items.iter().map(|it| read_step(it, findings)).collect();
    steps.into_iter().collect()
}

fn read_step(node: &Node, findings: &mut Findings) -> Option<StepFile> {
    let fields = Fields::of(node, "a step", &keys::STEP, findings)?;
    let name = fields.text("name", findings);
    if let Some(name) = &name
        && !is_name(&name.value, "_")
    {
        let message = format!("`{}` is not a step name", name.value);
        let remedy = "begin with a small letter; go on with small letters, digits and `_`; 64 \
                      at most";
        findings.error("name", name.span, message, remedy);
    }
    let after = fields.optional("after").map(|it| read_names(it, "after", findings));
    let when = fields.optional_text("when", findings);
    let pivot = fields.flag("pivot", findings).then(|| fields.key_span("pivot"));
    let step_retry = read_retry(&fields, "retry", RetryPolicy::ACTION, findings);
    let action = read_action(&fields, findings);
    let compensation = read_compensation(&fields, findings);
    let on_unknown = read_on_unknown(&fields, findings);
    let resolve = read_retry(&fields, "resolve", RetryPolicy::RESOLVE, findings);
    let refusals = fields.optional("refusals").map(|it| Spanned {
        value: read_refusals(it, findings),
        span: fields.key_span("refusals"),
    });
    let (action, action_retry) = action?;
    if let (Some(_), Some(second)) = (&step_retry, &action_retry) {
        let remedy = "keep the one of the step";
        findings.error("shape", second.span, "retry is given for step and action", remedy);
    }
    Some(StepFile {
        name: name?,
        after,
        when,
        pivot,
        action,
        compensation: compensation?,
        on_unknown,
        retry: step_retry.or(action_retry),
        resolve: resolve.map(|it| it.value),
        refusals,
    })
}

/// The action, the wait, or neither. Says so where a key stands there that only a call has.
fn read_action(
    fields: &Fields<'_>,
    findings: &mut Findings,
) -> Option<(ActionFile, Option<Spanned<RetryPolicy>>)> {
    let (without, callless): (&str, &[&str]) =
        match (fields.optional("action"), fields.optional("wait")) {
            (Some(node), None) => {
                let (call, retry) = read_call(node, "an action", findings)?;
                return Some((ActionFile::Call(call), retry));
            }
            (Some(_), Some(_)) => {
                let span = fields.key_span("wait");
                let remedy = "make two steps of it: one that waits, one that calls";
                findings.error("shape", span, "a step has either `action` or `wait`", remedy);
                return None;
            }
            (None, Some(_)) => (
                "a step that waits",
                &["compensation", "on_unknown", "retry", "resolve", "refusals"],
            ),
            (None, None) => (
                "a step without action",
                &["when", "pivot", "on_unknown", "retry", "resolve", "refusals"],
            ),
        };
    for key in callless.iter().filter(|key| fields.optional(key).is_some()) {
        let remedy = match *key {
            "when" => "put `when` on its compensation: it is undone where that is true",
            "compensation" => "take it out: a signal has no effect that could be undone",
            _ if fields.optional("wait").is_some() => "take it out: nothing is called",
            _ => "take it out, or add `action`",
        };
        findings.error("shape", fields.key_span(key), format!("{without} has no `{key}`"), remedy);
    }
    match fields.optional("wait") {
        Some(node) => Some((ActionFile::Wait(read_wait(node, findings)?), None)),
        None => Some((ActionFile::Given, None)),
    }
}

pub(super) fn read_names(node: &Node, what: &str, findings: &mut Findings) -> Vec<Spanned<String>> {
    let items = list(node, what, findings).unwrap_or(&[]);
    items.iter().filter_map(|it| scalar(it, what, findings)).collect()
}

fn read_compensation(fields: &Fields<'_>, findings: &mut Findings) -> Option<CompensationFile> {
    let Some(node) = fields.optional("compensation") else {
        return Some(CompensationFile::Absent);
    };
    let span = fields.key_span("compensation");
    if matches!(&node.value, NodeValue::Scalar(text) if text == "none") {
        return Some(CompensationFile::None(span));
    }
    let (call, retry) = read_call(node, "a compensation", findings)?;
    Some(CompensationFile::Call { span, call, retry: retry.map(|it| it.value) })
}

fn read_call(
    node: &Node,
    what: &'static str,
    findings: &mut Findings,
) -> Option<(CallFile, Option<Spanned<RetryPolicy>>)> {
    let (shape, default) = match what {
        "an action" => (&keys::ACTION, RetryPolicy::ACTION),
        _ => (&keys::COMPENSATION, RetryPolicy::COMPENSATION),
    };
    let fields = Fields::of(node, what, shape, findings)?;
    let retry = read_retry(&fields, "retry", default, findings);
    let timeout = fields.optional_duration("timeout", findings);
    let request = fields.optional("request").cloned();
    let expect = fields.optional("expect").cloned();
    let headers = read_headers(&fields, findings);
    let refused_when = fields.optional_text("refused_when", findings);
    let refused_reason = fields.optional_text("refused_reason", findings);
    if let (None, Some(reason)) = (&refused_when, &refused_reason) {
        let remedy = "add `refused_when`, or take it out";
        findings.error("shape", reason.span, "`refused_reason` without `refused_when`", remedy);
    }
    let when = fields.optional_text("when", findings);
    let already_undone = read_reasons(&fields, findings);
    let call = fields.text("call", findings)?;
    let target = split_call(&call.value);
    if target.is_none() {
        let message = format!("`{}` is not a call", call.value);
        let remedy = "write participant/package.Service/Method";
        findings.error("call", call.span, message, remedy);
    }
    let (participant, service, method, path) = target?;
    let call = CallFile {
        participant,
        service,
        method,
        path,
        span: call.span,
        request,
        expect,
        headers,
        refused_when,
        refused_reason,
        timeout_ms: timeout.map_or(TIMEOUT_MS, |it| it.value),
        when,
        already_undone,
    };
    Some((call, retry))
}

/// Splits `participant/package.Service/Method`.
fn split_call(text: &str) -> Option<(String, String, String, PathAndQuery)> {
    let (participant, rest) = text.split_once('/')?;
    let (service, method) = rest.split_once('/')?;
    let plain = |it: &str, dots: bool| {
        let ok = |c: char| c.is_ascii_alphanumeric() || c == '_' || (dots && c == '.');
        !it.is_empty() && it.chars().all(ok)
    };
    if !is_name(participant, "-_") || !plain(service, true) || !plain(method, false) {
        return None;
    }
    let path = PathAndQuery::try_from(format!("/{service}/{method}")).ok()?;
    Some((participant.to_owned(), service.to_owned(), method.to_owned(), path))
}

/// What is said of a doubt, and where: where nothing is said, at the step's first word.
fn read_on_unknown(fields: &Fields<'_>, findings: &mut Findings) -> Spanned<OnUnknown> {
    let Some(text) = fields.optional_text("on_unknown", findings) else {
        return Spanned { value: OnUnknown::default(), span: fields.first_span() };
    };
    let value = match text.value.as_str() {
        "resolve" => OnUnknown::Resolve,
        "retry" => OnUnknown::Retry,
        "finish_then_undo" | "finish-then-undo" => OnUnknown::FinishThenUndo,
        "park" => OnUnknown::Park,
        other => {
            let message = format!("on_unknown is `{other}`");
            let remedy = "write resolve, retry, finish_then_undo or park";
            findings.error("shape", text.span, message, remedy);
            OnUnknown::default()
        }
    };
    Spanned { value, span: text.span }
}

fn read_refusals(node: &Node, findings: &mut Findings) -> RefusalCodes {
    let mut codes = RefusalCodes::NONE;
    for name in read_names(node, "refusals", findings) {
        let found = REFUSAL_CODES.iter().find(|(known, _)| *known == name.value);
        match found {
            Some((_, code)) => codes = codes.with(*code),
            None => {
                let message = format!("`{}` cannot be declared a refusal", name.value);
                let known: Vec<&str> = REFUSAL_CODES.iter().map(|(name, _)| *name).collect();
                let remedy = format!(
                    "gRPC libraries and proxies make the other codes by themselves; allowed: {}",
                    known.join(", ")
                );
                findings.error("refusal-code", name.span, message, remedy);
            }
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::super::fields::duration_ms;

    #[test]
    fn durations_have_a_unit_and_do_not_overflow() {
        let read = ["100ms", "2s", "5m", "1h", "3d", "0s", "5", "1.5s", "-1s", "99999999999999d"];
        let ms: Vec<Option<u64>> = read.into_iter().map(duration_ms).collect();
        let expected = [Some(100), Some(2_000), Some(300_000), Some(3_600_000), Some(259_200_000)];
        assert_eq!(ms[..5], expected);
        assert_eq!(ms[5..], [None; 5]);
    }
}
