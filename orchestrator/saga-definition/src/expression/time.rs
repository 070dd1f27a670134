//! Points in time and spans: `google.protobuf.Timestamp` and `google.protobuf.Duration`.

use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage, Value};

use super::{Arithmetic, eval::EvalError};
use crate::value_type::Type;

const TIMESTAMP: &str = "google.protobuf.Timestamp";
const DURATION: &str = "google.protobuf.Duration";

const NANOS_PER_S: i128 = 1_000_000_000;

/// From the year 1 to 9999, in seconds.
const TIMESTAMP_S: [i128; 2] = [-62_135_596_800, 253_402_300_799];

/// What a duration of protobuf may be long, in seconds.
const DURATION_S_MAX: i128 = 315_576_000_000;

/// Whether this is a point in time.
pub(super) fn is_timestamp(of: &Type) -> bool {
    matches!(of, Type::Message(of) if of.full_name() == TIMESTAMP)
}

/// Whether this is a span.
pub(super) fn is_duration(of: &Type) -> bool {
    matches!(of, Type::Message(of) if of.full_name() == DURATION)
}

/// The type that everybody knows.
pub(super) fn timestamp_type() -> MessageDescriptor {
    prost_types::Timestamp::default().descriptor()
}

/// The type that everybody knows.
pub(super) fn duration_type() -> MessageDescriptor {
    prost_types::Duration::default().descriptor()
}

/// A point in time or a span in nanoseconds.
pub(super) fn nanos(value: &Value) -> Option<i128> {
    let message = value.as_message()?;
    let of = message.descriptor();
    if of.full_name() != TIMESTAMP && of.full_name() != DURATION {
        return None;
    }
    let part = |number| message.get_field_by_number(number).map(|it| it.into_owned());
    let seconds = i128::from(part(1)?.as_i64()?);
    let nanos = i128::from(part(2)?.as_i32()?);
    Some(seconds * NANOS_PER_S + nanos)
}

/// `timestamp("2026-01-01T00:00:00Z")`.
pub(super) fn timestamp(text: &str) -> Result<Value, EvalError> {
    if is_rfc3339(text) { timestamp_loosely(text) } else { Err(unreadable(text)) }
}

/// Whether it is written as RFC 3339 has it: with its zone, and no leap second, which has no place
/// in a count of seconds.
pub(crate) fn is_rfc3339(text: &str) -> bool {
    let fits = |text: &str, pattern: &str| {
        let is = |(it, wanted): (u8, u8)| match wanted {
            b'0' => it.is_ascii_digit(),
            b'+' => it == b'+' || it == b'-',
            _ => it == wanted,
        };
        text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(is)
    };
    let (Some(point), Some(rest)) = (text.get(..19), text.get(19..)) else { return false };
    let zone = match rest.strip_prefix('.') {
        None => rest,
        Some(rest) => {
            let zone = rest.trim_start_matches(|it: char| it.is_ascii_digit());
            if !(1..=9).contains(&(rest.len() - zone.len())) {
                return false;
            }
            zone
        }
    };
    fits(point, "0000-00-00T00:00:00")
        && !point.ends_with("60")
        && (zone == "Z" || fits(zone, "+00:00"))
}

/// Also without a zone or a time of day, which are taken for those of UTC.
pub(super) fn timestamp_loosely(text: &str) -> Result<Value, EvalError> {
    let read: prost_types::Timestamp = text.parse().map_err(|_| unreadable(text))?;
    let nanos = i128::from(read.seconds) * NANOS_PER_S + i128::from(read.nanos);
    made(&timestamp_type(), nanos)
}

/// `duration("1h30m")`.
pub(super) fn duration(text: &str) -> Result<Value, EvalError> {
    let nanos = duration_nanos(text).ok_or_else(|| unreadable(text))?;
    made(&duration_type(), nanos)
}

fn unreadable(text: &str) -> EvalError {
    EvalError::Unreadable(text.chars().take(40).collect())
}

