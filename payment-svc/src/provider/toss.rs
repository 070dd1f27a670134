//! Toss Payments, core API version 2022-11-16.
//!
//! Every POST carries the operation's id as its idempotency key, so that asking again
//! replays the first answer. Whatever the POST says that is no answer for good is settled
//! by a look-up: first of the payment, then of the order.

use async_trait::async_trait;
use saga_participant::Settled;
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    Asking, CancelAnswer, Charge, ConfirmAnswer, ConfirmRefusal, LedgerSpan, Movement, Provider,
    ProviderConfigError, Refund, Seen, Standing, Wanted, amount, check_currencies,
    currencies_default,
};

mod codes;
mod ledger;
mod settle;
mod wire;
use codes::{Meaning, meaning};
use wire::{CancelBody, ConfirmBody, Reply, Wire};

/// The provider's name in requests and in the database.
pub const NAME: &str = "toss";

/// The provider keeps a key for 15 days. A day before that we stop to rely on it.
const KEY_TRUSTED_MS: i64 = 14 * 24 * 60 * 60 * 1000;

/// 30 minutes for the buyer and 10 for us; and 5 more, because two clocks are never equal.
const WINDOWS_MS: i64 = (30 + 10 + 5) * 60 * 1000;

/// Keys that one cancel may use up. See [`Toss::cancel`].
const CANCEL_KEYS_MAX: u32 = 5;

/// What the buyer's bank shows of a payment by virtual account.
const WITHDRAW_REASON: &str = "the shop takes no payments by virtual account";

/// How to reach the provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TossConfig {
    /// Where the API is, such as `http://127.0.0.1:7414`. This build speaks no TLS.
    pub base_url: String,
    /// The shop's secret key.
    #[serde(deserialize_with = "saga_participant::serve::text_or_file")]
    pub secret_key: SecretString,
    /// The currencies that the contract with the provider is for, ISO 4217.
    #[serde(default = "currencies_default")]
    pub currencies: Vec<String>,
    /// How long a connection may take to be made.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// How long one request may take, from the first byte to the last. A confirm or a
    /// cancel makes up to three.
    #[serde(default = "request_timeout_ms")]
    pub request_timeout_ms: u64,
}

fn connect_timeout_ms() -> u64 {
    1_000
}

fn request_timeout_ms() -> u64 {
    3_000
}

impl TossConfig {
    /// The defaults for everything but address and key.
    pub fn new(base_url: &str, secret_key: &str) -> Self {
        Self {
            base_url: base_url.to_owned(),
            secret_key: SecretString::from(secret_key),
            currencies: currencies_default(),
            connect_timeout_ms: connect_timeout_ms(),
            request_timeout_ms: request_timeout_ms(),
        }
    }
}

/// The adapter.
#[derive(Debug)]
pub struct Toss {
    wire: Wire,
    currencies: Vec<String>,
}

impl Toss {
    /// An adapter. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`ProviderConfigError`] says what to correct.
    pub fn new(config: &TossConfig) -> Result<Self, ProviderConfigError> {
        check_currencies(NAME, &config.currencies)?;
        Ok(Self { wire: Wire::new(config)?, currencies: config.currencies.clone() })
    }
}

