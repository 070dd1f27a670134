//! The HTTP side of the adapter: requests with a token, and replies in their envelope.

use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::{PortOneConfig, token::Tokens};
use crate::provider::{
    CURRENCY_DEFAULT, ProviderConfigError, Seen, Standing, Wanted, amount,
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
        code: i64,
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
    pub(super) amount: Option<Number>,
    pub(super) checksum: Number,
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
    amount: Number,
    cancel_amount: Option<Number>,
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
            payment.seen().map_or_else(not_its_amount, Reply::Payment)
        }
        Ok(Envelope { code, message, response: None }) if code != 0 => {
            let message = quoted(&message.unwrap_or_default());
            Reply::Refused {
                status,
                code,
                message: format!("{code} {message}").trim_end().to_owned(),
            }
        }
        _ => Reply::Lost { message: format!("the provider answered {status} without a payment") },
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
        let amount_minor = amount::read(&body.amount, decimals)?;
        let cancelled_minor =
            body.cancel_amount.map_or(Some(0), |it| amount::read(&it, decimals))?;
        let balance_minor = amount_minor - cancelled_minor.clamp(0, amount_minor.max(0));
        let approved_at_ms = body.paid_at.saturating_mul(1000);
        // A status and amounts that contradict one another are believed neither.
        let is_sound = (0..=amount_minor).contains(&cancelled_minor);
        let standing = match body.status.as_str() {
            "ready" if cancelled_minor == 0 => Standing::Open,
            "paid" if is_sound && 0 < balance_minor => Standing::Captured { approved_at_ms },
            "cancelled" if is_sound && 0 < cancelled_minor => Standing::Captured { approved_at_ms },
            "failed" if cancelled_minor == 0 => {
                let reason = body.fail_reason.as_deref().map(quoted).unwrap_or_default();
                let code = if reason.is_empty() { "failed".to_owned() } else { reason };
                Standing::Refused { code }
            }
            other => Standing::Strange { status: quoted(other) },
        };
        Some(Seen {
            provider_key: body.imp_uid,
            order_no: body.merchant_uid,
            amount_minor,
            currency,
            balance_minor,
            standing,
        })
    }
}
