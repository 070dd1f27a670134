//! The operators.

use std::borrow::Cow;

use prost_reflect::{MapKey, Value};

use super::{
    Arithmetic, Comparison,
    eval::{EvalError, Frame, weight},
};

impl Frame<'_> {
    pub(super) fn compute(
        &self,
        operator: Arithmetic,
        a: Cow<'_, Value>,
        b: Cow<'_, Value>,
    ) -> Result<Value, EvalError> {
        if let (Some(left), Some(right)) = (whole(&a), whole(&b)) {
            let unsigned = matches!(&*a, Value::U64(_) | Value::U32(_));
            let result = compute_whole(operator, left, right)?;
            return if unsigned {
                u64::try_from(result).map(Value::U64).map_err(|_| EvalError::Overflow)
            } else {
                i64::try_from(result).map(Value::I64).map_err(|_| EvalError::Overflow)
            };
        }
        if let (Some(left), Some(right)) = (real(&a), real(&b)) {
            return Ok(Value::F64(match operator {
                Arithmetic::Add => left + right,
                Arithmetic::Subtract => left - right,
                Arithmetic::Multiply => left * right,
                Arithmetic::Divide => left / right,
                Arithmetic::Modulo => return Err(EvalError::WrongType),
            }));
        }
        self.spend(weight(&b))?;
        match (self.owned(a)?, &*b) {
            (Value::String(left), Value::String(right)) => Ok(Value::String(left + right)),
            (Value::Bytes(left), Value::Bytes(right)) => {
                Ok(Value::Bytes([left.as_ref(), right.as_ref()].concat().into()))
            }
            (Value::List(mut left), Value::List(right)) => {
                left.extend(right.iter().cloned());
                Ok(Value::List(left))
            }
            _ => Err(EvalError::WrongType),
        }
    }

    pub(super) fn compare(
        &self,
        operator: Comparison,
        a: &Value,
        b: &Value,
    ) -> Result<bool, EvalError> {
        let order = match (a, b) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::String(a), Value::String(b)) => {
                self.spend_bytes(a.len().min(b.len()))?;
                Some(a.cmp(b))
            }
            (Value::Bytes(a), Value::Bytes(b)) => {
                self.spend_bytes(a.len().min(b.len()))?;
                Some(a.cmp(b))
            }
            _ => match (whole(a), whole(b)) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => match (real(a), real(b)) {
                    (Some(a), Some(b)) => a.partial_cmp(&b),
                    _ => return Err(EvalError::WrongType),
                },
            },
        };
        Ok(match operator {
            Comparison::Equal => order.is_some_and(|it| it.is_eq()),
            Comparison::NotEqual => !order.is_some_and(|it| it.is_eq()),
            Comparison::Less => order.is_some_and(|it| it.is_lt()),
            Comparison::LessOrEqual => order.is_some_and(|it| it.is_le()),
            Comparison::Greater => order.is_some_and(|it| it.is_gt()),
            Comparison::GreaterOrEqual => order.is_some_and(|it| it.is_ge()),
        })
    }

    pub(super) fn contains(&self, all: &Value, item: &Value) -> Result<bool, EvalError> {
        match all {
            Value::Map(map) => Ok(map.contains_key(&map_key(item)?)),
            Value::List(items) => {
                for other in items {
                    self.spend(1)?;
                    if self.compare(Comparison::Equal, other, item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            _ => Err(EvalError::WrongType),
        }
    }
}

/// Whole numbers are computed in 128 bits, and cut to 64 by the caller.
fn compute_whole(operator: Arithmetic, a: i128, b: i128) -> Result<i128, EvalError> {
    match operator {
        Arithmetic::Add => Ok(a + b),
        Arithmetic::Subtract => Ok(a - b),
        // Two unsigned numbers may need 128 bits without room for a sign.
        Arithmetic::Multiply => a.checked_mul(b).ok_or(EvalError::Overflow),
        Arithmetic::Divide | Arithmetic::Modulo if b == 0 => Err(EvalError::DivisionByZero),
        Arithmetic::Divide => Ok(a / b),
        Arithmetic::Modulo => Ok(a % b),
    }
}

pub(super) fn negated(of: &Value) -> Result<Value, EvalError> {
    match (whole(of), real(of)) {
        (Some(it), _) => i64::try_from(-it).map(Value::I64).map_err(|_| EvalError::Overflow),
        (None, Some(it)) => Ok(Value::F64(-it)),
        (None, None) => Err(EvalError::WrongType),
    }
}

/// The value as a whole number, exactly.
pub(super) fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::I32(it) | Value::EnumNumber(it) => Some(i128::from(*it)),
        Value::I64(it) => Some(i128::from(*it)),
        Value::U32(it) => Some(i128::from(*it)),
        Value::U64(it) => Some(i128::from(*it)),
        _ => None,
    }
}

/// The value as a number with a fraction, where it is one.
pub(super) fn real(value: &Value) -> Option<f64> {
    match value {
        Value::F32(it) => Some(f64::from(*it)),
        Value::F64(it) => Some(*it),
        _ => None,
    }
}

pub(super) fn map_key(value: &Value) -> Result<MapKey, EvalError> {
    Ok(match value {
        Value::Bool(it) => MapKey::Bool(*it),
        Value::I32(it) => MapKey::I32(*it),
        Value::I64(it) => MapKey::I64(*it),
        Value::U32(it) => MapKey::U32(*it),
        Value::U64(it) => MapKey::U64(*it),
        Value::String(it) => MapKey::String(it.clone()),
        _ => return Err(EvalError::WrongType),
    })
}
