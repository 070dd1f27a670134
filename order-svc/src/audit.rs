//! `Audit`: the invariants of the orders, over the whole database at one moment. The
//! database enforces most of them; the audit does not trust it.

use saga_participant::{
    OperationError, Query, Tx,
    audit::{Rule, violations},
};
use shop_proto::order::v1::{AuditRequest, AuditResponse, CurrencyBalance};

use crate::Orders;

const RULES: [Rule; 15] = [
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
            join transitions on transitions.from_status = prev.counts_as
            where prev.id = it.prev_id and prev.order_no = it.order_no
                and transitions.to_status = it.status and transitions.scope = it.scope
                and prev.id < it.id and (it.restores is null or it.restores = prev.from_status)
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
        "an order that was paid names its payment",
        "order",
        "/* audit: payments */
        select distinct orders.order_no, cast(0 as bigint), cast(1 as bigint)
        from orders join order_status using (order_no)
        where status = 'PAYMENT_SUCCESS' and payment_id is null and 0 < total_minor
        order by orders.order_no limit 100",
    ),
    Rule::new(
        "the lines that are cancelled are those of the history, or all of a CANCELED order",
        "order",
        "/* audit: cancelled lines */
        select order_no, canceled, expected from (
            select order_no, (
                select count(*) from order_lines
                where order_lines.order_no = order_heads.order_no and state = 'CANCELED'
            ) as canceled, case when status = 'CANCELED' then (
                select count(*) from order_lines
                where order_lines.order_no = order_heads.order_no
            ) else (
                select count(*) from order_status
                where order_status.order_no = order_heads.order_no and line_no is not null
            ) end as expected
            from order_heads
        ) as it where canceled <> expected order by order_no limit 100",
    ),
    Rule::new(
        "a line whose cancel the history tells is cancelled",
        "order",
        "/* audit: told lines */
        select order_no, count(*), cast(0 as bigint)
        from order_status join order_lines using (order_no, line_no)
        where state <> 'CANCELED' group by order_no order by order_no limit 100",
    ),
    Rule::new(
        "an order is CANCELED with its last line",
        "order",
        "/* audit: last lines */
        select order_no, cast(0 as bigint), cast(1 as bigint) from order_heads
        where status <> 'CANCELED' and (
            select min(state) || max(state) from order_lines
            where order_lines.order_no = order_heads.order_no
        ) = 'CANCELEDCANCELED' order by order_no limit 100",
    ),
    Rule::new(
        "a line is cancelled only while the whole order stands still",
        "order",
        "/* audit: lines in cancel */
        select order_no, count(*), cast(0 as bigint)
        from order_lines join order_heads using (order_no)
        where state = 'CANCELING' and not exists (
            select 1 from transitions
            where transitions.from_status = counts_as and transitions.scope = 'LINE'
        )
        group by order_no order by order_no limit 100",
    ),
    Rule::new(
        "a delivery is under way while the order is prepared for it, and only then (S1-9)",
        "order",
        "/* audit: deliveries */
        select order_no, under_way, expected from (
            select order_no, (
                select count(*) from deliveries
                where deliveries.order_no = order_heads.order_no and state = 'PREPARING'
            ) as under_way, cast(case when counts_as = 'DELIVERY_PREPARATION' or (
                status = 'CANCEL_REQUESTED' and from_status = 'DELIVERY_PREPARATION'
            ) then 1 else 0 end as bigint) as expected
            from order_heads
        ) as it where under_way <> expected order by order_no limit 100",
    ),
    Rule::new(
        "an order whose lines grant credits names their account",
        "order",
        "/* audit: credit */
        select distinct orders.order_no, cast(0 as bigint), cast(1 as bigint)
        from orders join order_lines using (order_no)
        where credits <> 0 and credit_account is null
        order by orders.order_no limit 100",
    ),
    Rule::new(
        "I14: a coupon is used by an order that is there, or about to be",
        "coupon",
        "/* audit: coupons */
        select coupon_id, cast(0 as bigint), cast(1 as bigint) from coupon_uses
        where not exists (select 1 from orders where orders.order_no = coupon_uses.order_no)
            and not exists (
                select 1 from order_claims where order_claims.order_no = coupon_uses.order_no)
        order by coupon_id limit 100",
    ),
    Rule::new(
        "I14: a coupon is used by one order at a time",
        "coupon",
        "/* audit: coupons that are used */
        select coupon_id, count(*), cast(1 as bigint) from coupon_uses where state = 'USED'
        group by coupon_id having 1 < count(*) order by coupon_id limit 100",
    ),
    Rule::new(
        "I14: coupons are given back where their order or line came to nothing, and only there",
        "coupon",
        "/* audit: coupons of cancelled orders */
        select coupon_id, returned, expected from (
            select coupon_id,
                cast(case when coupon_uses.state = 'RETURNED' then 1 else 0 end as bigint)
                    as returned,
                cast(case when status in ('CANCELED', 'PAYMENT_OUT_OF_STOCK', 'PAYMENT_RETURNED',
                        'PAYMENT_WITHDRAWN') or order_lines.state = 'CANCELED' then 1 else 0 end as bigint) as expected
            from coupon_uses
            join order_heads on order_heads.order_no = coupon_uses.order_no
            left join order_lines on order_lines.order_no = coupon_uses.order_no
                and order_lines.line_no = coupon_uses.line_no
        ) as it where returned <> expected order by coupon_id limit 100",
    ),
    Rule::new(
        "I12: an order is cheaper by what its coupons took off, and by nothing else",
        "order",
        "/* audit: discounts */
        select order_no, discounts, taken from (
            select orders.order_no, (
                select cast(coalesce(sum(discount_minor), 0) - uncouponed_minor as bigint)
                from order_lines where order_lines.order_no = orders.order_no
            ) as discounts, (
                select cast(coalesce(sum(taken_minor), 0) as bigint)
                from coupon_uses where coupon_uses.order_no = orders.order_no
            ) as taken
            from orders
        ) as it where discounts <> taken order by order_no limit 100",
    ),
];

impl Query<Orders> for AuditRequest {
    type Reply = AuditResponse;

    async fn answer(self, tx: &mut Tx) -> Result<AuditResponse, OperationError> {
        let violations = violations(tx, &RULES).await?;
        let counted = tx.row("/* audit: count */ select count(*) from orders", &[]).await?;
        let orders = counted.map_or(Ok(0), |row| row.int(0))?;
        let mut balances = Vec::new();
        for row in tx.rows(BALANCES, &[]).await? {
            balances.push(CurrencyBalance { currency: row.text(0)?, balance_minor: row.int(1)? });
        }
        Ok(AuditResponse { violations, orders, balances })
    }
}

/// What the shop should have: orders that are not paid yet, or not any more, owe nothing.
const BALANCES: &str = "/* audit: balances */
    select currency, cast(coalesce(sum(price_minor * qty - discount_minor), 0) as bigint)
    from orders
    left join order_heads on order_heads.order_no = orders.order_no
        and status not in ('PAYMENT_PENDING', 'PAYMENT_CONFIRM', 'PAYMENT_OUT_OF_STOCK',
            'PAYMENT_NO_PAYMENT_INFO', 'PAYMENT_RETURNED', 'PAYMENT_WITHDRAWN',
            'REFUND_COMPLETED')
    left join order_lines on order_lines.order_no = order_heads.order_no
        and state <> 'CANCELED'
    group by currency order by currency";
