//! Which payment is this operation's: the announced one of the order, or a new one. A
//! payment of the provider settles one order (D7), and an order has one live payment.

use saga_participant::{OperationError, OperationMeta, Refusal, Tx};
use uuid::Uuid;

use super::Purchase;
use crate::{
    payments::{self, Confirming, NewPayment, Payment, Status, strays},
    reason::{self, refusal},
};

/// Makes the payment this operation's, in the state CONFIRMING, and returns its id.
pub(super) async fn claim(
    purchase: &Purchase<'_>,
    decimals: u32,
    tx: &mut Tx,
    op: &OperationMeta,
) -> Result<Uuid, OperationError> {
    refuse_used_key(purchase, tx).await?;
    if let Some(live) = payments::live(tx, purchase.order_no).await? {
        return match live.status {
            Status::Prepared => {
                check_announced(purchase, &live)?;
                let Purchase { provider, provider_key, .. } = *purchase;
                let payment_id = live.payment_id;
                let with = Confirming { payment_id, provider, provider_key, decimals };
                payments::begin_confirming(tx, with).await?;
                Ok(payment_id)
            }
            Status::Confirming => Err(payments::in_progress()),
            _ => Err(already_used(&live)),
        };
    }
    let announced = payments::announced(tx, purchase.order_no).await?;
    if let Some(announced) = &announced {
        check_announced(purchase, announced)?;
    }
    let payment_id = Uuid::new_v5(&op.op_id, b"payment");
    let new = NewPayment {
        payment_id,
        order_no: purchase.order_no,
        provider: purchase.provider,
        provider_key: Some(purchase.provider_key),
        amount_minor: purchase.amount_minor,
        currency: purchase.currency,
        decimals,
        announced_at_ms: announced.and_then(|it| it.announced_at_ms),
        created_at_ms: op.at_ms,
    };
    if payments::insert(tx, new).await? {
        return Ok(payment_id);
    }
    // Somebody was quicker, and his row could not be seen above.
    Err(payments::in_progress())
}

/// Refuses a provider's payment that settles another one (D7), or that was given back
/// before it settled any.
async fn refuse_used_key(purchase: &Purchase<'_>, tx: &mut Tx) -> Result<(), OperationError> {
    let Purchase { provider, provider_key, .. } = *purchase;
    payments::lock_key(tx, provider, provider_key).await?;
    match payments::by_provider_key(tx, provider, provider_key).await? {
        None => {}
        Some(holder) if holder.status == Status::Confirming => return Err(payments::in_progress()),
        Some(holder) => return Err(already_used(&holder)),
    }
    match strays::standing(tx, provider, provider_key).await? {
        strays::Standing::Untouched => Ok(()),
        strays::Standing::BeingGivenBack => Err(payments::in_progress()),
        strays::Standing::GivenBack => {
            let message = format!("payment {provider_key} was given back before it was used");
            Err(refusal(reason::PAYMENT_ALREADY_USED, message, Vec::new()).into())
        }
    }
}

/// Compares with what was announced for the order (S4-2).
fn check_announced(purchase: &Purchase<'_>, announced: &Payment) -> Result<(), OperationError> {
    let Purchase { order_no, amount_minor, currency, .. } = *purchase;
    if announced.amount_minor == amount_minor && announced.currency == currency {
        return Ok(());
    }
    let message = format!(
        "order {order_no} was announced with {} {}, not {amount_minor} {currency}",
        announced.amount_minor, announced.currency
    );
    Err(amount_mismatch(message, announced.amount_minor, amount_minor).into())
}

pub(super) fn amount_mismatch(message: String, expected_minor: i64, actual_minor: i64) -> Refusal {
    let metadata = vec![
        ("expected_minor", expected_minor.to_string()),
        ("actual_minor", actual_minor.to_string()),
    ];
    refusal(reason::AMOUNT_MISMATCH, message, metadata)
}

fn already_used(holder: &Payment) -> OperationError {
    let message =
        format!("payment {} of order {} is in the way", holder.payment_id, holder.order_no);
    let metadata =
        vec![("order_no", holder.order_no.clone()), ("payment_id", holder.payment_id.to_string())];
    refusal(reason::PAYMENT_ALREADY_USED, message, metadata).into()
}