#[async_trait]
impl Provider for Toss {
    fn name(&self) -> &'static str {
        NAME
    }

    fn takes(&self, currency: &str) -> bool {
        self.currencies.iter().any(|it| it == currency)
    }

    async fn confirm(&self, charge: &Charge, asking: &Asking) -> Settled<ConfirmAnswer> {
        if asking.key_is_old() {
            let said = "the key is too old to ask again with".to_owned();
            return self.settle_confirm(charge, asking, Meaning::Unlisted, said).await;
        }
        let body = ConfirmBody {
            payment_key: &charge.provider_key,
            order_id: &charge.order_no,
            amount: amount::written(charge.amount_minor, charge.decimals),
        };
        let reply = self
            .wire
            .confirm(&body, &asking.idempotency_key)
            .await
            .told(&charge.currency, charge.decimals);
        let (meaning, said) = match reply {
            Reply::Payment(seen) if is_done(&seen, charge) && !asking.asked_before => {
                return captured(&seen);
            }
            Reply::Error { status, ref code } => match meaning(status, code) {
                Meaning::Declined => {
                    let code = code.clone();
                    return refused(ConfirmRefusal::Declined { code });
                }
                Meaning::SessionExpired => return refused(ConfirmRefusal::SessionExpired),
                Meaning::Configuration => return configuration(code),
                meaning => (meaning, format!("the provider answered {status} {code}")),
            },
            Reply::Payment(Seen { standing: Standing::AwaitsDeposit, .. }) => {
                (Meaning::Wait, "the buyer's deposit is awaited".to_owned())
            }
            Reply::Payment(seen) if is_done(&seen, charge) => {
                let said = "the provider says again that it captured the payment".to_owned();
                (Meaning::Unlisted, said)
            }
            other => (Meaning::Unlisted, message_of(other)),
        };
        self.settle_confirm(charge, asking, meaning, said).await
    }

    /// A cancel that met a passing error can be stuck: the provider replays the error for
    /// as long as it keeps the key. When the error did come back and a look-up shows the
    /// balance as it was, that request is over and did nothing, and the next key of a
    /// fixed row of keys is used. Each try walks the row from its start, so that nothing
    /// needs to be remembered.
    async fn cancel(&self, refund: &Refund, asking: &Asking) -> Settled<CancelAnswer> {
        if asking.key_is_old() {
            let said = "the key is too old to ask again with".to_owned();
            return self.settle_cancel(refund, said).await;
        }
        let body = CancelBody {
            cancel_reason: &refund.reason,
            cancel_amount: (!refund.is_whole())
                .then(|| amount::written(refund.amount_minor, refund.decimals)),
        };
        let mut said = String::new();
        for number in 1..=CANCEL_KEYS_MAX {
            let key = cancel_key(asking, number);
            let reply = self.wire.cancel(&refund.provider_key, &body, &key).await;
            let (status, code) = match reply.told(&refund.currency, refund.decimals) {
                Reply::Payment(seen) if refund.is_done_by(&seen) && asking.asked_before => {
                    return self.settle_repeated_cancel(refund).await;
                }
                Reply::Payment(seen) if refund.is_done_by(&seen) => return cancelled(&seen),
                Reply::Error { status, code } => (status, code),
                other => return self.settle_cancel(refund, message_of(other)).await,
            };
            said = format!("the provider answered {status} {code}");
            match meaning(status, &code) {
                Meaning::Configuration => return configuration(&code),
                Meaning::AlreadyCancelled | Meaning::MoreThanBalance | Meaning::NotCancelable => {
                    return self.settle_refused_cancel(refund, code).await;
                }
                Meaning::Wait => return Settled::Wait { message: said },
                // With another key a part would be given back a second time, if the provider
                // did it and says otherwise. Of the whole there is no second time.
                _ if !refund.is_whole() => return self.settle_cancel(refund, said).await,
                _ if !(400..500).contains(&status) => {
                    return self.settle_cancel(refund, said).await;
                }
                _ if !self.is_untouched(refund).await => {
                    return self.settle_cancel(refund, said).await;
                }
                _ => {}
            }
        }
        Settled::Unknown { message: said }
    }

    async fn look_up(&self, wanted: Wanted<'_>) -> Settled<Option<Seen>> {
        match self.wire.look_up(wanted).await {
            Reply::Payment(seen) => Settled::Definite(Some(seen)),
            Reply::Error { status: 404, code } if code == "NOT_FOUND_PAYMENT" => {
                Settled::Definite(None)
            }
            Reply::Error { status, code } if meaning(status, &code) == Meaning::Configuration => {
                configuration(&code)
            }
            other => other.into(),
        }
    }

    async fn movements(&self, span: &LedgerSpan) -> Settled<Option<Vec<Movement>>> {
        self.wire.movements(span).await
    }
}

impl Asking {
    fn key_is_old(&self) -> bool {
        KEY_TRUSTED_MS < self.age_ms()
    }
}

fn cancel_key(asking: &Asking, number: u32) -> String {
    match number {
        1 => asking.idempotency_key.clone(),
        _ => format!("{}-{number}", asking.idempotency_key),
    }
}

/// The only reply to a confirm that means success: captured, for this order, with this
/// amount, and nothing of it given back.
fn is_done(seen: &Seen, charge: &Charge) -> bool {
    matches!(seen.standing, Standing::Captured { .. })
        && charge.agrees_with(seen)
        && seen.balance_minor == charge.amount_minor
}

fn captured(seen: &Seen) -> Settled<ConfirmAnswer> {
    let approved_at_ms = match seen.standing {
        Standing::Captured { approved_at_ms } => approved_at_ms,
        _ => 0,
    };
    Settled::Definite(ConfirmAnswer::Captured { approved_at_ms, balance_minor: seen.balance_minor })
}

fn refused(refusal: ConfirmRefusal) -> Settled<ConfirmAnswer> {
    Settled::Definite(ConfirmAnswer::Refused(refusal))
}

fn cancelled(seen: &Seen) -> Settled<CancelAnswer> {
    Settled::Definite(CancelAnswer::Cancelled { balance_minor: seen.balance_minor })
}

fn configuration<A>(code: &str) -> Settled<A> {
    let message = format!("the provider does not accept our key: {code}; check `secret_key`");
    Settled::Configuration { message }
}

fn message_of(reply: Reply) -> String {
    match reply {
        Reply::Payment(seen) => format!(
            "the provider answered with a payment that we did not ask for: order {}, amount {}, \
             {:?}",
            seen.order_no, seen.amount_minor, seen.standing
        ),
        Reply::Error { status, code } => format!("the provider answered {status} {code}"),
        Reply::Lost { message } => message,
    }
}
