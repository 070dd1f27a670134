//! A payment provider to develop and test against. It keeps real books: what it says it
//! captured is on its disk before it says so, and its ledger judges what the shop did.
//!
//! It speaks the wires of Toss Payments (`toss`) and of PortOne V1 (`portone`). What it does
//! with money (`book`), the faults it makes (`fault`) and the way a request runs (`exchange`)
//! know no wire format. Both wires show the same payments: where buyers pay without the
//! shop (`buyer_pays`), and where the shop confirms.
//!
//! Not for production: everybody who reaches its port may open payments and move its clock.

use std::{
    collections::HashSet,
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Deserialize;
use serde_json::Number;
use sqlx::SqlitePool;
use tokio::net::TcpListener;

mod admin;
mod book;
mod command;
mod connection;
mod error;
mod exchange;
mod fault;
mod file;
mod idempotency;
mod lane;
mod ledger;
mod portone;
mod session;
mod toss;
mod webhook;

pub use book::{DuplicateOrders, OrderLedger};
pub use command::main;
pub use error::SimulatorError;
pub use fault::{Fault, FaultCounts, FaultMix, FaultScript, Operation};
pub use ledger::LedgerPage;
pub use session::{Session, Stage};
pub use webhook::{WebhookOrder, WebhookScript, WebhookWire, WebhooksSent};

use crate::{clock::Clock, provider::amount};
use book::Payment;
use connection::{Scissors, SeverableListener};
use lane::Lane;

/// Payments that are opened in one transaction.
const OPENINGS_PER_JOB: usize = 500;

/// How the simulated provider behaves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimulatorConfig {
    /// Currency of every payment.
    pub currency: String,
    /// Random faults of payments that bring no script of their own.
    pub mix: FaultMix,
    /// Whether an order can be paid twice.
    pub duplicate_orders: DuplicateOrders,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            currency: "KRW".to_owned(),
            mix: FaultMix::default(),
            duplicate_orders: DuplicateOrders::default(),
        }
    }
}

impl SimulatorConfig {
    fn decimals(&self) -> u32 {
        amount::decimals(&self.currency).unwrap_or(0)
    }

    /// What a client wrote, in minor units. `None`: the currency has no such amount.
    fn read(&self, written: &Number) -> Option<i64> {
        amount::read(written, self.decimals())
    }

    fn written(&self, amount_minor: i64) -> Number {
        amount::written(amount_minor, self.decimals())
    }
}

/// A simulated provider. Clones share one file and one clock.
#[derive(Clone, Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: SimulatorConfig,
    lane: Lane,
    reads: SqlitePool,
    clock: Clock,
    /// Identities of the requests that are under way.
    running: Mutex<HashSet<String>>,
    traces: AtomicU64,
    /// Access tokens that were given out since the start.
    tokens: AtomicU64,
}

/// How a look-up names a payment.
enum Wanted {
    Key(String),
    Order(String),
}

