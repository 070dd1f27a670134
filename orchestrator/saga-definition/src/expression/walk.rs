//! Walks through expressions.

use saga_core::StepSet;

use super::Ir;

/// Visits every part of an expression.
pub(crate) fn walk<'i>(ir: &'i Ir, visit: &mut dyn FnMut(&'i Ir)) {
    visit(ir);
    match ir {
        Ir::Literal(_)
        | Ir::Input
        | Ir::Reply(_)
        | Ir::HasReply(_)
        | Ir::SagaId
        | Ir::BusinessKey
        | Ir::Namespace
        | Ir::StartedAt
        | Ir::Operation(_)
        | Ir::FailureStep
        | Ir::FailureReason
        | Ir::Signal
        | Ir::OwnReply
        | Ir::Local(_) => {}
        Ir::Select(of, _)
        | Ir::Has(of, _)
        | Ir::Not(of)
        | Ir::Negate(of)
        | Ir::EnumName(of, _)
        | Ir::Matches(of, _) => walk(of, visit),
        Ir::Index(a, b)
        | Ir::And(a, b)
        | Ir::Or(a, b)
        | Ir::Arithmetic(_, a, b)
        | Ir::Compare(_, a, b)
        | Ir::In(a, b) => [a, b].into_iter().for_each(|it| walk(it, visit)),
        Ir::Choose(a, b, c) => [a, b, c].into_iter().for_each(|it| walk(it, visit)),
        Ir::Call(_, args) | Ir::List(args) => args.iter().for_each(|it| walk(it, visit)),
        Ir::Record(fields) => fields.iter().for_each(|it| walk(&it.value, visit)),
        Ir::Entries(entries) => entries.iter().for_each(|(key, value)| {
            walk(key, visit);
            walk(value, visit);
        }),
        Ir::Loop(it) => {
            walk(&it.over, visit);
            it.condition.iter().for_each(|it| walk(it, visit));
            walk(&it.body, visit);
        }
    }
}

/// The operations that an expression names.
pub(crate) fn operations(ir: &Ir, all: &mut StepSet) {
    walk(ir, &mut |part| {
        if let Ir::Operation(step) = part {
            *all = all.with(*step);
        }
    });
}
