//! `AcceptOrder` and `WithdrawOrder`: what a customer says is checked, and the order's number
//! is taken, before anything else is asked for the order. So a wrong word costs nobody
//! anything, and nobody comes between the buyer and his number.

use saga_participant::{
    Arg, Operation, OperationError, OperationMeta, Refusal, RefusalCode, Tx, fields,
    operation::parse_op_id,
};
use shop_proto::order::v1::{
    AcceptOrderRequest, AcceptOrderResponse, OrderLine, PaymentInput, Settling,
    WithdrawOrderRequest, WithdrawOrderResponse,
};
use uuid::Uuid;

use crate::{
    Orders,
    coupon::{self, Wish},
    limits::{
        CREDITS_MAX, LINES_MAX, QTY_MAX, TOTAL_MINOR_MAX, check_account, check_customer,
        check_payment,
    },
    order::check_order_no,
    place::duplicate,
};

impl Operation<Orders> for AcceptOrderRequest {
    const KIND: &'static str = "AcceptOrder";
    type Reply = AcceptOrderResponse;

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<AcceptOrderResponse, OperationError> {
        fields::refuse(check(&self))?;
        let payment = self.payment.as_ref();
        let taken = tx
            .execute(
                "/* claim_order_no */
                insert into order_claims
                    (order_no, accept_op_id, claimed_at_ms, provider, provider_key)
                select $1, $2, $3, $4, $5
                where not exists (select 1 from orders where order_no = $1)
                on conflict do nothing",
                &[
                    Arg::Text(&self.order_no),
                    Arg::Uuid(op.op_id),
                    Arg::Int(op.at_ms),
                    payment.map(|it| &*it.provider).into(),
                    payment.map(|it| &*it.provider_key).into(),
                ],
            )
            .await?;
        if taken == 0 {
            return Err(taken_before(tx, &self).await?);
        }
        // Behind the number: where an order has it, that is what is told.
        let Self { customer_id, currency, lines, coupon_ids, .. } = &self;
        let wish = Wish { customer_id, currency, lines, now_ms: op.at_ms };
        coupon::check_usable(tx, &wish, coupon_ids).await?;
        let Self { order_no, customer_id, credit_account, .. } = self;
        let is_own = credit_account.is_empty();
        let credit_account = if is_own { customer_id.clone() } else { credit_account };
        Ok(AcceptOrderResponse { order_no, customer_id, credit_account })
    }
}

impl Operation<Orders> for WithdrawOrderRequest {
    const KIND: &'static str = "WithdrawOrder";
    type Reply = WithdrawOrderResponse;

    fn reverses(&self) -> Result<Option<Uuid>, OperationError> {
        parse_op_id("accept_op_id", &self.accept_op_id).map(Some)
    }

    async fn apply(
        self,
        tx: &mut Tx,
        _: &OperationMeta,
    ) -> Result<WithdrawOrderResponse, OperationError> {
        let accept_op_id = parse_op_id("accept_op_id", &self.accept_op_id)?;
        let row = tx
            .row(
                "/* withdraw_order_no */
                delete from order_claims where accept_op_id = $1 returning order_no",
                &[Arg::Uuid(accept_op_id)],
            )
            .await?;
        let order_no = row.map(|it| it.text(0)).transpose()?.unwrap_or_default();
        Ok(WithdrawOrderResponse { order_no })
    }
}

/// Why the number is not to be had. Whoever names the payment that the other one named is
/// told so: that is no money which came in vain.
async fn taken_before(
    tx: &mut Tx,
    said: &AcceptOrderRequest,
) -> Result<OperationError, OperationError> {
    let row = tx
        .row(
            "/* taken_before */
            select provider, provider_key from order_claims where order_no = $1
            union all
            select settling_provider, settling_key
            from orders join order_heads using (order_no)
            where order_no = $1 and (payment_id is not null or status = 'PAYMENT_CONFIRM')",
            &[Arg::Text(&said.order_no)],
        )
        .await?;
    let Some(row) = row else { return Ok(duplicate(&said.order_no)) };
    let named = (row.optional_text(0)?, row.optional_text(1)?);
    let ours = said.payment.as_ref().map(|it| (&*it.provider, &*it.provider_key));
    let is_same = named.0.as_deref().zip(named.1.as_deref()).is_some_and(|it| Some(it) == ours);
    Ok(if is_same { same_payment(&said.order_no) } else { duplicate(&said.order_no) })
}

/// Ends the claim of an order that is about to be there, and tells the payment that was
/// named with it. Refused where the number is taken by another operation.
pub(crate) async fn give_up(
    tx: &mut Tx,
    order_no: &str,
    accept_op_id: &str,
) -> Result<Option<Settling>, OperationError> {
    let mut named = None;
    if !accept_op_id.is_empty() {
        let accept_op_id = parse_op_id("accept_op_id", accept_op_id)?;
        let row = tx
            .row(
                "/* give_up_order_no */
                delete from order_claims where order_no = $1 and accept_op_id = $2
                returning provider, provider_key",
                &[Arg::Text(order_no), Arg::Uuid(accept_op_id)],
            )
            .await?;
        if let Some(row) = row {
            let payment = row.optional_text(0)?.zip(row.optional_text(1)?);
            named = payment.map(|(provider, provider_key)| Settling { provider, provider_key });
        }
    }
    let sql = "/* find_claim */ select order_no from order_claims where order_no = $1";
    match tx.row(sql, &[Arg::Text(order_no)]).await? {
        None => Ok(named),
        Some(_) => Err(duplicate(order_no)),
    }
}

fn same_payment(order_no: &str) -> OperationError {
    OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason: "SAME_PAYMENT",
        message: format!("order {order_no} is placed with this very payment"),
        metadata: vec![("order_no", order_no.to_owned())],
    })
}

fn check(said: &AcceptOrderRequest) -> Result<(), OperationError> {
    check_order_no(&said.order_no)?;
    check_customer(&said.customer_id)?;
    check_account(&said.credit_account)?;
    fields::within("lines", said.lines.len(), 1..=LINES_MAX)?;
    for (index, line) in said.lines.iter().enumerate() {
        check_line(index, line)?;
    }
    if !said.currency.is_empty() {
        fields::currency("currency", &said.currency)?;
    }
    check_no_discount("discount_minor", said.discount_minor)?;
    coupon::check_ids(&said.coupon_ids)?;
    let Some(PaymentInput { provider, provider_key, amount_minor }) = &said.payment else {
        return Ok(());
    };
    check_payment("payment.", provider, provider_key)?;
    fields::within("payment.amount_minor", *amount_minor, 0..=TOTAL_MINOR_MAX)
}

fn check_line(index: usize, line: &OrderLine) -> Result<(), OperationError> {
    let field = |name: &str| format!("lines[{index}].{name}");
    fields::text(&field("item_id"), &line.item_id, 1..=64)?;
    fields::within(&field("qty"), line.qty, 1..=QTY_MAX)?;
    fields::within(&field("price_minor"), line.price_minor, 0..=TOTAL_MINOR_MAX)?;
    fields::within(&field("credits"), line.credits, 0..=CREDITS_MAX)?;
    check_no_discount(&field("discount_minor"), line.discount_minor)
}

fn check_no_discount(field: &str, discount_minor: i64) -> Result<(), OperationError> {
    if discount_minor == 0 {
        return Ok(());
    }
    Err(OperationError::invalid(field, discount_minor, "0: a customer gives no discounts"))
}
