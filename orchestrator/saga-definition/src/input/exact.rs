//! Proto-JSON in which nothing is said twice and no number changes its value: what is written
//! arrives, or is refused.
//!
//! The reader behind this one takes the last of two equal keys, leaves nulls in lists out, and
//! reads numbers by way of 64-bit floats. So they are looked at here, with the type at hand.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

use super::{json::Json, wrong};
use crate::{InputError, expression::is_rfc3339};

/// The same JSON as a tree of values, each exactly as written.
pub(super) fn message(
    of: &MessageDescriptor,
    json: &Json<'_>,
    path: &str,
) -> Result<Value, InputError> {
    let Json::Object(entries) = json else { return scalar_message(of, json, path) };
    match of.full_name().strip_prefix("google.protobuf.") {
        Some("Any") => any(of, json, entries, path),
        Some("Struct" | "Value" | "Empty") => free(json, path),
        _ => fields(of, entries, path),
    }
}

/// A message whose JSON is no object: that of a well-known type, or a mistake.
fn scalar_message(
    of: &MessageDescriptor,
    json: &Json<'_>,
    path: &str,
) -> Result<Value, InputError> {
    let wrapped = of.full_name().strip_prefix("google.protobuf.").is_some_and(|name| {
        let wrappers = ["Double", "Float", "Int64", "UInt64", "Int32", "UInt32"];
        name.strip_suffix("Value").is_some_and(|name| wrappers.contains(&name))
    });
    match (of.get_field_by_name("value"), json) {
        (Some(field), _) if wrapped => one(&field.kind(), json, path),
        (_, Json::Text(text)) => time(of, text, path),
        _ => free(json, path),
    }
}

/// A point in time or a span: the reader behind this one cuts what it has no room for.
fn time(of: &MessageDescriptor, text: &str, path: &str) -> Result<Value, InputError> {
    let (is_one, remedy) = match of.full_name() {
        "google.protobuf.Timestamp" => {
            (is_rfc3339(text), "write it as in 2026-01-02T15:04:05.5Z, with nine decimals at most")
        }
        "google.protobuf.Duration" => {
            let number = text.strip_suffix('s').unwrap_or_default();
            let decimals = number.split_once('.').map_or("", |(_, decimals)| decimals);
            (decimals.len() <= 9, "write it as in 1.5s, with nine decimals at most")
        }
        _ => return Ok(Value::String(text.to_owned())),
    };
    if is_one {
        return Ok(Value::String(text.to_owned()));
    }
    Err(wrong(path, format!("{text:?} is no {}", of.full_name()), remedy))
}

fn fields(
    of: &MessageDescriptor,
    entries: &[(String, Json<'_>)],
    path: &str,
) -> Result<Value, InputError> {
    let mut seen: Vec<&str> = Vec::with_capacity(entries.len());
    let mut numbers: Vec<u32> = Vec::with_capacity(entries.len());
    let mut made = serde_json::Map::with_capacity(entries.len());
    for (key, json) in entries {
        let inner = joined(path, key);
        let field = of.get_field_by_json_name(key).or_else(|| of.get_field_by_name(key));
        if seen.contains(&key.as_str())
            || field.as_ref().is_some_and(|field| numbers.contains(&field.number()))
        {
            return Err(twice(&inner));
        }
        seen.push(key);
        numbers.extend(field.as_ref().map(FieldDescriptor::number));
        let extension = || of.get_extension_by_json_name(key.strip_prefix('[')?.strip_suffix(']')?);
        let value = match (field, json) {
            (Some(field), json) => value(&field, json, &inner)?,
            (None, Json::List(items)) => match extension() {
                Some(it) => list(&it.kind(), items, &inner)?,
                None => free(json, &inner)?,
            },
            (None, json) => match extension() {
                Some(it) => one(&it.kind(), json, &inner)?,
                // Whoever reads the fields says that there is no such one.
                None => free(json, &inner)?,
            },
        };
        made.insert(key.clone(), value);
    }
    Ok(Value::Object(made))
}

fn value(field: &FieldDescriptor, json: &Json<'_>, path: &str) -> Result<Value, InputError> {
    match (json, field.kind()) {
        (Json::Object(entries), Kind::Message(entry)) if field.is_map() => {
            let key_kind = entry.map_entry_key_field().kind();
            let value_kind = entry.map_entry_value_field().kind();
            let mut seen: Vec<MapKeyText> = Vec::with_capacity(entries.len());
            let mut made = serde_json::Map::with_capacity(entries.len());
            for (key, json) in entries {
                let inner = joined(path, key);
                seen.push(map_key(&key_kind, key));
                made.insert(key.clone(), present(&value_kind, json, &inner)?);
            }
            seen.sort();
            match seen.windows(2).find(|pair| pair[0] == pair[1]) {
                Some(pair) => Err(twice(&joined(path, &pair[0].to_string()))),
                None => Ok(Value::Object(made)),
            }
        }
        (Json::List(items), kind) if field.is_list() => list(&kind, items, path),
        (json, kind) => one(&kind, json, path),
    }
}

/// A key of a map as its type has it: `1` and `01` are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MapKeyText {
    Number(i128),
    Text(String),
}

impl std::fmt::Display for MapKeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(it) => it.fmt(f),
            Self::Text(it) => it.fmt(f),
        }
    }
}

