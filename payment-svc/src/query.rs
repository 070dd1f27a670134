//! GetPayment: what we know of a payment.

use saga_participant::{OperationError, Query, Tx};
use shop_proto::payment::v1::{
    GetPaymentRequest, GetPaymentResponse, PaymentStatus, get_payment_request,
};

use crate::{
    Payments,
    cancel::not_found,
    limits::{check_order_no, parse_payment_id},
    payments::{self, Status},
};

impl Query<Payments> for GetPaymentRequest {
    type Reply = GetPaymentResponse;

    async fn answer(self, tx: &mut Tx) -> Result<GetPaymentResponse, OperationError> {
        let found = match &self.payment {
            Some(get_payment_request::Payment::PaymentId(text)) => {
                payments::seen_by_id(tx, parse_payment_id("payment_id", text)?).await?
            }
            Some(get_payment_request::Payment::OrderNo(order_no)) => {
                check_order_no("order_no", order_no)?;
                payments::seen_by_order(tx, order_no).await?
            }
            None => {
                let remedy = "a payment_id or an order_no";
                return Err(OperationError::invalid("payment", "", remedy));
            }
        };
        let payment = found.ok_or_else(|| not_found("there is no such payment".to_owned()))?;
        let balance_minor = payment.balance_minor();
        Ok(GetPaymentResponse {
            payment_id: payment.payment_id.to_string(),
            order_no: payment.order_no,
            provider: payment.provider,
            provider_key: payment.provider_key.unwrap_or_default(),
            amount_minor: payment.amount_minor,
            balance_minor,
            status: shown(payment.status).into(),
            currency: payment.currency,
        })
    }
}

fn shown(status: Status) -> PaymentStatus {
    match status {
        Status::Prepared => PaymentStatus::Prepared,
        Status::Confirming => PaymentStatus::Confirming,
        Status::Completed => PaymentStatus::Completed,
        Status::Failed => PaymentStatus::Failed,
        Status::PartiallyCancelled => PaymentStatus::PartiallyCancelled,
        Status::Cancelled => PaymentStatus::Cancelled,
    }
}
