//! Single lines of orders are cancelled: what they cost and what they are go back, and the
//! rest of the order stays (S1-9).

use saga_proto::saga::v1::StepState;
use saga_tests::{
    order::{CUSTOMER, LAMP, MUG, Order},
    sagas::{assert_compensated, assert_completed, step},
    shop::{Database, Shop},
};
use serde_json::{Value, json};
use shop_proto::{
    order::v1::{LineState, OrderStatus},
    payment::v1::PaymentStatus,
};
use tokio::join;

crate::on_both_databases!(
    lines_are_cancelled_one_after_another_until_the_order_is,
    a_line_whose_refund_is_refused_is_active_again,
    lines_that_are_cancelled_at_once_are_all_cancelled,
);

async fn lines_are_cancelled_one_after_another_until_the_order_is(database: Database) {
    let shop = Shop::open(database).await;
    let order = placed(&shop, json!({})).await;

    assert_completed(&shop.run_saga("cancel-order-item", "cancel-1", &line(2)).await);

    let partly = shop.order_of("order-1").await.unwrap();
    assert_eq!(partly.status(), OrderStatus::PartiallyCanceled);
    assert_eq!(partly.balance_minor, 1_500);
    assert_eq!(shop.money("order-1").await, (5_500, 4_000, 1));
    let payment = shop.payment_of("order-1").await.unwrap();
    assert_eq!(payment.status(), PaymentStatus::PartiallyCancelled);
    assert_eq!((shop.stock(MUG).await, shop.stock(LAMP).await), ((997, 0, 3), (3, 0, 0)));
    shop.assert_integrity(std::slice::from_ref(&order)).await;

    let again = shop.run_saga("cancel-order-item", "cancel-2", &line(2)).await;
    assert_compensated(&again, "LINE_NOT_ACTIVE");
    let beyond = shop.run_saga("cancel-order-item", "cancel-3", &line(3)).await;
    assert_compensated(&beyond, "LINE_NOT_FOUND");
    assert_eq!(shop.money("order-1").await, (5_500, 4_000, 1));

    assert_completed(&shop.run_saga("cancel-order-item", "cancel-4", &line(1)).await);

    assert_eq!(shop.order_of("order-1").await.unwrap().status(), OrderStatus::Canceled);
    assert_eq!(shop.money("order-1").await, (5_500, 5_500, 1));
    assert_eq!(shop.stock(MUG).await, (1_000, 0, 0));
    shop.assert_integrity(&[order]).await;
}

async fn a_line_whose_refund_is_refused_is_active_again(database: Database) {
    let shop = Shop::open(database).await;
    let refused = json!({ "kind": "decline", "code": "NOT_CANCELABLE_PAYMENT" });
    let order = placed(&shop, json!({ "cancel": [refused] })).await;

    let saga = shop.run_saga("cancel-order-item", "cancel-1", &line(2)).await;

    assert_compensated(&saga, "NOT_CANCELABLE");
    assert_eq!(step(&saga, "cancel_line"), StepState::Compensated);
    let kept = shop.order_of("order-1").await.unwrap();
    assert_eq!(kept.status(), OrderStatus::PaymentSuccess);
    assert_eq!(kept.line_states().collect::<Vec<_>>(), [LineState::Active; 2]);
    assert_eq!(shop.money("order-1").await, (5_500, 0, 1));
    assert_eq!(shop.stock(LAMP).await, (1, 0, 2));
    shop.assert_integrity(std::slice::from_ref(&order)).await;

    assert_completed(&shop.run_saga("cancel-order-item", "cancel-2", &line(2)).await);
    assert_eq!(shop.money("order-1").await, (5_500, 4_000, 1));
    shop.assert_integrity(&[order]).await;
}

async fn lines_that_are_cancelled_at_once_are_all_cancelled(database: Database) {
    let shop = Shop::open(database).await;
    let order = placed(&shop, json!({})).await;

    let (first, second) = (line(1), line(2));
    let (one, other) = join!(
        shop.run_saga("cancel-order-item", "cancel-1", &first),
        shop.run_saga("cancel-order-item", "cancel-2", &second),
    );

    assert_completed(&one);
    assert_completed(&other);
    assert_eq!(shop.order_of("order-1").await.unwrap().status(), OrderStatus::Canceled);
    assert_eq!(shop.money("order-1").await, (5_500, 5_500, 1));
    assert_eq!((shop.stock(MUG).await, shop.stock(LAMP).await), ((1_000, 0, 0), (3, 0, 0)));
    shop.assert_integrity(&[order]).await;
}

/// Three mugs on line 1 and two lamps on line 2, paid.
async fn placed(shop: &Shop, faults: Value) -> Order {
    let order = Order { more: vec![(LAMP, 2)], ..Order::of("order-1", 3, MUG) };
    shop.authenticate_with(&order, faults).await;
    assert_completed(&shop.place(&order).await);
    order
}

fn line(line_no: i64) -> Value {
    json!({ "orderNo": "order-1", "customerId": CUSTOMER, "lineNo": line_no })
}
