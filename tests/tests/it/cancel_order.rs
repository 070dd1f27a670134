//! Whole orders are cancelled: money and goods go back, once, whoever asks and however many
//! at the same time (S1-8, S2-5, D9).

use saga_proto::saga::v1::{SagaState, StepState};
use saga_tests::{
    order::{CUSTOMER, LAMP, MUG, Order},
    sagas::{assert_compensated, assert_completed, step},
    shop::{Database, Shop},
};
use serde_json::{Value, json};
use shop_proto::{
    order::v1::{GetOrderResponse, LineState, OrderStatus},
    payment::v1::PaymentStatus,
};
use tokio::join;

crate::on_both_databases!(
    a_cancelled_order_gives_back_money_and_goods,
    a_cancel_that_the_provider_refuses_changes_nothing_and_may_be_tried_again,
    of_two_cancels_at_once_one_loses_the_race,
    who_names_no_customer_cancels_and_takes_back_nothing,
);

async fn a_cancelled_order_gives_back_money_and_goods(database: Database) {
    let shop = Shop::open(database).await;
    let order = placed(&shop, json!({})).await;
    assert_eq!(shop.stock(LAMP).await, (1, 0, 2));

    let saga = shop.run_saga("cancel-order", "cancel-1", &cancel(0)).await;

    assert_completed(&saga);
    assert_eq!(step(&saga, "revoke_credit"), StepState::Skipped);
    let cancelled = shop.order_of("order-1").await.unwrap();
    assert_eq!(cancelled.status(), OrderStatus::Canceled);
    assert_eq!(line_states(&cancelled), [LineState::Canceled; 2]);
    assert_eq!(cancelled.balance_minor, 0);
    let history =
        [OrderStatus::PaymentSuccess, OrderStatus::CancelRequested, OrderStatus::Canceled];
    assert_eq!(shop.history_of("order-1").await, history);
    assert_eq!(shop.money("order-1").await, (5_500, 5_500, 1));
    assert_eq!(shop.payment_of("order-1").await.unwrap().status(), PaymentStatus::Cancelled);
    assert_eq!((shop.stock(MUG).await, shop.stock(LAMP).await), ((1_000, 0, 0), (3, 0, 0)));
    shop.assert_integrity(std::slice::from_ref(&order)).await;

    // Nothing is left to cancel.
    let again = shop.run_saga("cancel-order", "cancel-2", &cancel(0)).await;
    assert_compensated(&again, "ILLEGAL_TRANSITION");
    assert_eq!(shop.money("order-1").await, (5_500, 5_500, 1));
    shop.assert_integrity(&[order]).await;
}

async fn a_cancel_that_the_provider_refuses_changes_nothing_and_may_be_tried_again(
    database: Database,
) {
    let shop = Shop::open(database).await;
    let refused = json!({ "kind": "decline", "code": "NOT_CANCELABLE_PAYMENT" });
    let order = placed(&shop, json!({ "cancel": [refused] })).await;

    let saga = shop.run_saga("cancel-order", "cancel-1", &cancel(0)).await;

    assert_compensated(&saga, "NOT_CANCELABLE");
    assert_eq!(step(&saga, "request_cancel"), StepState::Compensated);
    assert_eq!(shop.faults().await["decline"], 1);
    let kept = shop.order_of("order-1").await.unwrap();
    assert_eq!(kept.status(), OrderStatus::CancelRejected);
    assert_eq!(kept.counts_as(), OrderStatus::PaymentSuccess);
    assert_eq!(line_states(&kept), [LineState::Active; 2]);
    assert_eq!(shop.money("order-1").await, (5_500, 0, 1));
    assert_eq!(shop.stock(LAMP).await, (1, 0, 2));
    shop.assert_integrity(std::slice::from_ref(&order)).await;

    let again = shop.run_saga("cancel-order", "cancel-2", &cancel(0)).await;
    assert_completed(&again);
    assert_eq!(shop.money("order-1").await, (5_500, 5_500, 1));
    shop.assert_integrity(&[order]).await;
}

