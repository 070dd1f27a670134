//! A database that another one has taken the place of, and who notices it.

use saga_log::conformance::sample::{running, start, step};
use saga_log::{Log, LogLimits, OpenOptions, Written};
use sqlx::Executor;
use tokio::time::{Duration, Instant};

use crate::database::TestDatabase;

/// As another node does that has heard of the loss from participants, and has not committed.
const BEGIN_EPOCH: &str = "/* begin_epoch */
    begin;
    insert into log_epoch (epoch, began_at_ms, actor, reason, mark_at_ms, behind_ms)
    select max(epoch) + 1, 1, 'another', 'heard of by participants', 0, 0 from log_epoch";

/// The log was last written on another timeline, and the connection that knew of it is gone.
const FAIL_OVER: &str = "/* fail_over */
    update log_identity set timeline = timeline - 1;
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()";

const WAITS: &str = "/* waits */
    select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_that_another_begins_while_we_connect_refuses_no_row() {
    let database = TestDatabase::create().await;
    let options = OpenOptions { migrate: true, ..OpenOptions::default() };
    let store = saga_log::open(&database.url, options).await.unwrap();
    let log = Log::start(store.clone(), LogLimits { delay_first_ms: 1, ..LogLimits::default() });
    assert_eq!(log.append(start(1, running(None))).await.unwrap(), Written::Done);
    database.connect().await.execute(sqlx::raw_sql(FAIL_OVER)).await.unwrap();
    let (mut another, mut watcher) = (database.connect().await, database.connect().await);
    another.execute(sqlx::raw_sql(BEGIN_EPOCH)).await.unwrap();

    let starting = tokio::spawn(async move {
        (log.append(start(2, running(None))).await, log.append(step(1, 2)).await)
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    while sqlx::query_scalar::<_, i64>(WAITS).fetch_one(&mut watcher).await.unwrap() == 0 {
        assert!(Instant::now() < deadline, "nobody came to wait for the other's epoch");
        tokio::task::yield_now().await;
    }
    another.execute("commit").await.unwrap();
    let (started, stepped) = starting.await.unwrap();
    assert_eq!(started.unwrap(), Written::Done);
    // It was decided before anybody knew of the loss.
    assert_eq!(stepped.unwrap(), Written::Missing);
    let actors: Vec<String> =
        store.epochs().await.unwrap().into_iter().map(|epoch| epoch.actor).collect();
    assert_eq!(actors[1..], ["another", "amends"], "each noticed it for itself");
}
