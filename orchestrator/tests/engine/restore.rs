//! A log that went back in time as a whole: restored from a backup, or failed over. What
//! participants have heard of it tells how far.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use orchestrator::{
    engine::{AcknowledgeError, Engine, Heard, HeardMark, Limits, StartError},
    participants::{CallRequest, Caller, OperationOf},
};
use saga_core::{Outcome, Resolution};
use saga_log::{Asked, MemoryStore, Store};
use uuid::Uuid;

use super::{
    script::Scripted,
    stores::{PATIENCE, engine_with, order, start},
};

/// Participants that have heard of the log what the test says.
struct Listeners {
    scripted: Arc<Scripted>,
    heard: Mutex<BTreeMap<&'static str, Heard>>,
}

impl Listeners {
    fn who<const N: usize>(heard: [(&'static str, Heard); N]) -> Arc<Self> {
        Arc::new(Self { scripted: Scripted::new(&[]), heard: Mutex::new(heard.into()) })
    }
}

#[async_trait]
impl Caller for Listeners {
    async fn call(&self, request: CallRequest<'_>) -> Outcome {
        self.scripted.call(request).await
    }

    async fn resolve(&self, who: &str, operation: OperationOf, timeout: Duration) -> Resolution {
        self.scripted.resolve(who, operation, timeout).await
    }

    async fn heard_mark(&self, participant: &str, _: Uuid, _: Duration) -> Heard {
        self.heard.lock().unwrap()[participant]
    }

    fn participants(&self) -> Vec<String> {
        self.heard.lock().unwrap().keys().map(|it| (*it).to_owned()).collect()
    }
}

const HOUR_MS: u64 = 3_600_000;

/// A log whose last mark is of a while ago.
async fn restored() -> (Arc<dyn Store>, u64) {
    let store = MemoryStore::default();
    let mark_at_ms = 1_000_000;
    store.mark(mark_at_ms).await.unwrap();
    (Arc::new(store), mark_at_ms)
}

fn mark(epoch: u64, at_ms: u64) -> Heard {
    Heard::Mark(HeardMark { epoch, at_ms })
}

async fn node(store: &Arc<dyn Store>, who: Arc<Listeners>) -> Engine {
    let limits = Limits { heartbeat_ms: 10, dead_after_ms: 3_600_000, ..Limits::default() };
    engine_with(Arc::clone(store), who, limits).await
}

async fn refused(engine: &Engine, key: &str) -> Option<u64> {
    let order = order(engine, key).await;
    match engine.start_saga(order).await {
        Err(StartError::WentBack { behind_ms }) => Some(behind_ms),
        Ok(_) => None,
        Err(other) => panic!("{other:?}"),
    }
}

async fn until(holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "it never came to that");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_log_that_participants_are_far_ahead_of_is_not_gone_on_with_until_it_is_acknowledged() {
    let (store, at_ms) = restored().await;
    let who = || {
        Listeners::who([
            ("inventory", mark(1, at_ms - 5)),
            ("order", Heard::Nothing),
            ("payment", mark(1, at_ms + HOUR_MS)),
        ])
    };
    let engine = node(&store, who()).await;
    let why = engine.unready().unwrap();
    assert!(why.contains("3600000 ms") && why.contains("acknowledge-restore"), "{why}");
    assert_eq!(refused(&engine, "one").await, Some(HOUR_MS));
    // Nobody forgets it by starting again.
    engine.stop(Duration::ZERO).await;
    let engine = node(&store, who()).await;
    assert_eq!(refused(&engine, "one").await, Some(HOUR_MS));

    let heard_by = engine.went_back().map(|it| it.heard_by);
    assert_eq!(heard_by.as_deref(), Some("participant payment"));
    let asked = asked("r-1", "restored the backup of 11:00");
    let other_epoch = engine.acknowledge_restore(&asked, 7, false).await;
    let moved_on = AcknowledgeError::MovedOn { expected: 7, epoch: 1 }.to_string();
    assert_eq!(other_epoch.unwrap_err().to_string(), moved_on);
    let begun = engine.acknowledge_restore(&asked, 1, false).await.unwrap();
    assert_eq!((begun.epoch, begun.behind_ms), (2, HOUR_MS));
    start(&engine, "one").await;
    // Whose answer was lost asks again, and is told the same.
    assert_eq!(engine.acknowledge_restore(&asked, 1, false).await.unwrap(), begun);
    let other = Asked { reason: "something else".to_owned(), ..asked };
    let reused = engine.acknowledge_restore(&other, 0, false).await;
    assert!(matches!(reused, Err(AcknowledgeError::RequestIdReused { epoch: 2 })), "{reused:?}");
    let again = engine
        .acknowledge_restore(&Asked { request_id: "r-2".to_owned(), ..other }, 0, false)
        .await;
    assert!(matches!(again, Err(AcknowledgeError::Nothing)), "{again:?}");
    let epochs = store.epochs().await.unwrap();
    let last = epochs.last().unwrap();
    assert_eq!((last.epoch, last.actor.as_str(), last.behind_ms), (2, "ann", HOUR_MS));
    assert_eq!(last.mark_at_ms, at_ms);

    // And once acknowledged, it stays so.
    engine.stop(Duration::ZERO).await;
    let engine = node(&store, who()).await;
    start(&engine, "two").await;
    assert!(engine.is_ready());
}

#[tokio::test]
async fn what_a_failover_loses_begins_an_epoch_and_work_goes_on() {
    let (store, at_ms) = restored().await;
    let who = Listeners::who([("payment", mark(1, at_ms + 1_500))]);
    let engine = node(&store, who).await;
    start(&engine, "one").await;
    let epochs = store.epochs().await.unwrap();
    assert_eq!(epochs.last().map(|row| (row.epoch, row.behind_ms)), Some((2, 1_500)));
}

#[tokio::test]
async fn a_log_that_nobody_is_ahead_of_is_what_it_was() {
    let (store, at_ms) = restored().await;
    let who = Listeners::who([("payment", mark(1, at_ms)), ("order", Heard::Nothing)]);
    let engine = node(&store, who).await;
    start(&engine, "one").await;
    assert_eq!(store.epochs().await.unwrap().len(), 1);
}

/// Until a participant was asked, the log is not marked: a mark of today would hide that it
/// has heard of yesterday what the log does not have.
#[tokio::test]
async fn a_participant_that_answers_late_is_heard_all_the_same() {
    for passes in [Heard::Unanswered, Heard::Refused] {
        let (store, at_ms) = restored().await;
        let who = Listeners::who([("payment", passes)]);
        let engine = node(&store, Arc::clone(&who)).await;
        start(&engine, "one").await;
        assert_eq!(store.identity().await.unwrap().mark_at_ms, at_ms);
        who.heard.lock().unwrap().insert("payment", mark(1, at_ms + HOUR_MS));
        until(async || refused(&engine, "two").await == Some(HOUR_MS)).await;
        assert!(!engine.is_ready());
    }
}

/// The others would never hear how far the log is.
#[tokio::test(start_paused = true)]
async fn a_participant_that_never_lets_us_ask_does_not_keep_the_mark_for_ever() {
    let (store, at_ms) = restored().await;
    let engine = node(&store, Listeners::who([("payment", Heard::Refused)])).await;
    start(&engine, "one").await;
    assert_eq!(store.identity().await.unwrap().mark_at_ms, at_ms);
    until(async || at_ms < store.identity().await.unwrap().mark_at_ms).await;
    assert!(engine.is_ready());
}

/// Participants that keep no marks remember nothing: a person says that the log was restored, and
/// every saga hears of it.
#[tokio::test]
async fn a_restore_that_nobody_has_noticed_is_said_by_a_person() {
    let (store, _) = restored().await;
    let engine = node(&store, Listeners::who([("payment", Heard::Nothing)])).await;
    let asked = asked("r-1", "restored from 03:00");
    let nothing = engine.acknowledge_restore(&asked, 0, false).await;
    assert!(matches!(nothing, Err(AcknowledgeError::Nothing)), "{nothing:?}");
    assert_eq!(store.identity().await.unwrap().epoch, 1);
    let begun = engine.acknowledge_restore(&asked, 1, true).await.unwrap();
    assert_eq!((begun.epoch, begun.behind_ms), (2, 0));
    assert_eq!(engine.log_mark().epoch, 2);
    // Whose answer was lost asks again, also another node.
    assert_eq!(engine.acknowledge_restore(&asked, 1, true).await.unwrap(), begun);
    let other = node(&store, Listeners::who([("payment", Heard::Nothing)])).await;
    assert_eq!(other.acknowledge_restore(&asked, 1, true).await.unwrap(), begun);
}

fn asked(request_id: &str, reason: &str) -> Asked {
    let (request_id, reason) = (request_id.to_owned(), reason.to_owned());
    Asked { request_id, actor: "ann".to_owned(), reason }
}

#[tokio::test]
async fn a_living_node_notices_that_its_marks_are_gone() {
    let (behind, _) = restored().await;
    let lost = MemoryStore::default();
    let store: Arc<dyn Store> = Arc::new(lost.clone());
    let engine = node(&store, Listeners::who([])).await;
    until(async || store.identity().await.unwrap().mark_at_ms > HOUR_MS).await;
    start(&engine, "one").await;
    lost.set_mark(behind.identity().await.unwrap().mark_at_ms);
    until(async || refused(&engine, "two").await.is_some()).await;
    assert!(!engine.is_ready());
    engine.acknowledge_restore(&asked("", "the copy of last night"), 0, false).await.unwrap();
    start(&engine, "two").await;
}

/// What the node says to participants is never later than what the log holds.
#[tokio::test]
async fn participants_hear_only_of_what_is_durable() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let engine = node(&store, Listeners::who([])).await;
    until(async || engine.log_mark().at_ms > 0).await;
    for _ in 0..50 {
        let told = engine.log_mark();
        let log = store.identity().await.unwrap();
        assert_eq!((told.log_id, told.epoch), (log.log_id, log.epoch));
        assert!(told.at_ms <= log.mark_at_ms);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
