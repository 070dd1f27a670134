//! `Audit`: the invariants of the orders, over the whole database at one moment. The
//! database enforces most of them; the audit does not trust it.

use saga_participant::{
    OperationError, Query, Tx,
    audit::{Rule, violations},
};
use saga_proto::shop::order::v1::{AuditRequest, AuditResponse};

use crate::Orders;

const RULES: [Rule; 5] = [
    Rule::new(
        "I6: an order has one first status",
        "order",
        "/* audit: first status */
        select order_no, firsts, cast(1 as bigint) from (
            select order_no, (
                select count(*) from order_status
                where order_status.order_no = orders.order_no and prev_id is null
            ) as firsts
            from orders
        ) as it where firsts <> 1 order by order_no limit 100",
    ),
    Rule::new(
        "I6: a status has at most one successor",
        "order",
        "/* audit: successors */
        select order_no, count(*), cast(1 as bigint) from order_status
        where prev_id is not null
        group by order_no, prev_id having count(*) > 1 order by order_no limit 100",
    ),
    Rule::new(
        "I6: a status follows one of the same order, by a legal step",
        "order",
        "/* audit: steps */
        select order_no, id, cast(0 as bigint) from order_status as it
        where prev_id is not null and not exists (
            select 1 from order_status as prev
            join transitions on transitions.from_status = prev.status
            where prev.id = it.prev_id and prev.order_no = it.order_no
                and transitions.to_status = it.status and prev.id < it.id
        ) order by order_no limit 100",
    ),
    Rule::new(
        "the total is the sum of the lines",
        "order",
        "/* audit: totals */
        select order_no, total_minor, of_lines from (
            select order_no, total_minor, (
                select cast(coalesce(sum(price_minor * qty - discount_minor), 0) as bigint)
                from order_lines where order_lines.order_no = orders.order_no
            ) as of_lines
            from orders
        ) as it where total_minor <> of_lines order by order_no limit 100",
    ),
    Rule::new(
        "an order that was inserted as paid names its payment",
        "order",
        "/* audit: payments */
        select orders.order_no, cast(0 as bigint), cast(1 as bigint)
        from orders join order_status using (order_no)
        where prev_id is null and status = 'PAYMENT_SUCCESS' and payment_id is null
        order by order_no limit 100",
    ),
];

impl Query<Orders> for AuditRequest {
    type Reply = AuditResponse;

    async fn answer(self, tx: &mut Tx) -> Result<AuditResponse, OperationError> {
        let violations = violations(tx, &RULES).await?;
        let counted = tx.row("/* audit: count */ select count(*) from orders", &[]).await?;
        let orders = counted.map_or(Ok(0), |row| row.int(0))?;
        Ok(AuditResponse { violations, orders })
    }
}
