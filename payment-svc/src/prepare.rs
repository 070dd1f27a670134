//! Prepare: order and amount are fixed before the buyer pays (S4-1).

use saga_participant::{Operation, OperationError, OperationMeta, Tx};
use shop_proto::payment::v1::{PrepareRequest, PrepareResponse};
use uuid::Uuid;

use crate::{
    Payments,
    limits::{check_amount, check_currency, check_order_no, check_provider},
    payments::{self, NewPayment},
    reason::{self, refusal},
};

impl Operation<Payments> for PrepareRequest {
    const KIND: &'static str = "Prepare";
    type Reply = PrepareResponse;

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<PrepareResponse, OperationError> {
        check_order_no("order_no", &self.order_no)?;
        check_amount("amount_minor", self.amount_minor)?;
        let decimals = check_currency("currency", &self.currency)?;
        check_provider("provider", &self.provider)?;

        let payment_id = Uuid::new_v5(&op.op_id, b"payment");
        let new = NewPayment {
            payment_id,
            order_no: &self.order_no,
            provider: &self.provider,
            provider_key: None,
            amount_minor: self.amount_minor,
            currency: &self.currency,
            decimals,
            announced_at_ms: Some(op.at_ms),
            created_at_ms: op.at_ms,
        };
        if !payments::insert(tx, new).await? {
            let message = format!("order {} has a live payment", self.order_no);
            return Err(refusal(reason::PAYMENT_ALREADY_USED, message, Vec::new()).into());
        }
        Ok(PrepareResponse { payment_id: payment_id.to_string() })
    }
}
