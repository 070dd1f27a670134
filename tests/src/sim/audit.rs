//! The invariants over the books of all participants: what must be true at every moment,
//! and what must be true when no saga is under way any more.

use std::collections::BTreeMap;

use shop_proto::order::v1::{LineState, OrderStatus as Status};

use super::{
    barrier::Recorded,
    inventory::Standing,
    journal::Journal,
    orders::{Order, is_legal},
    shop::Shop,
};

/// What must be true at every moment (E1, E7, I1 to I6, I9).
#[must_use]
pub fn always(shop: &Shop) -> Vec<String> {
    let mut wrong = Vec::new();
    operations(shop, &mut wrong);
    stock(shop, &mut wrong);
    for (order_no, order) in &shop.orders.books.orders {
        history(order_no, order, &mut wrong);
    }
    for (key, payment) in &shop.payments.books.provider.payments {
        if payment.net_minor() < 0 || payment.amount_minor < payment.captured_minor {
            wrong.push(format!("E4: the provider's ledger of {key} is {payment:?}"));
        }
    }
    for (payment_id, credit) in &shop.payments.books.credits {
        if credit.grants > 1 {
            wrong.push(format!("I9: payment {payment_id} granted {} times", credit.grants));
        }
    }
    wrong
}

fn operations(shop: &Shop, wrong: &mut Vec<String>) {
    for effects in shop.effects() {
        for (op, count) in effects.iter().filter(|(_, count)| **count > 1) {
            wrong.push(format!("E1, I4: operation {op} took effect {count} times"));
        }
    }
    let rows = [&shop.inventory.rows, &shop.orders.rows, &shop.payments.rows];
    for (op, row) in rows.into_iter().flatten() {
        if row.recorded == Recorded::Fenced && shop.effect_count(*op) > 0 {
            wrong.push(format!("E1, I5: operation {op} is fenced and took effect"));
        }
    }
    let reversed = [&shop.inventory.reversed, &shop.orders.reversed, &shop.payments.reversed];
    for (original, by) in reversed.into_iter().flatten() {
        if shop.effect_count(*original) == 0 {
            wrong.push(format!("E1, I5: {by} undid {original}, which never happened"));
        }
    }
}

fn stock(shop: &Shop, wrong: &mut Vec<String>) {
    let inventory = &shop.inventory.books;
    let mut moved: BTreeMap<&str, [i64; 3]> = BTreeMap::new();
    for movement in &inventory.movements {
        let sums = moved.entry(&movement.item_id).or_default();
        sums[0] += movement.on_hand;
        sums[1] += movement.reserved;
        sums[2] += movement.sold;
    }
    for (item_id, item) in &inventory.items {
        let available = item.on_hand - item.reserved;
        if item.on_hand < 0 || item.reserved < 0 || item.sold < 0 || available < 0 {
            wrong.push(format!("I1, E7: {item_id}: {item:?}"));
        }
        let [on_hand, reserved, sold] = moved.get(item_id.as_str()).copied().unwrap_or_default();
        if [item.initial + on_hand, reserved, sold] != [item.on_hand, item.reserved, item.sold] {
            wrong.push(format!("I2: {item_id}: {item:?}, moved {on_hand} {reserved} {sold}"));
        }
        let units = |standing: Standing| -> i64 {
            let of = inventory.reservations.values().filter(|it| it.standing == standing);
            of.map(|it| {
                let back = it.restocked.get(item_id).copied().unwrap_or(0);
                it.lines.get(item_id).copied().unwrap_or(0) - back
            })
            .sum()
        };
        if units(Standing::Held) != item.reserved {
            wrong.push(format!("E7: {item_id}: {item:?}, and the reservations say otherwise"));
        }
        if units(Standing::Committed) != item.sold {
            wrong.push(format!("I3: {item_id}: {item:?}, and the sales say otherwise"));
        }
    }
}

fn history(order_no: &str, order: &Order, wrong: &mut Vec<String>) {
    let mut before: Option<(i64, Status)> = None;
    for change in &order.history {
        let follows = match before {
            None => change.prev_id == 0 && change.from.is_none(),
            Some((id, counts_as)) => {
                change.prev_id == id
                    && change.from == Some(counts_as)
                    && is_legal(counts_as, change.status, change.of_line)
            }
        };
        if !follows {
            wrong.push(format!("I6, E8: order {order_no}: {change:?} follows {before:?}"));
        }
        before = Some((change.id, change.counts_as));
    }
}

/// What must be true when every saga has ended (E2 to E7, I7, I8).
#[must_use]
pub fn at_rest(shop: &Shop, journal: &Journal) -> Vec<String> {
    let mut wrong = always(shop);
    for (saga, log) in &journal.sagas {
        if log.ended.is_none() {
            wrong.push(format!("V1: saga {} ({}) has not ended", log.label, log.deployed.name));
        }
        let about = |it| format!("{it} [saga {} ({})]", log.label, log.deployed.name);
        wrong.extend(log.end_is_true(*saga, shop).into_iter().map(about));
    }
    for (op, reservation) in &shop.inventory.books.reservations {
        if reservation.standing == Standing::Held {
            wrong.push(format!("E7: reservation {op} of {} is held", reservation.order_no));
        }
    }
    two_books(shop, &mut wrong);
    for (coupon_id, used) in &shop.orders.books.used {
        if !shop.orders.books.orders.contains_key(&used.order_no) {
            wrong.push(format!("I14: {coupon_id} is used up, and {} never was", used.order_no));
        }
    }
    let mut order_nos: Vec<&String> = shop.orders.books.orders.keys().collect();
    let payments = shop.payments.books.provider.payments.values();
    let reservations = shop.inventory.books.reservations.values();
    order_nos.extend(payments.map(|it| &it.order_no));
    order_nos.extend(reservations.map(|it| &it.order_no));
    order_nos.sort();
    order_nos.dedup();
    for order_no in order_nos {
        if let Some(why) = order_is_whole(shop, order_no) {
            wrong.push(format!("{why} [order {order_no}]"));
        }
    }
    wrong
}

