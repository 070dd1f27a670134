//! One saga over participants in three languages, each a server with its library's defaults:
//! Python with the operation log that `participants.md` shows, Node that knows nothing of
//! sagas, and Rust with the kit.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use saga_proto::saga::v1::SagaState;
use saga_tests::{
    condition::eventually,
    order::MUG,
    process::{Process, run},
    programs::{python, repository},
    sagas::{assert_compensated, assert_completed},
    server::free_port,
    shop::{Database, Node, Shop},
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, process::Command};

use crate::sagactl::sagactl;

/// A server that is no program of the shop's. It dies with its test.
pub(crate) struct Stranger {
    pub(crate) port: u16,
    pub(crate) process: Process,
}

impl Stranger {
    /// Runs `command`, and waits until something listens on `port`.
    pub(crate) async fn start(name: &str, port: u16, command: Command) -> Self {
        let mut process = Process::start(name, command);
        eventually(name, async || {
            process.assert_running().await;
            TcpStream::connect(("127.0.0.1", port)).await.ok().map(drop)
        })
        .await;
        Self { port, process }
    }

    /// The wallet, with its log in `folder`.
    async fn wallet(folder: &Path, port: u16) -> Self {
        let generated = folder.join("generated");
        if !generated.exists() {
            generate(&generated).await;
        }
        let mut command = Command::new(python());
        command.env("PYTHONPATH", &generated).arg(sources().join("python/participant.py"));
        command.arg(port.to_string()).arg(folder.join("wallet.db"));
        Self::start("wallet", port, command).await
    }

    /// The catalogue, which remembers nothing over a restart.
    async fn catalogue(port: u16) -> Self {
        let modules = env::var_os("AMENDS_TEST_NODE_MODULES")
            .expect("no Node: run tests/run, or set AMENDS_TEST_NODE_MODULES");
        let mut command = Command::new("node");
        command.env("NODE_PATH", modules).arg(sources().join("node/catalogue.js"));
        command.arg(port.to_string());
        Self::start("catalogue", port, command).await
    }
}

fn sources() -> PathBuf {
    repository().join("tests/participants")
}

