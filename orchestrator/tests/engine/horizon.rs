//! What participants are told that they may forget.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use orchestrator::{
    engine::{Advanced, Engine, Limits},
    participants::{CallRequest, Caller, OperationOf},
};
use saga_core::{NodeId, Outcome, Resolution, SagaId};
use saga_log::{Append, IndexChange, NewSaga, Standing, Status, Store};
use uuid::Uuid;

use super::{
    script::Scripted,
    stores::{Fresh, KINDS, PATIENCE, engine_with},
};

const DAY_MS: u64 = 24 * 3_600_000;

/// Participants that keep what they were told, with the log that told it.
#[derive(Debug)]
struct Told {
    scripted: Arc<Scripted>,
    told: Mutex<BTreeMap<String, (Uuid, u64)>>,
}

#[async_trait]
impl Caller for Told {
    async fn call(&self, request: CallRequest<'_>) -> Outcome {
        self.scripted.call(request).await
    }

    async fn resolve(&self, who: &str, operation: OperationOf, timeout: Duration) -> Resolution {
        self.scripted.resolve(who, operation, timeout).await
    }

    async fn advance_horizon(&self, who: &str, log: Uuid, at_ms: u64, _: Duration) -> Advanced {
        if who == "of before" {
            return Advanced::KeepsAll;
        }
        self.told.lock().unwrap().insert(who.to_owned(), (log, at_ms));
        Advanced::To { at_ms }
    }

    fn participants(&self) -> Vec<String> {
        ["inventory", "of before", "payment"].map(str::to_owned).to_vec()
    }
}

fn now_ms() -> u64 {
    u64::try_from(Uuid::now_v7().as_u128() >> 80).unwrap()
}

/// A saga of `days` ago that ended so many days ago, or waits for a person.
fn saga(number: u128, started_days: u64, ended_days: Option<u64>) -> Append {
    let ago = |days: u64| now_ms() - days * DAY_MS;
    let standing = Standing {
        status: if ended_days.is_some() { Status::Completed } else { Status::Running },
        wake_at_ms: None,
        waiting_on: ended_days.is_none().then(|| "operator".to_owned()),
        rank: None,
        owner: None,
        stuck: None,
        turned_back: None,
        ended_at_ms: ended_days.map(ago),
        cause: None,
    };
    let new = NewSaga {
        namespace: String::new(),
        business_key: format!("order-{number}"),
        definition: "test".to_owned(),
        definition_version: 1,
        request_hash: [7; 32],
        started_at_ms: ago(started_days),
        labels: Vec::new(),
        standing,
    };
    Append {
        saga: SagaId(Uuid::from_u128(number)),
        version: 1,
        after: None,
        writer: NodeId(Uuid::from_u128(1)),
        append_id: Uuid::from_u128(number),
        log_epoch: 0,
        at_ms: 1,
        events: Bytes::from_static(b"events"),
        index: IndexChange::Create(Box::new(new)),
    }
}

async fn node(store: &Arc<dyn Store>, told: &Arc<Told>) -> Engine {
    let limits = Limits { tell_horizon_ms: 20, keep_for_ms: 35 * DAY_MS, ..Limits::default() };
    engine_with(Arc::clone(store), Arc::clone(told), limits).await
}

/// How many days ago the horizon is that a new node tells of these sagas.
async fn horizon_days(store: &Arc<dyn Store>) -> u64 {
    let (scripted, told) = (Scripted::new(&[]), Mutex::default());
    let told = Arc::new(Told { scripted, told });
    let engine = node(store, &told).await;
    let log = store.identity().await.unwrap().log_id;
    let deadline = Instant::now() + PATIENCE;
    while told.told.lock().unwrap().len() < 2 {
        assert!(Instant::now() < deadline, "nobody was told");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    engine.stop(Duration::ZERO).await;
    let told = told.told.lock().unwrap();
    assert_eq!(told["inventory"], told["payment"]);
    assert_eq!(told["inventory"].0, log);
    // A moment has passed since.
    (now_ms() - told["inventory"].1 + DAY_MS / 2) / DAY_MS
}

/// A day more, as clocks may be apart.
#[tokio::test]
async fn a_horizon_stays_behind_what_is_open_or_may_be_open_again() {
    for kind in KINDS {
        let fresh = Fresh::open(kind).await;
        let store = &fresh.store;
        let cases = [
            ("there are none", vec![], 36),
            ("ended long ago", vec![saga(2, 90, Some(80)), saga(3, 60, Some(50))], 36),
            ("young", vec![saga(50, 1, Some(0)), saga(51, 1, None)], 36),
            ("open, by an id that is younger", vec![saga(60, 40, None)], 41),
            ("ended since the oldest backup", vec![saga(4, 70, Some(34)), saga(5, 1, None)], 71),
            ("open for years", vec![saga(6, 1_000, None)], 1_001),
        ];
        for (what, sagas, days) in cases {
            store.write(&sagas).await.unwrap();
            assert_eq!(horizon_days(store).await, days, "{what} {kind:?}");
        }
    }
}

/// Many more than are looked at in one go.
#[tokio::test]
async fn sagas_that_are_over_are_passed_by() {
    let fresh = Fresh::open(KINDS[0]).await;
    for start in [1_u128, 1_001, 2_001] {
        let over: Vec<Append> = (start..start + 1_000).map(|n| saga(n, 90, Some(80))).collect();
        fresh.store.write(&over).await.unwrap();
    }
    fresh.store.write(&[saga(5_000, 50, Some(2))]).await.unwrap();
    assert_eq!(horizon_days(&fresh.store).await, 51);
}
