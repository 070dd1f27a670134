//! A client in another language that knows nothing but the server's reflection.

use saga_tests::{
    order::{LAMP, MUG, Order},
    process::{Finished, run},
    programs::{python, repository},
    shop::{Database, Shop},
};
use serde_json::Value;
use tokio::process::Command;

#[tokio::test]
async fn a_python_client_starts_a_saga_and_reads_its_events() {
    let shop = Shop::open(Database::Sqlite).await;
    let order = Order::of("order-1", 2, MUG);
    shop.authenticate(&order).await;

    let finished = client(&shop, &order.business_key, &order.json()).await;

    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let lines: Vec<Value> =
        finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["saga"]["state"], "SAGA_STATE_COMPLETED");
    assert_eq!(lines[0]["saga"]["businessKey"], "order-1");
    let events: Vec<&Value> = lines[1..].iter().map(|line| &line["event"]).collect();
    for step in ["reserve_stock", "verify_payment", "insert_order", "commit_stock"] {
        let of_step = events.iter().filter(|it| it["step"] == step);
        assert!(2 <= of_step.count(), "{step}: {events:#?}");
    }
    let versions: Vec<u64> =
        events.iter().map(|it| it["version"].as_str().unwrap().parse().unwrap()).collect();
    assert!(versions.is_sorted(), "{versions:?}");
    shop.assert_integrity(&[order]).await;
}

#[tokio::test]
async fn a_python_client_sees_refusals() {
    let shop = Shop::open(Database::Sqlite).await;
    let order = Order::of("order-1", LAMP.initial_stock + 1, LAMP);
    shop.authenticate(&order).await;

    let finished = client(&shop, &order.business_key, &order.json()).await;
    assert_eq!(finished.code, Some(8), "{}", finished.stderr);
    assert!(finished.stdout.contains("OUT_OF_STOCK"), "{}", finished.stdout);

    let finished = client(&shop, "order-2", r#"{ "orderNr": "x" }"#).await;
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    assert!(finished.stderr.starts_with("error: INVALID_ARGUMENT"), "{}", finished.stderr);
}

async fn client(shop: &Shop, key: &str, input: &str) -> Finished {
    let mut client = Command::new(python());
    client
        .arg(repository().join("tests/python/client.py"))
        .arg(shop.orchestrator.address().to_string())
        .args(["place-order", key, input]);
    run(client).await
}
