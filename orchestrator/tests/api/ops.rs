//! The ops port of the orchestrator: from before its log is open until its sagas are handed over.

use std::{
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use orchestrator::{config::Config, server::Orchestrator};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::server::Server;

const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The status and the body of an answer; `None` where nobody listens.
pub(crate) async fn get(ops: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(ops).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: it\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Asks until the body begins with this.
async fn says(ops: SocketAddr, path: &str, wanted: &str) -> u16 {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let said = get(ops, path).await;
        match &said {
            Some((status, body)) if body.starts_with(wanted) => return *status,
            _ => assert!(Instant::now() < deadline, "{path} says {said:?}, not {wanted}"),
        }
        tokio::task::yield_now().await;
    }
}

pub(crate) fn watched() -> Config {
    Config { listen_ops: Some(ANY_PORT), ..Config::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_ready_until_it_stops_and_alive_until_it_ends() {
    let mut server = Server::start_as("http://127.0.0.1:1", watched()).await;
    let ops = server.ops_address.unwrap();
    assert_eq!(says(ops, "/readyz", "ready\n").await, 200);
    // A stream that its client does not end.
    let mut health = HealthClient::new(server.connect().await);
    let request = HealthCheckRequest { service: String::new() };
    let watch = health.watch(request).await.unwrap();
    server.tell_to_stop();
    assert_eq!(says(ops, "/readyz", "not ready: stopping").await, 503);
    assert_eq!(says(ops, "/livez", "alive\n").await, 200);
    assert_eq!(get(ops, "/metrics").await.unwrap().0, 200);
    drop((watch, health));
    server.stop().await;
    assert_eq!(get(ops, "/livez").await, None, "the port closes behind everything else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_the_key_opens_no_such_port() {
    let server = Server::start_as("http://127.0.0.1:1", Config::default()).await;
    assert_eq!(server.ops_address, None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_waits_for_its_log_is_alive_and_not_ready() {
    // A database that takes connections and never says a word.
    let mute = TcpListener::bind(ANY_PORT).unwrap();
    let log = format!("postgres://nobody@{}/log?sslmode=disable", mute.local_addr().unwrap());
    let free = || TcpListener::bind(ANY_PORT).unwrap().local_addr().unwrap();
    let (listen, ops) = (free(), free());
    let config = Config { listen, listen_ops: Some(ops), log, ..Config::default() };
    let checks = async {
        assert_eq!(says(ops, "/livez", "alive\n").await, 200);
        assert_eq!(says(ops, "/readyz", "not ready: starting: the log is opened").await, 503);
        assert!(TcpStream::connect(listen).await.is_err(), "nobody can call it yet");
    };
    tokio::select! {
        started = Orchestrator::start(config) => panic!("it has no log: {started:?}"),
        () = checks => {}
    }
}
