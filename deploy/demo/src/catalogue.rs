//! What the shop sells: items with their price and the stock they begin with.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use crate::orders::{Order, records};

/// Currency of everything.
pub const CURRENCY: &str = "GBP";

/// An item that can be bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// What one costs, in minor units.
    pub price_minor: i64,
    /// How many there are before the first order.
    pub initial_stock: i64,
}

/// All items, by their ids.
pub type Catalogue = BTreeMap<String, Item>;

#[derive(Deserialize)]
struct Record {
    sku: String,
    name: String,
    price_minor: i64,
    units_ordered: i64,
}

/// Reads the items of a file. The stock is what was ordered of each over the whole time.
///
/// # Errors
///
/// The file, or a line of it by number, cannot be read.
pub fn read_items(path: &Path) -> anyhow::Result<Catalogue> {
    let items = records::<Record>(path)?.map(|record| {
        let Record { sku, name, price_minor, units_ordered } = record?;
        let price_minor = price_minor.max(1);
        Ok((sku, Item { name, price_minor, initial_stock: units_ordered.max(1) }))
    });
    items.collect()
}

/// Adds the items that orders name and the catalogue lacks: at the price that the first
/// order with it gives, and with enough stock for all of them.
pub fn complete(catalogue: &mut Catalogue, orders: &[Order]) {
    let mut missing = Catalogue::new();
    for line in orders.iter().flat_map(|order| &order.lines) {
        if catalogue.contains_key(&line.item_id) {
            continue;
        }
        let item = missing.entry(line.item_id.clone()).or_insert_with(|| Item {
            name: line.item_id.clone(),
            price_minor: line.file_price_minor.max(1),
            initial_stock: 1,
        });
        item.initial_stock = item.initial_stock.saturating_add(line.qty.max(0));
    }
    catalogue.append(&mut missing);
}

/// What an order costs at the shop's prices, in minor units. None: an item is unknown, or
/// the sum is out of range.
pub fn total_minor(catalogue: &Catalogue, order: &Order) -> Option<i64> {
    order.lines.iter().try_fold(0_i64, |sum, line| {
        let price_minor = catalogue.get(&line.item_id)?.price_minor;
        sum.checked_add(price_minor.checked_mul(line.qty)?)
    })
}
