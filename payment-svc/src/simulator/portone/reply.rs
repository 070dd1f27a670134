//! Bodies of the PortOne wire.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::simulator::{
    book::{Payment, Refund, Refusal, Standing},
    exchange::Reply,
};

pub(super) fn payment_reply(payment: &Payment, now_ms: i64) -> Reply {
    envelope(&payment_body(payment, now_ms))
}

/// The provider's word for where a payment stands. In part cancelled is still paid.
pub(in crate::simulator) fn status(payment: &Payment, now_ms: i64) -> &'static str {
    match payment.standing(now_ms) {
        Standing::Requested | Standing::Authenticated | Standing::AwaitsDeposit => "ready",
        Standing::Expired | Standing::Aborted | Standing::Withdrawn => "failed",
        Standing::Captured | Standing::CancelledInPart | Standing::Cancelled => {
            if payment.balance_minor() == 0 { "cancelled" } else { "paid" }
        }
    }
}

fn payment_body(payment: &Payment, now_ms: i64) -> Value {
    let cancelled_minor: i64 = payment.refunds.iter().map(|it| it.amount_minor).sum();
    json!({
        "imp_uid": payment.payment_key,
        "merchant_uid": payment.order_no,
        "pay_method": "card",
        "name": payment.order_no,
        "amount": payment.written(payment.amount_minor),
        "cancel_amount": payment.written(cancelled_minor),
        "currency": payment.currency,
        "status": status(payment, now_ms),
        "paid_at": payment.approved_at_ms.unwrap_or(0) / 1000,
        "fail_reason": payment.failure_code,
        "cancel_history": payment.refunds.iter().map(|it| cancel(payment, it)).collect::<Value>(),
    })
}

fn cancel(payment: &Payment, refund: &Refund) -> Value {
    json!({
        "pg_tid": format!("{:032X}", refund.seq),
        "amount": payment.written(refund.amount_minor),
        "cancelled_at": refund.at_ms / 1000,
        "reason": refund.reason,
    })
}

pub(super) fn refusal_reply(refusal: Refusal) -> Reply {
    let (code, message) = match refusal {
        Refusal::NoPayment | Refusal::NoSession => {
            return error_reply(404, -1, "there is no such payment");
        }
        Refusal::NotCaptured => (1, "the payment is not paid"),
        Refusal::AlreadyCancelled => (1, "the payment is cancelled in full already"),
        Refusal::MoreThanBalance => (1, "more than what can be cancelled"),
        Refusal::BalanceDiffers => (1, "the checksum is not what can be cancelled"),
        Refusal::AlreadyProcessed => (1, "the payment is paid already"),
        Refusal::OrderOrAmountDiffers => (1, "the order or the amount differs"),
        Refusal::DuplicateOrder => (1, "the order is paid already"),
    };
    error_reply(200, code, message)
}

pub(super) fn envelope(response: &Value) -> Reply {
    let body = json!({ "code": 0, "message": null, "response": response });
    Reply { status: 200, body: Bytes::from(body.to_string()) }
}

pub(super) fn error_reply(status: u16, code: i64, message: &str) -> Reply {
    let body = json!({ "code": code, "message": message, "response": null });
    Reply { status, body: Bytes::from(body.to_string()) }
}

/// What PortOne says with a status alone.
pub(super) fn status_reply(status: u16) -> Reply {
    error_reply(status, -1, "try again later")
}
