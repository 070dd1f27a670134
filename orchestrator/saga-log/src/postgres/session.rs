//! Connections to PostgreSQL: what is asked of the server before it is trusted, and how the
//! connection that appends is set up.

use saga_core::SagaId;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Row};

use crate::open::{OpenError, unreachable};
use crate::store::StoreError;

/// A connection of ours that is nobody else's.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: PgConnection,
    /// The process of the server behind it. Another one means that a pooler is in between.
    pub(super) backend: i32,
}

/// Between us and the database is a pooler that lends its connections per transaction. What is
/// set or prepared on such a connection is found, or not found, by whoever has it next.
#[derive(Debug, thiserror::Error)]
#[error(
    "a pooler lends the database's connections per transaction, and the log needs its own; name \
     the database itself in the log's URL, or give the log a pool in session mode"
)]
pub(super) struct Pooled;

/// Settings of the connection that appends.
///
/// * Plans are made once, without looking at the statistics of tables that were empty a
///   moment ago: always by primary key.
/// * A role whose default is another isolation level would make appends collide.
/// * Who waits for a lock that somebody holds for minutes lets everybody wait.
/// * The server notices within seconds that we are gone and frees our locks; otherwise the
///   repetitions of a write that hangs could use up its connections.
///
/// What durability hangs on is not here: the statement that writes sees to it itself.
const WRITER_SETTINGS: &str = "/* connect_writer */
    select set_config('plan_cache_mode', 'force_generic_plan', false),
        set_config('enable_seqscan', 'off', false),
        set_config('enable_hashjoin', 'off', false),
        set_config('enable_mergejoin', 'off', false),
        set_config('default_transaction_isolation', 'read committed', false),
        set_config('lock_timeout', '250ms', false),
        set_config('client_connection_check_interval', '10s', false),
        set_config('tcp_keepalives_idle', '10', false),
        set_config('tcp_keepalives_interval', '5', false),
        set_config('tcp_keepalives_count', '3', false)";

/// Settings of the others, which change a row now and then: an answer is durable.
const READER_SETTINGS: &str = "/* connect_reader */
    select set_config('synchronous_commit', 'on', false)
    where current_setting('synchronous_commit') = 'off'";

/// Limits of time that a role or a database has as its default are meant for its people. How
/// long a statement may take is decided here, and a connection that waits for work is not idle.
/// By name, since a server knows some of them and not others.
const NO_TIME_LIMITS: &str = "/* no_time_limits */
    select set_config(name, '0', false) from pg_settings
    where setting <> '0' and name in (
        'statement_timeout', 'transaction_timeout', 'idle_session_timeout',
        'idle_in_transaction_session_timeout'
    )";

impl Session {
    /// Makes the connection that appends.
    pub(super) async fn writer(options: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = options.clone().connect().await?;
        connection.execute(NO_TIME_LIMITS).await?;
        refuse_read_only(&mut connection).await?;
        let backend = own_backend(&mut connection, options).await?;
        connection.execute(WRITER_SETTINGS).await?;
        notice_timeline(&mut connection).await?;
        Ok(Self { connection, backend })
    }
}

/// The timeline that the server writes on.
const TIMELINE: &str = "/* timeline */
    select ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint";

/// Begins an epoch of the log where the timeline is not the one that it was last written on.
/// The row lock lets one of several nodes through; the others find it done.
const NOTICE_TIMELINE: &str = "/* notice_timeline */
    with moved as (
        update log_identity set timeline = $1
        where timeline is distinct from $1
        returning mark_at_ms, (select timeline from log_identity) as before
    )
    insert into log_epoch (epoch, began_at_ms, actor, reason, mark_at_ms, behind_ms)
    select
        (select max(epoch) + 1 from log_epoch),
        (extract(epoch from clock_timestamp()) * 1000)::bigint,
        'amends',
        format('the database went from timeline %s to %s', before, $1),
        mark_at_ms, 0
    from moved where before is not null";

