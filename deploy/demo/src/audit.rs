//! Holds the books against each other after a run: the inventory's, the orders', the
//! payments', the coupons' and the payment provider's. Nothing here is counted while orders are
//! placed, and nothing is asked of the services: the tables are read.

use std::collections::{BTreeMap, BTreeSet};

use payment_svc::simulator::{OrderLedger, Simulator};
use serde::Serialize;

use crate::books::Books;

mod coupons;
mod pages;
use pages::{ItemBook, OrderBook, Pages};

/// Findings that are put in words at most.
const FINDINGS_MAX: usize = 20;

/// The six numbers that must be 0. "What an order is worth" is what those of its lines cost
/// that are not cancelled, once it is paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Integrity {
    /// Orders that were charged more than once, or more than they cost.
    pub duplicate_charges: u64,
    /// Orders for which the shop has money beyond or beside what they are worth, and lines
    /// that were cancelled for the buyer and not in the books.
    pub orphan_charges: u64,
    /// Items whose stock is not what movements, orders and cancels make of it.
    pub stock_mismatches: u64,
    /// Items with less than nothing of something.
    pub negative_stock: u64,
    /// Orders that were written down and whose worth is not at the provider exactly, or not
    /// in the payment service's own books (I7).
    pub orders_without_payment: u64,
    /// Coupons that two orders have, that an order has which does not stand, or that nobody
    /// issued, and orders whose discount is not what their coupons took off.
    pub coupon_mismatches: u64,
}

impl Integrity {
    /// Whether all six are 0.
    pub fn holds(&self) -> bool {
        *self == Self::default()
    }
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// The numbers.
    pub integrity: Integrity,
    /// Coupons that were issued.
    pub coupons: u64,
    /// Of these, those that an order uses; the others are free.
    pub coupons_used: u64,
    /// The first violations, in words.
    pub findings: Vec<String>,
}

/// What was agreed with the buyers: what the books must come out at.
#[derive(Clone, Debug, Default)]
pub struct Agreed {
    /// What each order costs with its coupon, in minor units.
    pub prices_minor: BTreeMap<String, i64>,
    /// What the coupon of each order takes off, in minor units.
    pub discounts_minor: BTreeMap<String, i64>,
    /// The coupons that were issued.
    pub coupons: BTreeSet<String>,
    /// How many there were of each item.
    pub stock: BTreeMap<String, i64>,
    /// Lines that buyers were told are cancelled: order number, and line from 1.
    pub cancelled: BTreeSet<(String, i64)>,
}

/// Reads the books and holds them against each other. The sagas must have ended.
///
/// # Errors
///
/// A book cannot be read.
pub async fn audit(books: &Books, simulator: &Simulator, agreed: &Agreed) -> anyhow::Result<Audit> {
    Ok(compare(&Pages::read(books, simulator).await?, agreed))
}

fn compare(pages: &Pages, agreed: &Agreed) -> Audit {
    let mut audit = Audit::default();
    compare_charges(pages, agreed, &mut audit);
    compare_orders(pages, &mut audit);
    compare_stock(pages, agreed, &mut audit);
    coupons::compare(pages, agreed, &mut audit);
    audit
}

/// From the side of the money.
fn compare_charges(pages: &Pages, agreed: &Agreed, audit: &mut Audit) {
    for (order_no, charged) in &pages.ledger {
        let OrderLedger { captured_minor, captures, .. } = *charged;
        let price_minor = agreed.prices_minor.get(order_no).copied();
        if captures > 1 || price_minor.is_some_and(|price| price < captured_minor) {
            audit.integrity.duplicate_charges += 1;
            audit.found(format!(
                "order {order_no} was charged {captured_minor} in {captures} captures; it costs \
                 {price_minor:?}"
            ));
        }
        let kept_minor = pages.kept_minor(order_no);
        let order = pages.orders.get(order_no);
        if kept_minor != 0 && order.map_or(0, OrderBook::due_minor) != kept_minor {
            audit.integrity.orphan_charges += 1;
            audit.found(format!("{kept_minor} were kept for order {order_no}, which is {order:?}"));
        }
    }
    let without_order = pages.payments.iter().filter(|(it, _)| !pages.orders.contains_key(*it));
    for (order_no, booked_minor) in without_order {
        if pages.kept_minor(order_no) != *booked_minor {
            audit.integrity.orphan_charges += 1;
            audit.found(format!("{booked_minor} are booked for order {order_no}, which is none"));
        }
    }
    for (order_no, line_no) in agreed.cancelled.difference(&pages.cancelled) {
        audit.integrity.orphan_charges += 1;
        audit.found(format!("line {line_no} of order {order_no} was cancelled, and still counts"));
    }
}

