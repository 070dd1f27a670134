//! What a participant says of calls that it never took.

use std::net::SocketAddr;

use h2::{Reason, server};
use http::Response;
use orchestrator::participants::ParticipantConfig;

use super::server::{RESERVE, call, configured, listen, participants, shown, spec};

/// What a server of HTTP/2 does with the first stream of each connection.
#[derive(Clone, Copy)]
enum First {
    /// Refuses it (RFC 9113, section 8.7).
    Refuse,
    /// Gives it up in the middle.
    Cancel,
    /// Goes away, and names no stream as its last (section 6.8).
    GoAway,
    /// Takes it, and then ends the connection.
    TakeAndEnd,
}

async fn serving(first: First) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut connection) = server::handshake(socket).await else { return };
                if let First::GoAway = first {
                    connection.abrupt_shutdown(Reason::NO_ERROR);
                    while connection.accept().await.is_some() {}
                    return;
                }
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    match first {
                        First::Refuse => respond.send_reset(Reason::REFUSED_STREAM),
                        First::Cancel => respond.send_reset(Reason::CANCEL),
                        First::GoAway => {}
                        First::TakeAndEnd => {
                            drop(request);
                            connection.abrupt_shutdown(Reason::INTERNAL_ERROR);
                        }
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn what_was_refused_before_it_was_taken_was_never_sent() {
    for (first, expected) in [
        (First::Refuse, "not done: not sent"),
        (First::GoAway, "not done: not sent"),
        (First::Cancel, "UNKNOWN: connection lost"),
        (First::TakeAndEnd, "UNKNOWN: connection lost"),
    ] {
        let client = participants(serving(first).await);
        assert_eq!(shown(&call(&client, &spec(RESERVE), "x").await), expected);
    }
}

/// Our own library gives up a stream whose headers are too large with the same code. The
/// participant has answered: it has taken the call.
#[tokio::test]
async fn headers_that_are_too_large_are_no_word_of_the_participant() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut connection) = server::handshake(socket).await else { continue };
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                let large = "x".repeat(8_000);
                let response = Response::builder().header("large", large).body(()).unwrap();
                let _ = respond.send_response(response, true);
            }
        }
    });
    let client = configured(ParticipantConfig {
        addresses: vec![format!("http://{address}")],
        header_bytes_max: 2_000,
        ..ParticipantConfig::default()
    });
    let outcome = call(&client, &spec(RESERVE), "x").await;
    assert_eq!(shown(&outcome), "UNKNOWN: connection lost");
    assert!(outcome.message().contains("header_bytes_max"), "{}", outcome.message());
}
