//! The cancel of a stray: a payment that a provider may hold and that our tables do not
//! know, because its order does not exist or it was not taken for it.
//!
//! What the client says of it is not believed; the provider is asked. It goes back as a
//! whole, so asking again can give nothing back twice.

use saga_participant::{OperationError, OperationMeta, Settled, Tx, Verdict};
use shop_proto::payment::v1::{CancelRequest, CancelResponse, cancel_request::Payment};

use super::{CancelOutcome, CancelPlan, not_cancelable, not_captured, reason_of};
use crate::{
    clock::database_ms,
    payments::{
        self,
        strays::{self, Ended, NewStrayCancel},
    },
    provider::{
        self, Asking, CancelAnswer, CancelRefusal, Provider, Refund, Seen, Standing, Wanted,
        amount, decided,
    },
    reason::{self, refusal},
};

/// What the provider says of a stray.
#[derive(Clone, Debug)]
pub enum Stray {
    /// All of it went back, now or before.
    GivenBack {
        /// What went back in all, in minor units.
        cancelled_minor: i64,
    },
    /// There is no such payment.
    Absent,
    /// It is for another order than the one that was named.
    OtherOrder,
    /// Nobody paid it.
    NotPaid,
    /// The provider does not give it back.
    Refused {
        /// The provider's code.
        code: String,
    },
}

pub(super) async fn intend(
    request: &CancelRequest,
    provider: &str,
    provider_key: &str,
    tx: &mut Tx,
    op: &OperationMeta,
) -> Result<CancelPlan, OperationError> {
    if request.amount_minor != 0 {
        let remedy = "0: a payment that this service does not know is given back as a whole";
        return Err(OperationError::invalid("amount_minor", request.amount_minor, remedy));
    }
    let reason = reason_of(request);
    let (op_id, now_ms) = (op.op_id, op.at_ms);
    let new = NewStrayCancel { op_id, provider, provider_key, reason: &reason, now_ms };
    if !strays::open(tx, new).await? {
        return Err(payments::in_progress());
    }
    Ok(CancelPlan {
        provider_key: provider_key.to_owned(),
        order_no: request.order_no.clone(),
        balance_minor: 0,
        amount_minor: 0,
        reason,
        intended_at_ms: database_ms(tx).await?,
        provider: provider.to_owned(),
        is_stray: true,
        currency: String::new(),
        decimals: 0,
    })
}

/// Looks for the payment and gives back what the provider holds of it.
pub(super) async fn give_back(
    plan: CancelPlan,
    provider: &dyn Provider,
    asking: &Asking,
) -> Settled<CancelOutcome> {
    let found = match decided(find(provider, &plan).await) {
        Ok(found) => found,
        Err(undecided) => return undecided,
    };
    let stray = match found {
        None => Stray::Absent,
        Some(seen) if seen.provider_key != plan.provider_key => {
            let message = "the provider shows another payment than the one that was asked for";
            return Settled::Unknown { message: message.to_owned() };
        }
        Some(seen) if !plan.order_no.is_empty() && seen.order_no != plan.order_no => {
            Stray::OtherOrder
        }
        Some(seen) => match &seen.standing {
            Standing::Captured { .. } if seen.balance_minor == 0 => {
                Stray::GivenBack { cancelled_minor: seen.amount_minor }
            }
            Standing::Captured { .. } => return refund(seen, plan, provider, asking).await,
            Standing::Open | Standing::Refused { .. } | Standing::Expired | Standing::Withdrawn => {
                Stray::NotPaid
            }
            Standing::AwaitsDeposit => {
                return Settled::Wait { message: "the buyer's deposit is awaited".to_owned() };
            }
            Standing::Strange { status } => {
                let message = format!("the provider shows the payment as {status}");
                return Settled::Unknown { message };
            }
        },
    };
    Settled::Definite(CancelOutcome::Stray(stray))
}

async fn find(provider: &dyn Provider, plan: &CancelPlan) -> Settled<Option<Seen>> {
    if plan.order_no.is_empty() {
        return provider.look_up(Wanted::Key(&plan.provider_key)).await;
    }
    provider::find(provider, &plan.provider_key, &plan.order_no).await
}

async fn refund(
    seen: Seen,
    plan: CancelPlan,
    provider: &dyn Provider,
    asking: &Asking,
) -> Settled<CancelOutcome> {
    let Seen { provider_key, order_no, amount_minor, balance_minor, currency, .. } = seen;
    let Some(decimals) = amount::decimals(&currency) else {
        let message = format!("the provider shows the payment in {currency}");
        return Settled::Unknown { message };
    };
    let all = Refund {
        provider_key,
        order_no,
        balance_minor,
        amount_minor: balance_minor,
        currency,
        decimals,
        reason: plan.reason,
    };
    let stray = match decided(provider.cancel(&all, asking).await) {
        Ok(CancelAnswer::Cancelled { balance_minor: 0 }) => {
            Stray::GivenBack { cancelled_minor: amount_minor }
        }
        Ok(CancelAnswer::Refused(CancelRefusal::NotCancelable { code })) => Stray::Refused { code },
        // The balance changed between the look-up and the cancel.
        Ok(CancelAnswer::Cancelled { .. } | CancelAnswer::Refused(_)) => {
            return Settled::Unknown { message: "the balance keeps changing".to_owned() };
        }
        Err(undecided) => return undecided,
    };
    Settled::Definite(CancelOutcome::Stray(stray))
}

pub(super) async fn record(
    request: &CancelRequest,
    stray: Stray,
    tx: &mut Tx,
    op: &OperationMeta,
) -> Result<Verdict<CancelResponse>, OperationError> {
    let key = named(request);
    let (ended, verdict) = match &stray {
        Stray::GivenBack { cancelled_minor } => (
            Ended::Done { cancelled_minor: *cancelled_minor },
            Verdict::Applied(CancelResponse {
                payment_id: String::new(),
                cancelled_minor: *cancelled_minor,
                balance_minor: 0,
            }),
        ),
        Stray::Refused { code } => {
            (Ended::Refused { code }, Verdict::Rejected(not_cancelable(key, code.clone())))
        }
        // The caller wants no money of that order to be with us, and so it is.
        Stray::OtherOrder | Stray::Absent | Stray::NotPaid if !request.order_no.is_empty() => {
            (Ended::Nothing, Verdict::Applied(CancelResponse::default()))
        }
        Stray::OtherOrder | Stray::Absent => {
            let message = format!("neither we nor the provider know of a payment {key}");
            let refusal = refusal(reason::PAYMENT_NOT_FOUND, message, Vec::new());
            (Ended::Refused { code: reason::PAYMENT_NOT_FOUND }, Verdict::Rejected(refusal))
        }
        Stray::NotPaid => {
            (Ended::Refused { code: "NOT_CAPTURED" }, Verdict::Rejected(not_captured(key)))
        }
    };
    strays::end(tx, op.op_id, ended).await?;
    Ok(verdict)
}

fn named(request: &CancelRequest) -> &str {
    match &request.payment {
        Some(Payment::ProviderKey(key) | Payment::PaymentId(key)) => key,
        None => "",
    }
}
