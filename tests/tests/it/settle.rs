//! Orders whose buyers paid at the provider before the shop was asked (S0-11 to S0-17): the
//! order is settled, or the money goes back and the order's status says why.

use saga_proto::saga::v1::{Saga, SagaState, StepState};
use saga_tests::{
    buyer::reason,
    order::{BATTERIES, CUSTOMER, Item, LAMP, MUG, Order},
    sagas::{assert_compensated, assert_completed, step},
    shop::{Database, Shop},
};
use serde_json::{Value, json};
use shop_proto::order::v1::OrderStatus;
use tokio::join;

crate::on_both_databases!(
    a_paid_order_is_settled,
    s0_12_a_pending_order_is_made_by_a_saga_at_the_shop_s_prices,
    an_order_that_is_not_at_the_shop_s_prices_is_not_sold,
    a_wrong_payment_goes_back_and_the_right_one_settles_the_order,
    money_for_an_order_that_does_not_exist_goes_back,
    money_of_another_amount_goes_back_and_the_order_says_so,
    money_for_goods_that_are_gone_goes_back_and_the_order_says_so,
    an_order_without_a_payment_says_so,
    of_two_settlements_at_once_one_settles_and_the_money_stays,
);

async fn a_paid_order_is_settled(database: Database) {
    let shop = Shop::open(database).await;
    let mut orders = Vec::new();
    for (provider, order_no) in [("portone", "order-1"), ("toss", "order-2")] {
        let order = Order::of(order_no, 3, BATTERIES);
        shop.create_pending(&order).await;
        shop.pay(&order).await;

        let saga = settle(&shop, &order, provider).await;

        assert_completed(&saga);
        let settled = shop.order_of(order_no).await.unwrap();
        assert_eq!(settled.status(), OrderStatus::PaymentSuccess);
        let payment = shop.payment_of(order_no).await.unwrap();
        assert_eq!((payment.provider.as_str(), payment.balance_minor), (provider, 1_350));
        assert_eq!(settled.payment_id, payment.payment_id);
        assert_eq!(shop.money(order_no).await, (1_350, 0, 1));
        orders.push(order);
    }
    assert_eq!(shop.stock(BATTERIES).await, (994, 0, 6));
    assert_eq!(shop.credit_of(CUSTOMER).await, 60);
    shop.assert_integrity(&orders).await;

    // It is an order like any other from now on.
    let cancel = json!({ "orderNo": "order-1", "customerId": CUSTOMER });
    assert_completed(&shop.run_saga("cancel-order", "cancel-1", &cancel).await);
    assert_eq!(shop.money("order-1").await, (1_350, 1_350, 1));
    assert_eq!(shop.credit_of(CUSTOMER).await, 30);
    shop.assert_integrity(&orders).await;
}

/// What the buyer says of prices is compared; the order has the catalogue's.
async fn s0_12_a_pending_order_is_made_by_a_saga_at_the_shop_s_prices(database: Database) {
    let shop = Shop::open(database).await;
    let order = Order { more: vec![(BATTERIES, 2)], ..Order::of("order-1", 3, MUG) };
    let wants = |price_minor: i64, expected_minor: i64| {
        json!({
            "orderNo": "order-1", "customerId": CUSTOMER, "expectedMinor": expected_minor,
            "lines": [
                { "itemId": "mug", "qty": 3, "priceMinor": price_minor },
                { "itemId": "batteries", "qty": 2 },
            ],
        })
    };
    for (key, wish) in [("lie-1", wants(1, 0)), ("lie-2", wants(0, 3)), ("lie-3", wants(-1, 0))] {
        let saga = shop.run_saga("place-pending-order", key, &wish).await;
        let reason = if key == "lie-3" { "INPUT_INVALID" } else { "PRICE_CHANGED" };
        assert_compensated(&saga, reason);
    }
    let saga = shop.run_saga("place-pending-order", "order-1", &wants(0, 0)).await;
    assert_completed(&saga);
    assert_eq!(shop.order_of("order-1").await.unwrap().total_minor, 2_400);
    assert_eq!(shop.stock(MUG).await, (1_000, 0, 0), "nothing is held until it is paid");
    shop.pay(&order).await;
    assert_completed(&settle(&shop, &order, "portone").await);
    assert_eq!(shop.money("order-1").await, (2_400, 0, 1));
    assert_eq!(shop.credit_of(CUSTOMER).await, 20);
    shop.assert_integrity(&[order]).await;
}

