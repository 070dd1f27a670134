//! The functions.

use std::borrow::Cow;

use prost_reflect::Value;

use super::{
    Function,
    eval::{EvalError, Frame},
    operators::{real, whole},
    texts, time,
};

/// The value of a function call.
pub(super) fn call(
    frame: &Frame<'_>,
    function: Function,
    args: &[Cow<'_, Value>],
) -> Result<Value, EvalError> {
    let first = args.first().ok_or(EvalError::WrongType)?;
    if let Value::String(text) = &**first {
        frame.spend_bytes(text.len())?;
    }
    match function {
        Function::ToBytes => Ok(match &**first {
            Value::String(text) => Value::Bytes(text.clone().into_bytes().into()),
            other => other.clone(),
        }),
        Function::ToTimestamp => time::timestamp(first.as_str().ok_or(EvalError::WrongType)?),
        Function::ToTimestampLoosely => {
            time::timestamp_loosely(first.as_str().ok_or(EvalError::WrongType)?)
        }
        Function::ToKey => Ok(super::operators::key(first)),
        Function::ToDuration => time::duration(first.as_str().ok_or(EvalError::WrongType)?),
        Function::Size => size(first),
        Function::ToString => to_string(first),
        Function::ToInt => {
            // The least number is no value of a double: others round to it.
            if real(first).is_some_and(|it| it <= -9_223_372_036_854_775_808.0) {
                return Err(EvalError::Overflow);
            }
            let whole = to_whole(first)?;
            i64::try_from(whole).map(Value::I64).map_err(|_| EvalError::Overflow)
        }
        Function::ToUInt => {
            let whole = to_whole(first)?;
            u64::try_from(whole).map(Value::U64).map_err(|_| EvalError::Overflow)
        }
        Function::ToDouble => to_double(first),
        Function::StartsWith | Function::EndsWith | Function::Contains => {
            let (text, part) = match args {
                [a, b] => (a.as_str(), b.as_str()),
                _ => (None, None),
            };
            let (Some(text), Some(part)) = (text, part) else {
                return Err(EvalError::WrongType);
            };
            frame.spend_bytes(part.len())?;
            Ok(Value::Bool(match function {
                Function::StartsWith => text.starts_with(part),
                Function::EndsWith => text.ends_with(part),
                _ => text.contains(part),
            }))
        }
        of_texts => texts::call(frame, of_texts, args),
    }
}

fn size(of: &Value) -> Result<Value, EvalError> {
    let size = match of {
        Value::String(it) => it.chars().count(),
        Value::Bytes(it) => it.len(),
        Value::List(it) => it.len(),
        Value::Map(it) => it.len(),
        _ => return Err(EvalError::WrongType),
    };
    i64::try_from(size).map(Value::I64).map_err(|_| EvalError::Overflow)
}

pub(super) fn to_string(of: &Value) -> Result<Value, EvalError> {
    let text = match of {
        Value::String(it) => it.clone(),
        Value::Bool(it) => it.to_string(),
        Value::Bytes(it) => match std::str::from_utf8(it) {
            Ok(it) => it.to_owned(),
            Err(_) => return Err(EvalError::Unreadable("bytes that are no UTF-8".to_owned())),
        },
        _ => match (whole(of), real(of)) {
            (Some(it), _) => it.to_string(),
            (None, Some(it)) => it.to_string(),
            (None, None) => return Err(EvalError::WrongType),
        },
    };
    Ok(Value::String(text))
}

fn to_whole(of: &Value) -> Result<i128, EvalError> {
    if let Value::String(text) = of {
        return text.parse().map_err(|_| EvalError::NotANumber);
    }
    if let Some(it) = whole(of).or_else(|| time::seconds(of)) {
        return Ok(it);
    }
    let it = real(of).ok_or(EvalError::WrongType)?;
    if it.is_nan() {
        return Err(EvalError::NotANumber);
    }
    // Beyond this it is in no 64 bits.
    if 1.9e19 < it.abs() {
        return Err(EvalError::Overflow);
    }
    #[expect(clippy::cast_possible_truncation, reason = "CEL cuts the fraction off")]
    let cut = it as i128;
    Ok(cut)
}

fn to_double(of: &Value) -> Result<Value, EvalError> {
    if let Value::String(text) = of {
        return text.parse().map(Value::F64).map_err(|_| EvalError::NotANumber);
    }
    match (whole(of), real(of)) {
        #[expect(clippy::cast_precision_loss, reason = "asked for, and so written in CEL")]
        (Some(it), _) => Ok(Value::F64(it as f64)),
        (None, Some(it)) => Ok(Value::F64(it)),
        (None, None) => Err(EvalError::WrongType),
    }
}
