//! PortOne V1.
//!
//! Buyers pay without the shop, so there is nothing to capture: a confirm only verifies.
//! The provider knows no idempotency keys. What guards a cancel that is asked for again is
//! its checksum, the balance that it expects to find: of two requests with one checksum
//! one moves money, however late the other one arrives.

use async_trait::async_trait;
use saga_participant::Settled;
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    Asking, CancelAnswer, CancelRefusal, Charge, ConfirmAnswer, Provider, ProviderConfigError,
    Refund, Seen, Wanted, amount, check_currencies, currencies_default, decided, told, verify,
};

mod token;
mod wire;
use wire::{CancelBody, Reply, Wire};

/// The provider's name in requests and in the database.
pub const NAME: &str = "portone";

/// How to reach the provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortOneConfig {
    /// Where the API is, such as `http://127.0.0.1:7414`. This build speaks no TLS.
    pub base_url: String,
    /// The shop's REST API key.
    pub imp_key: String,
    /// Its secret.
    #[serde(deserialize_with = "saga_participant::serve::text_or_file")]
    pub imp_secret: SecretString,
    /// The currencies that the contract with the provider is for, ISO 4217.
    #[serde(default = "currencies_default")]
    pub currencies: Vec<String>,
    /// How long a connection may take to be made.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// How long one request may take, from the first byte to the last. A verification or a
    /// cancel makes up to four, and two more where the access token has expired.
    #[serde(default = "request_timeout_ms")]
    pub request_timeout_ms: u64,
}

fn connect_timeout_ms() -> u64 {
    1_000
}

fn request_timeout_ms() -> u64 {
    3_000
}

impl PortOneConfig {
    /// The defaults for everything but address, key and secret.
    pub fn new(base_url: &str, imp_key: &str, imp_secret: &str) -> Self {
        Self {
            base_url: base_url.to_owned(),
            imp_key: imp_key.to_owned(),
            imp_secret: SecretString::from(imp_secret),
            currencies: currencies_default(),
            connect_timeout_ms: connect_timeout_ms(),
            request_timeout_ms: request_timeout_ms(),
        }
    }
}

/// The adapter.
#[derive(Debug)]
pub struct PortOne {
    wire: Wire,
    currencies: Vec<String>,
}

impl PortOne {
    /// An adapter. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`ProviderConfigError`] says what to correct.
    pub fn new(config: &PortOneConfig) -> Result<Self, ProviderConfigError> {
        check_currencies(NAME, &config.currencies)?;
        Ok(Self { wire: Wire::new(config)?, currencies: config.currencies.clone() })
    }
}

#[async_trait]
impl Provider for PortOne {
    fn name(&self) -> &'static str {
        NAME
    }

    fn takes(&self, currency: &str) -> bool {
        self.currencies.iter().any(|it| it == currency)
    }

    async fn confirm(&self, charge: &Charge, _: &Asking) -> Settled<ConfirmAnswer> {
        verify(self, charge).await
    }

    async fn cancel(&self, refund: &Refund, asking: &Asking) -> Settled<CancelAnswer> {
        let mut checksum = refund.balance_minor;
        let decimals = refund.decimals;
        // The second round is for money that somebody else gave back before us.
        for _ in 0..2 {
            let body = CancelBody {
                imp_uid: &refund.provider_key,
                amount: (!refund.is_whole())
                    .then(|| amount::written(refund.amount_minor, decimals)),
                checksum: amount::written(checksum, decimals),
                reason: &refund.reason,
            };
            match self.wire.cancel(&body).await.told(&refund.currency, decimals) {
                Reply::Payment(seen) if refund.is_done_by(&seen) => return cancelled(&seen),
                Reply::Refused { code, message, .. } => {
                    match self.after_refusal(refund, message, is_believed(code, asking)).await {
                        AfterRefusal::Settled(settled) => return settled,
                        AfterRefusal::Expect { balance_minor } if balance_minor != checksum => {
                            checksum = balance_minor;
                        }
                        AfterRefusal::Expect { .. } => break,
                    }
                }
                Reply::Payment(_) => {
                    let message = "the provider answered with another payment".to_owned();
                    return self.after_silence(refund, message).await;
                }
                Reply::Lost { message } => return self.after_silence(refund, message).await,
                Reply::Wait { message } => return Settled::Wait { message },
                Reply::Configuration { message } => return Settled::Configuration { message },
            }
        }
        Settled::Unknown { message: "the balance at the provider keeps changing".to_owned() }
    }

    async fn look_up(&self, wanted: Wanted<'_>) -> Settled<Option<Seen>> {
        match self.wire.look_up(wanted).await {
            Reply::Payment(seen) => Settled::Definite(Some(seen)),
            // Every other business error may pass, and says nothing of the payment (S0-15).
            Reply::Refused { status: 404, .. } => Settled::Definite(None),
            Reply::Refused { message, .. } => {
                Settled::Unknown { message: format!("the provider answered {message}") }
            }
            Reply::Lost { message } => Settled::Unknown { message },
            Reply::Wait { message } => Settled::Wait { message },
            Reply::Configuration { message } => Settled::Configuration { message },
        }
    }
}