/// The order was written at another price, by whomever: it is not sold, and the status does
/// not say that there was no payment.
async fn an_order_that_is_not_at_the_shop_s_prices_is_not_sold(database: Database) {
    let shop = Shop::open(database).await;
    // Swapped: the sum is the shop's.
    let order = Order {
        more: vec![(Item { price_minor: 500, ..BATTERIES }, 1)],
        ..Order::of("order-1", 1, Item { price_minor: 450, ..MUG })
    };
    shop.create_pending(&order).await;
    shop.pay(&order).await;

    let saga = settle(&shop, &order, "portone").await;

    assert_compensated(&saga, "PRICE_CHANGED");
    let (captured, cancelled, _) = shop.money("order-1").await;
    assert_eq!(captured, cancelled);
    let status = shop.order_of("order-1").await.unwrap().status();
    assert_eq!(status, OrderStatus::PaymentReturned);
    assert_eq!(shop.stock(MUG).await, (1_000, 0, 0));
    shop.assert_no_violations().await;
}

/// A payment that settles nothing goes back; an order says nothing of what is wrong with a
/// payment that was named with it.
async fn a_wrong_payment_goes_back_and_the_right_one_settles_the_order(database: Database) {
    let shop = Shop::open(database).await;
    let order = Order::of("order-1", 3, MUG);
    shop.create_pending(&order).await;
    // A typing error; a payment of another order; one that is not paid yet.
    let other = Order::of("order-2", 1, MUG);
    shop.pay(&other).await;
    shop.authenticate(&order).await;
    let named = |order_no: &str, key: &str| {
        json!({
            "orderNo": order_no, "provider": "portone", "providerKey": key, "customerId": CUSTOMER,
        })
    };
    for (key, reason, status) in [
        ("no-such-key", "PAYMENT_NOT_FOUND", OrderStatus::PaymentNoPaymentInfo),
        ("pay-order-2", "ORDER_MISMATCH", OrderStatus::PaymentPending),
        ("pay-order-1", "NOT_PAID", OrderStatus::PaymentPending),
        ("", "INPUT_INVALID", OrderStatus::PaymentPending),
    ] {
        let input = named("order-1", key);
        let saga = shop.run_saga("settle-paid-order", &format!("s-{key}"), &input).await;
        assert_compensated(&saga, reason);
        assert_eq!(shop.order_of("order-1").await.unwrap().status(), status, "{key}");
    }
    assert_eq!(shop.money("order-2").await, (500, 0, 1), "it was not for this order");

    let again = Order { payment_key: "pay-2".to_owned(), ..order.clone() };
    shop.pay(&again).await;
    assert_completed(&shop.run_saga("settle-paid-order", "s-1", &named("order-1", "pay-2")).await);
    assert_eq!(shop.money("order-1").await, (1_500, 0, 1));
    // The order's own payment, named once more, stays.
    let saga = shop.run_saga("settle-paid-order", "s-2", &named("order-1", "pay-2")).await;
    assert_compensated(&saga, "SAME_PAYMENT");
    assert_eq!(shop.money("order-1").await, (1_500, 0, 1));
    shop.assert_no_violations().await;
}

async fn money_for_an_order_that_does_not_exist_goes_back(database: Database) {
    let shop = Shop::open(database).await;
    let order = Order::of("order-1", 3, MUG);
    shop.pay(&order).await;

    let saga = settle(&shop, &order, "portone").await;

    assert_compensated(&saga, "ORDER_NOT_FOUND");
    assert_eq!(step(&saga, "paid"), StepState::Compensated);
    assert_eq!(shop.money("order-1").await, (1_500, 1_500, 1));
    assert_eq!(reason(&shop.order_of("order-1").await.unwrap_err()), "ORDER_NOT_FOUND");
    assert_eq!(shop.stock(MUG).await, (1_000, 0, 0));
    shop.assert_integrity(&[order]).await;
}

async fn money_of_another_amount_goes_back_and_the_order_says_so(database: Database) {
    let shop = Shop::open(database).await;
    let order = Order::of("order-1", 3, MUG);
    shop.create_pending(&order).await;
    // The buyer pays for two.
    shop.pay(&Order { qty: 2, ..order.clone() }).await;

    let saga = settle(&shop, &order, "portone").await;

    assert_compensated(&saga, "AMOUNT_MISMATCH");
    assert_eq!(shop.money("order-1").await, (1_000, 1_000, 1));
    let history = [
        OrderStatus::PaymentPending,
        OrderStatus::PaymentConfirm,
        // The order can still be paid.
        OrderStatus::PaymentPending,
    ];
    assert_eq!(shop.history_of("order-1").await, history);
    assert_eq!(shop.stock(MUG).await, (1_000, 0, 0));
    shop.assert_integrity(&[order]).await;
}

