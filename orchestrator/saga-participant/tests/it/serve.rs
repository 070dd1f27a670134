//! The server that every service shares.

use std::time::Duration;

use saga_participant::{
    ParticipantApi,
    serve::{App, Server, ServerLimits, Wire},
    testkit::{Scratch, new_op_id},
};
use saga_proto::saga::participant::v1::{
    ResolveMode, ResolveRequest, participant_service_client::ParticipantServiceClient,
    resolve_response::Resolution,
};
use tokio::sync::oneshot;
use tonic::{service::Routes, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::counter::{SCHEMA, participant};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_answers_is_healthy_and_stops() {
    let scratch = Scratch::sqlite();
    let participant = participant(scratch.open(&SCHEMA).await);
    let database = participant.database().clone();
    let server =
        Server::bind("127.0.0.1:0".parse().unwrap(), ServerLimits::default(), Wire::Loopback)
            .unwrap();
    let address = server.local_addr();

    let taken = Server::bind(address, ServerLimits::default(), Wire::Loopback).unwrap_err();
    assert!(
        taken
            .to_string()
            .ends_with("the port is in use; stop the other program, or choose another port"),
        "{taken}"
    );

    let (stop, stopped) = oneshot::channel::<()>();
    let routes = Routes::new(ParticipantApi::server(participant));
    let app = App { routes, service_names: &["saga.participant.v1.ParticipantService"], database };
    let running = tokio::spawn(server.run(app, async {
        let _: Result<(), _> = stopped.await;
    }));

    let channel =
        Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = ParticipantServiceClient::new(channel.clone());
    let request = ResolveRequest { op_id: new_op_id().to_string(), mode: ResolveMode::Peek.into() };
    let answer = client.resolve(request).await.unwrap().into_inner();
    assert!(matches!(answer.resolution, Some(Resolution::Absent(_))));

    let mut health = HealthClient::new(channel);
    for service in ["", "saga.participant.v1.ParticipantService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status, 1);
    }
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), running).await.unwrap().unwrap().unwrap();
}
