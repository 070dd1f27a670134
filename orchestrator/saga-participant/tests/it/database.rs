//! Admission, classification of errors, and the measured traps of connection pools.

use std::{sync::Arc, time::Duration};

use saga_participant::{
    Arg, Database, Limits, OperationError, Participant, on_both_databases, schema,
    testkit::{Scratch, new_op_id, reason_of, with_op_id},
};
use tokio::{sync::Barrier, task::JoinHandle};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::counter::{Bump, Counter, SCHEMA, hold, participant};

on_both_databases!(
    s1_17_a_burst_is_refused_in_words,
    s1_17_who_waits_too_long_is_refused,
    every_kind_of_value_comes_back,
    a_callers_departure_loses_no_acknowledged_write,
    d10_a_transaction_that_swallowed_an_error_commits_nothing,
);

/// Starts a bump; `hold` keeps its transaction open.
fn start(participant: &Participant<Counter>, hold: &str) -> JoinHandle<Result<(), Status>> {
    let (participant, hold) = (participant.clone(), hold.to_owned());
    tokio::spawn(async move {
        let bump = Bump { amount: 1, hold };
        participant.apply(with_op_id(new_op_id(), bump)).await.map(drop)
    })
}

fn overloaded(status: &Status, message: &str) {
    let found = (status.code(), reason_of(status));
    assert_eq!(found, (Code::ResourceExhausted, "OVERLOADED".to_owned()));
    assert!(status.get_details_retry_info().is_some());
    assert_eq!(status.message(), message);
}

async fn s1_17_a_burst_is_refused_in_words(scratch: Scratch) {
    // Nobody is refused for having waited too long.
    let wait_max_ms = 600_000;
    let limits = Limits { connections_max: 1, waiting_max: 2, wait_max_ms, ..Limits::default() };
    schema::migrate(&scratch.connect(Limits::default()).await, &SCHEMA).await.unwrap();
    let participant = participant(scratch.connect(limits).await);
    let name = new_op_id().to_string();
    let first = start(&participant, &name);
    hold(&name).entered.notified().await;
    let mut others: Vec<_> = (0..6).map(|_| start(&participant, "")).collect();
    for _ in 0..4 {
        let next = futures::future::select_all(others);
        let (ended, _, rest) = tokio::time::timeout(Duration::from_secs(5), next).await.unwrap();
        others = rest;
        let refused = ended.unwrap().unwrap_err();
        overloaded(&refused, "overloaded: 2 transactions are waiting already");
    }
    // Those that were let in are served once there is room.
    hold(&name).release.notify_one();
    first.await.unwrap().unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
}

async fn s1_17_who_waits_too_long_is_refused(scratch: Scratch) {
    let limits =
        Limits { connections_max: 1, waiting_max: 2, wait_max_ms: 50, ..Limits::default() };
    schema::migrate(&scratch.connect(Limits::default()).await, &SCHEMA).await.unwrap();
    let participant = participant(scratch.connect(limits).await);
    let name = new_op_id().to_string();
    let first = start(&participant, &name);
    hold(&name).entered.notified().await;
    let second = tokio::time::timeout(Duration::from_secs(5), start(&participant, ""));
    let refused = second.await.unwrap().unwrap().unwrap_err();
    overloaded(&refused, "overloaded: its turn did not come within 50 ms");
    hold(&name).release.notify_one();
    first.await.unwrap().unwrap();
}

