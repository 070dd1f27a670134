//! Migrations: forward only, embedded in the binary, the kit's and the service's.
//!
//! A program that meets a schema it does not know refuses to serve: an older one has to be
//! migrated, a newer one belongs to a newer program.

use sha2::{Digest, Sha256};

use crate::{
    database::{Arg, Database, Sql, Tx},
    error::OperationError,
    participant::now_ms,
};

/// The tables of one component: the kit, or a service.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Its name in the table `schema_migration`, such as `inventory`. Never changes.
    pub component: &'static str,
    /// Its migrations, numbered from 1 without gaps. Those that were released never change.
    pub migrations: &'static [Migration],
}

/// One step of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its name, for people, such as `0001_items`.
    pub name: &'static str,
    /// Its statements.
    pub script: Sql,
}

/// The kit's own tables.
pub const PARTICIPANT_SCHEMA: Schema = Schema {
    component: "saga_participant",
    migrations: &[
        Migration {
            name: "0001_op_log",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0001_op_log.sql"),
                sqlite: include_str!("../migrations/sqlite/0001_op_log.sql"),
            },
        },
        Migration {
            name: "0002_wire_hash",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0002_wire_hash.sql"),
                sqlite: include_str!("../migrations/sqlite/0002_wire_hash.sql"),
            },
        },
        Migration {
            name: "0003_log_mark",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0003_log_mark.sql"),
                sqlite: include_str!("../migrations/sqlite/0003_log_mark.sql"),
            },
        },
        Migration {
            name: "0004_horizon",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0004_horizon.sql"),
                sqlite: include_str!("../migrations/sqlite/0004_horizon.sql"),
            },
        },
    ],
};

/// Why a schema cannot be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Tables are missing. Run `migrate`.
    #[error(
        "the database lacks {component} migration {version} ({name}); run `migrate`, or \
         `serve --migrate`"
    )]
    Missing {
        /// Whose tables.
        component: &'static str,
        /// The first one that is missing.
        version: usize,
        /// Its name.
        name: &'static str,
    },
    /// A newer program has been here. Use that one.
    #[error(
        "the database is at {component} migration {version}, this program knows {known}; use \
         a newer version of this program"
    )]
    TooNew {
        /// Whose tables.
        component: &'static str,
        /// The newest one in the database.
        version: i64,
        /// The newest one of this program.
        known: usize,
    },
    /// A migration was edited after it was applied. Use the program that applied it.
    #[error(
        "{component} migration {version} in the database is another than this program's; use \
         the version of this program that the database was made with"
    )]
    Changed {
        /// Whose tables.
        component: &'static str,
        /// The one that differs.
        version: i64,
    },
    /// The database of another service. Give each service a database of its own.
    #[error("the database belongs to {other}; give each service a database of its own")]
    Foreign {
        /// The other component.
        other: String,
    },
    /// The database could not be asked.
    #[error("the schema could not be read or changed: {0}")]
    Database(#[from] OperationError),
}

impl From<sqlx::Error> for SchemaError {
    fn from(source: sqlx::Error) -> Self {
        tracing::debug!(error = %source, "schema statement");
        Self::Database(OperationError::Database(source))
    }
}

/// Brings the kit's tables and those of `schema` up to date, all or nothing. Two programs
/// that migrate at once wait for each other. Returns how many migrations were applied.
///
/// # Errors
///
/// [`SchemaError`]; nothing was changed, but for [`OperationError::Unknown`] after a lost
/// commit: run it again.
pub async fn migrate(database: &Database, schema: &Schema) -> Result<usize, SchemaError> {
    let schemas = [PARTICIPANT_SCHEMA, *schema];
    let outcome = database
        .write(move |mut tx| async move {
            let migrated = migrate_all(&mut tx, &schemas).await;
            if migrated.is_ok() {
                tx.commit().await?;
            } else {
                tx.rollback().await;
            }
            Ok(migrated)
        })
        .await;
    outcome?
}

/// Looks whether the kit's tables and those of `schema` are what this program knows.
///
/// # Errors
///
/// [`SchemaError`] says what to do.
pub async fn check(database: &Database, schema: &Schema) -> Result<(), SchemaError> {
    let schemas = [PARTICIPANT_SCHEMA, *schema];
    database.read(move |mut tx| async move { Ok(check_all(&mut tx, &schemas).await) }).await?
}