async fn money_for_goods_that_are_gone_goes_back_and_the_order_says_so(database: Database) {
    let shop = Shop::open(database).await;
    let order = Order::of("order-1", LAMP.initial_stock + 1, LAMP);
    shop.create_pending(&order).await;
    shop.pay(&order).await;

    let saga = settle(&shop, &order, "portone").await;

    assert_compensated(&saga, "OUT_OF_STOCK");
    assert_eq!(step(&saga, "verify_payment"), StepState::Compensated);
    assert_eq!(shop.money("order-1").await, (8_000, 8_000, 1));
    let status = shop.order_of("order-1").await.unwrap().status();
    assert_eq!(status, OrderStatus::PaymentOutOfStock);
    assert_eq!(shop.stock(LAMP).await, (3, 0, 0));
    shop.assert_integrity(&[order]).await;
}

async fn an_order_without_a_payment_says_so(database: Database) {
    let shop = Shop::open(database).await;
    let order = Order::of("order-1", 3, MUG);
    shop.create_pending(&order).await;

    let saga = settle(&shop, &order, "portone").await;

    assert_compensated(&saga, "PAYMENT_NOT_FOUND");
    let status = shop.order_of("order-1").await.unwrap().status();
    assert_eq!(status, OrderStatus::PaymentNoPaymentInfo);
    assert_eq!(shop.money("order-1").await, (0, 0, 0));
    shop.assert_integrity(&[order]).await;
}

/// D8: of two starts one checks the payment. The other must not give the money back.
async fn of_two_settlements_at_once_one_settles_and_the_money_stays(database: Database) {
    let shop = Shop::open(database).await;
    let order = Order::of("order-1", 3, MUG);
    shop.create_pending(&order).await;
    shop.pay(&order).await;

    let input = input(&order, "portone");
    let (one, other) = join!(
        shop.run_saga("settle-paid-order", "settle-1", &input),
        shop.run_saga("settle-paid-order", "settle-2", &input),
    );

    let (winner, loser) =
        if one.state() == SagaState::Completed { (one, other) } else { (other, one) };
    assert_completed(&winner);
    assert_eq!(loser.state(), SagaState::Compensated, "{}", loser.why);
    assert_eq!(loser.rejected_reason, "SAME_PAYMENT");
    assert_eq!(step(&loser, "paid"), StepState::Kept);
    assert_eq!(shop.money("order-1").await, (1_500, 0, 1));
    assert_eq!(shop.stock(MUG).await, (997, 0, 3));
    shop.assert_integrity(&[order]).await;
}

async fn settle(shop: &Shop, order: &Order, provider: &str) -> Saga {
    let key = format!("settle-{}", order.order_no);
    shop.run_saga("settle-paid-order", &key, &input(order, provider)).await
}

fn input(order: &Order, provider: &str) -> Value {
    json!({
        "orderNo": order.order_no,
        "provider": provider,
        "providerKey": order.payment_key,
        "customerId": CUSTOMER,
    })
}

#[tokio::test]
async fn a_late_second_settlement_leaves_the_money_of_a_settled_order() {
    let mut shop = Shop::closed(Database::Sqlite).await;
    let file = shop.definitions().join("settle-paid-order.yaml");
    let shipped = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, shipped.replace("deadline: 5m", "deadline: 2s")).unwrap();
    shop.open_services().await;
    shop.orchestrator.start().await;
    let order = Order::of("order-1", 3, MUG);
    shop.create_pending(&order).await;
    shop.pay(&order).await;
    assert_completed(&settle(&shop, &order, "portone").await);

    // The orders cannot be asked until the deadline has passed.
    shop.order.kill().await;
    let again = shop.run_saga("settle-paid-order", "settle-2", &input(&order, "portone")).await;
    shop.order.start().await;

    assert_eq!(again.state(), SagaState::Compensated, "{}", again.why);
    assert_eq!(shop.money("order-1").await, (1_500, 0, 1));
    shop.assert_integrity(&[order]).await;
}
