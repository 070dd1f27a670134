//! The cancel of one line: begun, then finished or taken back.

use prost::Message;
use shop_proto::order::v1::{self as pb, LineState, OrderStatus as Status};
use uuid::Uuid;

use super::{Orders, cost_minor, is_legal};
use crate::sim::answer::{Answer, Deny, read_op_id};

impl Orders {
    pub(super) fn cancel_line(&mut self, op: Uuid, request: &pb::CancelLineRequest) -> Answer {
        let pb::CancelLineRequest { order_no, line_no, customer_id } = request;
        let order = self.owned(order_no, customer_id)?;
        if !is_legal(order.head().counts_as, Status::PartiallyCanceled, true) {
            let message = format!("{:?}", order.head().counts_as);
            return Err(Deny::refused("ILLEGAL_TRANSITION", message));
        }
        let index = usize::try_from(line_no - 1).unwrap_or(usize::MAX);
        let Some(line) = order.lines.get_mut(index) else {
            return Err(Deny::not_found("LINE_NOT_FOUND", line_no.to_string()));
        };
        if line.state != LineState::Active {
            return Err(Deny::refused("LINE_NOT_ACTIVE", line_no.to_string()));
        }
        let refund_minor = cost_minor(&line.ordered);
        let grants = line.ordered.credits > 0;
        if refund_minor == 0 {
            return Err(Deny::refused("NOTHING_TO_REFUND", line_no.to_string()));
        }
        let granting = order.lines.iter().filter(|it| it.ordered.credits > 0).count();
        if grants && granting > 1 {
            return Err(Deny::refused("CREDITS_NOT_SEPARABLE", line_no.to_string()));
        }
        let line = &mut order.lines[index];
        (line.state, line.cancel_op) = (LineState::Canceling, Some(op));
        let ordered = line.ordered.clone();
        let remaining = order.lines.iter().filter(|it| it.state == LineState::Active).count();
        let response = pb::CancelLineResponse {
            order_no: order_no.clone(),
            line_no: *line_no,
            item_id: ordered.item_id,
            qty: ordered.qty,
            refund_minor,
            currency: order.currency.clone(),
            payment_id: order.payment_id.clone(),
            remaining_lines: i64::try_from(remaining).unwrap_or(i64::MAX),
            credits: ordered.credits,
            credit_account: order.credit_account.clone(),
        };
        Ok(response.encode_to_vec())
    }

    /// The order and the line that `cancel_op` is cancelling.
    fn canceling(&self, cancel_op_id: &str) -> Result<(String, usize), Deny> {
        let op = read_op_id(cancel_op_id)?;
        for (order_no, order) in &self.orders {
            let begun = order.lines.iter().position(|it| it.cancel_op == Some(op));
            if let Some(index) = begun {
                return if order.lines[index].state == LineState::Canceling {
                    Ok((order_no.clone(), index))
                } else {
                    Err(Deny::refused("LINE_NOT_CANCELING", order_no.clone()))
                };
            }
        }
        Err(Deny::not_found("LINE_CANCEL_NOT_FOUND", cancel_op_id))
    }

    fn set_line(&mut self, order_no: &str, index: usize, state: LineState) {
        if let Some(order) = self.orders.get_mut(order_no) {
            order.lines[index].state = state;
            if state == LineState::Active {
                order.lines[index].cancel_op = None;
            }
        }
    }

    pub(super) fn restore_line(&mut self, request: &pb::RestoreLineRequest) -> Answer {
        let (order_no, index) = self.canceling(&request.cancel_op_id)?;
        self.set_line(&order_no, index, LineState::Active);
        let line_no = i64::try_from(index + 1).unwrap_or(i64::MAX);
        Ok(pb::RestoreLineResponse { order_no, line_no }.encode_to_vec())
    }

    pub(super) fn finish_cancel_line(
        &mut self,
        op: Uuid,
        request: &pb::FinishCancelLineRequest,
    ) -> Answer {
        let (order_no, index) = self.canceling(&request.cancel_op_id)?;
        let left = self.orders[&order_no].lines.iter();
        let is_last = left.filter(|it| it.state != LineState::Canceled).count() == 1;
        let status = if is_last { Status::Canceled } else { Status::PartiallyCanceled };
        let from = self.orders[&order_no].head().counts_as;
        if !is_legal(from, status, true) {
            return Err(Deny::refused("ILLEGAL_TRANSITION", format!("{from:?}")));
        }
        let status_id = self.follow(&order_no, op, status, true);
        self.set_line(&order_no, index, LineState::Canceled);
        let line_no = i64::try_from(index + 1).unwrap_or(i64::MAX);
        let status = status.into();
        Ok(pb::FinishCancelLineResponse { order_no, line_no, status_id, status }.encode_to_vec())
    }
}
