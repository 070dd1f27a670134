//! Databases and files that an earlier version of this program made.

use payment_svc::{
    SCHEMA, migrate,
    simulator::{Simulator, SimulatorConfig},
};
use saga_participant::{Arg, Schema, on_both_databases, testkit::Scratch};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::shop::{Shop, paid};

on_both_databases!(a_database_of_the_first_version_is_brought_up_to_date);

async fn a_database_of_the_first_version_is_brought_up_to_date(scratch: Scratch) {
    const FIRST: Schema = Schema { migrations: SCHEMA.migrations.split_at(1).0, ..SCHEMA };
    let database = scratch.open(&FIRST).await;
    let written = database.write(|mut tx| async move {
        let args = [Arg::Uuid(saga_participant::testkit::new_op_id())];
        tx.execute(
            "insert into payments
                (payment_id, order_no, provider, provider_key, amount_minor, currency, status,
                 created_at_ms)
            values ($1, 'order-0', 'toss', 'pay-0', 5, 'KRW', 'FAILED', 1)",
            &args,
        )
        .await?;
        tx.commit().await
    });
    written.await.unwrap();
    assert_eq!(migrate(&database).await.unwrap(), SCHEMA.migrations.len() - 1);
    assert_eq!(migrate(&database).await.unwrap(), 0);

    let shop = Shop::open(scratch).await;
    shop.bank.payer("imp-1", "order-1", 700).await;
    let op_id = saga_participant::testkit::new_op_id();
    shop.verify(op_id, &paid("imp-1", "order-1", 700)).await.unwrap();
    assert_eq!(shop.audit().await.payments, 2);
}

#[tokio::test]
async fn a_simulators_file_of_the_first_version_keeps_its_books() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bank.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut file = SqliteConnection::connect_with(&options).await.unwrap();
    let first = include_str!("../../src/simulator/schema.sql");
    sqlx::raw_sql(first).execute(&mut file).await.unwrap();
    sqlx::raw_sql(
        "insert into session values ('pay-1', 'order-1', 700, 'KRW', 'CAPTURED', 1, 1, 1, null);
        insert into book values (1, 'pay-1', 'order-1', 'CAPTURE', 700, '', 1);
        pragma user_version = 1",
    )
    .execute(&mut file)
    .await
    .unwrap();
    file.close().await.unwrap();

    let simulator = Simulator::open(&path, SimulatorConfig::default()).await.unwrap();
    assert_eq!(simulator.order_ledger("order-1").await.unwrap().captured_minor, 700);
    simulator.close().await;
    let mut file = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("pragma user_version = 3").execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    let newer = Simulator::open(&path, SimulatorConfig::default()).await.unwrap_err();
    assert!(newer.to_string().contains("schema version 3"), "{newer}");
}
