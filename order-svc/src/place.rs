//! New orders: `InsertOrder` (paid) and `CreatePending` (not yet).

use saga_participant::{
    Arg, Operation, OperationError, OperationMeta, Refusal, RefusalCode, Tx, fields,
};
use shop_proto::order::v1::{
    CreatePendingRequest, CreatePendingResponse, InsertOrderRequest, InsertOrderResponse,
    OrderLine, OrderStatus,
};
use uuid::Uuid;

use crate::{
    Orders, accept, history,
    limits::{CREDITS_MAX, LINES_MAX, QTY_MAX, TOTAL_MINOR_MAX, check_account, check_customer},
    line,
    order::{self, check_order_no},
};

impl Operation<Orders> for InsertOrderRequest {
    const KIND: &'static str = "InsertOrder";
    type Reply = InsertOrderResponse;

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<InsertOrderResponse, OperationError> {
        match self.paid_minor {
            // A coupon covers all of it.
            0 if self.payment_id.is_empty() => {}
            _ => fields::text("payment_id", &self.payment_id, 1..=64)?,
        }
        let order = NewOrder {
            order_no: self.order_no,
            customer_id: self.customer_id,
            currency: self.currency,
            lines: self.lines,
            payment_id: Some(self.payment_id).filter(|it| !it.is_empty()),
            credit_account: self.credit_account,
        };
        let total_minor = fields::refuse(order.checked_total_minor())?;
        if total_minor != self.paid_minor {
            return Err(total_mismatch(&order.order_no, total_minor, self.paid_minor));
        }
        let named = accept::give_up(tx, &order.order_no, &self.accept_op_id).await?;
        let status_id = order.insert(tx, op, total_minor, OrderStatus::PaymentSuccess).await?;
        if let Some(settling) = named {
            order::begin_settling(tx, &order.order_no, &settling).await?;
        }
        let credits = order.credits();
        Ok(InsertOrderResponse { order_no: order.order_no, status_id, total_minor, credits })
    }
}

impl Operation<Orders> for CreatePendingRequest {
    const KIND: &'static str = "CreatePending";
    type Reply = CreatePendingResponse;

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<CreatePendingResponse, OperationError> {
        let order_no = if self.order_no.is_empty() { new_order_no() } else { self.order_no };
        let order = NewOrder {
            order_no,
            customer_id: self.customer_id,
            currency: self.currency,
            lines: self.lines,
            payment_id: None,
            credit_account: self.credit_account,
        };
        let total_minor = fields::refuse(order.checked_total_minor())?;
        if total_minor == 0 {
            return Err(nothing_to_pay(&order.order_no));
        }
        accept::give_up(tx, &order.order_no, &self.accept_op_id).await?;
        let status_id = order.insert(tx, op, total_minor, OrderStatus::PaymentPending).await?;
        Ok(CreatePendingResponse { order_no: order.order_no, total_minor, status_id })
    }
}

/// 32 hexadecimal digits, 74 bits of them random. Six random digits meet in a thousand
/// orders (D4).
fn new_order_no() -> String {
    Uuid::now_v7().simple().to_string()
}

/// An order that is to be inserted.
struct NewOrder {
    order_no: String,
    customer_id: String,
    currency: String,
    lines: Vec<OrderLine>,
    payment_id: Option<String>,
    /// Empty where the lines grant no credit.
    credit_account: String,
}

impl NewOrder {
    /// Checks every field; returns the sum of the lines.
    fn checked_total_minor(&self) -> Result<i64, OperationError> {
        check_order_no(&self.order_no)?;
        check_customer(&self.customer_id)?;
        fields::currency("currency", &self.currency)?;
        let total_minor = checked_lines_minor(&self.lines)?;
        check_account(&self.credit_account)?;
        fields::within("credits of all lines", self.credits(), 0..=CREDITS_MAX)?;
        if self.credit_account.is_empty() && self.credits() != 0 {
            let remedy = "from 1 to 64 characters: the lines grant credit";
            return Err(OperationError::invalid("credit_account", "", remedy));
        }
        Ok(total_minor)
    }

