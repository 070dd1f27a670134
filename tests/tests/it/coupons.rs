//! Coupons through five programs: what is paid, and what comes back (S1-3, I12, I14).

use futures::future::join_all;
use prost_types::Timestamp;
use saga_proto::saga::v1::StepState;
use saga_tests::{
    order::{CUSTOMER, LAMP, MUG},
    sagas::{assert_compensated, assert_completed, step},
    shop::{Database, Shop},
};
use serde_json::{Value, json};
use shop_proto::order::v1::{Coupon, CouponKind, OrderStatus};

crate::on_both_databases!(
    s1_3_a_coupon_is_taken_off_what_is_paid_and_comes_back_with_a_cancel,
    an_order_that_a_coupon_covers_whole_is_placed_and_cancelled_without_a_payment,
    a_payment_that_is_not_needed_or_declined_leaves_the_coupon_unused,
    i14_of_two_orders_at_once_with_one_coupon_one_is_placed,
    a_line_that_a_coupon_covers_comes_back_with_the_whole_order,
    a_percentage_is_taken_off_the_dearest_line_of_its_item,
    an_order_that_a_coupon_covers_whole_is_refunded_without_a_payment,
    a_pending_order_is_settled_with_what_its_coupon_leaves,
    a_pending_order_that_is_out_of_stock_gives_its_coupon_back,
    a_pending_order_that_is_withdrawn_gives_its_coupon_back_and_takes_no_money,
);

/// An amount for the customer of these tests. Without an item: off the whole order.
fn coupon(coupon_id: &str, value: i64) -> Coupon {
    Coupon {
        coupon_id: coupon_id.to_owned(),
        customer_id: CUSTOMER.to_owned(),
        item_id: String::new(),
        kind: CouponKind::Amount.into(),
        value,
        currency: "GBP".to_owned(),
        valid_from: Some(Timestamp { seconds: 0, nanos: 0 }),
        valid_to: Some(Timestamp { seconds: 4_000_000_000, nanos: 0 }),
    }
}

/// Two mugs at 500, with these coupons.
fn order(order_no: &str, coupon_ids: &[&str], payment: Value) -> Value {
    json!({
        "orderNo": order_no, "customerId": CUSTOMER, "couponIds": coupon_ids,
        "lines": [{ "itemId": MUG.item_id, "qty": 2 }], "payment": payment,
    })
}

fn toss(order_no: &str, amount_minor: i64) -> Value {
    let key = format!("pay-{order_no}");
    json!({ "provider": "toss", "providerKey": key, "amountMinor": amount_minor })
}

/// The buyer agrees to pay this much.
async fn agree(shop: &Shop, order_no: &str, amount_minor: i64, stage: &str, faults: Value) {
    let session = json!({
        "payment_key": format!("pay-{order_no}"), "order_no": order_no,
        "amount_minor": amount_minor, "stage": stage, "faults": faults,
    });
    let url = format!("{}/simulator/v1/payments", shop.provider.url());
    let body = json!({ "payments": [session] });
    let opened = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    assert!(opened.status().is_success(), "{opened:?}");
}

fn cancel(order_no: &str) -> Value {
    json!({ "orderNo": order_no, "customerId": CUSTOMER })
}

async fn s1_3_a_coupon_is_taken_off_what_is_paid_and_comes_back_with_a_cancel(database: Database) {
    let shop = Shop::open(database).await;
    shop.issue(coupon("k-1", 150)).await;
    shop.issue(Coupon { item_id: LAMP.item_id.to_owned(), ..coupon("of-lamps", 10) }).await;
    agree(&shop, "order-1", 850, "authenticated", json!({})).await;

    // A coupon that does not fit leaves the other one unused, and takes no money.
    let wrong = order("order-1", &["k-1", "of-lamps"], toss("order-1", 850));
    let saga = shop.run_saga("place-order", "wrong", &wrong).await;
    assert_compensated(&saga, "COUPON_DOES_NOT_FIT");
    assert_eq!(shop.user_of("k-1").await, "");

    let right = order("order-1", &["k-1"], toss("order-1", 850));
    assert_completed(&shop.run_saga("place-order", "right", &right).await);
    let placed = shop.order_of("order-1").await.unwrap();
    assert_eq!((placed.total_minor, placed.lines[0].discount_minor), (850, 150));
    assert_eq!(shop.money("order-1").await, (850, 0, 1));
    assert_eq!(shop.user_of("k-1").await, "order-1");
    agree(&shop, "order-2", 850, "authenticated", json!({})).await;
    let again = order("order-2", &["k-1"], toss("order-2", 850));
    assert_compensated(&shop.run_saga("place-order", "again", &again).await, "COUPON_USED");

    assert_completed(&shop.run_saga("cancel-order", "cancel-1", &cancel("order-1")).await);
    assert_eq!(shop.money("order-1").await, (850, 850, 1));
    assert_eq!(shop.user_of("k-1").await, "");
    assert_completed(&shop.run_saga("place-order", "at-last", &again).await);
    assert_eq!(shop.user_of("k-1").await, "order-2");
    let (ordered, paid) = shop.assert_no_violations().await;
    assert_eq!((ordered.get("GBP"), paid.get("GBP")), (Some(&850), Some(&850)));
}

