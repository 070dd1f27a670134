//! How connections are made, and what is checked before one is used.

use std::{str::FromStr, time::Duration};

use saga_tls::is_this_machine;
use sqlx::{
    Connection as _, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Limits, Pools};

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL names no database that this program can use. Correct it.
    #[error("database_url: {problem}; write postgres://USER@HOST/NAME or sqlite://PATH")]
    UrlInvalid {
        /// What is wrong with it. Never the URL itself: it may hold a password.
        problem: String,
    },
    /// The database is on another machine, and its certificate would not be checked.
    #[error(
        "database_url: the database is at {host}, and its certificate is not checked: whoever is \
         on the way could read and change everything; add \
         ?sslmode=verify-full&sslrootcert=CA.pem to the URL, or say allow_insecure_database = true \
         where something else keeps others away"
    )]
    Insecure {
        /// Where it is.
        host: String,
    },
    /// The server did not answer, or the file cannot be opened.
    #[error(
        "the database cannot be reached; check that it runs, that database_url names it, \
         and that this program may use it"
    )]
    Unreachable(#[source] sqlx::Error),
}

/// Whether what is said with the database at `url` stays between the two (X24): it is on this
/// machine, or its certificate is checked.
pub(super) fn check_secret(url: &str) -> Result<(), ConnectError> {
    // What is neither a server nor a file is refused for that, where it is opened.
    if !["postgres:", "postgresql:"].iter().any(|it| url.starts_with(it)) {
        return Ok(());
    }
    let options = PgConnectOptions::from_str(url).map_err(url_invalid)?;
    if is_here(&options) || matches!(options.get_ssl_mode(), PgSslMode::VerifyFull) {
        return Ok(());
    }
    Err(ConnectError::Insecure { host: options.get_host().to_owned() })
}

fn is_here(options: &PgConnectOptions) -> bool {
    options.get_socket().is_some() || is_this_machine(options.get_host())
}

pub(super) async fn postgres(url: &str, limits: Limits) -> Result<PgPool, ConnectError> {
    let mut options = PgConnectOptions::from_str(url).map_err(url_invalid)?;
    if is_here(&options) && matches!(options.get_ssl_mode(), PgSslMode::Prefer | PgSslMode::Allow) {
        // A database that offers TLS on this machine would be asked for it, and it costs.
        options = options.ssl_mode(PgSslMode::Disable);
    }
    let lock_wait = format!("{}ms", limits.lock_wait_max_ms);
    PgPoolOptions::new()
        .max_connections(limits.connections_max)
        .acquire_timeout(Duration::from_millis(limits.connect_max_ms))
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let lock_wait = lock_wait.clone();
            Box::pin(async move {
                let primary: bool = sqlx::query_scalar(
                    "/* after_connect */
                    select set_config('lock_timeout', $1, false) is not null
                        and not pg_is_in_recovery()",
                )
                .bind(lock_wait)
                .fetch_one(&mut *connection)
                .await?;
                if primary { Ok(()) } else { Err(not_a_primary()) }
            })
        })
        // A pool would stay with a primary that was demoted. This replaces its ping.
        .before_acquire(|connection, _| {
            Box::pin(async move {
                sqlx::query_scalar("/* before_acquire */ select not pg_is_in_recovery()")
                    .fetch_one(&mut *connection)
                    .await
            })
        })
        .connect_with(options)
        .await
        .map_err(ConnectError::Unreachable)
}

fn not_a_primary() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other("the server is a read-only replica"))
}

pub(super) async fn sqlite(url: &str, limits: Limits) -> Result<Pools, ConnectError> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        let problem = "a database in memory forgets what it promised".to_owned();
        return Err(ConnectError::UrlInvalid { problem });
    }
    let options = SqliteConnectOptions::from_str(url)
        .map_err(url_invalid)?
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_millis(limits.lock_wait_max_ms));
    let pool = |connections_max: u32| {
        SqlitePoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(Duration::from_millis(limits.connect_max_ms))
            // One that takes itself to be in a transaction, which the database has ended,
            // could not begin another: it is replaced.
            .before_acquire(|connection, _| {
                let idle = !connection.is_in_transaction();
                Box::pin(async move { Ok(idle) })
            })
    };
    let writer = pool(1).connect_with(options.clone()).await;
    let writer = writer.map_err(ConnectError::Unreachable)?;
    let readers = pool(limits.connections_max);
    let readers = readers.connect_with(options.pragma("query_only", "on")).await;
    let readers = readers.map_err(ConnectError::Unreachable)?;
    Ok(Pools::Sqlite { writer, readers })
}

fn url_invalid(source: sqlx::Error) -> ConnectError {
    ConnectError::UrlInvalid { problem: source.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_elsewhere_shows_a_certificate_that_is_checked() {
        for host in ["db.internal", "10.0.0.7:5432", "[fd00::1]"] {
            for mode in ["", "?sslmode=disable", "?sslmode=require", "?sslmode=verify-ca"] {
                let url = format!("postgres://shop:canary@{host}/stock{mode}");
                let told = check_secret(&url).unwrap_err().to_string();
                assert!(told.contains("verify-full") && !told.contains("canary"), "{told}");
            }
            let url = format!("postgres://shop@{host}/stock?sslmode=verify-full");
            check_secret(&url).unwrap();
        }
        let here = ["postgres://127.0.0.1/x", "postgres://localhost/x", "postgres://%2Frun%2Fpg/x"];
        for url in here.into_iter().chain(["postgres:///x?host=/run/pg", "sqlite://x.db"]) {
            check_secret(url).unwrap();
        }
    }
}
