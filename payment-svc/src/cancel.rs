//! Cancel: money goes back, all of it or an amount, judged by the balance.
//!
//! As the compensation of a Confirm it relies on the kit: a Confirm that never came is
//! fenced, one that was refused needs no undoing, and one whose outcome is unknown is
//! settled at the provider first. So what comes here was captured.

use saga_participant::{
    Intent, OperationError, OperationMeta, ProviderOperation, Settled, Tx, Verdict,
    operation::parse_op_id,
};
use saga_proto::shop::payment::v1::{CancelRequest, CancelResponse, cancel_request};
use uuid::Uuid;

use crate::{
    Payments,
    limits::{check_provider_key, check_reason, parse_payment_id},
    payments::{
        self, Payment, Status, attempts,
        cancels::{self, NewCancel},
    },
    provider::{Asking, CancelAnswer, CancelRefusal, Refund, toss},
    reason::{self, refusal},
};

/// What the provider is told where the caller gives no reason; it insists on one.
const REASON_DEFAULT: &str = "cancelled by the shop";

/// What the provider is asked, whoever asks it and however often.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CancelPlan {
    /// The provider's key of the payment.
    #[prost(string, tag = "1")]
    pub provider_key: String,
    /// The order it was for.
    #[prost(string, tag = "2")]
    pub order_no: String,
    /// What we held when the cancel was intended, in minor units.
    #[prost(int64, tag = "3")]
    pub balance_minor: i64,
    /// How much to give back, in minor units.
    #[prost(int64, tag = "4")]
    pub amount_minor: i64,
    /// Why.
    #[prost(string, tag = "5")]
    pub reason: String,
    /// When the cancel was intended, in milliseconds since the Unix epoch.
    #[prost(int64, tag = "6")]
    pub intended_at_ms: i64,
}

impl ProviderOperation<Payments> for CancelRequest {
    const KIND: &'static str = "Cancel";
    type Reply = CancelResponse;
    type Plan = CancelPlan;
    type Answer = CancelAnswer;

    fn reverses(&self) -> Result<Option<Uuid>, OperationError> {
        match self.reverses_op_id.as_str() {
            "" => Ok(None),
            text => parse_op_id("reverses_op_id", text).map(Some),
        }
    }

