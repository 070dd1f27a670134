//! Webhooks, sent by a script: what happened to payments, repeated and out of order as a
//! test wants it. They are not signed, as those of the real providers are not.

use std::time::Duration;

use reqwest::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Simulator, SimulatorError, book, book::Payment, portone, toss};

/// Things that happened that one script tells of.
const EVENTS_MAX: u32 = 1_000;

/// How often each is told.
const COPIES_MAX: u32 = 10;

/// How long the receiver may take for each.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// In whose words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookWire {
    /// PAYMENT_STATUS_CHANGED of Toss Payments.
    Toss,
    /// PortOne V1.
    Portone,
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookOrder {
    /// As it happened.
    #[default]
    OldestFirst,
    /// The other way round.
    NewestFirst,
}

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookScript {
    /// Where to, with `http://`.
    pub url: String,
    /// In whose words.
    pub wire: WebhookWire,
    /// Of which payment. None: of all.
    #[serde(default)]
    pub payment_key: Option<String>,
    /// How often each, 1 to 10. The real provider repeats a hint that was not taken 7 times.
    #[serde(default = "one")]
    pub copies: u32,
    /// In which order.
    #[serde(default)]
    pub order: WebhookOrder,
}

fn one() -> u32 {
    1
}

/// What became of a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhooksSent {
    /// Webhooks that were answered with 200.
    pub taken: u32,
    /// Webhooks that were not answered, or with another status.
    pub not_taken: u32,
}

impl Simulator {
    /// Tells what happened to payments.
    ///
    /// # Errors
    ///
    /// * [`SimulatorError::ScriptInvalid`]: nothing was sent.
    /// * [`SimulatorError::Read`]: nothing was sent.
    pub async fn send_webhooks(
        &self,
        script: &WebhookScript,
    ) -> Result<WebhooksSent, SimulatorError> {
        let WebhookScript { url, wire, payment_key, copies, order } = script;
        let is_possible = url.starts_with("http://") && (1..=COPIES_MAX).contains(copies);
        let client = Client::builder().no_proxy().timeout(ANSWER_WITHIN).build();
        let (true, Ok(client)) = (is_possible, client) else {
            return Err(SimulatorError::ScriptInvalid);
        };
        let mut moments = self.history(payment_key.clone()).await?;
        if *order == WebhookOrder::NewestFirst {
            moments.reverse();
        }
        let mut sent = WebhooksSent::default();
        for payment in &moments {
            let body = body(*wire, payment, self.now_ms());
            for _ in 0..*copies {
                match client.post(url).json(&body).send().await {
                    Ok(response) if response.status() == 200 => sent.taken += 1,
                    _ => sent.not_taken += 1,
                }
            }
        }
        Ok(sent)
    }

    async fn history(&self, payment_key: Option<String>) -> Result<Vec<Payment>, SimulatorError> {
        let history = self.shared.read(|reads| async move {
            let mut connection = reads.acquire().await?;
            book::history(&mut connection, payment_key.as_deref(), EVENTS_MAX).await
        });
        history.await.map_err(|source| SimulatorError::Read { source })
    }
}

fn body(wire: WebhookWire, payment: &Payment, now_ms: i64) -> Value {
    match wire {
        WebhookWire::Toss => json!({
            "eventType": "PAYMENT_STATUS_CHANGED",
            "createdAt": toss::reply::seoul_time(now_ms),
            "data": toss::reply::payment_body(payment, now_ms),
        }),
        WebhookWire::Portone => json!({
            "imp_uid": payment.payment_key,
            "merchant_uid": payment.order_no,
            "status": portone::reply::status(payment, now_ms),
        }),
    }
}
