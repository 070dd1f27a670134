//! place_order over the three real services and the payment provider's double, through the
//! orchestrator, beside the same four calls made in the same order by a client that has
//! none. All in this process, on the same books.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use inventory_svc::{Inventory, SeedItem};
use order_svc::Orders;
use payment_svc::{
    PaymentConfig, PaymentService,
    ledger::LedgerConfig,
    provider::toss::TossConfig,
    simulator::{Session, Simulator, SimulatorConfig, Stage},
};
use saga_proto::saga::v1::{SagaState, StartSagaRequest, saga_service_client::SagaServiceClient};
use saga_tests::{
    order::{CURRENCY, Item, OWNER, Order},
    postgres::Cluster,
};
use shop_proto::inventory::v1::{
    GetStockRequest, inventory_service_client::InventoryServiceClient,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Channel;

use super::{
    load::{self, CONNECTIONS, at_part, micros_since},
    options::{Options, progress},
    report::{Figure, Metric, number},
    shop::{Books, Served},
    subject::InProcess,
};

mod direct;

use direct::Direct;

/// Orders under way at the same time.
const IN_FLIGHT: usize = 64;

/// The shipped definition.
const DEFINITION: &str = include_str!("../../../deploy/definitions/place-order.yaml");

/// So many that orders seldom meet.
const ITEMS: usize = 500;

const METRICS: [Metric; 3] =
    [Metric::leading("orders/s"), Metric::leading("p50 ms"), Metric::leading("p99 ms")];

pub(crate) async fn measure(options: &Options) -> Figure {
    let title = "Orders: place_order over three services, 64 in flight";
    let mut figure = Figure::new("orders", title, &METRICS, &["direct"]);
    let orders = options.pick(1_000, 300);
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    for books in [Books::Postgres(&cluster), Books::Sqlite(folder.path())] {
        let shop = Arc::new(Shop::open(books).await);
        for round in 0..=options.rounds {
            for way in ["direct", "orchestrator"] {
                let name = format!("{way}-{round}");
                // Connections, statements and pages are had by then.
                let is_warm = 0 < round;
                let count = if is_warm { orders } else { 2 * IN_FLIGHT };
                let sample = shop.sell(way, &name, count).await;
                let rate = number(sample[0]);
                progress(&format!("{}, round {round}: {way} {rate}", books.name()));
                if is_warm {
                    figure.add(books.name(), way, &sample);
                }
            }
        }
        Arc::into_inner(shop).unwrap().close().await;
    }
    figure.note(format!(
        "{orders} orders of one line each time, over {ITEMS} items; the provider's double keeps \
         an SQLite ledger, and takes part in both."
    ));
    figure
}

/// The shop with its orchestrator, and a client without one.
#[derive(Debug)]
struct Shop {
    simulator: Simulator,
    services: [Served; 3],
    orchestrator: InProcess,
    direct: Direct,
    provider: (DropGuard, JoinHandle<()>),
    _ledger: TempDir,
}

impl Shop {
    async fn open(books: Books<'_>) -> Self {
        let ledger = tempfile::tempdir().unwrap();
        let config = SimulatorConfig { currency: CURRENCY.to_owned(), ..Default::default() };
        let simulator = Simulator::open(&ledger.path().join("ledger.db"), config).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let (serving, stopped) = (simulator.clone(), stop.clone().cancelled_owned());
        let provider = tokio::spawn(async move { serving.serve(listener, stopped).await.unwrap() });

        let inventory = books.open::<Inventory>("inventory").await;
        let items = (0..ITEMS).map(|number| SeedItem {
            item_id: item(number).item_id.to_owned(),
            owner_id: OWNER.to_owned(),
            name: item(number).item_id.to_owned(),
            price_minor: item(number).price_minor,
            currency: CURRENCY.to_owned(),
            initial_stock: item(number).initial_stock,
        });
        inventory_svc::seed(&inventory, items.collect()).await.unwrap();
        let inventory =
            Served::start::<Inventory>(inventory, inventory_svc::Config::default()).await;
        let toss = TossConfig {
            currencies: vec![CURRENCY.to_owned()],
            ..TossConfig::new(&url, "test_sk_of_the_benchmark")
        };
        let config =
            PaymentConfig { toss, portone: None, webhooks: None, ledger: LedgerConfig::off() };
        let payment =
            Served::start::<PaymentService>(books.open::<PaymentService>("payment").await, config)
                .await;
        let config = order_svc::Config::default();
        let order = Served::start::<Orders>(books.open::<Orders>("order").await, config).await;

        let participants = [
            ("inventory", inventory.address),
            ("payment", payment.address),
            ("order", order.address),
        ];
        let log = books.log("saga_log");
        let orchestrator = InProcess::start(&log, &participants, &[DEFINITION]).await;
        let direct = Direct::connect(inventory.address, payment.address, order.address).await;
        let services = [inventory, payment, order];
        let provider = (stop.drop_guard(), provider);
        Self { simulator, services, orchestrator, direct, provider, _ledger: ledger }
    }

    /// Sells this many orders in one of the two ways.
    async fn sell(self: &Arc<Self>, way: &str, name: &str, count: usize) -> [f64; 3] {
        let orders: Vec<Order> = (0..count)
            .map(|number| Order::of(&format!("{name}-{number:06}"), 1, item(number % ITEMS)))
            .collect();
        let sessions = orders.iter().map(|order| Session {
            payment_key: order.payment_key.clone(),
            order_no: order.order_no.clone(),
            amount_minor: order.total_minor(),
            stage: Stage::default(),
            faults: None,
        });
        self.simulator.authenticate_many(sessions.collect()).await.unwrap();
        let sold = self.units_sold().await;

        let channels = load::channels(self.orchestrator.address, CONNECTIONS).await;
        let (orders, next) = (Arc::new(orders), Arc::new(AtomicUsize::new(0)));
        let started = Instant::now();
        let clients = (0..IN_FLIGHT).map(|turn| {
            let (shop, orders, next) = (Arc::clone(self), Arc::clone(&orders), Arc::clone(&next));
            let sagas = (way == "orchestrator").then(|| load::client(&channels, turn));
            tokio::spawn(async move {
                let mut latencies_us = Vec::new();
                while let Some(order) = orders.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let sent = Instant::now();
                    match &sagas {
                        None => shop.direct.place(turn, order).await,
                        Some(sagas) => place(sagas.clone(), order).await,
                    }
                    latencies_us.push(micros_since(sent));
                }
                latencies_us
            })
        });
        let mut latencies_us = Vec::new();
        for client in clients.collect::<Vec<_>>() {
            latencies_us.extend(client.await.unwrap());
        }
        let elapsed = started.elapsed().as_secs_f64();
        assert_eq!(self.units_sold().await - sold, i64::try_from(count).unwrap(), "units sold");
        [count as f64 / elapsed, at_part(&mut latencies_us, 0.5), at_part(&mut latencies_us, 0.99)]
    }

    async fn units_sold(&self) -> i64 {
        let mut client: InventoryServiceClient<_> = self.direct.inventory(0);
        let item_ids = (0..ITEMS).map(|number| item(number).item_id.to_owned()).collect();
        let reply = client.get_stock(GetStockRequest { item_ids }).await.unwrap();
        reply.into_inner().stock.iter().map(|it| it.sold).sum()
    }

    async fn close(self) {
        self.orchestrator.stop().await;
        for service in self.services {
            service.stop().await;
        }
        let (stop, running) = self.provider;
        drop(stop);
        running.await.unwrap();
        self.simulator.close().await;
    }
}

/// Places an order through the orchestrator, and waits until it is sold.
async fn place(mut sagas: SagaServiceClient<Channel>, order: &Order) {
    let wait = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let request = StartSagaRequest { wait, ..order.request() };
    let saga = sagas.start_saga(request).await.unwrap().into_inner().saga.unwrap();
    assert_eq!(saga.state(), SagaState::Completed, "{saga:?}");
}

/// One of the things that are sold.
fn item(number: usize) -> Item {
    Item { item_id: NAMES[number], price_minor: 500, initial_stock: 1_000_000, credits: 0 }
}

/// Their names live as long as the benchmark.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    (0..ITEMS).map(|number| &*Box::leak(format!("item-{number}").into_boxed_str())).collect()
});
