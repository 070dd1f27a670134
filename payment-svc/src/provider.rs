//! What the service asks of a payment provider, whichever it is, and what it may learn.
//!
//! A provider is never believed by halves: what is not an answer for good is
//! [`Settled::Unknown`], and unknown is never a refusal.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use saga_participant::Settled;

pub(crate) mod amount;
mod http;
pub mod portone;
pub mod toss;
mod verify;

pub use http::ProviderConfigError;
pub use verify::{find, verify};

/// The providers that this program can talk to.
pub const NAMES: [&str; 2] = [toss::NAME, portone::NAME];

/// A payment provider.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    /// Its name in requests and in the database, such as `toss`.
    fn name(&self) -> &'static str;

    /// Whether it is configured for payments in that currency.
    fn takes(&self, currency: &str) -> bool;

    /// Captures the buyer's payment, or finds out that it is captured, or refused. Where
    /// buyers pay without the shop it only finds out. Comes to an end by itself. May be
    /// called any number of times with the same arguments.
    async fn confirm(&self, charge: &Charge, asking: &Asking) -> Settled<ConfirmAnswer>;

    /// Gives money back, or finds out that it was given back, or that it cannot be. Comes
    /// to an end by itself. May be called any number of times with the same arguments; of
    /// two different refunds of one payment the first must be settled before the second.
    async fn cancel(&self, refund: &Refund, asking: &Asking) -> Settled<CancelAnswer>;

    /// Shows what the provider knows of a payment, in minor units of its currency. Changes nothing.
    async fn look_up(&self, wanted: Wanted<'_>) -> Settled<Option<Seen>>;

    /// The next movements of money of `span`, oldest first. `None`: this provider has no list of them that we can read. Changes nothing.
    async fn movements(&self, _span: &LedgerSpan) -> Settled<Option<Vec<Movement>>> {
        Settled::Definite(None)
    }
}

/// How far a provider's ledger was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerMark {
    /// When the last movement that was read happened, by the provider's clock.
    pub at_ms: i64,
    /// The provider's key of it. Empty: nothing was read yet.
    pub transaction_key: String,
}

/// A part of a provider's ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerSpan {
    /// What is behind it is wanted.
    pub from: LedgerMark,
    /// Until when, by the provider's clock.
    pub until_ms: i64,
    /// At most this many movements.
    pub movements_max: u32,
}

/// Money that was captured or given back, as the provider's ledger has it. It only says where
/// to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// The provider's key of the movement.
    pub transaction_key: String,
    /// The provider's key of the payment.
    pub provider_key: String,
    /// When it happened, by the provider's clock.
    pub at_ms: i64,
}

/// The providers that are configured.
#[derive(Clone, Debug)]
pub struct Providers {
    /// One of each name at most; of two the first is asked.
    pub configured: Vec<Arc<dyn Provider>>,
}

impl Providers {
    /// The provider of that name, if it is configured.
    pub fn named(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.configured.iter().find(|it| it.name() == name)
    }
}

/// The answer, or what was learned instead of one.
pub(crate) fn decided<A, B>(settled: Settled<A>) -> Result<A, Settled<B>> {
    match settled {
        Settled::Definite(answer) => Ok(answer),
        Settled::Unknown { message } => Err(Settled::Unknown { message }),
        Settled::Wait { message } => Err(Settled::Wait { message }),
        Settled::Configuration { message } => Err(Settled::Configuration { message }),
    }
}

/// When an operation is asked about, and under which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// The idempotency key: the same for every try of the operation.
    pub idempotency_key: String,
    /// When the operation was first intended. Providers forget keys and sessions.
    pub intended_at_ms: i64,
    /// The present.
    pub now_ms: i64,
    /// Whether the provider may have been asked before. Its answer to a repeat is that of
    /// then, and says nothing of what became of the payment since.
    pub asked_before: bool,
}

impl Asking {
    /// How long ago the operation was first intended, in milliseconds.
    pub(crate) fn age_ms(&self) -> i64 {
        self.now_ms.saturating_sub(self.intended_at_ms)
    }
}