impl Simulator {
    /// Opens the file at `path`, or makes it. All that was ever answered is still there.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Open`] and [`SimulatorError::SchemaUnknown`].
    pub async fn open(path: &Path, config: SimulatorConfig) -> Result<Self, SimulatorError> {
        let file = file::open(path).await?;
        let shared = Shared {
            config,
            lane: Lane::start(file.writer),
            reads: file.reads,
            clock: Clock::moved_by(file.clock_offset_ms),
            running: Mutex::default(),
            traces: AtomicU64::new(1),
            tokens: AtomicU64::new(0),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Serves until `shutdown` is ready and the requests under way are answered.
    ///
    /// # Errors
    ///
    /// Those of the listener.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let routes = toss::routes(self.shared.clone())
            .merge(portone::routes(self.shared.clone()))
            .merge(admin::routes(self.shared.clone()));
        let service = routes.into_make_service_with_connect_info::<Scissors>();
        axum::serve(SeverableListener(listener), service).with_graceful_shutdown(shutdown).await
    }

    /// Writes what waits and closes the file. Requests after it are answered with 500.
    pub async fn close(&self) {
        self.shared.lane.close().await;
        self.shared.reads.close().await;
    }

    /// Opens a payment that its buyer has authenticated.
    ///
    /// # Errors
    ///
    /// As [`authenticate_many`](Self::authenticate_many).
    pub async fn authenticate(
        &self,
        payment_key: &str,
        order_no: &str,
        amount_minor: i64,
        faults: Option<FaultScript>,
    ) -> Result<(), SimulatorError> {
        let session = Session {
            payment_key: payment_key.to_owned(),
            order_no: order_no.to_owned(),
            amount_minor,
            stage: Stage::Authenticated,
            faults,
        };
        self.authenticate_many(vec![session]).await
    }

    /// Opens payments. One that exists already, for the same order and amount, is left
    /// as it is, faults included.
    ///
    /// # Errors
    ///
    /// * [`SimulatorError::SessionInvalid`]: nothing was opened.
    /// * [`SimulatorError::SessionConflict`]: the payments before it may have been opened.
    /// * [`SimulatorError::Write`]: any of them may have been opened. Ask again.
    pub async fn authenticate_many(&self, sessions: Vec<Session>) -> Result<(), SimulatorError> {
        let wrong = sessions.iter().find(|it| !it.is_valid());
        if let Some(Session { payment_key, .. }) = wrong {
            return Err(SimulatorError::SessionInvalid { payment_key: payment_key.clone() });
        }
        for sessions in sessions.chunks(OPENINGS_PER_JOB) {
            let sessions = sessions.to_vec();
            let shared = self.shared.clone();
            let conflict = self
                .shared
                .lane
                .run(|connection| Box::pin(session::open_all(connection, shared, sessions)))
                .await?;
            if let Some(payment_key) = conflict {
                return Err(SimulatorError::SessionConflict { payment_key });
            }
        }
        Ok(())
    }

    /// The buyer authenticates a payment that was only requested. False: there is no such
    /// payment, or its 30 minutes are over.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Write`]: it may have happened.
    pub async fn buyer_authenticates(&self, payment_key: &str) -> Result<bool, SimulatorError> {
        let payment_key = payment_key.to_owned();
        let now_ms = self.now_ms();
        let authenticated = self
            .shared
            .lane
            .run(move |connection| {
                Box::pin(
                    async move { session::authenticate(connection, &payment_key, now_ms).await },
                )
            })
            .await?;
        Ok(authenticated)
    }

    /// The buyer pays without the shop, or deposits what the shop has confirmed. False:
    /// there is no such payment, it is paid, or its time is over.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Write`]: it may have happened.
    pub async fn buyer_pays(&self, payment_key: &str) -> Result<bool, SimulatorError> {
        let payment_key = payment_key.to_owned();
        let (duplicates, now_ms) = (self.shared.config.duplicate_orders, self.now_ms());
        let paid = self
            .shared
            .lane
            .run(move |connection| {
                Box::pin(
                    async move { book::pay(connection, &payment_key, duplicates, now_ms).await },
                )
            })
            .await?;
        Ok(paid.is_ok())
    }

    /// How many access tokens it gave out since it was opened.
    pub fn tokens_issued(&self) -> u64 {
        self.shared.tokens.load(Ordering::Relaxed)
    }

    /// Plans faults for the next requests, whatever payment they are about. The faults of
    /// a payment's own script come first.
    ///
    /// # Errors
    ///
    /// * [`SimulatorError::ScriptInvalid`]: nothing was planned.
    /// * [`SimulatorError::Write`]: it may have been planned.
    pub async fn plan_faults(&self, script: FaultScript) -> Result<(), SimulatorError> {
        if !script.is_possible() {
            return Err(SimulatorError::ScriptInvalid);
        }
        self.shared
            .lane
            .run(move |connection| {
                Box::pin(async move { fault::add(connection, fault::ANY_PAYMENT, &script).await })
            })
            .await?;
        Ok(())
    }

    /// Counts the faults that really happened, by kind, over the life of the file.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Read`].
    pub async fn faults_fired(&self) -> Result<FaultCounts, SimulatorError> {
        let counts = self.shared.read(|reads| async move { fault::fired(&reads).await }).await;
        counts.map_err(|source| SimulatorError::Read { source })
    }

    /// What the simulator's clock shows, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.shared.clock.now_ms()
    }

    /// Moves the clock and returns what it shows then. It stays moved over restarts.
    ///
    /// # Errors
    ///
    /// * [`SimulatorError::ClockRange`]: the clock was not moved.
    /// * [`SimulatorError::Write`]: the clock may be moved after a restart.
    pub async fn advance_clock(&self, by_ms: i64) -> Result<i64, SimulatorError> {
        const RANGE_MS: i64 = 100 * 366 * 24 * 60 * 60 * 1000;
        if !(-RANGE_MS..=RANGE_MS).contains(&by_ms) {
            return Err(SimulatorError::ClockRange);
        }
        let offset_ms = self
            .shared
            .lane
            .run(move |connection| Box::pin(file::move_clock(connection, by_ms)))
            .await?;
        self.shared.clock.set_offset_ms(offset_ms);
        Ok(self.now_ms())
    }
}

impl Shared {
    /// Reads in a task of its own: a database future is not cancelled, whoever hangs up.
    async fn read<T, W>(&self, work: impl FnOnce(SqlitePool) -> W) -> Result<T, sqlx::Error>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    {
        let read = tokio::spawn(work(self.reads.clone())).await;
        read.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    async fn read_payment(&self, wanted: Wanted) -> Result<Option<Payment>, sqlx::Error> {
        self.read(|reads| async move {
            let mut connection = reads.acquire().await?;
            match wanted {
                Wanted::Key(key) => book::by_key(&mut connection, &key).await,
                Wanted::Order(order_no) => book::by_order(&mut connection, &order_no).await,
            }
        })
        .await
    }
}
