//! The one place that changes stock: rows are locked, in one order, before they are read,
//! and every change is also a movement.

use saga_participant::{
    Arg, OperationError, OperationMeta, Refusal, Sql, Tx,
    error::{self, RefusalCode},
};

/// How many of which items. Every item once, in order of its id, which is the order in
/// which rows are locked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quantities {
    item_ids: Vec<String>,
    qtys: Vec<i64>,
}

impl FromIterator<(String, i64)> for Quantities {
    /// From items that are sorted and different.
    fn from_iter<I: IntoIterator<Item = (String, i64)>>(lines: I) -> Self {
        let (item_ids, qtys) = lines.into_iter().unzip();
        Self { item_ids, qtys }
    }
}

impl Quantities {
    pub(crate) fn item_ids(&self) -> Vec<&str> {
        self.item_ids.iter().map(String::as_str).collect()
    }

    pub(crate) fn qtys(&self) -> &[i64] {
        &self.qtys
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.item_ids.iter().map(String::as_str).zip(self.qtys.iter().copied())
    }

    pub(crate) fn len(&self) -> usize {
        self.qtys.len()
    }

    pub(crate) fn units(&self) -> i64 {
        self.qtys.iter().sum()
    }
}

/// What an operation does with each unit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Movement {
    /// Promises it.
    Reserve,
    /// Sells what was promised.
    Commit,
    /// Takes the promise back.
    Release,
}

impl Movement {
    fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "RESERVE",
            Self::Commit => "COMMIT",
            Self::Release => "RELEASE",
        }
    }

    /// What becomes of `on_hand`, `reserved` and `sold` with each unit.
    fn per_unit(self) -> [i64; 3] {
        match self {
            Self::Reserve => [0, 1, 0],
            Self::Commit => [-1, -1, 1],
            Self::Release => [0, -1, 0],
        }
    }
}

/// Locks the rows of the items, in one order whatever the order of the lines (S3-6).
/// SQLite has one writer, and this transaction is it.
pub(crate) async fn lock(tx: &mut Tx, item_ids: &[&str]) -> Result<(), OperationError> {
    if tx.is_postgres() {
        let sql = "/* lock_stock */
            select 1 from stock where item_id = any($1) order by item_id for update";
        tx.rows(sql, &[Arg::Texts(item_ids)]).await.map_err(conflict_of)?;
    }
    Ok(())
}

// In SQLite the arrays are JSON; materialized, they are read once and joined by an index.
const MOVE: Sql = Sql {
    postgres: "/* move_stock */
        update stock
        set on_hand = on_hand + $3 * line.qty,
            reserved = reserved + $4 * line.qty,
            sold = sold + $5 * line.qty,
            version = version + 1
        from unnest($1::text[], $2::bigint[]) as line (item_id, qty)
        where stock.item_id = line.item_id
            and 0 <= reserved + $4 * line.qty
            and reserved + $4 * line.qty <= on_hand + $3 * line.qty",
    sqlite: "/* move_stock */
        with item as materialized (select key, value from json_each($1)),
            qty as materialized (select key, value from json_each($2))
        update stock
        set on_hand = on_hand + $3 * line.qty,
            reserved = reserved + $4 * line.qty,
            sold = sold + $5 * line.qty,
            version = version + 1
        from (
            select item.value as item_id, qty.value as qty
            from item join qty using (key)
        ) as line
        where stock.item_id = line.item_id
            and 0 <= reserved + $4 * line.qty
            and reserved + $4 * line.qty <= on_hand + $3 * line.qty",
};

const RECORD_MOVEMENTS: Sql = Sql {
    postgres: "/* record_movements */
        insert into movements
            (op_id, item_id, kind, on_hand_delta, reserved_delta, sold_delta, moved_at_ms)
        select $6, item_id, $7, $3 * qty, $4 * qty, $5 * qty, $8
        from unnest($1::text[], $2::bigint[]) as line (item_id, qty)",
    sqlite: "/* record_movements */
        with item as materialized (select key, value from json_each($1)),
            qty as materialized (select key, value from json_each($2))
        insert into movements
            (op_id, item_id, kind, on_hand_delta, reserved_delta, sold_delta, moved_at_ms)
        select $6, item.value, $7, $3 * qty.value, $4 * qty.value, $5 * qty.value, $8
        from item join qty using (key)",
};

/// Moves all the quantities or none. The rows are locked, and the caller has looked
/// whether there is enough; the statement looks again (D11).
pub(crate) async fn move_units(
    tx: &mut Tx,
    op: &OperationMeta,
    movement: Movement,
    quantities: &Quantities,
) -> Result<(), OperationError> {
    let [on_hand, reserved, sold] = movement.per_unit();
    let item_ids = quantities.item_ids();
    let (items, qtys) = (Arg::Texts(&item_ids), Arg::Ints(quantities.qtys()));
    let per_unit = [Arg::Int(on_hand), Arg::Int(reserved), Arg::Int(sold)];
    let [on_hand, reserved, sold] = per_unit;

    let moved = tx.execute(MOVE, &[items, qtys, on_hand, reserved, sold]).await?;
    if moved != quantities.len() as u64 {
        return Err(stock_conflict());
    }
    let (op_id, kind) = (Arg::Uuid(op.op_id), Arg::Text(movement.as_str()));
    let at = Arg::Int(op.at_ms);
    tx.execute(RECORD_MOVEMENTS, &[items, qtys, on_hand, reserved, sold, op_id, kind, at]).await?;
    Ok(())
}

/// A lock that was not given is a conflict about stock.
fn conflict_of(source: sqlx::Error) -> OperationError {
    if error::is_lock_conflict(&source) { stock_conflict() } else { source.into() }
}

fn stock_conflict() -> OperationError {
    OperationError::Conflict {
        reason: "STOCK_CONFLICT",
        message: "other orders are changing the same items; nothing was done, try again".to_owned(),
        retry_after_ms: 100,
    }
}

/// Statuses travel in headers, so only so many items are named.
const ITEMS_NAMED_MAX: usize = 10;

/// A refusal because of some of the items.
pub(crate) fn refusal(
    code: RefusalCode,
    reason: &'static str,
    what: &str,
    item_ids: &[&str],
) -> OperationError {
    let named = item_ids.iter().take(ITEMS_NAMED_MAX).copied().collect::<Vec<_>>().join(",");
    let more = item_ids.len().saturating_sub(ITEMS_NAMED_MAX);
    let and_more = if more == 0 { String::new() } else { format!(" and {more} more") };
    OperationError::Rejected(Refusal {
        code,
        reason,
        message: format!("{what}: {named}{and_more}"),
        metadata: vec![("items", named), ("items_count", item_ids.len().to_string())],
    })
}
