//! Logs to test on, and engines over them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use orchestrator::{
    clock::SystemClock,
    definition::ServedTypes,
    descriptors::Descriptors,
    engine::{
        Engine, EngineParts, Limits, ReachError, SignalError, Signalled, Snapshot, StartError,
        StartSaga, StartedSaga, StepSignal,
    },
    participants::Caller,
};
use saga_core::SagaId;
use saga_log::{Log, LogLimits, OpenOptions, Store};

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
    retry: { first: 10ms, factor: 2, max: 20ms, attempts: 3 }
    resolve: { first: 10ms, factor: 2, max: 20ms }
  - name: pay
    action: { call: payment/shop.payment.v1.PaymentService/Confirm, request: { order_no: input.order_no }, timeout: 1s }
    compensation: { call: payment/shop.payment.v1.PaymentService/Cancel, request: { reverses_op_id: op("pay") }, timeout: 1s }
    retry: { first: 10ms, factor: 2, max: 20ms, attempts: 3 }
    resolve: { first: 10ms, factor: 2, max: 20ms }
  - name: insert
    pivot: true
    action: { call: order/shop.order.v1.OrderService/InsertOrder, request: { order_no: input.order_no }, timeout: 1s }
    retry: { first: 10ms, factor: 2, max: 20ms, attempts: 3 }
    resolve: { first: 10ms, factor: 2, max: 20ms }
  - name: commit
    action: { call: inventory/shop.inventory.v1.InventoryService/Commit, request: { reserve_op_id: op("reserve") }, timeout: 1s }
    retry: { first: 10ms, factor: 2, max: 20ms, attempts: 3 }
"#;

/// A payment that the client brought along, a reservation, an approval, and the pivot.
/// TIMEOUT stands for how long the approval is waited for.
const REFUND: &str = r#"
kind: Saga
name: refund
version: 1
input: shop.order.v1.PlaceOrderInput
deadline: 1h
steps:
  - name: paid
    compensation:
      call: payment/shop.payment.v1.PaymentService/Cancel
      when: failure.step == 'approval' && failure.reason == 'REFUND_DENIED'
      request: { provider_key: input.order_no, reason: failure.reason }
      timeout: 1s
      retry: { first: 10ms, factor: 2, max: 20ms }
  - name: reserve
    action: { call: inventory/shop.inventory.v1.InventoryService/Reserve, request: { order_no: input.order_no }, timeout: 1s }
    compensation: { call: inventory/shop.inventory.v1.InventoryService/Release, request: { reserve_op_id: op("reserve") }, timeout: 1s, retry: { first: 10ms, factor: 2, max: 20ms } }
    retry: { first: 10ms, factor: 2, max: 20ms, attempts: 3 }
    resolve: { first: 10ms, factor: 2, max: 20ms }
  - name: approval
    wait:
      signal: approval
      type: shop.order.v1.RefundApproval
      accept: signal.approved
      refused: REFUND_DENIED
      timeout: TIMEOUT
  - name: insert
    pivot: true
    action: { call: order/shop.order.v1.OrderService/InsertOrder, request: { order_no: steps.approval.reply.note }, timeout: 1s }
    retry: { first: 10ms, factor: 2, max: 20ms, attempts: 3 }
    resolve: { first: 10ms, factor: 2, max: 20ms }
"#;

/// The definition whose approval is waited for at length.
pub(crate) const PATIENT: &str = "refund";
/// The definition whose approval has to come at once.
pub(crate) const IMPATIENT: &str = "refund-now";

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

/// A new database on the server that the environment names, named after this process:
/// `tests/run` removes those of processes that have ended.
pub(crate) async fn postgres_database() -> String {
    use sqlx::Connection;
    let server = std::env::var("AMENDS_TEST_POSTGRES_URL")
        .expect("run tests/run, or set AMENDS_TEST_POSTGRES_URL");
    let name = format!("engine_p{}_{}", std::process::id(), uuid::Uuid::now_v7().simple());
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    let create = format!("/* postgres_database */ create database {name} template template0");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (server, _) = server.rsplit_once('/').expect("the URL names a database");
    format!("{server}/{name}")
}

/// An engine with short times over `store`, with the test definition registered.
pub(crate) async fn engine(store: Arc<dyn Store>, caller: Arc<impl Caller + 'static>) -> Engine {
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
    caller: Arc<impl Caller + 'static>,
    limits: Limits,
) -> Engine {
    let types = ServedTypes::read_set(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
    let parts = EngineParts {
        log: Log::start(store, LogLimits::default()),
        clock: Arc::new(SystemClock),
        caller,
        descriptors: Descriptors::Fixed(Arc::new(types)),
        limits,
    };
    let engine = Engine::start(parts).await.unwrap();
    engine.register(SAGA, "test.yaml").await.unwrap();
    let patient = REFUND.replace("TIMEOUT", "30m");
    engine.register(&patient, "refund.yaml").await.unwrap();
    let name = format!("name: {IMPATIENT}");
    let impatient = REFUND.replace("TIMEOUT", "60ms").replace("name: refund\n", &(name + "\n"));
    engine.register(&impatient, "refund-now.yaml").await.unwrap();
    engine
}

/// What to start: one saga with this key.
pub(crate) async fn order(engine: &Engine, key: &str) -> StartSaga {
    order_of(engine, "test", key).await
}

/// As [`order`], of another definition.
pub(crate) async fn order_of(engine: &Engine, definition: &str, key: &str) -> StartSaga {
    let definition = engine.definition(definition, 0).await.unwrap();
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
    start_of(engine, "test", key).await
}

/// As [`start`], of another definition.
pub(crate) async fn start_of(engine: &Engine, definition: &str, key: &str) -> SagaId {
    let order = order_of(engine, definition, key).await;
    match insist(engine, order).await.unwrap() {
        StartedSaga::New { saga, .. } => saga,
        StartedSaga::Existing(row) => row.saga,
    }
}

/// The answer of an approver, as the request with this id.
pub(crate) async fn approval(engine: &Engine, request_id: &str, json: &str) -> StepSignal {
    let definition = engine.definition(PATIENT, 0).await.unwrap();
    let signal = definition.signals().next().unwrap();
    let payload = signal.encode_json(json).unwrap();
    let (actor, reason) = (String::new(), String::new());
    StepSignal {
        step: signal.step,
        request_id: request_id.to_owned(),
        payload,
        actor,
        reason,
        expected_version: 0,
    }
}

/// Gives a signal as a client does: asks again, as the same request, where the log is slow.
pub(crate) async fn insist_on(
    engine: &Engine,
    saga: SagaId,
    signal: &StepSignal,
) -> Result<Signalled, SignalError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match engine.signal(saga, signal.clone()).await {
            Err(SignalError::Reach(ReachError::Append(_) | ReachError::Contended))
                if Instant::now() < deadline =>
            {
                tokio::task::yield_now().await;
            }
            answer => return answer,
        }
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
    let deadline = Instant::now() + 3 * PATIENCE; // Slow is told from never.
    loop {
        let snapshot = engine.snapshot(saga).await.unwrap();
        if holds(&snapshot) {
            return snapshot;
        }
        assert!(Instant::now() < deadline, "it never came to that: {:#?}", snapshot.state);
        // Whoever looks all the time takes the processors from what is waited for.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
