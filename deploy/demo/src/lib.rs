//! The whole shop in one process: orchestrator, three services and a payment provider,
//! over real gRPC, with real books. Orders are placed, things go wrong, and at the end the
//! books are held against each other.
//!
//! Reading order: [`orders`], [`catalogue`] and [`generate`] (what is bought), [`books`]
//! (where it is written down), `shop` and `node` (who does it), [`definition`],
//! [`faults`] and `network` (what goes wrong), `place` (the buyers), [`audit`] and
//! [`summary`] (what it came to).

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use saga_proto::saga::v1::saga_service_client::SagaServiceClient;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

pub mod audit;
pub mod books;
pub mod catalogue;
pub mod definition;
pub mod faults;
pub mod generate;
mod network;
mod node;
pub mod orders;
mod place;
mod shop;
pub mod summary;

pub use node::{CHILD_COMMAND, child};
pub use shop::Addresses;

use audit::Agreed;
use books::{Books, Earlier};
use catalogue::Catalogue;
use faults::Faults;
use node::{Node, Plan};
use orders::OrderFile;
use place::{Basket, Fate, Placed};
use shop::Shop;
use summary::{Parts, Summary};

/// Orders that are generated where no file is given.
const ORDERS_GENERATED: usize = 300;

/// Buyers that authenticate their payments at a time.
const BUYERS_AT_A_TIME: usize = 100;

/// What a run is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the run.
    pub data: PathBuf,
    /// A file of orders. None: they are generated.
    pub orders: Option<PathBuf>,
    /// A file of items. None: the orders tell.
    pub items: Option<PathBuf>,
    /// Orders at most. None: all of the file, or 300.
    pub limit: Option<usize>,
    /// Orders that are under way at the same time.
    pub concurrency: usize,
    /// How much goes wrong.
    pub faults: Faults,
    /// The orchestrator's log. None: a file in `data`.
    pub log: Option<String>,
    /// Makes orders and faults.
    pub seed: u64,
    /// The orchestrator's port; 0 takes free ports for everything.
    pub port_base: u16,
    /// What becomes of an earlier run in `data`.
    pub earlier: Earlier,
    /// How often the orchestrator is killed.
    pub kills: u32,
    /// The demo's program, which becomes the orchestrator that is killed.
    pub program: PathBuf,
}

/// What is bought.
#[derive(Debug)]
struct Shopping {
    catalogue: Catalogue,
    baskets: Vec<Basket>,
    turned_away: Vec<Placed>,
    skipped_cancels: u64,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Orders that were begun.
    pub begun: u64,
    /// Orders that ended.
    pub ended: u64,
    /// Of these, those that were placed and paid.
    pub completed: u64,
    /// Of these, those that were undone.
    pub compensated: u64,
}

/// A demo that runs.
#[derive(Debug)]
pub struct Demo {
    options: Options,
    books: Books,
    shop: Shop,
    shopping: Arc<Shopping>,
    node: Option<Node>,
    /// While orders are placed the orchestrator is with whoever kills it.
    killer: Option<Killer>,
    client: SagaServiceClient<Channel>,
    listen: std::net::SocketAddr,
    notes: Vec<String>,
}

/// Holds the orchestrator until it is told that the run is over.
#[derive(Debug)]
struct Killer {
    over: CancellationToken,
    task: JoinHandle<anyhow::Result<(Node, u32)>>,
}

/// Runs a demo from its start to its end.
///
/// # Errors
///
/// Says what could not be started or read. Orders that were accepted are in the log.
pub async fn run(options: Options) -> anyhow::Result<Summary> {
    let mut demo = Demo::start(options).await?;
    let (progress, _) = watch::channel(Progress::default());
    let summary = demo.place_orders(&progress, &CancellationToken::new()).await;
    demo.stop().await?;
    summary
}

impl Demo {
    /// Reads or makes the orders, lays out the books and starts everybody.
    ///
    /// # Errors
    ///
    /// Says what could not be started. Nothing is left running.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let reading = options.clone();
        let shopping = tokio::task::spawn_blocking(move || Shopping::plan(&reading))
            .await
            .context("the orders")??;
        let books = Books::open(&options.data, options.log.as_deref(), options.earlier).await?;
        let mut shop = Shop::open(&options, &books, &shopping.catalogue).await?;

        let (port, note) = shop::listen("the orchestrator", options.port_base, 0).await?;
        let listen = port.local_addr()?;
        drop(port);
        let mut notes = std::mem::take(&mut shop.notes);
        notes.extend(note);

