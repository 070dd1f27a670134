//! Nodes, their clocks, their lives and deaths, and the clients that talk to them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use orchestrator::{
    clock::Clock,
    descriptors::Descriptors,
    engine::{Engine, EngineParts, Limits},
};
use saga_core::SagaId;
use saga_log::{Log, LogLimits, MemoryStore, Store};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::{
    deployed,
    fault::Fault,
    network::Wire,
    store::NodeStore,
    world::{Death, World},
};

mod clients;

use clients::CLIENT_PAUSE;
pub use clients::Given;

/// Which way a cut link still works, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing gets through.
    Requests,
    /// Requests do, replies do not.
    Replies,
}

/// The strings that a node hangs on.
#[derive(Debug)]
pub struct Control {
    /// Number of the node.
    pub number: usize,
    dead: watch::Sender<bool>,
    stalled_until: Mutex<Instant>,
    armed: Mutex<Option<(Death, SagaId)>>,
    cuts: Mutex<BTreeMap<String, Cut>>,
    clock_ahead_ms: AtomicI64,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Control {
    fn new(number: usize) -> Self {
        Self {
            number,
            dead: watch::Sender::new(false),
            stalled_until: Mutex::new(Instant::now()),
            armed: Mutex::default(),
            cuts: Mutex::default(),
            clock_ahead_ms: AtomicI64::new(0),
        }
    }

    /// Ends when the node may go on: never for a dead one.
    pub async fn ready(&self) {
        loop {
            if self.is_dead() {
                std::future::pending::<()>().await;
            }
            let until = *locked(&self.stalled_until);
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// Whether the node is dead.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// From now on the node does nothing, and hears nothing.
    pub fn die(&self) {
        self.dead.send_replace(true);
    }

    /// The node stands still for a while, and then goes on as if nothing had happened.
    pub fn stall(&self, for_ms: u64) {
        *locked(&self.stalled_until) = Instant::now() + Duration::from_millis(for_ms);
    }

    /// Whether the node stands still.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        Instant::now() < *locked(&self.stalled_until)
    }

    /// The node will die with the next row of this saga.
    pub fn arm(&self, death: Death, saga: SagaId) {
        *locked(&self.armed) = Some((death, saga));
    }

    /// The death that waits for a row of one of these sagas.
    pub fn armed(&self, is_written: impl Fn(SagaId) -> bool) -> Option<Death> {
        let mut armed = locked(&self.armed);
        let (death, saga) = (*armed)?;
        if !is_written(saga) {
            return None;
        }
        *armed = None;
        Some(death)
    }

    /// Cuts the link to a participant, or mends it.
    pub fn cut(&self, participant: &str, cut: Option<Cut>) {
        match cut {
            Some(cut) => locked(&self.cuts).insert(participant.to_owned(), cut),
            None => locked(&self.cuts).remove(participant),
        };
    }

    /// How the link to a participant is cut, if it is.
    #[must_use]
    pub fn cut_from(&self, participant: &str) -> Option<Cut> {
        locked(&self.cuts).get(participant).copied()
    }

    /// The node's clock jumps, and is so far ahead of the others from now on.
    pub fn jump(&self, ahead_ms: i64) {
        self.clock_ahead_ms.store(ahead_ms, Ordering::SeqCst);
    }

    /// All is well with this node from now on, if it lives.
    pub fn heal(&self) {
        locked(&self.cuts).clear();
        *locked(&self.stalled_until) = Instant::now();
        *locked(&self.armed) = None;
        self.clock_ahead_ms.store(0, Ordering::SeqCst);
    }
}

/// The wall clock of a node: virtual time, and how far it is off.
#[derive(Debug)]
struct NodeClock {
    world: World,
    origin: Instant,
    control: Arc<Control>,
}

/// 2026-01-01, so that no clock comes near zero.
const ORIGIN_MS: i64 = 1_767_225_600_000;

/// What a clock shows that is so far ahead.
pub(super) fn clock_ms(origin: Instant, ahead_ms: i64) -> u64 {
    let elapsed_ms = i64::try_from(origin.elapsed().as_millis()).unwrap_or(i64::MAX);
    u64::try_from(ORIGIN_MS + elapsed_ms + ahead_ms).unwrap_or(0)
}

impl Clock for NodeClock {
    fn now_ms(&self) -> u64 {
        clock_ms(self.origin, self.control.clock_ahead_ms.load(Ordering::SeqCst))
    }

    /// The same at every repetition.
    fn new_id(&self) -> Uuid {
        let chance = self.world.lock().new_id();
        let mut bytes = [0; 10];
        bytes[2..].copy_from_slice(&chance.to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(self.now_ms(), &bytes).into_uuid()
    }
}

/// A node.
#[derive(Debug)]
pub struct Node {
    /// The strings it hangs on.
    pub control: Arc<Control>,
    /// The engine, until it dies.
    pub engine: Engine,
}

/// All nodes over one log.
#[derive(Debug)]
pub struct Cluster {
    /// The rest of the world.
    pub world: World,
    /// What is in the log.
    pub store: MemoryStore,
    limits: Limits,
    origin: Instant,
    nodes: Mutex<Vec<Arc<Node>>>,
}

/// Limits of a node whose loops do not fill the virtual hours.
#[must_use]
pub fn unhurried() -> Limits {
    Limits {
        heartbeat_ms: 1_000,
        dead_after_ms: 4_000,
        claim_ms: 700,
        park_after_ms: 2_000,
        resolve_timeout_ms: 3_000,
        ..Limits::default()
    }
}

impl Cluster {
    /// A log that knows the deployed definitions, and no node.
    ///
    /// # Panics
    ///
    /// Where a definition cannot be stored.
    pub async fn new(world: World, limits: Limits) -> Arc<Self> {
        let store = MemoryStore::default();
        for deployed in deployed::all() {
            store.put_definition(&deployed.row).await.unwrap();
        }
        let (origin, nodes) = (Instant::now(), Mutex::default());
        Arc::new(Self { world, store, limits, origin, nodes })
    }

    /// A new node joins.
    pub async fn add_node(&self) -> Arc<Node> {
        let number = {
            let mut world = self.world.lock();
            world.nodes += 1;
            let number = world.nodes - 1;
            world.note(format_args!("node {number} begins"));
            number
        };
        let control = Arc::new(Control::new(number));
        loop {
            let store = Arc::new(NodeStore {
                shared: self.store.clone(),
                world: self.world.clone(),
                control: Arc::clone(&control),
                origin: self.origin,
                tries: AtomicU64::new(0),
                forgot: AtomicBool::new(false),
            });
            let wire = Wire { world: self.world.clone(), control: Arc::clone(&control) };
            let parts = EngineParts {
                log: Log::start(store, LogLimits::default()),
                clock: Arc::new(NodeClock {
                    world: self.world.clone(),
                    origin: self.origin,
                    control: Arc::clone(&control),
                }),
                caller: Arc::new(wire),
                descriptors: Descriptors::Fixed(Arc::default()),
                limits: self.limits,
            };
            if let Ok(engine) = Engine::start(parts).await {
                let node = Arc::new(Node { control, engine });
                locked(&self.nodes).push(Arc::clone(&node));
                return node;
            }
            tokio::time::sleep(CLIENT_PAUSE).await;
        }
    }

    /// The nodes that live.
    #[must_use]
    pub fn living(&self) -> Vec<Arc<Node>> {
        let mut nodes = locked(&self.nodes);
        nodes.retain(|node| !node.control.is_dead());
        nodes.clone()
    }

    /// Ends a node at once.
    pub fn kill(&self, node: &Node) {
        let mut world = self.world.lock();
        world.note(format_args!("node {} is killed", node.control.number));
        world.happened(Fault::Killed, true);
        node.control.die();
    }

    /// One of the living nodes, another one with each number.
    async fn some_node(&self, number: usize) -> Arc<Node> {
        loop {
            let living = self.living();
            if !living.is_empty() {
                return Arc::clone(&living[number % living.len()]);
            }
            tokio::time::sleep(CLIENT_PAUSE).await;
        }
    }

    /// Waits until the saga has ended, or until the patience is over.
    pub async fn ends_within(&self, saga: SagaId, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if self.world.lock().journal.sagas.get(&saga).is_some_and(|it| it.ended.is_some()) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        false
    }
}
