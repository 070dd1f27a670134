//! The writer through outages of a database, as a store that goes wrong at will shows them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::join_all;
use saga_log::conformance::sample::{
    append_ids, ended, rival, running, standing, start, step, step_to,
};
use saga_log::conformance::writing::{Between, Fate};
use saga_log::{Append, AppendError, Log, LogLimits, MemoryStore, Status, Store, Written};
use tokio::sync::watch;
use tokio::time::timeout;

/// Fast enough for a test that goes through many outages.
fn limits() -> LogLimits {
    LogLimits { delay_first_ms: 1, delay_max_ms: 2, ..LogLimits::default() }
}

async fn until(mut seen: watch::Receiver<bool>, wanted: bool) {
    let changed = seen.wait_for(|now| *now == wanted);
    timeout(Duration::from_secs(10), changed).await.expect("in time").expect("the writer lives");
}

/// Runs 40 sagas of 5 appends at once over a store whose writes go wrong in the order of
/// `fates`, again and again, and checks that nothing is lost and nothing is written twice.
async fn check(fates: &'static [Fate]) {
    const SAGAS: u64 = 40;
    const VERSIONS: u64 = 5;
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let writes = AtomicUsize::new(0);
    let injected: Arc<Mutex<HashMap<&str, usize>>> = Arc::default();
    let counted = injected.clone();
    let fate = move |_: &[Append]| {
        let fate = fates[writes.fetch_add(1, Ordering::Relaxed) % fates.len()];
        *counted.lock().unwrap().entry(name(fate)).or_default() += 1;
        fate
    };
    let log = Log::start(Arc::new(Between { inner: memory.clone(), fate }), limits());
    let sagas = (0..SAGAS).map(async |n| {
        let mut ids = Vec::new();
        for version in 1..=VERSIONS {
            let append = match version {
                1 => start(n, running(None)),
                VERSIONS => step_to(n, version, ended(Status::Completed)),
                _ => step(n, version),
            };
            ids.push(append.append_id);
            assert_eq!(log.append(append).await.unwrap(), Written::Done);
        }
        ids
    });
    let written = join_all(sagas).await;
    for (n, ids) in (0..).zip(written) {
        assert_eq!(append_ids(&*memory, n).await, ids);
        assert_eq!(standing(&*memory, n).await, ended(Status::Completed));
    }
    until(log.available(), true).await;
    log.close().await;
    for fate in fates {
        assert!(injected.lock().unwrap()[name(*fate)] > 0, "{fate:?} never happened");
    }
}

fn name(fate: Fate) -> &'static str {
    match fate {
        Fate::Passes => "passes",
        Fate::Rejected => "rejected",
        Fate::LostBefore => "lost before",
        Fate::LostAfter => "lost after",
    }
}

#[tokio::test]
async fn nothing_is_lost_while_the_database_is_away() {
    check(&[Fate::Passes, Fate::LostBefore, Fate::LostBefore, Fate::LostBefore]).await;
}

#[tokio::test]
async fn nothing_is_written_twice_when_commits_are_not_answered() {
    check(&[Fate::LostAfter, Fate::LostAfter, Fate::Passes]).await;
}

#[tokio::test]
async fn outages_of_all_kinds_in_turn_are_survived() {
    check(&[Fate::LostBefore, Fate::LostAfter, Fate::Passes, Fate::LostAfter, Fate::Passes]).await;
}

#[tokio::test]
async fn another_writers_row_in_an_unknown_commit_is_not_taken_for_ours() {
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::default());
    memory.write(&[start(1, running(None))]).await.unwrap();
    let first = AtomicBool::new(true);
    let behind = memory.clone();
    let log = Log::start(
        Arc::new(Between {
            inner: memory.clone(),
            fate: move |_: &[Append]| {
                if first.swap(false, Ordering::Relaxed) {
                    // While our write is lost, another node writes the same version.
                    let theirs = [rival(step(1, 2))];
                    let written = behind.write(&theirs).now_or_never().unwrap().unwrap();
                    assert_eq!(written, [Written::Done]);
                    return Fate::LostBefore;
                }
                Fate::Passes
            },
        }),
        limits(),
    );
    assert_eq!(log.append(step(1, 2)).await.unwrap(), Written::Superseded);
    log.close().await;
}

/// A store that is away until it is told otherwise, and the log on it.
fn away(limits: LogLimits) -> (Arc<AtomicBool>, Arc<dyn Store>, Log) {
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let away = Arc::new(AtomicBool::new(true));
    let asked = away.clone();
    let fate = move |_: &[Append]| {
        if asked.load(Ordering::Relaxed) { Fate::LostBefore } else { Fate::Passes }
    };
    let log = Log::start(Arc::new(Between { inner: memory.clone(), fate }), limits);
    (away, memory, log)
}

#[tokio::test]
async fn new_sagas_are_refused_while_the_database_is_away_and_accepted_ones_are_kept() {
    let (away, memory, log) = away(limits());
    let accepted = tokio::spawn({
        let log = log.clone();
        async move { log.try_append(start(1, running(None))).await }
    });
    until(log.available(), false).await;
    let refused = log.try_append(start(2, running(None))).await;
    assert!(matches!(refused, Err(AppendError::Unavailable)), "{refused:?}");
    away.store(false, Ordering::Relaxed);
    assert_eq!(accepted.await.unwrap().unwrap(), Written::Done);
    until(log.available(), true).await;
    assert_eq!(log.try_append(start(2, running(None))).await.unwrap(), Written::Done);
    log.close().await;
    assert_eq!(append_ids(&*memory, 1).await.len(), 1);
}