    async fn intend(
        &self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<Intent<CancelPlan, CancelResponse>, OperationError> {
        if self.amount_minor < 0 {
            let remedy = "0 for the whole balance, or the amount to give back";
            return Err(OperationError::invalid("amount_minor", self.amount_minor, remedy));
        }
        check_reason("reason", &self.reason)?;
        let payment = find_payment(self, tx).await?;
        let balance_minor = payment.balance_minor();
        match payment.status {
            Status::Confirming => return Err(payments::in_progress()),
            Status::Prepared | Status::Failed => return Err(not_captured(&payment)),
            Status::Cancelled if self.amount_minor == 0 => {
                return Ok(Intent::Answer(reply(&payment, 0, 0)));
            }
            Status::Cancelled | Status::Completed | Status::PartiallyCancelled => {}
        }
        if balance_minor < self.amount_minor {
            return Err(refusal_of_amount(&payment, self.amount_minor, balance_minor).into());
        }
        let amount_minor = match self.amount_minor {
            0 => balance_minor,
            some => some,
        };
        let reason = if self.reason.is_empty() { REASON_DEFAULT } else { &self.reason };
        let new = NewCancel {
            op_id: op.op_id,
            payment_id: payment.payment_id,
            amount_minor,
            reason,
            now_ms: op.at_ms,
        };
        if !cancels::open(tx, new).await? {
            return Err(payments::in_progress());
        }
        Ok(Intent::Call(CancelPlan {
            provider_key: payment.provider_key.unwrap_or_default(),
            order_no: payment.order_no,
            balance_minor,
            amount_minor,
            reason: reason.to_owned(),
            intended_at_ms: op.at_ms,
        }))
    }

    async fn call(
        plan: CancelPlan,
        service: &Payments,
        op: &OperationMeta,
    ) -> Settled<CancelAnswer> {
        let refund = Refund {
            provider_key: plan.provider_key,
            order_no: plan.order_no,
            balance_minor: plan.balance_minor,
            amount_minor: plan.amount_minor,
            reason: plan.reason,
        };
        let asking = Asking {
            idempotency_key: op.op_id.to_string(),
            intended_at_ms: plan.intended_at_ms,
            now_ms: service.clock.now_ms(),
        };
        service.provider.cancel(&refund, &asking).await.into()
    }

    async fn record(
        self,
        answer: CancelAnswer,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<Verdict<CancelResponse>, OperationError> {
        let intended = cancels::find(tx, op.op_id).await?;
        let (payment_id, amount_minor) = intended.ok_or(sqlx::Error::RowNotFound)?;
        let payment = payments::by_id(tx, payment_id).await?.ok_or(sqlx::Error::RowNotFound)?;
        match answer {
            CancelAnswer::Cancelled { balance_minor } => {
                // Where somebody else gave money back too, only our part is ours.
                let held_minor = payment.balance_minor();
                let balance_minor = balance_minor.clamp(0, held_minor);
                let ours_minor = amount_minor.min(held_minor - balance_minor);
                payments::give_back(tx, &payment, balance_minor, ours_minor).await?;
                cancels::done(tx, op.op_id, ours_minor).await?;
                Ok(Verdict::Applied(reply(&payment, ours_minor, balance_minor)))
            }
            CancelAnswer::Refused(CancelRefusal::NotCancelable { code }) => {
                cancels::refused(tx, op.op_id, &code).await?;
                let message = format!("the provider does not cancel payment {payment_id}: {code}");
                let metadata = vec![("code", code)];
                Ok(Verdict::Rejected(refusal(reason::NOT_CANCELABLE, message, metadata)))
            }
            CancelAnswer::Refused(CancelRefusal::MoreThanBalance { balance_minor }) => {
                cancels::refused(tx, op.op_id, reason::AMOUNT_EXCEEDS_BALANCE).await?;
                Ok(Verdict::Rejected(refusal_of_amount(&payment, amount_minor, balance_minor)))
            }
        }
    }
}

/// The payment that a cancel names: by its id, by the provider's key, or by the Confirm
/// that it undoes. Where it names it twice, both must be the same.
async fn find_payment(request: &CancelRequest, tx: &mut Tx) -> Result<Payment, OperationError> {
    let undone = match request.reverses()? {
        None => None,
        Some(op_id) => match attempts::payment_of(tx, op_id).await? {
            Some(payment_id) => Some(payment_id),
            None => {
                let remedy = "the operation id of a Confirm";
                return Err(OperationError::invalid("reverses_op_id", op_id, remedy));
            }
        },
    };
    let named = match &request.payment {
        None => None,
        Some(cancel_request::Payment::PaymentId(text)) => {
            payments::by_id(tx, parse_payment_id("payment_id", text)?).await?
        }
        Some(cancel_request::Payment::ProviderKey(key)) => {
            check_provider_key("provider_key", key)?;
            payments::by_provider_key(tx, toss::NAME, key).await?
        }
    };
    match (named, undone) {
        (Some(named), Some(undone)) if named.payment_id != undone => {
            let remedy = format!("the payment of that Confirm, which is {undone}");
            Err(OperationError::invalid("payment", named.payment_id, remedy))
        }
        (Some(named), _) => Ok(named),
        (None, Some(undone)) if request.payment.is_none() => payments::by_id(tx, undone)
            .await?
            .ok_or(OperationError::Database(sqlx::Error::RowNotFound)),
        (None, None) if request.payment.is_none() => {
            let remedy = "a payment_id, a provider_key, or the reverses_op_id of a Confirm";
            Err(OperationError::invalid("payment", "", remedy))
        }
        (None, _) => Err(not_found("there is no such payment".to_owned())),
    }
}

pub(crate) fn not_found(message: String) -> OperationError {
    refusal(reason::PAYMENT_NOT_FOUND, message, Vec::new()).into()
}

fn not_captured(payment: &Payment) -> OperationError {
    let Payment { payment_id, .. } = payment;
    let message = format!("payment {payment_id} was not captured: there is nothing to give back");
    let metadata = vec![("code", "NOT_CAPTURED".to_owned())];
    refusal(reason::NOT_CANCELABLE, message, metadata).into()
}

fn refusal_of_amount(
    payment: &Payment,
    amount_minor: i64,
    balance_minor: i64,
) -> saga_participant::Refusal {
    let Payment { payment_id, .. } = payment;
    let message =
        format!("payment {payment_id} has a balance of {balance_minor}, not {amount_minor}");
    let metadata = vec![("balance_minor", balance_minor.to_string())];
    refusal(reason::AMOUNT_EXCEEDS_BALANCE, message, metadata)
}

fn reply(payment: &Payment, cancelled_minor: i64, balance_minor: i64) -> CancelResponse {
    CancelResponse { payment_id: payment.payment_id.to_string(), cancelled_minor, balance_minor }
}