const CREATE: Sql = Sql {
    // Unlike a lock of the table this one can be taken before the table is there.
    postgres: "/* create_schema_migration */
        select pg_advisory_xact_lock(7310034283826791236);
        create table if not exists schema_migration (
            component text not null,
            version bigint not null,
            name text not null,
            sha256 bytea not null,
            applied_at_ms bigint not null,
            primary key (component, version)
        )",
    sqlite: "/* create_schema_migration */
        create table if not exists schema_migration (
            component text not null,
            version integer not null,
            name text not null,
            sha256 blob not null,
            applied_at_ms integer not null,
            primary key (component, version)
        ) strict",
};

const EXISTS: Sql = Sql {
    postgres: "/* schema_migration_exists */
        select case when to_regclass('schema_migration') is null then 0 else 1 end",
    sqlite: "/* schema_migration_exists */
        select count(*) from sqlite_master where type = 'table' and name = 'schema_migration'",
};

async fn migrate_all(tx: &mut Tx, schemas: &[Schema]) -> Result<usize, SchemaError> {
    tx.script(CREATE).await?;
    refuse_foreign(tx, schemas).await?;
    let postgres = tx.is_postgres();
    let mut applied = 0;
    for schema in schemas {
        let present = present(tx, schema, postgres).await?;
        for (index, migration) in schema.migrations.iter().enumerate().skip(present) {
            tx.script(migration.script).await?;
            tx.execute(
                "/* record_migration */
                insert into schema_migration (component, version, name, sha256, applied_at_ms)
                values ($1, $2, $3, $4, $5)",
                &[
                    Arg::Text(schema.component),
                    Arg::Int(version_of(index)),
                    Arg::Text(migration.name),
                    Arg::Bytes(&fingerprint(migration, postgres)),
                    Arg::Int(now_ms()),
                ],
            )
            .await?;
            applied += 1;
        }
    }
    Ok(applied)
}

async fn check_all(tx: &mut Tx, schemas: &[Schema]) -> Result<(), SchemaError> {
    let exists = tx.row(EXISTS, &[]).await?;
    let exists = exists.map_or(Ok(0), |row| row.int(0))? == 1;
    if exists {
        refuse_foreign(tx, schemas).await?;
    }
    let postgres = tx.is_postgres();
    for schema in schemas {
        let present = if exists { present(tx, schema, postgres).await? } else { 0 };
        if let Some(migration) = schema.migrations.get(present) {
            let (component, name) = (schema.component, migration.name);
            return Err(SchemaError::Missing { component, version: present + 1, name });
        }
    }
    Ok(())
}

/// How many of the component's migrations the database has; they are the program's own.
async fn present(tx: &mut Tx, schema: &Schema, postgres: bool) -> Result<usize, SchemaError> {
    let rows = tx
        .rows(
            "/* present_migrations */
            select version, sha256 from schema_migration where component = $1 order by version",
            &[Arg::Text(schema.component)],
        )
        .await?;
    for (index, row) in rows.iter().enumerate() {
        let (component, version) = (schema.component, row.int(0)?);
        let Some(migration) = schema.migrations.get(index) else {
            return Err(SchemaError::TooNew { component, version, known: schema.migrations.len() });
        };
        if version != version_of(index) || row.bytes(1)? != fingerprint(migration, postgres) {
            return Err(SchemaError::Changed { component, version });
        }
    }
    Ok(rows.len())
}

async fn refuse_foreign(tx: &mut Tx, schemas: &[Schema]) -> Result<(), SchemaError> {
    let rows =
        tx.rows("/* components */ select distinct component from schema_migration", &[]).await?;
    for row in rows {
        let other = row.text(0)?;
        if schemas.iter().all(|schema| schema.component != other) {
            return Err(SchemaError::Foreign { other });
        }
    }
    Ok(())
}

fn version_of(index: usize) -> i64 {
    i64::try_from(index).map_or(i64::MAX, |index| index + 1)
}

fn fingerprint(migration: &Migration, postgres: bool) -> Vec<u8> {
    let text = if postgres { migration.script.postgres } else { migration.script.sqlite };
    Sha256::digest(text.as_bytes()).to_vec()
}