    fn credits(&self) -> i64 {
        self.lines.iter().map(|it| it.credits).sum()
    }

    /// Inserts order, lines and first status; returns the id of the status.
    async fn insert(
        &self,
        tx: &mut Tx,
        op: &OperationMeta,
        total_minor: i64,
        status: OrderStatus,
    ) -> Result<i64, OperationError> {
        let inserted = tx
            .execute(
                "/* insert_order */
                insert into orders (order_no, customer_id, currency, total_minor, payment_id,
                    credit_account, placed_by, placed_at_ms)
                values ($1, $2, $3, $4, $5, $6, $7, $8)
                on conflict do nothing",
                &[
                    Arg::Text(&self.order_no),
                    Arg::Text(&self.customer_id),
                    Arg::Text(&self.currency),
                    Arg::Int(total_minor),
                    self.payment_id.as_deref().into(),
                    Some(&*self.credit_account).filter(|it| !it.is_empty()).into(),
                    Arg::Uuid(op.op_id),
                    Arg::Int(op.at_ms),
                ],
            )
            .await?;
        if inserted == 0 {
            return Err(duplicate(&self.order_no));
        }
        line::insert(tx, &self.order_no, &self.lines).await?;
        history::insert_first(tx, op, &self.order_no, status).await
    }
}

/// Checks every field of the lines; returns what they cost together.
pub(crate) fn checked_lines_minor(lines: &[OrderLine]) -> Result<i64, OperationError> {
    fields::within("lines", lines.len(), 1..=LINES_MAX)?;
    let mut total_minor = 0_i64;
    for (index, line) in lines.iter().enumerate() {
        // 2,000 lines of at most a thousand million each.
        total_minor += checked_line_minor(index, line)?;
    }
    fields::within("total of all lines", total_minor, 0..=TOTAL_MINOR_MAX)?;
    Ok(total_minor)
}

/// Price times quantity, less the discount (S1-7).
fn checked_line_minor(index: usize, line: &OrderLine) -> Result<i64, OperationError> {
    let field = |name: &str| format!("lines[{index}].{name}");
    fields::text(&field("item_id"), &line.item_id, 1..=64)?;
    fields::within(&field("qty"), line.qty, 1..=QTY_MAX)?;
    fields::within(&field("price_minor"), line.price_minor, 0..=TOTAL_MINOR_MAX)?;
    // A million times a thousand million.
    let gross_minor = line.price_minor * line.qty;
    fields::within(&format!("cost of lines[{index}]"), gross_minor, 0..=TOTAL_MINOR_MAX)?;
    fields::within(&field("discount_minor"), line.discount_minor, 0..=gross_minor)?;
    fields::within(&field("credits"), line.credits, 0..=CREDITS_MAX)?;
    Ok(gross_minor - line.discount_minor)
}

fn total_mismatch(order_no: &str, total_minor: i64, paid_minor: i64) -> OperationError {
    OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason: "TOTAL_MISMATCH",
        message: format!(
            "the lines of order {order_no} add up to {total_minor}, paid was {paid_minor}"
        ),
        metadata: vec![
            ("order_no", order_no.to_owned()),
            ("total_minor", total_minor.to_string()),
            ("paid_minor", paid_minor.to_string()),
        ],
    })
}

fn nothing_to_pay(order_no: &str) -> OperationError {
    OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason: "NOTHING_TO_PAY",
        message: format!("the lines of order {order_no} cost nothing"),
        metadata: vec![("order_no", order_no.to_owned())],
    })
}

pub(crate) fn duplicate(order_no: &str) -> OperationError {
    OperationError::Rejected(Refusal {
        code: RefusalCode::AlreadyExists,
        reason: "DUPLICATE_ORDER_NO",
        message: format!("order {order_no} is another operation's"),
        metadata: vec![("order_no", order_no.to_owned())],
    })
}