/// Money to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The provider's key of the buyer's payment.
    pub provider_key: String,
    /// The order it is for.
    pub order_no: String,
    /// The server's price, in minor units.
    pub amount_minor: i64,
    /// Its currency, ISO 4217.
    pub currency: String,
    /// With how many decimals the provider is told it.
    pub decimals: u32,
}

/// Money to give back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The provider's key of the payment.
    pub provider_key: String,
    /// The order it was for.
    pub order_no: String,
    /// What we hold before it, in minor units.
    pub balance_minor: i64,
    /// How much to give back, in minor units, from 1 to the balance. All of the balance
    /// means: whatever is left, also where the provider holds less than we think.
    pub amount_minor: i64,
    /// Currency of the payment, ISO 4217. Empty in plans of before there was one.
    pub currency: String,
    /// With how many decimals the provider was told the payment's amount, and is told these.
    pub decimals: u32,
    /// Why, 1 to 200 characters.
    pub reason: String,
}

const NOT_ITS_AMOUNT: &str = "the provider shows an amount that this payment cannot have";

/// The currencies that a provider takes where nothing is configured: both are Korean, and take
/// a payment that names no currency for one in won.
pub(crate) const CURRENCY_DEFAULT: &str = "KRW";

pub(crate) fn currencies_default() -> Vec<String> {
    vec![CURRENCY_DEFAULT.to_owned()]
}

/// Refuses a configuration of a provider that names no currency, or what is none.
pub(crate) fn check_currencies(
    provider: &'static str,
    currencies: &[String],
) -> Result<(), ProviderConfigError> {
    if currencies.is_empty() {
        return Err(ProviderConfigError::NoCurrencies { provider });
    }
    match currencies.iter().find(|it| amount::decimals(it).is_none()) {
        None => Ok(()),
        Some(currency) => Err(ProviderConfigError::Currency { currency: currency.clone() }),
    }
}

impl Charge {
    /// Whether `seen` is for this order and has this amount.
    pub(crate) fn agrees_with(&self, seen: &Seen) -> bool {
        seen.provider_key == self.provider_key
            && seen.order_no == self.order_no
            && self.has_amount_of(seen)
    }

    /// Whether `seen` has this amount.
    pub(crate) fn has_amount_of(&self, seen: &Seen) -> bool {
        seen.amount_minor == self.amount_minor && seen.currency == self.currency
    }
}

impl Refund {
    /// What we hold after it, in minor units.
    pub fn balance_after_minor(&self) -> i64 {
        self.balance_minor - self.amount_minor
    }

    /// Whether all of the balance is to be given back.
    pub(crate) fn is_whole(&self) -> bool {
        self.amount_minor == self.balance_minor
    }

    /// Whether `seen` is the captured payment that this is about.
    pub(crate) fn is_of(&self, seen: &Seen) -> bool {
        seen.provider_key == self.provider_key
            && seen.order_no == self.order_no
            && matches!(seen.standing, Standing::Captured { .. })
    }

    /// In a reply to our own request: at least that much was given back. The provider's
    /// word for it is not asked: a remaining cancel after a partial one stays "partial".
    pub(crate) fn is_done_by(&self, seen: &Seen) -> bool {
        self.is_of(seen) && (0..=self.balance_after_minor()).contains(&seen.balance_minor)
    }

    /// In a look-up: the balance is the wanted one.
    pub(crate) fn is_done_exactly(&self, seen: &Seen) -> bool {
        self.is_of(seen) && seen.balance_minor == self.balance_after_minor()
    }
}

/// How a look-up names a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// By the provider's key.
    Key(&'a str),
    /// By the order it is for.
    Order(&'a str),
}

/// A payment as the provider shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The provider's key of it.
    pub provider_key: String,
    /// The order it is for.
    pub order_no: String,
    /// Its amount, in minor units.
    pub amount_minor: i64,
    /// Its currency, ISO 4217.
    pub currency: String,
    /// What the provider holds for us, in minor units. Only of use after the capture.
    pub balance_minor: i64,
    /// Where it stands.
    pub standing: Standing,
}

