//! The wire of PortOne V1: tokens, look-ups, cancel. Business errors are 200 with a code
//! other than 0; there are no idempotency keys.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::Number;

use super::{
    Shared, SimulatorConfig, Wanted, book,
    connection::Scissors,
    exchange::{self, Execute, Reply, Subject},
    fault::{self, Operation},
    lane::LaneError,
};
use crate::limits::{is_order_no, is_provider_key};

pub(super) mod reply;
mod token;
use reply::{error_reply, payment_reply, refusal_reply, status_reply};
use token::{Claimed, token_reply};

pub(super) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/users/getToken", post(get_token))
        .route("/payments/cancel", post(cancel))
        .route("/payments/{imp_uid}", get(by_key))
        .route("/payments/find/{merchant_uid}", get(by_order))
        .with_state(shared)
}

#[derive(Deserialize)]
struct KeyBody {
    imp_key: String,
    imp_secret: String,
}

#[derive(Deserialize)]
struct CancelBody {
    imp_uid: Option<String>,
    merchant_uid: Option<String>,
    /// 0 or none: all that is left.
    amount: Option<Number>,
    checksum: Option<Number>,
    reason: Option<String>,
}

impl CancelBody {
    fn wanted(&self) -> Option<Wanted> {
        match (&self.imp_uid, &self.merchant_uid) {
            (Some(key), _) if is_provider_key(key) => Some(Wanted::Key(key.clone())),
            (None, Some(order_no)) if is_order_no(order_no) => {
                Some(Wanted::Order(order_no.clone()))
            }
            _ => None,
        }
    }
}

async fn get_token(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    body: Bytes,
) -> Response {
    let is_ours = serde_json::from_slice::<KeyBody>(&body)
        .is_ok_and(|it| !it.imp_key.is_empty() && it.imp_secret.starts_with("imp_secret_"));
    if !is_ours {
        return respond(Some(error_reply(401, -1, "the key or the secret is wrong")));
    }
    let execute: Execute = Box::new(|shared| Box::pin(async move { Ok(token_reply(&shared)) }));
    run(shared, scissors, Operation::Token, String::new(), execute).await
}

async fn cancel(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(refused) = authorize(&shared, &headers) {
        return respond(Some(refused));
    }
    let body = serde_json::from_slice::<CancelBody>(&body).ok();
    let wanted = body.as_ref().and_then(CancelBody::wanted);
    let (Some(body), Some(wanted)) = (body, wanted) else {
        return respond(Some(error_reply(400, -1, "the request cannot be read")));
    };
    let Ok(payment) = shared.read_payment(wanted).await else {
        return respond(Some(status_reply(500)));
    };
    let Some(payment_key) = payment.map(|it| it.payment_key) else {
        return respond(Some(refusal_reply(book::Refusal::NoPayment)));
    };
    let request = Cancel { payment_key: payment_key.clone(), body };
    let execute: Execute = Box::new(move |shared| Box::pin(request.execute(shared)));
    run(shared, scissors, Operation::Cancel, payment_key, execute).await
}

struct Cancel {
    payment_key: String,
    body: CancelBody,
}

impl Cancel {
    async fn execute(self, shared: Arc<Shared>) -> Result<Reply, LaneError> {
        let (now_ms, config) = (shared.clock.now_ms(), shared.config.clone());
        shared
            .lane
            .run(move |connection| Box::pin(self.move_money(connection, config, now_ms)))
            .await
    }

    async fn move_money(
        self,
        connection: &mut sqlx::SqliteConnection,
        config: SimulatorConfig,
        now_ms: i64,
    ) -> Result<Reply, sqlx::Error> {
        let Self { payment_key, body } = self;
        let declined =
            fault::take_decline(connection, &payment_key, Operation::Cancel, now_ms).await?;
        if let Some(code) = declined {
            return Ok(error_reply(200, 1, &code));
        }
        let (Some(amount_minor), Some(checksum_minor)) =
            (minor(&config, body.amount), minor(&config, body.checksum))
        else {
            return Ok(error_reply(400, -1, "the request cannot be read"));
        };
        let wanted = book::Return {
            payment_key: &payment_key,
            amount_minor: amount_minor.filter(|it| *it != 0),
            expected_balance_minor: checksum_minor,
            reason: body.reason.as_deref().unwrap_or_default(),
        };
        Ok(match book::refund(connection, wanted, now_ms).await? {
            Ok(payment) => payment_reply(&payment, now_ms),
            Err(refusal) => refusal_reply(refusal),
        })
    }
}

/// An amount that may be left out, in minor units. `None`: the currency has no such amount.
fn minor(config: &SimulatorConfig, written: Option<Number>) -> Option<Option<i64>> {
    written.map_or(Some(None), |it| config.read(&it).map(Some))
}

async fn by_key(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Path(imp_uid): Path<String>,
    headers: HeaderMap,
) -> Response {
    look_up(shared, scissors, &headers, Wanted::Key(imp_uid)).await
}

async fn by_order(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Path(merchant_uid): Path<String>,
    headers: HeaderMap,
) -> Response {
    look_up(shared, scissors, &headers, Wanted::Order(merchant_uid)).await
}

async fn look_up(
    shared: Arc<Shared>,
    scissors: Scissors,
    headers: &HeaderMap,
    wanted: Wanted,
) -> Response {
    if let Err(refused) = authorize(&shared, headers) {
        return respond(Some(refused));
    }
    let Ok(payment) = shared.read_payment(wanted).await else {
        return respond(Some(status_reply(500)));
    };
    let payment_key = payment.as_ref().map_or_else(String::new, |it| it.payment_key.clone());
    let execute: Execute = Box::new(move |shared| {
        let now_ms = shared.clock.now_ms();
        let reply = match payment {
            Some(payment) => payment_reply(&payment, now_ms),
            None => refusal_reply(book::Refusal::NoPayment),
        };
        Box::pin(async move { Ok(reply) })
    });
    run(shared, scissors, Operation::LookUp, payment_key, execute).await
}

fn authorize(shared: &Shared, headers: &HeaderMap) -> Result<(), Reply> {
    let token = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok()).unwrap_or_default();
    match token::read(token.strip_prefix("Bearer ").unwrap_or(token), shared.clock.now_ms()) {
        Claimed::Valid => Ok(()),
        Claimed::Expired => Err(error_reply(401, -1, "the token has expired")),
        Claimed::Foreign => Err(error_reply(401, -1, "the token is not one of ours")),
    }
}

async fn run(
    shared: Arc<Shared>,
    scissors: Scissors,
    operation: Operation,
    payment_key: String,
    execute: Execute,
) -> Response {
    let subject = Subject { operation, payment_key, identity: None, error: status_reply };
    respond(exchange::run(shared, &scissors, subject, execute).await)
}

fn respond(reply: Option<Reply>) -> Response {
    let Some(reply) = reply else {
        // Never sent: the connection is cut.
        return StatusCode::IM_A_TEAPOT.into_response();
    };
    reply.into_response([("content-type", "application/json".to_owned())])
}
