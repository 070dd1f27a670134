//! Expressions: the syntax of CEL, typed against descriptors when a definition is
//! registered, evaluated with a bound on work.
//!
//! The crate `cel` parses. Types, names and functions are resolved in `check`, once;
//! `eval` then works directly on protobuf values, so that a plain path is a copy, and a
//! 64-bit number is never anything else. The functions are those of CEL that cannot run
//! away: no regular expressions, no clock, no I/O (X27).
//!
//! Variables: `input`, `steps.<name>.reply`, `saga.id`, `saga.business_key`; in compensations
//! `failure.step` and `failure.reason`; in the `accept` of a wait `signal`. Functions:
//! `op("step")` is the operation id of a step's action; `size`, `string`, `int`, `uint`,
//! `double`, `has`, `startsWith`, `endsWith`, `contains`; the macros `all`, `exists`,
//! `exists_one`, `map`, `filter`; the operators of CEL.

mod calls;
mod calls_eval;
mod check;
mod coerce;
mod eval;
mod loops;
mod operators;

use prost_reflect::{FieldDescriptor, Value};
use saga_core::{StepIndex, StepSet};

use crate::{finding::Span, value_type::Type};

pub(crate) use check::{Place, Scope, compile};
pub(crate) use coerce::coerce;
pub use eval::Failure;
pub(crate) use eval::{EvalError, Frame};

/// Bytes of an expression at most.
pub(crate) const EXPRESSION_BYTES_MAX: usize = 1024;

/// An expression that is known to evaluate to [`Expression::of`], data permitting.
#[derive(Debug)]
pub(crate) struct Expression {
    /// What is evaluated.
    pub(crate) root: Ir,
    /// Type of the value.
    pub(crate) of: Type,
    /// What it reads.
    pub(crate) reads: Reads,
    /// Where it stands in the file.
    pub(crate) span: Span,
}

/// What an expression reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// Whether it reads the input.
    pub(crate) input: bool,
    /// Steps whose replies it reads.
    pub(crate) replies: StepSet,
    /// Steps that it asks whether they have a reply.
    pub(crate) asks: StepSet,
}

impl Reads {
    /// What either reads.
    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            input: self.input || other.input,
            replies: self.replies.union(other.replies),
            asks: self.asks.union(other.asks),
        }
    }
}

/// One node of a checked expression.
#[derive(Debug)]
pub(crate) enum Ir {
    Literal(Value),
    Input,
    Reply(StepIndex),
    HasReply(StepIndex),
    SagaId,
    BusinessKey,
    Operation(StepIndex),
    /// What turned the saga back: a step's name, or empty.
    FailureStep,
    /// Why: a reason code.
    FailureReason,
    /// The signal that is judged.
    Signal,
    /// The variable of the loop at this depth.
    Local(usize),
    Select(Box<Ir>, FieldDescriptor),
    Has(Box<Ir>, FieldDescriptor),
    Index(Box<Ir>, Box<Ir>),
    Not(Box<Ir>),
    Negate(Box<Ir>),
    And(Box<Ir>, Box<Ir>),
    Or(Box<Ir>, Box<Ir>),
    Choose(Box<Ir>, Box<Ir>, Box<Ir>),
    Arithmetic(Arithmetic, Box<Ir>, Box<Ir>),
    Compare(Comparison, Box<Ir>, Box<Ir>),
    In(Box<Ir>, Box<Ir>),
    Call(Function, Vec<Ir>),
    List(Vec<Ir>),
    Record(Vec<(String, Ir)>),
    Loop(Box<Loop>),
}

/// `+`, `-`, `*`, `/`, `%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// `==`, `!=`, `<`, `<=`, `>`, `>=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Size,
    ToString,
    ToInt,
    ToUInt,
    ToDouble,
    StartsWith,
    EndsWith,
    Contains,
}

/// A macro over a list.
#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) over: Ir,
    /// Depth of its variable.
    pub(crate) local: usize,
    pub(crate) kind: LoopKind,
    /// Of `map` with three arguments.
    pub(crate) condition: Option<Ir>,
    pub(crate) body: Ir,
}

/// Which macro.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}
