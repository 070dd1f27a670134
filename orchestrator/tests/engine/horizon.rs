//! How far participants are told that they may forget.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use orchestrator::{
    engine::{Engine, Heard, HeardMark, Horizon, Limits},
    participants::{Asking, CallRequest, Caller},
};
use saga_core::{OperationId, Outcome, Resolution};
use saga_log::{MemoryStore, Store};
use uuid::Uuid;

use super::{
    script::Scripted,
    stores::{PATIENCE, PATIENT, approval, engine_with, insist_on, start_of},
};

const KEEP_FOR_MS: u64 = 5_000;

/// Participants that remember what they are told.
struct Keepers {
    scripted: Arc<Scripted>,
    heard: Heard,
    told: Mutex<Vec<(String, Horizon)>>,
}

impl Keepers {
    fn who_heard(heard: Heard) -> Arc<Self> {
        Arc::new(Self { scripted: Scripted::new(&[]), heard, told: Mutex::default() })
    }
}

#[async_trait]
impl Caller for Keepers {
    async fn call(&self, request: CallRequest<'_>) -> Outcome {
        self.scripted.call(request).await
    }

    async fn resolve(&self, who: &str, operation: OperationId, asking: Asking) -> Resolution {
        self.scripted.resolve(who, operation, asking).await
    }

    async fn heard_mark(&self, _: &str, _: Uuid, _: Duration) -> Heard {
        self.heard
    }

    async fn tell_horizon(&self, participant: &str, horizon: Horizon, _: Duration) -> bool {
        self.told.lock().unwrap().push((participant.to_owned(), horizon));
        true
    }

    fn participants(&self) -> Vec<String> {
        ["inventory", "payment"].map(str::to_owned).to_vec()
    }
}

async fn node(store: &Arc<dyn Store>, who: &Arc<Keepers>) -> Engine {
    let limits = Limits { heartbeat_ms: 10, keep_for_ms: KEEP_FOR_MS, ..Limits::default() };
    engine_with(Arc::clone(store), Arc::clone(who), limits).await
}

async fn until(holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + 3 * PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "it never came to that");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn the_horizon_stays_behind_the_oldest_open_saga_by_what_is_kept() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let who = Keepers::who_heard(Heard::Nothing);
    let engine = node(&store, &who).await;
    let saga = start_of(&engine, PATIENT, "waits").await;
    let started_at_ms = store.saga(saga).await.unwrap().unwrap().started_at_ms;
    // However far the log is by now.
    until(async || started_at_ms + 20 < engine.log_mark().at_ms).await;
    let horizon = engine.tell_horizon().await.unwrap().unwrap();
    let log_id = engine.log_mark().log_id;
    assert_eq!(horizon, Horizon { log_id, at_ms: started_at_ms - KEEP_FOR_MS });
    let told = who.told.lock().unwrap().clone();
    assert_eq!(told, [("inventory".to_owned(), horizon), ("payment".to_owned(), horizon)]);

    // With the last open saga it goes on, and never ahead of the log's own mark.
    let no = approval(&engine, "r-1", r#"{ "approved": false }"#).await;
    insist_on(&engine, saga, &no).await.unwrap();
    until(async || store.oldest_open_started_at_ms().await.unwrap().is_none()).await;
    until(async || started_at_ms + 100 < engine.log_mark().at_ms).await;
    let later = engine.tell_horizon().await.unwrap().unwrap();
    assert!(horizon.at_ms < later.at_ms, "{horizon:?} {later:?}");
    assert!(later.at_ms + KEEP_FOR_MS <= engine.log_mark().at_ms);
}

/// What a restored log does not know any more may be open in it.
#[tokio::test]
async fn nobody_is_told_while_the_log_has_gone_back() {
    let memory = MemoryStore::default();
    memory.mark(1_000_000).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(memory);
    let who = Keepers::who_heard(Heard::Mark(HeardMark { epoch: 1, at_ms: 9_000_000 }));
    let engine = node(&store, &who).await;
    assert!(engine.went_back().is_some());
    assert_eq!(engine.tell_horizon().await.unwrap(), None);
    assert_eq!(who.told.lock().unwrap().len(), 0);
}
