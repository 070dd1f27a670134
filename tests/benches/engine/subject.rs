//! What is measured: something that takes StartSaga.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use orchestrator::{
    config::Config,
    descriptors::Descriptors,
    participants::{ParticipantConfig, Participants},
    server::Orchestrator,
};
use prost::Message;

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

/// One row of the table.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
}

impl Subject {
    /// An orchestrator on this log, with the definition registered.
    pub(crate) async fn orchestrator(
        name: &'static str,
        log: &str,
        participant: SocketAddr,
        connections: usize,
    ) -> Self {
        let noop = ParticipantConfig {
            addresses: vec![format!("http://{participant}")],
            connections,
            in_flight_max: 1_024,
            ..ParticipantConfig::default()
        };
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            log: log.to_owned(),
            migrate: true,
            participants: BTreeMap::from([("noop".to_owned(), noop)]),
            ..Config::default()
        };
        let types =
            prost_types::FileDescriptorSet::decode(saga_proto::FILE_DESCRIPTOR_SET).unwrap();
        let participants = Arc::new(Participants::new(&config.participants).unwrap());
        let descriptors = Descriptors::Fixed(Arc::new(types));
        let orchestrator =
            Orchestrator::start_with(config, participants, descriptors).await.unwrap();
        orchestrator.engine().register(DEFINITION, "bench.yaml").await.unwrap();
        let address = orchestrator.local_addr().unwrap();
        tokio::spawn(orchestrator.run(std::future::pending()));
        Self { name, address }
    }
}