async fn an_order_that_a_coupon_covers_whole_is_placed_and_cancelled_without_a_payment(
    database: Database,
) {
    let shop = Shop::open(database).await;
    shop.issue(coupon("k-1", 1_000)).await;
    let free = order("order-1", &["k-1"], Value::Null);
    let saga = shop.run_saga("place-order", "free", &free).await;
    assert_completed(&saga);
    assert_eq!(step(&saga, "verify_payment"), StepState::Skipped);
    let placed = shop.order_of("order-1").await.unwrap();
    assert_eq!((placed.total_minor, placed.payment_id.as_str()), (0, ""));
    assert_eq!((shop.stock(MUG).await, shop.money("order-1").await), ((998, 0, 2), (0, 0, 0)));

    assert_completed(&shop.run_saga("cancel-order", "cancel-1", &cancel("order-1")).await);
    assert_eq!(shop.order_of("order-1").await.unwrap().status(), OrderStatus::Canceled);
    assert_eq!(shop.stock(MUG).await, (1_000, 0, 0));
    assert_eq!(shop.user_of("k-1").await, "");
    shop.assert_no_violations().await;
}

async fn a_payment_that_is_not_needed_or_declined_leaves_the_coupon_unused(database: Database) {
    let shop = Shop::open(database).await;
    shop.issue(coupon("k-1", 1_000)).await;
    shop.issue(coupon("k-2", 400)).await;
    // Paid before the shop was asked: the money goes back.
    agree(&shop, "order-1", 1_000, "paid", json!({})).await;
    let portone = json!({ "provider": "portone", "providerKey": "pay-order-1" });
    let needless = order("order-1", &["k-1"], portone);
    let saga = shop.run_saga("place-order", "needless", &needless).await;
    assert_compensated(&saga, "NOTHING_TO_PAY");
    assert_eq!(shop.money("order-1").await, (1_000, 1_000, 1));

    let declined = json!({ "confirm": [{ "kind": "decline", "code": "REJECT_CARD_PAYMENT" }] });
    agree(&shop, "order-2", 600, "authenticated", declined).await;
    let poor = order("order-2", &["k-2"], toss("order-2", 600));
    assert_compensated(&shop.run_saga("place-order", "poor", &poor).await, "DECLINED");
    // Nothing is free without a coupon.
    let unpaid = order("order-3", &[], Value::Null);
    assert_compensated(&shop.run_saga("place-order", "unpaid", &unpaid).await, "INPUT_INVALID");
    for coupon_id in ["k-1", "k-2"] {
        assert_eq!(shop.user_of(coupon_id).await, "", "{coupon_id}");
    }
    assert_eq!(shop.stock(MUG).await, (1_000, 0, 0));
    shop.assert_no_violations().await;
}

async fn i14_of_two_orders_at_once_with_one_coupon_one_is_placed(database: Database) {
    let shop = Shop::open(database).await;
    shop.issue(coupon("k-1", 150)).await;
    let order_nos = ["order-1", "order-2", "order-3", "order-4"];
    for order_no in order_nos {
        agree(&shop, order_no, 850, "authenticated", json!({})).await;
    }
    let placed = order_nos.map(|order_no| {
        let shop = &shop;
        async move {
            let input = order(order_no, &["k-1"], toss(order_no, 850));
            (order_no, shop.run_saga("place-order", order_no, &input).await)
        }
    });
    let (winners, losers): (Vec<_>, Vec<_>) =
        join_all(placed).await.into_iter().partition(|(_, it)| it.rejected_reason.is_empty());
    let [(winner, saga)] = winners.as_slice() else { panic!("{winners:?}") };
    assert_completed(saga);
    assert_eq!(shop.user_of("k-1").await, *winner);
    for (order_no, saga) in losers {
        assert_compensated(&saga, "COUPON_USED");
        assert_eq!(shop.money(order_no).await, (0, 0, 0), "{order_no}");
    }
    assert_eq!(shop.stock(MUG).await, (998, 0, 2));
    shop.assert_no_violations().await;
}

