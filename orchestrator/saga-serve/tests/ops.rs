//! The ops port, as whoever reaches it sees it (X26).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use saga_serve::{Ops, OpsPort};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn open() -> (Ops, OpsPort) {
    let ops = Ops::new("orchestrator", "1.2.3");
    let port = ops.open(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    (ops, port)
}

/// Everything that comes back for these bytes, until the other side closes.
async fn exchange(port: &OpsPort, request: &str) -> String {
    let mut stream = TcpStream::connect(port.local_addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(port: &OpsPort, path: &str) -> String {
    exchange(port, &format!("GET {path} HTTP/1.1\r\nhost: it\r\n\r\n")).await
}

#[tokio::test]
async fn three_paths_answer_and_nothing_else_does() {
    let (_ops, port) = open();
    assert!(get(&port, "/livez").await.starts_with("HTTP/1.1 200 OK"));
    assert!(get(&port, "/metrics?from=anywhere").await.starts_with("HTTP/1.1 200 OK"));
    let others = ["/", "/livez/", "/LIVEZ", "/debug/pprof", "/metrics/../livez", "/healthz", "//"];
    for path in others {
        assert!(get(&port, path).await.starts_with("HTTP/1.1 404"), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"] {
        for path in ["/livez", "/readyz", "/metrics"] {
            let request =
                format!("{method} {path} HTTP/1.1\r\nhost: it\r\ncontent-length: 0\r\n\r\n");
            let answer = exchange(&port, &request).await;
            assert!(answer.starts_with("HTTP/1.1 405"), "{method} {path}: {answer}");
            assert!(answer.contains("allow: GET\r\n"), "{answer}");
        }
    }
}

#[tokio::test]
async fn readiness_says_why_not_and_liveness_does_not_care() {
    let (ops, port) = open();
    let starting = get(&port, "/readyz").await;
    assert!(starting.starts_with("HTTP/1.1 503"), "{starting}");
    assert!(starting.ends_with("\r\n\r\nnot ready: starting\n"), "{starting}");
    ops.ready();
    assert!(get(&port, "/readyz").await.ends_with("\r\n\r\nready\n"));
    ops.not_ready("the log cannot be written");
    let unready = get(&port, "/readyz").await;
    assert!(unready.ends_with("\r\n\r\nnot ready: the log cannot be written\n"), "{unready}");
    assert!(get(&port, "/livez").await.ends_with("\r\n\r\nalive\n"));
}

#[tokio::test]
async fn metrics_are_openmetrics_with_the_build() {
    let (_ops, port) = open();
    let answer = get(&port, "/metrics").await;
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(answer.contains(kind), "{answer}");
    let build = "saga_build_info{program=\"orchestrator\",version=\"1.2.3\"} 1\n";
    assert!(answer.contains(build), "{answer}");
    assert!(answer.ends_with("# EOF\n"), "{answer}");
}

#[tokio::test]
async fn who_only_holds_connections_keeps_nobody_out() {
    let (_ops, port) = open();
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(port.local_addr()).await.unwrap());
    }
    assert!(get(&port, "/livez").await.starts_with("HTTP/1.1 200 OK"));
    // The first had to go for those that came behind it.
    let mut byte = [0];
    assert!(matches!(idle[0].read(&mut byte).await, Ok(0) | Err(_)));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_ends_is_cut_off() {
    let (_ops, port) = open();
    let mut stream = TcpStream::connect(port.local_addr()).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost:").await.unwrap();
    let mut answer = Vec::new();
    // The clock goes on by itself while everybody waits.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn headers_have_a_limit() {
    let (_ops, port) = open();
    let long = "x".repeat(64 << 10);
    let mut stream = TcpStream::connect(port.local_addr()).await.unwrap();
    // It may be closed before all of it is written.
    let request = format!("GET /livez HTTP/1.1\r\nhost: it\r\nx: {long}\r\n\r\n");
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn the_port_is_free_again_when_the_program_ends() {
    let (ops, port) = open();
    let address = port.local_addr();
    let refused = ops.open(address).unwrap_err();
    assert!(
        refused.to_string().starts_with("listen_ops: cannot listen on 127.0.0.1:"),
        "{refused}"
    );
    drop(port);
    loop {
        // The socket is closed by the task that had it.
        match ops.open(address) {
            Ok(_) => break,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
