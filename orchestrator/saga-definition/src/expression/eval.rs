//! Evaluation on protobuf values. Bounded: every node, element and copied byte costs
//! fuel, and an expression that runs out of it is an error (X27).

use std::{borrow::Cow, cell::Cell};

use prost_reflect::{FieldDescriptor, Value};
use saga_core::{SagaId, StepIndex, StepSet};

use super::{Function, Ir, calls_eval::call, names::name_of, operators::negated, time::point};
use crate::RunData;

/// Work that one rendering may do. An order of 2,000 lines that are converted one by one
/// takes about 20,000.
const FUEL: u64 = 100_000;

/// Bytes of text that cost as much as one node.
const BYTES_PER_FUEL: usize = 32;

/// Bytes of a `bytes` field that do: they are copied as they are, and may be a whole reply.
/// Counted all the same, because a request is as large as what is in it.
const RAW_BYTES_PER_FUEL: usize = 256;

/// Bytes that do where a field is a copy of another one: 100 MB for all of a request.
const FIELD_BYTES_PER_FUEL: usize = 1024;

/// Why an expression has no value on the data of this saga. All but `OutOfFuel` depend on
/// the data alone, and all give the same again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EvalError {
    /// The step was skipped, or has not run.
    #[error("step {0} has no reply: it was skipped, or settled without one")]
    NoReply(String),
    /// There is a reply, and nobody knows what it says: not even whether it is asked for is
    /// answered by "there is none".
    #[error("the reply of step {0} was too large to be kept")]
    Unread(String),
    /// The result does not fit into 64 bits.
    #[error("a number overflows 64 bits")]
    Overflow,
    /// A point in time that protobuf has no place for.
    #[error("the point in time is not of the years 1 to 9999")]
    OutOfYears,
    /// A span of time that is too long for protobuf, or for 64 bits of nanoseconds.
    #[error("the span of time is longer than {years} years")]
    TooLong { years: u32 },
    /// `x / 0` or `x % 0`.
    #[error("division by zero")]
    DivisionByZero,
    /// `list[i]` where there is no such element.
    #[error("index {index} is outside of a list of {len}")]
    OutOfBounds { index: i128, len: usize },
    /// `text.substring(from, to)` where there are no such characters.
    #[error("a text of {len} characters has none from {from} to {to}")]
    NoSuchPart { from: i128, to: i128, len: usize },
    /// `map[key]` where there is no such key.
    #[error("a map has no such key")]
    NoSuchKey,
    /// A map literal names a key twice.
    #[error("a map has a key twice")]
    KeyTwice,
    /// Two fields of one oneof.
    #[error("`{0}` and `{1}` exclude one another")]
    Excluded(String, String),
    /// A text that is none of what it is read as.
    #[error("`{0}` cannot be read")]
    Unreadable(String),
    /// `int("x")`, or of the double that is none.
    #[error("it is not a number")]
    NotANumber,
    /// A number that the field cannot hold.
    #[error("{value} does not fit into a field of type {wanted}")]
    OutOfRange { value: i128, wanted: &'static str },
    /// More work than an expression may do.
    #[error("the expression takes more work than is allowed")]
    OutOfFuel,
    /// The data is not of the type it was checked for.
    #[error("the data is not of the expected type")]
    WrongType,
}

/// What turned a saga back, for its compensations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// Name of the step that was refused, or could not be done. Empty: it was none.
    pub step: &'a str,
    /// The reason code of the refusal; `DEADLINE` or `CANCELLED` where it was none.
    pub reason: &'a str,
}

/// What expressions of one rendering see.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// The input. `None`: nothing reads it.
    pub(crate) input: Option<Value>,
    /// Replies that are read, by step.
    pub(crate) replies: Vec<Option<Value>>,
    /// Steps whose reply could not be kept.
    pub(crate) unread: StepSet,
    /// The signal that is judged.
    pub(crate) signal: Option<Value>,
    /// The reply that is judged.
    pub(crate) own_reply: Option<Value>,
    /// What turned the saga back.
    pub(crate) failure: Option<Failure<'a>>,
    /// The saga.
    pub(crate) saga: SagaId,
    /// What else is known of it.
    data: &'a dyn RunData,
    /// Names of the steps.
    pub(crate) steps: &'a [String],
    fuel: Cell<u64>,
}

/// Variables of the loops around.
pub(super) type Locals<'f> = Vec<Cow<'f, Value>>;

impl<'a> Frame<'a> {
    /// A frame with a full tank.
    pub(crate) fn new(data: &'a dyn RunData, steps: &'a [String]) -> Self {
        let replies = steps.iter().map(|_| None).collect();
        Self {
            input: None,
            replies,
            unread: StepSet::EMPTY,
            signal: None,
            own_reply: None,
            failure: None,
            saga: data.saga_id(),
            data,
            steps,
            fuel: Cell::new(FUEL),
        }
    }

