//! What a look-up decides where a reply is no answer for good.

use saga_participant::Settled;

use super::{
    CANCEL_KEYS_MAX, Toss, WINDOWS_MS, WITHDRAW_REASON, cancelled, captured,
    codes::{Meaning, meaning},
    configuration, message_of, refused,
    wire::{CancelBody, Reply},
};
use crate::provider::{
    Asking, CancelAnswer, CancelRefusal, Charge, ConfirmAnswer, ConfirmRefusal, Provider, Refund,
    Seen, Standing, Wanted, told,
};

impl Toss {
    async fn look_for(&self, charge: &Charge, wanted: Wanted<'_>) -> Settled<Option<Seen>> {
        told(self.look_up(wanted).await, &charge.currency, charge.decimals)
    }

    async fn look_at(&self, refund: &Refund) -> Settled<Option<Seen>> {
        let found = self.look_up(Wanted::Key(&refund.provider_key)).await;
        told(found, &refund.currency, refund.decimals)
    }

    /// Decides a confirm by what the provider shows.
    pub(super) async fn settle_confirm(
        &self,
        charge: &Charge,
        asking: &Asking,
        meaning: Meaning,
        said: String,
    ) -> Settled<ConfirmAnswer> {
        let by_key = match self.look_for(charge, Wanted::Key(&charge.provider_key)).await {
            Settled::Definite(found) => Ok(found),
            Settled::Configuration { message } => return Settled::Configuration { message },
            _ => Err(()),
        };
        if matches!(&by_key, Ok(Some(seen)) if is_awaited(seen, charge)) {
            return self.withdraw(charge, asking).await;
        }
        let unsettled = match meaning {
            Meaning::Wait => Settled::Wait { message: said },
            _ => Settled::Unknown { message: said },
        };
        match by_key {
            Ok(Some(seen)) => {
                if let Some(settled) = judge_confirm(&seen, charge) {
                    return settled;
                }
            }
            Ok(None) => {}
            Err(()) => return unsettled,
        }
        let by_order = match self.look_for(charge, Wanted::Order(&charge.order_no)).await {
            Settled::Definite(found) => found,
            Settled::Configuration { message } => return Settled::Configuration { message },
            _ => return unsettled,
        };
        match by_order {
            Some(seen) if seen.provider_key == charge.provider_key => {
                judge_confirm(&seen, charge).unwrap_or(unsettled)
            }
            // The provider told us that it does not take a second payment for this order.
            Some(Seen { order_no, standing: Standing::Captured { .. }, .. })
                if meaning == Meaning::DuplicateOrder && order_no == charge.order_no =>
            {
                refused(ConfirmRefusal::UsedElsewhere { order_no })
            }
            // Keys are the provider's own, and it answers a request that comes twice as it
            // answered the first: a key that it has never heard of stays one.
            None if meaning == Meaning::NoPayment => refused(ConfirmRefusal::NotFound),
            // A confirm that is still on its way could make it appear, until the buyer's
            // session is surely over; nor as long as the provider itself says that it runs.
            None if meaning != Meaning::Wait && WINDOWS_MS < asking.age_ms() => {
                refused(ConfirmRefusal::SessionExpired)
            }
            _ => unsettled,
        }
    }

    /// Ends a payment by virtual account, whose money would come when its order is long
    /// given up (F80). A look-up alone says what became of it: the buyer may be quicker.
    async fn withdraw(&self, charge: &Charge, asking: &Asking) -> Settled<ConfirmAnswer> {
        let body = CancelBody { cancel_reason: WITHDRAW_REASON, cancel_amount: None };
        let mut said = String::new();
        for number in 1..=CANCEL_KEYS_MAX {
            let key = format!("{}-withdraw-{number}", asking.idempotency_key);
            let reply = self.wire.cancel(&charge.provider_key, &body, &key).await;
            if let Reply::Error { status, code } = &reply
                && meaning(*status, code) == Meaning::Configuration
            {
                return configuration(code);
            }
            // A refusal is repeated for as long as the provider keeps the key.
            let is_refused = matches!(&reply, Reply::Error { status: 400..500, .. });
            said = format!("the buyer's deposit is awaited; {}", message_of(reply));
            match self.look_for(charge, Wanted::Key(&charge.provider_key)).await {
                Settled::Definite(Some(seen)) => {
                    if let Some(settled) = judge_confirm(&seen, charge) {
                        return settled;
                    }
                }
                Settled::Configuration { message } => return Settled::Configuration { message },
                _ => break,
            }
            if !is_refused {
                break;
            }
        }
        Settled::Wait { message: said }
    }

