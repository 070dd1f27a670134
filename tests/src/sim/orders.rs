//! The order service, as far as its contract can be seen from outside.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use shop_proto::order::v1::{self as pb, LineState, OrderStatus as Status};
use uuid::Uuid;

use super::{
    answer::{Answer, Deny, read, read_op_id},
    barrier::Books,
    fault::Defect,
};

mod cancel_line;
mod coupons;

use coupons::Use;
pub use coupons::{COUPON_MINOR, coupon_of};

/// A line of an order.
#[derive(Clone, Debug)]
pub struct Line {
    /// As it was ordered.
    pub ordered: pb::OrderLine,
    /// Where it stands.
    pub state: LineState,
    /// The operation that began to cancel it.
    pub cancel_op: Option<Uuid>,
}

/// A row of an order's history.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its id.
    pub id: i64,
    /// The row that it follows; 0 for the first.
    pub prev_id: i64,
    /// What counted before it.
    pub from: Option<Status>,
    /// The status.
    pub status: Status,
    /// What counts from now on.
    pub counts_as: Status,
    /// Whether it records the cancel of one line.
    pub of_line: bool,
    /// The operation that appended it.
    pub op: Uuid,
}

/// An order.
#[derive(Clone, Debug)]
pub struct Order {
    /// Whose it is.
    pub customer_id: String,
    /// Currency of all amounts.
    pub currency: String,
    /// Its lines.
    pub lines: Vec<Line>,
    /// What settled it. Empty: nothing yet.
    pub payment_id: String,
    /// Who gets the credit.
    pub credit_account: String,
    /// The payment that a customer named last.
    pub settling: Option<pb::Settling>,
    /// Oldest first; never empty.
    pub history: Vec<Change>,
}

/// All orders.
#[derive(Debug, Default)]
pub struct Orders {
    /// By number.
    pub orders: BTreeMap<String, Order>,
    /// Numbers that are taken, by the operations that took them, with the payments named.
    pub claims: BTreeMap<String, (Uuid, Option<pb::Settling>)>,
    /// Numbers that somebody without a claim is quicker with.
    pub overtaken: BTreeSet<String>,
    /// Coupons that were used, by their ids.
    pub used: BTreeMap<String, Use>,
    changes: i64,
}

/// What one line costs, in minor units.
#[must_use]
pub fn cost_minor(line: &pb::OrderLine) -> i64 {
    line.qty * line.price_minor - line.discount_minor
}

impl Order {
    /// The newest change.
    ///
    /// # Panics
    ///
    /// Never: an order is inserted with its first one.
    #[must_use]
    pub fn head(&self) -> &Change {
        self.history.last().expect("an order has a first status")
    }

    fn standing(&self) -> impl Iterator<Item = &pb::OrderLine> {
        self.lines.iter().filter(|it| it.state != LineState::Canceled).map(|it| &it.ordered)
    }

    /// What its lines cost that are not cancelled.
    #[must_use]
    pub fn balance_minor(&self) -> i64 {
        self.standing().map(cost_minor).sum()
    }

    /// Credit that its lines grant that are not cancelled.
    #[must_use]
    pub fn credits(&self) -> i64 {
        self.standing().map(|it| it.credits).sum()
    }

    /// What its lines cost.
    #[must_use]
    pub fn total_minor(&self) -> i64 {
        self.lines.iter().map(|it| cost_minor(&it.ordered)).sum()
    }
}