        let program = (0 < options.kills).then(|| options.program.clone());
        let plan = Plan::lay_out(&books, listen, &shop.addresses, program)?;
        let channel = Endpoint::from_shared(format!("http://{listen}"))?
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_secs(2))
            .connect_lazy();
        let client = SagaServiceClient::new(channel);
        let node = Some(Node::start(plan, client.clone()).await?);
        let shopping = Arc::new(shopping);
        let killer = None;
        Ok(Self { options, books, shop, shopping, node, killer, client, listen, notes })
    }

    /// What the user should know, such as a port that was taken.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Where the orchestrator answers.
    pub fn listen(&self) -> std::net::SocketAddr {
        self.listen
    }

    /// Where the shop answers.
    pub fn addresses(&self) -> &Addresses {
        &self.shop.addresses
    }

    /// Where the books are.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// How many orders there are to place.
    pub fn orders(&self) -> u64 {
        self.shopping.baskets.len() as u64
    }

    /// Places the orders, waits until they have ended, and audits the books. Once `stop`
    /// is cancelled no further order is placed.
    ///
    /// # Errors
    ///
    /// The simulator or a book cannot be read, or the orchestrator cannot be started again.
    pub async fn place_orders(
        &mut self,
        progress: &watch::Sender<Progress>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Summary> {
        let node = self.node.take().context("the orchestrator is gone")?;
        let over = CancellationToken::new();
        let killing =
            node.kill(self.options.kills, self.orders(), progress.subscribe(), over.clone());
        self.killer = Some(Killer { over, task: tokio::spawn(killing) });

        let began = Instant::now();
        let placing = self.place_all(progress, stop).await;
        let elapsed = began.elapsed();
        let kills = self.take_node_back().await?;

        let mut placed = placing?;
        let interrupted = placed.len() < self.shopping.baskets.len();
        placed.extend(self.shopping.turned_away.iter().cloned());
        self.shop.settle().await;
        let parts = Parts {
            placed,
            elapsed,
            audit: self.audit().await?,
            weather: self.options.faults,
            faults: self.shop.faults_fired().await?,
            skipped_cancels: self.shopping.skipped_cancels,
            kills,
            interrupted,
        };
        Ok(Summary::of(parts))
    }

    /// Holds the books against each other.
    ///
    /// # Errors
    ///
    /// A book cannot be read.
    pub async fn audit(&self) -> anyhow::Result<audit::Audit> {
        let Shopping { catalogue, baskets, .. } = &*self.shopping;
        let prices = baskets.iter().map(|it| (it.order.order_no.clone(), it.total_minor));
        let stock = catalogue.iter().map(|(id, item)| (id.clone(), item.initial_stock));
        let agreed = Agreed { prices_minor: prices.collect(), stock: stock.collect() };
        audit::audit(&self.books, &self.shop.simulator, &agreed).await
    }

    /// Stops everybody. What has not ended is in the log.
    ///
    /// # Errors
    ///
    /// The orchestrator ended badly.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.take_node_back().await?;
        let stopped = match self.node.take() {
            Some(node) => node.stop().await,
            None => Ok(()),
        };
        self.shop.close().await;
        stopped
    }

    /// Tells whoever kills the orchestrator to give it back; returns how often it died.
    async fn take_node_back(&mut self) -> anyhow::Result<u32> {
        let Some(Killer { over, task }) = self.killer.take() else {
            return Ok(0);
        };
        over.cancel();
        let (node, kills) = task.await.context("the killer ended in a panic")??;
        self.node = Some(node);
        Ok(kills)
    }

    async fn place_all(
        &self,
        progress: &watch::Sender<Progress>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Vec<Placed>> {
        let baskets = stream::iter(self.shopping.baskets.chunks(BUYERS_AT_A_TIME))
            .then(|buyers| async move {
                place::authenticate(&self.shop.simulator, buyers).await.map(|()| buyers)
            })
            .flat_map(|buyers| match buyers {
                Ok(buyers) => stream::iter(buyers).map(Ok).left_stream(),
                Err(error) => stream::iter([Err(error)]).right_stream(),
            })
            .take_until(stop.cancelled());
        let mut placing = baskets
            .map(|basket| async move {
                progress.send_modify(|it| it.begun += 1);
                let client = self.client.clone();
                Ok(place::place(client, basket?, &self.shopping.catalogue).await)
            })
            .buffer_unordered(self.options.concurrency.max(1))
            .boxed();
        let mut all = Vec::new();
        while let Some(placed) = placing.next().await {
            let placed: anyhow::Result<Placed> = placed;
            let placed = placed?;
            progress.send_modify(|it| it.count(&placed.fate));
            all.push(placed);
        }
        Ok(all)
    }
}

impl Progress {
    fn count(&mut self, fate: &Fate) {
        self.ended += 1;
        match fate {
            Fate::Completed => self.completed += 1,
            Fate::Compensated { .. } => self.compensated += 1,
            Fate::Stuck { .. } | Fate::Open { .. } | Fate::Rejected { .. } => {}
        }
    }
}

impl Shopping {
    fn plan(options: &Options) -> anyhow::Result<Self> {
        let items = options.items.as_deref().map(catalogue::read_items).transpose()?;
        let (mut catalogue, file) = match &options.orders {
            Some(path) => (items.unwrap_or_default(), orders::read_orders(path, options.limit)?),
            None => {
                let count = options.limit.unwrap_or(ORDERS_GENERATED);
                let (catalogue, orders) = generate::generate(count, options.seed);
                (items.unwrap_or(catalogue), OrderFile { orders, skipped_cancels: 0 })
            }
        };
        catalogue::complete(&mut catalogue, &file.orders);

        let mut numbers = HashSet::new();
        let (mut baskets, mut turned_away) = (Vec::new(), Vec::new());
        for order in &file.orders {
            let filled = match Basket::fill(order, &catalogue) {
                Ok(_) if !numbers.insert(order.order_no.as_str()) => Err("ORDER_NO_TWICE"),
                filled => filled,
            };
            match filled {
                Ok(basket) => baskets.push(basket),
                Err(reason) => turned_away.push(Placed {
                    order_no: order.order_no.clone(),
                    fate: Fate::Rejected { reason: reason.to_owned() },
                    took: Duration::ZERO,
                }),
            }
        }
        Ok(Self { catalogue, baskets, turned_away, skipped_cancels: file.skipped_cancels })
    }
}