/// Before the first row is written on a connection: where another database has taken the place
/// of the one that was written on, rows may be lost, and every saga that was there before must
/// hear of it. A database that keeps no timeline, or does not tell, is trusted as far as the
/// mark of the log goes.
async fn notice_timeline(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let timeline: i64 = match sqlx::query_scalar(TIMELINE).fetch_one(&mut *connection).await {
        Ok(timeline) => timeline,
        Err(sqlx::Error::Database(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let noticed = sqlx::query(NOTICE_TIMELINE).bind(timeline).execute(connection).await?;
    if noticed.rows_affected() > 0 {
        tracing::warn!(
            timeline,
            "another database has taken the place of the log's: what was accepted in its last \
             moments may be lost"
        );
    }
    Ok(())
}

/// Who holds the row of this saga locked, as far as the server knows and lets us see.
pub(super) async fn blocker(
    connection: &mut PgConnection,
    saga: Option<SagaId>,
) -> Result<String, StoreError> {
    let who: Option<String> = sqlx::query_scalar(BLOCKER)
        .bind(saga.map(|saga| saga.0))
        .fetch_optional(connection)
        .await
        .map_err(|error| super::unavailable("write", error))?;
    Ok(who.unwrap_or_else(|| "somebody else".to_owned()))
}

/// The transaction that has locked a row is its `xmax`, and holds a lock on its own number.
const BLOCKER: &str = "/* blocker */
    select format('process %s of user %s, %s, open since %s',
        activity.pid, coalesce(activity.usename, '?'),
        coalesce(nullif(activity.application_name, ''), 'an unnamed program'),
        activity.xact_start)
    from pg_locks as held join pg_stat_activity as activity using (pid)
    where held.locktype = 'transactionid' and held.granted
    and held.transactionid = (select xmax from saga where saga_id = $1)
    limit 1";

/// Sets up one of the other connections.
pub(super) async fn reader(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection.execute(NO_TIME_LIMITS).await?;
    refuse_read_only(connection).await?;
    connection.execute(READER_SETTINGS).await.map(drop)
}

/// Makes sure that this is a database on which a log can be kept.
pub(super) async fn check_database(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<(), OpenError> {
    connection.execute(NO_TIME_LIMITS).await.map_err(unreachable)?;
    own_backend(connection, options).await.map_err(|error| match &error {
        sqlx::Error::Configuration(why) if why.is::<Pooled>() => OpenError::Pooled,
        _ => unreachable(error),
    })?;
    let encoding: String =
        sqlx::query_scalar("/* check_database */ select current_setting('server_encoding')")
            .fetch_one(connection)
            .await
            .map_err(unreachable)?;
    if encoding == "UTF8" { Ok(()) } else { Err(OpenError::Encoding { found: encoding }) }
}

/// The process of the server that serves this connection, if it serves no other.
///
/// A pooler that is quiet hands the process that is free to whoever asks next, and one that
/// is busy hands us another one than before. So this asks twice, and in between a second
/// connection asks that holds what it is given inside a transaction.
///
/// By the simple protocol: behind a pooler the statement of a name may be somebody else's.
async fn own_backend(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<i32, sqlx::Error> {
    let before = backend(connection).await?;
    let mut other = options.clone().connect().await?;
    other.execute(sqlx::raw_sql("begin")).await?;
    let of_the_other = backend(&mut other).await?;
    let is_ours = of_the_other != before && backend(connection).await? == before;
    // Ends its transaction too.
    other.close().await?;
    if is_ours { Ok(before) } else { Err(sqlx::Error::Configuration(Pooled.into())) }
}

async fn backend(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    let row = sqlx::raw_sql("/* backend */ select pg_backend_pid()").fetch_one(connection).await?;
    row.try_get(0)
}

/// A standby, or a primary that was demoted, answers reads from the past and no writes.
pub(super) async fn refuse_read_only(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let read_only: bool = sqlx::query_scalar(
        "/* refuse_read_only */ select current_setting('transaction_read_only')::boolean",
    )
    .fetch_one(connection)
    .await?;
    if read_only {
        return Err(sqlx::Error::Configuration("the database is read-only".into()));
    }
    Ok(())
}
