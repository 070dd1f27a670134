//! Who waits, who tries again, and for how long.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use inventory_svc::{Config, StockConfig, Strategy};
use saga_participant::testkit::{Scratch, new_op_id, with_op_id};
use shop_proto::inventory::v1::SetStockRequest;
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::shop::{Ground, Shop, is, lines, on_every_ground, reserve};

on_every_ground!(s3_6_d11_orders_that_name_items_in_opposite_order_do_not_deadlock);

/// S3-6, D11: eight of 28 items, half of the orders backwards, and nobody but an optimist
/// hears that others were in the way.
async fn s3_6_d11_orders_that_name_items_in_opposite_order_do_not_deadlock(ground: Ground) {
    let ids: Vec<String> = (0..28).map(|n| format!("item-{n:02}")).collect();
    let items: Vec<(&str, i64)> = ids.iter().map(|it| (it.as_str(), 1_000)).collect();
    let shop = Shop::open(ground, &items).await;
    let orders = (0..96_usize).map(|n| {
        let mut of: Vec<(&str, i64)> =
            (0..8).map(|k| (ids[(n * 5 + k * 3) % 28].as_str(), 1)).collect();
        if n % 2 == 1 {
            of.reverse();
        }
        let shop = &shop;
        async move {
            if shop.stock.strategy == Strategy::Optimistic {
                return shop.reserve(new_op_id(), &of).await.map(drop);
            }
            let mut client = shop.client();
            client.reserve(with_op_id(new_op_id(), reserve(&of))).await.map(drop)
        }
    });
    for ended in join_all(orders).await {
        ended.unwrap();
    }
    assert_eq!(shop.audit().await.reserved_units, 96 * 8);
    shop.assert_sound().await;
}

const CHANGE: &str = "update stock set version = version + 1 where item_id = 'A' returning 1";

const WAITERS: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'";

/// Until so many wait for locks, or the call has ended. Returns whether they do.
async fn wait_for<T>(shop: &Shop, waiters: i64, call: &JoinHandle<T>) -> bool {
    while !call.is_finished() {
        if shop.number(WAITERS).await == waiters {
            return true;
        }
    }
    false
}

/// Changes an item's version under every try of the call. There is always a rival that
/// has the row, and one behind it. Returns how often the call met one, which may be more
/// than once for a try, and how it ended.
async fn frustrate<T: Send + 'static>(
    shop: &Arc<Shop>,
    call: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> (u32, Result<T, Status>) {
    let mut rival = shop.occupy(CHANGE).await;
    let call = tokio::spawn(call);
    let mut met = 0;
    loop {
        let next = {
            let shop = shop.clone();
            tokio::spawn(async move { shop.occupy(CHANGE).await })
        };
        let waits = wait_for(shop, 2, &call).await;
        rival.leave().await;
        rival = next.await.unwrap();
        if !waits {
            rival.leave().await;
            return (met, call.await.unwrap());
        }
        met += 1;
    }
}

async fn optimistic() -> Arc<Shop> {
    let mut ground = Ground::new(Scratch::postgres().await, Strategy::Optimistic);
    // S1-13's own pauses.
    ground.stock = StockConfig { strategy: Strategy::Optimistic, ..StockConfig::default() };
    Arc::new(Shop::open(ground, &[("A", 10)]).await)
}

fn please_retry(status: &Status, pause_ms: u64) {
    is(status, Code::Aborted, "PLEASE_RETRY");
    assert_eq!(status.message(), "others were in the way 3 times; nothing was done, please retry");
    let pause = status.get_details_retry_info().unwrap().retry_delay;
    assert_eq!(pause, Some(Duration::from_millis(pause_ms)));
}

/// Three tries of the local transaction, 100 ms apart, then the caller is told.
#[tokio::test(flavor = "multi_thread")]
async fn s1_12_s1_13_s1_15_an_order_is_tried_three_times_postgres() {
    let shop = optimistic().await;
    let (op_id, mut client, begun) = (new_op_id(), shop.client(), Instant::now());
    let request = with_op_id(op_id, reserve(&[("A", 1)]));
    let (tries, ended) = frustrate(&shop, async move { client.reserve(request).await }).await;
    please_retry(&ended.unwrap_err(), 100);
    assert!(3 <= tries);
    assert!(Duration::from_millis(200) <= begun.elapsed());
    // Nothing was done, and nothing is in the way of the same operation.
    assert_eq!(shop.counts("A").await, (10, 0, 0));
    assert_eq!(shop.number("select count(*) from op_log").await, 0);
    shop.reserve(op_id, &[("A", 1)]).await.unwrap();
    shop.assert_sound().await;
}

/// Setting and cancelling pause for 300 ms.
#[tokio::test(flavor = "multi_thread")]
async fn s1_13_s1_14_setting_and_cancelling_are_tried_three_times_postgres() {
    let shop = optimistic().await;
    let sale = new_op_id();
    shop.decrease(sale, &[("A", 3)]).await.unwrap();
    let (mut client, begun) = (shop.client(), Instant::now());
    let (item_id, owner_id) = ("A".to_owned(), "owner-1".to_owned());
    let request = SetStockRequest { item_id, on_hand: 5, owner_id, expected_version: None };
    let request = with_op_id(new_op_id(), request);
    let (tries, ended) = frustrate(&shop, async move { client.set_stock(request).await }).await;
    please_retry(&ended.unwrap_err(), 300);
    assert!(3 <= tries);
    assert!(Duration::from_millis(600) <= begun.elapsed());

    let mut client = shop.client();
    let sold = shop_proto::inventory::v1::restock_request::Sale::ReserveOpId;
    let request = shop_proto::inventory::v1::RestockRequest {
        sale: Some(sold(sale.to_string())),
        lines: lines(&[("A", 1)]),
        at_most: false,
    };
    let request = with_op_id(new_op_id(), request);
    let (tries, ended) = frustrate(&shop, async move { client.restock(request).await }).await;
    please_retry(&ended.unwrap_err(), 300);
    assert!(3 <= tries);
    assert_eq!(shop.counts("A").await, (7, 0, 3));
    shop.assert_sound().await;
}

/// S0-4: it sleeps in the database's queue and goes on when the other one commits.
#[tokio::test(flavor = "multi_thread")]
async fn s0_4_who_waits_for_stock_is_woken_postgres() {
    for strategy in [Strategy::RowLocks, Strategy::MicroBatch] {
        let ground = Ground::new(Scratch::postgres().await, strategy);
        let shop = Shop::open(ground, &[("A", 10)]).await;
        let mut client = shop.client();
        let request = with_op_id(new_op_id(), reserve(&[("A", 1)]));
        let rival = shop.occupy(CHANGE).await;
        let call = tokio::spawn(async move { client.reserve(request).await });
        assert!(wait_for(&shop, 1, &call).await);
        rival.leave().await;
        // The version changed while it waited, and yet its first try succeeds.
        assert_eq!(call.await.unwrap().unwrap().into_inner().items, 1);
        assert_eq!(shop.counts("A").await, (10, 1, 0));
        shop.assert_sound().await;
    }
}

#[test]
fn s1_13_s1_16_the_rules_are_declared_once() {
    let stock = Config::default().stock;
    let declared = (stock.strategy, stock.attempts_max, stock.order_pause_ms, stock.set_pause_ms);
    assert_eq!(declared, (Strategy::RowLocks, 3, 100, 300));
    stock.check().unwrap();
    let wrong = StockConfig { batch_max: 0, ..stock }.check().unwrap_err();
    assert_eq!(wrong.to_string(), "service.stock.batch_max is 0: write at least 1");
}
