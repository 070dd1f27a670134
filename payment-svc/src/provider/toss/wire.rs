//! The HTTP side of the adapter: one request, one reply, and whether it was sent at all.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{TossConfig, TossConfigError};
use crate::provider::{Asked, Seen, Standing, Wanted};

/// Bytes of a reply. A payment has about two thousand.
const REPLY_BYTES_MAX: usize = 256 * 1024;

/// Characters of a foreign text that go into a message.
const QUOTED_CHARS_MAX: usize = 80;

/// Connections that are kept while nobody uses them.
const IDLE_CONNECTIONS_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Wire {
    client: Client,
    base_url: String,
    secret_key: SecretString,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Reply {
    /// 200 and a payment.
    Payment(Seen),
    /// A status that is not 200, and the provider's code.
    Error { status: u16, code: String },
    /// Something that the provider's contract does not know.
    Strange { message: String },
    /// No reply, or only a part of one. The request may have been executed.
    Lost { message: String },
    /// No connection: the request was not sent.
    NotSent { message: String },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfirmBody<'a> {
    pub(super) payment_key: &'a str,
    pub(super) order_id: &'a str,
    pub(super) amount: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CancelBody<'a> {
    pub(super) cancel_reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cancel_amount: Option<i64>,
}

/// The fields of a payment that decide something. Fields that are not here are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PaymentBody {
    payment_key: String,
    order_id: String,
    status: String,
    total_amount: i64,
    balance_amount: i64,
    currency: Option<String>,
    approved_at: Option<String>,
    failure: Option<ErrorBody>,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
}

impl Wire {
    pub(super) fn new(config: &TossConfig) -> Result<Self, TossConfigError> {
        if !config.base_url.starts_with("http://") {
            return Err(TossConfigError::BaseUrl { found: config.base_url.clone() });
        }
        let client = Client::builder()
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            .timeout(Duration::from_millis(config.request_timeout_ms))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .redirect(Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .build()
            .map_err(TossConfigError::Client)?;
        Ok(Self {
            client,
            base_url: config.base_url.trim_end_matches('/').to_owned(),
            secret_key: config.secret_key.clone(),
        })
    }

    pub(super) async fn confirm(&self, body: &ConfirmBody<'_>, key: &str) -> Reply {
        let url = format!("{}/v1/payments/confirm", self.base_url);
        self.send(self.client.post(url).header("Idempotency-Key", key).json(body)).await
    }

    pub(super) async fn cancel(
        &self,
        provider_key: &str,
        body: &CancelBody<'_>,
        key: &str,
    ) -> Reply {
        let url = format!("{}/v1/payments/{}/cancel", self.base_url, escape(provider_key));
        self.send(self.client.post(url).header("Idempotency-Key", key).json(body)).await
    }

    pub(super) async fn look_up(&self, wanted: Wanted<'_>) -> Reply {
        let url = match wanted {
            Wanted::Key(key) => format!("{}/v1/payments/{}", self.base_url, escape(key)),
            Wanted::Order(no) => format!("{}/v1/payments/orders/{}", self.base_url, escape(no)),
        };
        self.send(self.client.get(url)).await
    }

    async fn send(&self, request: RequestBuilder) -> Reply {
        let request = request.basic_auth(self.secret_key.expose_secret(), Some(""));
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                return Reply::NotSent { message: "the provider cannot be reached".to_owned() };
            }
            Err(error) => return Reply::Lost { message: lost(&error) },
        };
        let status = response.status().as_u16();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= REPLY_BYTES_MAX => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    let message = format!("a reply of more than {REPLY_BYTES_MAX} bytes");
                    return Reply::Strange { message };
                }
                Ok(None) => return read(status, &body),
                Err(error) => return Reply::Lost { message: lost(&error) },
            }
        }
    }
}

impl<A> From<Reply> for Asked<A> {
    /// What a reply says that answers nothing.
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Payment(seen) => Self::Unknown {
                message: format!("the provider shows the payment as {:?}", seen.standing),
            },
            Reply::Error { status, code } => {
                Self::Unknown { message: format!("the provider answered {status} {code}") }
            }
            Reply::Strange { message } | Reply::Lost { message } => Self::Unknown { message },
            Reply::NotSent { message } => Self::NotSent { message },
        }
    }
}

fn lost(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() { "in time" } else { "in full" };
    format!("the provider did not answer {what}")
}

/// Reads a whole reply.
fn read(status: u16, body: &[u8]) -> Reply {
    if status == 200 {
        return match serde_json::from_slice::<PaymentBody>(body) {
            Ok(payment) => Reply::Payment(payment.into()),
            Err(_) => {
                Reply::Strange { message: "the provider answered 200 without a payment".to_owned() }
            }
        };
    }
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(ErrorBody { code }) => Reply::Error { status, code: quoted(&code) },
        Err(_) => {
            let message = format!("the provider answered {status} without a code of its own");
            Reply::Strange { message }
        }
    }
}

impl From<PaymentBody> for Seen {
    fn from(body: PaymentBody) -> Self {
        let approved_at_ms = body
            .approved_at
            .and_then(|it| it.parse::<Timestamp>().ok())
            .map_or(0, Timestamp::as_millisecond);
        let (total, balance) = (body.total_amount, body.balance_amount);
        // A status and a balance that contradict one another are believed neither.
        let standing = match body.status.as_str() {
            "READY" | "IN_PROGRESS" | "WAITING_FOR_DEPOSIT" => Standing::Open,
            "DONE" if balance == total => Standing::Captured { approved_at_ms },
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
        Self {
            provider_key: body.payment_key,
            order_no: body.order_id,
            amount_minor: body.total_amount,
            currency: body.currency,
            balance_minor: body.balance_amount,
            standing,
        }
    }
}

fn quoted(text: &str) -> String {
    text.chars().filter(|it| !it.is_control()).take(QUOTED_CHARS_MAX).collect()
}

/// A path segment: everything but letters, digits, `-`, `_`, `.` and `~` is escaped. A
/// segment of one or two dots has a meaning however it is written, and is no provider key.
fn escape(segment: &str) -> String {
    let mut escaped = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_key_cannot_leave_its_path_segment() {
        assert_eq!(escape("tgen_2024-a.b~c"), "tgen_2024-a.b~c");
        assert_eq!(escape("a/b?c#d%e f"), "a%2Fb%3Fc%23d%25e%20f");
        assert_eq!(escape("../orders"), "..%2Forders");
    }

    #[test]
    fn unknown_fields_and_words_are_tolerated() {
        let body = br#"{ "paymentKey": "k", "orderId": "order-1", "status": "SETTLING",
            "totalAmount": 5, "balanceAmount": 5, "tomorrow": { "a": [1] } }"#;
        let Reply::Payment(seen) = read(200, body) else { panic!("a payment") };
        assert_eq!(seen.standing, Standing::Strange { status: "SETTLING".to_owned() });
    }
}