    /// Decides a cancel that the provider says again it did. The first answer comes back,
    /// with the balance of then; what is left now is looked up.
    pub(super) async fn settle_repeated_cancel(&self, refund: &Refund) -> Settled<CancelAnswer> {
        match self.look_at(refund).await {
            Settled::Definite(Some(seen)) if refund.is_done_by(&seen) => cancelled(&seen),
            Settled::Configuration { message } => Settled::Configuration { message },
            _ => {
                let message = "the provider says again that it gave money back, and a look-up does \
                               not show it";
                Settled::Unknown { message: message.to_owned() }
            }
        }
    }

    /// Decides a cancel whose reply said nothing. Only success can be seen: while the
    /// request may be on its way, a balance that did not change means nothing.
    pub(super) async fn settle_cancel(
        &self,
        refund: &Refund,
        said: String,
    ) -> Settled<CancelAnswer> {
        match self.look_at(refund).await {
            Settled::Definite(Some(seen)) if refund.is_done_exactly(&seen) => cancelled(&seen),
            Settled::Configuration { message } => Settled::Configuration { message },
            _ => Settled::Unknown { message: said },
        }
    }

    /// Decides a cancel that the provider refuses: it may refuse because it was done.
    pub(super) async fn settle_refused_cancel(
        &self,
        refund: &Refund,
        code: String,
    ) -> Settled<CancelAnswer> {
        let seen = match self.look_at(refund).await {
            Settled::Definite(Some(seen)) if refund.is_of(&seen) => seen,
            Settled::Configuration { message } => return Settled::Configuration { message },
            _ => return Settled::Unknown { message: format!("the provider answered {code}") },
        };
        if refund.is_done_exactly(&seen) {
            return cancelled(&seen);
        }
        let refusal = if seen.balance_minor < refund.amount_minor {
            CancelRefusal::MoreThanBalance { balance_minor: seen.balance_minor }
        } else {
            CancelRefusal::NotCancelable { code }
        };
        Settled::Definite(CancelAnswer::Refused(refusal))
    }

    pub(super) async fn is_untouched(&self, refund: &Refund) -> bool {
        match self.look_at(refund).await {
            Settled::Definite(Some(seen)) => {
                refund.is_of(&seen) && seen.balance_minor == refund.balance_minor
            }
            _ => false,
        }
    }
}

/// Confirmed, and the buyer may take some days to deposit the money (F80).
fn is_awaited(seen: &Seen, charge: &Charge) -> bool {
    charge.agrees_with(seen) && seen.standing == Standing::AwaitsDeposit
}

/// What a look-up says of a confirm. `None`: nothing for good.
fn judge_confirm(seen: &Seen, charge: &Charge) -> Option<Settled<ConfirmAnswer>> {
    if seen.provider_key != charge.provider_key {
        return None;
    }
    if seen.order_no != charge.order_no {
        let order_no = seen.order_no.clone();
        return Some(refused(ConfirmRefusal::UsedElsewhere { order_no }));
    }
    match &seen.standing {
        // Nothing is left to settle the order with.
        Standing::Captured { .. } if charge.agrees_with(seen) && seen.balance_minor == 0 => {
            Some(refused(ConfirmRefusal::NotPaid { status: "CANCELLED" }))
        }
        Standing::Captured { .. } if charge.agrees_with(seen) => Some(captured(seen)),
        // Somebody captured another amount for our order. That money has to be looked at
        // by a person, and a refusal would hide it.
        Standing::Captured { .. } => None,
        Standing::Refused { code } => {
            Some(refused(ConfirmRefusal::Declined { code: code.clone() }))
        }
        Standing::Expired => Some(refused(ConfirmRefusal::SessionExpired)),
        Standing::Withdrawn => Some(refused(ConfirmRefusal::PaysLater)),
        // The provider never captures an amount that the buyer did not agree to.
        Standing::Open if !charge.agrees_with(seen) => {
            let actual_minor = seen.amount_minor;
            Some(refused(ConfirmRefusal::AmountDiffers { actual_minor }))
        }
        Standing::Open | Standing::AwaitsDeposit | Standing::Strange { .. } => None,
    }
}