/// Whether `to` may follow what counts as `from`.
#[must_use]
pub fn is_legal(from: Status, to: Status, of_line: bool) -> bool {
    use Status as S;
    if of_line {
        let cancelable =
            matches!(from, S::PaymentSuccess | S::PartiallyCanceled | S::DeliveryPreparation);
        return cancelable && matches!(to, S::PartiallyCanceled | S::Canceled);
    }
    matches!(
        (from, to),
        (S::PaymentPending | S::PaymentNoPaymentInfo, S::PaymentConfirm | S::PaymentWithdrawn)
            | (
                S::PaymentConfirm,
                S::PaymentSuccess
                    | S::PaymentPending
                    | S::PaymentOutOfStock
                    | S::PaymentReturned
                    | S::PaymentNoPaymentInfo
            )
            | (
                S::PaymentSuccess | S::PartiallyCanceled,
                S::CancelRequested | S::RefundRequested | S::DeliveryPreparation
            )
            | (S::DeliveryPreparation, S::CancelRequested | S::Delivered)
            | (S::Delivered, S::RefundRequested)
            | (S::CancelRequested, S::Canceled | S::CancelRejected)
            | (S::RefundRequested, S::RefundCompleted | S::RefundRejected)
    )
}

impl Books for Orders {
    fn reverses(&self, method: &str, body: &[u8]) -> Result<Option<Uuid>, Deny> {
        match method {
            "Transition" => match read::<pb::TransitionRequest>(body)?.reverses_op_id.as_str() {
                "" => Ok(None),
                text => read_op_id(text).map(Some),
            },
            "RestoreLine" => {
                read_op_id(&read::<pb::RestoreLineRequest>(body)?.cancel_op_id).map(Some)
            }
            "WithdrawOrder" => {
                read_op_id(&read::<pb::WithdrawOrderRequest>(body)?.accept_op_id).map(Some)
            }
            "ReturnCoupons" => {
                read_op_id(&read::<pb::ReturnCouponsRequest>(body)?.use_op_id).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn apply(&mut self, method: &str, op: Uuid, body: &[u8], _: Option<Defect>) -> Answer {
        match method {
            "AcceptOrder" => self.accept(op, read(body)?),
            "WithdrawOrder" => {
                let accept = read_op_id(&read::<pb::WithdrawOrderRequest>(body)?.accept_op_id)?;
                self.claims.retain(|_, claim| claim.0 != accept);
                Ok(pb::WithdrawOrderResponse::default().encode_to_vec())
            }
            "UseCoupons" => self.use_coupons(op, read(body)?),
            "ReturnCoupons" => {
                let used = read_op_id(&read::<pb::ReturnCouponsRequest>(body)?.use_op_id)?;
                self.return_coupons(used)
            }
            "InsertOrder" => self.insert(op, read(body)?),
            "CreatePending" => self.create(op, read(body)?),
            "Transition" => self.transition(op, &read::<pb::TransitionRequest>(body)?),
            "CancelLine" => self.cancel_line(op, &read::<pb::CancelLineRequest>(body)?),
            "RestoreLine" => self.restore_line(&read::<pb::RestoreLineRequest>(body)?),
            "FinishCancelLine" => {
                self.finish_cancel_line(op, &read::<pb::FinishCancelLineRequest>(body)?)
            }
            _ => Err(Deny::NoSuchMethod { path: method.to_owned() }),
        }
    }
}

impl Orders {
    fn accept(&mut self, op: Uuid, request: pb::AcceptOrderRequest) -> Answer {
        let pb::AcceptOrderRequest { order_no, customer_id, credit_account, payment, .. } = request;
        let named =
            payment.map(|it| pb::Settling { provider: it.provider, provider_key: it.provider_key });
        let claimed = self.claims.get(&order_no).map(|it| &it.1);
        let settling = self.orders.get(&order_no).map(|it| &it.settling);
        if let Some(other) = claimed.or(settling) {
            let is_same = named.is_some() && *other == named;
            let reason = if is_same { "SAME_PAYMENT" } else { "DUPLICATE_ORDER_NO" };
            return Err(Deny::refused(reason, order_no));
        }
        self.claims.insert(order_no.clone(), (op, named));
        let is_own = credit_account.is_empty();
        let credit_account = if is_own { customer_id.clone() } else { credit_account };
        Ok(pb::AcceptOrderResponse { order_no, customer_id, credit_account }.encode_to_vec())
    }

    /// Ends the claim of `accept_op_id`; another's is in the way.
    fn give_up(
        &mut self,
        order_no: &str,
        accept_op_id: &str,
    ) -> Result<Option<pb::Settling>, Deny> {
        match self.claims.get(order_no) {
            Some((accept, _)) if accept.to_string() != accept_op_id => {
                Err(Deny::refused("DUPLICATE_ORDER_NO", order_no))
            }
            _ => Ok(self.claims.remove(order_no).and_then(|it| it.1)),
        }
    }

    fn place(&mut self, order_no: &str, order: Order) -> Result<(), Deny> {
        if order.lines.is_empty() || order.lines.iter().any(|it| it.ordered.qty < 1) {
            return Err(Deny::invalid("lines"));
        }
        if order.credits() > 0 && order.credit_account.is_empty() {
            return Err(Deny::invalid("credit_account is required"));
        }
        if self.orders.contains_key(order_no) {
            return Err(Deny::refused("DUPLICATE_ORDER_NO", order_no));
        }
        self.orders.insert(order_no.to_owned(), order);
        Ok(())
    }

    fn first(&mut self, op: Uuid, status: Status) -> Vec<Change> {
        self.changes += 1;
        let (id, counts_as) = (self.changes, status);
        vec![Change { id, prev_id: 0, from: None, status, counts_as, of_line: false, op }]
    }

    fn insert(&mut self, op: Uuid, request: pb::InsertOrderRequest) -> Answer {
        let is_overtaken = self.overtaken.contains(&request.order_no);
        if is_overtaken || self.orders.contains_key(&request.order_no) {
            return Err(Deny::refused("DUPLICATE_ORDER_NO", request.order_no));
        }
        let total_minor: i64 = request.lines.iter().map(cost_minor).sum();
        if total_minor != request.paid_minor {
            return Err(Deny::refused("TOTAL_MISMATCH", request.order_no));
        }
        let settling = self.give_up(&request.order_no, &request.accept_op_id)?;
        let order = Order {
            customer_id: request.customer_id,
            currency: request.currency,
            lines: active(request.lines),
            payment_id: request.payment_id,
            credit_account: request.credit_account,
            settling,
            history: self.first(op, Status::PaymentSuccess),
        };
        let (order_no, status_id, credits) = (request.order_no, order.head().id, order.credits());
        self.place(&order_no, order)?;
        Ok(pb::InsertOrderResponse { order_no, status_id, total_minor, credits }.encode_to_vec())
    }

    fn create(&mut self, op: Uuid, request: pb::CreatePendingRequest) -> Answer {
        if self.overtaken.contains(&request.order_no) {
            return Err(Deny::refused("DUPLICATE_ORDER_NO", request.order_no));
        }
        self.give_up(&request.order_no, &request.accept_op_id)?;
        let order = Order {
            customer_id: request.customer_id,
            currency: request.currency,
            lines: active(request.lines),
            payment_id: String::new(),
            credit_account: request.credit_account,
            settling: None,
            history: self.first(op, Status::PaymentPending),
        };
        let (total_minor, status_id) = (order.total_minor(), order.head().id);
        let order_no = request.order_no;
        self.place(&order_no, order)?;
        Ok(pb::CreatePendingResponse { order_no, total_minor, status_id }.encode_to_vec())
    }

    fn owned(&mut self, order_no: &str, customer_id: &str) -> Result<&mut Order, Deny> {
        let Some(order) = self.orders.get_mut(order_no) else {
            return Err(Deny::not_found("ORDER_NOT_FOUND", order_no));
        };
        if !customer_id.is_empty() && order.customer_id != customer_id {
            return Err(Deny::refused("NOT_OWNER", order_no));
        }
        Ok(order)
    }

    fn follow(&mut self, order_no: &str, op: Uuid, status: Status, of_line: bool) -> i64 {
        self.changes += 1;
        let id = self.changes;
        if let Some(order) = self.orders.get_mut(order_no) {
            let head = order.head();
            let rejects = matches!(status, Status::CancelRejected | Status::RefundRejected);
            let counts_as = if rejects { head.from.unwrap_or(status) } else { status };
            let (prev_id, from) = (head.id, Some(head.counts_as));
            order.history.push(Change { id, prev_id, from, status, counts_as, of_line, op });
        }
        id
    }

    fn transition(&mut self, op: Uuid, request: &pb::TransitionRequest) -> Answer {
        let to = request.to();
        if to == Status::Unspecified
            || (to == Status::PaymentSuccess) == request.payment_id.is_empty()
        {
            return Err(Deny::invalid(format!("{request:?}")));
        }
        let reverses = self.reverses("Transition", &request.encode_to_vec())?;
        let order = self.owned(&request.order_no, &request.customer_id)?;
        let head = order.head().clone();
        let is_seen = request.expected_head == 0 || request.expected_head == head.id;
        if !is_seen || reverses.is_some_and(|original| original != head.op) {
            return Err(Deny::refused("LOST_RACE", format!("the head is {}", head.id)));
        }
        if let Some(settling) = &request.settling
            && order.settling.as_ref() == Some(settling)
            && !is_legal(head.counts_as, to, false)
            && (head.status == Status::PaymentConfirm || !order.payment_id.is_empty())
        {
            return Err(Deny::refused("SAME_PAYMENT", request.order_no.clone()));
        }
        if !is_legal(head.counts_as, to, false) {
            let message = format!("{:?} may not follow {:?}", to, head.counts_as);
            return Err(Deny::refused("ILLEGAL_TRANSITION", message));
        }
        if order.lines.iter().any(|it| it.state == LineState::Canceling) {
            return Err(Deny::refused("LINE_CANCELING", request.order_no.clone()));
        }
        if request.settling.is_some() {
            order.settling.clone_from(&request.settling);
        }
        match to {
            Status::PaymentSuccess => order.payment_id.clone_from(&request.payment_id),
            Status::Canceled => {
                for line in order.lines.iter_mut().filter(|it| it.state == LineState::Active) {
                    (line.state, line.cancel_op) = (LineState::Canceled, Some(op));
                }
            }
            _ => {}
        }
        let order = order.clone();
        let status_id = self.follow(&request.order_no, op, to, false);
        Ok(reply(&request.order_no, &order, status_id, head.status).encode_to_vec())
    }
}

fn active(lines: Vec<pb::OrderLine>) -> Vec<Line> {
    let active = |ordered| Line { ordered, state: LineState::Active, cancel_op: None };
    lines.into_iter().map(active).collect()
}

fn reply(order_no: &str, order: &Order, status_id: i64, from: Status) -> pb::TransitionResponse {
    let active = (1..).zip(&order.lines).filter(|(_, line)| line.state == LineState::Active);
    let active_lines = active.map(|(line_no, line)| pb::ActiveLine {
        line_no,
        item_id: line.ordered.item_id.clone(),
        qty: line.ordered.qty,
        price_minor: line.ordered.price_minor,
        credits: line.ordered.credits,
    });
    let goods = order.lines.iter().filter(|it| it.state == LineState::Active);
    pb::TransitionResponse {
        status_id,
        from: from.into(),
        order_no: order_no.to_owned(),
        customer_id: order.customer_id.clone(),
        payment_id: order.payment_id.clone(),
        currency: order.currency.clone(),
        total_minor: order.total_minor(),
        balance_minor: order.balance_minor(),
        active_lines: active_lines.collect(),
        credits: order.credits(),
        credit_account: order.credit_account.clone(),
        goods_minor: goods.map(|it| it.ordered.price_minor * it.ordered.qty).sum(),
    }
}