fn map_key(kind: &Kind, key: &str) -> MapKeyText {
    match key.parse() {
        Ok(number) if !matches!(kind, Kind::String) => MapKeyText::Number(number),
        _ => MapKeyText::Text(key.to_owned()),
    }
}

fn list(kind: &Kind, items: &[Json<'_>], path: &str) -> Result<Value, InputError> {
    let items = items.iter().enumerate();
    let items = items.map(|(index, item)| present(kind, item, &format!("{path}[{index}]")));
    items.collect::<Result<_, _>>().map(Value::Array)
}

/// An element of a list or a map, which has no way to be absent.
fn present(kind: &Kind, json: &Json<'_>, path: &str) -> Result<Value, InputError> {
    let takes_null = match kind {
        Kind::Message(of) => of.full_name() == "google.protobuf.Value",
        Kind::Enum(of) => of.full_name() == "google.protobuf.NullValue",
        _ => false,
    };
    if *json == Json::Null && !takes_null {
        return Err(wrong(path, "null is no element", "leave it out, or give it a value"));
    }
    one(kind, json, path)
}

/// A value of this kind.
fn one(kind: &Kind, json: &Json<'_>, path: &str) -> Result<Value, InputError> {
    match (kind, json) {
        (Kind::Message(of), json) => message(of, json, path),
        (Kind::Double | Kind::Float, Json::Number(text)) => float(kind, text, path),
        (Kind::Double | Kind::Float, Json::Text(text)) if is_digits(text) => {
            float(kind, text, path)?;
            Ok(Value::String(text.clone()))
        }
        (Kind::Double | Kind::Float | Kind::String | Kind::Bytes | Kind::Bool, json) => {
            free(json, path)
        }
        (_, Json::Number(text)) => whole(text, path),
        (Kind::Enum(_), json) => free(json, path),
        // As JSON writes what it has no whole numbers for.
        (_, Json::Text(text)) if text.contains(['.', 'e', 'E']) => whole(text, path),
        (_, json) => free(json, path),
    }
}

/// A value that has no type but its own: all numbers are 64-bit floats.
fn free(json: &Json<'_>, path: &str) -> Result<Value, InputError> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(it) => Value::Bool(*it),
        Json::Number(text) => float(&Kind::Double, text, path)?,
        Json::Text(text) => Value::String(text.clone()),
        Json::List(items) => {
            let items = items.iter().enumerate();
            let items = items.map(|(index, item)| free(item, &format!("{path}[{index}]")));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Json::Object(entries) => {
            let mut made = serde_json::Map::with_capacity(entries.len());
            for (key, json) in entries {
                let inner = joined(path, key);
                if made.insert(key.clone(), free(json, &inner)?).is_some() {
                    return Err(twice(&inner));
                }
            }
            Value::Object(made)
        }
    })
}

