//! Whether an expression may have no value, as far as that shows without any saga's data.

use prost_reflect::Value;

use super::{Arithmetic, Function, Ir};

/// Why an expression may have no value. `None`: it has one, or something around it looks first.
/// What stands behind a condition is taken for looked after: a safe definition is not blamed.
pub(crate) fn may_fail(ir: &Ir) -> Option<&'static str> {
    let any = |all: &[&Ir]| all.iter().find_map(|it| may_fail(it));
    match ir {
        Ir::Index(of, index) => match &**of {
            Ir::List(_) => any(&[of, index]),
            Ir::Record(_) | Ir::Entries(_) => any(&[of, index]),
            _ => Some("there may be no such element: ask size(..) or `in` before it"),
        },
        Ir::Arithmetic(Arithmetic::Divide | Arithmetic::Modulo, a, b) => match &**b {
            Ir::Literal(Value::I64(0) | Value::U64(0)) => Some("it divides by zero"),
            Ir::Literal(_) => may_fail(a),
            _ => Some("it may divide by zero: compare with 0 before it"),
        },
        Ir::Call(function, args) => {
            let from_text = matches!(
                function,
                Function::ToInt
                    | Function::ToUInt
                    | Function::ToTimestamp
                    | Function::ToDuration
                    | Function::Substring
            );
            let constant = args.iter().all(|it| matches!(it, Ir::Literal(_)));
            let text = args.first().is_some_and(is_text);
            if from_text && text && !constant {
                return Some(
                    "the text may be none of what it is read as: ask matches(..) before it",
                );
            }
            args.iter().find_map(may_fail)
        }
        Ir::Select(of, _)
        | Ir::Has(of, _)
        | Ir::Not(of)
        | Ir::Negate(of)
        | Ir::EnumName(of, _)
        | Ir::Matches(of, _) => may_fail(of),
        // The first part alone is evaluated without anything before it.
        Ir::And(a, _) | Ir::Or(a, _) | Ir::Choose(a, _, _) => may_fail(a),
        Ir::Arithmetic(_, a, b) | Ir::Compare(_, a, b) | Ir::In(a, b) => any(&[a, b]),
        Ir::List(all) => all.iter().find_map(may_fail),
        Ir::Record(fields) => fields.iter().find_map(|it| may_fail(&it.value)),
        Ir::Entries(entries) => entries.iter().find_map(|(key, value)| any(&[key, value])),
        Ir::Loop(it) => may_fail(&it.over).or_else(|| match &it.condition {
            Some(condition) => may_fail(condition),
            None => may_fail(&it.body),
        }),
        _ => None,
    }
}

/// Whether this is a text that comes from somewhere.
fn is_text(ir: &Ir) -> bool {
    match ir {
        Ir::Select(_, field) => matches!(field.kind(), prost_reflect::Kind::String),
        Ir::Call(Function::Trim | Function::Replace | Function::LowerAscii, _) => true,
        Ir::Index(..) | Ir::FailureReason | Ir::BusinessKey => true,
        _ => false,
    }
}

/// The operations that an expression names.
pub(crate) fn operations(ir: &Ir, all: &mut saga_core::StepSet) {
    match ir {
        Ir::Operation(step) => *all = all.with(*step),
        Ir::Select(of, _)
        | Ir::Has(of, _)
        | Ir::Not(of)
        | Ir::Negate(of)
        | Ir::EnumName(of, _)
        | Ir::Matches(of, _) => operations(of, all),
        Ir::Index(a, b)
        | Ir::And(a, b)
        | Ir::Or(a, b)
        | Ir::Arithmetic(_, a, b)
        | Ir::Compare(_, a, b)
        | Ir::In(a, b) => [a, b].into_iter().for_each(|it| operations(it, all)),
        Ir::Choose(a, b, c) => [a, b, c].into_iter().for_each(|it| operations(it, all)),
        Ir::Call(_, args) | Ir::List(args) => args.iter().for_each(|it| operations(it, all)),
        Ir::Record(fields) => fields.iter().for_each(|it| operations(&it.value, all)),
        Ir::Entries(entries) => entries.iter().for_each(|(key, value)| {
            operations(key, all);
            operations(value, all);
        }),
        Ir::Loop(it) => {
            [&it.over, &it.body].into_iter().for_each(|it| operations(it, all));
            it.condition.iter().for_each(|it| operations(it, all));
        }
        _ => {}
    }
}
