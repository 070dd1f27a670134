//! Cancel: money goes back, all of it or an amount, judged by the balance.
//!
//! As the compensation of a Confirm or a Verify it relies on the kit: one that never came is
//! fenced, one that was refused needs no undoing, and one whose outcome is unknown is
//! settled at the provider first. So what comes here was captured, or is a [`stray`].

use saga_participant::{
    Intent, OperationError, OperationMeta, ProviderOperation, Refusal, Settled, Tx, Verdict,
    fields, operation::parse_op_id,
};
use shop_proto::payment::v1::{CancelRequest, CancelResponse, cancel_request};
use uuid::Uuid;

use crate::{
    Payments,
    clock::database_ms,
    limits::{REASON_CHARS_MAX, check_order_no},
    payments::{
        self, Payment, Status,
        cancels::{self, NewCancel},
    },
    provider::{CancelAnswer, CancelRefusal, Refund, decided},
    reason::{self, refusal},
};

mod stray;
mod target;
use stray::Stray;
use target::Target;

/// What the provider is told where the caller gives no reason; it insists on one.
const REASON_DEFAULT: &str = "cancelled by the shop";

/// What the provider is asked, whoever asks it and however often.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CancelPlan {
    /// The provider's key of the payment.
    #[prost(string, tag = "1")]
    pub provider_key: String,
    /// The order it was for. Of a stray: the order that it must be for, or empty.
    #[prost(string, tag = "2")]
    pub order_no: String,
    /// What we held when the cancel was intended, in minor units. Of a stray: 0.
    #[prost(int64, tag = "3")]
    pub balance_minor: i64,
    /// How much to give back, in minor units. Of a stray: 0, which is all of it.
    #[prost(int64, tag = "4")]
    pub amount_minor: i64,
    /// Why.
    #[prost(string, tag = "5")]
    pub reason: String,
    /// When the cancel was intended, in milliseconds since the Unix epoch.
    #[prost(int64, tag = "6")]
    pub intended_at_ms: i64,
    /// The provider.
    #[prost(string, tag = "7")]
    pub provider: String,
    /// Whether our tables do not know the payment.
    #[prost(bool, tag = "8")]
    pub is_stray: bool,
    /// Currency of the payment. Of a stray, and in plans of before there was one: empty.
    #[prost(string, tag = "9")]
    pub currency: String,
    /// With how many decimals the provider was told the payment's amount; in plans of before
    /// there was such a field, and of a stray: 0.
    #[prost(uint32, tag = "10")]
    pub decimals: u32,
}

/// What the provider said of a payment of ours, or of a stray.
#[derive(Clone, Debug)]
pub enum CancelOutcome {
    /// Of a payment of ours.
    Ours(CancelAnswer),
    /// Of a stray.
    Stray(Stray),
}

impl ProviderOperation<Payments> for CancelRequest {
    const KIND: &'static str = "Cancel";
    type Reply = CancelResponse;
    type Plan = CancelPlan;
    type Answer = CancelOutcome;

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
        if self.nothing_to_return {
            fields::within("amount_minor", self.amount_minor, 0..=0)?;
            return Ok(Intent::Answer(CancelResponse::default()));
        }
        if self.amount_minor < 0 {
            let remedy = "0 for the whole balance, or the amount to give back";
            return Err(OperationError::invalid("amount_minor", self.amount_minor, remedy));
        }
        if is_offer(self) && !target::is_well_named(self) {
            // What no provider can hold is not there to be given back.
            return Ok(Intent::Answer(CancelResponse::default()));
        }
        if !self.order_no.is_empty() {
            check_order_no("order_no", &self.order_no)?;
        }
        match target::find(self, tx).await? {
            Target::Ours(payment) => intend_ours(self, payment, tx, op).await,
            Target::Stray { provider_key, .. }
                if settles(tx, &self.order_no, provider_key).await? =>
            {
                Ok(Intent::Answer(CancelResponse::default()))
            }
            Target::Stray { provider, provider_key } => {
                stray::intend(self, provider, provider_key, tx, op).await.map(Intent::Call)
            }
        }
    }

    async fn call(
        plan: CancelPlan,
        service: &Payments,
        op: &OperationMeta,
    ) -> Settled<CancelOutcome> {
        let asking = service.asking(op, plan.intended_at_ms).await;
        let provider = match service.provider(&plan.provider) {
            Ok(provider) => provider.as_ref(),
            // The shop never had a payment by it, so this is none.
            Err(_) if plan.is_stray && service.never_asked(&plan.provider, op).await => {
                return Settled::Definite(CancelOutcome::Stray(Stray::Absent));
            }
            Err(unconfigured) => return unconfigured,
        };
        if plan.is_stray {
            return stray::give_back(plan, provider, &asking).await;
        }
        match decided(provider.cancel(&plan.into(), &asking).await) {
            Ok(answer) => Settled::Definite(CancelOutcome::Ours(answer)),
            Err(undecided) => undecided,
        }
    }

    async fn record(
        self,
        outcome: CancelOutcome,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<Verdict<CancelResponse>, OperationError> {
        match outcome {
            CancelOutcome::Ours(answer) => record_ours(answer, tx, op).await,
            CancelOutcome::Stray(stray) => stray::record(&self, stray, tx, op).await,
        }
    }
}

