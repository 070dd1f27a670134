//! Reason codes of this service, as in `shop/payment/v1/payment.proto`.

use saga_participant::{Refusal, RefusalCode};

/// The order has a live payment, or the provider's payment settled another order.
pub const PAYMENT_ALREADY_USED: &str = "PAYMENT_ALREADY_USED";
/// The provider's amount or the prepared one differs.
pub const AMOUNT_MISMATCH: &str = "AMOUNT_MISMATCH";
/// The provider is not configured for the currency of the order.
pub const CURRENCY_NOT_TAKEN: &str = "CURRENCY_NOT_TAKEN";
/// The shop takes no payments by that provider.
pub const PROVIDER_NOT_TAKEN: &str = "PROVIDER_NOT_TAKEN";
/// The provider refuses the card, the account or the limit.
pub const DECLINED: &str = "DECLINED";
/// The buyer's window has passed.
pub const SESSION_EXPIRED: &str = "SESSION_EXPIRED";
/// The buyer's way to pay takes longer than an order waits; the payment is cancelled.
pub const PAYS_LATER: &str = "PAYS_LATER";
/// The provider does not give the money back.
pub const NOT_CANCELABLE: &str = "NOT_CANCELABLE";
/// More than is left.
pub const AMOUNT_EXCEEDS_BALANCE: &str = "AMOUNT_EXCEEDS_BALANCE";
/// The buyer has not paid, or has the money back.
pub const NOT_PAID: &str = "NOT_PAID";
/// The buyer paid for another order.
pub const ORDER_MISMATCH: &str = "ORDER_MISMATCH";
/// The payment granted another number, or to another account.
pub const CREDIT_ALREADY_GRANTED: &str = "CREDIT_ALREADY_GRANTED";
/// There is no such payment.
pub const PAYMENT_NOT_FOUND: &str = "PAYMENT_NOT_FOUND";
/// Another operation on the payment is not settled yet: nothing was done, try again.
pub const PAYMENT_IN_PROGRESS: &str = "PAYMENT_IN_PROGRESS";

pub(crate) fn refusal(
    reason: &'static str,
    message: String,
    metadata: Vec<(&'static str, String)>,
) -> Refusal {
    let code = match reason {
        PAYMENT_NOT_FOUND => RefusalCode::NotFound,
        _ => RefusalCode::FailedPrecondition,
    };
    Refusal { code, reason, message, metadata }
}