/// From the side of the orders.
fn compare_orders(pages: &Pages, audit: &mut Audit) {
    for (order_no, order) in &pages.orders {
        let (due_minor, kept_minor) = (order.due_minor(), pages.kept_minor(order_no));
        let booked_minor = pages.payments.get(order_no).copied().unwrap_or(0);
        let is_short = due_minor != 0 && kept_minor != due_minor;
        if is_short || booked_minor != kept_minor {
            audit.integrity.orders_without_payment += 1;
            audit.found(format!(
                "order {order_no} is worth {due_minor}; the provider has {kept_minor} for it, and \
                 the payment service {booked_minor}"
            ));
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
        let ordered = pages.ordered.get(item_id).copied().unwrap_or_default();
        let initial = agreed.stock.get(item_id).copied();
        let explained = (on_hand, reserved, sold) == moved
            && (ordered.sold..=ordered.sold + ordered.refunded).contains(&sold)
            && reserved == 0
            && initial.is_none_or(|initial| on_hand + sold == initial);
        if !explained {
            audit.integrity.stock_mismatches += 1;
            audit.found(format!(
                "item {item_id} began with {initial:?}, and orders have {ordered:?}: {item:?}"
            ));
        }
    }
    let unknown = pages.ordered.keys().filter(|item_id| !pages.items.contains_key(*item_id));
    for item_id in unknown {
        audit.integrity.stock_mismatches += 1;
        audit.found(format!("item {item_id} is on orders and was never in stock"));
    }
}

impl Pages {
    /// What the provider has for an order and has not given back.
    fn kept_minor(&self, order_no: &str) -> i64 {
        self.ledger.get(order_no).map_or(0, |it| it.captured_minor - it.cancelled_minor)
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
    use super::{pages::Ordered, *};

    /// Two units of an item at 5 were sold to one order.
    fn sound() -> (Pages, Agreed) {
        let item = ItemBook {
            on_hand: 8,
            sold: 2,
            on_hand_moved: 8,
            sold_moved: 2,
            ..ItemBook::default()
        };
        let status = "PAYMENT_SUCCESS".to_owned();
        let order = OrderBook { total_minor: 10, status, ..OrderBook::default() };
        let ledger = OrderLedger {
            order_no: "order-1".to_owned(),
            captured_minor: 10,
            cancelled_minor: 0,
            captures: 1,
        };
        let pages = Pages {
            items: BTreeMap::from([("a".to_owned(), item)]),
            orders: BTreeMap::from([("order-1".to_owned(), order)]),
            ordered: BTreeMap::from([("a".to_owned(), Ordered { sold: 2, refunded: 0 })]),
            payments: BTreeMap::from([("order-1".to_owned(), 10)]),
            ledger: BTreeMap::from([("order-1".to_owned(), ledger)]),
            ..Pages::default()
        };
        let agreed = Agreed {
            prices_minor: BTreeMap::from([("order-1".to_owned(), 10)]),
            stock: BTreeMap::from([("a".to_owned(), 10)]),
            ..Agreed::default()
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
        let both = |it: &mut Integrity| {
            (it.orphan_charges, it.orders_without_payment) = (1, 1);
        };
        let other_amount = |it: &mut Pages| it.order().total_minor = 9;
        assert_eq!(changed(other_amount), only(both));
        let other_book = |it: &mut Pages| it.payments.clear();
        assert_eq!(changed(other_book), only(|it| it.orders_without_payment = 1));
    }

    #[test]
    fn a_cancel_gives_back_exactly_what_its_lines_cost() {
        let cancelled = |it: &mut Pages| {
            it.order().cancelled_minor = 5;
            it.ordered.get_mut("a").unwrap().sold = 1;
            it.ledger.get_mut("order-1").unwrap().cancelled_minor = 5;
            it.payments.insert("order-1".to_owned(), 5);
            let item = it.items.get_mut("a").unwrap();
            (item.on_hand, item.on_hand_moved, item.sold, item.sold_moved) = (9, 9, 1, 1);
        };
        assert!(changed(cancelled).holds());
        let kept = changed(|it| {
            cancelled(it);
            it.ledger.get_mut("order-1").unwrap().cancelled_minor = 0;
        });
        assert_eq!((kept.orphan_charges, kept.orders_without_payment), (1, 1));
        let twice = changed(|it| {
            cancelled(it);
            it.ledger.get_mut("order-1").unwrap().cancelled_minor = 10;
        });
        assert_eq!(twice, only(|it| it.orders_without_payment = 1));
        let not_restocked = changed(|it| {
            cancelled(it);
            let item = it.items.get_mut("a").unwrap();
            (item.on_hand, item.on_hand_moved, item.sold, item.sold_moved) = (8, 8, 2, 2);
        });
        assert_eq!(not_restocked, only(|it| it.stock_mismatches = 1));

        let (pages, mut agreed) = sound();
        agreed.cancelled.insert(("order-1".to_owned(), 1));
        let only_told = compare(&pages, &agreed).integrity;
        assert_eq!(only_told, only(|it| it.orphan_charges = 1));
    }

    #[test]
    fn goods_of_a_refund_are_back_in_stock_or_not() {
        let refunded = |units: i64| {
            changed(move |it| {
                "REFUND_COMPLETED".clone_into(&mut it.order().status);
                it.ledger.get_mut("order-1").unwrap().cancelled_minor = 10;
                it.payments.clear();
                it.ordered.insert("a".to_owned(), Ordered { sold: 0, refunded: 2 });
                let item = it.items.get_mut("a").unwrap();
                (item.sold, item.sold_moved) = (units, units);
                (item.on_hand, item.on_hand_moved) = (10 - units, 10 - units);
            })
        };
        assert!(refunded(0).holds() && refunded(2).holds());
        assert_eq!(refunded(3), only(|it| it.stock_mismatches = 1));
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
        let nowhere = changed(|it| it.ordered.extend([("b".to_owned(), Ordered::default())]));
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