/// What a refused cancel means.
enum AfterRefusal {
    Settled(Settled<CancelAnswer>),
    /// Ask again: the provider holds this much.
    Expect {
        balance_minor: i64,
    },
}

impl PortOne {
    async fn look(&self, refund: &Refund) -> Settled<Option<Seen>> {
        let found = self.look_up(Wanted::Key(&refund.provider_key)).await;
        told(found, &refund.currency, refund.decimals)
    }

    /// Decides a cancel whose reply said nothing. Only success can be seen: while the
    /// request may be on its way, a balance that did not change means nothing.
    async fn after_silence(&self, refund: &Refund, message: String) -> Settled<CancelAnswer> {
        match self.look(refund).await {
            Settled::Definite(Some(seen)) if refund.is_done_exactly(&seen) => cancelled(&seen),
            Settled::Configuration { message } => Settled::Configuration { message },
            _ => Settled::Unknown { message },
        }
    }

    /// Decides a cancel that the provider refuses: it may refuse because it was done, or
    /// because the balance is not the expected one.
    async fn after_refusal(
        &self,
        refund: &Refund,
        message: String,
        is_believed: bool,
    ) -> AfterRefusal {
        let seen = match decided(self.look(refund).await) {
            Ok(Some(seen)) if refund.is_of(&seen) => seen,
            Err(undecided) => return AfterRefusal::Settled(undecided),
            Ok(_) => return AfterRefusal::Settled(Settled::Unknown { message }),
        };
        let balance_minor = seen.balance_minor;
        let refused = |it| AfterRefusal::Settled(Settled::Definite(CancelAnswer::Refused(it)));
        let is_ours_missing = refund.balance_after_minor() < balance_minor;
        if refund.is_done_exactly(&seen) {
            AfterRefusal::Settled(cancelled(&seen))
        } else if balance_minor == refund.balance_minor && !is_believed {
            AfterRefusal::Settled(Settled::Unknown { message })
        } else if balance_minor == refund.balance_minor {
            refused(CancelRefusal::NotCancelable { code: message })
        } else if refund.is_whole() {
            AfterRefusal::Expect { balance_minor }
        } else if is_ours_missing && balance_minor < refund.amount_minor {
            refused(CancelRefusal::MoreThanBalance { balance_minor })
        } else if is_ours_missing {
            // What somebody else took is less than what we ask for: ours was not done.
            AfterRefusal::Expect { balance_minor }
        } else {
            // Ours may be a part of what was taken. A person has to look.
            AfterRefusal::Settled(Settled::Unknown { message })
        }
    }
}

/// The code of a refusal for good. Any other is a word of the moment.
const REFUSED: i64 = 1;

/// For how long a request that was sent may arrive, in milliseconds.
const ON_ITS_WAY_MS: i64 = 15 * 60 * 1000;

/// Whether a refusal that finds the balance as it was says that nothing went back, and will not:
/// an earlier request of the operation may still arrive.
fn is_believed(code: i64, asking: &Asking) -> bool {
    code == REFUSED && (!asking.asked_before || ON_ITS_WAY_MS < asking.age_ms())
}

fn cancelled(seen: &Seen) -> Settled<CancelAnswer> {
    Settled::Definite(CancelAnswer::Cancelled { balance_minor: seen.balance_minor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_the_moment_refuses_nothing() {
        let asking = |asked_before, age_ms| Asking {
            idempotency_key: "c-1".to_owned(),
            intended_at_ms: 1_000,
            now_ms: 1_000 + age_ms,
            asked_before,
        };
        assert!(is_believed(REFUSED, &asking(false, 0)));
        assert!(!is_believed(-1, &asking(false, 0)));
        assert!(!is_believed(-1, &asking(true, ON_ITS_WAY_MS + 1)));
        assert!(!is_believed(REFUSED, &asking(true, ON_ITS_WAY_MS)));
        assert!(is_believed(REFUSED, &asking(true, ON_ITS_WAY_MS + 1)));
    }
}
