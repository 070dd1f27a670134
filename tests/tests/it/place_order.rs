//! One order at a time, through five programs: what it comes to at the orchestrator, in the
//! stock, at the order service and at the payment provider, whatever goes wrong.

use saga_proto::{
    saga::v1::{Saga, SagaState, StepState},
    shop::{
        order::v1::{InsertOrderRequest, OrderStatus, order_service_client::OrderServiceClient},
        payment::v1::PaymentStatus,
    },
};
use saga_tests::{
    buyer::reason,
    order::{CUSTOMER, LAMP, MUG, Order},
    sagas::{assert_compensated, step},
    shop::{Database, Shop, with_op_id},
};
use serde_json::json;

crate::on_both_databases!(
    an_order_is_paid_written_down_and_taken_from_the_stock,
    an_order_for_more_than_there_is_costs_nothing,
    a_declined_payment_releases_the_stock,
    an_order_number_that_was_used_gives_money_and_stock_back,
    an_order_at_a_wrong_price_is_refused_at_the_pivot_and_undone,
    a_reply_that_is_lost_after_the_capture_charges_once,
    an_order_waits_for_a_provider_that_is_down,
    credits_are_granted_once_and_taken_back_with_the_order,
);

async fn an_order_is_paid_written_down_and_taken_from_the_stock(database: Database) {
    let shop = Shop::open(database).await;
    let order = Order::of("order-1", 3, MUG);
    shop.authenticate(&order).await;

    let saga = shop.place(&order).await;

    assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    let written = shop.order_of("order-1").await.unwrap();
    assert_eq!(written.status(), OrderStatus::PaymentSuccess);
    assert_eq!((written.total_minor, written.lines[0].qty), (1_500, 3));
    assert_eq!(shop.stock(MUG).await, (997, 0, 3));
    assert_eq!(shop.money("order-1").await, (1_500, 0, 1));
    let payment = shop.payment_of("order-1").await.unwrap();
    assert_eq!(payment.status(), PaymentStatus::Completed);
    assert_eq!((payment.balance_minor, payment.payment_id), (1_500, written.payment_id));
    let kinds: Vec<_> = shop.events("order-1").await.into_iter().map(|it| it.kind).collect();
    assert!(kinds.len() > 8, "started, two events for each of four steps, ended: {kinds:?}");
    shop.assert_integrity(&[order]).await;
}

async fn an_order_for_more_than_there_is_costs_nothing(database: Database) {
    let shop = Shop::open(database).await;
    let order = Order::of("order-1", LAMP.initial_stock + 1, LAMP);
    shop.authenticate(&order).await;

    let saga = shop.place(&order).await;

    assert_compensated(&saga, "OUT_OF_STOCK");
    assert_eq!(shop.stock(LAMP).await, (3, 0, 0));
    assert_eq!(shop.money("order-1").await, (0, 0, 0));
    assert_eq!(reason(&shop.payment_of("order-1").await.unwrap_err()), "PAYMENT_NOT_FOUND");
    assert_eq!(reason(&shop.order_of("order-1").await.unwrap_err()), "ORDER_NOT_FOUND");
    shop.assert_integrity(&[order]).await;
}

async fn a_declined_payment_releases_the_stock(database: Database) {
    let shop = Shop::open(database).await;
    let order = Order::of("order-1", 2, LAMP);
    let decline = json!({ "kind": "decline", "code": "REJECT_CARD_PAYMENT" });
    shop.authenticate_with(&order, json!({ "confirm": [decline] })).await;

    let saga = shop.place(&order).await;

    assert_compensated(&saga, "DECLINED");
    assert_eq!(step(&saga, "reserve_stock"), StepState::Compensated);
    assert_eq!(shop.stock(LAMP).await, (3, 0, 0));
    assert_eq!(shop.money("order-1").await, (0, 0, 0));
    shop.assert_integrity(&[order]).await;
}

