//! The cancel of one line: begun, then finished or taken back.
//!
//! While a line is CANCELING its money is on the way back, so the order as a whole stands
//! still: no status is appended but by the cancel of a line.

use saga_participant::{
    Arg, Operation, OperationError, OperationMeta, Refusal, RefusalCode, Tx, fields,
    operation::parse_op_id,
};
use shop_proto::order::v1::{
    CancelLineRequest, CancelLineResponse, DeliveryState, FinishCancelLineRequest,
    FinishCancelLineResponse, LineState, OrderStatus, RestoreLineRequest, RestoreLineResponse,
};
use uuid::Uuid;

use crate::{
    Orders,
    coupon::{self, Cancelled},
    delivery,
    history::{self, Change, illegal},
    limits::{LINES_MAX, check_customer},
    line::{self, Line, Move, state_text},
    order::{Hold, Order, check_order_no},
};

impl Operation<Orders> for CancelLineRequest {
    const KIND: &'static str = "CancelLine";
    type Reply = CancelLineResponse;

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<CancelLineResponse, OperationError> {
        fields::refuse(check_order_no(&self.order_no))?;
        let line_no_max = i64::try_from(LINES_MAX).unwrap_or(i64::MAX);
        fields::refuse(fields::within("line_no", self.line_no, 1..=line_no_max))?;
        fields::refuse(check_customer(&self.customer_id))?;
        let order = Order::hold(tx, &self.order_no, Hold::All).await?;
        order.check_owner(&self.customer_id)?;
        let to = OrderStatus::PartiallyCanceled;
        let change = Change { to, line_no: Some(self.line_no), reason: "" };
        let head = history::read_head(tx, &order.order_no, change).await?;
        if !head.allows {
            return Err(illegal(&order.order_no, &head, to));
        }
        let lines = line::read(tx, &order.order_no).await?;
        let line = cancelable(&order.order_no, &lines, self.line_no)?;
        let cancel_op_id = Some(op.op_id);
        let to = Move { line_no: line.line_no, state: LineState::Canceling, cancel_op_id };
        line::change(tx, &order.order_no, &to).await?;
        Ok(CancelLineResponse {
            line_no: line.line_no,
            item_id: line.ordered.item_id.clone(),
            qty: line.ordered.qty,
            refund_minor: line.cost_minor(),
            credits: line.ordered.credits,
            remaining_lines: count(&lines, |it| it.is(LineState::Active)) - 1,
            order_no: order.order_no,
            currency: order.currency,
            payment_id: order.payment_id,
            credit_account: order.credit_account,
        })
    }
}

impl Operation<Orders> for RestoreLineRequest {
    const KIND: &'static str = "RestoreLine";
    type Reply = RestoreLineResponse;

    fn reverses(&self) -> Result<Option<Uuid>, OperationError> {
        parse_op_id("cancel_op_id", &self.cancel_op_id).map(Some)
    }

    async fn apply(
        self,
        tx: &mut Tx,
        _: &OperationMeta,
    ) -> Result<RestoreLineResponse, OperationError> {
        let Begun { order, line_no, .. } = Begun::read(tx, &self.cancel_op_id).await?;
        let to = Move { line_no, state: LineState::Active, cancel_op_id: None };
        line::change(tx, &order.order_no, &to).await?;
        Ok(RestoreLineResponse { order_no: order.order_no, line_no })
    }
}

impl Operation<Orders> for FinishCancelLineRequest {
    const KIND: &'static str = "FinishCancelLine";
    type Reply = FinishCancelLineResponse;

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<FinishCancelLineResponse, OperationError> {
        let Begun { order, line_no, lines, cancel_op_id } =
            Begun::read(tx, &self.cancel_op_id).await?;
        let is_last = count(&lines, |it| !it.is(LineState::Canceled)) == 1;
        let status = if is_last { OrderStatus::Canceled } else { OrderStatus::PartiallyCanceled };
        let reason = format!("line {line_no}");
        let change = Change { to: status, line_no: Some(line_no), reason: &reason };
        let head = history::read_head(tx, &order.order_no, change).await?;
        let status_id = history::follow(tx, op, &order.order_no, &head, change).await?;
        let cancel_op_id = Some(cancel_op_id);
        let to = Move { line_no, state: LineState::Canceled, cancel_op_id };
        line::change(tx, &order.order_no, &to).await?;
        let cancelled = if is_last { Cancelled::Order } else { Cancelled::Line(line_no) };
        coupon::give_back(tx, &order.order_no, cancelled).await?;
        delivery::end(tx, &order.order_no, DeliveryState::Canceled).await?;
        let (order_no, status) = (order.order_no, status.into());
        Ok(FinishCancelLineResponse { order_no, line_no, status_id, status })
    }
}

