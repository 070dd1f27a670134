//! Limits of what a caller may send, and the checks of them.

use saga_participant::{OperationError, fields};
use uuid::Uuid;

use crate::provider::{self, amount};

/// The largest amount, in minor units: sums of a billion of them still fit.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000;

/// Characters of a provider's key.
pub const PROVIDER_KEY_CHARS_MAX: usize = 200;

/// Characters of the reason of a cancel.
pub const REASON_CHARS_MAX: usize = 200;

/// Characters of the name of a credit account.
pub const ACCOUNT_CHARS_MAX: usize = 64;

/// Credits that one payment may buy.
pub const CREDITS_MAX: i64 = 1_000_000;

/// Whether `text` is an order number: `^[A-Za-z0-9_-]{6,64}$`, as Toss has it.
pub fn is_order_no(text: &str) -> bool {
    (6..=64).contains(&text.len())
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-')
}

/// Whether `text` is a provider's key: 1 to 200 characters, none of them a control
/// character. It becomes a part of a path, where `.` and `..` have a meaning.
pub fn is_provider_key(text: &str) -> bool {
    (1..=PROVIDER_KEY_CHARS_MAX).contains(&text.chars().count())
        && !text.contains(char::is_control)
        && !matches!(text, "." | "..")
}

/// Whether `text` is the reason of a cancel.
pub fn is_reason(text: &str) -> bool {
    (1..=REASON_CHARS_MAX).contains(&text.chars().count()) && !text.contains('\0')
}

// The checks below answer with `OperationError::Invalid`, which names the field, what it
// held and what it may be. Nothing was done.

pub(crate) fn check_order_no(field: &str, order_no: &str) -> Result<(), OperationError> {
    let remedy = "6 to 64 letters, digits, `-` and `_`";
    check(is_order_no(order_no), field, order_no, remedy)
}

pub(crate) fn check_amount(field: &str, amount_minor: i64) -> Result<(), OperationError> {
    let remedy = format!("an amount in minor units, from 1 to {AMOUNT_MINOR_MAX}");
    if (1..=AMOUNT_MINOR_MAX).contains(&amount_minor) {
        return Ok(());
    }
    Err(OperationError::invalid(field, amount_minor, remedy))
}

/// Returns the decimals of the currency.
pub(crate) fn check_currency(field: &str, currency: &str) -> Result<u32, OperationError> {
    fields::currency(field, currency)?;
    let remedy = "a currency with units to pay with";
    amount::decimals(currency).ok_or_else(|| OperationError::invalid(field, currency, remedy))
}

pub(crate) fn check_provider(field: &str, provider: &str) -> Result<(), OperationError> {
    check(provider::NAMES.contains(&provider), field, provider, "toss or portone")
}

pub(crate) fn check_provider_key(field: &str, key: &str) -> Result<(), OperationError> {
    check(is_provider_key(key), field, key, "1 to 200 characters, none of them a control character")
}

pub(crate) fn check_account(field: &str, account: &str) -> Result<(), OperationError> {
    fields::text(field, account, 1..=ACCOUNT_CHARS_MAX)
}

pub(crate) fn check_credits(field: &str, credits: i64) -> Result<(), OperationError> {
    fields::within(field, credits, 1..=CREDITS_MAX)
}

pub(crate) fn parse_payment_id(field: &str, text: &str) -> Result<Uuid, OperationError> {
    Uuid::try_parse(text).map_err(|_| OperationError::invalid(field, text, "a UUID"))
}

fn check(is_good: bool, field: &str, value: &str, remedy: &str) -> Result<(), OperationError> {
    if is_good {
        return Ok(());
    }
    Err(OperationError::invalid(field, value, remedy))
}
