//! An orchestrator with one participant, and the check asked of it.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use orchestrator::{
    config::Config,
    definition::ServedTypes,
    descriptors::Descriptors,
    participants::{ParticipantConfig, Participants},
    server::Orchestrator,
};
use saga_proto::saga::{
    participant::v1::participant_service_server::ParticipantServiceServer,
    v1::{
        CheckParticipantRequest, CheckParticipantResponse, Observation, RuleVerdict,
        RunParticipantCheckRequest, RunParticipantCheckResponse,
        operator_service_client::OperatorServiceClient, run_participant_check_request::Said,
        run_participant_check_response::Said as Told,
    },
};
use shop_proto::inventory::v1::inventory_service_server::InventoryServiceServer;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{
    Status, Streaming,
    transport::{Channel, Server, server::TcpIncoming},
};

use super::participant::Participant;

/// Reserves and sells at once, in two steps.
pub(crate) const HOLD_AND_SELL: &str = "
kind: Saga
name: hold-and-sell
version: 1
input: shop.inventory.v1.ReserveRequest
steps:
  - name: reserve_stock
    action:
      call: inventory/shop.inventory.v1.InventoryService/Reserve
      request: { order_no: input.order_no }
      timeout: 5s
    compensation:
      call: inventory/shop.inventory.v1.InventoryService/Release
      request: { reserve_op_id: op(\"reserve_stock\") }
  - name: commit_stock
    pivot: true
    action:
      call: inventory/shop.inventory.v1.InventoryService/Commit
      request: { reserve_op_id: op(\"reserve_stock\") }
";

/// Its first step alone.
pub(crate) fn hold() -> String {
    HOLD_AND_SELL.split("  - name: commit_stock").next().unwrap().to_owned()
}

/// An orchestrator that runs until it is dropped.
pub(crate) struct Checker {
    operator: OperatorServiceClient<Channel>,
    served: Served,
    _stop: oneshot::Sender<()>,
}

/// The participant's own server, which can be restarted.
struct Served {
    participant: Participant,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Served {
    async fn start(participant: &Participant, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Server::builder()
            .add_service(InventoryServiceServer::new(participant.clone()))
            .add_service(ParticipantServiceServer::new(participant.clone()));
        let (stop, stopped) = oneshot::channel();
        let ended = async {
            // An error says that the test has ended.
            let _ = stopped.await;
        };
        let task = tokio::spawn(async move {
            let incoming = TcpIncoming::from(listener);
            router.serve_with_incoming_shutdown(incoming, ended).await.unwrap();
        });
        Self { participant: participant.clone(), address, stop: Some(stop), task }
    }

    /// Is away until somebody has looked for it.
    async fn restart(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        (&mut self.task).await.unwrap();
        self.participant.restart().await;
        let away = TcpListener::bind(self.address).await.unwrap();
        away.accept().await.unwrap();
        drop(away);
        *self = Self::start(&self.participant, self.address).await;
    }
}

impl Checker {
    /// Serves `participant` as `inventory`, beside `nobody`, at whose address none listens.
    pub(crate) async fn start(participant: &Participant) -> Self {
        let served = Served::start(participant, SocketAddr::from(([127, 0, 0, 1], 0))).await;
        let at = |address: String| ParticipantConfig {
            addresses: vec![address],
            ..ParticipantConfig::default()
        };
        let participants = BTreeMap::from([
            ("inventory".to_owned(), at(format!("http://{}", served.address))),
            ("nobody".to_owned(), at("http://127.0.0.1:1".to_owned())),
        ]);
        let config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            log: "memory:".to_owned(),
            participants: participants.clone(),
            ..Config::default()
        };
        let types = ServedTypes::read_set(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
        let types = Descriptors::Fixed(Arc::new(types));
        let participants = Arc::new(Participants::new(&participants).unwrap());
        let server = Orchestrator::start_with(config, participants, types).await.unwrap();
        let address = format!("http://{}", server.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(server.run(async {
            // An error says that the test has ended.
            let _ = stopped.await;
        }));
        let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
        Self { operator: OperatorServiceClient::new(channel), served, _stop: stop }
    }

    pub(crate) async fn check(
        &mut self,
        request: CheckParticipantRequest,
    ) -> Result<CheckParticipantResponse, Status> {
        Ok(self.operator.check_participant(request).await?.into_inner())
    }

    /// Begins a check that can be followed.
    pub(crate) async fn run(&mut self, request: CheckParticipantRequest) -> Result<Run, Status> {
        self.say_first(Said::Begin(request)).await
    }

    pub(crate) async fn say_first(&mut self, first: Said) -> Result<Run, Status> {
        let (say, said) = mpsc::unbounded_channel();
        say.send(RunParticipantCheckRequest { said: Some(first) }).unwrap();
        let said = UnboundedReceiverStream::new(said);
        let told = self.operator.run_participant_check(said).await?.into_inner();
        Ok(Run { say, told })
    }

    /// Restarts the participant.
    pub(crate) async fn restart(&mut self) {
        self.served.restart().await;
    }
}

/// A check that is followed.
pub(crate) struct Run {
    say: mpsc::UnboundedSender<RunParticipantCheckRequest>,
    told: Streaming<RunParticipantCheckResponse>,
}

impl Run {
    pub(crate) fn say(&self, said: Said) {
        self.say.send(RunParticipantCheckRequest { said: Some(said) }).unwrap();
    }

    pub(crate) async fn next(&mut self) -> Option<Told> {
        self.told.message().await.unwrap().map(|it| it.said.unwrap())
    }
}

/// A check of everything.
pub(crate) fn request(yaml: &str) -> CheckParticipantRequest {
    CheckParticipantRequest {
        participant: "inventory".to_owned(),
        yaml: yaml.to_owned(),
        input_json: r#"{"orderNo": "order-{n}"}"#.to_owned(),
        refused_input_json: r#"{"orderNo": "refused-{n}"}"#.to_owned(),
        observe: Some(stock()),
        ..CheckParticipantRequest::default()
    }
}

/// The number that shows the participant's effects.
pub(crate) fn stock() -> Observation {
    Observation {
        method: "GetStock".to_owned(),
        input_json: r#"{"itemIds": ["mug"]}"#.to_owned(),
        field: "stock[0].on_hand".to_owned(),
    }
}

/// The rules with this verdict, as `step/rule`.
pub(crate) fn rules(reply: &CheckParticipantResponse, verdict: RuleVerdict) -> Vec<String> {
    let rules = reply.rules.iter().filter(|it| it.verdict() == verdict);
    rules.map(|it| format!("{}/{}", it.step, it.rule)).collect()
}
