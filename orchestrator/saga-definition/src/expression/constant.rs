//! The value of an expression that reads nothing: the same in every saga, so it is known when
//! the definition is checked.

use bytes::Bytes;
use prost_reflect::{FieldDescriptor, Kind, Value};
use saga_core::{Definition, OperationId, SagaId, StepIndex, StepSet};
use uuid::Uuid;

use super::{EvalError, Expression, Failure, Frame, Ir, LoopKind, Place, Scope, coerce, compile};
use crate::{
    LANGUAGE_LEVEL, RunData,
    finding::{Findings, Span},
    yaml::Spanned,
};

/// What an expression is worth before any saga runs.
#[derive(Debug)]
pub(crate) enum Constant {
    /// It reads what only a saga has.
    Unknown,
    Value(Value),
    /// It has none, in any saga.
    Never(EvalError),
}

/// The value of an expression, where it reads nothing.
pub(crate) fn constant(expression: &Expression) -> Constant {
    value_of(&expression.root, false)
}

fn value_of(ir: &Ir, in_loop: bool) -> Constant {
    if reads(ir, in_loop) {
        return Constant::Unknown;
    }
    match Frame::new(&Nothing, &[]).eval(ir) {
        Ok(value) => Constant::Value(value.into_owned()),
        Err(EvalError::OutOfFuel) => Constant::Unknown,
        Err(error) => Constant::Never(error),
    }
}

/// Why some part of an expression that is put into `field` never fits there, in any saga: all of
/// it, a branch, an element, or a field of a map literal.
pub(crate) fn never_fits(ir: &Ir, field: &FieldDescriptor) -> Option<EvalError> {
    part_never_fits(ir, field, false)
}

fn part_never_fits(ir: &Ir, field: &FieldDescriptor, in_loop: bool) -> Option<EvalError> {
    match value_of(ir, in_loop) {
        Constant::Value(value) => return coerce(value, field).err(),
        Constant::Never(error) => return Some(error),
        Constant::Unknown => {}
    }
    match (ir, field.kind()) {
        (Ir::Choose(_, then, other), _) => {
            part_never_fits(then, field, in_loop).or_else(|| part_never_fits(other, field, in_loop))
        }
        (Ir::List(items), _) => items.iter().find_map(|it| part_never_fits(it, field, in_loop)),
        (Ir::Loop(it), _) if it.kind == LoopKind::Map => part_never_fits(&it.body, field, true),
        (Ir::Record(entries), Kind::Message(of)) if !field.is_map() => {
            entries.iter().find_map(|entry| {
                let inner = of.get_field_by_name(&entry.name)?;
                part_never_fits(&entry.value, &inner, in_loop)
            })
        }
        _ => None,
    }
}

/// The value of an expression by itself, as far as this subset of CEL goes: for tools, and for
/// the vectors that hold the subset to CEL.
///
/// # Errors
///
/// [`ConstantError`]: the check does not take it, or it has no value.
pub fn constant_of(text: &str) -> Result<Value, ConstantError> {
    let nothing =
        Definition { name: String::new(), version: 1, deadline_ms: None, steps: Vec::new() };
    let scope = Scope {
        input: None,
        steps: &[],
        readable: StepSet::EMPTY,
        core: &nothing,
        place: Place::Forward,
        level: LANGUAGE_LEVEL,
    };
    let mut findings = Findings::default();
    let text = Spanned { value: text.to_owned(), span: Span::default() };
    let Some(made) = compile(&text, &scope, &mut findings) else {
        let report = findings.into_report("expression", &text.value);
        let first = report.findings.into_iter().next().map(|it| it.message);
        return Err(ConstantError::Refused(first.unwrap_or_default()));
    };
    match constant(&made) {
        Constant::Value(value) => Ok(value),
        Constant::Never(error) => Err(ConstantError::NoValue(error.to_string())),
        Constant::Unknown => Err(ConstantError::Refused("it reads a saga".to_owned())),
    }
}

/// Why an expression by itself has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstantError {
    /// The check does not take it: it is wrong, or of a part of CEL that is not supported.
    #[error("{0}")]
    Refused(String),
    /// It has none.
    #[error("{0}")]
    NoValue(String),
}

/// Whether its value is another one in another saga, or in another turn of a loop around it.
fn reads(ir: &Ir, in_loop: bool) -> bool {
    let reads = |ir: &Ir| reads(ir, in_loop);
    match ir {
        Ir::Literal(_) => false,
        Ir::Local(_) => in_loop,
        Ir::Input
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
        | Ir::OwnReply => true,
        Ir::Select(of, _)
        | Ir::Has(of, _)
        | Ir::Not(of)
        | Ir::Negate(of)
        | Ir::EnumName(of, _)
        | Ir::Matches(of, _) => reads(of),
        Ir::Index(a, b)
        | Ir::And(a, b)
        | Ir::Or(a, b)
        | Ir::Arithmetic(_, a, b)
        | Ir::Compare(_, a, b)
        | Ir::In(a, b) => reads(a) || reads(b),
        Ir::Choose(a, b, c) => reads(a) || reads(b) || reads(c),
        Ir::Call(_, all) | Ir::List(all) => all.iter().any(reads),
        Ir::Record(fields) => fields.iter().any(|it| reads(&it.value)),
        Ir::Entries(entries) => entries.iter().any(|(key, value)| reads(key) || reads(value)),
        Ir::Loop(it) => {
            reads(&it.over) || it.condition.as_ref().is_some_and(reads) || reads(&it.body)
        }
    }
}

/// No saga.
#[derive(Debug)]
struct Nothing;

impl RunData for Nothing {
    fn saga_id(&self) -> SagaId {
        SagaId(Uuid::nil())
    }

    fn operation(&self, _: StepIndex, _: &str) -> OperationId {
        OperationId(Uuid::nil())
    }

    fn business_key(&self) -> &str {
        ""
    }

    fn namespace(&self) -> &str {
        ""
    }

    fn started_at_ms(&self) -> u64 {
        0
    }

    fn input(&self) -> &Bytes {
        static EMPTY: Bytes = Bytes::new();
        &EMPTY
    }

    fn reply(&self, _: StepIndex) -> Option<&Bytes> {
        None
    }

    fn is_unread(&self, _: StepIndex) -> bool {
        false
    }

    fn signal(&self, _: StepIndex) -> Option<&Bytes> {
        None
    }

    fn failure(&self) -> Option<Failure<'_>> {
        None
    }
}