impl Seen {
    /// The same payment, its amounts as whoever told the provider an amount with so many decimals
    /// counts them. `None`: it has others. One in another currency stays as it is.
    pub(crate) fn told_with(self, currency: &str, decimals: u32) -> Option<Self> {
        if !currency.is_empty() && currency != self.currency {
            return Some(self);
        }
        let of_currency = amount::decimals(&self.currency)?;
        let amount_minor = amount::rescaled(self.amount_minor, of_currency, decimals)?;
        let balance_minor = amount::rescaled(self.balance_minor, of_currency, decimals)?;
        Some(Self { amount_minor, balance_minor, ..self })
    }
}

/// What a look-up showed, its amounts as in [`Seen::told_with`].
pub(crate) fn told(
    found: Settled<Option<Seen>>,
    currency: &str,
    decimals: u32,
) -> Settled<Option<Seen>> {
    let Settled::Definite(Some(seen)) = found else { return found };
    match seen.told_with(currency, decimals) {
        Some(seen) => Settled::Definite(Some(seen)),
        None => Settled::Unknown { message: NOT_ITS_AMOUNT.to_owned() },
    }
}

/// Where a payment stands at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not captured, but it may still be.
    Open,
    /// Confirmed, and the buyer has some days to deposit the money.
    AwaitsDeposit,
    /// Captured; the balance tells how much of it was given back.
    Captured {
        /// When it was approved. 0: the provider does not tell.
        approved_at_ms: i64,
    },
    /// Refused for good. No money was taken.
    Refused {
        /// The provider's code.
        code: String,
    },
    /// Its time is over. No money was taken.
    Expired,
    /// Cancelled before the buyer deposited anything. No money was taken.
    Withdrawn,
    /// A word that we do not know.
    Strange {
        /// The word.
        status: String,
    },
}

/// The provider's answer to a confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfirmAnswer {
    /// The money was captured: the order and the amount are those we asked for.
    Captured {
        /// When it was approved. 0: the provider does not tell.
        approved_at_ms: i64,
        /// What is left of it, in minor units: less than the amount where somebody gave
        /// money back at the provider since.
        balance_minor: i64,
    },
    /// No money was taken, and none will be.
    Refused(ConfirmRefusal),
}

/// Why a confirm is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfirmRefusal {
    /// The card, the account or the issuer.
    Declined {
        /// The provider's code.
        code: String,
    },
    /// The buyer's window has passed.
    SessionExpired,
    /// The buyer would deposit the money some day. The payment is cancelled, so that no
    /// money comes that nobody waits for.
    PaysLater,
    /// The buyer paid another amount, or agreed to pay another one.
    AmountDiffers {
        /// That amount, in minor units.
        actual_minor: i64,
    },
    /// The buyer has not paid, or has the money back.
    NotPaid {
        /// `OPEN`, `FAILED`, `EXPIRED` or `CANCELLED`.
        status: &'static str,
    },
    /// The provider is not configured for the currency. It was not asked.
    CurrencyNotTaken,
    /// The provider is not configured, and never was. It was not asked.
    ProviderNotTaken,
    /// The provider knows of no such payment.
    NotFound,
    /// The buyer's payment is for another order, or the order is paid with another payment.
    UsedElsewhere {
        /// The order that the provider names.
        order_no: String,
    },
}

/// The provider's answer to a cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelAnswer {
    /// The money was given back.
    Cancelled {
        /// What is left, in minor units.
        balance_minor: i64,
    },
    /// No money was given back, and none will be.
    Refused(CancelRefusal),
}

/// Why a cancel is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelRefusal {
    /// The provider does not give it back.
    NotCancelable {
        /// The provider's code.
        code: String,
    },
    /// The provider holds less than that.
    MoreThanBalance {
        /// What it holds, in minor units.
        balance_minor: i64,
    },
}
