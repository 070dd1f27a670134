//! One order at a time, through five programs: what it comes to at the orchestrator, in the
//! stock, at the order service and at the payment provider, whatever goes wrong.

use saga_proto::saga::v1::{Saga, SagaState, StepState};
use saga_tests::{
    buyer::reason,
    order::{BATTERIES, CUSTOMER, LAMP, MUG, Order},
    sagas::{assert_compensated, step},
    shop::{Database, Shop, with_op_id},
};
use serde_json::json;
use shop_proto::{
    order::v1::{InsertOrderRequest, OrderStatus, order_service_client::OrderServiceClient},
    payment::v1::PaymentStatus,
};

crate::on_both_databases!(
    an_order_is_paid_written_down_and_taken_from_the_stock,
    an_order_for_more_than_there_is_costs_nothing,
    a_declined_payment_releases_the_stock,
    an_order_number_that_was_used_is_refused_before_anything_else,
    an_order_at_a_wrong_price_is_refused_before_it_is_paid,
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

/// Twice: through a second saga, and through somebody who writes orders down without one.
/// Whoever comes second is told so before he has paid anything.
async fn an_order_number_that_was_used_is_refused_before_anything_else(database: Database) {
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

    let saga = shop.place(&second).await;

    assert_compensated(&saga, "DUPLICATE_ORDER_NO");
    assert_eq!(step(&saga, "accept_order"), StepState::Rejected);
    assert_eq!(shop.money("order-1").await, (500, 0, 1));
    assert_eq!(shop.stock(MUG).await, (999, 0, 1));
    assert_eq!(shop.order_of("order-1").await.unwrap().total_minor, 500);

    let taken = Order::of("order-2", 1, LAMP);
    write_down(&shop, &taken).await;
    let late = Order { item: MUG, price_minor: MUG.price_minor, ..taken };
    shop.authenticate(&late).await;

    let saga = shop.place(&late).await;

    assert_compensated(&saga, "DUPLICATE_ORDER_NO");
    assert_eq!(shop.money("order-2").await, (0, 0, 0));
    assert_eq!(shop.stock(MUG).await, (999, 0, 1));
    // The audit would miss the money of the order that was written down by hand.
    shop.assert_no_violations().await;
}

/// S4-2, D5. The prices of the lines, their sum, the currency and the credits are the
/// catalogue's; what the buyer takes for them is compared, and costs nothing.
async fn an_order_at_a_wrong_price_is_refused_before_it_is_paid(database: Database) {
    let shop = Shop::open(database).await;
    let order = Order { more: vec![(LAMP, 1)], ..Order::of("order-1", 3, MUG) };
    shop.authenticate(&order).await;
    // The sum is right, and the refund of the first line would be worth more than all.
    let mut swapped = order.input();
    swapped.lines[0].price_minor = 1_167;
    swapped.lines[1].price_minor = -1;
    let mut cheap = order.input();
    cheap.lines[1].price_minor = 1;
    let mut dear = order.input();
    dear.lines[0].credits = 1_000_000;
    let mut foreign = order.input();
    foreign.currency = "JPY".to_owned();
    let mut other_sum = order.input();
    other_sum.payment.as_mut().unwrap().amount_minor -= 1;
    let mut discount = order.input();
    discount.discount_minor = 100;
    let lies = [
        (swapped, "INPUT_INVALID"),
        (cheap, "PRICE_CHANGED"),
        (dear, "PRICE_CHANGED"),
        (foreign, "PRICE_CHANGED"),
        (other_sum, "PRICE_CHANGED"),
        (discount, "INPUT_INVALID"),
    ];
    for (number, (input, reason)) in lies.iter().enumerate() {
        let saga = shop.place_input(&format!("lie-{number}"), input).await;
        assert_compensated(&saga, reason);
    }
    assert_eq!(shop.money("order-1").await, (0, 0, 0));
    assert_eq!(shop.stock(MUG).await, (1_000, 0, 0));
    assert_eq!(shop.stock(LAMP).await, (3, 0, 0));
    assert_eq!(reason(&shop.order_of("order-1").await.unwrap_err()), "ORDER_NOT_FOUND");

    // A buyer who says nothing of prices pays them all the same.
    let mut silent = order.input();
    silent.currency.clear();
    silent.payment.as_mut().unwrap().amount_minor = 0;
    silent.lines.iter_mut().for_each(|it| it.price_minor = 0);
    let saga = shop.place_input("silent", &silent).await;
    assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    assert_eq!(shop.money("order-1").await, (3_500, 0, 1));
    let written = shop.order_of("order-1").await.unwrap();
    let prices: Vec<i64> = written.lines.iter().map(|it| it.price_minor).collect();
    assert_eq!((prices, written.currency.as_str()), (vec![500, 2_000], "GBP"));
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
    let order = Order::of("order-1", 2, BATTERIES);
    shop.authenticate(&order).await;

    let saga = shop.place(&order).await;

    assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    assert_eq!(shop.credit_of(CUSTOMER).await, 20);

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