/// No amount means the whole payment: what cost nothing must not ask for that.
async fn a_line_that_a_coupon_covers_comes_back_with_the_whole_order(database: Database) {
    let shop = Shop::open(database).await;
    shop.issue(Coupon { item_id: MUG.item_id.to_owned(), ..coupon("of-mugs", 500) }).await;
    agree(&shop, "order-1", 2_000, "authenticated", json!({})).await;
    let input = json!({
        "orderNo": "order-1", "customerId": CUSTOMER, "couponIds": ["of-mugs"],
        "lines": [{ "itemId": MUG.item_id, "qty": 1 }, { "itemId": LAMP.item_id, "qty": 1 }],
        "payment": toss("order-1", 2_000),
    });
    assert_completed(&shop.run_saga("place-order", "place", &input).await);
    let cancel_line = json!({ "orderNo": "order-1", "customerId": CUSTOMER, "lineNo": 1 });
    let refused = shop.run_saga("cancel-order-item", "line-1", &cancel_line).await;
    assert_compensated(&refused, "NOTHING_TO_REFUND");
    assert_eq!(shop.money("order-1").await, (2_000, 0, 1));
    assert_eq!(shop.user_of("of-mugs").await, "order-1");
    assert_completed(&shop.run_saga("cancel-order", "all", &cancel("order-1")).await);
    assert_eq!(shop.money("order-1").await, (2_000, 2_000, 1));
    assert_eq!(shop.stock(MUG).await, (1_000, 0, 0));
    assert_eq!(shop.user_of("of-mugs").await, "");
    shop.assert_no_violations().await;
}

fn percent(coupon_id: &str, value: i64) -> Coupon {
    let (kind, currency) = (CouponKind::Percent.into(), String::new());
    Coupon { kind, currency, ..coupon(coupon_id, value) }
}

async fn a_percentage_is_taken_off_the_dearest_line_of_its_item(database: Database) {
    let shop = Shop::open(database).await;
    shop.issue(Coupon { item_id: MUG.item_id.to_owned(), ..percent("of-mugs", 15) }).await;
    shop.issue(percent("of-all", 10)).await;
    // 15 % of 1,000, and 10 % of the 1,350 that are left of 1,500.
    agree(&shop, "order-1", 1_215, "authenticated", json!({})).await;
    let input = json!({
        "orderNo": "order-1", "customerId": CUSTOMER, "couponIds": ["of-all", "of-mugs"],
        "lines": [{ "itemId": MUG.item_id, "qty": 1 }, { "itemId": MUG.item_id, "qty": 2 }],
        "payment": toss("order-1", 1_215),
    });
    assert_completed(&shop.run_saga("place-order", "place", &input).await);
    let placed = shop.order_of("order-1").await.unwrap();
    let discounts: Vec<i64> = placed.lines.iter().map(|it| it.discount_minor).collect();
    assert_eq!((placed.total_minor, discounts), (1_215, vec![50, 235]));
    let cancel_line = json!({ "orderNo": "order-1", "customerId": CUSTOMER, "lineNo": 2 });
    assert_completed(&shop.run_saga("cancel-order-item", "line-2", &cancel_line).await);
    assert_eq!(shop.money("order-1").await, (1_215, 765, 1));
    assert_eq!(
        (shop.user_of("of-mugs").await, shop.user_of("of-all").await),
        (String::new(), "order-1".to_owned())
    );
    shop.assert_no_violations().await;
}

async fn an_order_that_a_coupon_covers_whole_is_refunded_without_a_payment(database: Database) {
    let shop = Shop::open(database).await;
    shop.issue(percent("k-1", 100)).await;
    let free = order("order-1", &["k-1"], Value::Null);
    assert_completed(&shop.run_saga("place-order", "free", &free).await);
    shop.start_saga("refund", "refund-1", &cancel("order-1")).await.unwrap();
    let approval = json!({ "approved": true, "goodsReturned": true });
    shop.signal("refund-1", "approval", &approval, "yes").await.unwrap();
    assert_completed(&shop.ended("refund-1").await);
    let order = shop.order_of("order-1").await.unwrap();
    assert_eq!(order.status(), OrderStatus::RefundCompleted);
    assert_eq!((shop.stock(MUG).await, shop.money("order-1").await), ((1_000, 0, 0), (0, 0, 0)));
    assert_eq!(shop.user_of("k-1").await, "order-1", "a refund gives no coupons back");
    shop.assert_no_violations().await;
}

