//! The payment provider and its ledger: the book that judges money.

use std::collections::BTreeMap;

use super::fault::Fault;

/// A buyer's payment at the provider.
#[derive(Clone, Debug)]
pub struct Payment {
    /// The order that the buyer paid for.
    pub order_no: String,
    /// What the buyer agreed to.
    pub amount_minor: i64,
    /// What was taken from the buyer.
    pub captured_minor: i64,
    /// What went back to the buyer.
    pub cancelled_minor: i64,
    /// Whether the buyer paid before anybody asked.
    pub paid_by_buyer: bool,
    /// Whether the provider gives money back.
    pub cancelable: bool,
}

impl Payment {
    /// What the shop has of it.
    #[must_use]
    pub fn net_minor(&self) -> i64 {
        self.captured_minor - self.cancelled_minor
    }
}

/// The provider.
#[derive(Debug, Default)]
pub struct Provider {
    /// Payments by key.
    pub payments: BTreeMap<String, Payment>,
    /// What is wrong with the next request, if anything.
    pub ill: Option<Fault>,
    /// Requests that met something wrong.
    pub ill_met: Vec<Fault>,
}

/// What the provider says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is captured, as asked.
    Captured,
    /// Another amount was agreed to.
    OtherAmount,
    /// It is for another order, or there is none.
    Absent,
    /// This much went back, and this much is left.
    Cancelled { cancelled_minor: i64, balance_minor: i64 },
    /// It gives nothing back.
    NotCancelable,
    /// Not a word.
    Nothing,
}

impl Provider {
    /// Captures what the buyer agreed to. Whoever asks again hears the same.
    pub fn confirm(&mut self, key: &str, order_no: &str, amount_minor: i64) -> Said {
        self.answered(|payments| match payments.get_mut(key) {
            Some(payment) if payment.order_no == order_no => {
                if payment.amount_minor != amount_minor {
                    return Said::OtherAmount;
                }
                payment.captured_minor = amount_minor;
                Said::Captured
            }
            _ => Said::Absent,
        })
    }

    /// Gives back what is left above `balance_minor`, which makes asking again harmless.
    pub fn cancel_to(&mut self, key: &str, balance_minor: i64) -> Said {
        self.answered(|payments| match payments.get_mut(key) {
            Some(payment) if !payment.cancelable => Said::NotCancelable,
            Some(payment) => {
                let more = (payment.net_minor() - balance_minor).max(0);
                payment.cancelled_minor += more;
                Said::Cancelled { cancelled_minor: more, balance_minor: payment.net_minor() }
            }
            None => Said::Absent,
        })
    }

    /// Looks a payment up. `None`: the provider does not answer.
    pub fn look_up(&mut self, key: &str) -> Option<Option<Payment>> {
        if let Some(ill) = self.ill.take() {
            self.ill_met.push(ill);
            return None;
        }
        Some(self.payments.get(key).cloned())
    }

    fn answered(&mut self, act: impl FnOnce(&mut BTreeMap<String, Payment>) -> Said) -> Said {
        let ill = self.ill.take();
        self.ill_met.extend(ill);
        match ill {
            None => act(&mut self.payments),
            Some(Fault::ProviderAnswerLost) => {
                act(&mut self.payments);
                Said::Nothing
            }
            Some(_) => Said::Nothing,
        }
    }
}
