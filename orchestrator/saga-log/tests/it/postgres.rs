//! What is special about PostgreSQL: it is a server that others share, and it can go away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use saga_log::conformance::sample::{
    append_ids, definition, running, saga, standing, start, step, write_new,
};
use saga_log::{
    DefinitionRow, Filter, ListQuery, Log, LogLimits, OpenError, OpenOptions, Store, StoreError,
    TextColumn, Written,
};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tokio::time::{Instant, timeout};

use crate::database::TestDatabase;

const MIGRATE: OpenOptions =
    OpenOptions { migrate: true, allow_insecure: false, readers_max: 2, watchdog_ms: 30_000 };

/// Terminates every connection of the store to its database. Answers how many.
const TERMINATE: &str = "/* terminate */
    select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_connections_are_terminated() {
    const SAGAS: u64 = 16;
    let database = TestDatabase::create().await;
    let store = saga_log::open(&database.url, MIGRATE).await.unwrap();
    let log = Log::start(store.clone(), LogLimits { delay_first_ms: 1, ..LogLimits::default() });
    let done = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let sagas: Vec<_> = (0..SAGAS)
        .map(|n| {
            let (log, done, acknowledged) = (log.clone(), done.clone(), acknowledged.clone());
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for version in 1.. {
                    let append =
                        if version == 1 { start(n, running(None)) } else { step(n, version) };
                    ids.push(append.append_id);
                    assert_eq!(log.append(append).await.unwrap(), Written::Done);
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    // Reads through the pool, whose connections die too.
                    if let Err(error) = log.store().saga(saga(n)).await {
                        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
                    }
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
                ids
            })
        })
        .collect();
    let mut killer = database.connect().await;
    let mut terminated = 0;
    let deadline = Instant::now() + Duration::from_secs(60);
    for _ in 0..30 {
        // Work must go on between two blows.
        let before = acknowledged.load(Ordering::Relaxed);
        while acknowledged.load(Ordering::Relaxed) < before + 2 * SAGAS {
            assert!(Instant::now() < deadline, "the log did not come back");
            tokio::task::yield_now().await;
        }
        let killed: i64 = sqlx::query_scalar(TERMINATE).fetch_one(&mut killer).await.unwrap();
        terminated += killed;
    }
    done.store(true, Ordering::Relaxed);
    for (n, ids) in (0..).zip(join_all(sagas).await) {
        // The pool may still hold a connection that was terminated; nobody else knows.
        let rows = loop {
            match store.load(saga(n), 0, u32::MAX).await {
                Ok(rows) => break rows,
                Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
            }
        };
        let written: Vec<_> = rows.into_iter().map(|row| row.append_id).collect();
        assert_eq!(written, ids.unwrap());
    }
    assert!(terminated >= 30, "{terminated} connections were terminated");
    log.close().await;
}

/// A writer that hangs on a lock, as it would on a synchronous standby that is gone, is
/// given up, and its batch is written by another connection once the lock is free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_hangs_is_given_up_and_repeated() {
    let database = TestDatabase::create().await;
    let options = OpenOptions { watchdog_ms: 2_000, ..MIGRATE };
    let store = saga_log::open(&database.url, options).await.unwrap();
    let limits = LogLimits { write_slow_ms: 50, delay_first_ms: 1, ..LogLimits::default() };
    let log = Log::start(store.clone(), limits);
    assert_eq!(log.append(start(1, running(None))).await.unwrap(), Written::Done);

    // Not a lock: that is noticed, and waited for aside.
    let hangs = "
        create table hang (so bool);
        insert into hang values (true);
        create function hang() returns trigger language plpgsql as $$
        begin
            while exists (select from hang) loop perform pg_sleep(0.02); end loop;
            return new;
        end
        $$;
        create trigger hang before insert on saga_event for each row execute function hang()";
    let mut blocker = database.connect().await;
    blocker.execute(sqlx::raw_sql(hangs)).await.unwrap();
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.append(step(1, 2)).await }
    });
    let mut observer = database.connect().await;
    let hung = async {
        let waits = "/* hung */ select count(*) from pg_stat_activity
            where datname = current_database() and state = 'active'
            and query like '/* write%'";
        loop {
            // Two of them: the first was given up, the second is the repetition.
            let waiting: i64 = sqlx::query_scalar(waits).fetch_one(&mut observer).await.unwrap();
            if waiting >= 2 {
                break;
            }
        }
    };
    timeout(Duration::from_secs(60), hung).await.expect("the write is repeated");
    assert!(!*log.available().borrow());
    blocker.execute("delete from hang").await.unwrap();
    let written = timeout(Duration::from_secs(60), waiting).await.expect("in time");
    assert_eq!(written.unwrap().unwrap(), Written::Done);
    assert_eq!(append_ids(&*store, 1).await.len(), 2);
    log.close().await;
}

