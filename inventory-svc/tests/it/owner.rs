//! The owner sets stock, also while orders and cancels change it.

use futures::future::{join, join_all};
use saga_participant::testkit::{new_op_id, with_op_id};
use shop_proto::inventory::v1::SetStockRequest;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::shop::{Ground, Shop, is, on_every_ground};

on_every_ground!(
    s1_2_the_owner_sets_stock_and_nobody_else,
    stock_is_not_set_below_what_is_promised,
    an_expected_version_that_is_gone_is_refused_for_good,
    s1_1_s1_2_setting_races_orders_and_cancels,
    s1_1_of_two_counts_of_one_version_one_stands,
    what_is_out_of_bounds_is_named,
);

fn count(item_id: &str, on_hand: i64) -> SetStockRequest {
    let (item_id, owner_id) = (item_id.to_owned(), "owner-1".to_owned());
    SetStockRequest { item_id, on_hand, owner_id, expected_version: None }
}

async fn s1_2_the_owner_sets_stock_and_nobody_else(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10)]).await;
    let before = shop.stock("A").await;
    let stock = shop.set_stock("A", 25).await.unwrap();
    assert_eq!((stock.on_hand, stock.reserved, stock.sold), (25, 0, 0));
    assert!(before.version < stock.version);
    assert_eq!(shop.set_stock("A", 0).await.unwrap().on_hand, 0);

    let request = SetStockRequest { owner_id: "thief".to_owned(), ..count("A", 99) };
    let refused = shop.set_stock_as(new_op_id(), request).await.unwrap_err();
    is(&refused, Code::FailedPrecondition, "NOT_OWNER");
    is(&shop.set_stock("B", 1).await.unwrap_err(), Code::NotFound, "ITEM_NOT_FOUND");
    assert_eq!(shop.counts("A").await, (0, 0, 0));
    shop.assert_sound().await;
}

async fn stock_is_not_set_below_what_is_promised(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10)]).await;
    let reserved = new_op_id();
    shop.reserve(reserved, &[("A", 6)]).await.unwrap();
    let refused = shop.set_stock("A", 5).await.unwrap_err();
    is(&refused, Code::FailedPrecondition, "BELOW_RESERVED");
    assert_eq!(refused.get_details_error_info().unwrap().metadata["reserved"], "6");
    assert_eq!(shop.set_stock("A", 6).await.unwrap().on_hand, 6);
    let refused = shop.reserve(new_op_id(), &[("A", 1)]).await.unwrap_err();
    is(&refused, Code::FailedPrecondition, "OUT_OF_STOCK");
    shop.commit(reserved).await.unwrap();
    assert_eq!(shop.set_stock("A", 0).await.unwrap().on_hand, 0);
    assert_eq!(shop.counts("A").await, (0, 0, 6));
    shop.assert_sound().await;
}

async fn an_expected_version_that_is_gone_is_refused_for_good(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10)]).await;
    let seen = shop.stock("A").await.version;
    shop.decrease(new_op_id(), &[("A", 1)]).await.unwrap();
    let request = SetStockRequest { expected_version: Some(seen), ..count("A", 50) };
    let op_id = new_op_id();
    let refused = shop.set_stock_as(op_id, request.clone()).await.unwrap_err();
    is(&refused, Code::FailedPrecondition, "VERSION_MISMATCH");
    let now = shop.stock("A").await.version;
    assert_eq!(refused.get_details_error_info().unwrap().metadata["version"], now.to_string());
    let again = shop.set_stock_as(op_id, request).await.unwrap_err();
    assert_eq!(again.details(), refused.details());

    let request = SetStockRequest { expected_version: Some(now), ..count("A", 50) };
    shop.set_stock_as(new_op_id(), request).await.unwrap();
    assert_eq!(shop.counts("A").await, (50, 0, 1));
    shop.assert_sound().await;
}

/// Orders, cancels and counts of the same two items, all at once. Whatever their order,
/// every one of them is wholly in the books.
async fn s1_1_s1_2_setting_races_orders_and_cancels(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 40), ("B", 400)]).await;
    let orders = join_all((0..60).map(|n| {
        let shop = &shop;
        async move {
            let op_id = new_op_id();
            match shop.reserve(op_id, &[("B", 2), ("A", 1)]).await {
                Err(status) => {
                    is(&status, Code::FailedPrecondition, "OUT_OF_STOCK");
                    return (0, 0);
                }
                Ok(_) if n % 3 == 0 => {
                    shop.release(op_id).await.unwrap();
                    return (0, 0);
                }
                Ok(_) => assert_eq!(shop.commit(op_id).await.unwrap(), 3),
            }
            if n % 3 == 1 {
                assert_eq!(shop.restock(op_id, &[("B", 1)]).await.unwrap().units, 1);
                return (1, 1);
            }
            (1, 2)
        }
    }));
    let counts = join_all((0..20).map(|n| {
        let shop = &shop;
        async move {
            match shop.set_stock("A", n).await {
                Ok(stock) => {
                    assert_eq!(stock.on_hand, n);
                    assert!(stock.reserved <= n, "{stock:?}");
                }
                Err(status) => is(&status, Code::FailedPrecondition, "BELOW_RESERVED"),
            }
        }
    }));
    let (sold, _) = join(orders, counts).await;
    let (a, b) = (shop.stock("A").await, shop.stock("B").await);
    assert_eq!((a.reserved, b.reserved), (0, 0));
    assert_eq!(a.sold, sold.iter().map(|it| it.0).sum::<i64>());
    assert_eq!(b.sold, sold.iter().map(|it| it.1).sum::<i64>());
    assert_eq!(b.on_hand, 400 - b.sold);
    shop.assert_sound().await;
}

async fn s1_1_of_two_counts_of_one_version_one_stands(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10)]).await;
    let expected_version = Some(shop.stock("A").await.version);
    let counts = (0..8).map(|n| {
        let request = SetStockRequest { expected_version, ..count("A", 100 + n) };
        shop.set_stock_as(new_op_id(), request)
    });
    let (stands, refused): (Vec<_>, Vec<_>) =
        join_all(counts).await.into_iter().partition(Result::is_ok);
    for status in refused {
        is(&status.unwrap_err(), Code::FailedPrecondition, "VERSION_MISMATCH");
    }
    let [Ok(stands)] = &stands[..] else { panic!("{} stand", stands.len()) };
    assert_eq!(shop.counts("A").await.0, stands.stock.as_ref().unwrap().on_hand);
    shop.assert_sound().await;
}

async fn what_is_out_of_bounds_is_named(ground: Ground) {
    let shop = Shop::open(ground, &[("A", 10)]).await;
    for (request, told) in [
        (count("A", -1), "on_hand is \"-1\": from 0 to 1000000000"),
        (count("A", 1_000_000_001), "on_hand is \"1000000001\": from 0 to 1000000000"),
        (count("", 1), "item_id is \"\": from 1 to 64 characters"),
        (SetStockRequest { owner_id: String::new(), ..count("A", 1) }, "owner_id is \"\""),
    ] {
        let status = shop.client().set_stock(with_op_id(new_op_id(), request)).await.unwrap_err();
        is(&status, Code::FailedPrecondition, "INPUT_INVALID");
        assert!(status.message().starts_with(told), "{status:?}");
    }
    assert_eq!(shop.counts("A").await, (10, 0, 0));
}
