//! The operator's command line against a real orchestrator: what it says, and the status
//! with which it ends.

use std::fs;

use orchestrator::definition::ScenarioFile;
use saga_proto::saga::v1::SagaState;
use saga_tests::{
    condition::eventually,
    order::{LAMP, MUG, Order},
    process::{Finished, run},
    programs,
    server::{Protocol, Server},
    shop::{Database, Shop},
};
use serde_json::Value;

#[tokio::test]
async fn sagas_are_started_and_looked_at() {
    let shop = Shop::open(Database::Sqlite).await;
    let order = Order::of("order-1", 2, MUG);
    shop.authenticate(&order).await;
    let (key, input) = (order.business_key.as_str(), order.json());

    let start = ["saga", "start", "place-order", "--key", key, "--input", &input];
    let started = sagactl(&shop, &[&start[..], &["--wait", "30s", "-o", "json"]].concat()).await;
    assert_eq!(started.code, Some(0), "{}", started.stderr);
    let reply: Value = serde_json::from_str(&started.stdout).unwrap();
    assert_eq!(reply["saga"]["state"], "SAGA_STATE_COMPLETED");
    let id = reply["saga"]["sagaId"].as_str().unwrap();

    // From a file, again: the same saga.
    let file = shop.books.folder.join("input.json");
    fs::write(&file, &input).unwrap();
    let from_file = format!("@{}", file.display());
    let again = ["saga", "start", "place-order", "--key", key, "--input", &from_file, "-o", "id"];
    assert_eq!(said(&shop, &again).await.trim(), id);

    for name in [key, id] {
        let one = said(&shop, &["saga", "get", name]).await;
        assert!(one.contains(key) && one.to_lowercase().contains("completed"), "{one}");
    }
    let list = said(&shop, &["saga", "list", "--state", "completed"]).await;
    assert!(list.contains(key), "{list}");
    let none = said(&shop, &["saga", "list", "--state", "compensated", "-o", "id"]).await;
    assert_eq!(none, "");
    let found = |label: &'static str| {
        let words = ["saga", "list", "--label", label, "--filter", "ended", "-o", "id"];
        let shop = &shop;
        async move { said(shop, &words).await }
    };
    assert_eq!(found("customer=customer-1").await.trim(), id);
    assert_eq!(found("customer=customer-2").await, "");
    let counted = ["saga", "list", "--older-than", "0s", "--label", "customer=customer-1"];
    let counted = said(&shop, &[&counted[..], &["--count"]].concat()).await;
    assert_eq!(counted, "1 saga\n");
    let wrong = sagactl(&shop, &["saga", "list", "--filter", "state == 'DONE'"]).await;
    assert_eq!(wrong.code, Some(1), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("FILTER_INVALID") && wrong.stderr.contains("STUCK"), "{wrong:?}");
    let described = said(&shop, &["saga", "describe", key]).await;
    for step in ["reserve_stock", "verify_payment", "insert_order", "commit_stock", "grant_credit"]
    {
        assert!(described.contains(step), "{step}: {described}");
    }
    let log = said(&shop, &["saga", "log", key, "-o", "jsonl"]).await;
    let events: Vec<Value> = log.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(events.len(), shop.events(key).await.len());
    assert!(!log.contains("customer-1"), "a payload was shown: {log}");
    assert!(said(&shop, &["saga", "wait", key]).await.contains(key));
    assert!(said(&shop, &["stuck"]).await.contains("nothing needs you"));
    assert!(said(&shop, &["definition", "list"]).await.contains("place-order"));
    assert!(said(&shop, &["definition", "get", "place-order@5"]).await.contains("kind: Saga"));
    said(&shop, &["server", "health"]).await;
    said(&shop, &["server", "info"]).await;
    shop.assert_integrity(&[order]).await;
}

