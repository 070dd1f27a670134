//! Confirm: the buyer's payment is verified and captured.
//!
//! The intent is committed first, then the provider is asked, then its answer is
//! committed. Whoever finds the intent without an answer asks again with the same key.

use prost_types::Timestamp;
use saga_participant::{
    Intent, OperationError, OperationMeta, ProviderOperation, Refusal, Settled, Tx, Verdict,
};
use saga_proto::shop::payment::v1::{ConfirmRequest, ConfirmResponse};
use uuid::Uuid;

use crate::{
    Payments,
    limits::{check_amount, check_currency, check_order_no, check_provider, check_provider_key},
    payments::{
        self, NewPayment, Payment, Status,
        attempts::{self, Ended},
    },
    provider::{Asking, Charge, ConfirmAnswer, ConfirmRefusal},
    reason::{self, refusal},
};

/// What the provider is asked, whoever asks it and however often.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ConfirmPlan {
    /// The provider's key of the buyer's payment.
    #[prost(string, tag = "1")]
    pub provider_key: String,
    /// The order.
    #[prost(string, tag = "2")]
    pub order_no: String,
    /// The server's price, in minor units.
    #[prost(int64, tag = "3")]
    pub amount_minor: i64,
    /// Its currency.
    #[prost(string, tag = "4")]
    pub currency: String,
    /// When the confirm was intended, in milliseconds since the Unix epoch.
    #[prost(int64, tag = "5")]
    pub intended_at_ms: i64,
}

impl ProviderOperation<Payments> for ConfirmRequest {
    const KIND: &'static str = "Confirm";
    type Reply = ConfirmResponse;
    type Plan = ConfirmPlan;
    type Answer = ConfirmAnswer;

