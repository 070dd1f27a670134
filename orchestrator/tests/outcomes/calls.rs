//! What can happen to a call on its way.

use std::{fmt::Write as _, time::Duration};

use orchestrator::participants::ParticipantConfig;
use saga_core::{Outcome, UnknownCause};
use shop_proto::inventory::v1::ReserveResponse;
use tonic::transport::Server;

use super::{
    raw::{Gateway, lingering, peer},
    server::{
        OPERATION, PATIENCE, Participant, RESERVE, TIMEOUT, call, configured, listen, participants,
        serve, shown, spec,
    },
};

/// A page of a proxy that speaks HTTP/1.
const PAGE: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 3\r\n\r\n502";

/// A TLS alert: protocol_version, fatal.
const TLS_ALERT: &[u8] = &[0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46];

fn participant() -> Participant {
    Participant::new(|order_no| {
        let currency = if order_no == "large" { "x".repeat(2_000) } else { "KRW".to_owned() };
        Ok(ReserveResponse { currency, ..ReserveResponse::default() })
    })
}

#[tokio::test]
async fn the_table_of_what_can_happen_on_the_way() {
    let mut table = String::new();
    let mut row = |name: &str, outcome: &Outcome| {
        writeln!(table, "{name:<44} {}", shown(outcome)).unwrap();
    };
    let reserve = spec(RESERVE);

    let good = participant();
    let address = serve(Server::builder().add_service(good.service())).await;
    row("OK", &call(&participants(address), &reserve, "good").await);
    good.was_executed().await;

    let (closed, closed_address) = listen().await;
    drop(closed);
    row("nobody listens", &call(&participants(closed_address), &reserve, "x").await);
    row("no such host", &call(&participants("no-such-host.invalid:1"), &reserve, "x").await);

    let (_frozen, address) = listen().await;
    row("accepts and says nothing", &call(&participants(address), &reserve, "x").await);

    let slow = participant();
    let address = serve(Server::builder().add_service(slow.service())).await;
    let mut outcome = call(&participants(address), &reserve, "slow").await;
    // The server reads `grpc-timeout` as well, and its news may be as quick as our clock.
    if let Outcome::Unknown { cause: cause @ UnknownCause::Status, .. } = &mut outcome {
        *cause = UnknownCause::TimedOut;
    }
    row("slower than the timeout, executed", &outcome);
    slow.was_executed().await;

    let slow = participant();
    let timeout = Duration::from_millis(50);
    let address = serve(Server::builder().timeout(timeout).add_service(slow.service())).await;
    row("timeout of the server, executed", &call(&participants(address), &reserve, "slow").await);
    slow.was_executed().await;

    row("killed in mid-call, executed", &killed_in_mid_call().await);

    let large = participant();
    let address = serve(Server::builder().add_service(large.service())).await;
    let small = configured(ParticipantConfig {
        addresses: vec![format!("http://{address}")],
        reply_bytes_max: 1_000,
        ..ParticipantConfig::default()
    });
    row("reply over the limit, executed", &call(&small, &reserve, "large").await);
    large.was_executed().await;

    let address = peer("marker", PAGE).await;
    row("HTTP/1 page of a proxy", &call(&participants(address), &reserve, "marker").await);
    let address = peer("marker", TLS_ALERT).await;
    row("TLS behind the port", &call(&participants(address), &reserve, "marker").await);
    let address = peer("marker", b"").await;
    row("hangs up with the request", &call(&participants(address), &reserve, "marker").await);
    let address = peer("PRI * HTTP/2.0", &[0; 64]).await;
    let garbage = call(&participants(address), &reserve, "x").await;
    assert_ne!(shown(&garbage), "applied");

    insta::with_settings!({
        snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true
    }, {
        insta::assert_snapshot!("on_the_way", table);
    });
}

#[tokio::test]
async fn a_call_that_waits_for_its_connection_only_was_not_sent() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    // Nobody accepts: once the queue of the socket is full, connecting takes for ever.
    let mut queue = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(TIMEOUT, tokio::net::TcpStream::connect(address)).await
    {
        queue.push(connected.unwrap());
        assert!(queue.len() < 64, "the queue of the socket never fills");
    }
    let client = configured(ParticipantConfig {
        addresses: vec![format!("http://{address}")],
        connect_timeout_ms: 60_000,
        ..ParticipantConfig::default()
    });
    let outcome = call(&client, &spec(RESERVE), "x").await;
    assert_eq!(shown(&outcome), "not done: not sent");
}

