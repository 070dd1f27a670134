//! Logs to test on, engines over them, and stores that fail on purpose.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use orchestrator::{
    clock::SystemClock,
    descriptors::Descriptors,
    engine::{Engine, EngineParts, Limits, Snapshot, StartError, StartSaga, StartedSaga},
};
use prost::Message;
use saga_core::{NodeId, SagaId};
use saga_log::{
    Append, ClaimQuery, DefinitionRow, ListQuery, Log, LogLimits, LogRow, NodeRow, OpenOptions,
    SagaRow, Store, StoreError, StuckGroup, Written,
};

use super::script::Scripted;

/// Three steps and a fourth behind the pivot, with short pauses.
pub(crate) const SAGA: &str = r#"
kind: Saga
name: test
version: 1
input: shop.order.v1.PlaceOrderInput
deadline: 1m
steps:
  - name: reserve
    action: { call: inventory/shop.inventory.v1.InventoryService/Reserve, request: { order_no: input.order_no }, timeout: 1s }
    compensation: { call: inventory/shop.inventory.v1.InventoryService/Release, request: { reserve_op_id: op("reserve") }, timeout: 1s }
    retry: { first: 1ms, factor: 2, max: 4ms, attempts: 3 }
    resolve: { first: 1ms, factor: 2, max: 4ms }
  - name: pay
    action: { call: payment/shop.payment.v1.PaymentService/Confirm, request: { order_no: input.order_no }, timeout: 1s }
    compensation: { call: payment/shop.payment.v1.PaymentService/Cancel, request: { reverses_op_id: op("pay") }, timeout: 1s }
    retry: { first: 1ms, factor: 2, max: 4ms, attempts: 3 }
    resolve: { first: 1ms, factor: 2, max: 4ms }
  - name: insert
    pivot: true
    action: { call: order/shop.order.v1.OrderService/InsertOrder, request: { order_no: input.order_no }, timeout: 1s }
    retry: { first: 1ms, factor: 2, max: 4ms, attempts: 3 }
    resolve: { first: 1ms, factor: 2, max: 4ms }
  - name: commit
    action: { call: inventory/shop.inventory.v1.InventoryService/Commit, request: { reserve_op_id: op("reserve") }, timeout: 1s }
    retry: { first: 1ms, factor: 2, max: 4ms, attempts: 3 }
"#;

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Which log a test runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Memory,
    Sqlite,
    Postgres,
}

pub(crate) const KINDS: [Kind; 3] = [Kind::Memory, Kind::Sqlite, Kind::Postgres];

/// A fresh, empty log.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) store: Arc<dyn Store>,
    _folder: Option<tempfile::TempDir>,
}

impl Fresh {
    pub(crate) async fn open(kind: Kind) -> Self {
        let options = OpenOptions { migrate: true, ..OpenOptions::default() };
        match kind {
            Kind::Memory => {
                let store = saga_log::open("memory:", options).await.unwrap();
                Self { store, _folder: None }
            }
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite:{}", folder.path().join("log.db").display());
                let store = saga_log::open(&url, options).await.unwrap();
                Self { store, _folder: Some(folder) }
            }
            Kind::Postgres => {
                let url = postgres_database().await;
                let store = saga_log::open(&url, options).await.unwrap();
                Self { store, _folder: None }
            }
        }
    }
}

/// A new database on the server that the environment names.
async fn postgres_database() -> String {
    use sqlx::Connection;
    let server = std::env::var("AMENDS_TEST_POSTGRES_URL")
        .expect("run tests/run, or set AMENDS_TEST_POSTGRES_URL");
    let name = format!("engine_{}", uuid::Uuid::now_v7().simple());
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    let create = format!("/* postgres_database */ create database {name}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (server, _) = server.rsplit_once('/').expect("the URL names a database");
    format!("{server}/{name}")
}

/// An engine with short times over `store`, with the test definition registered.
pub(crate) async fn engine(store: Arc<dyn Store>, caller: Arc<Scripted>) -> Engine {
    let limits = Limits {
        heartbeat_ms: 20,
        dead_after_ms: 200,
        claim_ms: 5,
        park_after_ms: 50,
        ..Limits::default()
    };
    engine_with(store, caller, limits).await
}

pub(crate) async fn engine_with(
    store: Arc<dyn Store>,
    caller: Arc<Scripted>,
    limits: Limits,
) -> Engine {
    let types = prost_types::FileDescriptorSet::decode(saga_proto::FILE_DESCRIPTOR_SET).unwrap();
    let parts = EngineParts {
        log: Log::start(store, LogLimits::default()),
        clock: Arc::new(SystemClock),
        caller,
        descriptors: Descriptors::Fixed(Arc::new(types)),
        limits,
    };
    let engine = Engine::start(parts).await.unwrap();
    engine.register(SAGA, "test.yaml").await.unwrap();
    engine
}

/// What to start: one saga with this key.
pub(crate) async fn order(engine: &Engine, key: &str) -> StartSaga {
    let definition = engine.definition("test", 0).await.unwrap();
    let input = definition.encode_input_json(r#"{"orderNo": "order-1"}"#).unwrap();
    StartSaga {
        namespace: String::new(),
        business_key: key.to_owned(),
        definition,
        request_hash: [1; 32],
        input,
    }
}

/// Starts a saga and answers its id.
pub(crate) async fn start(engine: &Engine, key: &str) -> SagaId {
    let order = order(engine, key).await;
    match insist(engine, order).await.unwrap() {
        StartedSaga::New { saga, .. } => saga,
        StartedSaga::Existing(row) => row.saga,
    }
}

/// Starts a saga as a client does: asks again, with the same key, where the log is slow.
pub(crate) async fn insist(engine: &Engine, order: StartSaga) -> Result<StartedSaga, StartError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match engine.start_saga(order.clone()).await {
            Err(StartError::LogUnavailable | StartError::Unknown) if Instant::now() < deadline => {
                tokio::task::yield_now().await;
            }
            answer => return answer,
        }
    }
}