#[tokio::test]
async fn a_full_queue_refuses_new_sagas_and_still_takes_steps() {
    let limits = LogLimits {
        queue_rows_max: 8,
        admitted_rows_max: 4,
        batch_rows_max: 1,
        delay_first_ms: 1,
        ..limits()
    };
    let (away, memory, log) = away(limits);
    let mut waiting = Vec::new();
    // One is being written; then four wait.
    waiting.push(tokio::spawn({
        let log = log.clone();
        async move { log.append(start(0, running(None))).await }
    }));
    until(log.available(), false).await;
    for n in 1..=4 {
        let mut append = Box::pin({
            let log = log.clone();
            async move { log.append(start(n, running(None))).await }
        });
        assert!(futures::poll!(&mut append).is_pending());
        waiting.push(tokio::spawn(append));
    }
    // The admission looks at availability first; a slow database would leave it true.
    let refused = log.try_append(start(9, running(None))).await;
    assert!(matches!(refused, Err(AppendError::Unavailable)), "{refused:?}");
    away.store(false, Ordering::Relaxed);
    for append in waiting {
        assert_eq!(append.await.unwrap().unwrap(), Written::Done);
    }
    log.close().await;
    assert_eq!(append_ids(&*memory, 4).await.len(), 1);
}

#[tokio::test]
async fn new_sagas_are_refused_when_too_much_waits() {
    let by_rows = LogLimits { admitted_rows_max: 3, ..limits() };
    let bytes = u32::try_from(start(0, running(None)).events.len()).unwrap();
    let by_bytes = LogLimits { row_bytes_max: bytes, queue_bytes_max: 3 * bytes, ..limits() };
    for limits in [by_rows, by_bytes] {
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let log = Log::start(memory.clone(), limits);
        // The writer runs on this thread, so nothing is taken out of the queue until we wait.
        let mut queued = Vec::new();
        for n in 0..3 {
            let mut append = Box::pin(log.try_append(start(n, running(None))));
            assert!(futures::poll!(&mut append).is_pending());
            queued.push(append);
        }
        let refused = log.try_append(start(3, running(None))).await;
        assert!(matches!(refused, Err(AppendError::Overloaded { .. })), "{refused:?}");
        // A step waits for room, and gets it.
        let waits = log.append(start(3, running(None)));
        let (steps, waited) = tokio::join!(join_all(queued), waits);
        assert_eq!(waited.unwrap(), Written::Done);
        assert!(steps.into_iter().all(|it| it.unwrap() == Written::Done));
        log.close().await;
    }
}

#[tokio::test]
async fn too_large_and_impossible_appends_never_reach_the_queue() {
    let log = Log::start(Arc::new(MemoryStore::default()), limits());
    let row_bytes_max = usize::try_from(LogLimits::default().row_bytes_max).unwrap();
    let with_bytes =
        |bytes| Append { events: Bytes::from(vec![0; bytes]), ..start(1, running(None)) };
    let refused = log.append(with_bytes(row_bytes_max + 1)).await;
    let Err(AppendError::PayloadTooLarge { bytes, bytes_max }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((bytes, bytes_max), (row_bytes_max + 1, row_bytes_max));
    let refused = log.append(step(1, 0)).await;
    assert!(matches!(refused, Err(AppendError::Rejected { .. })), "{refused:?}");
    assert_eq!(log.append(with_bytes(row_bytes_max)).await.unwrap(), Written::Done);
    log.close().await;
}

#[tokio::test]
async fn batches_keep_to_their_limits() {
    let sizes: Arc<Mutex<Vec<(usize, usize)>>> = Arc::default();
    let seen = sizes.clone();
    let fate = move |batch: &[Append]| {
        let bytes = batch.iter().map(|append| append.events.len()).sum();
        seen.lock().unwrap().push((batch.len(), bytes));
        Fate::Passes
    };
    let store = Arc::new(Between { inner: Arc::new(MemoryStore::default()), fate });
    let limits = LogLimits { batch_rows_max: 10, batch_bytes_max: 1_000, ..limits() };
    let log = Log::start(store, limits);
    let small = (0..30).map(|n| (n, 10));
    let large = (30..60).map(|n| (n, 400));
    let appends = small.chain(large).chain([(60, 5_000)]).map(|(n, bytes)| {
        log.append(Append { events: Bytes::from(vec![0; bytes]), ..start(n, running(None)) })
    });
    for written in join_all(appends).await {
        assert_eq!(written.unwrap(), Written::Done);
    }
    log.close().await;
    let sizes = sizes.lock().unwrap();
    assert!(sizes.iter().all(|(rows, _)| *rows <= 10), "{sizes:?}");
    assert!(sizes.iter().all(|(rows, bytes)| *bytes <= 1_000 || *rows == 1), "{sizes:?}");
    assert!(sizes.contains(&(1, 5_000)) && sizes.contains(&(10, 100)), "{sizes:?}");
}

#[tokio::test]
async fn closing_writes_what_was_queued_and_refuses_the_rest() {
    let (away, memory, log) = away(limits());
    let queued = tokio::spawn({
        let log = log.clone();
        async move { join_all((0..50).map(|n| log.append(start(n, running(None))))).await }
    });
    until(log.available(), false).await;
    let mut closing = Box::pin(log.close());
    assert!(futures::poll!(&mut closing).is_pending());
    away.store(false, Ordering::Relaxed);
    closing.await;
    log.close().await;
    for written in queued.await.unwrap() {
        assert_eq!(written.unwrap(), Written::Done);
    }
    assert_eq!(append_ids(&*memory, 49).await.len(), 1);
    let refused = log.append(start(99, running(None))).await;
    assert!(matches!(refused, Err(AppendError::Closed)), "{refused:?}");
}
