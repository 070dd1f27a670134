//! Limits of what a caller may send, and the checks that several operations share.

use saga_participant::{OperationError, fields};

/// Lines of one order.
pub(crate) const LINES_MAX: usize = 2_000;

/// Units of one line.
pub(crate) const QTY_MAX: i64 = 1_000_000;

/// What one order may cost, in minor units: the sum of nine billion such orders fits into
/// 64 bits. The other services have the same limit.
pub(crate) const TOTAL_MINOR_MAX: i64 = 1_000_000_000;

/// Coupons that one order may use.
pub(crate) const COUPONS_MAX: usize = 100;

/// Credits that one order may grant: as many as a payment may be granted for.
pub(crate) const CREDITS_MAX: i64 = 1_000_000;

/// The payment providers that the shop knows. `payment-svc` has the same.
const PROVIDERS: [&str; 2] = ["toss", "portone"];

const PROVIDER_KEY_CHARS_MAX: usize = 200;

pub(crate) fn check_customer(customer_id: &str) -> Result<(), OperationError> {
    fields::text("customer_id", customer_id, 1..=64)
}

pub(crate) fn check_account(credit_account: &str) -> Result<(), OperationError> {
    fields::text("credit_account", credit_account, 0..=64)
}

/// A provider, and its key of a payment. `before` is the path to the two fields.
pub(crate) fn check_payment(
    before: &str,
    provider: &str,
    provider_key: &str,
) -> Result<(), OperationError> {
    if !PROVIDERS.contains(&provider) {
        let field = format!("{before}provider");
        return Err(OperationError::invalid(field, provider.escape_debug(), "toss or portone"));
    }
    let field = format!("{before}provider_key");
    fields::text(&field, provider_key, 1..=PROVIDER_KEY_CHARS_MAX)?;
    if matches!(provider_key, "." | "..") {
        return Err(OperationError::invalid(field, provider_key, "a key of the provider"));
    }
    Ok(())
}