impl From<CancelPlan> for Refund {
    fn from(plan: CancelPlan) -> Self {
        let CancelPlan { provider_key, order_no, balance_minor, amount_minor, .. } = plan;
        let CancelPlan { reason, currency, decimals, .. } = plan;
        Self { provider_key, order_no, balance_minor, amount_minor, currency, decimals, reason }
    }
}

/// Whether the caller gives back what was offered for an order and names no settling. Who names
/// a payment as clients do, by the provider's key, and no order, has been told of none.
fn is_offer(request: &CancelRequest) -> bool {
    let is_by_key = matches!(&request.payment, Some(cancel_request::Payment::ProviderKey(_)));
    let is_for_an_order = !request.order_no.is_empty() || is_by_key && !request.any_order;
    is_for_an_order && request.reverses_op_id.is_empty()
}

/// Whether the order is settled with a payment that has this key, by whichever provider: two
/// names of one contract may show the same payment.
async fn settles(tx: &mut Tx, order_no: &str, provider_key: &str) -> Result<bool, sqlx::Error> {
    if order_no.is_empty() {
        return Ok(false);
    }
    let live = payments::live(tx, order_no).await?;
    Ok(live.is_some_and(|it| it.provider_key.as_deref() == Some(provider_key)))
}

async fn intend_ours(
    request: &CancelRequest,
    payment: Payment,
    tx: &mut Tx,
    op: &OperationMeta,
) -> Result<Intent<CancelPlan, CancelResponse>, OperationError> {
    let balance_minor = payment.balance_minor();
    if !request.order_no.is_empty() && request.order_no != payment.order_no {
        return Ok(Intent::Answer(CancelResponse::default()));
    }
    match payment.status {
        Status::Confirming => return Err(payments::in_progress()),
        Status::Prepared | Status::Failed if request.order_no.is_empty() => {
            return Err(not_captured(&payment.payment_id.to_string()).into());
        }
        Status::Prepared | Status::Failed => {
            return Ok(Intent::Answer(CancelResponse::default()));
        }
        Status::Cancelled if request.amount_minor == 0 => {
            return Ok(Intent::Answer(reply(&payment, 0, 0)));
        }
        // It settles the order: only who undoes the settling, or cancels the order, may.
        Status::Completed | Status::PartiallyCancelled if is_offer(request) => {
            return Ok(Intent::Answer(CancelResponse::default()));
        }
        Status::Cancelled | Status::Completed | Status::PartiallyCancelled => {}
    }
    if balance_minor < request.amount_minor {
        return Err(refusal_of_amount(&payment, request.amount_minor, balance_minor).into());
    }
    let amount_minor = match request.amount_minor {
        0 => balance_minor,
        some => some,
    };
    let reason = reason_of(request);
    let new = NewCancel {
        op_id: op.op_id,
        payment_id: payment.payment_id,
        amount_minor,
        reason: &reason,
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
        reason,
        intended_at_ms: database_ms(tx).await?,
        provider: payment.provider,
        is_stray: false,
        currency: payment.currency,
        decimals: payment.decimals,
    }))
}

async fn record_ours(
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
            Ok(Verdict::Rejected(not_cancelable(&payment_id.to_string(), code)))
        }
        CancelAnswer::Refused(CancelRefusal::MoreThanBalance { balance_minor }) => {
            cancels::refused(tx, op.op_id, reason::AMOUNT_EXCEEDS_BALANCE).await?;
            Ok(Verdict::Rejected(refusal_of_amount(&payment, amount_minor, balance_minor)))
        }
    }
}

/// A text for people is made fit for the provider; money does not wait for it.
fn reason_of(request: &CancelRequest) -> String {
    match fields::fit(&request.reason, REASON_CHARS_MAX).trim() {
        "" => REASON_DEFAULT.to_owned(),
        reason => reason.to_owned(),
    }
}

pub(crate) fn not_found(message: String) -> OperationError {
    refusal(reason::PAYMENT_NOT_FOUND, message, Vec::new()).into()
}

fn not_cancelable(payment: &str, code: String) -> Refusal {
    let message = format!("the provider does not cancel payment {payment}: {code}");
    refusal(reason::NOT_CANCELABLE, message, vec![("code", code)])
}

fn not_captured(payment: &str) -> Refusal {
    let message = format!("payment {payment} was not captured: there is nothing to give back");
    let metadata = vec![("code", "NOT_CAPTURED".to_owned())];
    refusal(reason::NOT_CANCELABLE, message, metadata)
}

fn refusal_of_amount(payment: &Payment, amount_minor: i64, balance_minor: i64) -> Refusal {
    let Payment { payment_id, .. } = payment;
    let message =
        format!("payment {payment_id} has a balance of {balance_minor}, not {amount_minor}");
    let metadata = vec![("balance_minor", balance_minor.to_string())];
    refusal(reason::AMOUNT_EXCEEDS_BALANCE, message, metadata)
}

fn reply(payment: &Payment, cancelled_minor: i64, balance_minor: i64) -> CancelResponse {
    CancelResponse { payment_id: payment.payment_id.to_string(), cancelled_minor, balance_minor }
}
