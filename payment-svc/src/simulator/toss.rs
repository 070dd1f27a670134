//! The wire of Toss Payments, core API version 2022-11-16: confirm, look-ups, cancel.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode, Uri, header::AUTHORIZATION},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::Number;

use super::{
    Shared, Wanted, book,
    connection::Scissors,
    exchange::{self, Execute, Reply, Subject},
    fault::{self, Operation},
    idempotency,
};
use crate::limits::{is_order_no, is_provider_key, is_reason};

pub(super) mod reply;
mod transactions;
use reply::{error_reply, forced_reply, is_final_refusal, payment_reply, refusal_reply};

const IDEMPOTENCY_KEY_CHARS_MAX: usize = 300;

pub(super) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/payments/confirm", post(confirm))
        .route("/v1/payments/{payment_key}/cancel", post(cancel))
        .route("/v1/payments/{payment_key}", get(by_key))
        .route("/v1/payments/orders/{order_no}", get(by_order))
        .route("/v1/transactions", get(transactions::list))
        .with_state(shared)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfirmBody {
    payment_key: String,
    order_id: String,
    amount: Number,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CancelBody {
    cancel_reason: String,
    cancel_amount: Option<Number>,
}

/// What a POST asks for.
#[derive(Clone)]
enum Action {
    Confirm { payment_key: String, order_no: String, amount_minor: i64 },
    Cancel { payment_key: String, amount_minor: Option<i64>, reason: String },
}

impl Action {
    fn operation(&self) -> Operation {
        match self {
            Self::Confirm { .. } => Operation::Confirm,
            Self::Cancel { .. } => Operation::Cancel,
        }
    }

    fn payment_key(&self) -> &str {
        match self {
            Self::Confirm { payment_key, .. } | Self::Cancel { payment_key, .. } => payment_key,
        }
    }
}

async fn confirm(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let action = match serde_json::from_slice::<ConfirmBody>(&body) {
        Ok(it) if is_provider_key(&it.payment_key) && is_order_no(&it.order_id) => {
            let amount_minor = shared.config.read(&it.amount).filter(|it| 1 <= *it);
            amount_minor.map(|amount_minor| Action::Confirm {
                payment_key: it.payment_key,
                order_no: it.order_id,
                amount_minor,
            })
        }
        _ => None,
    };
    change(shared, scissors, &uri, &headers, action).await
}

async fn cancel(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Path(payment_key): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let action = match serde_json::from_slice::<CancelBody>(&body) {
        Ok(it) if is_reason(&it.cancel_reason) => {
            let reason = it.cancel_reason;
            match it.cancel_amount.map(|it| shared.config.read(&it)) {
                None => Some(Action::Cancel { payment_key, amount_minor: None, reason }),
                Some(Some(amount_minor)) if 1 <= amount_minor => {
                    Some(Action::Cancel { payment_key, amount_minor: Some(amount_minor), reason })
                }
                Some(_) => None,
            }
        }
        _ => None,
    };
    change(shared, scissors, &uri, &headers, action).await
}

async fn change(
    shared: Arc<Shared>,
    scissors: Scissors,
    uri: &Uri,
    headers: &HeaderMap,
    action: Option<Action>,
) -> Response {
    let authorization = match authorize(headers) {
        Ok(it) => it,
        Err(refused) => return respond(&shared, Some(refused)),
    };
    let Some(action) = action else {
        return respond(&shared, Some(error_reply(400, "INVALID_REQUEST")));
    };
    let key = header(headers, "idempotency-key");
    if key.is_some_and(|it| IDEMPOTENCY_KEY_CHARS_MAX < it.chars().count()) {
        return respond(&shared, Some(error_reply(400, "INVALID_IDEMPOTENCY_KEY")));
    }
    let identity =
        key.map(|it| idempotency::identity(it, &authorization.secret, "POST", uri.path()));
    let forced = header(headers, "tosspayments-test-code")
        .filter(|_| authorization.is_test())
        .map(ToOwned::to_owned);

    let subject = Subject {
        operation: action.operation(),
        payment_key: action.payment_key().to_owned(),
        identity: identity.clone(),
        error: status_reply,
    };
    let execute: Execute = Box::new(move |shared| {
        Box::pin(async move {
            let now_ms = shared.clock.now_ms();
            let duplicates = shared.config.duplicate_orders;
            let post = Post { action, identity, forced, duplicates, now_ms };
            shared.lane.run(move |connection| Box::pin(post.execute(connection))).await
        })
    });
    let reply = exchange::run(shared.clone(), &scissors, subject, execute).await;
    respond(&shared, reply)
}

/// A POST inside the transaction of the lane.
struct Post {
    action: Action,
    identity: Option<String>,
    forced: Option<String>,
    duplicates: book::DuplicateOrders,
    now_ms: i64,
}

impl Post {
    async fn execute(self, connection: &mut sqlx::SqliteConnection) -> Result<Reply, sqlx::Error> {
        if let Some(identity) = &self.identity
            && let Some(first) = idempotency::stored(connection, identity, self.now_ms).await?
        {
            return Ok(first);
        }
        let declined = match self.forced.clone() {
            Some(code) => Some(code),
            None => {
                let (key, operation) = (self.action.payment_key(), self.action.operation());
                fault::take_decline(connection, key, operation, self.now_ms).await?
            }
        };
        let reply = match declined {
            Some(code) => self.refuse(connection, &code).await?,
            None => self.move_money(connection).await?,
        };
        if let Some(identity) = &self.identity
            && is_replayed(reply.status)
        {
            idempotency::keep(connection, identity, &reply, self.now_ms).await?;
        }
        Ok(reply)
    }

    async fn refuse(
        &self,
        connection: &mut sqlx::SqliteConnection,
        code: &str,
    ) -> Result<Reply, sqlx::Error> {
        if let Action::Confirm { payment_key, .. } = &self.action
            && is_final_refusal(code)
        {
            book::abort(connection, payment_key, code).await?;
        }
        Ok(forced_reply(code))
    }

    async fn move_money(
        &self,
        connection: &mut sqlx::SqliteConnection,
    ) -> Result<Reply, sqlx::Error> {
        let moved = match &self.action {
            Action::Confirm { payment_key, order_no, amount_minor } => {
                let charge = book::Charge {
                    payment_key,
                    order_no,
                    amount_minor: *amount_minor,
                    duplicates: self.duplicates,
                };
                book::capture(connection, charge, self.now_ms).await?
            }
            Action::Cancel { payment_key, amount_minor, reason } => {
                let wanted = book::Return {
                    payment_key,
                    amount_minor: *amount_minor,
                    expected_balance_minor: None,
                    reason,
                };
                book::refund(connection, wanted, self.now_ms).await?
            }
        };
        Ok(match moved {
            Ok(payment) => payment_reply(&payment, self.now_ms),
            Err(refusal) => refusal_reply(refusal),
        })
    }
}

async fn by_key(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Path(payment_key): Path<String>,
    headers: HeaderMap,
) -> Response {
    look_up(shared, scissors, &headers, Wanted::Key(payment_key)).await
}

async fn by_order(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Path(order_no): Path<String>,
    headers: HeaderMap,
) -> Response {
    look_up(shared, scissors, &headers, Wanted::Order(order_no)).await
}

async fn look_up(
    shared: Arc<Shared>,
    scissors: Scissors,
    headers: &HeaderMap,
    wanted: Wanted,
) -> Response {
    if let Err(refused) = authorize(headers) {
        return respond(&shared, Some(refused));
    }
    let Ok(payment) = shared.read_payment(wanted).await else {
        return respond(&shared, Some(status_reply(500)));
    };
    let subject = Subject {
        operation: Operation::LookUp,
        payment_key: payment.as_ref().map_or_else(String::new, |it| it.payment_key.clone()),
        identity: None,
        error: status_reply,
    };
    let execute: Execute = Box::new(move |shared| {
        let now_ms = shared.clock.now_ms();
        let reply = match payment {
            Some(payment) => payment_reply(&payment, now_ms),
            None => refusal_reply(book::Refusal::NoPayment),
        };
        Box::pin(async move { Ok(reply) })
    });
    let reply = exchange::run(shared.clone(), &scissors, subject, execute).await;
    respond(&shared, reply)
}

struct Authorization {
    secret: String,
}

impl Authorization {
    fn is_test(&self) -> bool {
        self.secret.starts_with("test_")
    }
}

/// Any key of the right shape is a shop's. `Basic base64(secret key ":")`.
fn authorize(headers: &HeaderMap) -> Result<Authorization, Reply> {
    let basic = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let Some(encoded) = basic.and_then(|it| it.strip_prefix("Basic ")) else {
        return Err(error_reply(401, "UNAUTHORIZED_KEY"));
    };
    let decoded = BASE64_STANDARD.decode(encoded).ok().and_then(|it| String::from_utf8(it).ok());
    let Some(secret) = decoded.as_deref().and_then(|it| it.strip_suffix(':')) else {
        return Err(error_reply(403, "INCORRECT_BASIC_AUTH_FORMAT"));
    };
    if secret.starts_with("test_sk_") || secret.starts_with("live_sk_") {
        return Ok(Authorization { secret: secret.to_owned() });
    }
    Err(error_reply(401, "UNAUTHORIZED_KEY"))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|it| it.to_str().ok())
}

/// Whether a first response is kept. A failure of the provider is not, nor is what is said
/// before a request is looked at: a wrong key, a busy key, too many requests.
fn is_replayed(status: u16) -> bool {
    status < 500 && ![401, 409, 429].contains(&status)
}

/// What Toss says with a status alone.
fn status_reply(status: u16) -> Reply {
    match status {
        409 => error_reply(409, "IDEMPOTENT_REQUEST_PROCESSING"),
        _ => error_reply(status, "FAILED_INTERNAL_SYSTEM_PROCESSING"),
    }
}

fn respond(shared: &Shared, reply: Option<Reply>) -> Response {
    let Some(reply) = reply else {
        // Never sent: the connection is cut.
        return StatusCode::IM_A_TEAPOT.into_response();
    };
    let trace = shared.traces.fetch_add(1, Ordering::Relaxed);
    reply.into_response([
        ("content-type", "application/json".to_owned()),
        ("x-tosspayments-trace-id", format!("{trace:032x}")),
    ])
}
