//! The whole shop as processes: the orchestrator, three services and the payment
//! provider, each the real program.

use std::{env, fmt::Write as _, fs, path::PathBuf, process};

use saga_demo::{
    books::{Books, Earlier},
    definition,
};
use shop_proto::inventory::v1::{
    ItemStatus, PutItemRequest, inventory_service_client::InventoryServiceClient,
};
use tempfile::TempDir;
use tokio::join;
use tonic::Request;
use uuid::Uuid;

use crate::{
    order::{CURRENCY, ITEMS, OWNER},
    server::{Protocol, Server},
};

/// Names the server of PostgreSQL on which tests make databases.
const POSTGRES_URL: &str = "AMENDS_TEST_POSTGRES_URL";

/// Where the shop keeps its books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// Files in a folder of the test.
    Sqlite,
    /// Databases of the test on the server of the tests.
    Postgres,
}

/// The shop. Everything that it started is killed when it is dropped.
#[derive(Debug)]
pub struct Shop {
    /// The simulated payment provider.
    pub provider: Server,
    /// The inventory service.
    pub inventory: Server,
    /// The payment service.
    pub payment: Server,
    /// The order service.
    pub order: Server,
    /// The orchestrator.
    pub orchestrator: Server,
    /// Where the books are.
    pub books: Books,
    _folder: TempDir,
}

/// How an orchestrator is configured.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its log, as a URL.
    pub log: String,
    /// See `limits.dead_after_ms`.
    pub dead_after_ms: u64,
    /// See `limits.start_timeout_ms`.
    pub start_timeout_ms: u64,
    /// See `stop_grace_ms`.
    pub stop_grace_ms: u64,
}

impl Node {
    /// A node that misses a dead one sooner than is wise for one that may only be busy.
    #[must_use]
    pub fn on(log: &str) -> Self {
        let log = log.to_owned();
        Self { log, dead_after_ms: 1_500, start_timeout_ms: 5_000, stop_grace_ms: 2_000 }
    }
}

impl Shop {
    /// Opens the shop with its shelves full.
    pub async fn open(database: Database) -> Self {
        let mut shop = Self::closed(database).await;
        shop.open_services().await;
        shop.orchestrator.start().await;
        shop
    }

    /// A shop of which nothing runs yet.
    pub async fn closed(database: Database) -> Self {
        let folder = tempfile::Builder::new().prefix("amends-shop-").tempdir().unwrap();
        let log = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(postgres_database_stem()),
        };
        let books = Books::open(folder.path(), log.as_deref(), Earlier::Removed).await.unwrap();
        let definitions = books.folder.join("definitions");
        definition::write_hurried(&definitions).unwrap();

