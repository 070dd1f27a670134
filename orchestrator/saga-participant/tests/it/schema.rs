//! Migrations, and the refusal of a schema that the program does not know.

use saga_participant::{
    Limits, Migration, Schema, Sql, on_both_databases, schema, schema::SchemaError,
    testkit::Scratch,
};

const ONE: Migration = step("0001_a", "create table a (id bigint)");
const TWO: Migration = step("0002_b", "create table b (id bigint)");
const OLD: Schema = Schema { component: "shop", migrations: &[ONE] };
const NEW: Schema = Schema { component: "shop", migrations: &[ONE, TWO] };
const EDITED: Schema =
    Schema { component: "shop", migrations: &[step("0001_a", "create table a (id text)")] };
const BROKEN: Schema =
    Schema { component: "shop", migrations: &[ONE, step("0002_x", "create table a (id text)")] };
const OTHER: Schema = Schema { component: "other", migrations: &[ONE] };

/// The kit's own.
const KIT: usize = schema::PARTICIPANT_SCHEMA.migrations.len();

const fn step(name: &'static str, sql: &'static str) -> Migration {
    Migration { name, script: Sql { postgres: sql, sqlite: sql } }
}

on_both_databases!(
    a_schema_is_checked_before_serving,
    a_migration_is_all_or_nothing,
    programs_that_migrate_at_once_wait_for_each_other,
);

async fn a_schema_is_checked_before_serving(scratch: Scratch) {
    let database = scratch.connect(Limits::default()).await;
    let missing = schema::check(&database, &OLD).await.unwrap_err();
    assert!(matches!(
        missing,
        SchemaError::Missing { component: "saga_participant", version: 1, .. }
    ));
    assert!(missing.to_string().contains("run `migrate`"), "{missing}");

    assert_eq!(schema::migrate(&database, &OLD).await.unwrap(), KIT + 1);
    assert_eq!(schema::migrate(&database, &OLD).await.unwrap(), 0);
    schema::check(&database, &OLD).await.unwrap();

    let old = schema::check(&database, &NEW).await.unwrap_err();
    assert!(matches!(old, SchemaError::Missing { component: "shop", version: 2, .. }), "{old}");
    assert_eq!(schema::migrate(&database, &NEW).await.unwrap(), 1);

    let too_new = schema::check(&database, &OLD).await.unwrap_err();
    assert!(matches!(too_new, SchemaError::TooNew { version: 2, known: 1, .. }), "{too_new}");
    assert!(matches!(schema::migrate(&database, &OLD).await, Err(SchemaError::TooNew { .. })));
    let changed = schema::check(&database, &EDITED).await.unwrap_err();
    assert!(matches!(changed, SchemaError::Changed { version: 1, .. }), "{changed}");
    let foreign = schema::check(&database, &OTHER).await.unwrap_err();
    assert_eq!(
        foreign.to_string(),
        "the database belongs to shop; give each service a database of its own"
    );
}

async fn a_migration_is_all_or_nothing(scratch: Scratch) {
    let database = scratch.connect(Limits::default()).await;
    schema::migrate(&database, &BROKEN).await.unwrap_err();
    assert_eq!(schema::migrate(&database, &OLD).await.unwrap(), KIT + 1, "nothing was left behind");
}

async fn programs_that_migrate_at_once_wait_for_each_other(scratch: Scratch) {
    let one = scratch.connect(Limits::default()).await;
    let other = scratch.connect(Limits::default()).await;
    let (one, other) = tokio::join!(schema::migrate(&one, &NEW), schema::migrate(&other, &NEW));
    let mut applied = [one.unwrap(), other.unwrap()];
    applied.sort_unstable();
    assert_eq!(applied, [0, KIT + 2]);
}
