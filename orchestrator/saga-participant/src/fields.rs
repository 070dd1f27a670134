//! Checks of request fields. Each error names the field, its value and what it may be.

use std::{fmt::Display, ops::RangeInclusive};

use crate::error::{OperationError, Refusal, RefusalCode, reason};

/// Makes a refusal of a broken rule: for what a person filled in, so that the person is told.
/// What stays [`OperationError::Invalid`] is shown to an operator as a mistake in a
/// definition.
///
/// # Errors
///
/// [`OperationError::Rejected`] with the reason `INPUT_INVALID`, where there is no better
/// one, and the field.
pub fn refuse<T>(checked: Result<T, OperationError>) -> Result<T, OperationError> {
    checked.map_err(|error| {
        let message = error.to_string();
        let OperationError::Invalid { reason: broken, field, .. } = error else { return error };
        let reason = if broken == reason::FIELD_INVALID { reason::INPUT_INVALID } else { broken };
        let code = RefusalCode::FailedPrecondition;
        OperationError::Rejected(Refusal {
            code,
            reason,
            message,
            metadata: vec![("field", field)],
        })
    })
}

/// Makes a text for people fit: control characters become spaces, and what is longer than
/// `chars_max` is cut. For notes and reasons, which are never refused.
pub fn fit(text: &str, chars_max: usize) -> String {
    let clean = text.chars().map(|it| if it.is_control() { ' ' } else { it });
    if text.chars().count() <= chars_max {
        return clean.collect();
    }
    clean.take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

/// A text of so many characters, none of them a control character.
///
/// # Errors
///
/// [`OperationError::Invalid`].
pub fn text(field: &str, value: &str, chars: RangeInclusive<usize>) -> Result<(), OperationError> {
    let count = value.chars().count();
    if chars.contains(&count) && !value.chars().any(char::is_control) {
        return Ok(());
    }
    let (from, to) = (chars.start(), chars.end());
    let remedy = format!("from {from} to {to} characters, no control characters");
    Err(OperationError::invalid(field, value.escape_debug(), remedy))
}

/// An identifier: so many letters, digits, `_` and `-`.
///
/// # Errors
///
/// [`OperationError::Invalid`].
pub fn identifier(
    field: &str,
    value: &str,
    chars: RangeInclusive<usize>,
) -> Result<(), OperationError> {
    let allowed = |it: u8| it.is_ascii_alphanumeric() || it == b'_' || it == b'-';
    if chars.contains(&value.len()) && value.bytes().all(allowed) {
        return Ok(());
    }
    let (from, to) = (chars.start(), chars.end());
    let remedy = format!("from {from} to {to} letters, digits, _ and -");
    Err(OperationError::invalid(field, value.escape_debug(), remedy))
}

/// A number within bounds: a quantity, an amount, or how many lines there are.
///
/// # Errors
///
/// [`OperationError::Invalid`].
pub fn within<N: PartialOrd + Display>(
    field: &str,
    value: N,
    bounds: RangeInclusive<N>,
) -> Result<(), OperationError> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let remedy = format!("from {} to {}", bounds.start(), bounds.end());
    Err(OperationError::invalid(field, value, remedy))
}

/// A currency of ISO 4217 that has units to pay with, as `KRW` has.
///
/// # Errors
///
/// [`OperationError::Invalid`].
pub fn currency(field: &str, value: &str) -> Result<(), OperationError> {
    if iso_currency::Currency::from_code(value).is_some_and(|it| it.exponent().is_some()) {
        return Ok(());
    }
    let remedy = "a currency of ISO 4217 in capital letters, such as KRW";
    Err(OperationError::invalid(field, value.escape_debug(), remedy))
}
