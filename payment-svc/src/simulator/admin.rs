//! What a test may do that no client of a provider can: open payments as a buyer, plan
//! faults, move the clock, read the ledger. JSON under `/simulator/v1`.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{FaultScript, Session, Shared, Simulator, SimulatorError, WebhookScript};

const PAGE_ORDERS_MAX: u32 = 10_000;

pub(super) fn routes(shared: Arc<Shared>) -> Router {
    let simulator = Simulator { shared };
    Router::new()
        .route("/simulator/v1/payments", post(open_payments))
        .route("/simulator/v1/payments/{payment_key}/authenticate", post(authenticate))
        .route("/simulator/v1/payments/{payment_key}/pay", post(pay))
        .route("/simulator/v1/webhooks", post(send_webhooks))
        .route("/simulator/v1/faults", get(fired).post(plan))
        .route("/simulator/v1/clock", get(clock).post(move_clock))
        .route("/simulator/v1/ledger", get(ledger))
        .route("/simulator/v1/ledger/{order_no}", get(order))
        .with_state(simulator)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payments {
    payments: Vec<Session>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: i64,
}

async fn open_payments(State(it): State<Simulator>, Json(body): Json<Payments>) -> Response {
    let opened = body.payments.len();
    answer(it.authenticate_many(body.payments).await.map(|()| json!({ "opened": opened })))
}

async fn authenticate(State(it): State<Simulator>, Path(payment_key): Path<String>) -> Response {
    answer(it.buyer_authenticates(&payment_key).await)
}

async fn pay(State(it): State<Simulator>, Path(payment_key): Path<String>) -> Response {
    answer(it.buyer_pays(&payment_key).await)
}

async fn send_webhooks(State(it): State<Simulator>, Json(body): Json<WebhookScript>) -> Response {
    answer(it.send_webhooks(&body).await)
}

async fn plan(State(it): State<Simulator>, Json(script): Json<FaultScript>) -> Response {
    answer(it.plan_faults(script).await.map(|()| json!({})))
}

async fn fired(State(it): State<Simulator>) -> Response {
    answer(it.faults_fired().await)
}

async fn clock(State(it): State<Simulator>) -> Response {
    answer(Ok(json!({ "now_ms": it.now_ms() })))
}

async fn move_clock(State(it): State<Simulator>, Json(body): Json<Advance>) -> Response {
    answer(it.advance_clock(body.advance_ms).await.map(|now_ms| json!({ "now_ms": now_ms })))
}

async fn ledger(State(it): State<Simulator>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|it| it.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let limit = value("limit").and_then(|it| it.parse().ok()).unwrap_or(1000);
    // Order numbers need no escaping in a URL.
    let after = value("after").unwrap_or_default();
    answer(it.ledger_page(after, limit.min(PAGE_ORDERS_MAX)).await)
}

async fn order(State(it): State<Simulator>, Path(order_no): Path<String>) -> Response {
    answer(it.order_ledger(&order_no).await)
}

fn answer<T: Serialize>(result: Result<T, SimulatorError>) -> Response {
    match result {
        Ok(body) => Json(body).into_response(),
        Err(error) => {
            let status = match error {
                SimulatorError::SessionInvalid { .. }
                | SimulatorError::ScriptInvalid
                | SimulatorError::ClockRange => StatusCode::BAD_REQUEST,
                SimulatorError::SessionConflict { .. } => StatusCode::CONFLICT,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, Json(json!({ "error": error.to_string() }))).into_response()
        }
    }
}
