//! Holds the books against each other after a run: the inventory's, the orders' and the
//! payment provider's. Nothing here is counted while orders are placed, and nothing is
//! asked of the services: the tables are read.

use std::collections::BTreeMap;

use payment_svc::simulator::{OrderLedger, Simulator};
use saga_participant::{Database, Limits, OperationError, Row, Tx};
use serde::Serialize;

use crate::books::Books;

/// Findings that are put in words at most.
const FINDINGS_MAX: usize = 20;

/// The five numbers that must be 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Integrity {
    /// Orders that were charged more than once, or more than they cost.
    pub duplicate_charges: u64,
    /// Orders whose money the shop has without a paid order of that amount.
    pub orphan_charges: u64,
    /// Items whose stock is not what movements and orders make of it.
    pub stock_mismatches: u64,
    /// Items with less than nothing of something.
    pub negative_stock: u64,
    /// Orders that were written down and whose money is not at the provider exactly.
    pub orders_without_payment: u64,
}

impl Integrity {
    /// Whether all five are 0.
    pub fn holds(&self) -> bool {
        *self == Self::default()
    }
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// The numbers.
    pub integrity: Integrity,
    /// The first violations, in words.
    pub findings: Vec<String>,
}

/// What was agreed before the first order: what the books must come out at.
#[derive(Clone, Debug, Default)]
pub struct Agreed {
    /// What each order costs, in minor units.
    pub prices_minor: BTreeMap<String, i64>,
    /// How many there were of each item.
    pub stock: BTreeMap<String, i64>,
}

/// The stock of one item, and the sums of its movements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ItemBook {
    on_hand: i64,
    reserved: i64,
    sold: i64,
    on_hand_moved: i64,
    reserved_moved: i64,
    sold_moved: i64,
}

/// An order that was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OrderBook {
    total_minor: i64,
    /// Its newest status.
    status: String,
}

/// All books, as they were read.
#[derive(Clone, Debug, Default)]
struct Pages {
    items: BTreeMap<String, ItemBook>,
    orders: BTreeMap<String, OrderBook>,
    /// Units on the lines of all orders, by item.
    ordered: BTreeMap<String, i64>,
    ledger: BTreeMap<String, OrderLedger>,
}

/// Reads the books and holds them against each other. The sagas must have ended.
///
/// # Errors
///
/// A book cannot be read.
pub async fn audit(books: &Books, simulator: &Simulator, agreed: &Agreed) -> anyhow::Result<Audit> {
    let ledger = simulator.ledger().await?;
    let inventory = Database::connect(&books.inventory, Limits::default()).await?;
    let order = Database::connect(&books.order, Limits::default()).await?;
    let items = inventory.read(read_items).await;
    let orders = order.read(read_orders).await;
    inventory.close().await;
    order.close().await;
    let (orders, ordered) = orders?;
    let ledger = ledger.into_iter().map(|it| (it.order_no.clone(), it)).collect();
    Ok(compare(&Pages { items: items?, orders, ordered, ledger }, agreed))
}

async fn read_items(mut tx: Tx) -> Result<BTreeMap<String, ItemBook>, OperationError> {
    let rows = tx
        .rows(
            "/* read_items */
            select stock.item_id, on_hand, reserved, sold,
                cast(coalesce(sum(on_hand_delta), 0) as bigint),
                cast(coalesce(sum(reserved_delta), 0) as bigint),
                cast(coalesce(sum(sold_delta), 0) as bigint)
            from stock left join movements on movements.item_id = stock.item_id
            group by stock.item_id, on_hand, reserved, sold",
            &[],
        )
        .await?;
    let item = |row: &Row| {
        let book = ItemBook {
            on_hand: row.int(1)?,
            reserved: row.int(2)?,
            sold: row.int(3)?,
            on_hand_moved: row.int(4)?,
            reserved_moved: row.int(5)?,
            sold_moved: row.int(6)?,
        };
        Ok((row.text(0)?, book))
    };
    rows.iter().map(item).collect()
}

type Orders = (BTreeMap<String, OrderBook>, BTreeMap<String, i64>);

