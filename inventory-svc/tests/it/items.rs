//! Items: registering, changing, loading many.

use saga_participant::{
    OperationError, on_both_databases,
    testkit::{Scratch, new_op_id, reason_of, with_op_id},
};
use shop_proto::inventory::v1::{GetStockRequest, ItemStatus, PutItemRequest, Stock};
use tonic::{Code, Status};

use crate::shop::{Shop, seed_item};

on_both_databases!(
    an_item_keeps_its_status_and_credits_where_none_are_named,
    s0_25_price_and_stock_are_at_least_1,
    s1_2_only_the_owner_changes_an_item,
    an_item_that_exists_keeps_its_stock,
    calls_that_register_the_same_item_at_once_agree,
    loading_again_changes_nothing,
    stock_is_shown_in_the_order_of_the_question,
);

pub(crate) async fn put(
    shop: &Shop,
    item_id: &str,
    change: impl FnOnce(&mut PutItemRequest),
) -> Result<Stock, Status> {
    let item = seed_item(item_id, 10);
    let mut request = PutItemRequest {
        item_id: item.item_id,
        owner_id: item.owner_id,
        name: item.name,
        price_minor: item.price_minor,
        currency: item.currency,
        status: ItemStatus::Unspecified.into(),
        initial_stock: item.initial_stock,
        credits: None,
    };
    change(&mut request);
    let reply = shop.client().put_item(with_op_id(new_op_id(), request)).await?;
    Ok(reply.into_inner().stock.unwrap())
}

async fn s0_25_price_and_stock_are_at_least_1(scratch: Scratch) {
    let shop = Shop::open(scratch, &[]).await;
    let status = put(&shop, "A", |item| item.price_minor = 0).await.unwrap_err();
    assert_eq!(
        (status.code(), reason_of(&status).as_str()),
        (Code::InvalidArgument, "PRICE_INVALID")
    );
    assert_eq!(status.message(), "price_minor is \"0\": at least 1");
    let status = put(&shop, "A", |item| item.initial_stock = 0).await.unwrap_err();
    assert_eq!(
        (status.code(), reason_of(&status).as_str()),
        (Code::InvalidArgument, "STOCK_INVALID")
    );
    for (change, field) in [
        ((|item| item.currency = "pounds".to_owned()) as fn(&mut PutItemRequest), "currency"),
        (|item| item.name = String::new(), "name"),
        (|item| item.owner_id = "\u{7}".to_owned(), "owner_id"),
        (|item| item.status = 77, "status"),
    ] {
        let status = put(&shop, "A", change).await.unwrap_err();
        assert!(status.message().starts_with(field), "{status:?}");
    }
    let stock = put(&shop, "A", |_| {}).await.unwrap();
    assert_eq!((stock.on_hand, stock.price_minor, stock.status()), (10, 250, ItemStatus::OnSale));
    shop.assert_sound().await;
}

async fn s1_2_only_the_owner_changes_an_item(scratch: Scratch) {
    let shop = Shop::open(scratch, &[("A", 10)]).await;
    let status = put(&shop, "A", |item| item.owner_id = "thief".to_owned()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason_of(&status).as_str()),
        (Code::FailedPrecondition, "NOT_OWNER")
    );
    let status = put(&shop, "A", |item| item.currency = "KRW".to_owned()).await.unwrap_err();
    assert_eq!(reason_of(&status), "CURRENCY_FIXED");
}

async fn an_item_that_exists_keeps_its_stock(scratch: Scratch) {
    let shop = Shop::open(scratch, &[("A", 7)]).await;
    let before = shop.stock("A").await;
    let stock = put(&shop, "A", |item| {
        item.price_minor = 999;
        item.initial_stock = 0;
    })
    .await
    .unwrap();
    assert_eq!((stock.on_hand, stock.price_minor), (7, 999));
    assert!(stock.version > before.version);
    shop.assert_sound().await;
}

/// Whoever changes a price does not put a suspended item on sale again.
async fn an_item_keeps_its_status_and_credits_where_none_are_named(scratch: Scratch) {
    let shop = Shop::open(scratch, &[("A", 7)]).await;
    put(&shop, "A", |item| {
        item.status = ItemStatus::Suspended.into();
        item.credits = Some(3);
    })
    .await
    .unwrap();
    let stock = put(&shop, "A", |item| item.price_minor = 300).await.unwrap();
    assert_eq!((stock.status(), stock.price_minor), (ItemStatus::Suspended, 300));
    assert_eq!(stock.credits, 3);
    let new = put(&shop, "B", |_| {}).await.unwrap();
    assert_eq!((new.status(), new.credits), (ItemStatus::OnSale, 0));
}

async fn calls_that_register_the_same_item_at_once_agree(scratch: Scratch) {
    let shop = Shop::open(scratch, &[]).await;
    let calls = (0..16).map(|_| put(&shop, "A", |_| {}));
    for ended in futures::future::join_all(calls).await {
        match ended {
            Ok(stock) => assert_eq!(stock.on_hand, 10),
            Err(status) => assert_eq!(status.code(), Code::Aborted, "{status:?}"),
        }
    }
    assert_eq!(shop.counts("A").await, (10, 0, 0));
    shop.assert_sound().await;
}

async fn loading_again_changes_nothing(scratch: Scratch) {
    let shop = Shop::open(scratch, &[]).await;
    let items: Vec<_> = (0..3_900).map(|n| seed_item(&format!("sku \"{n}\" 'x'"), 5)).collect();
    assert_eq!(inventory_svc::seed(&shop.database, items.clone()).await.unwrap(), 3_900);
    assert_eq!(inventory_svc::seed(&shop.database, items.clone()).await.unwrap(), 0);
    assert_eq!(shop.audit().await.items, 3_900);
    shop.assert_sound().await;

    let mut items = items;
    items.push(seed_item("new", 1));
    items.push(seed_item("new", 2));
    assert_eq!(inventory_svc::seed(&shop.database, items).await.unwrap(), 1);
    let bad = vec![seed_item("fine", 1), seed_item("bad", 0)];
    let error = inventory_svc::seed(&shop.database, bad).await.unwrap_err();
    assert!(matches!(error, OperationError::Invalid { reason: "STOCK_INVALID", .. }), "{error}");
    assert_eq!(shop.audit().await.items, 3_901);
    shop.assert_sound().await;
}

async fn stock_is_shown_in_the_order_of_the_question(scratch: Scratch) {
    let shop = Shop::open(scratch, &[("A", 1), ("B", 2)]).await;
    let ask = |ids: &[&str]| {
        let item_ids = ids.iter().map(|it| (*it).to_owned()).collect();
        let mut client = shop.client();
        async move { client.get_stock(GetStockRequest { item_ids }).await }
    };
    let stock = ask(&["B", "A", "B"]).await.unwrap().into_inner().stock;
    let on_hand: Vec<i64> = stock.iter().map(|it| it.on_hand).collect();
    assert_eq!(on_hand, [2, 1, 2]);
    let status = ask(&["A", "X"]).await.unwrap_err();
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::NotFound, "ITEM_NOT_FOUND"));
    assert_eq!(ask(&[]).await.unwrap_err().message(), "item_ids is \"0\": from 1 to 1000");
}