    /// The value of an expression.
    ///
    /// # Errors
    ///
    /// [`EvalError`]. Nothing else happened.
    pub(crate) fn eval<'f>(&'f self, ir: &'f Ir) -> Result<Cow<'f, Value>, EvalError> {
        self.value(ir, &mut Vec::new())
    }

    /// The value of an expression as text.
    ///
    /// # Errors
    ///
    /// [`EvalError`]. Nothing else happened.
    pub(crate) fn eval_text(&self, ir: &Ir) -> Result<String, EvalError> {
        match call(self, Function::ToString, &[self.eval(ir)?])? {
            Value::String(text) => Ok(text),
            _ => Err(EvalError::WrongType),
        }
    }

    /// Whether the step has a reply.
    fn has_reply(&self, step: StepIndex) -> Result<bool, EvalError> {
        match self.reply(step) {
            Ok(_) => Ok(true),
            Err(EvalError::NoReply(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn spend(&self, fuel: u64) -> Result<(), EvalError> {
        let left = self.fuel.get().checked_sub(fuel).ok_or(EvalError::OutOfFuel)?;
        self.fuel.set(left);
        Ok(())
    }

    pub(super) fn spend_bytes(&self, bytes: usize) -> Result<(), EvalError> {
        self.spend((bytes / BYTES_PER_FUEL) as u64)
    }

    pub(super) fn owned(&self, value: Cow<'_, Value>) -> Result<Value, EvalError> {
        match value {
            Cow::Owned(value) => Ok(value),
            Cow::Borrowed(value) => {
                self.spend(weight(value))?;
                Ok(value.clone())
            }
        }
    }

    /// The value of an expression, to be put into a field as it is.
    ///
    /// # Errors
    ///
    /// [`EvalError`]. Nothing else happened.
    pub(crate) fn eval_owned(&self, ir: &Ir) -> Result<Value, EvalError> {
        let value = self.eval(ir)?;
        if let Cow::Borrowed(value) = &value {
            self.spend((bytes_of(value) / FIELD_BYTES_PER_FUEL) as u64)?;
        }
        Ok(value.into_owned())
    }

    pub(super) fn value<'f>(
        &'f self,
        ir: &'f Ir,
        locals: &mut Locals<'f>,
    ) -> Result<Cow<'f, Value>, EvalError> {
        self.spend(1)?;
        let value = match ir {
            Ir::Literal(value) => return Ok(Cow::Borrowed(value)),
            Ir::Input => return given(self.input.as_ref()),
            Ir::Reply(step) => return self.reply(*step),
            Ir::Signal => return given(self.signal.as_ref()),
            Ir::OwnReply => return given(self.own_reply.as_ref()),
            Ir::Select(of, field) => return select(self.value(of, locals)?, field),
            Ir::Local(depth) => return self.local(*depth, locals),
            Ir::Choose(test, then, other) => {
                let branch = if self.test(test, locals)? { then } else { other };
                return self.value(branch, locals);
            }
            Ir::Index(of, index) => {
                let of = self.value(of, locals)?;
                let index = self.value(index, locals)?;
                return self.index(of, &index);
            }
            Ir::HasReply(step) => Value::Bool(self.has_reply(*step)?),
            Ir::SagaId => Value::String(self.saga.to_string()),
            Ir::BusinessKey => Value::String(self.data.business_key().to_owned()),
            Ir::Namespace => Value::String(self.data.namespace().to_owned()),
            Ir::StartedAt => point(self.data.started_at_ms())?,
            Ir::Operation(step) => self.operation(*step)?,
            Ir::FailureStep => self.failure(|failure| failure.step)?,
            Ir::FailureReason => self.failure(|failure| failure.reason)?,
            Ir::Has(of, field) => Value::Bool(has(&*self.value(of, locals)?, field)?),
            Ir::Not(of) => Value::Bool(!self.test(of, locals)?),
            Ir::Negate(of) => negated(&*self.value(of, locals)?)?,
            Ir::And(a, b) => Value::Bool(self.either(a, b, false, locals)?),
            Ir::Or(a, b) => Value::Bool(self.either(a, b, true, locals)?),
            Ir::Arithmetic(operator, a, b) => {
                let a = self.value(a, locals)?;
                let b = self.value(b, locals)?;
                self.compute(*operator, a, b)?
            }
            Ir::Compare(operator, a, b) => {
                let a = self.value(a, locals)?;
                let b = self.value(b, locals)?;
                Value::Bool(self.compare(*operator, &a, &b)?)
            }
            Ir::In(item, all) => {
                let item = self.value(item, locals)?;
                let all = self.value(all, locals)?;
                Value::Bool(self.contains(&all, &item)?)
            }
            Ir::Call(function, args) => {
                let args: Result<Vec<_>, _> =
                    args.iter().map(|arg| self.value(arg, locals)).collect();
                call(self, *function, &args?)?
            }
            Ir::List(items) => {
                let items: Result<Vec<_>, _> = items
                    .iter()
                    .map(|item| self.value(item, locals).and_then(|value| self.owned(value)))
                    .collect();
                Value::List(items?)
            }
            Ir::Record(fields) => self.record(fields, locals)?,
            Ir::Entries(entries) => self.entries(entries, locals)?,
            Ir::EnumName(of, kind) => name_of(&*self.value(of, locals)?, kind)?,
            Ir::Matches(text, pattern) => {
                let text = self.value(text, locals)?;
                let text = text.as_str().ok_or(EvalError::WrongType)?;
                self.spend_bytes(text.len())?;
                Value::Bool(pattern.is_match(text))
            }
            Ir::Loop(it) => self.run(it, locals)?,
        };
        Ok(Cow::Owned(value))
    }

    fn local<'f>(&'f self, depth: usize, locals: &Locals<'f>) -> Result<Cow<'f, Value>, EvalError> {
        let value = locals.get(depth).ok_or(EvalError::WrongType)?;
        if let Cow::Owned(value) = value {
            self.spend(weight(value))?;
        }
        Ok(value.clone())
    }

    fn operation(&self, step: StepIndex) -> Result<Value, EvalError> {
        let name = self.steps.get(step.at()).ok_or(EvalError::WrongType)?;
        Ok(Value::String(self.data.operation(step, name).to_string()))
    }

    fn failure(&self, part: impl Fn(&Failure<'a>) -> &'a str) -> Result<Value, EvalError> {
        let failure = self.failure.as_ref().ok_or(EvalError::WrongType)?;
        Ok(Value::String(part(failure).to_owned()))
    }

    pub(super) fn test<'f>(
        &'f self,
        ir: &'f Ir,
        locals: &mut Locals<'f>,
    ) -> Result<bool, EvalError> {
        let value = self.value(ir, locals)?;
        truth(&value)
    }

    /// `&&` and `||`: what either side decides alone holds, even where the other has no value.
    fn either<'f>(
        &'f self,
        a: &'f Ir,
        b: &'f Ir,
        decisive: bool,
        locals: &mut Locals<'f>,
    ) -> Result<bool, EvalError> {
        match self.test(a, locals) {
            Ok(it) if it == decisive => Ok(decisive),
            Ok(_) => self.test(b, locals),
            Err(EvalError::OutOfFuel) => Err(EvalError::OutOfFuel),
            Err(error) => match self.test(b, locals) {
                Ok(it) if it == decisive => Ok(decisive),
                Err(EvalError::OutOfFuel) => Err(EvalError::OutOfFuel),
                _ => Err(error),
            },
        }
    }

    fn reply(&self, step: StepIndex) -> Result<Cow<'_, Value>, EvalError> {
        let name = || self.steps.get(step.at()).cloned().unwrap_or_default();
        if self.unread.contains(step) {
            return Err(EvalError::Unread(name()));
        }
        match self.replies.get(step.at()) {
            Some(Some(reply)) => Ok(Cow::Borrowed(reply)),
            _ => Err(EvalError::NoReply(name())),
        }
    }
}

