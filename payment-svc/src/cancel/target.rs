//! Which payment a cancel names.

use saga_participant::{OperationError, ProviderOperation as _, Tx};
use shop_proto::payment::v1::{CancelRequest, cancel_request};

use super::not_found;
use crate::{
    limits::{check_provider, check_provider_key, is_order_no, is_provider_key, parse_payment_id},
    payments::{self, Payment, attempts},
    provider::toss,
};

/// What is to be given back.
pub(super) enum Target<'a> {
    /// A payment of ours.
    Ours(Payment),
    /// A payment that our tables do not know.
    Stray { provider: &'a str, provider_key: &'a str },
}

/// The payment that a cancel names: by its id, by the provider's key, or by the Confirm
/// that it undoes. Where it names it twice, both must be the same.
pub(super) async fn find<'a>(
    request: &'a CancelRequest,
    tx: &mut Tx,
) -> Result<Target<'a>, OperationError> {
    let undone = undone_payment(request, tx).await?;
    let named = match &request.payment {
        None => None,
        Some(cancel_request::Payment::PaymentId(text)) => {
            payments::by_id(tx, parse_payment_id("payment_id", text)?).await?
        }
        Some(cancel_request::Payment::ProviderKey(provider_key)) => {
            let provider = match request.provider.as_str() {
                "" => toss::NAME,
                name => name,
            };
            check_provider("provider", provider)?;
            check_provider_key("provider_key", provider_key)?;
            payments::lock_key(tx, provider, provider_key).await?;
            match payments::by_provider_key(tx, provider, provider_key).await? {
                None if undone.is_none() => return Ok(Target::Stray { provider, provider_key }),
                found => found,
            }
        }
    };
    match (named, undone) {
        (Some(named), Some(undone)) if named.payment_id != undone.payment_id => {
            let remedy = format!("the payment of that Confirm, which is {}", undone.payment_id);
            Err(OperationError::invalid("payment", named.payment_id, remedy))
        }
        (Some(named), _) => Ok(Target::Ours(named)),
        (None, Some(undone)) if request.payment.is_none() => Ok(Target::Ours(undone)),
        (None, None) if request.payment.is_none() => {
            let remedy = "a payment_id, a provider_key, or the reverses_op_id of a Confirm";
            Err(OperationError::invalid("payment", "", remedy))
        }
        (None, _) => Err(not_found("there is no such payment".to_owned())),
    }
}

/// Whether a payment and an order are named as there can be any.
pub(super) fn is_well_named(request: &CancelRequest) -> bool {
    let is_known = request.provider.is_empty() || check_provider("", &request.provider).is_ok();
    is_known
        && is_order_no(&request.order_no)
        && match &request.payment {
            Some(cancel_request::Payment::ProviderKey(key)) => is_provider_key(key),
            _ => true,
        }
}

/// The payment of the operation that the cancel undoes.
async fn undone_payment(
    request: &CancelRequest,
    tx: &mut Tx,
) -> Result<Option<Payment>, OperationError> {
    let Some(op_id) = request.reverses()? else { return Ok(None) };
    let Some(payment_id) = attempts::payment_of(tx, op_id).await? else {
        let remedy = "the operation id of a Confirm or a Verify";
        return Err(OperationError::invalid("reverses_op_id", op_id, remedy));
    };
    let payment = payments::by_id(tx, payment_id).await?;
    Ok(Some(payment.ok_or(sqlx::Error::RowNotFound)?))
}
