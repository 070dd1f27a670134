//! Whoever connects may hold so much, and others are answered meanwhile (X10).

use std::{future::Future, io::ErrorKind, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, future::join_all, stream};
use http_body_util::StreamBody;
use orchestrator::{config::Config, server::Orchestrator};
use saga_proto::saga::v1::{
    self as pb, operator_service_client::OperatorServiceClient,
    saga_service_client::SagaServiceClient,
};
use saga_serve::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tonic::{Code, Status, body::Body, transport::Channel};
use tower::ServiceExt;

use super::server::{Server, named, reason};

const START: &str = "/saga.v1.SagaService/StartSaga";

/// Long for a busy machine, and shorter than anything that ends only by a grace or a limit.
const SOON: Duration = Duration::from_secs(30);

async fn soon<T>(what: &str, done: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, done).await.unwrap_or_else(|_| panic!("{what}: not done"))
}

async fn server(limits: Limits) -> Server {
    let config = Config { server: limits, stop_grace_ms: 120_000, ..Config::default() };
    Server::start_as("http://127.0.0.1:1", config).await
}

/// A call that sends these bytes and nothing more, without ending its request.
async fn unfinished(channel: Channel, bytes: Bytes) -> Status {
    let sent = stream::iter([Ok::<_, Status>(http_body::Frame::data(bytes))]);
    let body = Body::new(StreamBody::new(sent.chain(stream::pending())));
    called(channel, START, body).await
}

