//! `GET /v1/transactions`: the movements of money of a span of time, a page at a time.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use jiff::{
    civil::DateTime,
    tz::{TimeZone, offset},
};
use serde_json::{Value, json};

use super::{
    authorize,
    reply::{error_reply, seoul_time},
    respond, status_reply,
};
use crate::simulator::{
    Shared,
    book::{self, Movement, Movements},
    exchange::Reply,
};

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 5_000;

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = authorize(&headers) {
        return respond(&shared, Some(refused));
    }
    let Some(wanted) = wanted(&query.unwrap_or_default()) else {
        return respond(&shared, Some(error_reply(400, "INVALID_REQUEST")));
    };
    let read = |reads| async move { book::movements(&reads, wanted).await };
    let reply = match shared.read(read).await {
        Ok(movements) => {
            let body: Value = movements.iter().map(|it| transaction(&shared, it)).collect();
            Reply { status: 200, body: Bytes::from(body.to_string()) }
        }
        Err(_) => status_reply(500),
    };
    respond(&shared, Some(reply))
}

fn wanted(query: &str) -> Option<Movements> {
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|it| it.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.replace("%3A", ":"))
    };
    let after_seq = match value("startingAfter") {
        Some(key) => i64::from_str_radix(&key, 16).ok()?,
        None => 0,
    };
    let limit = match value("limit") {
        Some(limit) => limit.parse().ok()?,
        None => LIMIT_DEFAULT,
    };
    Some(Movements {
        from_ms: moment(&value("startDate")?)?,
        until_ms: moment(&value("endDate")?)?,
        after_seq,
        limit: (1..=LIMIT_MAX).contains(&limit).then_some(limit)?,
    })
}

/// The provider reads its local time, without an offset.
fn moment(text: &str) -> Option<i64> {
    let at: DateTime = text.parse().ok()?;
    Some(at.to_zoned(TimeZone::fixed(offset(9))).ok()?.timestamp().as_millisecond())
}

fn transaction(shared: &Shared, movement: &Movement) -> Value {
    let status = if movement.kind == "CAPTURE" { "DONE" } else { "CANCELED" };
    json!({
        "mId": "simulator",
        "transactionKey": format!("{:032X}", movement.seq),
        "paymentKey": movement.payment_key,
        "orderId": movement.order_no,
        "method": "카드",
        "status": status,
        "transactionAt": seoul_time(movement.at_ms),
        "amount": shared.config.written(movement.amount_minor),
    })
}
