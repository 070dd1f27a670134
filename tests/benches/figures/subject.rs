//! What is measured: something that does what StartSaga asks for.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use orchestrator::{
    config::Config,
    definition::ServedTypes,
    descriptors::Descriptors,
    participants::{ParticipantConfig, Participants},
    server::Orchestrator,
};
use saga_tests::postgres::Cluster;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{load::CONNECTIONS, options::Options, participant, program::sqlite_log, relay};

/// Three steps that do nothing, the last one the pivot.
pub(crate) const DEFINITION: &str = r#"
kind: Saga
name: bench
version: 1
input: shop.order.v1.PlaceOrderInput
deadline: 1m
steps:
  - name: one
    action: { call: noop/shop.inventory.v1.InventoryService/Reserve, request: { order_no: input.order_no }, timeout: 10s }
    compensation: { call: noop/shop.inventory.v1.InventoryService/Release, request: { reserve_op_id: op("one") }, timeout: 10s }
  - name: two
    action: { call: noop/shop.inventory.v1.InventoryService/Release, request: { reserve_op_id: input.order_no }, timeout: 10s }
    compensation: { call: noop/shop.inventory.v1.InventoryService/Release, request: { reserve_op_id: op("two") }, timeout: 10s }
  - name: three
    pivot: true
    action: { call: noop/shop.inventory.v1.InventoryService/Commit, request: { reserve_op_id: input.order_no }, timeout: 10s }
"#;

/// How a subject is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// By StartSaga.
    Start,
    /// It is the participant: the client makes the calls itself.
    Bare,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) way: Way,
}

/// An orchestrator in this process.
#[derive(Debug)]
pub(crate) struct InProcess {
    pub(crate) address: SocketAddr,
    stop: DropGuard,
    running: JoinHandle<()>,
}

impl InProcess {
    /// An orchestrator on this log, with these definitions registered. Its participants are
    /// named as they are here.
    pub(crate) async fn start(
        log: &str,
        participants: &[(&str, SocketAddr)],
        definitions: &[&str],
    ) -> Self {
        let participants = participants.iter().map(|(name, address)| {
            let config = ParticipantConfig {
                addresses: vec![format!("http://{address}")],
                connections: CONNECTIONS,
                in_flight_max: 1_024,
                ..ParticipantConfig::default()
            };
            ((*name).to_owned(), config)
        });
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            log: log.to_owned(),
            migrate: true,
            participants: BTreeMap::from_iter(participants),
            ..Config::default()
        };
        let types = ServedTypes::read_set(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
        let participants = Arc::new(Participants::new(&config.participants).unwrap());
        let descriptors = Descriptors::Fixed(Arc::new(types));
        let orchestrator =
            Orchestrator::start_with(config, participants, descriptors).await.unwrap();
        for yaml in definitions {
            orchestrator.engine().register(yaml, "bench.yaml").await.unwrap();
        }
        let address = orchestrator.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let running = tokio::spawn(async move { orchestrator.run(stopped).await.unwrap() });
        Self { address, stop: stop.drop_guard(), running }
    }

    /// Stops it, and waits until its log is closed.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.running.await.unwrap();
    }
}

/// The subjects of the engine's figure, in this process, and what they need.
#[derive(Debug)]
pub(crate) struct Subjects {
    pub(crate) all: Vec<Subject>,
    orchestrators: Vec<InProcess>,
    /// Stopped when dropped.
    cluster: Option<Cluster>,
    folder: TempDir,
}

impl Subjects {
    /// Starts those that are wanted.
    pub(crate) async fn start(options: &Options) -> Self {
        let participant = participant::serve().await;
        let folder = tempfile::tempdir().unwrap();
        let mut subjects = Self { all: vec![], orchestrators: vec![], cluster: None, folder };
        if options.wants_subject("bare") {
            let bare = Subject { name: "bare", address: participant, way: Way::Bare };
            subjects.all.push(bare);
        }
        if options.wants_subject("relay") {
            let address = relay::serve(participant, CONNECTIONS).await;
            subjects.all.push(Subject { name: "relay", address, way: Way::Start });
        }
        if options.wants_subject("sqlite") {
            let log = sqlite_log(subjects.folder.path());
            subjects.add_orchestrator("sqlite", &log, participant).await;
        }
        if options.wants_subject("postgres") {
            let cluster = Cluster::start();
            let log = cluster.database("bench");
            subjects.cluster = Some(cluster);
            subjects.add_orchestrator("postgres", &log, participant).await;
        }
        subjects
    }

    async fn add_orchestrator(&mut self, name: &'static str, log: &str, noop: SocketAddr) {
        let orchestrator = InProcess::start(log, &[("noop", noop)], &[DEFINITION]).await;
        let address = orchestrator.address;
        self.all.push(Subject { name, address, way: Way::Start });
        self.orchestrators.push(orchestrator);
    }

    /// Stops them, so that they do not disturb what is measured next.
    pub(crate) async fn stop(self) {
        for orchestrator in self.orchestrators {
            orchestrator.stop().await;
        }
    }
}