/// Our book of payments and the provider's say the same (E4).
fn two_books(shop: &Shop, wrong: &mut Vec<String>) {
    let books = &shop.payments.books;
    for (key, theirs) in &books.provider.payments {
        let ours = books.payments.values().find(|it| it.key == *key);
        let balance_minor = ours.map(|it| it.balance_minor);
        let agrees = match balance_minor {
            Some(balance_minor) => balance_minor == theirs.net_minor(),
            None => theirs.net_minor() == 0 || theirs.paid_by_buyer,
        };
        if !agrees {
            wrong.push(format!("E4: {key}: we have {balance_minor:?}, the provider {theirs:?}"));
        }
    }
}

/// Whether goods and money of an order go together (E4 to E6, I7, I8).
fn order_is_whole(shop: &Shop, order_no: &str) -> Option<String> {
    let books = &shop.payments.books;
    let of_order = books.provider.payments.values().filter(|it| it.order_no == order_no);
    let money: i64 = of_order.clone().map(super::provider::Payment::net_minor).sum();
    let unasked: i64 =
        of_order.filter(|it| it.paid_by_buyer).map(super::provider::Payment::net_minor).sum();
    let goods = sold_units(shop, order_no);
    let goods_left: i64 = goods.values().sum();
    let Some(order) = shop.orders.books.orders.get(order_no) else {
        return (money != 0 || goods_left != 0)
            .then(|| format!("I8: there is no order, but money {money} and goods {goods:?}"));
    };
    if order.lines.iter().any(|it| it.state == LineState::Canceling) {
        return Some("I8: a line is being cancelled, and nobody cancels it".to_owned());
    }
    let status = order.head().counts_as;
    match status {
        Status::PaymentSuccess
        | Status::PartiallyCanceled
        | Status::DeliveryPreparation
        | Status::Delivered => paid_order_is_whole(shop, (order_no, order), money, &goods),
        // The buyer may have paid; whoever settles it has not come yet, or was turned away.
        Status::PaymentPending => (money != unasked || goods_left != 0)
            .then(|| format!("I8: not settled, but money {money} and goods {goods:?}")),
        Status::Canceled
        | Status::PaymentOutOfStock
        | Status::PaymentReturned
        | Status::PaymentWithdrawn
        | Status::PaymentNoPaymentInfo => (money != 0 || goods_left != 0)
            .then(|| format!("I8: {status:?}, but money {money} and goods {goods:?}"))
            .or_else(|| credit_is(shop, order, 0)),
        // The goods may be with the buyer for ever.
        Status::RefundCompleted => {
            let gone = (money != 0).then(|| format!("I8: refunded, but money {money}"));
            gone.or_else(|| credit_is(shop, order, 0))
        }
        _ => Some(format!("I8: {status:?}, and nobody is at it")),
    }
}

fn paid_order_is_whole(
    shop: &Shop,
    (order_no, order): (&str, &Order),
    money: i64,
    goods: &BTreeMap<String, i64>,
) -> Option<String> {
    let balance_minor = order.balance_minor();
    if money != balance_minor {
        return Some(format!("I7, E4: it costs {balance_minor}, and {money} are with us"));
    }
    let mut wanted: BTreeMap<String, i64> = BTreeMap::new();
    for line in order.lines.iter().filter(|it| it.state == LineState::Active) {
        *wanted.entry(line.ordered.item_id.clone()).or_default() += line.ordered.qty;
    }
    let less = goods.iter().all(|(item, qty)| wanted.get(item) >= Some(qty));
    let is_sold = *goods == wanted || (less && shop.returned.contains(order_no));
    if !is_sold {
        return Some(format!("E5, E6, I7: {wanted:?} are ordered, {goods:?} are sold"));
    }
    credit_is(shop, order, order.credits())
}

/// The credit that stands is what the lines grant that are not cancelled.
fn credit_is(shop: &Shop, order: &Order, wanted: i64) -> Option<String> {
    let credit = shop.payments.books.credits.get(&order.payment_id);
    let stands = credit.filter(|it| !it.revoked).map_or(0, |it| it.granted);
    (stands != wanted).then(|| format!("I9: credit {stands} stands, and {wanted} was bought"))
}

/// Units of each item that are sold under this order number and did not come back.
fn sold_units(shop: &Shop, order_no: &str) -> BTreeMap<String, i64> {
    let mut units: BTreeMap<String, i64> = BTreeMap::new();
    for reservation in shop.inventory.books.reservations.values() {
        if reservation.order_no == order_no && reservation.standing != Standing::Released {
            for (item_id, qty) in &reservation.lines {
                let back = reservation.restocked.get(item_id).copied().unwrap_or(0);
                *units.entry(item_id.clone()).or_default() += qty - back;
            }
        }
    }
    units.retain(|_, qty| *qty != 0);
    units
}
