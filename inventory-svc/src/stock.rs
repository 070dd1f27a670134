//! The one place that changes stock. Every change is also a movement.
//!
//! A change has two halves: [`hold`] before anything is read, and [`move_units`] at the
//! end. Between them nobody else changes the rows: they are locked, or else their versions
//! tell at the end that somebody did, and nothing is done.

use std::collections::{BTreeMap, HashMap};

use saga_participant::{
    Arg, OperationError, OperationMeta, Refusal, Sql, Tx,
    error::{self, RefusalCode},
};
use uuid::Uuid;

/// How many of which items. Every item once, in order of its id, which is the order in
/// which rows are locked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quantities {
    item_ids: Vec<String>,
    qtys: Vec<i64>,
}

impl From<BTreeMap<String, i64>> for Quantities {
    fn from(lines: BTreeMap<String, i64>) -> Self {
        let (item_ids, qtys) = lines.into_iter().unzip();
        Self { item_ids, qtys }
    }
}

impl Quantities {
    pub(crate) fn item_ids(&self) -> Vec<&str> {
        self.item_ids.iter().map(String::as_str).collect()
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
    /// Sells it without a promise before.
    Decrease,
    /// Takes back what was sold.
    Restock,
    /// Finds it in the house; a negative one is missed there.
    Set,
}

impl Movement {
    fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "RESERVE",
            Self::Commit => "COMMIT",
            Self::Release => "RELEASE",
            Self::Decrease => "DECREASE",
            Self::Restock => "RESTOCK",
            Self::Set => "SET",
        }
    }

    /// What becomes of `on_hand`, `reserved` and `sold` with each unit.
    fn per_unit(self) -> [i64; 3] {
        match self {
            Self::Reserve => [0, 1, 0],
            Self::Commit => [-1, -1, 1],
            Self::Release => [0, -1, 0],
            Self::Decrease => [-1, 0, 1],
            Self::Restock => [1, 0, -1],
            Self::Set => [1, 0, 0],
        }
    }
}

/// How a change is kept apart from others of the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The rows are locked from the beginning.
    Locks,
    /// The rows must still have the versions that they had in the beginning.
    Versions,
}

/// Rows of stock that nobody else changes until this transaction has ended, or whose
/// change will be noticed.
#[derive(Debug)]
pub(crate) struct Held {
    guard: Guard,
    versions: HashMap<String, i64>,
}

impl Held {
    /// The version of an item's stock, where there is such an item.
    pub(crate) fn version(&self, item_id: &str) -> Option<i64> {
        self.versions.get(item_id).copied()
    }
}

/// Takes hold of the rows of different items. What a decision depends on is read after
/// this: a statement that waits for a lock would still show what other tables held before
/// it waited. SQLite has one writer, and this transaction is it.
pub(crate) async fn hold(
    tx: &mut Tx,
    guard: Guard,
    item_ids: &[&str],
) -> Result<Held, OperationError> {
    const SEE: Sql = Sql {
        postgres: "/* see_stock */
            select item_id, version from stock where item_id = any($1)",
        sqlite: "/* see_stock */
            select item_id, version from stock
            where item_id in (select value from json_each($1))",
    };
    let sql = match guard {
        Guard::Locks => Sql { postgres: LOCK, ..SEE },
        Guard::Versions => SEE,
    };
    let rows = tx.rows(sql, &[Arg::Texts(item_ids)]).await.map_err(conflict_of)?;
    let versions = rows.iter().map(|row| Ok((row.text(0)?, row.int(1)?)));
    Ok(Held { guard, versions: versions.collect::<Result<_, sqlx::Error>>()? })
}

// In one order, whatever the order of the lines (S3-6).
const LOCK: &str = "/* lock_stock */
    select item_id, version from stock where item_id = any($1) order by item_id for update";

// A row that has changed meanwhile is not locked, so those that come too late do not queue.
const LOCK_SEEN: &str = "/* lock_seen_stock */
    select stock.item_id
    from stock join unnest($1::text[], $2::bigint[]) as seen (item_id, version)
        on stock.item_id = seen.item_id and stock.version = seen.version
    order by stock.item_id for update of stock";

