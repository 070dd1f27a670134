//! The HTTP side of the adapter: one request, one reply, and whether it was sent at all.

use jiff::Timestamp;
use reqwest::{Method, RequestBuilder};
use saga_participant::Settled;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::TossConfig;
use crate::provider::{
    CURRENCY_DEFAULT, ProviderConfigError, Seen, Standing, Wanted, amount,
    http::{self, Address, Http, Lost, Received, escape, quoted},
};

#[derive(Debug)]
pub(super) struct Wire {
    http: Http,
    secret_key: SecretString,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Reply {
    /// 200 and a payment.
    Payment(Seen),
    /// A status that is not 200, and the provider's code.
    Error { status: u16, code: String },
    /// No reply, or one that the provider's contract does not know. The request may have
    /// been executed.
    Lost { message: String },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfirmBody<'a> {
    pub(super) payment_key: &'a str,
    pub(super) order_id: &'a str,
    pub(super) amount: Number,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CancelBody<'a> {
    pub(super) cancel_reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cancel_amount: Option<Number>,
}

/// The fields of a payment that decide something. Fields that are not here are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PaymentBody {
    payment_key: String,
    order_id: String,
    status: String,
    total_amount: Number,
    balance_amount: Number,
    currency: Option<String>,
    approved_at: Option<String>,
    failure: Option<ErrorBody>,
}

#[derive(Deserialize)]
pub(super) struct ErrorBody {
    pub(super) code: String,
}

impl Wire {
    pub(super) fn new(config: &TossConfig) -> Result<Self, ProviderConfigError> {
        let http = Http::new(&Address {
            base_url: &config.base_url,
            connect_timeout_ms: config.connect_timeout_ms,
            request_timeout_ms: config.request_timeout_ms,
        })?;
        Ok(Self { http, secret_key: config.secret_key.clone() })
    }

    pub(super) async fn confirm(&self, body: &ConfirmBody<'_>, key: &str) -> Reply {
        self.post("/v1/payments/confirm", body, key).await
    }

    pub(super) async fn cancel(
        &self,
        provider_key: &str,
        body: &CancelBody<'_>,
        key: &str,
    ) -> Reply {
        self.post(&format!("/v1/payments/{}/cancel", escape(provider_key)), body, key).await
    }

    pub(super) async fn look_up(&self, wanted: Wanted<'_>) -> Reply {
        let path = match wanted {
            Wanted::Key(key) => format!("/v1/payments/{}", escape(key)),
            Wanted::Order(order_no) => format!("/v1/payments/orders/{}", escape(order_no)),
        };
        self.send(self.http.request(Method::GET, &path)).await
    }

    async fn post(&self, path: &str, body: &impl Serialize, key: &str) -> Reply {
        let request = self.http.request(Method::POST, path);
        self.send(request.header("Idempotency-Key", key).json(body)).await
    }

    /// What is at a path whose foreign parts are escaped.
    pub(super) async fn get(&self, path: &str) -> Result<Received, Lost> {
        self.receive(self.http.request(Method::GET, path)).await
    }

    async fn receive(&self, request: RequestBuilder) -> Result<Received, Lost> {
        http::send(request.basic_auth(self.secret_key.expose_secret(), Some(""))).await
    }

    async fn send(&self, request: RequestBuilder) -> Reply {
        match self.receive(request).await {
            Ok(Received { status, body }) => read(status, &body),
            Err(Lost { message }) => Reply::Lost { message },
        }
    }
}

impl<A> From<Reply> for Settled<A> {
    /// What a reply says that answers nothing.
    fn from(reply: Reply) -> Self {
        let message = match reply {
            Reply::Payment(seen) => {
                format!("the provider shows the payment as {:?}", seen.standing)
            }
            Reply::Error { status, code } => format!("the provider answered {status} {code}"),
            Reply::Lost { message } => message,
        };
        Self::Unknown { message }
    }
}

/// Reads a whole reply.
fn read(status: u16, body: &[u8]) -> Reply {
    if status == 200 {
        return match serde_json::from_slice::<PaymentBody>(body) {
            Ok(payment) => payment.seen().map_or_else(not_its_amount, Reply::Payment),
            Err(_) => {
                Reply::Lost { message: "the provider answered 200 without a payment".to_owned() }
            }
        };
    }
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(ErrorBody { code }) => Reply::Error { status, code: quoted(&code) },
        Err(_) => {
            let message = format!("the provider answered {status} without a code of its own");
            Reply::Lost { message }
        }
    }
}

impl Reply {
    /// The same, the amounts of a payment as in [`Seen::told_with`].
    pub(super) fn told(self, currency: &str, decimals: u32) -> Self {
        match self {
            Self::Payment(seen) => {
                seen.told_with(currency, decimals).map_or_else(not_its_amount, Self::Payment)
            }
            other => other,
        }
    }
}

fn not_its_amount() -> Reply {
    let message = "the provider answered 200 with an amount that its currency cannot have";
    Reply::Lost { message: message.to_owned() }
}

impl PaymentBody {
    /// `None`: its amounts are none of its currency.
    fn seen(self) -> Option<Seen> {
        let body = self;
        let currency = body.currency.unwrap_or_else(|| CURRENCY_DEFAULT.to_owned());
        let decimals = amount::decimals(&currency)?;
        let total = amount::read(&body.total_amount, decimals)?;
        let balance = amount::read(&body.balance_amount, decimals)?;
        let approved_at_ms = body
            .approved_at
            .and_then(|it| it.parse::<Timestamp>().ok())
            .map_or(0, Timestamp::as_millisecond);
        // A status and a balance that contradict one another are believed neither.
        let standing = match body.status.as_str() {
            "READY" | "IN_PROGRESS" => Standing::Open,
            "WAITING_FOR_DEPOSIT" => Standing::AwaitsDeposit,
            "DONE" if balance == total => Standing::Captured { approved_at_ms },
            // What was never approved, of a virtual account, brought no money.
            "CANCELED" if balance == 0 && approved_at_ms == 0 => Standing::Withdrawn,
            "CANCELED" if balance == 0 => Standing::Captured { approved_at_ms },
            "PARTIAL_CANCELED" if (0..total).contains(&balance) => {
                Standing::Captured { approved_at_ms }
            }
            "ABORTED" => Standing::Refused {
                code: body.failure.map_or_else(|| "ABORTED".to_owned(), |it| quoted(&it.code)),
            },
            "EXPIRED" => Standing::Expired,
            other => Standing::Strange { status: quoted(other) },
        };
        Some(Seen {
            provider_key: body.payment_key,
            order_no: body.order_id,
            amount_minor: total,
            currency,
            balance_minor: balance,
            standing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_and_words_are_tolerated() {
        let body = br#"{ "paymentKey": "k", "orderId": "order-1", "status": "SETTLING",
            "totalAmount": 5, "balanceAmount": 5, "tomorrow": { "a": [1] } }"#;
        let Reply::Payment(seen) = read(200, body) else { panic!("a payment") };
        assert_eq!(seen.standing, Standing::Strange { status: "SETTLING".to_owned() });
    }
}