#[tokio::test]
async fn exit_codes_tell_scripts_what_happened() {
    let mut shop = Shop::open(Database::Sqlite).await;
    let order = Order::of("order-1", LAMP.initial_stock + 1, LAMP);
    shop.authenticate(&order).await;
    let input = order.json();
    let start = ["saga", "start", "place-order", "--key", "order-1", "--input"];
    let other = Order::of("order-1", 1, LAMP).json();

    let broken = shop.books.folder.join("broken.yaml");
    let definition = fs::read_to_string(shop.definitions().join("place-order.yaml"));
    let definition = definition.unwrap().replace("order_no: input.order_no", "order_no: 5");
    fs::write(&broken, definition).unwrap();
    let broken = broken.to_str().unwrap();

    let cases: [(Vec<&str>, i32, &str); 12] = [
        ([&start[..], &[&input, "--wait", "30s"]].concat(), 8, "OUT_OF_STOCK"),
        (vec!["saga", "wait", "order-1"], 8, "order-1"),
        ([&start[..], &[&other]].concat(), 6, "BUSINESS_KEY_REUSED"),
        (vec!["saga", "get", "order-9"], 5, "SAGA_NOT_FOUND"),
        (vec!["saga", "cancel", "order-1", "--yes"], 6, "order-1"),
        (vec!["saga", "gett", "order-1"], 2, "get"),
        ([&start[..], &["{ not json"]].concat(), 2, "not JSON"),
        (vec!["saga", "start", "place-order", "--key", "k", "--input", r#"{"x":1}"#], 1, "x"),
        (vec!["saga", "start", "place-oder", "--key", "k", "--input", "{}"], 5, "sagactl"),
        (vec!["definition", "check", broken], 1, "help"),
        (vec!["definition", "apply", "-f", broken], 1, "DEFINITION_INVALID"),
        (vec!["help", "OUTCOME_UNKNOWN"], 0, "OUTCOME_UNKNOWN"),
    ];
    for (arguments, code, told) in cases {
        let finished = sagactl(&shop, &arguments).await;
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert_eq!(finished.code, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?} should tell {told:?}: {said}");
    }

    shop.orchestrator.kill().await;
    let finished = sagactl(&shop, &["saga", "list", "--timeout", "2s"]).await;
    assert_eq!(finished.code, Some(7), "{}", finished.stderr);
    let address = shop.orchestrator.address().to_string();
    assert!(finished.stderr.contains(&address), "{}", finished.stderr);
}

#[tokio::test]
async fn a_stuck_saga_is_explained_and_goes_on_once_it_is_mended() {
    let mut shop = Shop::open(Database::Sqlite).await;
    // Somebody put the wrong service behind the address of the orders.
    shop.order.kill().await;
    let mut wrong = Server::new("inventory-svc", Protocol::Grpc);
    let listen = shop.order.address().to_string();
    let database = format!("sqlite://{}", shop.books.folder.join("wrong.db").display());
    let arguments = ["serve", "--migrate", "--listen", &listen, "--database-url", &database];
    wrong.arguments = arguments.map(str::to_owned).to_vec();
    wrong.launch();
    wrong.process().says("inventory-svc serves").await;
    let order = Order::of("order-1", 1, MUG);
    shop.authenticate(&order).await;
    let input = order.json();

    let start = ["saga", "start", "place-order", "--key", "order-1", "--input", &input];
    said(&shop, &start).await;
    let waited = sagactl(&shop, &["saga", "wait", "order-1", "--timeout", "30s"]).await;
    assert_eq!(waited.code, Some(9), "{}{}", waited.stdout, waited.stderr);

    let told = ["1 saga needs a person", "WIRING_FAULT", "AcceptOrder", "order-1", "try:"];
    shows(&shop, &["stuck"], &told).await;
    let stuck = ["saga", "list", "--state", "stuck", "-o", "jsonl"];
    shows(&shop, &stuck, &["WIRING_FAULT"]).await;
    let told = ["WIRING_FAULT", "accept_order", "METHOD_UNKNOWN", "sagactl saga retry order-1"];
    shows(&shop, &["saga", "describe", "order-1"], &told).await;
    // A change needs consent.
    let refused = sagactl(&shop, &["saga", "retry", "order-1", "--actor", "ann"]).await;
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);

    wrong.kill().await;
    shop.order.start().await;
    let reason = ["--actor", "ann", "--reason", "the address was wrong", "--yes"];
    said(&shop, &[&["saga", "retry", "order-1"], &reason[..]].concat()).await;

    let waited = sagactl(&shop, &["saga", "wait", "order-1", "--timeout", "30s"]).await;
    assert_eq!(waited.code, Some(0), "{}{}", waited.stdout, waited.stderr);
    assert_eq!(shop.ended("order-1").await.state(), SagaState::Completed);
    let log = said(&shop, &["saga", "log", "order-1"]).await;
    assert!(log.contains("ann") && log.contains("the address was wrong"), "{log}");
    assert!(said(&shop, &["stuck"]).await.contains("nothing needs you"));
    shop.assert_integrity(&[order]).await;
}

#[tokio::test]
async fn the_shipped_definitions_have_nothing_to_be_said_about() {
    let shop = Shop::open(Database::Sqlite).await;
    let folder = programs::repository().join("deploy/definitions");
    let mut checked = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if ScenarioFile::is_named(path.to_str().unwrap()) || path.ends_with("Kustomization") {
            continue; // A scenario is played by the tests of sagactl; the other is for clusters.
        }
        let finished = sagactl(&shop, &["definition", "check", path.to_str().unwrap()]).await;
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert_eq!(finished.code, Some(0), "{}: {said}", path.display());
        // A quote changes nothing: that nothing undoes it is said, and nothing else.
        let quotes = path.ends_with("place-pending-order.yaml");
        let expected = usize::from(quotes);
        assert_eq!(said.matches("help:").count(), expected, "{said}");
        let told = "step quote stays as it is when the saga turns back";
        assert_eq!(said.matches(told).count(), expected, "{said}");
        checked += 1;
    }
    assert_eq!(checked, 10);
}

/// What a command that succeeds writes to standard output.
async fn said(shop: &Shop, arguments: &[&str]) -> String {
    let finished = sagactl(shop, arguments).await;
    assert_eq!(finished.code, Some(0), "{arguments:?}: {}", finished.stderr);
    finished.stdout
}

/// Asks until everything is told: a saga that is stuck calls again by itself, and counts as
/// under way while it does.
async fn shows(shop: &Shop, arguments: &[&str], told: &[&str]) {
    let what = format!("{arguments:?} shows {told:?}");
    eventually(&what, async || {
        let text = said(shop, arguments).await;
        told.iter().all(|it| text.contains(it)).then_some(())
    })
    .await;
}

pub(crate) async fn sagactl(shop: &Shop, arguments: &[&str]) -> Finished {
    let mut command = programs::command("sagactl");
    command.env("SAGACTL_ADDRESS", shop.orchestrator.url()).env("USER", "tester").args(arguments);
    run(command).await
}
