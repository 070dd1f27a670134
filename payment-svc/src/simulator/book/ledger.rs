//! The ledger: what happened to the money of each order.

use serde::{Deserialize, Serialize};
use sqlx::SqliteExecutor;

/// What happened to the money of one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct OrderLedger {
    /// The order.
    pub order_no: String,
    /// Taken from buyers, in minor units.
    pub captured_minor: i64,
    /// Given back to buyers, in minor units.
    pub cancelled_minor: i64,
    /// Payments that were captured for it. More than one is a double charge.
    pub captures: i64,
}

/// A page of the ledger: orders behind `after`, in order of their numbers.
pub(in crate::simulator) async fn ledger_page(
    executor: impl SqliteExecutor<'_>,
    after: &str,
    limit: u32,
) -> Result<Vec<OrderLedger>, sqlx::Error> {
    sqlx::query_as(
        "/* book::ledger_page */
        select order_no,
            sum(case when kind = 'CAPTURE' then amount_minor else 0 end) as captured_minor,
            sum(case when kind = 'CANCEL' then amount_minor else 0 end) as cancelled_minor,
            sum(kind = 'CAPTURE') as captures
        from book where order_no > ?
        group by order_no order by order_no
        limit ?",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(executor)
    .await
}

pub(in crate::simulator) async fn order_ledger(
    executor: impl SqliteExecutor<'_>,
    order_no: &str,
) -> Result<Option<OrderLedger>, sqlx::Error> {
    sqlx::query_as(
        "/* book::order_ledger */
        select order_no,
            sum(case when kind = 'CAPTURE' then amount_minor else 0 end) as captured_minor,
            sum(case when kind = 'CANCEL' then amount_minor else 0 end) as cancelled_minor,
            sum(kind = 'CAPTURE') as captures
        from book where order_no = ?
        group by order_no",
    )
    .bind(order_no)
    .fetch_optional(executor)
    .await
}

/// Money that moved, as the ledger has it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(in crate::simulator) struct Movement {
    pub(in crate::simulator) seq: i64,
    pub(in crate::simulator) payment_key: String,
    pub(in crate::simulator) order_no: String,
    pub(in crate::simulator) kind: String,
    pub(in crate::simulator) amount_minor: i64,
    pub(in crate::simulator) at_ms: i64,
}

/// Which movements are wanted.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulator) struct Movements {
    pub(in crate::simulator) from_ms: i64,
    pub(in crate::simulator) until_ms: i64,
    pub(in crate::simulator) after_seq: i64,
    pub(in crate::simulator) limit: u32,
}

pub(in crate::simulator) async fn movements(
    executor: impl SqliteExecutor<'_>,
    wanted: Movements,
) -> Result<Vec<Movement>, sqlx::Error> {
    sqlx::query_as(
        "/* book::movements */
        select seq, payment_key, order_no, kind, amount_minor, at_ms from book
        where ? <= at_ms and at_ms <= ? and ? < seq
        order by seq limit ?",
    )
    .bind(wanted.from_ms)
    .bind(wanted.until_ms)
    .bind(wanted.after_seq)
    .bind(wanted.limit)
    .fetch_all(executor)
    .await
}
