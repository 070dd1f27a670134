//! Bodies of the Toss wire.

use axum::body::Bytes;
use jiff::{
    Timestamp,
    tz::{TimeZone, offset},
};
use serde_json::{Value, json};

use crate::simulator::{
    book::{Payment, Refund, Refusal, Standing},
    exchange::Reply,
};

pub(super) fn payment_reply(payment: &Payment, now_ms: i64) -> Reply {
    Reply { status: 200, body: Bytes::from(payment_body(payment, now_ms).to_string()) }
}

pub(in crate::simulator) fn payment_body(payment: &Payment, now_ms: i64) -> Value {
    let standing = payment.standing(now_ms);
    let status = match standing {
        Standing::Requested => "READY",
        Standing::Authenticated => "IN_PROGRESS",
        Standing::AwaitsDeposit => "WAITING_FOR_DEPOSIT",
        Standing::Expired => "EXPIRED",
        Standing::Aborted => "ABORTED",
        Standing::Captured => "DONE",
        Standing::CancelledInPart => "PARTIAL_CANCELED",
        Standing::Cancelled | Standing::Withdrawn => "CANCELED",
    };
    let cancels = match payment.refunds.as_slice() {
        [] => Value::Null,
        refunds => refunds.iter().map(|it| cancel(payment, it)).collect(),
    };
    let failure = match standing {
        Standing::Withdrawn => None,
        _ => payment.failure_code.as_deref().map(error),
    };
    json!({
        "version": "2022-11-16",
        "mId": "simulator",
        "paymentKey": payment.payment_key,
        "type": "NORMAL",
        "orderId": payment.order_no,
        "orderName": payment.order_no,
        "currency": payment.currency,
        "method": "카드",
        "status": status,
        "totalAmount": payment.written(payment.amount_minor),
        "balanceAmount": payment.written(payment.balance_minor()),
        "requestedAt": seoul_time(payment.requested_at_ms),
        "approvedAt": payment.approved_at_ms.map(seoul_time),
        "cancels": cancels,
        "failure": failure,
    })
}

fn cancel(payment: &Payment, refund: &Refund) -> Value {
    json!({
        "cancelAmount": payment.written(refund.amount_minor),
        "cancelReason": refund.reason,
        "canceledAt": seoul_time(refund.at_ms),
        "transactionKey": format!("{:032X}", refund.seq),
        "cancelStatus": "DONE",
    })
}

/// A code that a script or the test header asks for, with the status that goes with it.
pub(super) fn forced_reply(code: &str) -> Reply {
    let status = match code {
        "UNAUTHORIZED_KEY" => 401,
        "NOT_FOUND_PAYMENT" | "NOT_FOUND_PAYMENT_SESSION" => 404,
        "IDEMPOTENT_REQUEST_PROCESSING" => 409,
        "TOO_MANY_REQUESTS" => 429,
        _ if code.starts_with("REJECT_")
            || code.starts_with("NOT_CANCELABLE_")
            || code.starts_with("FORBIDDEN_") =>
        {
            403
        }
        _ if code.starts_with("FAILED_") || code == "UNKNOWN_PAYMENT_ERROR" => 500,
        _ => 400,
    };
    error_reply(status, code)
}

/// Whether a confirm that meets this code ends the payment.
pub(super) fn is_final_refusal(code: &str) -> bool {
    ["REJECT_", "INVALID_CARD", "INVALID_STOPPED_CARD", "INVALID_REJECT_CARD", "EXCEED_MAX_"]
        .iter()
        .any(|it| code.starts_with(it))
}

pub(super) fn refusal_reply(refusal: Refusal) -> Reply {
    let (status, code) = match refusal {
        Refusal::NoSession => (404, "NOT_FOUND_PAYMENT_SESSION"),
        Refusal::NoPayment => (404, "NOT_FOUND_PAYMENT"),
        Refusal::AlreadyProcessed => (400, "ALREADY_PROCESSED_PAYMENT"),
        Refusal::OrderOrAmountDiffers => (400, "INVALID_REQUEST"),
        Refusal::DuplicateOrder => (400, "DUPLICATED_ORDER_ID"),
        Refusal::NotCaptured => (403, "NOT_CANCELABLE_PAYMENT"),
        Refusal::AlreadyCancelled => (400, "ALREADY_CANCELED_PAYMENT"),
        Refusal::MoreThanBalance | Refusal::BalanceDiffers => (403, "NOT_CANCELABLE_AMOUNT"),
    };
    error_reply(status, code)
}

pub(super) fn error_reply(status: u16, code: &str) -> Reply {
    Reply { status, body: Bytes::from(error(code).to_string()) }
}

fn error(code: &str) -> Value {
    let message = code.to_lowercase().replace('_', " ");
    json!({ "code": code, "message": message })
}

/// The provider writes its local time, with whole seconds.
pub(in crate::simulator) fn seoul_time(at_ms: i64) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or_default();
    at.to_zoned(TimeZone::fixed(offset(9))).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}
