//! Refunds wait for somebody's approval, and race the delivery: an order with a refund
//! request is never prepared for delivery (S2-3, S2-4).

use std::fs;

use saga_proto::saga::v1::{Saga, SagaState, StepState};
use saga_tests::{
    buyer::reason,
    order::{CUSTOMER, LAMP, Order},
    sagas::{assert_compensated, assert_completed, step},
    shop::{Database, Shop},
};
use serde_json::{Value, json};
use shop_proto::order::v1::OrderStatus;
use tokio::join;

use crate::sagactl::sagactl;

crate::on_both_databases!(
    an_approved_refund_gives_back_the_money_and_the_goods_that_came_back,
    a_denied_refund_changes_nothing,
    a_refund_that_nobody_decides_changes_nothing,
    of_a_refund_and_a_delivery_exactly_one_wins,
);

async fn an_approved_refund_gives_back_the_money_and_the_goods_that_came_back(database: Database) {
    let mut shop = Shop::open(database).await;
    let mut orders = Vec::new();
    for (order_no, goods_returned, lamps) in
        [("order-1", true, (3, 0, 0)), ("order-2", false, (1, 0, 2))]
    {
        let order = placed(&shop, order_no).await;
        let key = asked_for(&shop, order_no).await;
        let waiting = shop.saga(&key).await.unwrap();
        assert_eq!(step(&waiting, "give_back"), StepState::Pending, "nothing is decided");
        assert_eq!(shop.money(order_no).await, (4_000, 0, 1));

        // Whoever waits survives the orchestrator.
        shop.orchestrator.kill().await;
        shop.orchestrator.start().await;
        let approval = json!({ "approved": true, "goodsReturned": goods_returned, "by": "ann" });
        let given = shop.signal(&key, "approval", &approval, "request-1").await.unwrap();
        assert!(!given.existed);

        let saga = shop.ended(&key).await;
        assert_completed(&saga);
        let restock = if goods_returned { StepState::Applied } else { StepState::Skipped };
        assert_eq!(step(&saga, "restock"), restock);
        let status = shop.order_of(order_no).await.unwrap().status();
        assert_eq!(status, OrderStatus::RefundCompleted);
        assert_eq!(shop.money(order_no).await, (4_000, 4_000, 1));
        assert_eq!(shop.stock(LAMP).await, lamps);
        orders.push(order);
        shop.assert_integrity(&orders).await;
    }
    let late = json!({ "approved": false });
    let told = shop.signal("refund-order-1", "approval", &late, "request-2").await.unwrap_err();
    assert_eq!(reason(&told), "SAGA_ENDED");
}

async fn a_denied_refund_changes_nothing(database: Database) {
    let shop = Shop::open(database).await;
    let order = placed(&shop, "order-1").await;
    let key = asked_for(&shop, "order-1").await;

    // A stranger to gRPC: from the command line.
    let denial = r#"{ "approved": false, "by": "ann", "note": "used" }"#;
    let arguments = ["saga", "signal", &key, "approval", "--input", denial, "--yes"];
    let told = sagactl(&shop, &arguments).await;
    assert_eq!(told.code, Some(0), "{}{}", told.stdout, told.stderr);

    let saga = shop.ended(&key).await;
    assert_compensated(&saga, "REFUND_DENIED");
    assert_rejected(&shop, "order-1").await;
    shop.assert_integrity(&[order]).await;

    // What counted before counts again: the goods can be delivered.
    let prepare = json!({ "orderNo": "order-1" });
    assert_completed(&shop.run_saga("prepare-delivery", "prepare-1", &prepare).await);
}

async fn a_refund_that_nobody_decides_changes_nothing(database: Database) {
    let mut shop = Shop::closed(database).await;
    let file = shop.definitions().join("refund.yaml");
    let shipped = fs::read_to_string(&file).unwrap();
    let shortened = shipped.replace("timeout: 7d", "timeout: 1s");
    assert_ne!(shipped, shortened, "the wait has no week");
    fs::write(&file, shortened).unwrap();
    shop.open_services().await;
    shop.orchestrator.start().await;
    let order = placed(&shop, "order-1").await;

    let saga = shop.run_saga("refund", "refund-order-1", &refund("order-1", 0)).await;

    assert_compensated(&saga, "SIGNAL_TIMEOUT");
    assert_rejected(&shop, "order-1").await;
    shop.assert_integrity(&[order]).await;
}

async fn of_a_refund_and_a_delivery_exactly_one_wins(database: Database) {
    let shop = Shop::open(database).await;
    let order = placed(&shop, "order-1").await;
    let seen = shop.order_of("order-1").await.unwrap().status_id;
    let approval = json!({ "approved": true, "goodsReturned": true });

    let (refund, prepare) =
        (refund("order-1", seen), json!({ "orderNo": "order-1", "expectedHead": seen }));
    let refunding = async {
        shop.start_saga("refund", "refund-order-1", &refund).await.unwrap();
        // The saga may be over before.
        let _ = shop.signal("refund-order-1", "approval", &approval, "request-1").await;
        shop.ended("refund-order-1").await
    };
    let (refunded, prepared) =
        join!(refunding, shop.run_saga("prepare-delivery", "prepare-1", &prepare));

    let status = shop.order_of("order-1").await.unwrap().status();
    if refunded.state() == SagaState::Completed {
        assert_compensated(&prepared, "LOST_RACE");
        assert_eq!(status, OrderStatus::RefundCompleted);
        assert_eq!(shop.money("order-1").await, (4_000, 4_000, 1));
    } else {
        assert_completed(&prepared);
        assert_compensated(&refunded, "LOST_RACE");
        assert_eq!(status, OrderStatus::DeliveryPreparation);
        assert_eq!(shop.money("order-1").await, (4_000, 0, 1));
    }
    shop.assert_integrity(&[order]).await;

    // What is cancelled or refunded is not delivered, and what is packed is not refunded.
    let prepare = json!({ "orderNo": "order-1" });
    let again = shop.run_saga("prepare-delivery", "prepare-2", &prepare).await;
    assert_compensated(&again, "ILLEGAL_TRANSITION");
}

/// Two lamps, paid.
async fn placed(shop: &Shop, order_no: &str) -> Order {
    let order = Order::of(order_no, 2, LAMP);
    shop.authenticate(&order).await;
    assert_completed(&shop.place(&order).await);
    order
}

/// Asks for a refund and waits until the saga waits. Returns its key.
async fn asked_for(shop: &Shop, order_no: &str) -> String {
    let key = format!("refund-{order_no}");
    shop.start_saga("refund", &key, &refund(order_no, 0)).await.unwrap();
    shop.becomes(&key, |saga: &Saga| saga.waiting_on == "signal approval").await;
    key
}

fn refund(order_no: &str, expected_head: i64) -> Value {
    json!({
        "orderNo": order_no,
        "customerId": CUSTOMER,
        "reason": "broken",
        "expectedHead": expected_head,
    })
}

async fn assert_rejected(shop: &Shop, order_no: &str) {
    let order = shop.order_of(order_no).await.unwrap();
    assert_eq!(order.status(), OrderStatus::RefundRejected);
    assert_eq!(order.counts_as(), OrderStatus::PaymentSuccess);
    assert_eq!(shop.money(order_no).await, (4_000, 0, 1));
    assert_eq!(shop.stock(LAMP).await, (1, 0, 2));
}
