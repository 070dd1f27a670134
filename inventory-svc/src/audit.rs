//! `Audit`: the invariants of the stock, over the whole database at one moment.
//!
//! Once rows of the operation log were deleted, an operation that is missing there is no
//! violation, and its movements are in the opening row of their items.

use saga_participant::{
    OperationError, Query, Sql, Tx,
    audit::{Rule, violations},
};
use shop_proto::inventory::v1::{AuditRequest, AuditResponse};

use crate::Inventory;

const RULES: [Rule; 10] = [
    Rule::new(
        "I1: no quantity is negative, and no more is reserved than there is",
        "item",
        "/* audit: negative */
            select item_id, least_of, cast(0 as bigint) from (
                select item_id, case
                    when on_hand < 0 then on_hand
                    when reserved < 0 then reserved
                    when sold < 0 then sold
                    else on_hand - reserved end as least_of
                from stock
            ) as it where least_of < 0 order by item_id limit 100",
    ),
    Rule::new(
        "I2: what is on hand is the sum of the movements",
        "item",
        "/* audit: on_hand */
            select item_id, on_hand, cast(coalesce(sum(on_hand_delta), 0) as bigint)
            from stock left join movements using (item_id)
            group by item_id, on_hand
            having on_hand <> coalesce(sum(on_hand_delta), 0) order by item_id limit 100",
    ),
    Rule::new(
        "I2: what is reserved is the sum of the movements",
        "item",
        "/* audit: reserved */
            select item_id, reserved, cast(coalesce(sum(reserved_delta), 0) as bigint)
            from stock left join movements using (item_id)
            group by item_id, reserved
            having reserved <> coalesce(sum(reserved_delta), 0) order by item_id limit 100",
    ),
    Rule::new(
        "I2: what is sold is the sum of the movements",
        "item",
        "/* audit: sold by movements */
            select item_id, sold, cast(coalesce(sum(sold_delta), 0) as bigint)
            from stock left join movements using (item_id)
            group by item_id, sold
            having sold <> coalesce(sum(sold_delta), 0) order by item_id limit 100",
    ),
    Rule::new(
        "what is reserved is what reservations hold",
        "item",
        "/* audit: held */
            select item_id, reserved, held from (
                select item_id, reserved, (
                    select cast(coalesce(sum(qty), 0) as bigint)
                    from reservation_lines join reservations using (op_id)
                    where reservation_lines.item_id = stock.item_id and state = 'HELD'
                ) as held
                from stock
            ) as it where reserved <> held order by item_id limit 100",
    ),
    Rule::new(
        "I3: what is sold is what reservations sold, less what came back",
        "item",
        "/* audit: sold */
            select item_id, sold, committed from (
                select item_id, sold, (
                    select cast(coalesce(sum(qty - restocked), 0) as bigint)
                    from reservation_lines join reservations using (op_id)
                    where reservation_lines.item_id = stock.item_id and state = 'COMMITTED'
                ) as committed
                from stock
            ) as it where sold <> committed order by item_id limit 100",
    ),
    Rule {
        text: "I4, I5: what moved stock is an operation that took effect",
        noun: "operation",
        sql: Sql {
            postgres: "/* audit: movers */
                select cast(op_id as text), count(*), cast(0 as bigint) from movements
                cross join op_log_horizon
                where kind not in ('INITIAL', 'OPENING') and coalesce(
                    (select state from op_log where op_log.op_id = movements.op_id),
                    case when 0 < before_ms then 'APPLIED' end, 'MISSING'
                ) <> 'APPLIED' group by op_id order by op_id limit 100",
            sqlite: "/* audit: movers */
                select lower(hex(op_id)), count(*), 0 from movements
                cross join op_log_horizon
                where kind not in ('INITIAL', 'OPENING') and coalesce(
                    (select state from op_log where op_log.op_id = movements.op_id),
                    case when 0 < before_ms then 'APPLIED' end, 'MISSING'
                ) <> 'APPLIED' group by op_id order by op_id limit 100",
        },
    },
    Rule {
        text: "I4: an operation that took stock has one reservation",
        noun: "operation",
        sql: Sql {
            postgres: "/* audit: takers */
                select cast(op_id as text), cast(0 as bigint), cast(1 as bigint) from op_log
                where kind in ('Reserve', 'Decrease') and state = 'APPLIED' and not exists (
                    select 1 from reservations where reservations.op_id = op_log.op_id
                ) order by op_id limit 100",
            sqlite: "/* audit: takers */
                select lower(hex(op_id)), 0, 1 from op_log
                where kind in ('Reserve', 'Decrease') and state = 'APPLIED' and not exists (
                    select 1 from reservations where reservations.op_id = op_log.op_id
                ) order by op_id limit 100",
        },
    },
    Rule {
        text: "I4: a reservation moved what its lines say",
        noun: "reservation",
        sql: Sql {
            postgres: "/* audit: lines */
                select cast(op_id as text),
                    cast(coalesce(sum(reserved_delta + sold_delta), 0) as bigint),
                    cast(sum(qty) as bigint)
                from reservation_lines left join movements using (op_id, item_id)
                where exists (select 1 from op_log where op_log.op_id = reservation_lines.op_id)
                group by op_id
                having coalesce(sum(reserved_delta + sold_delta), 0) <> sum(qty)
                order by op_id limit 100",
            sqlite: "/* audit: lines */
                select lower(hex(op_id)), coalesce(sum(reserved_delta + sold_delta), 0), sum(qty)
                from reservation_lines left join movements using (op_id, item_id)
                where exists (select 1 from op_log where op_log.op_id = reservation_lines.op_id)
                group by op_id
                having coalesce(sum(reserved_delta + sold_delta), 0) <> sum(qty)
                order by op_id limit 100",
        },
    },
    Rule {
        text: "I5: a reservation is released by one operation, and others by none",
        noun: "reservation",
        sql: Sql {
            postgres: "/* audit: releases */
                select cast(op_id as text), releases, expected from (
                    select op_id, case state when 'RELEASED' then 1 else 0 end as expected, (
                        select count(*) from op_log
                        where op_log.reverses = reservations.op_id and op_log.state = 'APPLIED'
                    ) as releases
                    from reservations
                ) as it cross join op_log_horizon
                where releases <> expected and (releases <> 0 or before_ms = 0)
                order by op_id limit 100",
            sqlite: "/* audit: releases */
                select lower(hex(op_id)), releases, expected from (
                    select op_id, case state when 'RELEASED' then 1 else 0 end as expected, (
                        select count(*) from op_log
                        where op_log.reverses = reservations.op_id and op_log.state = 'APPLIED'
                    ) as releases
                    from reservations
                ) as it cross join op_log_horizon
                where releases <> expected and (releases <> 0 or before_ms = 0)
                order by op_id limit 100",
        },
    },
];

impl Query<Inventory> for AuditRequest {
    type Reply = AuditResponse;

    async fn answer(self, tx: &mut Tx) -> Result<AuditResponse, OperationError> {
        let violations = violations(tx, &RULES).await?;
        let counted = tx
            .row(
                "/* audit: totals */
                select count(*), cast(coalesce(sum(reserved), 0) as bigint) from stock",
                &[],
            )
            .await?;
        let (items, reserved_units) = match counted {
            Some(row) => (row.int(0)?, row.int(1)?),
            None => (0, 0),
        };
        Ok(AuditResponse { violations, items, reserved_units })
    }
}