/// Administrators set limits of time for people, as defaults of a database or a role.
#[tokio::test]
async fn limits_of_time_that_are_meant_for_people_do_not_end_our_work() {
    let database = TestDatabase::create().await;
    let mut admin = database.connect().await;
    let limits =
        ["statement_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout"];
    for limit in limits {
        let set = format!("alter database {} set {limit} = '400ms'", database.name);
        admin.execute(AssertSqlSafe(set)).await.unwrap();
    }
    // They are in force: whoever comes now is held to them.
    let slow = "/* slow */ select pg_sleep(5)";
    assert!(database.connect().await.execute(slow).await.is_err());

    let store = saga_log::open(&database.url, MIGRATE).await.unwrap();
    write_new(&*store, &[start(1, running(None))]).await;
    admin.execute("/* idle */ select pg_sleep(1)").await.unwrap();
    write_new(&*store, &[step(1, 2)]).await;
    assert_eq!(append_ids(&*store, 1).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_became_read_only_is_left_until_it_is_not() {
    let database = TestDatabase::create().await;
    let store = saga_log::open(&database.url, MIGRATE).await.unwrap();
    write_new(&*store, &[start(1, running(None))]).await;
    let mut admin = database.connect().await;
    // As on a primary that was demoted: first the open connections, then new ones.
    let read_only = AssertSqlSafe(format!(
        "alter database {} set default_transaction_read_only = on",
        database.name
    ));
    admin.execute(read_only).await.unwrap();
    admin.execute(TERMINATE).await.unwrap();
    let mut refused = 0;
    for version in [2, 2, 2] {
        let error = store.write(&[step(1, version)]).await;
        assert!(matches!(error, Err(StoreError::Unavailable { .. })), "{error:?}");
        let error = store.saga(saga(1)).await;
        assert!(matches!(error, Err(StoreError::Unavailable { .. })), "{error:?}");
        refused += 1;
    }
    assert_eq!(refused, 3);
    let writable = AssertSqlSafe(format!(
        "begin read write; alter database {} reset default_transaction_read_only; commit",
        database.name
    ));
    admin.execute(writable).await.unwrap();
    write_new(&*store, &[step(1, 2)]).await;
    assert_eq!(append_ids(&*store, 1).await.len(), 2);
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_no_connection_half_way() {
    let database = TestDatabase::create().await;
    let store = saga_log::open(&database.url, MIGRATE).await.unwrap();
    write_new(&*store, &[start(1, running(None))]).await;
    let mut abandoned = 0;
    // Dropped after every number of polls at which it is not done.
    for polls in 0..200 {
        let batch = [step(1, 2)];
        let mut write = Box::pin(store.write(&batch));
        let mut read = Box::pin(store.nodes());
        let mut pending = false;
        for _ in 0..=polls {
            pending = futures::poll!(&mut write).is_pending();
            let reading = futures::poll!(&mut read).is_pending();
            if !pending || !reading {
                break;
            }
            tokio::task::yield_now().await;
        }
        abandoned += u32::from(pending);
    }
    assert!(abandoned > 10, "{abandoned} writes were abandoned");
    // Each of them was either written whole or not at all, and the store still works.
    let rows = append_ids(&*store, 1).await.len() as u64;
    assert!((1..=2).contains(&rows), "{rows}");
    write_new(&*store, &[step(1, rows + 1)]).await;
    let idle = "/* idle */ select count(*) from pg_stat_activity
        where datname = current_database() and state like 'idle in transaction%'";
    let left_open: i64 =
        sqlx::query_scalar(idle).fetch_one(&mut database.connect().await).await.unwrap();
    assert_eq!(left_open, 0);
}

#[tokio::test]
async fn only_a_known_schema_is_opened() {
    let database = TestDatabase::create().await;
    let stay = OpenOptions { migrate: false, ..MIGRATE };
    let missing = saga_log::open(&database.url, stay).await;
    assert!(matches!(missing, Err(OpenError::SchemaMissing)), "{missing:?}");
    // Several processes may start at once.
    let opened = join_all((0..3).map(|_| saga_log::open(&database.url, MIGRATE))).await;
    assert!(opened.iter().all(Result::is_ok), "{opened:?}");
    let mut admin = database.connect().await;
    admin.execute("update saga_log_schema set version = version + 9000").await.unwrap();
    for options in [stay, MIGRATE] {
        let newer = saga_log::open(&database.url, options).await;
        assert!(matches!(newer, Err(OpenError::SchemaTooNew { found: 9_012, .. })), "{newer:?}");
    }
}

#[tokio::test]
async fn a_log_of_the_first_version_is_migrated_with_its_sagas() {
    let database = TestDatabase::create().await;
    let store = saga_log::open(&database.url, MIGRATE).await.unwrap();
    write_new(&*store, &[start(1, running(None))]).await;
    store.put_definition(&definition("place-order", 1, 1)).await.unwrap();
    drop(store);
    let first_version =
        "drop table saga_label; drop table participant_act; drop index saga_held; alter table saga drop column rank;
        drop index saga_definition; drop index saga_set_ahead;
        alter table saga drop column wake_set_at_ms; drop index saga_cause;
        alter table saga drop column cause; alter table saga drop column cause_message;
        alter table saga drop column cause_since_ms; drop table log_identity;
        drop table log_epoch; alter table definition drop column language_level;
        alter table definition drop column retires; drop index definition_request;
        alter table definition drop column request_id; alter table definition drop column actor;
        alter table definition drop column reason;
        delete from saga_log_schema where version > 1";
    database.connect().await.execute(first_version).await.unwrap();
    let older = saga_log::open(&database.url, OpenOptions { migrate: false, ..MIGRATE }).await;
    assert!(matches!(older, Err(OpenError::SchemaTooOld { found: 1, known: 12 })), "{older:?}");
    let store = saga_log::open(&database.url, MIGRATE).await.unwrap();
    assert_eq!(standing(&*store, 1).await, running(None));
    let stored = store.definition("place-order", 1).await.unwrap().unwrap();
    assert_eq!(stored, DefinitionRow { language_level: 1, ..definition("place-order", 1, 1) });
}

#[tokio::test]
async fn errors_do_not_tell_the_password() {
    for url in [
        "postgres://amends:hunter2@127.0.0.1:1/amends",
        "postgres://amends:hunter2@127.0.0.1:99999/amends",
        "postgres://amends:hunter2@[::1/amends",
        "postgres://amends:hunter2@127.0.0.1:1/amends?sslmode=hunter",
        "postgres://amends:hunter2@127.0.0.1:1/amends?port=x",
    ] {
        let error = saga_log::open(url, MIGRATE).await.unwrap_err();
        let mut text = format!("{error} {error:?}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
    let database = TestDatabase::create().await;
    let store = saga_log::open(&database.url, MIGRATE).await.unwrap();
    let text = format!("{store:?} {:?}", Log::start(store.clone(), LogLimits::default()));
    assert!(!text.contains("127.0.0.1"), "{text}");
}

#[tokio::test]
async fn the_database_itself_refuses_limbo_and_changes_of_the_log() {
    let database = TestDatabase::create().await;
    let store: Arc<dyn Store> = saga_log::open(&database.url, MIGRATE).await.unwrap();
    write_new(&*store, &[start(1, running(None))]).await;
    let mut past_the_store = database.connect().await;
    for (statement, constraint) in [
        ("update saga set wake_at_ms = null", "saga_is_not_in_limbo"),
        ("update saga set stuck_reason = 'x'", "saga_is_stuck_as_a_whole"),
        ("update saga set status = 6", "saga_status_check"),
        ("update saga_event set events = ''", "append-only"),
    ] {
        let error = past_the_store.execute(statement).await.unwrap_err();
        assert!(error.to_string().contains(constraint), "{statement}: {error}");
    }
}

/// Ids are made in order, so to a planner that guesses that every saga is of the definition
/// the primary key is as good as the index of the definition.
#[tokio::test]
async fn a_definition_that_no_saga_has_is_not_looked_for_among_all() {
    let database = TestDatabase::create().await;
    let store: Arc<dyn Store> = saga_log::open(&database.url, MIGRATE).await.unwrap();
    let mut past_the_store = database.connect().await;
    let many = "insert into saga (
            saga_id, namespace, business_key, definition, definition_version, request_hash,
            started_at_ms, status, ended_at_ms
        )
        select lpad(to_hex(i), 32, '0')::uuid, 'default', i, 'order', 1,
            decode(repeat('00', 32), 'hex'), 1, 3, 1
        from generate_series(1, 20000) as i";
    past_the_store.execute(many).await.unwrap();
    past_the_store.execute("analyze saga").await.unwrap();

    let filter = Filter::is(TextColumn::Definition, "refund");
    let unused = ListQuery { filter, rows_max: 50, ..ListQuery::default() };
    // After five executions on a connection the server may keep a plan for whatever is asked.
    for _ in 0..40 {
        assert!(store.list(&unused).await.unwrap().rows.is_empty());
    }
    // The server adds up what its connections have done when they end.
    drop(store);
    let read = async |connection: &mut PgConnection| -> (i64, i64) {
        sqlx::query_as(
            "/* read */ select
                sum(idx_scan) filter (where indexrelname = 'saga_definition')::bigint,
                sum(idx_tup_read) filter (where indexrelname <> 'saga_definition')::bigint
            from pg_stat_user_indexes where relname = 'saga'",
        )
        .fetch_one(connection)
        .await
        .unwrap()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let (looks, others_read) = read(&mut past_the_store).await;
        if looks >= 40 {
            assert!(others_read < 1_000, "{others_read} entries of other indexes were read");
            return;
        }
        assert!(Instant::now() < deadline, "{looks} looks into the index of the definition");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
