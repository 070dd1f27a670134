//! Databases that live as long as a test.

use std::path::PathBuf;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use crate::{
    database::{Database, Limits},
    schema::{self, Schema},
};

/// Names a PostgreSQL server where databases may be created.
const POSTGRES_URL: &str = "AMENDS_TEST_POSTGRES_URL";

/// An empty database of its own.
#[derive(Debug)]
pub struct Scratch {
    /// Its URL.
    pub url: String,
    directory: Option<PathBuf>,
}

impl Scratch {
    /// A SQLite file in a new directory; it goes when this value goes.
    ///
    /// # Panics
    ///
    /// The directory cannot be made.
    pub fn sqlite() -> Self {
        let directory = std::env::temp_dir().join(format!("amends-test-{}", Uuid::now_v7()));
        std::fs::create_dir_all(&directory).expect("a test may write to the temporary directory");
        let url = format!("sqlite://{}", directory.join("test.db").display());
        Self { url, directory: Some(directory) }
    }

    /// A new database on the PostgreSQL server of the tests, named after this process:
    /// `tests/run` removes those of processes that have ended.
    ///
    /// # Panics
    ///
    /// There is no such server.
    pub async fn postgres() -> Self {
        let name = format!("amends_test_p{}_{}", std::process::id(), Uuid::now_v7().simple());
        let server = on_server(format!("create database {name} template template0")).await;
        let (server, _) = server.rsplit_once('/').expect("the URL names a database");
        Self { url: format!("{server}/{name}"), directory: None }
    }

    /// Takes a PostgreSQL database away: cuts its connections and lets nobody in.
    ///
    /// # Panics
    ///
    /// It is none of PostgreSQL.
    pub async fn take_away(&self) {
        let name = self.name();
        on_server(format!("alter database {name} with allow_connections false")).await;
        on_server(format!(
            "/* take_away */ select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
        ))
        .await;
    }

    /// Gives it back.
    ///
    /// # Panics
    ///
    /// It is none of PostgreSQL.
    pub async fn give_back(&self) {
        on_server(format!("alter database {} with allow_connections true", self.name())).await;
    }

    fn name(&self) -> &str {
        self.url.rsplit_once('/').expect("the URL names a database").1
    }

    /// Connects to it with few connections, and migrates it.
    ///
    /// # Panics
    ///
    /// It cannot be migrated.
    pub async fn open(&self, schema: &Schema) -> Database {
        let limits = Limits { connections_max: 8, lock_wait_max_ms: 2_000, ..Limits::default() };
        let database = self.connect(limits).await;
        schema::migrate(&database, schema).await.expect("the migrations fit an empty database");
        database
    }

    /// Connects to it as it is.
    ///
    /// # Panics
    ///
    /// It does not answer.
    pub async fn connect(&self, limits: Limits) -> Database {
        Database::connect(&self.url, limits).await.expect("the database was there a moment ago")
    }
}

/// Runs a statement on the server of the tests; returns the server's URL. Names in the
/// statement are made here, of hexadecimal digits.
async fn on_server(statement: String) -> String {
    let Ok(server) = std::env::var(POSTGRES_URL) else {
        panic!("no PostgreSQL: run tests/run, or set {POSTGRES_URL}");
    };
    let mut connection = PgConnection::connect(&server)
        .await
        .unwrap_or_else(|source| panic!("{POSTGRES_URL} does not answer: {source}"));
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .expect("a test may create and change databases");
    server
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            // What is left behind in the temporary directory does no harm.
            let _: std::io::Result<()> = std::fs::remove_dir_all(directory);
        }
    }
}