async fn called(channel: Channel, path: &str, body: Body) -> Status {
    let request = http::Request::post(format!("http://test{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let answered = channel.oneshot(request.body(body).unwrap()).await;
    match answered {
        Ok(response) => Status::from_header_map(response.headers()).expect("an error"),
        Err(error) => Status::from_error(error.into()),
    }
}

fn announced(bytes: u32, sent: usize) -> Bytes {
    let mut message = vec![0];
    message.extend(bytes.to_be_bytes());
    message.extend(vec![0; sent]);
    message.into()
}

fn whole(message: &[u8]) -> Body {
    let mut sent = announced(u32::try_from(message.len()).unwrap(), 0).to_vec();
    sent.extend(message);
    Body::new(http_body_util::Full::new(Bytes::from(sent)))
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_reason() {
    let server = server(Limits { request_timeout_ms: 300, ..Limits::default() }).await;
    let channel = server.connect().await;
    let told = |status: &Status| reason(status);

    let slow = soon("a request that stops", unfinished(channel.clone(), announced(1_000, 10)));
    assert_eq!(told(&slow.await), (Code::DeadlineExceeded, "REQUEST_TOO_SLOW".to_owned()));
    let silent = soon("one that never begins", unfinished(channel.clone(), Bytes::new()));
    assert_eq!(told(&silent.await), (Code::DeadlineExceeded, "REQUEST_TOO_SLOW".to_owned()));
    let large = soon("a large one", unfinished(channel.clone(), announced(3 << 20, 10)));
    assert_eq!(told(&large.await), (Code::InvalidArgument, "REQUEST_TOO_LARGE".to_owned()));

    let undecodable = (Code::InvalidArgument, "REQUEST_UNDECODABLE".to_owned());
    let junk = called(channel.clone(), START, whole(&[0xff; 40])).await;
    assert_eq!(told(&junk), undecodable, "{junk:?}");
    let empty = called(channel.clone(), START, Body::empty()).await;
    assert_eq!(told(&empty), undecodable, "{empty:?}");
    let cut = Body::new(http_body_util::Full::new(announced(100, 7)));
    assert_eq!(told(&called(channel.clone(), START, cut).await), undecodable);

    for path in ["/saga.v1.SagaService/Nope", "/no.Service/Nope", "/"] {
        let unknown = called(channel.clone(), path, whole(b"")).await;
        assert_eq!(told(&unknown), (Code::Unimplemented, "METHOD_UNKNOWN".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn streams_that_announce_and_never_send_take_nothing_from_others() {
    let server = server(Limits { request_timeout_ms: 600_000, ..Limits::default() }).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let channel = server.connect().await;
        held.extend((0..200).map(|_| unfinished(channel.clone(), announced(2 << 20, 10))));
    }
    let mut held: Vec<_> = held.into_iter().map(tokio::spawn).collect();
    // As many as are too many are refused, at once.
    let refused = async {
        let mut refused = 0;
        while refused < 4 * (200 - 128) {
            let (status, _, rest) = futures::future::select_all(held).await;
            assert_eq!(
                reason(&status.unwrap()),
                (Code::ResourceExhausted, "OVERLOADED".to_owned())
            );
            (held, refused) = (rest, refused + 1);
        }
        held
    };
    let held = soon("those that are too many are refused", refused).await;

    let mut others = OperatorServiceClient::new(server.connect().await);
    let answered = others.get_server_info(pb::GetServerInfoRequest::default());
    soon("others are answered", answered).await.unwrap();
    assert!(held.iter().all(|it| !it.is_finished()), "the attack was held");
}

#[tokio::test]
async fn requests_are_counted_in_bytes_together_and_small_ones_always_fit() {
    let limits =
        Limits { requests_bytes_max: 1 << 20, request_timeout_ms: 600_000, ..Limits::default() };
    let server = server(limits).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let channel = server.connect().await;
        held.push(tokio::spawn(unfinished(channel, announced(500_000, 400_000))));
    }
    let first = soon("one too many is refused", futures::future::select_all(held));
    let (refused, _, held) = first.await;
    assert_eq!(reason(&refused.unwrap()), (Code::ResourceExhausted, "OVERLOADED".to_owned()));

    let mut others = SagaServiceClient::new(server.connect().await);
    let asked = pb::GetSagaRequest { name: named("nobody") };
    let absent = soon("others are answered", others.get_saga(asked)).await.unwrap_err();
    assert_eq!(absent.code(), Code::NotFound);
    assert!(held.iter().any(|it| !it.is_finished()), "the attack was held");
}

#[tokio::test]
async fn silent_connections_make_room_and_end() {
    let limits = Limits { connections_max: 8, handshake_timeout_ms: 1_000, ..Limits::default() };
    let server = server(limits).await;
    let to = server.address.trim_start_matches("http://").to_owned();
    let silent = join_all((0..40).map(|_| TcpStream::connect(&to))).await;
    let mut silent: Vec<TcpStream> = silent.into_iter().map(Result::unwrap).collect();

    let mut others = OperatorServiceClient::new(soon("others connect", server.connect()).await);
    let answered = others.get_server_info(pb::GetServerInfoRequest::default());
    soon("others are answered", answered).await.unwrap();

    for stream in &mut silent {
        let ended = soon("a silent connection ends", stream.read(&mut [0; 64])).await;
        // What HTTP/2 says of itself first, then nothing.
        let mut ended = ended.unwrap_or(0);
        while 0 < ended {
            ended = soon("it ends", stream.read(&mut [0; 64])).await.unwrap_or(0);
        }
    }
    let answered = others.get_server_info(pb::GetServerInfoRequest::default());
    soon("who was answered stays", answered).await.unwrap();
}

#[tokio::test]
async fn a_server_that_stops_waits_for_no_stranger() {
    let server = server(Limits::default()).await;
    let to = server.address.trim_start_matches("http://").to_owned();
    let _silent = TcpStream::connect(&to).await.unwrap();
    let mut speaking = TcpStream::connect(&to).await.unwrap();
    speaking.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    assert!(0 < soon("it is answered", speaking.read(&mut [0; 64])).await.unwrap());
    let stranger = server.connect().await;
    let unfinished = tokio::spawn(unfinished(stranger, announced(1_000, 10)));
    let mut others = OperatorServiceClient::new(server.connect().await);
    others.get_server_info(pb::GetServerInfoRequest::default()).await.unwrap();

    soon("it stops, long before its grace is over", server.stop()).await;
    assert_eq!(unfinished.await.unwrap().code(), Code::Unavailable);
}

#[tokio::test]
async fn what_operators_do_has_a_listener_of_its_own() {
    let config = Config { listen_operator: Some(([127, 0, 0, 1], 0).into()), ..Config::default() };
    let mut server = Server::start_as("http://127.0.0.1:1", config).await;
    let asked = pb::GetServerInfoRequest::default();
    let refused = server.operator.get_server_info(asked).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::Unimplemented, "METHOD_UNKNOWN".to_owned()));
    let asked = pb::ListDefinitionsRequest::default();
    let refused = server.definitions.list_definitions(asked).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    let absent = server.sagas.get_saga(pb::GetSagaRequest { name: named("k") }).await;
    assert_eq!(absent.unwrap_err().code(), Code::NotFound, "sagas are served");

    let apart = format!("http://{}", server.operator_address.unwrap());
    let apart = Channel::from_shared(apart).unwrap().connect().await.unwrap();
    let mut operator = OperatorServiceClient::new(apart.clone());
    operator.get_server_info(pb::GetServerInfoRequest::default()).await.unwrap();
    let absent = SagaServiceClient::new(apart);
    let absent = { absent }.get_saga(pb::GetSagaRequest { name: named("k") }).await;
    assert_eq!(absent.unwrap_err().code(), Code::NotFound, "and sagas beside them");
}

/// A client of a program that does not start is refused, and asks another node.
#[tokio::test]
async fn nobody_can_connect_before_the_log_is_open() {
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let free = TcpListener::bind(local).await.unwrap();
    let listen = free.local_addr().unwrap();
    drop(free);
    // A database that takes connections and says nothing.
    let mute = TcpListener::bind(local).await.unwrap();
    let log = format!("postgres://nobody@{}/log", mute.local_addr().unwrap());
    let starting = Orchestrator::start(Config { listen, log, ..Config::default() });
    let refused = async {
        let (_asked, _) = soon("the log is asked for", mute.accept()).await.unwrap();
        TcpStream::connect(listen).await.unwrap_err()
    };
    tokio::select! {
        started = starting => panic!("it does not wait for its log: {started:?}"),
        refused = refused => assert_eq!(refused.kind(), ErrorKind::ConnectionRefused),
    }
}
