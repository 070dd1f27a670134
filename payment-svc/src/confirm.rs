//! Confirm: the buyer's payment is verified and captured.

use saga_participant::{
    Intent, OperationError, OperationMeta, ProviderOperation, Settled, Tx, Verdict,
};
use shop_proto::payment::v1::{ConfirmRequest, ConfirmResponse};

use crate::{
    Payments,
    charge::{self, ChargePlan, is_refused, not_taken, refusal_of},
    provider::ConfirmAnswer,
};

impl ProviderOperation<Payments> for ConfirmRequest {
    const KIND: &'static str = "Confirm";
    type Reply = ConfirmResponse;
    type Plan = ChargePlan;
    type Answer = ConfirmAnswer;

    async fn intend(
        &self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<Intent<ChargePlan, ConfirmResponse>, OperationError> {
        charge::intend(self.into(), tx, op).await.map(Intent::Call)
    }

    async fn call(
        plan: ChargePlan,
        service: &Payments,
        op: &OperationMeta,
    ) -> Settled<ConfirmAnswer> {
        let asking = service.asking(op, plan.intended_at_ms).await;
        match service.provider(&plan.provider) {
            Ok(provider) if is_refused(provider.as_ref(), &plan, op) => not_taken(),
            Ok(provider) => provider.confirm(&plan.into(), &asking).await,
            Err(gap) => charge::unconfigured(&plan, service, op, gap).await,
        }
    }

    async fn record(
        self,
        answer: ConfirmAnswer,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<Verdict<ConfirmResponse>, OperationError> {
        Ok(match charge::record((&self).into(), answer, refusal_of, tx, op).await? {
            Ok(charged) => Verdict::Applied(ConfirmResponse {
                payment_id: charged.payment_id.to_string(),
                provider_key: self.provider_key,
                amount_minor: charged.amount_minor,
                approved_at: Some(charged.approved_at),
            }),
            Err(refusal) => Verdict::Rejected(refusal),
        })
    }
}
