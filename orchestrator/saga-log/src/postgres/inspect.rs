//! What a PostgreSQL database is, in one look.

use std::str::FromStr as _;

use sqlx::{ConnectOptions as _, Connection as _, FromRow, postgres::PgConnectOptions};

use super::{MIGRATOR, schema_version, session};
use crate::{
    inspect::PostgresFacts,
    open::{OpenError, newest, unreachable},
};

#[derive(Debug, FromRow)]
struct Settings {
    version: String,
    encoding: String,
    fsync: bool,
    full_page_writes: bool,
    synchronous_commit: String,
    synchronous_standby_names: String,
    standbys: i64,
    is_standby: bool,
    is_encrypted: bool,
    is_local: bool,
    role: String,
    is_superuser: bool,
    may_create: bool,
    may_write: Option<bool>,
    connections_max: i64,
    connections_reserved: i64,
    role_connections_max: i64,
    clock_ms: i64,
}

/// The settings are those of this very session: roles and databases may have their own.
const SETTINGS: &str = "/* inspect */
    select current_setting('server_version') as version,
        current_setting('server_encoding') as encoding,
        current_setting('fsync')::bool as fsync,
        current_setting('full_page_writes')::bool as full_page_writes,
        current_setting('synchronous_commit') as synchronous_commit,
        current_setting('synchronous_standby_names') as synchronous_standby_names,
        (select count(*) from pg_stat_replication) as standbys,
        pg_is_in_recovery() as is_standby,
        coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)
            as is_encrypted,
        coalesce(inet_client_addr() = inet_server_addr(), true) as is_local,
        current_user::text as role,
        (select rolsuper from pg_roles where rolname = current_user) as is_superuser,
        coalesce(has_schema_privilege(current_schema(), 'create'), false) as may_create,
        (select bool_and(has_table_privilege(to_regclass(name)::oid, needs))
            from (values ('saga', 'select'), ('saga', 'insert'), ('saga', 'update'),
                ('saga_event', 'select'), ('saga_event', 'insert'), ('node', 'select'),
                ('node', 'insert'), ('node', 'update'), ('node', 'delete')) as work (name, needs)
            where to_regclass(name) is not null) as may_write,
        current_setting('max_connections')::bigint as connections_max,
        current_setting('superuser_reserved_connections')::bigint as connections_reserved,
        (select rolconnlimit::bigint from pg_roles where rolname = current_user)
            as role_connections_max,
        floor(extract(epoch from clock_timestamp()) * 1000)::bigint as clock_ms";

pub(crate) async fn inspect(
    url: &str,
    now_ms: impl Fn() -> i64 + Send,
) -> Result<PostgresFacts, OpenError> {
    let connect = PgConnectOptions::from_str(url)
        .map_err(|error| OpenError::UrlInvalid { what: error.to_string() })?
        .application_name("amends doctor");
    let mut connection = connect.connect().await.map_err(unreachable)?;
    let is_pooled = match session::check_database(&mut connection, &connect).await {
        Err(OpenError::Pooled) => true,
        // The encoding is told with everything else.
        Ok(()) | Err(OpenError::Encoding { .. }) => false,
        Err(error) => return Err(error),
    };
    let asked_at_ms = now_ms();
    let seen: Settings =
        sqlx::query_as(SETTINGS).fetch_one(&mut connection).await.map_err(unreachable)?;
    let answered_at_ms = now_ms();
    let schema = schema_version(&mut connection).await?;
    connection.close().await.map_err(unreachable)?;
    Ok(PostgresFacts {
        version: seen.version,
        is_pooled,
        encoding: seen.encoding,
        fsync: seen.fsync,
        full_page_writes: seen.full_page_writes,
        synchronous_commit: seen.synchronous_commit,
        synchronous_standby_names: seen.synchronous_standby_names,
        standbys: seen.standbys,
        is_standby: seen.is_standby,
        is_encrypted: seen.is_encrypted,
        is_local: seen.is_local,
        role: seen.role,
        is_superuser: seen.is_superuser,
        may_create: seen.may_create,
        may_write: seen.may_write,
        connections_max: seen.connections_max,
        connections_reserved: seen.connections_reserved,
        role_connections_max: seen.role_connections_max,
        clock_ms: seen.clock_ms,
        asked_at_ms,
        answered_at_ms,
        schema,
        schema_known: newest(&MIGRATOR),
    })
}
