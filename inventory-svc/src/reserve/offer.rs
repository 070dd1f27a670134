//! What is offered, and whether an order can have what it wants.

use std::collections::HashMap;

use saga_participant::{Arg, OperationError, Sql, Tx, error::RefusalCode};

use crate::stock::{self, Quantities};

/// An item as it is offered now.
#[derive(Debug)]
pub(crate) struct Offer {
    available: i64,
    pub(crate) price_minor: i64,
    pub(crate) currency: String,
    /// That one unit grants.
    pub(crate) credits: i64,
    on_sale: bool,
}

/// By item.
pub(crate) type Offers = HashMap<String, Offer>;

/// Reads what is offered of items whose stock is held.
pub(crate) async fn read(tx: &mut Tx, item_ids: &[&str]) -> Result<Offers, OperationError> {
    const READ: Sql = Sql {
        postgres: "/* read_offers */
            select item_id, on_hand - reserved, price_minor, currency, status, credits
            from items join stock using (item_id) where item_id = any($1)",
        sqlite: "/* read_offers */
            select item_id, on_hand - reserved, price_minor, currency, status, credits
            from items join stock using (item_id)
            where item_id in (select value from json_each($1))",
    };
    let rows = tx.rows(READ, &[Arg::Texts(item_ids)]).await?;
    let mut offers = Offers::with_capacity(rows.len());
    for row in rows {
        let offer = Offer {
            available: row.int(1)?,
            price_minor: row.int(2)?,
            currency: row.text(3)?,
            on_sale: row.text(4)? == "ON_SALE",
            credits: row.int(5)?,
        };
        offers.insert(row.text(0)?, offer);
    }
    Ok(offers)
}

/// What forbids the order, the gravest first.
pub(super) fn judge(wanted: &Quantities, offers: &Offers) -> Result<(), OperationError> {
    judge_sale(wanted, offers)?;
    let is_short = |(id, qty): &(&str, i64)| offers.get(*id).is_some_and(|it| it.available < *qty);
    let short: Vec<&str> = wanted.iter().filter(is_short).map(|it| it.0).collect();
    if short.is_empty() {
        return Ok(());
    }
    let code = RefusalCode::FailedPrecondition;
    Err(stock::refusal(code, "OUT_OF_STOCK", "items that are short", &short))
}

/// Whether all items exist and are on sale, however many there are.
pub(crate) fn judge_sale(wanted: &Quantities, offers: &Offers) -> Result<(), OperationError> {
    let missing: Vec<&str> =
        wanted.iter().map(|(id, _)| id).filter(|id| !offers.contains_key(*id)).collect();
    if !missing.is_empty() {
        let (code, what) = (RefusalCode::NotFound, "items that do not exist");
        return Err(stock::refusal(code, "ITEM_NOT_FOUND", what, &missing));
    }
    let code = RefusalCode::FailedPrecondition;
    let is_off_sale = |id: &&str| offers.get(*id).is_some_and(|it| !it.on_sale);
    let off_sale: Vec<&str> = wanted.iter().map(|(id, _)| id).filter(is_off_sale).collect();
    if !off_sale.is_empty() {
        let what = "items that are not on sale";
        return Err(stock::refusal(code, "ITEM_NOT_ON_SALE", what, &off_sale));
    }
    Ok(())
}

/// What is left for those that come after an order that was judged.
pub(super) fn take_from(offers: &mut Offers, taken: &Quantities) {
    for (item_id, qty) in taken.iter() {
        if let Some(offer) = offers.get_mut(item_id) {
            offer.available -= qty;
        }
    }
}

/// The price of one, in minor units, of an item that is offered.
pub(super) fn price_minor(offers: &Offers, item_id: &str) -> i64 {
    offers.get(item_id).map_or(0, |it| it.price_minor)
}
