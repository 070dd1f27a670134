//! Functions on texts and lists: CEL's extension for strings, and `sum` and `flatten`.

use std::borrow::Cow;

use prost_reflect::Value;

use super::{
    Arithmetic, Function,
    calls_eval::to_string,
    eval::{EvalError, Frame},
    operators::whole,
};

/// Bytes of a text that is made, at most.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// The value of one of these functions.
pub(super) fn call(
    frame: &Frame<'_>,
    function: Function,
    args: &[Cow<'_, Value>],
) -> Result<Value, EvalError> {
    let text = |at: usize| args.get(at).and_then(|it| it.as_str()).ok_or(EvalError::WrongType);
    let made = match function {
        Function::LowerAscii => text(0)?.to_ascii_lowercase(),
        Function::UpperAscii => text(0)?.to_ascii_uppercase(),
        Function::Trim => text(0)?.trim().to_owned(),
        Function::Replace => {
            let (from, to) = (text(1)?, text(2)?);
            let times = text(0)?.matches(from).count();
            bounded(text(0)?.len() + times.saturating_mul(to.len()))?;
            text(0)?.replace(from, to)
        }
        Function::Substring => return substring(text(0)?, &args[1..]),
        Function::Join => join(args)?,
        Function::Split => {
            let (of, by) = (text(0)?, text(1)?);
            let parts: Vec<Value> = match by {
                "" => of.chars().map(|it| Value::String(it.to_string())).collect(),
                by => of.split(by).map(|it| Value::String(it.to_owned())).collect(),
            };
            frame.spend(parts.len() as u64)?;
            return Ok(Value::List(parts));
        }
        Function::Format => format(text(0)?, args.get(1).and_then(|it| it.as_list()))?,
        Function::Flatten => return flatten(frame, args),
        Function::Sum => return sum(frame, args),
        _ => return Err(EvalError::WrongType),
    };
    frame.spend_bytes(made.len())?;
    Ok(Value::String(made))
}

fn bounded(bytes: usize) -> Result<(), EvalError> {
    if TEXT_BYTES_MAX < bytes { Err(EvalError::OutOfFuel) } else { Ok(()) }
}

/// Of characters, from one place up to another.
fn substring(text: &str, range: &[Cow<'_, Value>]) -> Result<Value, EvalError> {
    let len = text.chars().count();
    let at = |place: usize, else_at: usize| match range.get(place) {
        Some(value) => whole(value).ok_or(EvalError::WrongType),
        None => Ok(else_at as i128),
    };
    let (from, to) = (at(0, 0)?, at(1, len)?);
    let is_there = 0 <= from && from <= to && to <= len as i128;
    let within = |at: i128| usize::try_from(at).ok().filter(|_| is_there);
    let (Some(first), Some(end)) = (within(from), within(to)) else {
        return Err(EvalError::NoSuchPart { from, to, len });
    };
    Ok(Value::String(text.chars().skip(first).take(end - first).collect()))
}

fn join(args: &[Cow<'_, Value>]) -> Result<String, EvalError> {
    let Some(Value::List(items)) = args.first().map(|it| &**it) else {
        return Err(EvalError::WrongType);
    };
    let by = args.get(1).and_then(|it| it.as_str()).unwrap_or("");
    let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
    let texts = texts.ok_or(EvalError::WrongType)?;
    bounded(texts.iter().map(|it| it.len() + by.len()).sum())?;
    Ok(texts.join(by))
}

/// `%s` and `%d` for the values in turn, `%%` for a percent sign.
fn format(pattern: &str, values: Option<&[Value]>) -> Result<String, EvalError> {
    let unreadable = || EvalError::Unreadable(pattern.chars().take(40).collect());
    let mut values = values.ok_or(EvalError::WrongType)?.iter();
    let mut made = String::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            made.push(c);
            continue;
        }
        match rest.next() {
            Some('%') => made.push('%'),
            Some('s') => {
                let value = values.next().ok_or_else(unreadable)?;
                made.push_str(to_string(value)?.as_str().ok_or(EvalError::WrongType)?);
            }
            Some('d') => {
                let number = values.next().and_then(whole).ok_or_else(unreadable)?;
                made.push_str(&number.to_string());
            }
            _ => return Err(unreadable()),
        }
        bounded(made.len())?;
    }
    Ok(made)
}

fn flatten(frame: &Frame<'_>, args: &[Cow<'_, Value>]) -> Result<Value, EvalError> {
    let Some(Value::List(lists)) = args.first().map(|it| &**it) else {
        return Err(EvalError::WrongType);
    };
    let mut all = Vec::new();
    for list in lists {
        let items = list.as_list().ok_or(EvalError::WrongType)?;
        frame.spend(items.len() as u64)?;
        all.extend(items.iter().cloned());
    }
    Ok(Value::List(all))
}

/// The sum of a list. Of an empty one: 0, which the field that it is for makes its own.
fn sum(frame: &Frame<'_>, args: &[Cow<'_, Value>]) -> Result<Value, EvalError> {
    let Some(Value::List(items)) = args.first().map(|it| &**it) else {
        return Err(EvalError::WrongType);
    };
    let mut items = items.iter();
    let Some(first) = items.next() else { return Ok(Value::I64(0)) };
    // A sum of one is not narrower than a sum of two.
    let mut sum = match first {
        Value::I32(it) => Value::I64((*it).into()),
        Value::U32(it) => Value::U64((*it).into()),
        Value::F32(it) => Value::F64((*it).into()),
        other => other.clone(),
    };
    for item in items {
        frame.spend(1)?;
        sum = frame.compute(Arithmetic::Add, Cow::Owned(sum), Cow::Borrowed(item))?;
    }
    Ok(sum)
}
