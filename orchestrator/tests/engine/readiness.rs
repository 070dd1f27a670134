//! Whether a node says that sagas can be started on it.

use std::time::{Duration, Instant};

use saga_log::OpenOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{
    script::Scripted,
    stores::{PATIENCE, engine, once, postgres_database, start},
};

/// A demoted primary, or a disk that is full: nothing can be written, and nobody tries to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_log_cannot_be_written_is_not_ready_until_it_can() {
    let url = postgres_database().await;
    let options = OpenOptions { migrate: true, ..OpenOptions::default() };
    let store = saga_log::open(&url, options).await.unwrap();
    let node = engine(store, Scripted::new(&[])).await;
    let until = async |ready: bool| {
        let deadline = Instant::now() + PATIENCE;
        while node.is_ready() != ready {
            assert!(Instant::now() < deadline, "ready: {}", node.is_ready());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    until(true).await;

    let mut admin = PgConnection::connect(&url).await.unwrap();
    let (_, name) = url.rsplit_once('/').unwrap();
    let set = async |admin: &mut PgConnection, how: &str| {
        let set = format!(
            "begin read write; alter database {name} {how} default_transaction_read_only {}; commit;
            /* set */ select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()",
            if how == "set" { "= on" } else { "" },
        );
        sqlx::raw_sql(AssertSqlSafe(set)).execute(admin).await.unwrap();
    };
    set(&mut admin, "set").await;
    until(false).await;
    let why = node.unready().unwrap();
    assert!(why.starts_with("the log "), "{why}");
    set(&mut admin, "reset").await;
    until(true).await;
    let saga = start(&node, "key").await;
    once(&node, saga, |snapshot| snapshot.state.ended().is_some()).await;
}