/// `{"@type": "type.googleapis.com/package.Message", ...}`.
fn any(
    of: &MessageDescriptor,
    json: &Json<'_>,
    entries: &[(String, Json<'_>)],
    path: &str,
) -> Result<Value, InputError> {
    let named = entries.iter().find_map(|(key, json)| match json {
        Json::Text(url) if key == "@type" => url.rsplit_once('/'),
        _ => None,
    });
    let inner = named.and_then(|(_, name)| of.parent_pool().get_message_by_name(name));
    let Some(inner) = inner else { return free(json, path) };
    if !inner.full_name().starts_with("google.protobuf.") {
        return fields(&inner, entries, path);
    }
    // Well-known types stand under `value`, in their own form.
    let mut made = serde_json::Map::with_capacity(entries.len());
    for (key, json) in entries {
        let at = joined(path, key);
        let value = if key == "value" { message(&inner, json, &at)? } else { free(json, &at)? };
        if made.insert(key.clone(), value).is_some() {
            return Err(twice(&at));
        }
    }
    Ok(Value::Object(made))
}

/// A whole number, however it is spelled.
fn whole(text: &str, path: &str) -> Result<Value, InputError> {
    let refused = |why: &str| {
        wrong(path, format!("`{text}` {why}"), "send a whole number that its type can hold")
    };
    let Some(number) = exactly(text) else {
        return Err(refused("is not a whole number, or is too large"));
    };
    let unsigned = u64::try_from(number).map(Value::from);
    unsigned
        .or_else(|_| i64::try_from(number).map(Value::from))
        .map_err(|_| refused("is too large"))
}

/// A float. What is spelled as a whole number must be one that it can hold: a float that is
/// near is another number.
fn float(kind: &Kind, text: &str, path: &str) -> Result<Value, InputError> {
    let nearest = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
    let Some(nearest) = nearest else {
        return Err(wrong(path, format!("`{text}` is too large"), "send a smaller number"));
    };
    if is_digits(text) {
        let number: Option<i128> = text.parse().ok();
        #[expect(clippy::cast_possible_truncation, reason = "the way there and back is the test")]
        let held = number.is_some_and(|it| match kind {
            Kind::Float => (it as f32) as i128 == it,
            _ => (it as f64) as i128 == it,
        });
        if !held {
            let message = format!("`{text}` is not a number that a float can hold");
            return Err(wrong(path, message, "send it as text in a field of type string"));
        }
    }
    Ok(Value::Number(nearest))
}

fn is_digits(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The value of a decimal number such as `-12.50e3`, where that is whole and below 10^38.
fn exactly(text: &str) -> Option<i128> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    if !is_digits(whole) || !is_digits(part) || whole.starts_with('-') || part.starts_with('-') {
        return None;
    }
    let digits = format!("{whole}{part}");
    let significant = digits.trim_end_matches('0').trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let exponent: i64 = exponent.parse().ok()?;
    let shift = exponent - i64::try_from(part.len()).ok()? + i64::try_from(zeros).ok()?;
    let power = 10_i128.checked_pow(u32::try_from(shift).ok()?)?;
    let number = significant.parse::<i128>().ok()?.checked_mul(power)?;
    Some(if negative { -number } else { number })
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn twice(path: &str) -> InputError {
    wrong(path, "it is given twice", "keep one of them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spelling_is_its_exact_value_or_none() {
        let table = [
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("9007199254740992.5", None),
            ("-12.50e3", Some(-12_500)),
            ("1e3", Some(1_000)),
            ("1E+2", Some(100)),
            ("1200e-2", Some(12)),
            ("1e-1", None),
            ("-0.0", Some(0)),
            ("0e999999999999", Some(0)),
            ("1e30", Some(1_000_000_000_000_000_000_000_000_000_000)),
            ("1e39", None),
            ("1e99999999999999999999", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("1.-5", None),
            ("--5", None),
            ("0x10", None),
        ];
        for (text, value) in table {
            assert_eq!(exactly(text), value, "{text}");
        }
    }
}
