//! What the service asks of a payment provider, whichever it is, and what it may learn.
//!
//! A provider is never believed by halves: what is not an answer for good is unknown, and
//! unknown is never a refusal.

use std::fmt;

use async_trait::async_trait;

pub mod toss;

/// A payment provider.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    /// Its name in requests and in the database, such as `toss`.
    fn name(&self) -> &'static str;

    /// Captures the buyer's payment, or finds out that it is captured, or refused. Comes
    /// to an end by itself. May be called any number of times with the same arguments.
    async fn confirm(&self, charge: &Charge, asking: &Asking) -> Asked<ConfirmAnswer>;

    /// Gives money back, or finds out that it was given back, or that it cannot be. Comes
    /// to an end by itself. May be called any number of times with the same arguments; of
    /// two different refunds of one payment the first must be settled before the second.
    async fn cancel(&self, refund: &Refund, asking: &Asking) -> Asked<CancelAnswer>;

    /// Shows what the provider knows of a payment. Changes nothing.
    async fn look_up(&self, wanted: Wanted<'_>) -> Asked<Option<Seen>>;
}

/// What is known after asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked<A> {
    /// An answer for good.
    Answered(A),
    /// The request was not sent: nothing was done by it.
    NotSent {
        /// What happened, for people.
        message: String,
    },
    /// Nobody knows what was done.
    Unknown {
        /// What happened, for people.
        message: String,
    },
    /// The provider is at it, or asks for a pause.
    Wait {
        /// What happened, for people.
        message: String,
    },
    /// The provider does not accept our key: for the operator.
    Configuration {
        /// What happened, for people.
        message: String,
    },
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
    /// Why, 1 to 200 characters.
    pub reason: String,
}

impl Refund {
    /// What we hold after it, in minor units.
    pub fn balance_after_minor(&self) -> i64 {
        self.balance_minor - self.amount_minor
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
    /// Its currency, where the provider tells.
    pub currency: Option<String>,
    /// What the provider holds for us, in minor units. Only of use after the capture.
    pub balance_minor: i64,
    /// Where it stands.
    pub standing: Standing,
}

/// Where a payment stands at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not captured, but it may still be.
    Open,
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
    /// The buyer agreed to pay another amount.
    AmountDiffers {
        /// What the buyer agreed to pay, in minor units.
        actual_minor: i64,
    },
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
