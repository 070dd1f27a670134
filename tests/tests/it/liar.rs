//! A buyer who lies in every field, through the public API alone: whatever he sends, no unit
//! of goods leaves for less than its price, nothing is granted that was not bought, and what
//! buys nothing is given back.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use prost_types::Timestamp;
use saga_proto::saga::v1::{ListSagasRequest, Saga, SagaState};
use saga_tests::{
    order::{BATTERIES, CUSTOMER, ITEMS, Item, LAMP, MUG},
    shop::{Database, Shop},
    sim::dice::Dice,
};
use serde_json::{Value, json};
use shop_proto::order::v1::{Coupon, CouponKind, GetOrderResponse, LineState, OrderStatus};

crate::on_both_databases!(whatever_a_buyer_says_he_pays_what_it_costs);

/// Enough that every lie is told several times; each round is a crowd that starts at once.
const ROUNDS: u64 = 12;
const CROWD: u64 = 8;

/// Words that a buyer may use for a number.
const NUMBERS: [i64; 9] = [0, 1, -1, -5, 2, 449, 500, 1_000_000, i64::MAX];

/// Coupons that a buyer may name: what of each is not so, and what it is worth to him.
const COUPONS: [(&str, i64); 9] = [
    ("k-1", 100),
    ("k-2", 250),
    ("k-3", 700),
    ("k-4", 5_000),
    ("of-mugs", 500),
    ("theirs", 300),
    ("late", 300),
    ("won", 300),
    ("none", 300),
];

/// Credits of an order go to one of these.
const ACCOUNTS: [&str; 3] = [CUSTOMER, "thief", "account-of-somebody"];

async fn whatever_a_buyer_says_he_pays_what_it_costs(database: Database) {
    let shop = Shop::open(database).await;
    issue_coupons(&shop).await;
    let mut liar = Liar { dice: Dice::of(20_101), said: 0, order_nos: BTreeSet::new() };
    for round in 0..ROUNDS {
        let mut sagas = Vec::new();
        for number in 0..CROWD {
            let lie = liar.lie(&shop).await;
            sagas.push((format!("lie-{round}-{number}"), lie));
        }
        let ended = sagas.iter().map(|(key, (definition, input))| {
            let shop = &shop;
            async move {
                // What cannot be read at all is not accepted.
                if shop.start_saga(definition, key, input).await.is_err() {
                    return None;
                }
                Some(shop.ended(key).await)
            }
        });
        let ended: Vec<Saga> = join_all(ended).await.into_iter().flatten().collect();
        for saga in &ended {
            let ends = [SagaState::Completed, SagaState::Compensated];
            assert!(ends.contains(&saga.state()), "{}: {}", saga.business_key, saga.why);
        }
    }
    judge(&shop, &liar.order_nos).await;
}

async fn issue_coupons(shop: &Shop) {
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    for (coupon_id, value) in COUPONS.into_iter().filter(|(it, _)| *it != "none") {
        let customer_id = if coupon_id == "theirs" { "customer-2" } else { CUSTOMER };
        let item_id = if coupon_id == "of-mugs" { MUG.item_id } else { "" };
        shop.issue(Coupon {
            coupon_id: coupon_id.to_owned(),
            customer_id: customer_id.to_owned(),
            item_id: item_id.to_owned(),
            kind: CouponKind::Amount.into(),
            value,
            currency: if coupon_id == "won" { "KRW" } else { "GBP" }.to_owned(),
            valid_from: at(0),
            valid_to: at(if coupon_id == "late" { 1 } else { 4_000_000_000 }),
        })
        .await;
    }
}

/// What an order's coupons are worth, and a coupon that nobody may use is used by nobody.
async fn worth_of_coupons(shop: &Shop) -> BTreeMap<String, i64> {
    let mut worth = BTreeMap::new();
    for (coupon_id, value) in COUPONS.into_iter().filter(|(it, _)| *it != "none") {
        let order_no = shop.user_of(coupon_id).await;
        let is_good = coupon_id.starts_with("k-") || coupon_id == "of-mugs";
        assert!(is_good || order_no.is_empty(), "{coupon_id} is used by {order_no}");
        *worth.entry(order_no).or_default() += value;
    }
    worth
}

fn worth_of(coupon_ids: &[&str]) -> i64 {
    let worth = |it: &&str| COUPONS.iter().find(|of| of.0 == *it).map_or(0, |of| of.1);
    coupon_ids.iter().map(worth).sum()
}

