//! Verify: the buyer has paid before the shop is asked; the provider is asked whether.

use saga_participant::{
    Intent, OperationError, OperationMeta, ProviderOperation, Refusal, Settled, Tx, Verdict,
};
use shop_proto::payment::v1::{VerifyRequest, VerifyResponse};

use crate::{
    Payments,
    charge::{self, ChargePlan, Purchase, is_refused, not_taken},
    provider::{self, ConfirmAnswer, ConfirmRefusal},
    reason::{self, refusal},
};

impl ProviderOperation<Payments> for VerifyRequest {
    const KIND: &'static str = "Verify";
    type Reply = VerifyResponse;
    type Plan = ChargePlan;
    type Answer = ConfirmAnswer;

    async fn intend(
        &self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<Intent<ChargePlan, VerifyResponse>, OperationError> {
        charge::intend(self.into(), tx, op).await.map(Intent::Call)
    }

    async fn call(
        plan: ChargePlan,
        service: &Payments,
        op: &OperationMeta,
    ) -> Settled<ConfirmAnswer> {
        match service.provider(&plan.provider) {
            Ok(provider) if is_refused(provider.as_ref(), &plan, op) => not_taken(),
            Ok(provider) => provider::verify(provider.as_ref(), &plan.into()).await,
            Err(gap) => charge::unconfigured(&plan, service, op, gap).await,
        }
    }

    async fn record(
        self,
        answer: ConfirmAnswer,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<Verdict<VerifyResponse>, OperationError> {
        Ok(match charge::record((&self).into(), answer, refusal_of, tx, op).await? {
            Ok(charged) => Verdict::Applied(VerifyResponse {
                payment_id: charged.payment_id.to_string(),
                provider_key: self.provider_key,
                amount_minor: charged.amount_minor,
                approved_at: Some(charged.approved_at),
            }),
            Err(refusal) => Verdict::Rejected(refusal),
        })
    }
}

/// Nothing of ours used the payment, so one for another order is only named wrongly.
fn refusal_of(purchase: &Purchase<'_>, refused: ConfirmRefusal) -> Refusal {
    match refused {
        ConfirmRefusal::UsedElsewhere { order_no: other } => {
            let Purchase { provider_key, order_no, .. } = *purchase;
            let message = format!("payment {provider_key} is for order {other}, not {order_no}");
            refusal(reason::ORDER_MISMATCH, message, vec![("order_no", other)])
        }
        other => charge::refusal_of(purchase, other),
    }
}