async fn read_orders(mut tx: Tx) -> Result<Orders, OperationError> {
    let orders = tx
        .rows(
            "/* read_orders */
            select orders.order_no, total_minor, now.status
            from orders join order_status as now on now.order_no = orders.order_no
            where not exists (
                select 1 from order_status as later
                where later.order_no = now.order_no and later.prev_id = now.id
            )",
            &[],
        )
        .await?;
    let ordered = tx
        .rows(
            "/* read_orders: lines */
            select item_id, cast(sum(qty) as bigint) from order_lines
            where state <> 'CANCELED' group by item_id",
            &[],
        )
        .await?;
    let order = |row: &Row| {
        let book = OrderBook { total_minor: row.int(1)?, status: row.text(2)? };
        Ok((row.text(0)?, book))
    };
    let units = |row: &Row| Ok((row.text(0)?, row.int(1)?));
    let orders: Result<_, OperationError> = orders.iter().map(order).collect();
    let ordered: Result<_, OperationError> = ordered.iter().map(units).collect();
    Ok((orders?, ordered?))
}

fn compare(pages: &Pages, agreed: &Agreed) -> Audit {
    let mut audit = Audit::default();
    compare_money(pages, agreed, &mut audit);
    compare_stock(pages, agreed, &mut audit);
    audit
}

fn compare_money(pages: &Pages, agreed: &Agreed, audit: &mut Audit) {
    for (order_no, charged) in &pages.ledger {
        let OrderLedger { captured_minor, cancelled_minor, captures, .. } = *charged;
        let price_minor = agreed.prices_minor.get(order_no).copied();
        if captures > 1 || price_minor.is_some_and(|price| price < captured_minor) {
            audit.integrity.duplicate_charges += 1;
            audit.found(format!(
                "order {order_no} was charged {captured_minor} in {captures} captures; it costs \
                 {price_minor:?}"
            ));
        }
        let kept_minor = captured_minor - cancelled_minor;
        let is_paid_order = pages.orders.get(order_no).is_some_and(|order| {
            order.status == "PAYMENT_SUCCESS" && order.total_minor == kept_minor
        });
        if kept_minor != 0 && !is_paid_order {
            audit.integrity.orphan_charges += 1;
            let order = pages.orders.get(order_no);
            audit.found(format!("{kept_minor} were kept for order {order_no}, which is {order:?}"));
        }
    }
    for (order_no, order) in &pages.orders {
        let charged = pages.ledger.get(order_no);
        let kept_minor = charged.map_or(0, |it| it.captured_minor - it.cancelled_minor);
        if kept_minor != order.total_minor {
            audit.integrity.orders_without_payment += 1;
            let total_minor = order.total_minor;
            audit.found(format!("order {order_no} of {total_minor} has {kept_minor} paid"));
        }
    }
}

fn compare_stock(pages: &Pages, agreed: &Agreed, audit: &mut Audit) {
    for (item_id, item) in &pages.items {
        let ItemBook { on_hand, reserved, sold, .. } = *item;
        if on_hand < 0 || reserved < 0 || sold < 0 || on_hand < reserved {
            audit.integrity.negative_stock += 1;
            audit.found(format!("item {item_id} has less than nothing: {item:?}"));
        }
        let moved = (item.on_hand_moved, item.reserved_moved, item.sold_moved);
        let ordered = pages.ordered.get(item_id).copied().unwrap_or(0);
        let initial = agreed.stock.get(item_id).copied();
        let explained = (on_hand, reserved, sold) == moved
            && sold == ordered
            && reserved == 0
            && initial.is_none_or(|initial| on_hand + sold == initial);
        if !explained {
            audit.integrity.stock_mismatches += 1;
            audit.found(format!(
                "item {item_id} began with {initial:?} and orders name {ordered}: {item:?}"
            ));
        }
    }
    let unknown = pages.ordered.keys().filter(|item_id| !pages.items.contains_key(*item_id));
    for item_id in unknown {
        audit.integrity.stock_mismatches += 1;
        audit.found(format!("item {item_id} is on orders and was never in stock"));
    }
}

