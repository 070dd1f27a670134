//! The value of an expression that reads nothing: the same in every saga, so it is known when
//! the definition is checked.

use bytes::Bytes;
use prost_reflect::Value;
use saga_core::{Definition, OperationId, SagaId, StepIndex, StepSet};
use uuid::Uuid;

use super::{EvalError, Expression, Failure, Frame, Ir, Place, Scope, compile};
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
    if reads(&expression.root) {
        return Constant::Unknown;
    }
    match Frame::new(&Nothing, &[]).eval(&expression.root) {
        Ok(value) => Constant::Value(value.into_owned()),
        Err(EvalError::OutOfFuel) => Constant::Unknown,
        Err(error) => Constant::Never(error),
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

fn reads(ir: &Ir) -> bool {
    match ir {
        Ir::Literal(_) | Ir::Local(_) => false,
        Ir::Input
        | Ir::Reply(_)
        | Ir::HasReply(_)
        | Ir::SagaId
        | Ir::BusinessKey
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

    fn input(&self) -> &Bytes {
        static EMPTY: Bytes = Bytes::new();
        &EMPTY
    }

    fn reply(&self, _: StepIndex) -> Option<&Bytes> {
        None
    }

    fn signal(&self, _: StepIndex) -> Option<&Bytes> {
        None
    }

    fn failure(&self) -> Option<Failure<'_>> {
        None
    }
}
