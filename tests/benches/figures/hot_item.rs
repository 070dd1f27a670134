//! A thousand orders of one item at the same time, and of a thousand items: the inventory
//! service with each of its strategies, and once more behind a lock in Redis, all by the
//! same calls of a client without an orchestrator.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use inventory_svc::{Config, Inventory, SeedItem, StockConfig, Strategy};
use saga_participant::Database;
use saga_tests::postgres::Cluster;
use shop_proto::inventory::v1::{
    GetStockRequest, Line, ReserveRequest, inventory_service_client::InventoryServiceClient,
};
use tonic::{Code, transport::Channel};
use uuid::Uuid;

use super::{
    load::{CONNECTIONS, at_part, channels, micros_since},
    options::{Options, progress},
    redis::Redis,
    report::{Figure, Metric, number},
    shop::{Books, Served, under},
};

const ORDERS: usize = 1_000;

/// Units of the one item that everybody wants.
const STOCK: i64 = 600;

/// Pause before an order that was not decided is placed again.
const PAUSE: Duration = Duration::from_millis(20);

const METRICS: [Metric; 5] = [
    Metric::leading("units/s"),
    Metric::leading("all answered ms"),
    Metric::further("p50 ms"),
    Metric::further("orders/s"),
    Metric::further("asked again"),
];

/// How orders of the same item are kept apart.
struct Subject {
    name: &'static str,
    database: Database,
    clients: Vec<InventoryServiceClient<Channel>>,
    lock: Option<Arc<Redis>>,
}

/// What the orders are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    OneItem,
    ManyItems,
}

pub(crate) async fn measure(options: &Options) -> Figure {
    let title = "Hot item: 1,000 simultaneous orders of one item and of 1,000 items";
    let mut figure = Figure::new("hot-item", title, &METRICS, &["row-locks"]);
    let redis = Redis::start().await.map(Arc::new);
    if redis.is_none() {
        let line = "skipped: redis-server is not installed (apt-get install redis-server)";
        println!("{line}");
        figure.note(line);
    }
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    for books in [Books::Postgres(&cluster), Books::Sqlite(folder.path())] {
        let (subjects, services) = open(books, redis.as_ref()).await;
        for round in 0..options.rounds {
            for wanted in [Wanted::OneItem, Wanted::ManyItems] {
                let what = if wanted == Wanted::OneItem { "one item" } else { "1,000 items" };
                let group = format!("{}, {what}", books.name());
                for subject in &subjects {
                    let sample = rush(subject, wanted, round).await;
                    let rate = number(sample[0]);
                    progress(&format!("{group}, round {}: {} {rate}", round + 1, subject.name));
                    figure.add(&group, subject.name, &sample);
                }
            }
        }
        drop(subjects);
        for service in services {
            service.stop().await;
        }
    }
    figure.note(format!(
        "one item: {STOCK} in the house, so {STOCK} orders are answered yes and the others no, \
         which is asserted, and the stock. redis-lock: the service with row-locks behind a lock \
         per item (SET NX PX, freed by a script; asked again after 100 to 200 ms). asked again: \
         orders that were not decided (PLEASE_RETRY), or locks that were taken."
    ));
    figure
}

/// Services with the same kind of books, one for each strategy.
async fn open(books: Books<'_>, redis: Option<&Arc<Redis>>) -> (Vec<Subject>, Vec<Served>) {
    let strategies = [
        ("row-locks", Strategy::RowLocks),
        ("optimistic", Strategy::Optimistic),
        ("micro-batch", Strategy::MicroBatch),
    ];
    let (mut subjects, mut services): (Vec<Subject>, _) = (Vec::new(), Vec::new());
    for (name, strategy) in strategies {
        let database = books.open::<Inventory>(&name.replace('-', "_")).await;
        let stock = StockConfig { strategy, ..StockConfig::default() };
        let service = Served::start::<Inventory>(database.clone(), Config { stock }).await;
        let channels = channels(service.address, CONNECTIONS).await;
        let clients = channels.into_iter().map(InventoryServiceClient::new).collect();
        subjects.push(Subject { name, database, clients, lock: None });
        services.push(service);
    }
    if let Some(redis) = redis {
        let (database, clients) = (subjects[0].database.clone(), subjects[0].clients.clone());
        let lock = Some(Arc::clone(redis));
        subjects.push(Subject { name: "redis-lock", database, clients, lock });
    }
    (subjects, services)
}

