//! The shop without its orchestrator: three services and the payment provider, each on a
//! port of its own and with books of its own.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::AtomicU64},
};

use anyhow::Context as _;
use payment_svc::{
    PaymentConfig, PaymentService,
    ledger::LedgerConfig,
    provider::toss::TossConfig,
    simulator::{DuplicateOrders, Simulator, SimulatorConfig},
};
use saga_participant::{
    Database, Limits, schema,
    serve::{Server, ServerLimits, Service, Wire},
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Options,
    books::Books,
    catalogue::CURRENCY,
    example::OWNER,
    faults::{Faults, NetworkCounts, PROVIDER},
    network::{Relay, Weather},
    shopping::Shopping,
};

/// Offsets of the ports from the first one, which is the orchestrator's.
const INVENTORY_PORT: u16 = 11;
const PAYMENT_PORT: u16 = 12;
const ORDER_PORT: u16 = 13;
const SIMULATOR_PORT: u16 = 14;

/// How long open calls may go on when the demo ends.
const DRAIN_MAX_MS: u64 = 3_000;

/// Where everything answers.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The inventory service.
    pub inventory: SocketAddr,
    /// The payment service.
    pub payment: SocketAddr,
    /// The order service.
    pub order: SocketAddr,
    /// The payment provider.
    pub simulator: SocketAddr,
}

/// A shop that is open.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) simulator: Simulator,
    pub(crate) addresses: Addresses,
    /// What the user should know, such as a port that was taken.
    pub(crate) notes: Vec<String>,
    running: Running,
}

/// What was started, and how it is stopped.
#[derive(Debug)]
struct Running {
    faults: Faults,
    seed: u64,
    port_base: u16,
    notes: Vec<String>,
    counts: Arc<NetworkCounts>,
    weather: Vec<Arc<Weather>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Shop {
    /// Opens the shop, puts the catalogue on its shelves and issues the coupons.
    ///
    /// # Errors
    ///
    /// Says what could not be started.
    pub(crate) async fn open(
        options: &Options,
        books: &Books,
        Shopping { catalogue, coupons, .. }: &Shopping,
    ) -> anyhow::Result<Self> {
        let config = SimulatorConfig {
            currency: CURRENCY.to_owned(),
            mix: options.faults.provider(options.seed),
            // So that the ledger shows every double charge that is asked for.
            duplicate_orders: DuplicateOrders::Captured,
        };
        let simulator = Simulator::open(&books.simulator, config).await?;
        let mut running = Running {
            faults: options.faults,
            seed: options.seed,
            port_base: options.port_base,
            notes: Vec::new(),
            counts: Arc::default(),
            weather: Vec::new(),
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        };
        let provider = running.serve_simulator(&simulator).await?;

        let inventory = connect::<inventory_svc::Inventory>(&books.inventory).await?;
        let items = catalogue.iter().map(|(item_id, item)| inventory_svc::SeedItem {
            item_id: item_id.clone(),
            owner_id: OWNER.to_owned(),
            name: item.name.clone(),
            price_minor: item.price_minor,
            currency: CURRENCY.to_owned(),
            initial_stock: item.initial_stock,
        });
        inventory_svc::seed(&inventory, items.collect())
            .await
            .context("the items cannot be registered")?;
        let inventory = running
            .serve::<inventory_svc::Inventory>(
                inventory,
                inventory_svc::Config::default(),
                INVENTORY_PORT,
            )
            .await?;

        let toss = TossConfig {
            currencies: vec![CURRENCY.to_owned()],
            ..TossConfig::new(&format!("http://{provider}"), "test_sk_of_the_demo")
        };
        let payment = connect::<PaymentService>(&books.payment).await?;
        let config =
            PaymentConfig { toss, portone: None, webhooks: None, ledger: LedgerConfig::off() };
        let payment = running.serve::<PaymentService>(payment, config, PAYMENT_PORT).await?;

        let order = connect::<order_svc::Orders>(&books.order).await?;
        order_svc::issue_coupons(&order, coupons.clone())
            .await
            .context("the coupons cannot be issued")?;
        let config = order_svc::Config::default();
        let order = running.serve::<order_svc::Orders>(order, config, ORDER_PORT).await?;

        let addresses = Addresses { inventory, payment, order, simulator: provider };
        let notes = std::mem::take(&mut running.notes);
        Ok(Self { simulator, addresses, notes, running })
    }

    /// Waits until no request is on its way to a service any more.
    pub(crate) async fn settle(&self) {
        for weather in &self.running.weather {
            weather.late.close();
            weather.late.wait().await;
            weather.late.reopen();
        }
    }

    /// Faults that really happened, by kind.
    ///
    /// # Errors
    ///
    /// The simulator's file cannot be read.
    pub(crate) async fn faults_fired(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut fired = self.running.counts.fired();
        for (kind, count) in self.simulator.faults_fired().await? {
            fired.insert(format!("{PROVIDER}{kind}"), count);
        }
        Ok(fired)
    }

    /// Closes the shop: calls that are out come to their end, books are closed.
    pub(crate) async fn close(mut self) {
        self.settle().await;
        self.running.stop.cancel();
        while self.running.tasks.join_next().await.is_some() {}
        self.simulator.close().await;
    }
}

/// The database of a service, with its tables.
async fn connect<S: Service>(url: &str) -> anyhow::Result<Database> {
    let database = Database::connect(url, Limits::default())
        .await
        .with_context(|| format!("{}: its database", S::NAME))?;
    schema::migrate(&database, &S::SCHEMA)
        .await
        .with_context(|| format!("{}: its tables", S::NAME))?;
    Ok(database)
}

impl Running {
    async fn serve_simulator(&mut self, simulator: &Simulator) -> anyhow::Result<SocketAddr> {
        let listener = self.listen("the payment provider", SIMULATOR_PORT).await?;
        let address = listener.local_addr()?;
        let (simulator, stop) = (simulator.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            if let Err(error) = simulator.serve(listener, stop.cancelled_owned()).await {
                tracing::error!(%error, "the payment provider ended");
            }
        });
        Ok(address)
    }