/// Numbers with units, behind one sign: `-1.5h`, `1m30s`, `100ms`.
fn duration_nanos(text: &str) -> Option<i128> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum = 0_i128;
    let mut parts = 0;
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(number_len);
        let unit_len = behind.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, behind) = behind.split_at(unit_len.unwrap_or(behind.len()));
        let unit_nanos: i128 = match unit {
            "h" => 3_600 * NANOS_PER_S,
            "m" => 60 * NANOS_PER_S,
            "s" => NANOS_PER_S,
            "ms" => 1_000_000,
            "us" | "µs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || 18 < fraction.len() {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        sum = sum.checked_add(whole.checked_mul(unit_nanos)?)?;
        if !fraction.is_empty() {
            let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
            sum =
                sum.checked_add(fraction.parse::<i128>().ok()?.checked_mul(unit_nanos)? / scale)?;
        }
        rest = behind;
        parts += 1;
    }
    (0 < parts).then_some(if negative { -sum } else { sum })
}

/// `+` and `-`.
pub(super) fn computed(
    operator: Arithmetic,
    left: &DynamicMessage,
    right: &DynamicMessage,
) -> Result<Value, EvalError> {
    let of = |it: &DynamicMessage| nanos(&Value::Message(it.clone())).ok_or(EvalError::WrongType);
    let (a, b) = (of(left)?, of(right)?);
    let is_point = |it: &DynamicMessage| it.descriptor().full_name() == TIMESTAMP;
    let result = match operator {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        _ => return Err(EvalError::WrongType),
    };
    // A span is computed in 64 bits of nanoseconds.
    if (is_point(left) == is_point(right)) && i64::try_from(result).is_err() {
        return Err(EvalError::TooLong { years: 292 });
    }
    let of = match (is_point(left), is_point(right)) {
        (true, true) => duration_type(),
        (true, false) | (false, false) => left.descriptor(),
        (false, true) => right.descriptor(),
    };
    made(&of, result)
}

/// What `+` and `-` of two of them are.
pub(super) fn computed_type(operator: Arithmetic, left: &Type, right: &Type) -> Option<Type> {
    let subtract = operator == Arithmetic::Subtract;
    if !subtract && operator != Arithmetic::Add {
        return None;
    }
    match (is_timestamp(left), is_timestamp(right)) {
        (true, true) => subtract.then(|| Type::Message(duration_type())),
        (true, false) => is_duration(right).then(|| left.clone()),
        (false, true) => (!subtract && is_duration(left)).then(|| right.clone()),
        (false, false) => (is_duration(left) && is_duration(right)).then(|| left.clone()),
    }
}

/// A point in time, of milliseconds since 1970.
pub(super) fn point(at_ms: u64) -> Result<Value, EvalError> {
    made(&timestamp_type(), i128::from(at_ms) * 1_000_000)
}

fn made(of: &MessageDescriptor, nanos: i128) -> Result<Value, EvalError> {
    let is_point = of.full_name() == TIMESTAMP;
    // The nanoseconds of a point count forward; those of a span have its sign.
    let (seconds, rest) = match is_point {
        true => (nanos.div_euclid(NANOS_PER_S), nanos.rem_euclid(NANOS_PER_S)),
        false => (nanos / NANOS_PER_S, nanos % NANOS_PER_S),
    };
    let in_range = match is_point {
        true => (TIMESTAMP_S[0]..=TIMESTAMP_S[1]).contains(&seconds),
        false => seconds.abs() <= DURATION_S_MAX,
    };
    if !in_range {
        return Err(match is_point {
            true => EvalError::OutOfYears,
            false => EvalError::TooLong { years: 10_000 },
        });
    }
    let (seconds, rest) = (i64::try_from(seconds), i32::try_from(rest));
    let mut message = DynamicMessage::new(of.clone());
    message.set_field_by_number(1, Value::I64(seconds.map_err(|_| EvalError::Overflow)?));
    message.set_field_by_number(2, Value::I32(rest.map_err(|_| EvalError::Overflow)?));
    Ok(Value::Message(message))
}

/// The whole seconds since 1970 of a point, or of a span.
pub(super) fn seconds(value: &Value) -> Option<i128> {
    nanos(value).map(|it| it.div_euclid(NANOS_PER_S))
}
