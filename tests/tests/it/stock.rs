//! The sagas of one step: the stock that its owner has counted, goods that come back, and
//! the begin of a delivery (S1-2).

use saga_proto::saga::v1::Saga;
use saga_tests::{
    order::{CUSTOMER, LAMP, MUG, OWNER, Order},
    sagas::{assert_compensated, assert_completed},
    shop::{Database, Shop},
};
use serde_json::{Value, json};
use shop_proto::order::v1::OrderStatus;

crate::on_both_databases!(
    the_owner_sets_the_stock_and_nobody_else_does,
    goods_come_back_as_far_as_they_were_sold,
);

async fn the_owner_sets_the_stock_and_nobody_else_does(database: Database) {
    let shop = Shop::open(database).await;
    let set = async |key: &str, more: Value| -> Saga {
        let mut input = json!({ "itemId": "lamp", "onHand": 40, "ownerId": OWNER });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        shop.run_saga("set-stock", key, &input).await
    };

    let stranger = set("set-1", json!({ "ownerId": "somebody" })).await;
    assert_compensated(&stranger, "NOT_OWNER");
    assert_eq!(shop.stock(LAMP).await, (3, 0, 0));

    assert_completed(&set("set-2", json!({})).await);
    assert_eq!(shop.stock(LAMP).await, (40, 0, 0));

    // The version that was seen is not the present one, and 0 is a version.
    for (key, version) in [("set-3", 1), ("set-4", 0)] {
        let late = set(key, json!({ "onHand": 5, "expectedVersion": version })).await;
        assert_compensated(&late, "VERSION_MISMATCH");
    }
    let unknown = set("set-5", json!({ "itemId": "fan" })).await;
    assert_compensated(&unknown, "ITEM_NOT_FOUND");
    assert_eq!(shop.stock(LAMP).await, (40, 0, 0));
    shop.assert_no_violations().await;
}

async fn goods_come_back_as_far_as_they_were_sold(database: Database) {
    let shop = Shop::open(database).await;
    let order = Order::of("order-1", 3, MUG);
    shop.authenticate(&order).await;
    assert_completed(&shop.place(&order).await);
    let restock = async |key: &str, order_no: &str| -> Saga {
        let input = json!({ "orderNo": order_no, "lines": [{ "itemId": "mug", "qty": 2 }] });
        shop.run_saga("restock", key, &input).await
    };

    assert_completed(&restock("restock-1", "order-1").await);
    assert_eq!(shop.stock(MUG).await, (999, 0, 1));

    assert_compensated(&restock("restock-2", "order-1").await, "EXCEEDS_SOLD");
    assert_compensated(&restock("restock-3", "order-9").await, "RESERVATION_NOT_FOUND");
    assert_eq!(shop.stock(MUG).await, (999, 0, 1));
    shop.assert_no_violations().await;
}

#[tokio::test]
async fn a_delivery_is_prepared_once_and_not_of_what_does_not_exist() {
    let shop = Shop::open(Database::Sqlite).await;
    let order = Order::of("order-1", 3, MUG);
    shop.authenticate(&order).await;
    assert_completed(&shop.place(&order).await);
    let prepare = async |key: &str, order_no: &str| -> Saga {
        shop.run_saga("prepare-delivery", key, &json!({ "orderNo": order_no })).await
    };

    assert_completed(&prepare("prepare-1", "order-1").await);
    assert_compensated(&prepare("prepare-2", "order-1").await, "ILLEGAL_TRANSITION");
    assert_compensated(&prepare("prepare-3", "order-9").await, "ORDER_NOT_FOUND");
    let status = shop.order_of("order-1").await.unwrap().status();
    assert_eq!(status, OrderStatus::DeliveryPreparation);

    // What is packed can be cancelled, and the delivery with it.
    let cancel = json!({ "orderNo": "order-1", "customerId": CUSTOMER });
    assert_completed(&shop.run_saga("cancel-order", "cancel-1", &cancel).await);
    assert_eq!(shop.stock(MUG).await, (1_000, 0, 0));
    shop.assert_integrity(&[order]).await;
}