/// Twice: through a second saga, which the payment service refuses, and through somebody
/// who writes orders down without a saga, which only the pivot finds out.
async fn an_order_number_that_was_used_gives_money_and_stock_back(database: Database) {
    let shop = Shop::open(database).await;
    let first = Order::of("order-1", 1, MUG);
    shop.authenticate(&first).await;
    assert_eq!(shop.place(&first).await.state(), SagaState::Completed);
    let second = Order {
        business_key: "another-key".to_owned(),
        payment_key: "pay-again".to_owned(),
        ..Order::of("order-1", 2, MUG)
    };
    shop.authenticate(&second).await;

    assert_compensated(&shop.place(&second).await, "PAYMENT_ALREADY_USED");
    assert_eq!(shop.money("order-1").await, (500, 0, 1));
    assert_eq!(shop.stock(MUG).await, (999, 0, 1));
    assert_eq!(shop.order_of("order-1").await.unwrap().total_minor, 500);

    let taken = Order::of("order-2", 4, LAMP);
    write_down(&shop, &taken).await;
    let late = Order { item: MUG, price_minor: MUG.price_minor, ..taken };
    shop.authenticate(&late).await;

    let saga = shop.place(&late).await;

    assert_compensated(&saga, "DUPLICATE_ORDER_NO");
    assert_eq!(step(&saga, "insert_order"), StepState::Rejected);
    assert_eq!(step(&saga, "verify_payment"), StepState::Compensated);
    assert_eq!(shop.money("order-2").await, (2_000, 2_000, 1));
    assert_eq!(shop.payment_of("order-2").await.unwrap().status(), PaymentStatus::Cancelled);
    assert_eq!(shop.stock(MUG).await, (999, 0, 1));
    // The audit would miss the money of the order that was written down by hand.
    shop.assert_no_violations().await;
}

async fn an_order_at_a_wrong_price_is_refused_at_the_pivot_and_undone(database: Database) {
    let shop = Shop::open(database).await;
    // The buyer pays the shop's price; the order that is written down says another.
    let order = Order { price_minor: 1, ..Order::of("order-1", 3, MUG) };
    shop.authenticate(&order).await;

    let saga = shop.place(&order).await;

    assert_compensated(&saga, "TOTAL_MISMATCH");
    assert_eq!(shop.money("order-1").await, (1_500, 1_500, 1));
    assert_eq!(shop.stock(MUG).await, (1_000, 0, 0));
    assert_eq!(reason(&shop.order_of("order-1").await.unwrap_err()), "ORDER_NOT_FOUND");
    shop.assert_integrity(&[order]).await;
}

async fn a_reply_that_is_lost_after_the_capture_charges_once(database: Database) {
    let shop = Shop::open(database).await;
    let order = Order::of("order-1", 3, MUG);
    let lost = json!({ "kind": "drop_after_commit" });
    // Nor does the first look-up tell what became of it.
    let faults = json!({ "confirm": [lost], "look_up": [{ "kind": "drop_before_commit" }] });
    shop.authenticate_with(&order, faults).await;

    let saga = shop.place(&order).await;

    assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    assert_eq!(shop.faults().await["drop_after_commit"], 1);
    assert_eq!(shop.money("order-1").await, (1_500, 0, 1));
    assert_eq!(shop.stock(MUG).await, (997, 0, 3));
    shop.assert_integrity(&[order]).await;
}

async fn an_order_waits_for_a_provider_that_is_down(database: Database) {
    let mut shop = Shop::open(database).await;
    let order = Order::of("order-1", 3, MUG);
    shop.authenticate(&order).await;
    shop.provider.kill().await;
    shop.insist(&order).await;
    let tried = |saga: &Saga| {
        saga.steps.iter().any(|it| {
            it.name == "verify_payment"
                && matches!(it.state(), StepState::Retrying | StepState::Unknown)
        })
    };
    shop.becomes("order-1", tried).await;

    shop.provider.start().await;

    let saga = shop.ended("order-1").await;
    assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    assert_eq!(shop.money("order-1").await, (1_500, 0, 1));
    shop.assert_integrity(&[order]).await;
}

async fn credits_are_granted_once_and_taken_back_with_the_order(database: Database) {
    let shop = Shop::open(database).await;
    let order = Order { credits: 6, ..Order::of("order-1", 1, MUG) };
    shop.authenticate(&order).await;

    let saga = shop.place(&order).await;

    assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    assert_eq!(shop.credit_of(CUSTOMER).await, 6);

    let cancel = json!({ "orderNo": "order-1", "customerId": CUSTOMER });
    let saga = shop.run_saga("cancel-order", "cancel-1", &cancel).await;
    assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    assert_eq!(shop.credit_of(CUSTOMER).await, 0);
    shop.assert_integrity(&[order]).await;
}

/// Somebody writes an order down who is no saga.
async fn write_down(shop: &Shop, order: &Order) {
    let request = with_op_id(InsertOrderRequest {
        order_no: order.order_no.clone(),
        customer_id: "customer-2".to_owned(),
        currency: saga_tests::order::CURRENCY.to_owned(),
        lines: order.lines(),
        payment_id: "paid-in-cash".to_owned(),
        paid_minor: order.total_minor(),
        ..InsertOrderRequest::default()
    });
    OrderServiceClient::new(shop.order.channel()).insert_order(request).await.unwrap();
}