async fn every_kind_of_value_comes_back(scratch: Scratch) {
    let database = scratch.open(&SCHEMA).await;
    let id = new_op_id();
    let write = move |mut tx: saga_participant::Tx| async move {
        tx.script("create table kinds (n bigint, t text, b text, absent bigint)").await?;
        let args =
            [Arg::Int(-7), Arg::Text("'; drop table kinds; -- \u{202e}"), Arg::Null, Arg::Null];
        tx.execute("insert into kinds (n, t, b, absent) values ($1, $2, $3, $4)", &args).await?;
        tx.commit().await
    };
    database.write(write).await.unwrap();
    let read = move |mut tx: saga_participant::Tx| async move {
        let row = tx.row("select n, t, b, absent from kinds", &[]).await?.unwrap();
        assert_eq!(row.int(0)?, -7);
        assert_eq!(row.text(1)?, "'; drop table kinds; -- \u{202e}");
        assert_eq!((row.optional_text(2)?, row.optional_int(3)?), (None, None));
        assert!(row.int(3).is_err());
        let sql = saga_participant::Sql {
            postgres: "select a, b from unnest($1::text[], $2::bigint[]) as t (a, b)",
            sqlite: "select a.value, b.value from json_each($1) a join json_each($2) b using (key)",
        };
        let args = [Arg::Texts(&["x", "y\"\n"]), Arg::Ints(&[1, i64::MAX])];
        let rows = tx.rows(sql, &args).await?;
        assert_eq!((rows[1].text(0)?.as_str(), rows[1].int(1)?), ("y\"\n", i64::MAX));
        let sql = saga_participant::Sql {
            postgres: "select id, blob from unnest($1::uuid[], $2::bytea[]) as t (id, blob)",
            sqlite: "select unhex(a.value), unhex(b.value)
                from json_each($1) a join json_each($2) b using (key)",
        };
        let args = [Arg::Uuids(&[id, id]), Arg::Blobs(&[b"", b"\x00\xff"])];
        let rows = tx.rows(sql, &args).await?;
        assert_eq!((rows[0].uuid(0)?, rows[0].bytes(1)?), (id, Vec::new()));
        assert_eq!(rows[1].bytes(1)?, b"\0\xff");
        let sql = saga_participant::Sql {
            postgres: "select $1::uuid, $2::bytea",
            sqlite: "select $1, $2",
        };
        let row = tx.row(sql, &[Arg::Uuid(id), Arg::Bytes(b"\0\xff")]).await?.unwrap();
        assert_eq!((row.uuid(0)?, row.bytes(1)?), (id, b"\0\xff".to_vec()));
        Ok(())
    };
    database.read(read).await.unwrap();
}

/// reliability.md, trap 1: a `begin` that is cancelled hands an open transaction to the
/// next borrower. Callers leave at every point; what was acknowledged must be there.
async fn a_callers_departure_loses_no_acknowledged_write(scratch: Scratch) {
    let limits = Limits { connections_max: 2, ..Limits::default() };
    schema::migrate(&scratch.connect(limits).await, &SCHEMA).await.unwrap();
    let participant = participant(scratch.connect(limits).await);
    let mut acknowledged = Vec::new();
    for round in 0..150_u32 {
        let leaving = {
            let participant = participant.clone();
            let bump = Bump { amount: 1, hold: String::new() };
            tokio::spawn(async move { participant.apply(with_op_id(new_op_id(), bump)).await })
        };
        for _ in 0..round % 8 {
            tokio::task::yield_now().await;
        }
        leaving.abort();
        let op_id = new_op_id();
        let bump = Bump { amount: 1, hold: String::new() };
        participant.apply(with_op_id(op_id, bump)).await.unwrap();
        acknowledged.push(op_id);
    }
    let after = scratch.connect(limits).await;
    let count = move |mut tx: saga_participant::Tx| async move {
        for op_id in acknowledged {
            let sql = "select count(*) from bump where op_id = $1";
            assert_eq!(tx.row(sql, &[Arg::Uuid(op_id)]).await?.unwrap().int(0)?, 1);
        }
        Ok(())
    };
    after.read(count).await.unwrap();
}

/// D10: PostgreSQL answers the commit of an aborted transaction with success and keeps
/// nothing; SQLite keeps what came before the statement that it refused.
async fn d10_a_transaction_that_swallowed_an_error_commits_nothing(scratch: Scratch) {
    let database = scratch.open(&SCHEMA).await;
    let swallow = |mut tx: saga_participant::Tx| async move {
        let insert = "insert into bump (op_id, amount) values ($1, 1)";
        let op_id = Arg::Uuid(new_op_id());
        tx.execute(insert, &[op_id]).await?;
        assert!(tx.execute(insert, &[op_id]).await.is_err());
        tx.commit().await
    };
    let error = database.write(swallow).await.unwrap_err();
    assert_eq!(reason_of(&error.status("counter.test")), "INTERNAL_FAULT");
    let count = |mut tx: saga_participant::Tx| async move {
        Ok(tx.row("select count(*) from bump", &[]).await?.unwrap().int(0)?)
    };
    assert_eq!(database.read(count).await.unwrap(), 0);
}

