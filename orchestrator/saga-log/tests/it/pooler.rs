//! A pooler between us and the database, and a database that answers before it is durable.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;

use saga_log::conformance::sample::{append_ids, running, start, step, step_to, write_new};
use saga_log::{OpenError, OpenOptions};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use tempfile::TempDir;
use tokio::time::{Duration, Instant, sleep};

use crate::database::TestDatabase;

const MIGRATE: OpenOptions =
    OpenOptions { migrate: true, allow_insecure: false, readers_max: 2, watchdog_ms: 10_000 };

/// PgBouncer in front of one database.
struct Pooler {
    process: Child,
    url: String,
    _folder: TempDir,
}

impl Pooler {
    async fn start(database: &TestDatabase, mode: &str, connections: u32) -> Self {
        let server = PgConnectOptions::from_str(&database.url).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ini = folder.path().join("pgbouncer.ini");
        let (host, to, user) = (server.get_host(), server.get_port(), server.get_username());
        let text = format!(
            "[databases]\nlog = host={host} port={to} dbname={name} user={user}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = {mode}\ndefault_pool_size = {connections}\n\
             ignore_startup_parameters = extra_float_digits\n",
            name = database.name,
        );
        std::fs::write(&ini, text).unwrap();
        // It refuses to run as root, and its user must be able to read here.
        let readable = Command::new("chmod").arg("-R").arg("755").arg(folder.path()).status();
        assert!(readable.unwrap().success());
        let mut pgbouncer = Command::new("pgbouncer");
        if Command::new("id").arg("-u").output().unwrap().stdout == b"0\n" {
            pgbouncer.args(["-u", "nobody"]);
        }
        let process =
            pgbouncer.arg(&ini).stderr(Stdio::null()).spawn().expect("tests/run installs it");
        let url = format!("postgres://{user}@127.0.0.1:{port}/log");
        let pooler = Self { process, url, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while PgConnectOptions::from_str(&pooler.url).unwrap().connect().await.is_err() {
            assert!(Instant::now() < deadline, "the pooler does not listen");
            sleep(Duration::from_millis(20)).await;
        }
        pooler
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_pooler_that_lends_connections_per_transaction_is_refused() {
    for connections in [1, 4] {
        let database = TestDatabase::create().await;
        // Migrated past the pooler, so that nothing but the pooler is in the way.
        drop(saga_log::open(&database.url, MIGRATE).await.unwrap());
        let pooler = Pooler::start(&database, "transaction", connections).await;
        for migrate in [true, false] {
            let options = OpenOptions { migrate, ..MIGRATE };
            let refused = saga_log::open(&pooler.url, options).await;
            assert!(matches!(refused, Err(OpenError::Pooled)), "{connections}: {refused:?}");
        }
        // Nothing of ours is left on what others get next.
        let options = PgConnectOptions::from_str(&pooler.url).unwrap();
        let mut other = options.statement_cache_capacity(0).connect().await.unwrap();
        let (seqscan, isolation): (String, String) = sqlx::query_as(
            "/* other */ select current_setting('enable_seqscan'),
                current_setting('default_transaction_isolation')",
        )
        .persistent(false)
        .fetch_one(&mut other)
        .await
        .unwrap();
        assert_eq!((seqscan.as_str(), isolation.as_str()), ("on", "read committed"));
    }
}

#[tokio::test]
async fn a_pooler_that_lends_connections_per_session_is_no_trouble() {
    let database = TestDatabase::create().await;
    let pooler = Pooler::start(&database, "session", 20).await;
    let store = saga_log::open(&pooler.url, MIGRATE).await.unwrap();
    write_new(&*store, &[start(1, running(None))]).await;
    write_new(&*store, &[step(1, 2)]).await;
    assert_eq!(append_ids(&*store, 1).await.len(), 2);
}

/// Whatever a role or a database has as its default, and whatever the session says: what is
/// answered as done is durable.
#[tokio::test]
async fn every_commit_that_is_answered_is_a_durable_one() {
    let database = TestDatabase::create().await;
    let store = saga_log::open(&database.url, MIGRATE).await.unwrap();
    let mut past_the_store = database.connect().await;
    // Looked at in the commit itself, behind everything else.
    let spy = "
        create table spy (wrote text, durably text);
        create function spy() returns trigger language plpgsql as $$
        begin
            insert into spy values (tg_table_name, current_setting('synchronous_commit'));
            return null;
        end
        $$;
        create constraint trigger spy after insert on saga_event
            deferrable initially deferred for each row execute function spy();
        create constraint trigger spy after insert on node
            deferrable initially deferred for each row execute function spy()";
    past_the_store.execute(sqlx::raw_sql(spy)).await.unwrap();
    let (off, name) = ("set synchronous_commit = off", &database.name);
    past_the_store.execute(AssertSqlSafe(format!("alter database {name} {off}"))).await.unwrap();
    // The next connections are made after that.
    drop(store);
    let store = saga_log::open(&database.url, MIGRATE).await.unwrap();
    write_new(&*store, &[start(1, running(None)), start(2, running(None))]).await;
    write_new(&*store, &[step(1, 2)]).await;
    write_new(&*store, &[step_to(2, 2, running(None))]).await;
    store.register_node(saga_log::conformance::sample::NODE, 1).await.unwrap();
    let commits: Vec<(String, String)> =
        sqlx::query_as("/* spy */ select wrote, durably from spy order by wrote")
            .fetch_all(&mut past_the_store)
            .await
            .unwrap();
    let durable = |table: &str| (table.to_owned(), "on".to_owned());
    let expected = ["node", "saga_event", "saga_event", "saga_event", "saga_event"].map(durable);
    assert_eq!(commits, expected);
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    for encoding in ["LATIN1", "EUC_KR", "SQL_ASCII"] {
        let database =
            TestDatabase::create_as(&format!("encoding '{encoding}' lc_collate 'C' lc_ctype 'C'"))
                .await;
        let refused = saga_log::open(&database.url, MIGRATE).await;
        match refused {
            Err(OpenError::Encoding { found }) => assert_eq!(found, encoding),
            other => panic!("{encoding}: {other:?}"),
        }
    }
}
