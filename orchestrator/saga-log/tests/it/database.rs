//! A PostgreSQL database for one test.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use uuid::Uuid;

/// An empty database that nobody else uses, named after this process: `tests/run` removes
/// those of processes that have ended.
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    pub(crate) name: String,
}

impl TestDatabase {
    /// Makes one on the server that `AMENDS_TEST_POSTGRES_URL` names.
    pub(crate) async fn create() -> Self {
        Self::create_as("").await
    }

    /// One that is made with these options.
    pub(crate) async fn create_as(options: &str) -> Self {
        let server = std::env::var("AMENDS_TEST_POSTGRES_URL")
            .expect("run tests/run, or set AMENDS_TEST_POSTGRES_URL");
        let name = format!("saga_log_test_p{}_{}", std::process::id(), Uuid::now_v7().simple());
        let mut admin = connect(&server).await;
        // Names cannot be bound. This one is made of letters and digits.
        let create = format!("create database {name} template template0 {options}");
        admin.execute(AssertSqlSafe(create)).await.expect("an admin may create databases");
        admin.close().await.expect("the server is there");
        let (front, _database) = server.rsplit_once('/').expect("a URL names a database");
        Self { url: format!("{front}/{name}"), name }
    }

    /// A connection to this database, past the store.
    pub(crate) async fn connect(&self) -> PgConnection {
        connect(&self.url).await
    }
}

async fn connect(url: &str) -> PgConnection {
    let options = PgConnectOptions::from_str(url).expect("a PostgreSQL URL");
    options.connect().await.expect("the test server is there")
}