// In SQLite the arrays are JSON; materialized, they are read once and joined by an index.
const MOVE: Sql = Sql {
    postgres: "/* move_stock */
        update stock
        set on_hand = on_hand + $4 * line.qty,
            reserved = reserved + $5 * line.qty,
            sold = sold + $6 * line.qty,
            version = stock.version + 1
        from unnest($1::text[], $2::bigint[], $3::bigint[]) as line (item_id, qty, version)
        where stock.item_id = line.item_id
            and stock.version = line.version
            and 0 <= reserved + $5 * line.qty
            and reserved + $5 * line.qty <= on_hand + $4 * line.qty
            and 0 <= sold + $6 * line.qty",
    sqlite: "/* move_stock */
        with item as materialized (select key, value from json_each($1)),
            qty as materialized (select key, value from json_each($2)),
            version as materialized (select key, value from json_each($3))
        update stock
        set on_hand = on_hand + $4 * line.qty,
            reserved = reserved + $5 * line.qty,
            sold = sold + $6 * line.qty,
            version = stock.version + 1
        from (
            select item.value as item_id, qty.value as qty, version.value as version
            from item join qty using (key) join version using (key)
        ) as line
        where stock.item_id = line.item_id
            and stock.version = line.version
            and 0 <= reserved + $5 * line.qty
            and reserved + $5 * line.qty <= on_hand + $4 * line.qty
            and 0 <= sold + $6 * line.qty",
};

const RECORD_MOVEMENTS: Sql = Sql {
    postgres: "/* record_movements */
        insert into movements
            (op_id, item_id, kind, on_hand_delta, reserved_delta, sold_delta, moved_at_ms)
        select op_id, item_id, $8, $5 * qty, $6 * qty, $7 * qty, at_ms
        from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[])
            as line (op_id, item_id, qty, at_ms)",
    sqlite: "/* record_movements */
        with op as materialized (select key, value from json_each($1)),
            item as materialized (select key, value from json_each($2)),
            qty as materialized (select key, value from json_each($3)),
            at as materialized (select key, value from json_each($4))
        insert into movements
            (op_id, item_id, kind, on_hand_delta, reserved_delta, sold_delta, moved_at_ms)
        select unhex(op.value), item.value, $8, $5 * qty.value, $6 * qty.value, $7 * qty.value,
            at.value
        from op join item using (key) join qty using (key) join at using (key)",
};

/// An operation, and what it moves.
pub(crate) type Mover<'a> = (&'a OperationMeta, &'a Quantities);

/// Moves the quantities of all the operations, or none. The caller has looked whether
/// there is enough; the statement looks again (D11).
pub(crate) async fn move_units(
    tx: &mut Tx,
    held: &Held,
    movement: Movement,
    movers: &[Mover<'_>],
) -> Result<(), OperationError> {
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for (item_id, qty) in movers.iter().flat_map(|(_, quantities)| quantities.iter()) {
        *sums.entry(item_id).or_default() += qty;
    }
    let (item_ids, qtys): (Vec<&str>, Vec<i64>) = sums.into_iter().unzip();
    // A version that was not seen is one that no row has.
    let versions: Vec<i64> = item_ids.iter().map(|it| held.version(it).unwrap_or(-1)).collect();
    if held.guard == Guard::Versions && tx.is_postgres() {
        // Only now, and briefly: without it, updates of several rows could deadlock.
        let seen = [Arg::Texts(&item_ids), Arg::Ints(&versions)];
        if tx.rows(LOCK_SEEN, &seen).await.map_err(conflict_of)?.len() != item_ids.len() {
            return Err(stock_conflict());
        }
    }
    let lines = [Arg::Texts(&item_ids), Arg::Ints(&qtys), Arg::Ints(&versions)];
    let [on_hand, reserved, sold] = movement.per_unit().map(Arg::Int);
    let moved = tx.execute(MOVE, &[&lines[..], &[on_hand, reserved, sold]].concat()).await?;
    if moved != item_ids.len() as u64 {
        return Err(stock_conflict());
    }

    let lines = movers.iter().flat_map(|(op, quantities)| {
        quantities.iter().map(|(item_id, qty)| (op.op_id, op.at_ms, item_id, qty))
    });
    let lines: Vec<(Uuid, i64, &str, i64)> = lines.collect();
    let op_ids: Vec<Uuid> = lines.iter().map(|it| it.0).collect();
    let at_ms: Vec<i64> = lines.iter().map(|it| it.1).collect();
    let item_ids: Vec<&str> = lines.iter().map(|it| it.2).collect();
    let qtys: Vec<i64> = lines.iter().map(|it| it.3).collect();
    let args = [
        Arg::Uuids(&op_ids),
        Arg::Texts(&item_ids),
        Arg::Ints(&qtys),
        Arg::Ints(&at_ms),
        on_hand,
        reserved,
        sold,
        Arg::Text(movement.as_str()),
    ];
    tx.execute(RECORD_MOVEMENTS, &args).await?;
    Ok(())
}

/// A lock that was not given is a conflict about stock.
fn conflict_of(source: sqlx::Error) -> OperationError {
    if error::is_lock_conflict(&source) { stock_conflict() } else { source.into() }
}

pub(crate) fn stock_conflict() -> OperationError {
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