    async fn intend(
        &self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<Intent<ConfirmPlan, ConfirmResponse>, OperationError> {
        check_order_no("order_no", &self.order_no)?;
        check_provider("provider", &self.provider)?;
        check_provider_key("provider_key", &self.provider_key)?;
        check_amount("amount_minor", self.amount_minor)?;
        check_currency("currency", &self.currency)?;

        let payment_id = claim_payment(self, tx, op).await?;
        attempts::open(tx, op.op_id, payment_id, op.at_ms).await?;
        Ok(Intent::Call(ConfirmPlan {
            provider_key: self.provider_key.clone(),
            order_no: self.order_no.clone(),
            amount_minor: self.amount_minor,
            currency: self.currency.clone(),
            intended_at_ms: op.at_ms,
        }))
    }

    async fn call(
        plan: ConfirmPlan,
        service: &Payments,
        op: &OperationMeta,
    ) -> Settled<ConfirmAnswer> {
        let charge = Charge {
            provider_key: plan.provider_key,
            order_no: plan.order_no,
            amount_minor: plan.amount_minor,
            currency: plan.currency,
        };
        let asking = Asking {
            idempotency_key: op.op_id.to_string(),
            intended_at_ms: plan.intended_at_ms,
            now_ms: service.clock.now_ms(),
        };
        service.provider.confirm(&charge, &asking).await.into()
    }

    async fn record(
        self,
        answer: ConfirmAnswer,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<Verdict<ConfirmResponse>, OperationError> {
        let payment = intended_payment(tx, op.op_id).await?;
        match answer {
            ConfirmAnswer::Captured { approved_at_ms, balance_minor } => {
                let approved_at_ms = if approved_at_ms == 0 { op.at_ms } else { approved_at_ms };
                let balance_minor = balance_minor.clamp(0, payment.amount_minor);
                payments::complete(tx, &payment, balance_minor, approved_at_ms).await?;
                attempts::end(tx, op.op_id, Ended::Captured).await?;
                Ok(Verdict::Applied(ConfirmResponse {
                    payment_id: payment.payment_id.to_string(),
                    provider_key: self.provider_key,
                    amount_minor: payment.amount_minor,
                    approved_at: Some(timestamp(approved_at_ms)),
                }))
            }
            ConfirmAnswer::Refused(refused) => {
                let refusal = refusal_of(&self, refused);
                payments::fail(tx, payment.payment_id).await?;
                attempts::end(tx, op.op_id, Ended::Refused(&refusal.message)).await?;
                Ok(Verdict::Rejected(refusal))
            }
        }
    }
}

/// Reads what [`claim_payment`] wrote.
async fn intended_payment(tx: &mut Tx, op_id: Uuid) -> Result<Payment, OperationError> {
    let payment_id = attempts::payment_of(tx, op_id).await?.ok_or(sqlx::Error::RowNotFound)?;
    Ok(payments::by_id(tx, payment_id).await?.ok_or(sqlx::Error::RowNotFound)?)
}

/// Makes the payment this operation's, in the state CONFIRMING, and returns its id.
async fn claim_payment(
    request: &ConfirmRequest,
    tx: &mut Tx,
    op: &OperationMeta,
) -> Result<Uuid, OperationError> {
    refuse_used_key(request, tx).await?;
    if let Some(live) = payments::live(tx, &request.order_no).await? {
        return match live.status {
            Status::Prepared => {
                check_announced(request, &live)?;
                payments::begin_confirming(tx, live.payment_id, &request.provider_key).await?;
                Ok(live.payment_id)
            }
            Status::Confirming => Err(payments::in_progress()),
            _ => Err(already_used(&live)),
        };
    }
    let announced = payments::announced(tx, &request.order_no).await?;
    if let Some(announced) = &announced {
        check_announced(request, announced)?;
    }
    let payment_id = Uuid::new_v5(&op.op_id, b"payment");
    let new = NewPayment {
        payment_id,
        order_no: &request.order_no,
        provider: &request.provider,
        provider_key: Some(&request.provider_key),
        amount_minor: request.amount_minor,
        currency: &request.currency,
        announced_at_ms: announced.and_then(|it| it.announced_at_ms),
        created_at_ms: op.at_ms,
    };
    if payments::insert(tx, new).await? {
        return Ok(payment_id);
    }
    // Somebody was quicker, and his row could not be seen above.
    Err(payments::in_progress())
}

/// Refuses a provider's payment that settles another one (D7).
async fn refuse_used_key(request: &ConfirmRequest, tx: &mut Tx) -> Result<(), OperationError> {
    let ConfirmRequest { provider, provider_key, .. } = request;
    match payments::by_provider_key(tx, provider, provider_key).await? {
        None => Ok(()),
        Some(holder) if holder.status == Status::Confirming => Err(payments::in_progress()),
        Some(holder) => Err(already_used(&holder)),
    }
}

/// Compares with what was announced for the order (S4-2).
fn check_announced(request: &ConfirmRequest, announced: &Payment) -> Result<(), OperationError> {
    let ConfirmRequest { order_no, amount_minor, currency, .. } = request;
    if announced.amount_minor == *amount_minor && announced.currency == *currency {
        return Ok(());
    }
    let message = format!(
        "order {order_no} was announced with {} {}, not {amount_minor} {currency}",
        announced.amount_minor, announced.currency
    );
    Err(amount_mismatch(message, announced.amount_minor, *amount_minor).into())
}

fn amount_mismatch(message: String, expected_minor: i64, actual_minor: i64) -> Refusal {
    let metadata = vec![
        ("expected_minor", expected_minor.to_string()),
        ("actual_minor", actual_minor.to_string()),
    ];
    refusal(reason::AMOUNT_MISMATCH, message, metadata)
}

/// What a refusal of the provider is to our caller.
fn refusal_of(request: &ConfirmRequest, refused: ConfirmRefusal) -> Refusal {
    let ConfirmRequest { provider_key, order_no, amount_minor, .. } = request;
    match refused {
        ConfirmRefusal::Declined { code } => {
            let message = format!("the provider declined payment {provider_key}: {code}");
            refusal(reason::DECLINED, message, vec![("code", code)])
        }
        ConfirmRefusal::SessionExpired => {
            let message = format!("the buyer's time to pay with {provider_key} is over");
            refusal(reason::SESSION_EXPIRED, message, Vec::new())
        }
        ConfirmRefusal::AmountDiffers { actual_minor } => {
            let message = format!(
                "the buyer agreed to pay {actual_minor} with {provider_key}, not {amount_minor}"
            );
            amount_mismatch(message, *amount_minor, actual_minor)
        }
        ConfirmRefusal::UsedElsewhere { order_no: other } if other == *order_no => {
            let message = format!("order {other} is paid with another payment than {provider_key}");
            refusal(reason::PAYMENT_ALREADY_USED, message, vec![("order_no", other)])
        }
        ConfirmRefusal::UsedElsewhere { order_no: other } => {
            let message = format!("payment {provider_key} is for order {other}");
            refusal(reason::PAYMENT_ALREADY_USED, message, vec![("order_no", other)])
        }
    }
}

fn already_used(holder: &Payment) -> OperationError {
    let message =
        format!("payment {} of order {} is in the way", holder.payment_id, holder.order_no);
    let metadata =
        vec![("order_no", holder.order_no.clone()), ("payment_id", holder.payment_id.to_string())];
    refusal(reason::PAYMENT_ALREADY_USED, message, metadata).into()
}

fn timestamp(at_ms: i64) -> Timestamp {
    let nanos = i32::try_from(at_ms.rem_euclid(1000) * 1_000_000).unwrap_or(0);
    Timestamp { seconds: at_ms.div_euclid(1000), nanos }
}
