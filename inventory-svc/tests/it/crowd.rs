//! Everybody wants the same thing at once.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::future::join_all;
use inventory_svc::{StockConfig, Strategy};
use saga_participant::{
    Limits,
    testkit::{self, new_op_id, reason_of, with_op_id},
};
use shop_proto::inventory::v1::{CommitRequest, inventory_service_client::InventoryServiceClient};
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::shop::{Ground, Shop, may_be_tried_again, on_every_ground, reserve};

on_every_ground!(
    s0_1_s1_17_a_thousand_orders_of_one_item_with_stock_600,
    s1_17_a_burst_beyond_the_queue_is_refused_in_words,
    d17_one_connection_serves_many_orders_at_once,
);

const CONNECTIONS: usize = 40;

/// For machines that are slow and busy.
const DEADLINE: Duration = Duration::from_secs(300);

type Client = InventoryServiceClient<Channel>;

/// What callers heard on the way to their answers, and how often.
type Heard = BTreeMap<String, u32>;

/// Notes what was said, and pauses as it asks.
async fn heed(heard: &mut Heard, status: &Status) {
    *heard.entry(format!("{:?}/{}", status.code(), reason_of(status))).or_default() += 1;
    if let Some(pause) = status.get_details_retry_info().and_then(|it| it.retry_delay) {
        tokio::time::sleep(pause).await;
    }
}

/// Reserves and commits, as often as it takes, and pauses as it is told. Returns whether
/// the order got the item.
async fn order(mut client: Client) -> (bool, Heard) {
    let (op_id, commit_op_id) = (new_op_id(), new_op_id());
    let mut heard = Heard::new();
    loop {
        match client.reserve(with_op_id(op_id, reserve(&[("HOT", 1)]))).await {
            Ok(_) => break,
            Err(status) => {
                heed(&mut heard, &status).await;
                if !may_be_tried_again(&status) {
                    return (false, heard);
                }
            }
        }
    }
    let request = CommitRequest { reserve_op_id: op_id.to_string() };
    while let Err(status) = client.commit(with_op_id(commit_op_id, request.clone())).await {
        heed(&mut heard, &status).await;
        assert!(may_be_tried_again(&status), "{status:?}");
    }
    (true, heard)
}

/// Many orders at once, each from a connection of many.
async fn crowd(shop: &Shop, orders: usize) -> (usize, Heard) {
    let connect = (0..CONNECTIONS).map(|_| testkit::connect(shop.address));
    let channels = join_all(connect).await;
    let orders =
        (0..orders).map(|n| tokio::spawn(order(Client::new(channels[n % channels.len()].clone()))));
    let mut heard = Heard::new();
    let mut got = 0;
    for ended in tokio::time::timeout(DEADLINE, join_all(orders)).await.unwrap() {
        let (mine, told) = ended.unwrap();
        got += usize::from(mine);
        for (what, times) in told {
            *heard.entry(what).or_default() += times;
        }
    }
    (got, heard)
}

async fn s0_1_s1_17_a_thousand_orders_of_one_item_with_stock_600(ground: Ground) {
    // As it is configured unless told otherwise, with S1-13's pauses.
    let stock = StockConfig { strategy: ground.stock.strategy, ..StockConfig::default() };
    // Of the transactions that are open at once all but one are in vain there.
    let connections_max = if stock.strategy == Strategy::Optimistic { 4 } else { 16 };
    let limits = Limits { connections_max, ..Limits::default() };
    let shop = Shop::open(Ground { stock, limits, ..ground }, &[("HOT", 600)]).await;
    let begun = Instant::now();
    let (got, mut heard) = crowd(&shop, 1_000).await;
    println!("{:?} on {:?}: {:?}", shop.stock.strategy, shop.database, begun.elapsed());
    println!("  heard {heard:?}");
    assert_eq!(got, 600);
    assert_eq!(heard.remove("FailedPrecondition/OUT_OF_STOCK"), Some(400));
    // Beside the 400 refusals nobody heard anything but the invitation to try again.
    for busy in ["Aborted/PLEASE_RETRY", "ResourceExhausted/OVERLOADED"] {
        heard.remove(busy);
    }
    assert_eq!(heard, Heard::new());

    let stock = shop.stock("HOT").await;
    assert_eq!((stock.on_hand, stock.reserved, stock.sold), (0, 0, 600));
    for (sql, expected) in [
        ("select count(*) from reservations where state = 'COMMITTED'", 600),
        ("select count(*) from reservations", 600),
        ("select count(*) from op_log where kind = 'Reserve' and state = 'APPLIED'", 600),
        ("select count(*) from op_log where kind = 'Reserve' and state = 'REJECTED'", 400),
        ("select count(*) from op_log where kind = 'Commit' and state = 'APPLIED'", 600),
        ("select count(*) from op_log", 1_600),
    ] {
        assert_eq!(shop.number(sql).await, expected, "{sql}");
    }
    // A version for each change: one when the item came, 600 sales, and the reservations.
    let reserving = stock.version - 1 - 600;
    match shop.stock.strategy {
        Strategy::MicroBatch => assert!(reserving < 600, "{reserving} batches for 600"),
        Strategy::RowLocks | Strategy::Optimistic => assert_eq!(reserving, 600),
    }
    shop.assert_sound().await;
}

/// S1-17: two connections and a queue of four, for 120 orders. Nobody hears of connections.
async fn s1_17_a_burst_beyond_the_queue_is_refused_in_words(mut ground: Ground) {
    ground.limits = Limits { connections_max: 2, waiting_max: 4, ..ground.limits };
    ground.stock.batch_waiting_max = 4;
    let shop = Shop::open(ground, &[("HOT", 50)]).await;
    let (got, mut heard) = crowd(&shop, 120).await;
    assert_eq!((got, heard.remove("FailedPrecondition/OUT_OF_STOCK")), (50, Some(70)));
    assert!(heard.remove("ResourceExhausted/OVERLOADED").is_some(), "{heard:?}");
    heard.remove("Aborted/PLEASE_RETRY");
    assert_eq!(heard, Heard::new());
    assert_eq!(shop.counts("HOT").await, (0, 0, 50));
    shop.assert_sound().await;
}

/// D17: an operation that took a second connection while it held the first would wait for
/// itself.
async fn d17_one_connection_serves_many_orders_at_once(mut ground: Ground) {
    ground.limits = Limits { connections_max: 1, wait_max_ms: 60_000, ..ground.limits };
    let shop = Shop::open(ground, &[("HOT", 30)]).await;
    let (got, mut heard) = crowd(&shop, 60).await;
    assert_eq!((got, heard.remove("FailedPrecondition/OUT_OF_STOCK")), (30, Some(30)));
    assert!(heard.keys().all(|it| it == "Aborted/PLEASE_RETRY"), "{heard:?}");
    shop.assert_sound().await;
}