/// The books, by the catalogue and the provider's ledger alone.
async fn judge(shop: &Shop, order_nos: &BTreeSet<String>) {
    let prices: BTreeMap<&str, Item> = ITEMS.iter().map(|it| (it.item_id, *it)).collect();
    let (mut sold, mut granted) = (BTreeMap::<String, i64>::new(), 0);
    let worth = worth_of_coupons(shop).await;
    let (mut paid_orders, mut discounts_minor) = (0, 0);
    for order_no in order_nos.iter().filter(|it| 6 <= it.len()) {
        let (captured, cancelled, _) = shop.money(order_no).await;
        let kept_minor = captured - cancelled;
        let Some(order) = shop.order_of(order_no).await.ok().filter(is_paid) else {
            assert_eq!(kept_minor, 0, "order {order_no} is not paid, and its money is kept");
            continue;
        };
        paid_orders += 1;
        let (mut owed_minor, mut discount_minor) = (0, 0);
        for (line, state) in order.lines.iter().zip(order.line_states()) {
            if state != LineState::Canceled {
                let item = prices[line.item_id.as_str()];
                owed_minor += item.price_minor * line.qty - line.discount_minor;
                discount_minor += line.discount_minor;
                granted += item.credits * line.qty;
                *sold.entry(line.item_id.clone()).or_default() += line.qty;
            }
        }
        assert_eq!(kept_minor, owed_minor, "order {order_no}: {order:?}");
        let worth_minor = worth.get(order_no).copied().unwrap_or(0);
        assert!(discount_minor <= worth_minor, "I12: order {order_no}: {order:?}");
        discounts_minor += discount_minor;
    }
    assert!(0 < discounts_minor, "nobody has used a coupon");
    assert!(0 < paid_orders, "nobody has bought anything");
    for item in ITEMS {
        let (on_hand, reserved, gone) = shop.stock(item).await;
        let bought = sold.get(item.item_id).copied().unwrap_or(0);
        assert_eq!((reserved, gone), (0, bought), "{}", item.item_id);
        assert_eq!(on_hand, item.initial_stock - bought, "{}", item.item_id);
    }
    let mut credits = 0;
    for account in ACCOUNTS {
        credits += shop.credit_of(account).await;
    }
    assert_eq!(credits, granted, "credits that nobody has paid for");
    let (ordered_minor, paid_minor) = shop.assert_no_violations().await;
    assert_eq!(ordered_minor, paid_minor, "I7: the shop has what its orders are worth");
    let all = shop.sagas().list_sagas(ListSagasRequest::default()).await.unwrap().into_inner();
    let open = |it: &&Saga| ![SagaState::Completed, SagaState::Compensated].contains(&it.state());
    assert_eq!(all.sagas.iter().filter(open).count(), 0, "a lie is on the operator's list");
}

fn is_paid(order: &GetOrderResponse) -> bool {
    use OrderStatus::{PaymentConfirm, PaymentNoPaymentInfo, PaymentOutOfStock};
    use OrderStatus::{PaymentPending, PaymentReturned, PaymentWithdrawn};
    let unpaid = [
        PaymentPending,
        PaymentConfirm,
        PaymentOutOfStock,
        PaymentNoPaymentInfo,
        PaymentReturned,
        PaymentWithdrawn,
    ];
    !unpaid.contains(&order.status())
}

struct Liar {
    dice: Dice,
    said: u64,
    order_nos: BTreeSet<String>,
}