async fn two_rows(database: &Database) {
    let write = |mut tx: saga_participant::Tx| async move {
        tx.script("create table pair (id bigint primary key, n bigint not null)").await?;
        tx.script("insert into pair values (1, 0), (2, 0)").await?;
        tx.commit().await
    };
    database.write(write).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_says_that_nothing_was_done_postgres() {
    let scratch = Scratch::postgres().await;
    let database = scratch.open(&SCHEMA).await;
    two_rows(&database).await;
    let both = Arc::new(Barrier::new(2));
    let lock = |first: i64, second: i64| {
        let (database, both) = (database.clone(), both.clone());
        tokio::spawn(async move {
            let work = move |mut tx: saga_participant::Tx| async move {
                let sql = "update pair set n = n + 1 where id = $1";
                tx.execute(sql, &[Arg::Int(first)]).await?;
                both.wait().await;
                tx.execute(sql, &[Arg::Int(second)]).await?;
                tx.commit().await
            };
            database.write(work).await
        })
    };
    let (one, other) = (lock(1, 2), lock(2, 1));
    let ended = [one.await.unwrap(), other.await.unwrap()];
    let refused: Vec<_> = ended.iter().filter_map(|it| it.as_ref().err()).collect();
    assert_eq!(refused.len(), 1);
    let status = refused[0].status("counter.test");
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Aborted, "LOCK_CONFLICT"));
    assert!(!status.message().contains("update"), "no SQL in replies: {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_unknown_and_the_next_call_works_postgres() {
    let scratch = Scratch::postgres().await;
    let participant = participant(scratch.open(&SCHEMA).await);
    let (op_id, name) = (new_op_id(), new_op_id().to_string());
    let call = {
        let (participant, hold) = (participant.clone(), name.clone());
        let bump = Bump { amount: 1, hold };
        tokio::spawn(async move { participant.apply(with_op_id(op_id, bump)).await })
    };
    hold(&name).entered.notified().await;
    let cut = |mut tx: saga_participant::Tx| async move {
        let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()";
        Ok(tx.row(sql, &[]).await?.unwrap().int(0)?)
    };
    assert!(participant.database().read(cut).await.unwrap() >= 1);
    hold(&name).release.notify_one();
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(
        (status.code(), reason_of(&status).as_str()),
        (Code::Unavailable, "DATABASE_UNAVAILABLE")
    );
    let again = Bump { amount: 1, hold: name.clone() };
    hold(&name).release.notify_one();
    participant.apply(with_op_id(op_id, again)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_and_comes_back_needs_no_restart_postgres() {
    let scratch = Scratch::postgres().await;
    schema::migrate(&scratch.connect(Limits::default()).await, &SCHEMA).await.unwrap();
    let limits = Limits { connect_max_ms: 1_000, ..Limits::default() };
    let participant = participant(scratch.connect(limits).await);
    start(&participant, "").await.unwrap().unwrap();
    scratch.take_away().await;
    for _ in 0..3 {
        let status = start(&participant, "").await.unwrap().unwrap_err();
        let found = (status.code(), reason_of(&status));
        assert_eq!(found, (Code::Unavailable, "DATABASE_UNAVAILABLE".to_owned()));
    }
    scratch.give_back().await;
    start(&participant, "").await.unwrap().unwrap();
}

#[tokio::test]
async fn a_url_that_names_no_database_is_refused_in_words() {
    for url in ["mysql://host/x", "sqlite::memory:", "sqlite://x?mode=memory", "nonsense", ""] {
        let error = Database::connect(url, Limits::default()).await.unwrap_err().to_string();
        assert!(error.starts_with("database_url: "), "{error}");
        assert!(error.contains("write postgres://USER@HOST/NAME or sqlite://PATH"), "{error}");
    }
    let limits = Limits { connect_max_ms: 300, ..Limits::default() };
    let gone = Database::connect("postgres://secret@127.0.0.1:1/x", limits).await.unwrap_err();
    assert!(gone.to_string().contains("check that it runs"), "{gone}");
    assert!(!gone.to_string().contains("secret"), "{gone}");
}

#[tokio::test]
async fn a_panic_in_an_operation_is_answered_and_rolled_back() {
    let scratch = Scratch::sqlite();
    let database = scratch.open(&SCHEMA).await;
    let panic = |mut tx: saga_participant::Tx| async move {
        tx.execute("insert into bump (op_id, amount) values ($1, 1)", &[Arg::Uuid(new_op_id())])
            .await?;
        assert!(tx.is_postgres(), "a panic on purpose");
        tx.commit().await
    };
    let error = database.write(panic).await.unwrap_err();
    assert!(matches!(error, OperationError::Unknown { .. }), "{error:?}");
    let count = |mut tx: saga_participant::Tx| async move {
        Ok(tx.row("select count(*) from bump", &[]).await?.unwrap().int(0)?)
    };
    let counted = tokio::time::timeout(Duration::from_secs(5), database.write(count)).await;
    assert_eq!(counted.unwrap().unwrap(), 0);
}