/// What the frame was made with.
fn given(value: Option<&Value>) -> Result<Cow<'_, Value>, EvalError> {
    value.map(Cow::Borrowed).ok_or(EvalError::WrongType)
}

fn select<'f>(of: Cow<'f, Value>, field: &FieldDescriptor) -> Result<Cow<'f, Value>, EvalError> {
    match of {
        Cow::Borrowed(Value::Message(message)) => Ok(message.get_field(field)),
        Cow::Owned(Value::Message(message)) => {
            Ok(Cow::Owned(message.get_field(field).into_owned()))
        }
        _ => Err(EvalError::WrongType),
    }
}

pub(super) fn has(of: &Value, field: &FieldDescriptor) -> Result<bool, EvalError> {
    match of {
        Value::Message(message) => Ok(message.has_field(field)),
        _ => Err(EvalError::WrongType),
    }
}

pub(super) fn truth(value: &Value) -> Result<bool, EvalError> {
    value.as_bool().ok_or(EvalError::WrongType)
}

/// What copying a value costs.
pub(super) fn weight(value: &Value) -> u64 {
    let bytes = |len: usize| 1 + (len / BYTES_PER_FUEL) as u64;
    match value {
        Value::String(it) => bytes(it.len()),
        Value::Bytes(it) => 1 + (it.len() / RAW_BYTES_PER_FUEL) as u64,
        Value::List(items) => 1 + items.iter().map(weight).sum::<u64>(),
        Value::Map(map) => 1 + map.values().map(weight).sum::<u64>(),
        Value::Message(message) => 1 + message.fields().map(|(_, it)| weight(it)).sum::<u64>(),
        _ => 1,
    }
}

/// About how much memory a copy takes.
fn bytes_of(value: &Value) -> usize {
    match value {
        Value::String(it) => it.len(),
        Value::Bytes(it) => it.len(),
        Value::List(items) => items.iter().map(bytes_of).sum(),
        Value::Map(map) => map.values().map(|it| 16 + bytes_of(it)).sum(),
        Value::Message(message) => message.fields().map(|(_, it)| 16 + bytes_of(it)).sum(),
        _ => 8,
    }
}