impl Liar {
    /// A definition and its input, in which most words are right and some are not.
    async fn lie(&mut self, shop: &Shop) -> (&'static str, Value) {
        self.said += 1;
        let fresh = format!("order-{:04}", self.said);
        let known: Vec<String> = self.order_nos.iter().cloned().collect();
        let is_known = !known.is_empty() && self.dice.chance(450);
        let order_no = if is_known { self.dice.pick(&known).clone() } else { fresh };
        let order_no = if self.dice.chance(30) { "abc".to_owned() } else { order_no };
        self.order_nos.insert(order_no.clone());
        let customer = if self.dice.chance(900) { CUSTOMER } else { "" };
        let lines = self.lines();
        let total = total_minor(&lines);
        let roll = self.dice.between(0, 10);
        match roll {
            0 | 1 => {
                let coupon_ids = self.coupons();
                let expected = self.or_number((total - worth_of(&coupon_ids)).max(0));
                let input = json!({
                    "orderNo": order_no, "customerId": customer, "lines": lines,
                    "couponIds": coupon_ids, "expectedMinor": expected,
                });
                ("place-pending-order", input)
            }
            2 | 3 => {
                let (provider, key) = self.payment(shop, &order_no, total).await;
                let input = json!({
                    "orderNo": order_no, "provider": provider, "providerKey": key,
                    "customerId": customer,
                });
                ("settle-paid-order", input)
            }
            4 => ("cancel-order", json!({ "orderNo": order_no, "customerId": customer })),
            10 => ("cancel-pending-order", json!({ "orderNo": order_no, "customerId": customer })),
            5 => {
                let line_no = *self.dice.pick(&[1, 2, 0, -1]);
                let input =
                    json!({ "orderNo": order_no, "customerId": customer, "lineNo": line_no });
                ("cancel-order-item", input)
            }
            _ => {
                let coupon_ids = self.coupons();
                let total = (total - worth_of(&coupon_ids)).max(0);
                // Who pays and does not say so has paid nobody.
                let payment = if total == 0 && self.dice.chance(700) {
                    Value::Null
                } else {
                    let (provider, key) = self.payment(shop, &order_no, total).await;
                    let expected = self.or_number(total);
                    json!({ "provider": provider, "providerKey": key, "amountMinor": expected })
                };
                let account = *self.dice.pick(&["", "thief", "account-of-somebody"]);
                let input = json!({
                    "orderNo": order_no, "customerId": customer, "lines": lines,
                    "payment": payment,
                    "couponIds": coupon_ids,
                    "currency": *self.dice.pick(&["GBP", "", "GBP", "GBP", "KRW", "gbp"]),
                    "creditAccount": account,
                    "discountMinor": if self.dice.chance(60) { 100 } else { 0 },
                });
                ("place-order", input)
            }
        }
    }

    /// None, some, or one twice.
    fn coupons(&mut self) -> Vec<&'static str> {
        let count = *self.dice.pick(&[0, 0, 1, 1, 2]);
        (0..count).map(|_| self.dice.pick(&COUPONS).0).collect()
    }

    /// The right number, or another word.
    fn or_number(&mut self, right: i64) -> i64 {
        if self.dice.chance(850) { right } else { *self.dice.pick(&NUMBERS) }
    }

    fn lines(&mut self) -> Value {
        let count = *self.dice.pick(&[1, 2, 1, 3, 0]);
        let line = |_| {
            let item = *self.dice.pick(&[MUG, BATTERIES, LAMP, MUG]);
            let qty = if self.dice.chance(950) { 1 } else { *self.dice.pick(&NUMBERS) };
            let mut line = json!({ "itemId": item.item_id, "qty": qty });
            if self.dice.chance(300) {
                line["priceMinor"] = self.or_number(item.price_minor).into();
            }
            if self.dice.chance(200) {
                line["credits"] = self.or_number(item.credits).into();
            }
            if self.dice.chance(50) {
                line["discountMinor"] = (*self.dice.pick(&NUMBERS)).into();
            }
            line
        };
        (0..count).map(line).collect()
    }

    /// A payment that the buyer makes at the provider: for this order and its price, or not.
    /// He names it, with the provider or with another one.
    async fn payment(&mut self, shop: &Shop, order_no: &str, total: i64) -> (&'static str, String) {
        if self.dice.chance(100) {
            return ("toss", "a-key-of-nobody".to_owned());
        }
        let key = format!("pay-{}", self.said);
        let amount = if self.dice.chance(800) { total } else { *self.dice.pick(&NUMBERS) };
        let stage = *self.dice.pick(&["authenticated", "paid"]);
        let session = json!({
            "payment_key": key, "order_no": order_no, "amount_minor": amount.clamp(1, 1_000_000),
            "stage": stage,
        });
        let url = format!("{}/simulator/v1/payments", shop.provider.url());
        let body = json!({ "payments": [session] });
        // Of an order that cannot be, there is no payment either.
        reqwest::Client::new().post(url).json(&body).send().await.unwrap();
        (if stage == "paid" { "portone" } else { "toss" }, key)
    }
}

/// What the lines cost by the catalogue, as far as that can be said.
fn total_minor(lines: &Value) -> i64 {
    let cost = |line: &Value| {
        let item = ITEMS.iter().find(|it| line["itemId"] == it.item_id);
        let price_minor = item.map_or(0, |it| it.price_minor);
        price_minor.saturating_mul(line["qty"].as_i64().unwrap_or(0))
    };
    lines.as_array().map_or(0, |it| it.iter().map(cost).fold(0, i64::saturating_add))
}