async fn of_two_cancels_at_once_one_loses_the_race(database: Database) {
    let shop = Shop::open(database).await;
    let order = placed(&shop, json!({})).await;
    let seen = shop.order_of("order-1").await.unwrap().status_id;

    let input = cancel(seen);
    let (one, other) = join!(
        shop.run_saga("cancel-order", "cancel-1", &input),
        shop.run_saga("cancel-order", "cancel-2", &input),
    );

    let (winner, loser) =
        if one.state() == SagaState::Completed { (one, other) } else { (other, one) };
    assert_completed(&winner);
    assert_compensated(&loser, "LOST_RACE");
    assert_eq!(shop.history_of("order-1").await.len(), 3);
    assert_eq!(shop.money("order-1").await, (5_500, 5_500, 1));
    assert_eq!(shop.stock(LAMP).await, (3, 0, 0));
    shop.assert_integrity(&[order]).await;
}

#[tokio::test]
async fn a_stranger_cancels_nothing() {
    let shop = Shop::open(Database::Sqlite).await;
    let order = placed(&shop, json!({})).await;

    let stranger = json!({ "orderNo": "order-1", "customerId": "customer-2" });
    let saga = shop.run_saga("cancel-order", "cancel-1", &stranger).await;

    assert_compensated(&saga, "NOT_OWNER");
    assert_eq!(shop.order_of("order-1").await.unwrap().status(), OrderStatus::PaymentSuccess);
    assert_eq!(shop.money("order-1").await, (5_500, 0, 1));
    shop.assert_integrity(&[order]).await;
}

#[tokio::test]
async fn a_cancel_whose_replies_are_lost_gives_the_money_back_once() {
    let shop = Shop::open(Database::Sqlite).await;
    let faults = json!({
        "cancel": [{ "kind": "drop_after_commit" }, { "kind": "error_after", "status": 500 }],
    });
    let order = placed(&shop, faults).await;

    let saga = shop.run_saga("cancel-order", "cancel-1", &cancel(0)).await;

    assert_completed(&saga);
    assert_eq!(shop.faults().await["drop_after_commit"], 1);
    assert_eq!(shop.money("order-1").await, (5_500, 5_500, 1));
    shop.assert_integrity(&[order]).await;
}

/// Three mugs and two lamps, paid. `faults` is the script of what goes wrong with the money.
async fn placed(shop: &Shop, faults: Value) -> Order {
    let order = Order { more: vec![(LAMP, 2)], ..Order::of("order-1", 3, MUG) };
    shop.authenticate_with(&order, faults).await;
    assert_completed(&shop.place(&order).await);
    order
}

fn cancel(expected_head: i64) -> Value {
    json!({
        "orderNo": "order-1",
        "customerId": CUSTOMER,
        "reason": "too much",
        "expectedHead": expected_head,
    })
}

fn line_states(order: &GetOrderResponse) -> Vec<LineState> {
    order.line_states().collect()
}

/// An empty field is nobody's, and not the shop's own.
async fn who_names_no_customer_cancels_and_takes_back_nothing(database: Database) {
    let shop = Shop::open(database).await;
    let order = placed(&shop, json!({})).await;
    let nobody = json!({ "order_no": "order-1" });
    let of_a_line = json!({ "order_no": "order-1", "line_no": 1 });
    for (definition, input) in
        [("cancel-order", &nobody), ("cancel-order-item", &of_a_line), ("refund", &nobody)]
    {
        let saga = shop.run_saga(definition, definition, input).await;
        assert_compensated(&saga, "INPUT_INVALID");
    }
    assert_eq!(shop.history_of("order-1").await, [OrderStatus::PaymentSuccess]);
    assert_eq!(shop.money("order-1").await, (5_500, 0, 1));
    shop.assert_integrity(&[order]).await;
}