impl Audit {
    fn found(&mut self, finding: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two units of an item at 5 were sold to one order.
    fn sound() -> (Pages, Agreed) {
        let item = ItemBook {
            on_hand: 8,
            sold: 2,
            on_hand_moved: 8,
            sold_moved: 2,
            ..ItemBook::default()
        };
        let order = OrderBook { total_minor: 10, status: "PAYMENT_SUCCESS".to_owned() };
        let ledger = OrderLedger {
            order_no: "order-1".to_owned(),
            captured_minor: 10,
            cancelled_minor: 0,
            captures: 1,
        };
        let pages = Pages {
            items: BTreeMap::from([("a".to_owned(), item)]),
            orders: BTreeMap::from([("order-1".to_owned(), order)]),
            ordered: BTreeMap::from([("a".to_owned(), 2)]),
            ledger: BTreeMap::from([("order-1".to_owned(), ledger)]),
        };
        let agreed = Agreed {
            prices_minor: BTreeMap::from([("order-1".to_owned(), 10)]),
            stock: BTreeMap::from([("a".to_owned(), 10)]),
        };
        (pages, agreed)
    }

    /// What the audit says of the sound books after `change`.
    fn changed(change: impl FnOnce(&mut Pages)) -> Integrity {
        let (mut pages, agreed) = sound();
        change(&mut pages);
        compare(&pages, &agreed).integrity
    }

    fn only(set: impl FnOnce(&mut Integrity)) -> Integrity {
        let mut integrity = Integrity::default();
        set(&mut integrity);
        integrity
    }

    #[test]
    fn sound_books_are_found_sound() {
        assert!(changed(|_| ()).holds());
    }

    #[test]
    fn a_charge_beyond_the_price_is_found() {
        let twice = |it: &mut Pages| {
            let ledger = it.ledger.get_mut("order-1").unwrap();
            (ledger.captures, ledger.captured_minor, ledger.cancelled_minor) = (2, 20, 10);
        };
        assert_eq!(changed(twice), only(|it| it.duplicate_charges = 1));
        let too_much = |it: &mut Pages| {
            let ledger = it.ledger.get_mut("order-1").unwrap();
            (ledger.captured_minor, ledger.cancelled_minor) = (11, 1);
        };
        assert_eq!(changed(too_much), only(|it| it.duplicate_charges = 1));
    }

    #[test]
    fn money_without_an_order_and_an_order_without_money_are_found() {
        let no_order = |it: &mut Pages| {
            it.orders.clear();
            it.ordered.clear();
            it.items.get_mut("a").unwrap().sold = 0;
        };
        assert_eq!(changed(no_order).orphan_charges, 1);
        let not_paid = |it: &mut Pages| "PAYMENT_PENDING".clone_into(&mut it.order().status);
        assert_eq!(changed(not_paid), only(|it| it.orphan_charges = 1));
        let given_back = |it: &mut Pages| it.ledger.clear();
        assert_eq!(changed(given_back), only(|it| it.orders_without_payment = 1));
        let other_amount = |it: &mut Pages| it.order().total_minor = 9;
        let both = |it: &mut Integrity| {
            (it.orphan_charges, it.orders_without_payment) = (1, 1);
        };
        assert_eq!(changed(other_amount), only(both));
    }

    #[test]
    fn stock_that_nothing_explains_is_found() {
        let changes: [fn(&mut ItemBook); 6] = [
            |it| it.on_hand += 1,
            |it| it.sold += 1,
            |it| (it.reserved, it.reserved_moved) = (1, 1),
            |it| it.on_hand_moved -= 1,
            |it| (it.sold, it.sold_moved) = (3, 3),
            |it| (it.on_hand, it.on_hand_moved) = (7, 7),
        ];
        for change in changes {
            let found = changed(|it| change(it.items.get_mut("a").unwrap()));
            assert_eq!(found, only(|it| it.stock_mismatches = 1));
        }
        let nowhere = changed(|it| it.ordered.extend([("b".to_owned(), 1)]));
        assert_eq!(nowhere, only(|it| it.stock_mismatches = 1));
    }

    #[test]
    fn less_than_nothing_is_found() {
        let negative: [fn(&mut ItemBook); 4] =
            [|it| it.on_hand = -1, |it| it.reserved = -1, |it| it.sold = -1, |it| it.reserved = 9];
        for change in negative {
            let found = changed(|it| change(it.items.get_mut("a").unwrap()));
            assert_eq!((found.negative_stock, found.stock_mismatches), (1, 1));
        }
    }

    impl Pages {
        fn order(&mut self) -> &mut OrderBook {
            self.orders.get_mut("order-1").unwrap()
        }
    }
}
