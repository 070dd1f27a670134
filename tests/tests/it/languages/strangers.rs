//! Servers that are no programs of the shop's: how each is started, and a shop that calls them.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use prost::Message;
use saga_tests::{
    condition::eventually,
    process::{Process, run},
    programs::{python, repository},
    server::free_port,
    shop::{Database, Node, Shop},
};
use tempfile::TempDir;
use tokio::{net::TcpStream, process::Command};
use tonic::{Request, client::Grpc, transport::Endpoint};
use tonic_prost::ProstCodec;

/// A server that is no program of the shop's. It dies with its test.
pub(crate) struct Stranger {
    pub(crate) port: u16,
    pub(crate) process: Process,
    /// The file of its types, where it has no reflection.
    descriptors: Option<PathBuf>,
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
        Self { port, process, descriptors: None }
    }

    /// Python, with its log in `folder`.
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

    /// Node, which remembers nothing over a restart.
    async fn catalogue(port: u16) -> Self {
        let modules = prepared("AMENDS_TEST_NODE_MODULES");
        let mut command = Command::new("node");
        command.env("NODE_PATH", modules).arg(sources().join("node/catalogue.js"));
        command.arg(port.to_string());
        Self::start("catalogue", port, command).await
    }

    /// C++, with its log in memory.
    async fn ledger(port: u16, options: &[&str]) -> Self {
        let mut command = Command::new(built("cpp/ledger"));
        command.arg(port.to_string()).args(options);
        Self::start("ledger", port, command).await
    }

    /// Ruby, with its log in `folder`.
    async fn points(folder: &Path, port: u16) -> Self {
        let mut command = Command::new("ruby");
        command.arg("-I").arg(built("ruby")).arg(sources().join("ruby/points.rb"));
        command.arg(port.to_string()).arg(folder.join("points.store"));
        let descriptors = Some(built("ruby/points.binpb"));
        Self { descriptors, ..Self::start("points", port, command).await }
    }

    /// Go, with its log in memory.
    async fn parcels(port: u16, options: &[&str]) -> Self {
        let mut command = Command::new(built("go/parcels"));
        command.arg(port.to_string()).args(options);
        Self::start("parcels", port, command).await
    }

    /// Java, with its log in memory.
    async fn invoices(port: u16, options: &[&str]) -> Self {
        let mut command = Command::new("java");
        command.current_dir(built("java")).arg("@arguments").arg(port.to_string()).args(options);
        let descriptors = Some(built("java/invoices.binpb"));
        Self { descriptors, ..Self::start("invoices", port, command).await }
    }
}

/// All that `purchase.yaml` calls, but the shop's own.
pub(crate) struct Strangers {
    folder: TempDir,
    pub(crate) wallet: Stranger,
    pub(crate) catalogue: Stranger,
    pub(crate) ledger: Stranger,
    pub(crate) points: Stranger,
    pub(crate) parcels: Stranger,
    pub(crate) invoices: Stranger,
}

/// What servers are told that is not their library's default.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) ledger: &'static [&'static str],
    pub(crate) parcels: &'static [&'static str],
    pub(crate) invoices: &'static [&'static str],
}

impl Strangers {
    pub(crate) async fn start(told: Told) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (wallet, catalogue, ledger, points, parcels, invoices) = tokio::join!(
            Stranger::wallet(folder.path(), free_port()),
            Stranger::catalogue(free_port()),
            Stranger::ledger(free_port(), told.ledger),
            Stranger::points(folder.path(), free_port()),
            Stranger::parcels(free_port(), told.parcels),
            Stranger::invoices(free_port(), told.invoices),
        );
        Self { folder, wallet, catalogue, ledger, points, parcels, invoices }
    }

    /// The shop's orchestrator, which can call all of them.
    pub(crate) async fn open(&self) -> Shop {
        let called = [
            ("wallet", &self.wallet),
            ("catalogue", &self.catalogue),
            ("ledger", &self.ledger),
            ("points", &self.points),
            ("parcels", &self.parcels),
            ("invoices", &self.invoices),
        ];
        open_with(&sources().join("purchase.yaml"), &called).await
    }

    /// Those that forget nothing, or have nothing to remember, are killed and come back.
    pub(crate) async fn restart(&mut self) {
        for it in [&mut self.wallet, &mut self.catalogue, &mut self.points] {
            it.process.kill().await;
        }
        let folder = self.folder.path();
        (self.wallet, self.catalogue, self.points) = tokio::join!(
            Stranger::wallet(folder, self.wallet.port),
            Stranger::catalogue(self.catalogue.port),
            Stranger::points(folder, self.points.port),
        );
    }

    /// What the wallet, the ledger, the points, the parcels and the invoices have for an account.
    pub(crate) async fn totals(&self, account: &str) -> [i64; 5] {
        [
            total(&self.wallet, "/acme.wallet.v1.WalletService/Balance", account).await,
            total(&self.ledger, "/acme.ledger.v1.LedgerService/Total", account).await,
            total(&self.points, "/acme.points.v1.PointsService/Total", account).await,
            total(&self.parcels, "/acme.parcels.v1.ParcelsService/Total", account).await,
            total(&self.invoices, "/acme.invoices.v1.InvoicesService/Total", account).await,
        ]
    }
}

/// The shop's orchestrator, which has this definition too and can call these.
pub(crate) async fn open_with(definition: &Path, strangers: &[(&str, &Stranger)]) -> Shop {
    let mut shop = Shop::closed(Database::Sqlite).await;
    let name = definition.file_name().unwrap();
    fs::copy(definition, shop.definitions().join(name)).unwrap();
    let node = Node::on(&shop.books.log);
    shop.configure_node("orchestrator.toml", &node, |config| {
        for (name, Stranger { port, descriptors, .. }) in strangers {
            config.push_str(&format!(
                "\n[participants.{name}]\naddresses = [\"http://127.0.0.1:{port}\"]\n"
            ));
            if let Some(file) = descriptors {
                config.push_str(&format!("descriptors = \"{}\"\n", file.display()));
            }
        }
    });
    shop.open_services().await;
    shop.orchestrator.start().await;
    shop
}

/// The sources of the participants.
pub(crate) fn sources() -> PathBuf {
    repository().join("tests/participants")
}

/// What `tests/participants/build` made.
fn built(file: &str) -> PathBuf {
    let path = Path::new(&prepared("AMENDS_TEST_PARTICIPANTS")).join(file);
    assert!(path.exists(), "{} is missing: run tests/participants/build", path.display());
    path
}

fn prepared(variable: &str) -> OsString {
    env::var_os(variable).unwrap_or_else(|| panic!("run tests/run, or set {variable}"))
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

/// Any of their messages that name an account.
#[derive(Clone, PartialEq, Message)]
struct Account {
    #[prost(string, tag = "1")]
    name: String,
}

/// Any of their messages that tell a number.
#[derive(Clone, PartialEq, Message)]
struct Total {
    #[prost(int64, tag = "1")]
    total: i64,
}

async fn total(stranger: &Stranger, method: &'static str, account: &str) -> i64 {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", stranger.port)).unwrap();
    let mut client = Grpc::new(endpoint.connect_lazy());
    client.ready().await.unwrap();
    let request = Request::new(Account { name: account.to_owned() });
    let codec = ProstCodec::<Account, Total>::default();
    client.unary(request, method.parse().unwrap(), codec).await.unwrap().into_inner().total
}
