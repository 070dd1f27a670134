//! What is offered, and whether an order can have what it wants.

use std::collections::HashMap;

use saga_participant::{Arg, OperationError, Sql, Tx, error::RefusalCode};

use crate::stock::{self, Quantities};

/// An item as it is offered now.
#[derive(Debug)]
pub(super) struct Offer {
    available: i64,
    price_minor: i64,
    currency: String,
    on_sale: bool,
}

/// By item.
pub(super) type Offers = HashMap<String, Offer>;

/// Reads what is offered of items whose stock is held.
pub(super) async fn read(tx: &mut Tx, item_ids: &[&str]) -> Result<Offers, OperationError> {
    const READ: Sql = Sql {
        postgres: "/* read_offers */
            select item_id, on_hand - reserved, price_minor, currency, status
            from items join stock using (item_id) where item_id = any($1)",
        sqlite: "/* read_offers */
            select item_id, on_hand - reserved, price_minor, currency, status
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
        };
        offers.insert(row.text(0)?, offer);
    }
    Ok(offers)
}

/// The total and its currency; or what forbids the order, the gravest first.
pub(super) fn judge(wanted: &Quantities, offers: &Offers) -> Result<(i64, String), OperationError> {
    let such = |holds: &dyn Fn(&Offer, i64) -> bool| -> Vec<&str> {
        let named =
            wanted.iter().filter(|(id, qty)| offers.get(*id).is_some_and(|it| holds(it, *qty)));
        named.map(|(id, _)| id).collect()
    };
    let missing: Vec<&str> =
        wanted.iter().map(|(id, _)| id).filter(|id| !offers.contains_key(*id)).collect();
    if !missing.is_empty() {
        let (code, what) = (RefusalCode::NotFound, "items that do not exist");
        return Err(stock::refusal(code, "ITEM_NOT_FOUND", what, &missing));
    }
    let code = RefusalCode::FailedPrecondition;
    let off_sale = such(&|offer, _| !offer.on_sale);
    if !off_sale.is_empty() {
        let what = "items that are not on sale";
        return Err(stock::refusal(code, "ITEM_NOT_ON_SALE", what, &off_sale));
    }
    let short = such(&|offer, qty| offer.available < qty);
    if !short.is_empty() {
        return Err(stock::refusal(code, "OUT_OF_STOCK", "items that are short", &short));
    }
    let found = wanted.iter().filter_map(|(id, _)| offers.get(id));
    let mut currencies: Vec<&str> = found.map(|it| it.currency.as_str()).collect();
    currencies.sort_unstable();
    currencies.dedup();
    let [currency] = currencies[..] else {
        let what = "items whose prices are in several currencies";
        return Err(stock::refusal(code, "CURRENCY_MIXED", what, &wanted.item_ids()));
    };
    Ok((total_minor(wanted, offers)?, currency.to_owned()))
}

/// What is left for those that come after an order that was judged.
pub(super) fn take_from(offers: &mut Offers, taken: &Quantities) {
    for (item_id, qty) in taken.iter() {
        if let Some(offer) = offers.get_mut(item_id) {
            offer.available -= qty;
        }
    }
}

fn total_minor(wanted: &Quantities, offers: &Offers) -> Result<i64, OperationError> {
    let mut total_minor = 0_i64;
    for (item_id, qty) in wanted.iter() {
        let price_minor = offers.get(item_id).map_or(0, |offer| offer.price_minor);
        let sum = price_minor.checked_mul(qty).and_then(|line| total_minor.checked_add(line));
        total_minor = sum.ok_or_else(|| {
            let remedy = format!("fewer: the total goes beyond {} minor units", i64::MAX);
            OperationError::invalid("lines", item_id, remedy)
        })?;
    }
    Ok(total_minor)
}
