//! The operators.

use std::{borrow::Cow, cmp::Ordering, collections::HashMap};

use prost_reflect::{MapKey, Value};

use super::{
    Arithmetic, Comparison,
    eval::{EvalError, Frame, weight},
    time,
};
use crate::canonical::key_order;

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
            (Value::Message(left), Value::Message(right)) => time::computed(operator, &left, right),
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
        if let Some(equal) = self.same_elements(a, b)? {
            return Ok(equal == (operator == Comparison::Equal));
        }
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
                    _ => mixed(a, b)?,
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

    /// Whether two lists or maps hold the same. `None`: they are others.
    fn same_elements(&self, a: &Value, b: &Value) -> Result<Option<bool>, EvalError> {
        let same = match (a, b) {
            (Value::List(a), Value::List(b)) => {
                let mut same = a.len() == b.len();
                for (a, b) in a.iter().zip(b) {
                    self.spend(1)?;
                    same = same && self.compare(Comparison::Equal, a, b)?;
                }
                same
            }
            (Value::Map(a), Value::Map(b)) => {
                let mut same = a.len() == b.len();
                for (key, a) in a {
                    self.spend(1)?;
                    same = same
                        && match entry(b, &Value::from(key.clone())) {
                            Some(b) => self.compare(Comparison::Equal, a, b)?,
                            None => false,
                        };
                }
                same
            }
            _ => return Ok(None),
        };
        Ok(Some(same))
    }

    pub(super) fn contains(&self, all: &Value, item: &Value) -> Result<bool, EvalError> {
        match all {
            Value::Map(map) => Ok(entry(map, item).is_some()),
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

/// The order of a whole number and one with a fraction, or of two points in time.
fn mixed(a: &Value, b: &Value) -> Result<Option<Ordering>, EvalError> {
    match (whole(a), real(a), whole(b), real(b)) {
        (Some(a), _, _, Some(b)) => Ok(whole_with_real(a, b)),
        (_, Some(a), Some(b), _) => Ok(whole_with_real(b, a).map(Ordering::reverse)),
        _ => match (time::nanos(a), time::nanos(b)) {
            (Some(a), Some(b)) => Ok(Some(a.cmp(&b))),
            _ => Err(EvalError::WrongType),
        },
    }
}

/// Exactly: a double has no room for all whole numbers of 64 bits.
fn whole_with_real(a: i128, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        return None;
    }
    if 1.0e20 < b.abs() {
        return Some(if b < 0.0 { Ordering::Greater } else { Ordering::Less });
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is within 128 bits")]
    let cut = b.trunc() as i128;
    let fraction = 0.0_f64.partial_cmp(&b.fract())?;
    Some(a.cmp(&cut).then(fraction))
}

/// The value of a key, whatever the width of the map's keys.
pub(super) fn entry<'v>(map: &'v HashMap<MapKey, Value>, key: &Value) -> Option<&'v Value> {
    let Some(number) = whole(key) else { return map.get(&map_key(key).ok()?) };
    let keys = [
        i32::try_from(number).ok().map(MapKey::I32),
        i64::try_from(number).ok().map(MapKey::I64),
        u32::try_from(number).ok().map(MapKey::U32),
        u64::try_from(number).ok().map(MapKey::U64),
    ];
    keys.into_iter().flatten().find_map(|key| map.get(&key))
}

/// A number as maps have their keys: a double that is a whole number is that number.
pub(super) fn key(value: &Value) -> Value {
    match real(value) {
        #[expect(clippy::cast_possible_truncation, reason = "it is within 64 bits")]
        Some(it) if it.fract() == 0.0 && it.abs() < 9.0e18 => Value::I64(it as i64),
        _ => value.clone(),
    }
}

/// The keys of a map, in order.
pub(super) fn keys_in_order(map: &Value) -> Vec<Value> {
    let Value::Map(map) = map else { return Vec::new() };
    let mut keys: Vec<&MapKey> = map.keys().collect();
    keys.sort_unstable_by(|a, b| key_order(a).cmp(&key_order(b)));
    keys.into_iter().map(|key| Value::from(key.clone())).collect()
}

/// Whole numbers are computed in 128 bits, and cut to 64 by the caller.
fn compute_whole(operator: Arithmetic, a: i128, b: i128) -> Result<i128, EvalError> {
    match operator {
        Arithmetic::Add => Ok(a + b),
        Arithmetic::Subtract => Ok(a - b),
        // Two unsigned numbers may need 128 bits without room for a sign.
        Arithmetic::Multiply => a.checked_mul(b).ok_or(EvalError::Overflow),
        Arithmetic::Divide | Arithmetic::Modulo if b == 0 => Err(EvalError::DivisionByZero),
        // As a machine of 64 bits has it.
        Arithmetic::Modulo if a == i128::from(i64::MIN) && b == -1 => Err(EvalError::Overflow),
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
