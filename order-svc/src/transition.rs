//! `Transition`: changes of status of a whole order.

use saga_participant::{
    Operation, OperationError, OperationMeta, Refusal, RefusalCode, Tx, fields,
    operation::parse_op_id,
};
use shop_proto::order::v1::{
    DeliveryState, LineState, OrderStatus, Settling, TransitionRequest, TransitionResponse,
};
use uuid::Uuid;

use crate::{
    Orders,
    coupon::{self, Cancelled},
    delivery,
    history::{self, Change, Head, lost_race, status_of},
    limits::{check_customer, check_payment},
    line::{self, Line},
    order::{self, Hold, Order, check_order_no},
};

const REASON_CHARS_MAX: usize = 500;

impl Operation<Orders> for TransitionRequest {
    const KIND: &'static str = "Transition";
    type Reply = TransitionResponse;

    fn reverses(&self) -> Result<Option<Uuid>, OperationError> {
        if self.reverses_op_id.is_empty() {
            return Ok(None);
        }
        parse_op_id("reverses_op_id", &self.reverses_op_id).map(Some)
    }

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<TransitionResponse, OperationError> {
        let to = checked(&self)?;
        // The payment is written into the row that the others hold.
        let writes = to == OrderStatus::PaymentSuccess || self.settling.is_some();
        let hold = if writes { Hold::All } else { Hold::Lines };
        let mut order = Order::hold(tx, &self.order_no, hold).await?;
        if !self.customer_id.is_empty() {
            order.check_owner(&self.customer_id)?;
        }
        let reason = fields::fit(&self.reason, REASON_CHARS_MAX);
        let change = Change { to, line_no: None, reason: &reason };
        let head = history::read_head(tx, &order.order_no, change).await?;
        if let Some(settling) = &self.settling {
            check_other_payment(&order, &head, settling)?;
        }
        check_head(&self, &head)?;
        let mut lines = line::read(tx, &order.order_no).await?;
        // Where the step is illegal as well, that is the better answer.
        if head.allows
            && let Some(line) = lines.iter().find(|it| it.is(LineState::Canceling))
        {
            return Err(line_canceling(&order.order_no, line));
        }
        let status_id = history::follow(tx, op, &order.order_no, &head, change).await?;
        if let Some(settling) = &self.settling {
            order::begin_settling(tx, &order.order_no, settling).await?;
        }
        match to {
            OrderStatus::PaymentSuccess => order.settle(tx, &self.payment_id).await?,
            OrderStatus::DeliveryPreparation => {
                delivery::begin(tx, &order.order_no, status_id).await?;
            }
            OrderStatus::Delivered => {
                delivery::end(tx, &order.order_no, DeliveryState::Delivered).await?;
            }
            // It is never settled any more.
            OrderStatus::PaymentOutOfStock
            | OrderStatus::PaymentReturned
            | OrderStatus::PaymentWithdrawn => {
                coupon::give_back(tx, &order.order_no, Cancelled::Order).await?;
            }
            OrderStatus::Canceled => {
                line::cancel_all(tx, &order.order_no, op.op_id).await?;
                coupon::give_back(tx, &order.order_no, Cancelled::Order).await?;
                delivery::end(tx, &order.order_no, DeliveryState::Canceled).await?;
                lines = line::read(tx, &order.order_no).await?;
            }
            _ => {}
        }
        Ok(reply(order, &lines, status_id, &head))
    }
}

/// Checks every field; returns the wanted status.
fn checked(request: &TransitionRequest) -> Result<OrderStatus, OperationError> {
    fields::refuse(check_order_no(&request.order_no))?;
    let to = match OrderStatus::try_from(request.to) {
        Ok(to) if to != OrderStatus::Unspecified => to,
        _ => return Err(OperationError::invalid("to", request.to, "a status of orders")),
    };
    if to == OrderStatus::PaymentSuccess {
        fields::text("payment_id", &request.payment_id, 1..=64)?;
    } else if !request.payment_id.is_empty() {
        let remedy = "empty, but for PAYMENT_SUCCESS";
        return Err(OperationError::invalid("payment_id", &request.payment_id, remedy));
    }
    // What customers ask for, they ask for by name: an empty field would make everybody the shop.
    let of_customers = matches!(
        to,
        OrderStatus::CancelRequested | OrderStatus::RefundRequested | OrderStatus::PaymentWithdrawn
    );
    if of_customers {
        fields::refuse(check_customer(&request.customer_id))?;
    }
    if let Some(Settling { provider, provider_key }) = &request.settling {
        if to != OrderStatus::PaymentConfirm {
            return Err(OperationError::invalid("to", to.as_str_name(), "PAYMENT_CONFIRM"));
        }
        fields::refuse(check_customer(&request.customer_id))?;
        fields::refuse(check_payment("", provider, provider_key))?;
    }
    Ok(to)
}

/// Whoever names the order's own payment again is told so: it is no money that came in vain.
fn check_other_payment(
    order: &Order,
    head: &Head,
    settling: &Settling,
) -> Result<(), OperationError> {
    let is_same = order.settling.as_ref() == Some(settling);
    let is_in_use = head.status == "PAYMENT_CONFIRM" || !order.payment_id.is_empty();
    if head.allows || !is_same || !is_in_use {
        return Ok(());
    }
    let Order { order_no, .. } = order;
    Err(OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason: "SAME_PAYMENT",
        message: format!("order {order_no} is {} with this very payment", head.status),
        metadata: vec![("from", head.status.clone()), ("order_no", order_no.clone())],
    }))
}

/// Refuses where the caller saw another head, or would undo another change than the newest.
fn check_head(request: &TransitionRequest, head: &Head) -> Result<(), OperationError> {
    let is_expected = request.expected_head == 0 || request.expected_head == head.id;
    let is_own = request.reverses()?.is_none_or(|original| original == head.op_id);
    if is_expected && is_own { Ok(()) } else { Err(lost_race(&request.order_no, head)) }
}

fn reply(order: Order, lines: &[Line], status_id: i64, before: &Head) -> TransitionResponse {
    TransitionResponse {
        status_id,
        from: status_of(&before.status).into(),
        order_no: order.order_no,
        customer_id: order.customer_id,
        payment_id: order.payment_id,
        currency: order.currency,
        total_minor: order.total_minor,
        balance_minor: line::balance_minor(lines),
        active_lines: line::active(lines),
        credits: line::credits(lines),
        credit_account: order.credit_account,
        goods_minor: line::goods_minor(lines),
    }
}

fn line_canceling(order_no: &str, line: &Line) -> OperationError {
    let line_no = line.line_no;
    OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason: "LINE_CANCELING",
        message: format!("line {line_no} of order {order_no} is being cancelled"),
        metadata: vec![("line_no", line_no.to_string())],
    })
}
