//! Clocks that jump while sagas wait (T2): by seconds, hours and years, forth and back, for
//! good and for three seconds, with the process going on and across a restart. They decide
//! when, within bounds, and never what.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use orchestrator::{
    clock::{Clock, RuntimeClock},
    definition::ServedTypes,
    descriptors::Descriptors,
    engine::{Engine, EngineParts, Limits},
};
use saga_core::{
    Direction::{Backward, Forward},
    SagaId,
};
use saga_log::{Log, LogLimits, MemoryStore, Store};
use tokio::time::Instant;

use super::{
    script::{Fate, Scripted},
    stores::{SAGA, order_of},
};

const SECOND_MS: i64 = 1_000;
const HOUR_MS: i64 = 3_600 * SECOND_MS;
const YEARS_MS: i64 = 10 * 365 * 24 * HOUR_MS;

/// How long each of the waits takes.
const SPAN: Duration = Duration::from_secs(1_800);

/// A wall clock that can be set.
#[derive(Debug)]
struct Wall {
    clock: RuntimeClock,
    ahead_ms: AtomicI64,
}

impl Clock for Wall {
    fn now_ms(&self) -> u64 {
        self.clock.now_ms().saturating_add_signed(self.ahead_ms.load(Ordering::SeqCst))
    }
}

/// What waits, the calls that go wrong for it, and its definition.
type Wait = (&'static str, Vec<(&'static str, saga_core::Direction, u32, Fate)>, String);

fn waits() -> Vec<Wait> {
    let slow = SAGA.replace(
        "first: 10ms, factor: 2, max: 20ms",
        "first: 30m, factor: 1, max: 30m, jitter: none",
    );
    let slow = slow.replace("deadline: 1m\n", "");
    let undo = slow.replace(
        "Release, request: { reserve_op_id: op(\"reserve\") }, timeout: 1s }",
        "Release, request: { reserve_op_id: op(\"reserve\") }, timeout: 1s, \
         retry: { first: 30m, factor: 1, max: 30m, jitter: none } }",
    );
    let named = |name: &str, text: &str| {
        text.replace("name: test\n", &format!("name: {name}\n"))
            .replace("30m }", "30m, jitter: none }")
    };
    let waiting = |name: &str, wait: &str, deadline: &str| {
        format!(
            "kind: Saga\nname: {name}\nversion: 1\ninput: shop.order.v1.PlaceOrderInput\n{deadline}\
             steps:\n  - name: approval\n    wait: {{ signal: approval, type: \
             shop.order.v1.RefundApproval{wait} }}\n  - name: insert\n    pivot: true\n    action: \
             {{ call: order/shop.order.v1.OrderService/InsertOrder, request: {{ order_no: \
             input.order_no }}, timeout: 1s }}\n"
        )
    };
    vec![
        ("pause", vec![("pay", Forward, 1, Fate::LoseRequest)], named("pause", &slow)),
        (
            "undo",
            vec![("pay", Forward, 1, Fate::Refuse), ("reserve", Backward, 1, Fate::LoseRequest)],
            named("undo", &undo),
        ),
        ("timer", vec![], waiting("timer", ", timeout: 30m", "")),
        ("deadline", vec![], waiting("deadline", "", "deadline: 30m\n")),
    ]
}

async fn node(
    store: &MemoryStore,
    wall: &Arc<Wall>,
    caller: &Arc<Scripted>,
    limits: Limits,
) -> Engine {
    let types = ServedTypes::read_set(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
    let store: Arc<dyn Store> = Arc::new(store.clone());
    let parts = EngineParts {
        log: Log::start(store, LogLimits::default()),
        clock: Arc::<Wall>::clone(wall),
        caller: Arc::<Scripted>::clone(caller),
        descriptors: Descriptors::Fixed(Arc::new(types)),
        limits,
    };
    Engine::start(parts).await.unwrap()
}

/// How the clock is set, and what else happens.
#[derive(Clone, Copy, Debug)]
struct Jump {
    by_ms: i64,
    /// Set right after three seconds.
    is_short: bool,
    restart: bool,
    /// Whether what waits leaves the memory.
    parks: bool,
}

/// Runs one wait under one jump. Answers how long it took.
async fn takes(wait: &Wait, jump: Jump) -> Duration {
    let (name, script, yaml) = wait;
    let store = MemoryStore::default();
    let wall = Arc::new(Wall {
        clock: RuntimeClock::starting_at(1_800_000_000_000),
        ahead_ms: AtomicI64::new(0),
    });
    let caller = Scripted::new(script);
    let park_after_ms = if jump.parks { 100 } else { 3_600_000 };
    let limits = Limits { park_after_ms, claim_ms: 500, ..Limits::default() };
    let mut engine = node(&store, &wall, &caller, limits).await;
    engine.register(yaml, "wait.yaml").await.unwrap();
    let began = Instant::now();
    let started = engine.start_saga(order_of(&engine, name, "key").await).await.unwrap();
    let orchestrator::engine::StartedSaga::New { saga, .. } = started else {
        panic!("{started:?}")
    };

    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!has_ended(&store, saga).await, "{name}: the wait is under way");
    wall.ahead_ms.store(jump.by_ms, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(3)).await;
    if jump.is_short {
        wall.ahead_ms.store(0, Ordering::SeqCst);
    }
    if jump.restart {
        engine.stop(Duration::from_secs(5)).await;
        engine = node(&store, &wall, &caller, limits).await;
    }
    while !has_ended(&store, saga).await && began.elapsed() < SPAN * 4 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    engine.stop(Duration::from_secs(5)).await;
    began.elapsed()
}

