//! The status of orders: a chain of rows, of which the newest is the status.
//!
//! Which status may follow which is a table of the database, and its constraints hold it
//! even against this program. A row that rejects a request restores what counted before
//! the request: what was legal then is legal again, and nothing else.

use saga_participant::{Arg, OperationError, OperationMeta, Refusal, RefusalCode, Tx};
use shop_proto::order::v1::OrderStatus;
use uuid::Uuid;

const ENUM_PREFIX: &str = "ORDER_STATUS_";

/// What stands for "no status yet" in the table of transitions.
const START: &str = "START";

/// A change of status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) to: OrderStatus,
    /// The line whose cancel it records. Other changes are legal for a line than for the
    /// whole order.
    pub(crate) line_no: Option<i64>,
    pub(crate) reason: &'a str,
}

/// The newest row of an order.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) id: i64,
    pub(crate) status: String,
    /// The operation that appended it.
    pub(crate) op_id: Uuid,
    /// What counted before it.
    from_status: String,
    /// What decides what may follow.
    counts_as: String,
    /// Whether the wanted change may follow.
    pub(crate) allows: bool,
}

/// Reads the newest row, and whether `change` may follow it.
pub(crate) async fn read_head(
    tx: &mut Tx,
    order_no: &str,
    change: Change<'_>,
) -> Result<Head, OperationError> {
    let scope = if change.line_no.is_some() { "LINE" } else { "ORDER" };
    let row = tx
        .row(
            "/* read_head */
            select id, status, op_id, from_status, counts_as, (
                select count(*) from transitions
                where transitions.from_status = counts_as and to_status = $2
                    and transitions.scope = $3
            )
            from order_status where order_no = $1 order by id desc limit 1",
            &[Arg::Text(order_no), Arg::Text(status_text(change.to)), Arg::Text(scope)],
        )
        .await?;
    let Some(row) = row else {
        let message = format!("order {order_no} has no status");
        return Err(OperationError::Unknown { reason: "INTERNAL_FAULT", message });
    };
    Ok(Head {
        id: row.int(0)?,
        status: row.text(1)?,
        op_id: row.uuid(2)?,
        from_status: row.text(3)?,
        counts_as: row.text(4)?,
        allows: row.int(5)? == 1,
    })
}

/// Inserts the first status of a new order; returns its id.
pub(crate) async fn insert_first(
    tx: &mut Tx,
    op: &OperationMeta,
    order_no: &str,
    to: OrderStatus,
) -> Result<i64, OperationError> {
    let change = Change { to, line_no: None, reason: "" };
    match append(tx, op, order_no, None, change).await? {
        Some(status_id) => Ok(status_id),
        None => {
            let message = format!("order {order_no} has a status before it exists");
            Err(OperationError::Unknown { reason: "INTERNAL_FAULT", message })
        }
    }
}

/// Appends `change` behind `head`; returns the id of its row. Waits for a transaction that
/// is about to follow the same row, and loses if that one is committed (S2-5).
pub(crate) async fn follow(
    tx: &mut Tx,
    op: &OperationMeta,
    order_no: &str,
    head: &Head,
    change: Change<'_>,
) -> Result<i64, OperationError> {
    if !head.allows {
        return Err(illegal(order_no, head, change.to));
    }
    match append(tx, op, order_no, Some(head), change).await? {
        Some(status_id) => Ok(status_id),
        None => {
            let winner = read_head(tx, order_no, change).await?;
            Err(lost_race(order_no, &winner))
        }
    }
}

/// `None` where another row follows the same one.
async fn append(
    tx: &mut Tx,
    op: &OperationMeta,
    order_no: &str,
    head: Option<&Head>,
    change: Change<'_>,
) -> Result<Option<i64>, sqlx::Error> {
    let restores = if is_rejection(change.to) { head.map(|it| &*it.from_status) } else { None };
    let row = tx
        .row(
            "/* append_status */
            insert into order_status (order_no, prev_id, from_status, status, restores, line_no,
                reason, op_id, changed_at_ms)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            on conflict do nothing
            returning id",
            &[
                Arg::Text(order_no),
                head.map(|it| it.id).into(),
                Arg::Text(head.map_or(START, |it| &it.counts_as)),
                Arg::Text(status_text(change.to)),
                restores.into(),
                change.line_no.into(),
                Arg::Text(change.reason),
                Arg::Uuid(op.op_id),
                Arg::Int(op.at_ms),
            ],
        )
        .await?;
    row.map(|row| row.int(0)).transpose()
}

/// Whether the status says that a request was not granted.
fn is_rejection(status: OrderStatus) -> bool {
    matches!(status, OrderStatus::CancelRejected | OrderStatus::RefundRejected)
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

pub(crate) fn lost_race(order_no: &str, head: &Head) -> OperationError {
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

pub(crate) fn illegal(order_no: &str, head: &Head, to: OrderStatus) -> OperationError {
    let to = status_text(to);
    let mut metadata = vec![("from", head.status.clone()), ("to", to.to_owned())];
    if head.counts_as != head.status {
        metadata.push(("counts_as", head.counts_as.clone()));
    }
    OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason: "ILLEGAL_TRANSITION",
        message: format!("order {order_no} is {}, which {to} may not follow", head.status),
        metadata,
    })
}