        let mut shop = Self {
            provider: Server::new("payment-svc", Protocol::Http),
            inventory: Server::new("inventory-svc", Protocol::Grpc),
            payment: Server::new("payment-svc", Protocol::Grpc),
            order: Server::new("order-svc", Protocol::Grpc),
            orchestrator: Server::new("orchestrator", Protocol::Grpc),
            books,
            _folder: folder,
        };
        let ledger = shop.books.simulator.display().to_string();
        let listen = shop.provider.address().to_string();
        shop.provider.arguments = arguments(&[
            "simulator",
            "--listen",
            &listen,
            "--ledger",
            &ledger,
            "--currency",
            CURRENCY,
            "--capture-duplicates",
        ]);
        serve(&mut shop.inventory, &shop.books.inventory, &[]);
        serve(&mut shop.order, &shop.books.order, &[]);
        let url = shop.provider.url();
        let (toss, portone) =
            (format!("service.toss.base_url={url}"), format!("service.portone.base_url={url}"));
        let [of_toss, of_portone] =
            ["toss", "portone"].map(|it| format!(r#"service.{it}.currencies=["{CURRENCY}"]"#));
        let providers = [
            ["--set", &of_toss],
            ["--set", &of_portone],
            ["--set", &toss],
            ["--set", "service.toss.secret_key=test_sk_tests"],
            ["--set", &portone],
            ["--set", "service.portone.imp_key=imp_key_tests"],
            ["--set", "service.portone.imp_secret=imp_secret_tests"],
        ];
        serve(&mut shop.payment, &shop.books.payment, providers.as_flattened());
        shop.configure(&Node::on(&shop.books.log));
        shop
    }

    /// The folder of the definitions that its orchestrator registers when it starts.
    #[must_use]
    pub fn definitions(&self) -> PathBuf {
        self.books.folder.join("definitions")
    }

    /// Leaves it without definitions.
    pub fn forget_definitions(&self) {
        fs::remove_dir_all(self.definitions()).unwrap();
        fs::create_dir(self.definitions()).unwrap();
    }

    /// Starts the provider and the services, and fills the shelves.
    pub async fn open_services(&mut self) {
        join!(
            self.provider.start(),
            self.inventory.start(),
            self.payment.start(),
            self.order.start()
        );
        self.fill_shelves().await;
    }

    /// Configures the orchestrator of the shop.
    pub fn configure(&mut self, node: &Node) {
        self.configure_node("orchestrator.toml", node, |_| ());
    }

    /// Another orchestrator of the same shop, not started.
    #[must_use]
    pub fn second_node(&self, node: &Node) -> Server {
        let mut second = Server::new("orchestrator", Protocol::Grpc);
        second.arguments = self.write_config("second.toml", node, &second, &mut |_| ());
        second
    }

    /// Configures the orchestrator of the shop from a file of this name, which `change`
    /// may change.
    pub fn configure_node(&mut self, file: &str, node: &Node, mut change: impl FnMut(&mut String)) {
        let arguments = self.write_config(file, node, &self.orchestrator, &mut change);
        self.orchestrator.arguments = arguments;
    }

    fn write_config(
        &self,
        file: &str,
        node: &Node,
        server: &Server,
        change: &mut dyn FnMut(&mut String),
    ) -> Vec<String> {
        let Node { log, dead_after_ms, start_timeout_ms, stop_grace_ms } = node;
        let definitions = self.definitions();
        let mut text = format!(
            "listen = \"{}\"\nlog = \"{log}\"\nmigrate = true\ndefinitions = \"{}\"\n\
             stop_grace_ms = {stop_grace_ms}\n\n[limits]\nheartbeat_ms = 300\n\
             dead_after_ms = {dead_after_ms}\nstart_timeout_ms = {start_timeout_ms}\n",
            server.address(),
            definitions.display(),
        );
        let participants =
            [("inventory", &self.inventory), ("payment", &self.payment), ("order", &self.order)];
        for (name, service) in participants {
            let url = service.url();
            write!(text, "\n[participants.{name}]\naddresses = [\"{url}\"]\n").unwrap();
        }
        change(&mut text);
        let path = self.books.folder.join(file);
        fs::write(&path, text).unwrap();
        arguments(&["serve", "--config", &path.display().to_string()])
    }

    async fn fill_shelves(&self) {
        let mut inventory = InventoryServiceClient::new(self.inventory.channel());
        for item in ITEMS {
            let item = PutItemRequest {
                item_id: item.item_id.to_owned(),
                owner_id: OWNER.to_owned(),
                name: item.item_id.to_owned(),
                price_minor: item.price_minor,
                currency: CURRENCY.to_owned(),
                status: ItemStatus::OnSale.into(),
                initial_stock: item.initial_stock,
                credits: Some(item.credits),
            };
            inventory.put_item(with_op_id(item)).await.unwrap();
        }
    }
}

/// Configures a service.
fn serve(server: &mut Server, database: &str, more: &[&str]) {
    let listen = server.address().to_string();
    let common = ["serve", "--migrate", "--listen", &listen, "--database-url", database];
    // Short: a test that holds a call open at the end waits for this.
    let drain = ["--set", "server.drain_max_ms=3000"];
    server.arguments = arguments(&[&common[..], &drain, more].concat());
}

fn arguments(all: &[&str]) -> Vec<String> {
    all.iter().map(|it| (*it).to_owned()).collect()
}

/// A request under an operation id that was never used.
pub fn with_op_id<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let op_id = Uuid::now_v7().to_string().parse().unwrap();
    request.metadata_mut().insert("saga-op-id", op_id);
    request
}

/// The server of PostgreSQL on which tests make databases.
#[must_use]
pub fn postgres_url() -> String {
    env::var(POSTGRES_URL)
        .unwrap_or_else(|_| panic!("no PostgreSQL: run tests/run, or set {POSTGRES_URL}"))
}

/// The URL of a database that nobody else has; books have this name and more. It names this
/// process: `tests/run` removes the databases of those that have ended.
#[must_use]
pub fn postgres_database_stem() -> String {
    let server = postgres_url();
    let (server, _) = server.rsplit_once('/').unwrap();
    format!("{server}/amends_it_p{}_{}", process::id(), Uuid::now_v7().simple())
}
