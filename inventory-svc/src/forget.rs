//! What is left of operations that are forgotten: their effect, and nothing of how it came.
//!
//! Movements become one opening row per item, so that stock stays the sum of its movements.
//! Reservations that were released, or sold and given back whole, go; what may still be given
//! back stays, however old it is.

use saga_participant::{Arg, OperationError, Sql, Tx};
use uuid::Uuid;

/// The operation of the opening rows.
const OPENING: Uuid = Uuid::nil();

/// Takes away what is kept of the operations, whose rows in the operation log are deleted in
/// this transaction.
///
/// # Errors
///
/// Those of the database. The transaction must be rolled back.
pub(crate) async fn forget(tx: &mut Tx, op_ids: &[Uuid]) -> Result<(), OperationError> {
    tx.execute(OPEN, &[Arg::Uuids(op_ids), Arg::Uuid(OPENING)]).await?;
    tx.execute(FOLD, &[Arg::Uuids(op_ids)]).await?;
    let over = tx.rows(OVER, &[Arg::Uuids(op_ids)]).await?;
    let over = over.iter().map(|row| row.uuid(0)).collect::<Result<Vec<_>, _>>()?;
    if !over.is_empty() {
        tx.execute(DELETE_LINES, &[Arg::Uuids(&over)]).await?;
        tx.execute(DELETE_RESERVATIONS, &[Arg::Uuids(&over)]).await?;
    }
    Ok(())
}

/// In one order, as other transactions fold other movements of the same items.
const OPEN: Sql = Sql {
    postgres: "/* forget: open */
        insert into movements
            (op_id, item_id, kind, on_hand_delta, reserved_delta, sold_delta, moved_at_ms)
        select $2, item_id, 'OPENING', sum(on_hand_delta), sum(reserved_delta), sum(sold_delta),
            max(moved_at_ms)
        from movements where op_id = any($1)
        group by item_id order by item_id
        on conflict (op_id, item_id) do update set
            on_hand_delta = movements.on_hand_delta + excluded.on_hand_delta,
            reserved_delta = movements.reserved_delta + excluded.reserved_delta,
            sold_delta = movements.sold_delta + excluded.sold_delta,
            moved_at_ms = greatest(movements.moved_at_ms, excluded.moved_at_ms)",
    sqlite: "/* forget: open */
        insert into movements
            (op_id, item_id, kind, on_hand_delta, reserved_delta, sold_delta, moved_at_ms)
        select $2, item_id, 'OPENING', sum(on_hand_delta), sum(reserved_delta), sum(sold_delta),
            max(moved_at_ms)
        from movements where op_id in (select unhex(value) from json_each($1))
        group by item_id order by item_id
        on conflict (op_id, item_id) do update set
            on_hand_delta = movements.on_hand_delta + excluded.on_hand_delta,
            reserved_delta = movements.reserved_delta + excluded.reserved_delta,
            sold_delta = movements.sold_delta + excluded.sold_delta,
            moved_at_ms = max(movements.moved_at_ms, excluded.moved_at_ms)",
};

const FOLD: Sql = Sql {
    postgres: "/* forget: fold */ delete from movements where op_id = any($1)",
    sqlite: "/* forget: fold */
        delete from movements where op_id in (select unhex(value) from json_each($1))",
};

/// Reservations of which nothing can be given back, and which no operation on record is about:
/// who made it and who gave back the last of it may be forgotten in either order.
const OVER: Sql = Sql {
    postgres: "/* forget: over */
        select op_id from reservations
        where (op_id = any($1) or returned_by = any($1))
            and (state = 'RELEASED' or (state = 'COMMITTED' and not exists (
                select 1 from reservation_lines as line
                where line.op_id = reservations.op_id and line.restocked < line.qty
            )))
            and not exists (
                select 1 from op_log
                where op_log.op_id in (reservations.op_id, reservations.returned_by)
            )
        order by op_id for update",
    sqlite: "/* forget: over */
        select op_id from reservations
        where (op_id in (select unhex(value) from json_each($1))
                or returned_by in (select unhex(value) from json_each($1)))
            and (state = 'RELEASED' or (state = 'COMMITTED' and not exists (
                select 1 from reservation_lines as line
                where line.op_id = reservations.op_id and line.restocked < line.qty
            )))
            and not exists (
                select 1 from op_log
                where op_log.op_id = reservations.op_id
                    or op_log.op_id = reservations.returned_by
            )",
};

const DELETE_LINES: Sql = Sql {
    postgres: "/* forget: lines */ delete from reservation_lines where op_id = any($1)",
    sqlite: "/* forget: lines */
        delete from reservation_lines where op_id in (select unhex(value) from json_each($1))",
};

const DELETE_RESERVATIONS: Sql = Sql {
    postgres: "/* forget: reservations */ delete from reservations where op_id = any($1)",
    sqlite: "/* forget: reservations */
        delete from reservations where op_id in (select unhex(value) from json_each($1))",
};