fn pending(order_no: &str, expected_minor: i64) -> Value {
    json!({
        "orderNo": order_no, "customerId": CUSTOMER, "couponIds": ["k-1"],
        "lines": [{ "itemId": MUG.item_id, "qty": 2 }], "expectedMinor": expected_minor,
    })
}

fn settling(order_no: &str) -> Value {
    let key = format!("pay-{order_no}");
    json!({ "orderNo": order_no, "customerId": CUSTOMER, "provider": "portone", "providerKey": key })
}

async fn a_pending_order_is_settled_with_what_its_coupon_leaves(database: Database) {
    let shop = Shop::open(database).await;
    shop.issue(coupon("k-1", 150)).await;
    let full = shop.run_saga("place-pending-order", "full", &pending("order-1", 1_000)).await;
    assert_compensated(&full, "PRICE_CHANGED");
    assert_eq!(shop.user_of("k-1").await, "");
    let saga = shop.run_saga("place-pending-order", "less", &pending("order-1", 850)).await;
    assert_completed(&saga);
    assert_eq!(shop.user_of("k-1").await, "order-1");
    agree(&shop, "order-1", 850, "paid", json!({})).await;
    assert_completed(&shop.run_saga("settle-paid-order", "settle", &settling("order-1")).await);
    assert_eq!((shop.stock(MUG).await, shop.money("order-1").await), ((998, 0, 2), (850, 0, 1)));
    assert_completed(&shop.run_saga("cancel-order", "cancel-1", &cancel("order-1")).await);
    assert_eq!(shop.money("order-1").await, (850, 850, 1));
    assert_eq!(shop.user_of("k-1").await, "");
    shop.assert_no_violations().await;
}

async fn a_pending_order_that_is_out_of_stock_gives_its_coupon_back(database: Database) {
    let shop = Shop::open(database).await;
    shop.issue(coupon("k-1", 150)).await;
    let many = json!({
        "orderNo": "order-1", "customerId": CUSTOMER, "couponIds": ["k-1"],
        "lines": [{ "itemId": MUG.item_id, "qty": 1_001 }],
    });
    assert_completed(&shop.run_saga("place-pending-order", "many", &many).await);
    agree(&shop, "order-1", 500_350, "paid", json!({})).await;
    let saga = shop.run_saga("settle-paid-order", "settle", &settling("order-1")).await;
    assert_compensated(&saga, "OUT_OF_STOCK");
    assert_eq!(shop.money("order-1").await, (500_350, 500_350, 1));
    assert_eq!(shop.user_of("k-1").await, "");
    shop.assert_no_violations().await;
}

async fn a_pending_order_that_is_withdrawn_gives_its_coupon_back_and_takes_no_money(
    database: Database,
) {
    let shop = Shop::open(database).await;
    shop.issue(coupon("k-1", 150)).await;
    assert_completed(&shop.run_saga("place-pending-order", "less", &pending("order-1", 850)).await);
    let stranger = json!({ "orderNo": "order-1", "customerId": "somebody-else" });
    let saga = shop.run_saga("cancel-pending-order", "stranger", &stranger).await;
    assert_compensated(&saga, "NOT_OWNER");
    assert_eq!(shop.user_of("k-1").await, "order-1");
    assert_completed(&shop.run_saga("cancel-pending-order", "own", &cancel("order-1")).await);
    assert_eq!(shop.user_of("k-1").await, "");
    let again = shop.run_saga("cancel-pending-order", "again", &cancel("order-1")).await;
    assert_compensated(&again, "ILLEGAL_TRANSITION");

    // Its buyer pays all the same: the money goes back, and nothing is sold.
    agree(&shop, "order-1", 850, "paid", json!({})).await;
    let saga = shop.run_saga("settle-paid-order", "settle", &settling("order-1")).await;
    assert_compensated(&saga, "ILLEGAL_TRANSITION");
    assert_eq!(
        (shop.stock(MUG).await, shop.money("order-1").await),
        ((1_000, 0, 0), (850, 850, 1))
    );

    // What is paid is not withdrawn.
    assert_completed(&shop.run_saga("place-pending-order", "paid", &pending("order-2", 850)).await);
    agree(&shop, "order-2", 850, "paid", json!({})).await;
    assert_completed(&shop.run_saga("settle-paid-order", "two", &settling("order-2")).await);
    let late = shop.run_saga("cancel-pending-order", "late", &cancel("order-2")).await;
    assert_compensated(&late, "ILLEGAL_TRANSITION");
    assert_eq!(shop.user_of("k-1").await, "order-2");
    shop.assert_no_violations().await;
}
