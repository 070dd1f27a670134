//! The whole shop in one process: orchestrator, three services and a payment provider,
//! over real gRPC, with real books. Orders are placed and cancelled, things go wrong, and at
//! the end the books are held against each other.
//!
//! Reading order: [`orders`], [`catalogue`], [`generate`], `coupons` and `shopping` (what is
//! bought and given back), [`books`] (where it is written down), `shop` and `node` (who does it),
//! [`definition`], [`faults`] and `network` (what goes wrong), `buyer`, `place`, `cancel`
//! and `errands` (the buyers), [`audit`] and [`summary`] (what it came to),
//! [`example`] (what a person can do by hand afterwards).

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use saga_proto::saga::v1::saga_service_client::SagaServiceClient;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

pub mod audit;
pub mod books;
mod buyer;
mod cancel;
pub mod catalogue;
mod coupons;
pub mod definition;
mod errands;
pub mod example;
pub mod faults;
pub mod generate;
mod network;
mod node;
pub mod orders;
mod place;
mod shop;
mod shopping;
pub mod summary;

pub use node::{CHILD_COMMAND, child};
pub use shop::Addresses;

use audit::Agreed;
use books::{Books, Earlier};
use buyer::Fate;
use cancel::Cancelled;
use errands::{Done, Errands};
use faults::Faults;
use node::{Node, Plan};
use shop::Shop;
use shopping::Shopping;
use summary::{Parts, Summary};

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
    /// Orders and credit notes that are under way at the same time.
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

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Orders and credit notes that were begun.
    pub begun: u64,
    /// Orders and credit notes that ended.
    pub ended: u64,
    /// Of these, orders that were placed and paid.
    pub completed: u64,
    /// Of these, orders that were undone.
    pub compensated: u64,
    /// Of these, credit notes that gave something back.
    pub given_back: u64,
}

/// A demo that runs.
#[derive(Debug)]
pub struct Demo {
    options: Options,
    books: Books,
    shop: Shop,
    shopping: Arc<Shopping>,
    /// Lines of orders whose cancel has completed.
    cancelled: BTreeSet<(String, i64)>,
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
        let mut shop = Shop::open(&options, &books, &shopping).await?;
        example::authenticate(&shop.simulator, &shopping.catalogue).await?;

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
        Ok(Self {
            options,
            books,
            shop,
            shopping: Arc::new(shopping),
            cancelled: BTreeSet::new(),
            node,
            killer: None,
            client,
            listen,
            notes,
        })
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

    /// How many orders there are to place, and credit notes to carry out.
    pub fn errands(&self) -> u64 {
        self.shopping.errands.len() as u64
    }

    /// Places the orders, carries out the credit notes, waits until all have ended, and
    /// audits the books. Once `stop` is cancelled no further one is begun.
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
            node.kill(self.options.kills, self.errands(), progress.subscribe(), over.clone());
        self.killer = Some(Killer { over, task: tokio::spawn(killing) });

        let began = Instant::now();
        let shopping = Arc::clone(&self.shopping);
        let simulator = &self.shop.simulator;
        let errands = Errands::of(&shopping, simulator, &self.client, self.options.concurrency);
        let doing = errands.run(progress, stop).await;
        let elapsed = began.elapsed();
        let kills = self.take_node_back().await?;

        let done = doing?;
        let interrupted = done.len() < shopping.errands.len();
        let (mut placed, mut cancelled, mut not_due) = (shopping.turned_away.clone(), vec![], 0);
        for done in done {
            match done {
                Done::Placed(one) => placed.push(one),
                Done::Cancelled(some) => cancelled.extend(some),
                Done::NotDue => not_due += 1,
            }
        }
        self.note_cancelled(&cancelled);
        self.shop.settle().await;
        let parts = Parts {
            placed,
            cancelled,
            notes: shopping.notes,
            not_due,
            elapsed,
            audit: self.audit().await?,
            weather: self.options.faults,
            faults: self.shop.faults_fired().await?,
            kills,
            interrupted,
        };
        Ok(Summary::of(parts))
    }

    /// What the buyers were told is cancelled must be so in the books.
    fn note_cancelled(&mut self, cancelled: &[Cancelled]) {
        let completed = cancelled.iter().filter(|it| it.fate == Fate::Completed);
        for Cancelled { order_no, line_nos, .. } in completed {
            self.cancelled.extend(line_nos.iter().map(|line_no| (order_no.clone(), *line_no)));
        }
    }

    /// Holds the books against each other.
    ///
    /// # Errors
    ///
    /// A book cannot be read.
    pub async fn audit(&self) -> anyhow::Result<audit::Audit> {
        let Shopping { catalogue, baskets, coupons, .. } = &*self.shopping;
        // Of those only what a person has placed by hand is in the books.
        let by_hand = example::baskets(catalogue);
        let all = || baskets.iter().chain(&by_hand);
        let prices = all().map(|it| (it.order.order_no.clone(), it.to_pay_minor()));
        let discounts = all().map(|it| (it.order.order_no.clone(), it.discount_minor));
        let stock = catalogue.iter().map(|(id, item)| (id.clone(), item.initial_stock));
        let agreed = Agreed {
            prices_minor: prices.collect(),
            discounts_minor: discounts.collect(),
            coupons: coupons.iter().map(|it| it.coupon_id.clone()).collect(),
            stock: stock.collect(),
            cancelled: self.cancelled.clone(),
        };
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
}

impl Progress {
    fn count(&mut self, done: &Done) {
        self.ended += 1;
        match done {
            Done::Placed(placed) => match placed.fate {
                Fate::Completed => self.completed += 1,
                Fate::Compensated { .. } => self.compensated += 1,
                Fate::Stuck { .. } | Fate::Open { .. } | Fate::Rejected { .. } => {}
            },
            Done::Cancelled(cancelled) => {
                let is_any = cancelled.iter().any(|it| it.fate == Fate::Completed);
                self.given_back += u64::from(is_any);
            }
            Done::NotDue => {}
        }
    }
}