/// A participant whose process dies while a call is executed.
async fn killed_in_mid_call() -> Outcome {
    let participant = participant();
    let doomed =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let service = participant.service();
    let serving = doomed.spawn(serve(Server::builder().add_service(service)));
    let address = serving.await.unwrap();
    let client = participants(address);
    let mut reserve = spec(RESERVE);
    reserve.timeout = PATIENCE;
    let (outcome, ()) = tokio::join!(call(&client, &reserve, "slow"), async {
        participant.was_executed().await;
        doomed.shutdown_background();
    });
    outcome
}

#[tokio::test]
async fn the_table_of_what_a_gateway_can_answer() {
    let client = participants(serve(Server::builder().add_service(Gateway)).await);
    let paths = [
        "Good",
        "Http401",
        "Http403",
        "Http404",
        "Http429",
        "Http502",
        "Http503",
        "Page200",
        "NoTrailers",
        "OkWithoutReply",
        "TwoReplies",
        "CutShort",
        "CutShortLarge",
        "Compressed",
        "Gzip",
        "GzipBomb",
        "GzipCutShort",
        "NothingToUndo",
        "NothingToUndoLarge",
        "LargeDetails",
        "HugeDetails",
        "CodeNotANumber",
        "BrokenDetails",
        "GarbageDetails",
        "Pushback",
        "Marked",
        "Other",
    ];
    let mut table = String::new();
    for path in paths {
        let outcome = call(&client, &spec(&format!("/test.Gateway/{path}")), "x").await;
        writeln!(table, "{path:<44} {}", shown(&outcome)).unwrap();
    }
    insta::with_settings!({
        snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true
    }, {
        insta::assert_snapshot!("gateway", table);
    });
}

#[tokio::test]
async fn a_call_carries_what_the_participant_needs_to_know() {
    let participant = participant();
    let client = participants(serve(Server::builder().add_service(participant.service())).await);
    call(&client, &spec(RESERVE), "good").await;
    let seen = participant.seen.lock().unwrap().clone();
    let text = |name: &str| seen.get(name).map(|it| it.to_str().unwrap().to_owned());
    let operation = OPERATION.to_string();
    let expected = [
        ("saga-id", "00000000-0000-0000-0000-0000000000a5"),
        ("saga-started-at-ms", "4"),
        ("saga-step", "reserve_stock"),
        ("saga-direction", "forward"),
        ("saga-attempt", "3"),
        ("saga-op-id", &operation),
        ("saga-deadline-ms", "400"),
        ("saga-log-id", "00000000-0000-0000-0000-000000000010"),
        ("saga-log-epoch", "2"),
        ("saga-log-at-ms", "3"),
        ("grpc-timeout", "400m"),
        ("grpc-accept-encoding", "gzip"),
        ("idempotency-key", "k-1"),
    ];
    for (name, value) in expected {
        assert_eq!(text(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(text("traceparent"), None, "no span is recorded here");
}

/// Whoever closes the connection says why, and pings it too often no more.
#[tokio::test]
async fn a_connection_that_was_closed_says_why() {
    // SETTINGS, then GOAWAY: no stream, ENHANCE_YOUR_CALM, and what is said beside it.
    let goodbye = b"\0\0\0\x04\0\0\0\0\0\
        \0\0\x16\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0btoo_many_pings";
    let address = lingering("the whole", goodbye).await;
    let client = participants(address);
    let outcome = call(&client, &spec(RESERVE), "the whole").await;
    assert_eq!(shown(&outcome), "not done: not sent");
    let message = outcome.message();
    assert!(message.contains("GOAWAY ENHANCE_YOUR_CALM"), "{message}");
    assert!(message.contains("too_many_pings"), "{message}");
}

#[tokio::test]
async fn a_participant_that_is_not_configured_is_never_called() {
    let client = participants("127.0.0.1:1");
    let mut elsewhere = spec(RESERVE);
    elsewhere.participant = "payment".to_owned();
    assert_eq!(shown(&call(&client, &elsewhere, "x").await), "not done: not sent");
}

#[test]
fn only_plain_addresses_are_accepted() {
    let refused = [
        "",
        "inventory",
        "127.0.0.1:1",
        "https://a:1",
        "http://a",
        "unix:/tmp/a",
        "http://u:p@a:1",
        "http://a:1/path",
        "http://a:1?query",
    ];
    for address in refused {
        let config = ParticipantConfig {
            addresses: vec![address.to_owned()],
            ..ParticipantConfig::default()
        };
        let all = [("a".to_owned(), config)].into();
        assert!(orchestrator::participants::Participants::new(&all).is_err(), "{address}");
    }
    let none = [("a".to_owned(), ParticipantConfig::default())].into();
    assert!(orchestrator::participants::Participants::new(&none).is_err(), "no address");
}