/// The Python types of the wallet and of `ParticipantService`.
async fn generate(to: &Path) {
    fs::create_dir(to).unwrap();
    let mut protoc = Command::new(python());
    protoc.args(["-m", "grpc_tools.protoc", "-I"]).arg(repository().join("proto"));
    protoc.arg("-I").arg(sources().join("python")).arg("--python_out").arg(to);
    protoc.args(["saga/participant/v1/participant.proto", "wallet.proto"]);
    let finished = run(protoc).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

/// The shop's orchestrator, which can call both.
async fn open(wallet: &Stranger, catalogue: &Stranger) -> Shop {
    let purchase = sources().join("purchase.yaml");
    open_with(&purchase, &[("wallet", wallet), ("catalogue", catalogue)]).await
}

/// The shop's orchestrator, which has this definition too and can call these.
pub(crate) async fn open_with(definition: &Path, strangers: &[(&str, &Stranger)]) -> Shop {
    let mut shop = Shop::closed(Database::Sqlite).await;
    let name = definition.file_name().unwrap();
    fs::copy(definition, shop.definitions().join(name)).unwrap();
    let node = Node::on(&shop.books.log);
    shop.configure_node("orchestrator.toml", &node, |config| {
        for (name, Stranger { port, .. }) in strangers {
            config.push_str(&format!(
                "\n[participants.{name}]\naddresses = [\"http://127.0.0.1:{port}\"]\n"
            ));
        }
    });
    shop.open_services().await;
    shop.orchestrator.start().await;
    shop
}

fn input(number: u32, item: &str, amount: i64, qty: i64) -> Value {
    let (order, account) = (format!("order-{number}"), format!("account-{number}"));
    json!({ "order": order, "item": item, "account": account, "amount": amount, "qty": qty })
}

#[tokio::test]
async fn a_saga_over_python_node_and_rust_is_done_or_undone_whoever_dies() {
    let folder = tempfile::tempdir().unwrap();
    let (mut wallet, mut catalogue) = tokio::join!(
        Stranger::wallet(folder.path(), free_port()),
        Stranger::catalogue(free_port())
    );
    let shop = open(&wallet, &catalogue).await;

    let saga = shop.run_saga("purchase", "order-1", &input(1, "lamp", 300, 1)).await;
    assert_completed(&saga);
    // Refused by each of them: by Node, by Python, and by Rust at last.
    let taken = shop.run_saga("purchase", "order-2", &input(2, "lamp", 300, 1)).await;
    assert_compensated(&taken, "HELD");
    let poor = shop.run_saga("purchase", "order-3", &input(3, "desk", 5_000, 1)).await;
    assert_compensated(&poor, "TOO_LITTLE");
    let gone = shop.run_saga("purchase", "order-4", &input(4, "desk", 300, 100_000)).await;
    assert_compensated(&gone, "OUT_OF_STOCK");
    assert_eq!(balances(folder.path(), &wallet, 4).await, [700, 1_000, 1_000, 1_000]);

    // Both go away with sagas under way, and come back.
    for number in 5..25 {
        let input = input(number, &format!("item-{number}"), 100, 1);
        shop.start_saga("purchase", &format!("order-{number}"), &input).await.unwrap();
    }
    wallet.process.kill().await;
    catalogue.process.kill().await;
    wallet = Stranger::wallet(folder.path(), wallet.port).await;
    catalogue = Stranger::catalogue(catalogue.port).await;
    for number in 5..25 {
        let saga = shop.ended(&format!("order-{number}")).await;
        assert_eq!(saga.state(), SagaState::Completed, "{}", saga.why);
    }
    assert_eq!(balances(folder.path(), &wallet, 24).await[4..], [900; 20]);
    assert_eq!(shop.stock(MUG).await, (MUG.initial_stock - 21, 0, 21));
    catalogue.process.assert_running().await;
}

#[tokio::test]
async fn the_wallet_that_participants_md_shows_breaks_no_rule() {
    let folder = tempfile::tempdir().unwrap();
    let (wallet, catalogue) = tokio::join!(
        Stranger::wallet(folder.path(), free_port()),
        Stranger::catalogue(free_port())
    );
    let shop = open(&wallet, &catalogue).await;
    let of = |amount: i64| {
        json!({
            "order": "check-{n}", "item": "item-{n}", "account": "account-{n}",
            "amount": amount, "qty": 1,
        })
        .to_string()
    };
    let (accepted, refused) = (of(100), of(5_000));
    let finished = sagactl(
        &shop,
        &[
            &["service", "check", "wallet", "--definition", "purchase", "--input", &accepted][..],
            &["--refused-input", &refused, "--observe", "Balance"],
            &["--observe-input", r#"{"account": "account-{n}"}"#, "--observe-field", "balance"],
            &["--yes", "-o", "json"],
        ]
        .concat(),
    )
    .await;

    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    let reply: Value = serde_json::from_str(&finished.stdout).unwrap();
    let verdicts = |verdict: &str| {
        reply["rules"].as_array().unwrap().iter().filter(|it| it["verdict"] == verdict).count()
    };
    assert_eq!(verdicts("RULE_VERDICT_FAIL"), 0, "{reply:#}");
    assert_eq!(verdicts("RULE_VERDICT_NOT_OBSERVED"), 0, "{reply:#}");
    assert_eq!(verdicts("RULE_VERDICT_PASS"), 34, "{reply:#}");
}

/// What `participants.md` shows is the file that the tests run.
#[test]
fn participants_md_shows_the_whole_wallet() {
    let page = fs::read_to_string(repository().join("orchestrator/docs/participants.md")).unwrap();
    for file in ["python/participant.py", "python/wallet.proto"] {
        let text = fs::read_to_string(sources().join(file)).unwrap();
        assert!(page.contains(text.trim()), "participants.md does not show {file}");
    }
}

/// What the accounts of the first purchases have.
async fn balances(folder: &Path, wallet: &Stranger, purchases: u32) -> Vec<i64> {
    let script = "import sys, grpc, wallet_pb2 as w
channel = grpc.insecure_channel('127.0.0.1:' + sys.argv[1])
balance = channel.unary_unary('/acme.wallet.v1.WalletService/Balance',
    w.BalanceRequest.SerializeToString, w.BalanceResponse.FromString)
for n in range(1, int(sys.argv[2]) + 1):
    print(balance(w.BalanceRequest(account=f'account-{n}'), timeout=20).balance)";
    let mut command = Command::new(python());
    command.env("PYTHONPATH", folder.join("generated")).args(["-c", script]);
    command.args([wallet.port.to_string(), purchases.to_string()]);
    let finished = run(command).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    finished.stdout.lines().map(|line| line.parse().unwrap()).collect()
}
