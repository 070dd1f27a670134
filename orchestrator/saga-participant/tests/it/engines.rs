//! Only an engine is believed (X17).

use std::fs;

use saga_participant::{
    ParticipantApi,
    serve::{App, Server, ServerLimits, Wire},
    testkit::{Scratch, new_op_id},
};
use saga_proto::saga::participant::v1::{
    GetLogMarkRequest, ResolveMode, ResolveRequest,
    participant_service_client::ParticipantServiceClient, resolve_response::Resolution,
};
use saga_tls::{Acceptor, ClientFiles, Connector, ServerFiles, Strangers, testkit::Authority};
use tokio::net::TcpStream;
use tonic::{
    Code, Request,
    service::Routes,
    transport::{Channel, Endpoint, Uri},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

use crate::counter::{SCHEMA, participant};

const ENGINE: &str = "spiffe://shop/orchestrator";

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_can_neither_fence_an_operation_nor_speak_of_one() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("shop"));
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let (certificate, key) = authority.issue(&["127.0.0.1"]).write(folder.path(), "server");
    let files = ServerFiles { certificate, key, client_ca: Some(ca.clone()) };
    let acceptor = Acceptor::open("tls", &files, Strangers::KeptOut).unwrap();

    let scratch = Scratch::sqlite();
    let participant = participant(scratch.open(&SCHEMA).await);
    let database = participant.database().clone();
    let routes = Routes::new(ParticipantApi::server(participant));
    let app = App { routes, service_names: &[], database };
    let listen = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(listen, ServerLimits::default(), Wire::Tls(acceptor)).unwrap();
    let server = server.trusting(&[ENGINE.to_owned()]);
    let address = server.local_addr();
    tokio::spawn(server.run(app, std::future::pending()));

    let known = |name: &str| -> Channel {
        let (certificate, key) = authority.issue(&[name]).write(folder.path(), "client");
        let (certificate, key) = (Some(certificate), Some(key));
        let files = ClientFiles { ca: ca.clone(), certificate, key, server_name: None };
        let tls = Connector::open("test", &files).unwrap();
        let connector = tower::service_fn(move |_: Uri| {
            let tls = tls.clone();
            async move {
                let stream = TcpStream::connect(address).await?;
                tls.connect("127.0.0.1", stream).await.map(hyper_util::rt::TokioIo::new)
            }
        });
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
        endpoint.connect_with_connector_lazy(connector)
    };
    let op_id = new_op_id().to_string();
    let asked = |mode: ResolveMode| ResolveRequest { op_id: op_id.clone(), mode: mode.into() };
    let mut engine = ParticipantServiceClient::new(known(ENGINE));
    for name in ["spiffe://shop/till", "spiffe://shop/orchestrator2", "orchestrator.shop"] {
        let channel = known(name);
        let mut stranger = ParticipantServiceClient::new(channel.clone());
        let fence = stranger.resolve(asked(ResolveMode::Fence)).await.unwrap_err();
        let mark = stranger.get_log_mark(GetLogMarkRequest::default()).await.unwrap_err();
        // Any method at all: an operation id makes it a word of an engine.
        let mut health = Request::new(HealthCheckRequest::default());
        health.metadata_mut().insert("saga-op-id", op_id.parse().unwrap());
        let spoken = HealthClient::new(channel.clone()).check(health).await.unwrap_err();
        for refused in [fence, mark, spoken] {
            assert_eq!(refused.code(), Code::PermissionDenied, "{name}: {refused:?}");
            let reason = refused.get_details_error_info().unwrap().reason;
            assert_eq!(reason, "ENGINE_UNKNOWN");
        }
        let health = HealthCheckRequest::default();
        HealthClient::new(channel).check(health).await.unwrap();
    }
    let peeked = engine.resolve(asked(ResolveMode::Peek)).await.unwrap().into_inner();
    assert!(matches!(peeked.resolution, Some(Resolution::Absent(_))), "fenced by a stranger");
}
