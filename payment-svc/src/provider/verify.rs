//! Whether a buyer has paid, by look-ups alone. Nothing is changed at the provider.

use saga_participant::Settled;

use super::{
    Charge, ConfirmAnswer, ConfirmRefusal, Provider, Seen, Standing, Wanted, decided, told,
};

/// The payment of that key. `None` only where the provider says so twice, asked by its key
/// and by its order: a wrong "there is none" leaves a buyer's money where nobody looks.
pub async fn find(
    provider: &dyn Provider,
    provider_key: &str,
    order_no: &str,
) -> Settled<Option<Seen>> {
    let by_key = match decided(provider.look_up(Wanted::Key(provider_key)).await) {
        Ok(found) => found,
        Err(undecided) => return undecided,
    };
    if let Some(seen) = by_key {
        return Settled::Definite(Some(seen));
    }
    match decided(provider.look_up(Wanted::Order(order_no)).await) {
        Ok(by_order) => Settled::Definite(by_order.filter(|it| it.provider_key == provider_key)),
        Err(undecided) => undecided,
    }
}

/// Whether `charge` was paid, in full and for its order.
pub async fn verify(provider: &dyn Provider, charge: &Charge) -> Settled<ConfirmAnswer> {
    let found = find(provider, &charge.provider_key, &charge.order_no).await;
    match decided(told(found, &charge.currency, charge.decimals)) {
        Ok(Some(seen)) => judge(&seen, charge),
        Ok(None) => refused(ConfirmRefusal::NotFound),
        Err(undecided) => undecided,
    }
}

fn judge(seen: &Seen, charge: &Charge) -> Settled<ConfirmAnswer> {
    if seen.provider_key != charge.provider_key {
        let message = "the provider shows another payment than the one that was asked for";
        return Settled::Unknown { message: message.to_owned() };
    }
    if seen.order_no != charge.order_no {
        let order_no = seen.order_no.clone();
        return refused(ConfirmRefusal::UsedElsewhere { order_no });
    }
    let status = match &seen.standing {
        Standing::Captured { approved_at_ms } if seen.balance_minor != 0 => {
            return judge_amount(seen, charge, *approved_at_ms);
        }
        Standing::Captured { .. } | Standing::Withdrawn => "CANCELLED",
        Standing::Open => "OPEN",
        Standing::Refused { .. } => "FAILED",
        Standing::Expired => "EXPIRED",
        Standing::AwaitsDeposit => {
            return Settled::Wait { message: "the buyer's deposit is awaited".to_owned() };
        }
        Standing::Strange { status } => {
            let message = format!("the provider shows the payment as {status}");
            return Settled::Unknown { message };
        }
    };
    refused(ConfirmRefusal::NotPaid { status })
}

/// Where somebody gave a part back, the rest is what was paid.
fn judge_amount(seen: &Seen, charge: &Charge, approved_at_ms: i64) -> Settled<ConfirmAnswer> {
    let balance_minor = seen.balance_minor;
    if charge.has_amount_of(seen) && balance_minor == charge.amount_minor {
        return Settled::Definite(ConfirmAnswer::Captured { approved_at_ms, balance_minor });
    }
    refused(ConfirmRefusal::AmountDiffers { actual_minor: balance_minor })
}

fn refused(refusal: ConfirmRefusal) -> Settled<ConfirmAnswer> {
    Settled::Definite(ConfirmAnswer::Refused(refusal))
}
