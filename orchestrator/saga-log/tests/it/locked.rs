//! A row that somebody else holds locked: a person's open session, a tool.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use saga_log::conformance::sample::{append_ids, running, saga, start, step_to, write_new};
use saga_log::{Log, LogLimits, OpenOptions, StoreError, Written};
use sqlx::Executor;
use tokio::time::timeout;

use crate::database::TestDatabase;

const MIGRATE: OpenOptions =
    OpenOptions { migrate: true, allow_insecure: false, readers_max: 2, watchdog_ms: 30_000 };

/// Long enough for what does not wait for the lock, and nothing ever frees it by itself.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_locked_row_stops_one_saga() {
    const SAGAS: u64 = 40;
    const LOCKED: u64 = 17;
    let database = TestDatabase::create().await;
    let store = saga_log::open(&database.url, MIGRATE).await.unwrap();
    let starts: Vec<_> = (0..SAGAS).map(|n| start(n, running(None))).collect();
    write_new(&*store, &starts).await;

    let mut person = database.connect().await;
    person.execute("begin").await.unwrap();
    let lock = "/* lock */ select saga_id from saga where saga_id = $1 for update";
    let found = sqlx::query(lock).bind(saga(LOCKED).0).fetch_optional(&mut person).await.unwrap();
    assert!(found.is_some(), "the row is locked");

    let alone = store.write(&[step_to(LOCKED, 2, running(None))]).await.unwrap_err();
    let StoreError::Locked { by, .. } = &alone else { panic!("{alone:?}") };
    assert!(by.contains("process") && by.contains("open since"), "who it is: {by}");

    let log = Log::start(Arc::clone(&store), LogLimits::default());
    let held = tokio::spawn({
        let log = log.clone();
        async move { log.append(step_to(LOCKED, 2, running(None))).await }
    });
    let others = (0..SAGAS).filter(|n| *n != LOCKED);
    let appends = others.map(|n| log.append(step_to(n, 2, running(None))));
    let written = timeout(PATIENCE, join_all(appends)).await.expect("others do not wait");
    assert!(written.iter().all(|written| matches!(written, Ok(Written::Done))), "{written:?}");
    assert!(*log.available().borrow(), "the log can be written");
    assert!(!held.is_finished(), "its saga waits");

    person.execute("rollback").await.unwrap();
    let held = timeout(PATIENCE, held).await.expect("it is tried again").unwrap();
    assert_eq!(held.unwrap(), Written::Done);
    assert_eq!(append_ids(&*store, LOCKED).await.len(), 2);
    log.close().await;
}
