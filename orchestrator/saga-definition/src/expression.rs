//! Expressions: the syntax of CEL, typed against descriptors when a definition is
//! registered, evaluated with a bound on work.
//!
//! The crate `cel` parses. Types, names and functions are resolved in `check`, once;
//! `eval` then works directly on protobuf values, so that a plain path is a copy, and a
//! 64-bit number is never anything else. The functions are those of CEL that cannot run
//! away: no clock, no I/O, and regular expressions in linear time (X27).
//!
//! Variables: `input`, `steps.<name>.reply`, `saga.id`, `saga.business_key`, `saga.namespace`,
//! `saga.started_at`; in compensations `failure.step` and `failure.reason`; in the `accept` of a wait `signal`. `op("step")` is the
//! operation id of a step's action. The other functions and the macros are those of CEL, as far
//! as `calls` knows them; what is not known is an error of the check.

mod calls;
mod calls_eval;
mod check;
mod coerce;
mod collections;
mod constant;
mod eval;
mod facts;
mod failing;
mod fitting;
mod learning;
mod loops;
mod names;
mod operators;
mod parts;
mod path;
mod patterns;
mod re2;
mod reserved;
mod shape;
mod syntax;
mod text_calls;
mod texts;
mod time;
mod walk;
mod written;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Value};
use regex::Regex;
use saga_core::{StepIndex, StepSet};

use crate::{finding::Span, value_type::Type};

pub(crate) use check::{Place, Scope, compile};
pub(crate) use coerce::{coerce, coerce_message};
pub(crate) use constant::{Constant, constant, never_fits};
pub use constant::{ConstantError, constant_of};
pub use eval::Failure;
pub(crate) use eval::{EvalError, Frame};
pub(crate) use facts::Facts;
pub(crate) use failing::{Danger, Flaw, Judge};
pub(crate) use names::by_name;
pub use syntax::syntax_of;
pub(crate) use time::is_rfc3339;
pub(crate) use walk::{operations, walk};
pub(crate) use written::written;

/// Bytes of an expression at most.
pub(crate) const EXPRESSION_BYTES_MAX: usize = 4096;

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
    Namespace,
    /// When the saga was accepted: a `google.protobuf.Timestamp`.
    StartedAt,
    Operation(StepIndex),
    /// What turned the saga back: a step's name, or empty.
    FailureStep,
    /// Why: a reason code.
    FailureReason,
    /// The signal that is judged.
    Signal,
    /// The reply that is judged.
    OwnReply,
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
    Record(Vec<RecordField>),
    /// A map literal with keys that are computed, or become those of a map.
    Entries(Vec<(Ir, Ir)>),
    /// The name of an enum value; its number where it has none.
    EnumName(Box<Ir>, EnumDescriptor),
    /// Whether a text matches. Linear in the text.
    Matches(Box<Ir>, Box<Regex>),
    Loop(Box<Loop>),
}

/// One entry of a map literal with constant keys.
#[derive(Debug)]
pub(crate) struct RecordField {
    pub(crate) name: String,
    pub(crate) value: Ir,
    /// Whether it is left out where its value is a field that is not set.
    pub(crate) copies_absence: bool,
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
    ToBytes,
    ToTimestamp,
    /// Up to level 5 a point in time was also read without its zone.
    ToTimestampLoosely,
    ToDuration,
    /// A number as a key of a map: 1.0 is 1.
    ToKey,
    LowerAscii,
    UpperAscii,
    Trim,
    Replace,
    Substring,
    Join,
    Split,
    Format,
    Flatten,
    Sum,
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