/// A cancel that was begun and not ended, its order held.
struct Begun {
    order: Order,
    line_no: i64,
    lines: Vec<Line>,
    cancel_op_id: Uuid,
}

impl Begun {
    async fn read(tx: &mut Tx, cancel_op_id: &str) -> Result<Self, OperationError> {
        let cancel_op_id = parse_op_id("cancel_op_id", cancel_op_id)?;
        let row = tx
            .row(
                "/* find_cancel */ select order_no from order_lines where cancel_op_id = $1",
                &[Arg::Uuid(cancel_op_id)],
            )
            .await?;
        let Some(row) = row else { return Err(cancel_not_found(cancel_op_id)) };
        let order = Order::hold(tx, &row.text(0)?, Hold::All).await?;
        let lines = line::read(tx, &order.order_no).await?;
        let begun_by = |it: &&Line| it.cancel_op_id == Some(cancel_op_id);
        match lines.iter().find(begun_by) {
            Some(line) if line.is(LineState::Canceling) => {
                Ok(Self { order, line_no: line.line_no, lines, cancel_op_id })
            }
            Some(line) => Err(not_canceling(&order.order_no, line)),
            // It was restored while this one waited for the order.
            None => Err(cancel_not_found(cancel_op_id)),
        }
    }
}

/// The line, if its cancel may begin.
fn cancelable<'a>(
    order_no: &str,
    lines: &'a [Line],
    line_no: i64,
) -> Result<&'a Line, OperationError> {
    let refusal = |code, reason, message, state: Option<LineState>| {
        let mut metadata = vec![("line_no", line_no.to_string())];
        metadata.extend(state.map(|it| ("state", state_text(it).to_owned())));
        OperationError::Rejected(Refusal { code, reason, message, metadata })
    };
    let Some(line) = lines.iter().find(|it| it.line_no == line_no) else {
        let message = format!("order {order_no} has no line {line_no}");
        return Err(refusal(RefusalCode::NotFound, "LINE_NOT_FOUND", message, None));
    };
    let code = RefusalCode::FailedPrecondition;
    if !line.is(LineState::Active) {
        let state = state_text(line.state);
        let message = format!("line {line_no} of order {order_no} is {state}");
        return Err(refusal(code, "LINE_NOT_ACTIVE", message, Some(line.state)));
    }
    if line.cost_minor() == 0 {
        let message = format!("line {line_no} of order {order_no} cost nothing");
        return Err(refusal(code, "NOTHING_TO_REFUND", message, None));
    }
    // The credits of a payment are revoked together.
    let others = lines.iter().any(|it| it.line_no != line_no && it.ordered.credits != 0);
    if line.ordered.credits != 0 && others {
        let message = format!("other lines of order {order_no} grant credits, too");
        return Err(refusal(code, "CREDITS_NOT_SEPARABLE", message, None));
    }
    Ok(line)
}

fn count(lines: &[Line], which: impl Fn(&Line) -> bool) -> i64 {
    i64::try_from(lines.iter().filter(|it| which(it)).count()).unwrap_or(i64::MAX)
}

fn cancel_not_found(cancel_op_id: Uuid) -> OperationError {
    OperationError::Rejected(Refusal {
        code: RefusalCode::NotFound,
        reason: "LINE_CANCEL_NOT_FOUND",
        message: format!("operation {cancel_op_id} cancels no line"),
        metadata: vec![("cancel_op_id", cancel_op_id.to_string())],
    })
}

fn not_canceling(order_no: &str, line: &Line) -> OperationError {
    let (line_no, state) = (line.line_no, state_text(line.state));
    OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason: "LINE_NOT_CANCELING",
        message: format!("line {line_no} of order {order_no} is {state}"),
        metadata: vec![("line_no", line_no.to_string()), ("state", state.to_owned())],
    })
}
