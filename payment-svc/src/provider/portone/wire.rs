//! The HTTP side of the adapter: requests with a token, and replies in their envelope.

use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::{PortOneConfig, token::Tokens};
use crate::provider::{
    ProviderConfigError, Seen, Standing, Wanted,
    http::{self, Address, Http, Lost, Received, escape, quoted},
};

#[derive(Debug)]
pub(super) struct Wire {
    http: Http,
    tokens: Tokens,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Reply {
    /// Code 0 and a payment.
    Payment(Seen),
    /// A business error: code other than 0, in an envelope that is whole. Nothing was done.
    Refused {
        /// 404 where there is no such payment; 200 otherwise.
        status: u16,
        /// Code and message.
        message: String,
    },
    /// The provider asks for a pause.
    Wait { message: String },
    /// Our key is not accepted.
    Configuration { message: String },
    /// No reply, or one that the provider's contract does not know. The request may have
    /// been executed.
    Lost { message: String },
}

#[derive(Serialize)]
pub(super) struct CancelBody<'a> {
    pub(super) imp_uid: &'a str,
    /// None: all that is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) amount: Option<i64>,
    pub(super) checksum: i64,
    pub(super) reason: &'a str,
}

/// Every reply has this form, also those that refuse.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    pub(super) code: i64,
    #[serde(default)]
    pub(super) message: Option<String>,
    pub(super) response: Option<T>,
}

/// The fields of a payment that decide something. Fields that are not here are ignored.
#[derive(Deserialize)]
struct PaymentBody {
    imp_uid: String,
    merchant_uid: String,
    status: String,
    amount: i64,
    #[serde(default)]
    cancel_amount: i64,
    currency: Option<String>,
    /// Seconds since the Unix epoch; 0: never.
    #[serde(default)]
    paid_at: i64,
    fail_reason: Option<String>,
}

impl Wire {
    pub(super) fn new(config: &PortOneConfig) -> Result<Self, ProviderConfigError> {
        let http = Http::new(&Address {
            base_url: &config.base_url,
            connect_timeout_ms: config.connect_timeout_ms,
            request_timeout_ms: config.request_timeout_ms,
        })?;
        Ok(Self { http, tokens: Tokens::new(config) })
    }

    pub(super) async fn cancel(&self, body: &CancelBody<'_>) -> Reply {
        self.ask(|| self.http.request(Method::POST, "/payments/cancel").json(body)).await
    }

    pub(super) async fn look_up(&self, wanted: Wanted<'_>) -> Reply {
        let path = match wanted {
            Wanted::Key(key) => format!("/payments/{}", escape(key)),
            Wanted::Order(order_no) => format!("/payments/find/{}", escape(order_no)),
        };
        self.ask(|| self.http.request(Method::GET, &path)).await
    }

    /// Asks, and asks once more with a new token where the old one is not taken any more. A
    /// request without a good token is not looked at, so it did nothing.
    async fn ask(&self, request: impl Fn() -> RequestBuilder) -> Reply {
        let mut refused = None;
        for _ in 0..2 {
            let token = match self.tokens.other_than(refused.as_ref(), &self.http).await {
                Ok(token) => token,
                Err(reply) => return reply,
            };
            let Received { status, body } =
                match http::send(request().bearer_auth(token.expose_secret())).await {
                    Ok(received) => received,
                    Err(Lost { message }) => return Reply::Lost { message },
                };
            if status != 401 {
                return read(status, &body);
            }
            refused = Some(token);
        }
        let message = "the provider takes none of its own tokens; check `imp_key`".to_owned();
        Reply::Configuration { message }
    }
}

/// Reads a whole reply. A refusal counts with 200, and with 404 where its body is the
/// provider's own and not that of a proxy.
fn read(status: u16, body: &[u8]) -> Reply {
    if matches!(status, 409 | 429) {
        return Reply::Wait { message: format!("the provider answered {status}") };
    }
    if !matches!(status, 200 | 404) {
        return Reply::Lost { message: format!("the provider answered {status}") };
    }
    match serde_json::from_slice::<Envelope<PaymentBody>>(body) {
        Ok(Envelope { code: 0, response: Some(payment), .. }) if status == 200 => {
            Reply::Payment(payment.into())
        }
        Ok(Envelope { code, message, response: None }) if code != 0 => {
            let message = quoted(&message.unwrap_or_default());
            Reply::Refused { status, message: format!("{code} {message}").trim_end().to_owned() }
        }
        _ => Reply::Lost { message: format!("the provider answered {status} without a payment") },
    }
}

impl From<PaymentBody> for Seen {
    fn from(body: PaymentBody) -> Self {
        let balance_minor = body.amount - body.cancel_amount.clamp(0, body.amount.max(0));
        let approved_at_ms = body.paid_at.saturating_mul(1000);
        // A status and amounts that contradict one another are believed neither.
        let is_sound = (0..=body.amount).contains(&body.cancel_amount);
        let standing = match body.status.as_str() {
            "ready" if body.cancel_amount == 0 => Standing::Open,
            "paid" if is_sound && 0 < balance_minor => Standing::Captured { approved_at_ms },
            "cancelled" if is_sound && 0 < body.cancel_amount => {
                Standing::Captured { approved_at_ms }
            }
            "failed" if body.cancel_amount == 0 => {
                let reason = body.fail_reason.as_deref().map(quoted).unwrap_or_default();
                let code = if reason.is_empty() { "failed".to_owned() } else { reason };
                Standing::Refused { code }
            }
            other => Standing::Strange { status: quoted(other) },
        };
        Self {
            provider_key: body.imp_uid,
            order_no: body.merchant_uid,
            amount_minor: body.amount,
            currency: body.currency,
            balance_minor,
            standing,
        }
    }
}
