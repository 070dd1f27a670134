//! A server of its own for a test, over a log in memory.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use orchestrator::{
    config::Config,
    definition::ServedTypes,
    descriptors::Descriptors,
    engine::Engine,
    participants::{ParticipantConfig, Participants},
    server::Orchestrator,
};
use prost::Message;
use saga_proto::saga::v1::{
    self as pb, SagaVerb, definition_service_client::DefinitionServiceClient,
    operator_service_client::OperatorServiceClient, saga_name,
    saga_service_client::SagaServiceClient,
};
use tokio::sync::oneshot;
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt;

/// A server that runs until it is dropped. Its participants are configured, and nobody
/// listens at their addresses.
pub(crate) struct Server {
    pub(crate) sagas: SagaServiceClient<Channel>,
    pub(crate) operator: OperatorServiceClient<Channel>,
    pub(crate) definitions: DefinitionServiceClient<Channel>,
    /// What is behind it: for what an earlier program would have done.
    pub(crate) engine: Engine,
    pub(crate) address: String,
    pub(crate) operator_address: Option<SocketAddr>,
    pub(crate) ops_address: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    run: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with("http://127.0.0.1:1").await
    }

    /// Its participant `order` is said to be at this address.
    pub(crate) async fn start_with(participant: &str) -> Self {
        Self::start_as(participant, Config::default()).await
    }

    /// As it is configured, apart from where things are.
    pub(crate) async fn start_as(participant: &str, config: Config) -> Self {
        let addresses = vec![participant.to_owned()];
        let nobody = ParticipantConfig { addresses, ..ParticipantConfig::default() };
        let participants = BTreeMap::from([("order".to_owned(), nobody)]);
        let config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            log: "memory:".to_owned(),
            participants: participants.clone(),
            ..config
        };
        let mut types =
            prost_types::FileDescriptorSet::decode(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
        types.file.extend(any_types());
        let types = ServedTypes::read_set(&types.encode_to_vec()).unwrap();
        let types = Descriptors::Fixed(Arc::new(types));
        let participants = Arc::new(Participants::new(&participants).unwrap());
        let server = Orchestrator::start_with(config, participants, types).await.unwrap();
        let address = format!("http://{}", server.local_addr().unwrap());
        let operator_address = server.operator_addr().unwrap();
        let ops_address = server.ops_addr();
        let engine = server.engine().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = tokio::spawn(server.run(async {
            // An error says that the test has ended.
            let _ = stopped.await;
        }));
        let channel = Channel::from_shared(address.clone()).unwrap().connect().await.unwrap();
        Self {
            address,
            operator_address,
            ops_address,
            sagas: SagaServiceClient::new(channel.clone()),
            operator: OperatorServiceClient::new(channel.clone()),
            definitions: DefinitionServiceClient::new(channel),
            engine,
            stop: Some(stop),
            run,
        }
    }

    /// Another connection.
    pub(crate) async fn connect(&self) -> Channel {
        Channel::from_shared(self.address.clone()).unwrap().connect().await.unwrap()
    }

    /// Tells it to stop.
    pub(crate) fn tell_to_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.tell_to_stop();
        self.run.await.unwrap().unwrap();
    }

    pub(crate) async fn register(&mut self, yaml: &str) -> Result<(), Status> {
        let (yaml, file_name) = (yaml.to_owned(), "test.yaml".to_owned());
        let request = pb::RegisterDefinitionRequest {
            yaml,
            file_name,
            ..pb::RegisterDefinitionRequest::default()
        };
        self.definitions.register_definition(request).await.map(|_| ())
    }

    pub(crate) async fn start_saga(&mut self, definition: &str, key: &str) {
        self.try_start_saga(definition, key).await.unwrap();
    }

    pub(crate) async fn try_start_saga(
        &mut self,
        definition: &str,
        key: &str,
    ) -> Result<(), Status> {
        let request = pb::StartSagaRequest {
            definition: definition.to_owned(),
            business_key: key.to_owned(),
            ..pb::StartSagaRequest::default()
        };
        self.sagas.start_saga(request).await.map(|_| ())
    }

    pub(crate) async fn saga(&mut self, key: &str) -> pb::Saga {
        let request = pb::GetSagaRequest { name: named(key) };
        self.sagas.get_saga(request).await.unwrap().into_inner().saga.unwrap()
    }

    /// The saga as soon as this can be done to it.
    pub(crate) async fn offering(&mut self, key: &str, verb: SagaVerb) -> pb::Saga {
        loop {
            let saga = self.saga(key).await;
            assert!(saga.ended_at.is_none(), "{saga:?}");
            if saga.offers.iter().any(|offer| offer.verb() == verb) {
                return saga;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn events(&mut self, key: &str) -> Vec<pb::SagaEvent> {
        let request =
            pb::ListEventsRequest { name: named(key), ..pb::ListEventsRequest::default() };
        self.sagas.list_events(request).await.unwrap().into_inner().events
    }

    pub(crate) async fn ended(&mut self, key: &str) -> pb::Saga {
        let request = pb::WaitSagaRequest { name: named(key), timeout: None };
        let reply = self.sagas.wait_saga(request).await.unwrap().into_inner();
        assert!(reply.ended, "{reply:?}");
        reply.saga.unwrap()
    }
}

/// A service whose messages have an `Any` and a map, and what they import.
fn any_types() -> Vec<prost_types::FileDescriptorProto> {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
syntax = "proto3";
package loose;
import "google/protobuf/any.proto";
import "google/protobuf/struct.proto";
message All {
  string text = 1;
  google.protobuf.Any any = 2;
  google.protobuf.Struct free = 3;
  map<string, string> labels = 4;
}
service Echo {
  rpc Echo(All) returns (All);
}
"#;
    std::fs::write(folder.path().join("loose.proto"), text).unwrap();
    let set = protox::compile(["loose.proto"], [folder.path()]).unwrap();
    let is_known =
        |name: &str| name.ends_with("timestamp.proto") || name.ends_with("duration.proto");
    set.file.into_iter().filter(|it| !is_known(it.name())).collect()
}

pub(crate) fn named(key: &str) -> Option<pb::SagaName> {
    let name = Some(saga_name::Name::BusinessKey(key.to_owned()));
    Some(pb::SagaName { name, namespace: String::new() })
}

/// The code of an error and its reason.
pub(crate) fn reason(status: &Status) -> (tonic::Code, String) {
    let info = status.get_details_error_info().expect("every error has a reason");
    assert_eq!(info.domain, "saga.v1");
    let retry = info.metadata.get("retry").map(String::as_str);
    let is_advice = matches!(retry, Some("safe" | "same-key" | "never"));
    assert!(is_advice, "every error says whether to send it again: {status:?}");
    (status.code(), info.reason)
}