    /// Serves a service under the weather of this run. Returns where it answers.
    async fn serve<S: Service>(
        &mut self,
        database: Database,
        config: S::Config,
        offset: u16,
    ) -> anyhow::Result<SocketAddr> {
        let limits = ServerLimits { drain_max_ms: DRAIN_MAX_MS, ..ServerLimits::default() };
        let public = self.listen(S::NAME, offset).await?;
        let address = public.local_addr()?;
        let (server, relay) = if self.faults == Faults::Heavy {
            let server = Server::bind(loopback(0), limits, Wire::Loopback)?;
            let relay = Arc::<Relay>::default();
            let relaying = Arc::clone(&relay).run(public, server.local_addr(), self.stop.clone());
            self.tasks.spawn(relaying);
            (server, Some(relay))
        } else {
            drop(public);
            (Server::bind(address, limits, Wire::Loopback)?, None)
        };

        let server = server.describing(S::DESCRIPTORS);
        let mut app = S::app(database, config).await?;
        let weather = Arc::new(Weather {
            faults: self.faults,
            seed: self.seed.wrapping_add(u64::from(offset)),
            relay,
            counts: Arc::clone(&self.counts),
            calls: AtomicU64::new(0),
            late: TaskTracker::new(),
        });
        app.routes = weather.over(app.routes);
        self.weather.push(weather);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            if let Err(error) = server.run(app, stop.cancelled_owned()).await {
                tracing::error!(%error, service = S::NAME, "a service ended");
            }
        });
        Ok(address)
    }

    /// Listens on the port that is this one's by default, or on a free one.
    async fn listen(&mut self, who: &str, offset: u16) -> anyhow::Result<TcpListener> {
        let (listener, note) = listen(who, self.port_base, offset).await?;
        self.notes.extend(note);
        Ok(listener)
    }
}

/// Listens on port `base + offset`, or where that is taken on a free one, with a note that
/// says so. A base of 0 takes free ports without a note.
pub(crate) async fn listen(
    who: &str,
    base: u16,
    offset: u16,
) -> anyhow::Result<(TcpListener, Option<String>)> {
    let port = if base == 0 { 0 } else { base.saturating_add(offset) };
    match TcpListener::bind(loopback(port)).await {
        Ok(listener) => Ok((listener, None)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let listener = TcpListener::bind(loopback(0)).await.context("no port is free")?;
            let free = listener.local_addr()?.port();
            Ok((listener, Some(format!("port {port} is taken: {who} listens on {free}"))))
        }
        Err(error) => Err(error).with_context(|| format!("{who} cannot listen on port {port}")),
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
