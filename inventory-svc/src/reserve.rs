//! `Reserve`: promises the stock of all lines of an order, or of none.

use std::collections::{BTreeMap, HashMap};

use saga_participant::{
    Arg, Operation, OperationError, OperationMeta, Sql, Tx, error::RefusalCode, fields,
};
use saga_proto::shop::inventory::v1::{Line, ReserveRequest, ReserveResponse};

use crate::{
    Inventory,
    stock::{self, Movement, Quantities},
};

const LINES_MAX: usize = 2_000;
const QTY_MAX: i64 = 1_000_000;
pub(crate) const ITEM_ID_CHARS_MAX: usize = 64;

impl Operation<Inventory> for ReserveRequest {
    const KIND: &'static str = "Reserve";
    type Reply = ReserveResponse;

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<ReserveResponse, OperationError> {
        fields::identifier("order_no", &self.order_no, 6..=64)?;
        let wanted = merge(&self.lines)?;
        stock::lock(tx, &wanted.item_ids()).await?;
        let found = read_offers(tx, &wanted).await?;
        let (total_minor, currency) = judge(&wanted, &found)?;

        stock::move_units(tx, op, Movement::Reserve, &wanted).await?;
        let expires_at_ms = self.hold_until.map(|it| it.seconds.saturating_mul(1_000));
        insert_reservation(tx, op, &self.order_no, expires_at_ms, &wanted).await?;
        Ok(ReserveResponse {
            reserve_op_id: op.op_id.to_string(),
            items: u32::try_from(wanted.len()).unwrap_or(u32::MAX),
            total_minor,
            currency,
        })
    }
}

/// Adds up lines of the same item (14 % of real orders have such lines).
fn merge(lines: &[Line]) -> Result<Quantities, OperationError> {
    fields::within("lines", lines.len(), 1..=LINES_MAX)?;
    let mut merged = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        let field = |name: &str| format!("lines[{index}].{name}");
        fields::text(&field("item_id"), &line.item_id, 1..=ITEM_ID_CHARS_MAX)?;
        fields::within(&field("qty"), line.qty, 1..=QTY_MAX)?;
        // 2,000 lines of 1,000,000 units are far from the end of an i64.
        *merged.entry(line.item_id.clone()).or_insert(0_i64) += line.qty;
    }
    Ok(merged.into_iter().collect())
}

/// An item as it is offered now.
struct Offer {
    available: i64,
    price_minor: i64,
    currency: String,
    on_sale: bool,
}

/// Reads the items after their rows were locked, in a statement of its own: one that waits
/// for a lock would still show what other tables held before it waited.
async fn read_offers(
    tx: &mut Tx,
    wanted: &Quantities,
) -> Result<HashMap<String, Offer>, OperationError> {
    const READ: Sql = Sql {
        postgres: "/* read_offers */
            select item_id, on_hand - reserved, price_minor, currency, status
            from items join stock using (item_id) where item_id = any($1)",
        sqlite: "/* read_offers */
            select item_id, on_hand - reserved, price_minor, currency, status
            from items join stock using (item_id)
            where item_id in (select value from json_each($1))",
    };
    let rows = tx.rows(READ, &[Arg::Texts(&wanted.item_ids())]).await?;
    let mut offers = HashMap::with_capacity(rows.len());
    for row in rows {
        let offer = Offer {
            available: row.int(1)?,
            price_minor: row.int(2)?,
            currency: row.text(3)?,
            on_sale: row.text(4)? == "ON_SALE",
        };
        offers.insert(row.text(0)?, offer);
    }
    Ok(offers)
}

/// The total and its currency; or what forbids the order, the gravest first.
fn judge(
    wanted: &Quantities,
    found: &HashMap<String, Offer>,
) -> Result<(i64, String), OperationError> {
    let such = |holds: &dyn Fn(&Offer, i64) -> bool| -> Vec<&str> {
        let named =
            wanted.iter().filter(|(id, qty)| found.get(*id).is_some_and(|it| holds(it, *qty)));
        named.map(|(id, _)| id).collect()
    };
    let missing: Vec<&str> =
        wanted.iter().map(|(id, _)| id).filter(|id| !found.contains_key(*id)).collect();
    if !missing.is_empty() {
        let (code, what) = (RefusalCode::NotFound, "items that do not exist");
        return Err(stock::refusal(code, "ITEM_NOT_FOUND", what, &missing));
    }
    let code = RefusalCode::FailedPrecondition;
    let off_sale = such(&|offer, _| !offer.on_sale);
    if !off_sale.is_empty() {
        return Err(stock::refusal(
            code,
            "ITEM_NOT_ON_SALE",
            "items that are not on sale",
            &off_sale,
        ));
    }
    let short = such(&|offer, qty| offer.available < qty);
    if !short.is_empty() {
        return Err(stock::refusal(code, "OUT_OF_STOCK", "items that are short", &short));
    }
    let mut currencies: Vec<&str> = found.values().map(|it| it.currency.as_str()).collect();
    currencies.sort_unstable();
    currencies.dedup();
    let [currency] = currencies[..] else {
        let what = "items whose prices are in several currencies";
        return Err(stock::refusal(code, "CURRENCY_MIXED", what, &wanted.item_ids()));
    };
    Ok((total_minor(wanted, found)?, currency.to_owned()))
}

fn total_minor(wanted: &Quantities, found: &HashMap<String, Offer>) -> Result<i64, OperationError> {
    let mut total_minor = 0_i64;
    for (item_id, qty) in wanted.iter() {
        let price_minor = found.get(item_id).map_or(0, |offer| offer.price_minor);
        let sum = price_minor.checked_mul(qty).and_then(|line| total_minor.checked_add(line));
        total_minor = sum.ok_or_else(|| {
            let remedy = format!("fewer: the total goes beyond {} minor units", i64::MAX);
            OperationError::invalid("lines", item_id, remedy)
        })?;
    }
    Ok(total_minor)
}

async fn insert_reservation(
    tx: &mut Tx,
    op: &OperationMeta,
    order_no: &str,
    expires_at_ms: Option<i64>,
    quantities: &Quantities,
) -> Result<(), OperationError> {
    const INSERT_LINES: Sql = Sql {
        postgres: "/* insert_reservation_lines */
            insert into reservation_lines (op_id, item_id, qty)
            select $3, item_id, qty
            from unnest($1::text[], $2::bigint[]) as line (item_id, qty)",
        sqlite: "/* insert_reservation_lines */
            with item as materialized (select key, value from json_each($1)),
                qty as materialized (select key, value from json_each($2))
            insert into reservation_lines (op_id, item_id, qty)
            select $3, item.value, qty.value
            from item join qty using (key)",
    };
    tx.execute(
        "/* insert_reservation */
        insert into reservations (op_id, order_no, state, expires_at_ms, reserved_at_ms)
        values ($1, $2, 'HELD', $3, $4)",
        &[Arg::Uuid(op.op_id), Arg::Text(order_no), expires_at_ms.into(), Arg::Int(op.at_ms)],
    )
    .await?;
    let item_ids = quantities.item_ids();
    let lines = [Arg::Texts(&item_ids), Arg::Ints(quantities.qtys()), Arg::Uuid(op.op_id)];
    tx.execute(INSERT_LINES, &lines).await?;
    Ok(())
}
