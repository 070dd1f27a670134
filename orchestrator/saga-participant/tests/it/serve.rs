//! The server that every service shares.

use std::time::Duration;

use saga_participant::{
    ParticipantApi,
    serve::{App, Ops, OpsPort, Server, ServerLimits, Wire},
    testkit::{Scratch, new_op_id},
};
use saga_proto::saga::participant::v1::{
    ResolveMode, ResolveRequest, participant_service_client::ParticipantServiceClient,
    resolve_response::Resolution,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
};
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

/// The kubelet takes a pod out of its service by this, before the calls that are open have ended.
#[tokio::test(flavor = "multi_thread")]
async fn the_ops_port_says_that_a_server_drains_while_it_does() {
    let scratch = Scratch::sqlite();
    let participant = participant(scratch.open(&SCHEMA).await);
    let database = participant.database().clone();
    let ops = Ops::new("counter", "0");
    let port = ops.open("127.0.0.1:0".parse().unwrap()).unwrap();
    let server =
        Server::bind("127.0.0.1:0".parse().unwrap(), ServerLimits::default(), Wire::Loopback)
            .unwrap();
    let address = server.local_addr();
    assert_eq!(readiness(&port).await, "not ready: starting\n");

    let (stop, stopped) = oneshot::channel::<()>();
    let routes = Routes::new(ParticipantApi::server(participant));
    let app = App { routes, service_names: &[], database };
    let running = tokio::spawn(server.with_ops(ops).run(app, async {
        let _: Result<(), _> = stopped.await;
    }));
    let channel =
        Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    // A call that is open for as long as its client likes.
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = HealthClient::new(channel).watch(request).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
    assert_eq!(readiness(&port).await, "ready\n");

    stop.send(()).unwrap();
    // It is told before the health service is.
    assert_eq!(watch.message().await.unwrap().unwrap().status, 2);
    assert!(readiness(&port).await.starts_with("not ready: stopping"));
    drop(watch);
    tokio::time::timeout(Duration::from_secs(10), running).await.unwrap().unwrap().unwrap();
}

async fn readiness(port: &OpsPort) -> String {
    let mut stream = TcpStream::connect(port.local_addr()).await.unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: it\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}
