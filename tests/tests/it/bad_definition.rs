//! Definitions that are wrong: an orchestrator that is to be strict does not start, and its
//! report names the file and the line, and says what to write instead.

use std::fs;

use std::os::unix::fs::symlink;

use saga_tests::{
    condition::eventually,
    process::run,
    programs,
    shop::{Database, Shop},
};

/// A definition of one step, with what is replaced in it below.
const SOUND: &str = r#"kind: Saga
name: take
version: 1
input: shop.inventory.v1.ReserveRequest
steps:
  - name: reserve
    action:
      call: inventory/shop.inventory.v1.InventoryService/Reserve
      request:
        order_no: input.order_no
        lines: input.lines
      timeout: 2s
    compensation:
      call: inventory/shop.inventory.v1.InventoryService/Release
      request:
        reserve_op_id: op("reserve")
      timeout: 2s
    on_unknown: resolve
  - name: sell
    pivot: true
    action:
      call: inventory/shop.inventory.v1.InventoryService/Commit
      request:
        reserve_op_id: op("reserve")
      timeout: 2s
    on_unknown: resolve
"#;

/// The orchestrator of a pipeline, which is to notice.
fn strict(shop: &Shop) -> tokio::process::Command {
    let mut command = shop.orchestrator.command();
    command.arg("--strict-definitions");
    command
}

#[tokio::test]
async fn a_wrong_definition_stops_the_start_with_file_line_and_remedy() {
    let mut shop = Shop::closed(Database::Sqlite).await;
    let folder = shop.definitions();
    shop.forget_definitions();
    let file = folder.join("take.yaml");
    shop.inventory.start().await;

    // What is replaced, by what, the line that is named, and what is told.
    let cases = [
        ("order_no: input.order_no", "order_nr: input.order_no", 10, "order_no"),
        ("input.lines", "input.lyness", 11, "lyness"),
        ("InventoryService/Reserve\n", "InventoryService/Reserv\n", 8, "Reserve"),
        ("pivot: true", "pivot: true\n    after: [reserv]", 21, "reserve"),
        ("timeout: 2s\n    comp", "timeout: soon\n    comp", 12, "2s"),
        ("version: 1", "version: one", 3, "version"),
        ("order_no: input.order_no", "order_no: input.lines", 10, "string"),
        ("op(\"reserve\")", "op(\"reserve", 16, "reserve_op_id"),
        // Corrupt YAML.
        ("steps:", "steps: [", 6, "quote expressions"),
        ("    action:", "\taction:", 6, "found a tab"),
    ];
    for (from, to, line, told) in cases {
        let broken = SOUND.replacen(from, to, 1);
        assert_ne!(broken, SOUND, "{from:?} is not in the definition");
        fs::write(&file, &broken).unwrap();

        let finished = run(strict(&shop)).await;

        let said = finished.stderr;
        assert_eq!(finished.code, Some(1), "{to:?}: {said}");
        for told in ["take.yaml", &format!(":{line}:"), told] {
            assert!(said.contains(told), "{to:?} should tell {told:?}: {said}");
        }
        assert!(said.contains("help:"), "{to:?} should tell a remedy: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }

    // Bytes that are no text, and nothing at all.
    for bytes in [&b"\xff\xfe\x00kind"[..], b""] {
        fs::write(&file, bytes).unwrap();
        let finished = run(strict(&shop)).await;
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains("take.yaml"), "{}", finished.stderr);
    }

    // Nothing of this was stored: the sound one is the first version.
    fs::write(&file, SOUND).unwrap();
    shop.orchestrator.start().await;
    shop.orchestrator.process().says("definition registered").await;
}

#[tokio::test]
async fn a_definition_that_calls_a_participant_nobody_knows_stops_the_start() {
    let shop = Shop::closed(Database::Sqlite).await;
    let folder = shop.definitions();
    shop.forget_definitions();
    fs::write(folder.join("take.yaml"), SOUND.replace("inventory/", "inventry/")).unwrap();

    let finished = run(strict(&shop)).await;

    let said = finished.stderr;
    assert_eq!(finished.code, Some(1), "{said}");
    assert!(said.contains("participant inventry is not configured"), "{said}");
    assert!(said.contains("add it under [participants]"), "{said}");
}

#[tokio::test]
async fn a_stored_version_never_changes() {
    let mut shop = Shop::closed(Database::Sqlite).await;
    let folder = shop.definitions();
    shop.forget_definitions();
    let file = folder.join("take.yaml");
    fs::write(&file, SOUND).unwrap();
    shop.inventory.start().await;
    shop.orchestrator.start().await;
    shop.orchestrator.stop().await;

    fs::write(&file, SOUND.replace("timeout: 2s", "timeout: 3s")).unwrap();
    let finished = run(strict(&shop)).await;

    let said = finished.stderr;
    assert_eq!(finished.code, Some(1), "{said}");
    assert!(said.contains("take version 1 is stored with other contents"), "{said}");
    // Without being told to stop, it serves what is stored, and says what it refuses.
    shop.orchestrator.start().await;
    shop.orchestrator.process().says("a definition is refused").await;
    shop.orchestrator.stop().await;

    fs::write(&file, SOUND.replace("version: 1", "version: 2")).unwrap();
    shop.orchestrator.start().await;
}

/// As Kubernetes exchanges what a ConfigMap holds: each file is a link into a folder that is
/// exchanged as a whole.
#[tokio::test]
async fn a_folder_is_read_again_while_the_orchestrator_runs() {
    let mut shop = Shop::closed(Database::Sqlite).await;
    let folder = shop.definitions();
    shop.forget_definitions();
    let exchange = |name: &str, text: &str| {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("take.yaml"), text).unwrap();
        symlink(name, folder.join("..new")).unwrap();
        fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    };
    exchange("..1", &SOUND.replace("input.lines", "input.lyness"));
    symlink("..data/take.yaml", folder.join("take.yaml")).unwrap();
    shop.inventory.start().await;
    shop.orchestrator.start().await;
    let told = server_info(&shop).await;
    assert!(told.contains("take.yaml: the definition is not valid"), "{told}");

    exchange("..2", SOUND);

    shop.orchestrator.process().says("definition registered").await;
    eventually("what was refused is taken back", async || {
        (!server_info(&shop).await.contains("take.yaml")).then_some(())
    })
    .await;

    exchange("..3", &SOUND.replace("timeout: 2s", "timeout: 3s"));
    shop.orchestrator.process().says("stored with other contents").await;
    fs::remove_file(folder.join("take.yaml")).unwrap();
    eventually("what is gone is not refused", async || {
        (!server_info(&shop).await.contains("take.yaml")).then_some(())
    })
    .await;
}

async fn server_info(shop: &Shop) -> String {
    let mut command = programs::command("sagactl");
    let server = shop.orchestrator.address().to_string();
    command.args(["--address", &server, "server", "info", "-o", "json"]);
    let told = run(command).await;
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    told.stdout
}
