//! What is deleted of operations of long ago: movements are folded into one opening row for each
//! item, so that stock stays their sum; reservations go of which nothing can be given back any more.
//!
//! An operation is one of those where the kit has pruned its row, and it is not newer than what was
//! pruned.

use saga_participant::{
    Arg, Prune, Sql, Tx,
    prune::{Batch, Pruned},
};
use uuid::Uuid;

/// In this order: the audit compares reservations with movements.
pub(crate) const PRUNES: &[Prune] = &[
    Prune { what: "released reservations", batch: |tx, batch| prune(tx, batch, RELEASED) },
    Prune { what: "reservations that came back", batch: |tx, batch| prune(tx, batch, GIVEN_BACK) },
    Prune { what: "movements", batch: fold },
];

/// Released by an operation that is pruned as well.
const RELEASED: Sql = Sql {
    postgres: "/* prune: released */
        select op_id from reservations
        where state = 'RELEASED' and reserved_at_ms <= $1
            and not exists (select 1 from op_log where op_log.op_id = reservations.op_id)
            and not exists (select 1 from op_log where op_log.reverses = reservations.op_id)
        order by reserved_at_ms limit $2 for update skip locked",
    sqlite: "/* prune: released */
        select op_id from reservations
        where state = 'RELEASED' and reserved_at_ms <= $1
            and not exists (select 1 from op_log where op_log.op_id = reservations.op_id)
            and not exists (select 1 from op_log where op_log.reverses = reservations.op_id)
        order by reserved_at_ms limit $2",
};

/// Sold, and all of it came back.
const GIVEN_BACK: Sql = Sql {
    postgres: "/* prune: given back */
        select op_id from reservations
        where state = 'COMMITTED' and reserved_at_ms <= $1
            and op_id in (select op_id from reservation_lines where restocked = qty)
            and not exists (
                select 1 from reservation_lines
                where reservation_lines.op_id = reservations.op_id and restocked < qty
            )
            and not exists (select 1 from op_log where op_log.op_id = reservations.op_id)
        limit $2 for update skip locked",
    sqlite: "/* prune: given back */
        select op_id from reservations
        where state = 'COMMITTED' and reserved_at_ms <= $1
            and op_id in (select op_id from reservation_lines where restocked = qty)
            and not exists (
                select 1 from reservation_lines
                where reservation_lines.op_id = reservations.op_id and restocked < qty
            )
            and not exists (select 1 from op_log where op_log.op_id = reservations.op_id)
        limit $2",
};

const DELETE_LINES: Sql = Sql {
    postgres: "/* prune: lines */ delete from reservation_lines where op_id = any($1)",
    sqlite: "/* prune: lines */
        delete from reservation_lines where op_id in (select unhex(value) from json_each($1))",
};

const DELETE: Sql = Sql {
    postgres: "/* prune: reservations */ delete from reservations where op_id = any($1)",
    sqlite: "/* prune: reservations */
        delete from reservations where op_id in (select unhex(value) from json_each($1))",
};

/// Deletes the reservations that `which` finds.
fn prune(tx: &mut Tx, batch: Batch, which: Sql) -> Pruned<'_> {
    Box::pin(async move {
        let args = [Arg::Int(batch.pruned_at_ms), Arg::Int(batch.rows_max)];
        let rows = tx.rows(which, &args).await?;
        let op_ids: Vec<Uuid> = rows.iter().map(|it| it.uuid(0)).collect::<Result<_, _>>()?;
        if op_ids.is_empty() {
            return Ok(0);
        }
        tx.execute(DELETE_LINES, &[Arg::Uuids(&op_ids)]).await?;
        tx.execute(DELETE, &[Arg::Uuids(&op_ids)]).await
    })
}

/// Movements of operations that are pruned, oldest first.
macro_rules! gone {
    () => {
        "select movements.op_id, movements.item_id from movements
        where kind <> 'OPENING' and moved_at_ms <= $1
            and not exists (select 1 from op_log where op_log.op_id = movements.op_id)
        order by moved_at_ms, movements.op_id, movements.item_id limit $2"
    };
}

const FOLD: &str = concat!(
    "/* fold_movements */
    insert into movements
        (op_id, item_id, kind, on_hand_delta, reserved_delta, sold_delta, moved_at_ms)
    select $3, item_id, 'OPENING', cast(sum(on_hand_delta) as bigint),
        cast(sum(reserved_delta) as bigint), cast(sum(sold_delta) as bigint), max(moved_at_ms)
    from movements where (op_id, item_id) in (",
    gone!(),
    ") group by item_id
    on conflict (op_id, item_id) do update
    set on_hand_delta = movements.on_hand_delta + excluded.on_hand_delta,
        reserved_delta = movements.reserved_delta + excluded.reserved_delta,
        sold_delta = movements.sold_delta + excluded.sold_delta,
        moved_at_ms = excluded.moved_at_ms"
);

const DELETE_FOLDED: &str = concat!(
    "/* delete_folded_movements */ delete from movements where (op_id, item_id) in (",
    gone!(),
    ")"
);

/// Folds movements into the opening row of their item. Movements are never changed but here,
/// where a row of `movement_folds` says so: one at a time folds, and nobody else sees it.
fn fold(tx: &mut Tx, batch: Batch) -> Pruned<'_> {
    Box::pin(async move {
        let Batch { pruned_at_ms, rows_max } = batch;
        tx.execute("/* begin_fold */ insert into movement_folds (one) values (1)", &[]).await?;
        let gone = [Arg::Int(pruned_at_ms), Arg::Int(rows_max)];
        let opening = Arg::Uuid(Uuid::nil());
        tx.execute(FOLD, &[gone[0], gone[1], opening]).await?;
        let folded = tx.execute(DELETE_FOLDED, &gone).await?;
        tx.execute("/* end_fold */ delete from movement_folds", &[]).await?;
        Ok(folded)
    })
}
