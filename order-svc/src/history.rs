//! The status of orders: a chain of rows, of which the newest is the status.

use saga_participant::{
    Arg, Operation, OperationError, OperationMeta, Refusal, RefusalCode, Tx, fields,
};
use saga_proto::shop::order::v1::{OrderStatus, TransitionRequest, TransitionResponse};

use crate::{Orders, place::check_order_no};

const REASON_CHARS_MAX: usize = 500;
const ENUM_PREFIX: &str = "ORDER_STATUS_";

/// What stands for "no status yet" in the table of transitions.
const START: &str = "START";

impl Operation<Orders> for TransitionRequest {
    const KIND: &'static str = "Transition";
    type Reply = TransitionResponse;

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<TransitionResponse, OperationError> {
        check_order_no(&self.order_no)?;
        fields::text("reason", &self.reason, 0..=REASON_CHARS_MAX)?;
        let to = match OrderStatus::try_from(self.to) {
            Ok(to) if to != OrderStatus::Unspecified => to,
            _ => return Err(OperationError::invalid("to", self.to, "a status of orders")),
        };
        let head = read_head(tx, &self.order_no, to).await?;
        if self.expected_head != 0 && self.expected_head != head.id {
            return Err(lost_race(&self.order_no, &head));
        }
        if !head.may_become {
            return Err(illegal(&self.order_no, &head, to));
        }
        let next = Next { prev_id: Some(head.id), from: &head.status, to, reason: &self.reason };
        match append(tx, op, &self.order_no, &next).await? {
            Some(status_id) => {
                Ok(TransitionResponse { status_id, from: status_of(&head.status).into() })
            }
            // Another transaction followed the same row first.
            None => {
                let head = read_head(tx, &self.order_no, to).await?;
                Err(lost_race(&self.order_no, &head))
            }
        }
    }
}

/// Inserts the first status of a new order; returns its id.
pub(crate) async fn insert_first(
    tx: &mut Tx,
    op: &OperationMeta,
    order_no: &str,
    status: OrderStatus,
) -> Result<i64, OperationError> {
    let next = Next { prev_id: None, from: START, to: status, reason: "" };
    match append(tx, op, order_no, &next).await? {
        Some(status_id) => Ok(status_id),
        None => {
            let message = "the order has a status before it exists".to_owned();
            Err(OperationError::Unknown { reason: "INTERNAL_FAULT", message })
        }
    }
}

/// The newest row of an order.
struct Head {
    id: i64,
    status: String,
    /// Whether the wanted status may follow it.
    may_become: bool,
}

async fn read_head(tx: &mut Tx, order_no: &str, to: OrderStatus) -> Result<Head, OperationError> {
    let row = tx
        .row(
            "/* read_head */
            select id, status, (
                select count(*) from transitions where from_status = status and to_status = $2
            )
            from order_status where order_no = $1 order by id desc limit 1",
            &[Arg::Text(order_no), Arg::Text(status_text(to))],
        )
        .await?;
    match row {
        Some(row) => {
            Ok(Head { id: row.int(0)?, status: row.text(1)?, may_become: row.int(2)? == 1 })
        }
        None => Err(order_not_found(order_no)),
    }
}

/// A row that is to be appended.
struct Next<'a> {
    prev_id: Option<i64>,
    from: &'a str,
    to: OrderStatus,
    reason: &'a str,
}

/// Appends a row, unless another follows the same row already; then `None`. Waits for a
/// transaction that is about to do so.
async fn append(
    tx: &mut Tx,
    op: &OperationMeta,
    order_no: &str,
    next: &Next<'_>,
) -> Result<Option<i64>, sqlx::Error> {
    let row = tx
        .row(
            "/* append_status */
            insert into order_status
                (order_no, prev_id, from_status, status, reason, op_id, changed_at_ms)
            values ($1, $2, $3, $4, $5, $6, $7)
            on conflict do nothing
            returning id",
            &[
                Arg::Text(order_no),
                next.prev_id.into(),
                Arg::Text(next.from),
                Arg::Text(status_text(next.to)),
                Arg::Text(next.reason),
                Arg::Uuid(op.op_id),
                Arg::Int(op.at_ms),
            ],
        )
        .await?;
    row.map(|row| row.int(0)).transpose()
}

/// A status as the tables have it, such as `PAYMENT_PENDING`.
pub(crate) fn status_text(status: OrderStatus) -> &'static str {
    let name = status.as_str_name();
    name.strip_prefix(ENUM_PREFIX).unwrap_or(name)
}

/// A status as the contract has it.
pub(crate) fn status_of(text: &str) -> OrderStatus {
    let name = format!("{ENUM_PREFIX}{text}");
    OrderStatus::from_str_name(&name).unwrap_or(OrderStatus::Unspecified)
}

pub(crate) fn order_not_found(order_no: &str) -> OperationError {
    OperationError::Rejected(Refusal {
        code: RefusalCode::NotFound,
        reason: "ORDER_NOT_FOUND",
        message: format!("there is no order {order_no}"),
        metadata: vec![("order_no", order_no.to_owned())],
    })
}

fn lost_race(order_no: &str, head: &Head) -> OperationError {
    OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason: "LOST_RACE",
        message: format!(
            "another change of order {order_no} came first: it is {} since row {}",
            head.status, head.id
        ),
        metadata: vec![("head", head.id.to_string()), ("status", head.status.clone())],
    })
}

fn illegal(order_no: &str, head: &Head, to: OrderStatus) -> OperationError {
    let to = status_text(to);
    OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason: "ILLEGAL_TRANSITION",
        message: format!("order {order_no} is {}, which {to} may not follow", head.status),
        metadata: vec![("from", head.status.clone()), ("to", to.to_owned())],
    })
}
