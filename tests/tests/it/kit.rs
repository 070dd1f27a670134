//! A service of one's own: the kit's example, which knows nothing of the shop, and what
//! `sagactl service new` writes.

use std::{fs, path::Path};

use saga_proto::saga::v1::SagaState;
use saga_tests::{
    process::run,
    programs::{command, python, repository},
    sagas::{assert_compensated, assert_completed},
    server::free_port,
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    languages::{Stranger, open_with},
    sagactl::sagactl,
};

/// The example, with its database in `folder`.
async fn shipping(folder: &Path, port: u16) -> Stranger {
    let mut shipping = command("shipping");
    let database = format!("sqlite://{}", folder.join("shipping.db").display());
    shipping.args(["serve", "--migrate", "--database-url", &database]);
    shipping.args(["--listen", &format!("127.0.0.1:{port}")]);
    Stranger::start("shipping", port, shipping).await
}

#[tokio::test]
async fn a_service_with_contracts_of_its_own_is_called_and_certified() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut service = shipping(folder.path(), port).await;
    let ship = repository().join("examples/shipping/ship.yaml");
    let shop = open_with(&ship, &[("shipping", &service)]).await;
    let input = |order: &str, address: &str| json!({ "order_no": order, "address": address });

    assert_completed(&shop.run_saga("ship", "first", &input("order-1", "12 Mill Lane")).await);
    let nowhere = shop.run_saga("ship", "second", &input("order-2", "")).await;
    assert_compensated(&nowhere, "INPUT_INVALID");
    let twice = shop.run_saga("ship", "third", &input("order-1", "13 Mill Lane")).await;
    assert_compensated(&twice, "SHIPPED_ALREADY");
    service.process.kill().await;
    shop.start_saga("ship", "fourth", &input("order-4", "14 Mill Lane")).await.unwrap();
    service = shipping(folder.path(), port).await;
    assert_eq!(shop.ended("fourth").await.state(), SagaState::Completed);

    let accepted = r#"{"orderNo": "check-{n}", "address": "12 Mill Lane"}"#;
    let refused = r#"{"orderNo": "check-{n}", "address": ""}"#;
    let order = r#"{"orderNo": "check-{n}"}"#;
    let arguments = [
        &["service", "check", "shipping", "--definition", "ship", "--input", accepted][..],
        &["--refused-input", refused, "--observe", "GetShipment", "--observe-input", order],
        &["--observe-field", "shipments", "--yes", "-o", "json"],
    ];
    let finished = sagactl(&shop, &arguments.concat()).await;
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    let reply: Value = serde_json::from_str(&finished.stdout).unwrap();
    let verdicts = |verdict: &str| {
        reply["rules"].as_array().unwrap().iter().filter(|it| it["verdict"] == verdict).count()
    };
    assert_eq!(verdicts("RULE_VERDICT_FAIL"), 0, "{reply:#}");
    assert!(20 < verdicts("RULE_VERDICT_PASS"), "{reply:#}");
    service.process.assert_running().await;
}

/// Runs `sagactl service new`, which needs no server. Answers its exit code and what it said.
async fn begin(arguments: &[&str]) -> (Option<i32>, String) {
    let mut new = command("sagactl");
    new.args(["service", "new"]).args(arguments);
    let finished = run(new).await;
    (finished.code, finished.stdout + &finished.stderr)
}

/// Under its own name, what is written in Rust is the example, which is built and tested.
#[tokio::test]
async fn a_new_service_in_rust_is_the_example_under_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().to_str().unwrap();
    let kit = repository().join("orchestrator/saga-participant");
    let kit = kit.to_str().unwrap();
    let at = ["--kit", kit, "--into", into];
    let same = [&["shipping", "--package", "acme.shipping.v1"][..], &at].concat();
    assert_eq!(begin(&same).await.0, Some(0));
    let example = repository().join("examples/shipping");
    for file in [
        "build.rs",
        "proto/acme/shipping/v1/shipping.proto",
        "src/main.rs",
        "src/tables.sql",
        "ship.yaml",
    ] {
        let read = |folder: &Path| fs::read_to_string(folder.join(file)).unwrap();
        assert_eq!(read(&folder.path().join("shipping")), read(&example), "{file}");
    }

    assert_eq!(begin(&[&["stock-keeping"][..], &at].concat()).await.0, Some(0));
    let made = folder.path().join("stock-keeping");
    let main = fs::read_to_string(made.join("src/main.rs")).unwrap();
    let contract = fs::read_to_string(made.join("proto/stock_keeping/v1/stock_keeping.proto"));
    assert!(contract.unwrap().contains("service StockKeepingService {"));
    assert!(main.contains("NAME: &'static str = \"stock-keeping\""), "{main}");
    assert!(!main.to_lowercase().contains("shipping"), "{main}");
    let manifest = fs::read_to_string(made.join("Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("{{ path = \"{kit}\" }}")), "{manifest}");
    versions_are_ours(&manifest);

    // Nobody's work is written over, and a name has to be one.
    let (code, said) = begin(&[&["stock-keeping"][..], &at].concat()).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("choose another name"), "{said}");
    let (code, said) = begin(&[&["Stock Keeping"][..], &at].concat()).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("\"Stock Keeping\" is no name of a service"), "{said}");
    let (code, said) = begin(&["other", "--kit", into, "--into", into]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("the kit is not there"), "{said}");
}

/// Every dependency is asked for in the version that the workspace has.
fn versions_are_ours(manifest: &str) {
    let workspace = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let (_, dependencies) = manifest.split_once("[dependencies]").unwrap();
    let named = dependencies.lines().filter_map(|line| line.split_once(" = "));
    for (name, wanted) in named.filter(|(_, wanted)| !wanted.contains("path")) {
        let ours = workspace.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")));
        let version = |text: &str| text.split('"').nth(1).unwrap().to_owned();
        assert_eq!(version(wanted), version(ours.unwrap()), "{name}");
    }
}

/// It runs as it is written, with what its README says.
#[tokio::test]
async fn a_new_service_in_python_runs() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().to_str().unwrap();
    let (code, said) = begin(&["purse", "--lang", "python", "--into", into]).await;
    assert_eq!(code, Some(0), "{said}");
    let made = folder.path().join("purse");
    let mut protoc = Command::new(python());
    protoc.current_dir(&made).args(["-m", "grpc_tools.protoc", "-I", ".", "--python_out", "."]);
    protoc.args(["saga/participant/v1/participant.proto", "purse.proto"]);
    let generated = run(protoc).await;
    assert_eq!(generated.code, Some(0), "{}", generated.stderr);
    let port = free_port();
    let mut purse = Command::new(python());
    purse.current_dir(&made).args(["participant.py", &port.to_string(), "purse.db"]);
    Stranger::start("purse", port, purse).await;
    let text = fs::read_to_string(made.join("participant.py")).unwrap();
    assert!(text.contains("\"purse.v1.PurseService\": {"), "{text}");
}