/// Tells when it was started, before and behind a jump of the clock and a restart.
const STAMPED: &str = r#"
kind: Saga
name: stamped
version: 1
input: shop.order.v1.PlaceOrderInput
steps:
  - name: first
    pivot: true
    action: { call: order/shop.order.v1.OrderService/InsertOrder, request: { order_no: 'saga.namespace + string(int(saga.started_at))' }, timeout: 1s }
  - name: last
    action: { call: order/shop.order.v1.OrderService/InsertOrder, request: { order_no: 'saga.namespace + string(int(saga.started_at))' }, timeout: 1s }
    retry: { first: 1h, factor: 1, max: 1h, jitter: none }
"#;

#[tokio::test(start_paused = true)]
async fn a_saga_tells_everybody_the_same_start_whatever_the_clock_does() {
    let store = MemoryStore::default();
    let wall = Arc::new(Wall {
        clock: RuntimeClock::starting_at(1_800_000_000_000),
        ahead_ms: AtomicI64::new(0),
    });
    // The request of `last` is rendered for its second attempt again: the first never left.
    let caller = Scripted::new(&[("last", Forward, 1, Fate::NotSent)]);
    let limits = Limits { park_after_ms: 100, claim_ms: 500, ..Limits::default() };
    let engine = node(&store, &wall, &caller, limits).await;
    engine.register(STAMPED, "stamped.yaml").await.unwrap();
    let mut order = order_of(&engine, "stamped", "key").await;
    order.namespace = "eu/".to_owned();
    let started = engine.start_saga(order).await.unwrap();
    let orchestrator::engine::StartedSaga::New { saga, .. } = started else {
        panic!("{started:?}")
    };
    tokio::time::sleep(Duration::from_secs(60)).await;
    wall.ahead_ms.store(-YEARS_MS, Ordering::SeqCst);
    engine.stop(Duration::from_secs(5)).await;
    let engine = node(&store, &wall, &caller, limits).await;
    while !has_ended(&store, saga).await {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    engine.stop(Duration::from_secs(5)).await;

    let mut told = Vec::new();
    for row in store.load(saga, 0, 100).await.unwrap() {
        for event in saga_core::encoding::decode(&row.events).unwrap() {
            if let saga_core::Event::Intended { step, request: Some(request), .. } = event {
                told.push((step.0, String::from_utf8_lossy(&request[2..]).into_owned()));
            }
        }
    }
    let start = "eu/1800000000".to_owned();
    assert_eq!(told, [(0, start.clone()), (1, start)]);
}

async fn has_ended(store: &MemoryStore, saga: SagaId) -> bool {
    let row = store.saga(saga).await.unwrap().unwrap();
    row.standing.ended_at_ms.is_some()
}

/// Of a clock that agrees at the end of a restart nobody can know that it does not.
fn is_known(jump: Jump) -> bool {
    !jump.restart || jump.is_short || jump.by_ms <= 0
}

#[tokio::test(start_paused = true)]
async fn a_span_takes_as_long_as_it_should_however_clocks_jump() {
    let mut ran = 0;
    for wait in waits() {
        for by_ms in [3 * SECOND_MS, HOUR_MS, YEARS_MS].into_iter().flat_map(|by| [by, -by]) {
            for (is_short, restart, parks) in [
                (false, false, false),
                (false, false, true),
                (true, false, false),
                (true, false, true),
                (true, true, true),
                (false, true, true),
            ] {
                let jump = Jump { by_ms, is_short, restart, parks };
                let took = takes(&wait, jump).await;
                // Time may run by a tenth slower or faster; a restart, or a clock that went back
                // by years, may begin a span anew.
                let anew = if restart || by_ms == -YEARS_MS {
                    Duration::from_secs(130)
                } else {
                    Duration::ZERO
                };
                let least = if is_known(jump) { SPAN.mul_f64(0.9) } else { Duration::ZERO };
                let most = SPAN.mul_f64(1.12) + anew;
                let name = wait.0;
                assert!(least <= took && took <= most, "{name}, {jump:?}: took {took:?}");
                ran += 1;
            }
        }
    }
    assert_eq!(ran, 4 * 6 * 6);
}