/// Lets all orders come at once.
async fn rush(subject: &Subject, wanted: Wanted, round: u32) -> [f64; 5] {
    let prefix = format!("{}-{round}", subject.name);
    let (items, stock) = match wanted {
        Wanted::OneItem => (1, STOCK),
        Wanted::ManyItems => (ORDERS, 1),
    };
    let items: Vec<String> = (0..items).map(|it| format!("{prefix}-{items}-{it}")).collect();
    seed(&subject.database, &items, stock).await;

    let started = Instant::now();
    let orders = (0..ORDERS).map(|order| {
        let client = subject.clients[order % subject.clients.len()].clone();
        let lock = subject.lock.clone();
        let item = items[order % items.len()].clone();
        let order_no = format!("order-{prefix}-{order}");
        tokio::spawn(async move {
            let (is_reserved, again) = match lock {
                None => reserve(client, order_no, &item).await,
                Some(lock) => {
                    let work = reserve(client, order_no, &item);
                    let ((is_reserved, again), in_vain) = lock.locked(&item, work).await;
                    (is_reserved, again + in_vain)
                }
            };
            (is_reserved, again, micros_since(started))
        })
    });
    let (mut reserved, mut again, mut latencies_us) = (0_i64, 0_u32, Vec::new());
    for order in orders.collect::<Vec<_>>() {
        let (is_reserved, asked_again, latency_us) = order.await.unwrap();
        reserved += i64::from(is_reserved);
        again += asked_again;
        latencies_us.push(latency_us);
    }
    let elapsed = started.elapsed().as_secs_f64();
    let units = stock * i64::try_from(items.len()).unwrap();
    assert_eq!(reserved, units, "{prefix}: orders answered yes");
    assert_eq!(units_reserved(subject, items).await, units, "{prefix}: units promised");
    [
        reserved as f64 / elapsed,
        elapsed * 1_000.0,
        at_part(&mut latencies_us, 0.5),
        ORDERS as f64 / elapsed,
        f64::from(again),
    ]
}

async fn seed(database: &Database, items: &[String], stock: i64) {
    let items = items.iter().map(|item| SeedItem {
        item_id: item.clone(),
        owner_id: "the-shop".to_owned(),
        name: item.clone(),
        price_minor: 500,
        currency: "GBP".to_owned(),
        initial_stock: stock,
    });
    inventory_svc::seed(database, items.collect()).await.unwrap();
}

async fn units_reserved(subject: &Subject, item_ids: Vec<String>) -> i64 {
    let mut client = subject.clients[0].clone();
    let reply = client.get_stock(GetStockRequest { item_ids }).await.unwrap();
    reply.into_inner().stock.iter().map(|it| it.reserved).sum()
}

/// Orders one unit until it is decided. Returns whether it was had, and how often it had to
/// be asked for again.
async fn reserve(
    mut client: InventoryServiceClient<Channel>,
    order_no: String,
    item: &str,
) -> (bool, u32) {
    let op_id = Uuid::now_v7().to_string();
    let mut again = 0;
    loop {
        let lines = vec![Line { item_id: item.to_owned(), qty: 1, ..Line::default() }];
        let request = ReserveRequest { order_no: order_no.clone(), lines, ..Default::default() };
        match client.reserve(under(&op_id, request)).await {
            Ok(_) => return (true, again),
            Err(status) if status.code() == Code::FailedPrecondition => return (false, again),
            Err(status) => {
                let is_undecided = [Code::Aborted, Code::ResourceExhausted];
                assert!(is_undecided.contains(&status.code()), "{status}");
                again += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