/// The saga once `holds`; panics where that takes too long.
pub(crate) async fn once(
    engine: &Engine,
    saga: SagaId,
    holds: impl Fn(&Snapshot) -> bool,
) -> Snapshot {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let snapshot = engine.snapshot(saga).await.unwrap();
        if holds(&snapshot) {
            return snapshot;
        }
        assert!(Instant::now() < deadline, "it never came to that: {snapshot:#?}");
        tokio::task::yield_now().await;
    }
}

/// The moment at which a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    BeforeWrite,
    AfterWrite,
}

/// A store that dies with its node at one append: from then on nothing that the node
/// asks is ever answered.
#[derive(Debug)]
pub(crate) struct MortalStore {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) death: Death,
    /// Rows of sagas that are still written; the one after them is the last.
    pub(crate) appends_left: AtomicU32,
    pub(crate) dead: tokio::sync::watch::Sender<bool>,
    /// Set before the last write, so that whoever sees that write sees this too.
    pub(crate) dying: AtomicBool,
}

impl MortalStore {
    async fn alive(&self) {
        if *self.dead.borrow() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Store for MortalStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn write(&self, batch: &[Append]) -> Result<Vec<Written>, StoreError> {
        self.alive().await;
        let dies = self
            .appends_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_err();
        if !dies {
            return self.inner.write(batch).await;
        }
        self.dying.store(true, Ordering::SeqCst);
        if self.death == Death::AfterWrite {
            self.inner.write(batch).await?;
        }
        self.dead.send_replace(true);
        std::future::pending().await
    }

    async fn load(&self, saga: SagaId, after: u64, max: u32) -> Result<Vec<LogRow>, StoreError> {
        self.alive().await;
        self.inner.load(saga, after, max).await
    }

    async fn saga(&self, saga: SagaId) -> Result<Option<SagaRow>, StoreError> {
        self.alive().await;
        self.inner.saga(saga).await
    }

    async fn saga_by_key(&self, space: &str, key: &str) -> Result<Option<SagaRow>, StoreError> {
        self.inner.saga_by_key(space, key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<SagaRow>, StoreError> {
        self.inner.list(query).await
    }

    async fn stuck_groups(&self, examples_max: u32) -> Result<Vec<StuckGroup>, StoreError> {
        self.inner.stuck_groups(examples_max).await
    }

    async fn claimable(&self, query: &ClaimQuery<'_>) -> Result<Vec<SagaId>, StoreError> {
        self.alive().await;
        self.inner.claimable(query).await
    }

    async fn next_wake_at_ms(&self) -> Result<Option<u64>, StoreError> {
        self.inner.next_wake_at_ms().await
    }

    async fn register_node(&self, node: NodeId, now_ms: u64) -> Result<(), StoreError> {
        self.alive().await;
        self.inner.register_node(node, now_ms).await
    }

    async fn beat(&self, node: NodeId, now_ms: u64) -> Result<bool, StoreError> {
        self.alive().await;
        self.inner.beat(node, now_ms).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.alive().await;
        self.inner.nodes().await
    }

    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError> {
        self.alive().await;
        self.inner.forget_node(node).await
    }

    async fn put_definition(&self, row: &DefinitionRow) -> Result<DefinitionRow, StoreError> {
        self.inner.put_definition(row).await
    }

    async fn definition(
        &self,
        name: &str,
        version: u32,
    ) -> Result<Option<DefinitionRow>, StoreError> {
        self.inner.definition(name, version).await
    }

    async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError> {
        self.inner.definitions().await
    }
}
