//! Peers that do not speak gRPC, or speak it badly.

use std::{
    collections::HashMap, convert::Infallible, future::Ready, io::Write as _, net::SocketAddr,
};

use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{body::Body, server::NamedService};
use tonic_types::StatusExt as _;
use tower::Service;

use super::server::listen;

/// A peer that waits until it has read `marker`, writes `answer` and hangs up. It has the
/// whole request by then: whatever follows, the call may have been executed.
pub(crate) async fn peer(marker: &'static str, answer: &'static [u8]) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = Vec::new();
                let marker = marker.as_bytes();
                while !read.windows(marker.len()).any(|it| it == marker) {
                    if socket.read_buf(&mut read).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                socket.write_all(answer).await.unwrap_or_default();
                socket.shutdown().await.unwrap_or_default();
            });
        }
    });
    address
}

/// A reply in gzip that nobody asked for, as one option of every library sends it.
fn gzip(message: &[u8]) -> Result<http::Response<Body>, http::Error> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(message).unwrap();
    let packed = encoder.finish().unwrap();
    let length = u32::try_from(packed.len()).unwrap().to_be_bytes();
    let frame = [[1].as_slice(), &length, &packed].concat();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    let body = Full::new(bytes::Bytes::from(frame));
    let body = Body::new(body.with_trailers(std::future::ready(Some(Ok(trailers)))));
    let grpc = http::Response::builder().header("content-type", "application/grpc");
    grpc.header("grpc-encoding", "gzip").body(body)
}

/// A reply that says that it has so many bytes, and has so many.
fn large(says: u32, has: usize) -> Body {
    with_trailers(says, has, &[])
}

/// A reply of so many bytes of a compensation that found nothing to undo.
fn nothing_to_undo(bytes: u32) -> Body {
    with_trailers(bytes, bytes as usize, &[("saga-nothing-to-undo", "true")])
}

fn with_trailers(says: u32, has: usize, more: &[(&'static str, &'static str)]) -> Body {
    let frame = [[0].as_slice(), &says.to_be_bytes(), &vec![0; has]].concat();
    let mut trailers = http::HeaderMap::new();
    for (name, value) in [("grpc-status", "0")].iter().chain(more) {
        trailers.insert(*name, http::HeaderValue::from_static(value));
    }
    let body = Full::new(bytes::Bytes::from(frame));
    Body::new(body.with_trailers(std::future::ready(Some(Ok(trailers)))))
}

/// A refusal whose details begin with its reason, and go on for so long.
fn refused(bytes: usize) -> Result<http::Response<Body>, http::Error> {
    let mut details = tonic_types::ErrorDetails::new();
    details.set_error_info("OUT_OF_STOCK", "test", HashMap::new());
    details.set_debug_info(vec!["x".repeat(bytes)], "");
    let status = tonic::Status::with_error_details(tonic::Code::FailedPrecondition, "no", details);
    let mut response: http::Response<Body> = status.into_http();
    response
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static("application/grpc"));
    Ok(response)
}

/// As `peer`, but it leaves the hanging up to the other side.
pub(crate) async fn lingering(marker: &'static str, answer: &'static [u8]) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = Vec::new();
                let marker = marker.as_bytes();
                while socket.read_buf(&mut read).await.unwrap_or(0) > 0 {
                    if read.windows(marker.len()).any(|it| it == marker) {
                        socket.write_all(answer).await.unwrap_or_default();
                        read.clear();
                    }
                }
            });
        }
    });
    address
}

/// A gateway that answers each path in its own way, over HTTP/2.
#[derive(Clone)]
pub(crate) struct Gateway;

impl NamedService for Gateway {
    const NAME: &'static str = "test.Gateway";
}

impl Service<http::Request<Body>> for Gateway {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let response = answer(request.uri().path().trim_start_matches("/test.Gateway/"));
        std::future::ready(Ok(response))
    }
}

fn answer(path: &str) -> http::Response<Body> {
    let grpc = || http::Response::builder().header("content-type", "application/grpc");
    let status = |code: &str| grpc().header("grpc-status", code);
    let data = |bytes: &'static [u8]| Body::new(Full::new(bytes::Bytes::from_static(bytes)));
    let with_ok = |bytes: &'static [u8]| {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        let body = Full::new(bytes::Bytes::from_static(bytes));
        Body::new(body.with_trailers(std::future::ready(Some(Ok(trailers)))))
    };
    let page = |code: u16| {
        let page = http::Response::builder().status(code).header("content-type", "text/html");
        page.body(data(b"<h1>gateway</h1>"))
    };
    let built = match path {
        "Http401" => page(401),
        "Http403" => page(403),
        "Http404" => page(404),
        "Http429" => page(429),
        "Http502" => page(502),
        "Http503" => page(503),
        "Page200" => page(200),
        "NoTrailers" => grpc().body(data(&[0, 0, 0, 0, 0])),
        "OkWithoutReply" => status("0").body(Body::empty()),
        "Good" => grpc().body(with_ok(&[0, 0, 0, 0, 2, 8, 1])),
        "TwoReplies" => grpc().body(with_ok(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        "CutShort" => grpc().body(with_ok(&[0, 0, 0, 0, 9, 1])),
        "Compressed" => grpc().body(with_ok(&[1, 0, 0, 0, 0])),
        "Gzip" => gzip(&[8, 1]),
        "CutShortLarge" => grpc().body(large(2_000_000, 1_200_000)),
        "GzipBomb" => gzip(&vec![0; 1_200_000]),
        "NothingToUndo" => grpc().body(nothing_to_undo(0)),
        "NothingToUndoLarge" => grpc().body(nothing_to_undo(1_200_000)),
        "GzipCutShort" => {
            let body = with_ok(&[1, 0, 0, 0, 2, 0x1f, 0x8b]);
            grpc().header("grpc-encoding", "gzip").body(body)
        }
        // A stack trace, of which a library writes half a megabyte when it is let.
        "LargeDetails" => refused(100 * 1024),
        "HugeDetails" => refused(600 * 1024),
        "CodeNotANumber" => status("nine").body(Body::empty()),
        "BrokenDetails" => {
            status("9").header("grpc-status-details-bin", "!not base64!").body(Body::empty())
        }
        "GarbageDetails" => {
            status("9").header("grpc-status-details-bin", "/////w").body(Body::empty())
        }
        "Pushback" => status("10").header("grpc-retry-pushback-ms", "700").body(Body::empty()),
        "Marked" => status("13").header("saga-outcome", "refused").body(Body::empty()),
        _ => status("12").body(Body::empty()),
    };
    built.unwrap()
}
