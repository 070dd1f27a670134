//! The rules about values that nothing ever has: a number that an enum has no name for, a name
//! that it has not, a reason that is nearly one of the engine's.

use prost_reflect::{EnumDescriptor, Kind, Value};

use crate::{
    ActionPlan, CallPlan, CompiledDefinition,
    expression::{Expression, Ir, walk},
    file::suggest,
    finding::Findings,
};

/// Why a saga turns back where it was no participant that refused.
const REASONS: [&str; 5] =
    ["DEADLINE", "CANCELLED", "ATTEMPTS_EXHAUSTED", "UNRENDERABLE", "UNDONE_IN_LOST_ROWS"];

/// What people write for them.
const MISSPELT: [(&str, &str); 5] = [
    ("CANCELED", "CANCELLED"),
    ("CANCEL", "CANCELLED"),
    ("DEADLINE_EXCEEDED", "DEADLINE"),
    ("DEADLINE_PASSED", "DEADLINE"),
    ("TIMEOUT", "DEADLINE"),
];

/// The rules about values that there are not.
pub(crate) fn check(definition: &CompiledDefinition, findings: &mut Findings) {
    for plan in &definition.plans {
        plan.when.iter().for_each(|it| check_one(it, findings));
        match &plan.action {
            ActionPlan::Call(call) => check_call(call, findings),
            ActionPlan::Wait(wait) => wait.accept.iter().for_each(|it| check_one(it, findings)),
            ActionPlan::Given => {}
        }
        if let Some(undo) = &plan.compensation {
            undo.when.iter().for_each(|it| check_one(it, findings));
            check_call(&undo.call, findings);
        }
    }
}

fn check_call(call: &CallPlan, findings: &mut Findings) {
    let made = call.request.expressions().into_iter().chain(call.expect.expressions());
    let refused = call.refused.iter().flat_map(|it| it.reason.iter().chain([&it.when]));
    let headers = call.headers.iter().map(|(_, it)| it);
    made.chain(refused).chain(headers).for_each(|it| check_one(it, findings));
}

fn check_one(expression: &Expression, findings: &mut Findings) {
    walk(&expression.root, &mut |part| {
        let (one, others) = match part {
            Ir::Compare(_, a, b) if matches!(**a, Ir::Literal(_)) => {
                (b, std::slice::from_ref(&**a))
            }
            Ir::Compare(_, a, b) => (a, std::slice::from_ref(&**b)),
            Ir::In(item, all) => match &**all {
                Ir::List(items) => (item, items.as_slice()),
                _ => return,
            },
            _ => return,
        };
        for other in others {
            let Ir::Literal(value) = other else { continue };
            if let Some((rule, message, remedy)) = never(one, value) {
                findings.warning(rule, expression.span, message, remedy);
            }
        }
    });
}

/// Why `one` is never this value.
fn never(one: &Ir, value: &Value) -> Option<(&'static str, String, String)> {
    match (one, value) {
        (Ir::FailureReason, Value::String(reason)) => {
            let known = REASONS.contains(&reason.as_str());
            let (_, meant) = MISSPELT.iter().find(|(it, _)| it == reason).filter(|_| !known)?;
            let message = format!("`{reason}` is no reason of the engine's");
            let remedy = format!(
                "did you mean `{meant}`? It is right only where a participant refuses with that \
                 reason"
            );
            Some(("unknown-reason", message, remedy))
        }
        (Ir::EnumName(_, of), Value::String(name)) if of.get_value_by_name(name).is_none() => Some(
            ("unknown-value", format!("{} has no value `{name}`", of.full_name()), near(name, of)),
        ),
        (Ir::Select(_, field), Value::I64(number)) => {
            let Kind::Enum(of) = field.kind() else { return None };
            let has = i32::try_from(*number).is_ok_and(|it| of.get_value(it).is_some());
            let message = format!("{} has no value {number}", of.full_name());
            (!has).then(|| ("unknown-value", message, near("", &of)))
        }
        _ => None,
    }
}

fn near(name: &str, of: &EnumDescriptor) -> String {
    let names: Vec<String> = of.values().map(|it| it.name().to_owned()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    format!("{}; compare with a name, in quotes", suggest(name, &names))
}
