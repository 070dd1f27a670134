//! One request and its reply on the wire, and exactly what was seen of it.
//!
//! This is the unary part of the gRPC protocol over HTTP/2, without the layer that turns
//! whatever happens into a status: a status that a library makes up would look like an
//! answer of the participant. It also survives a status that cannot be decoded.

use std::{
    error::Error,
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, uri::PathAndQuery};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy;
use tonic::{Code, Status, body::Body, metadata::MetadataMap};

use super::channels::Channel;

/// Flag and length before a message.
const FRAME_HEADER_BYTES: usize = 5;

/// Bytes of a reply over the limit that are looked at, at most.
const BEGINNING_BYTES_MAX: usize = 4 * 1024;

/// In a reply: a compensation found nothing to undo.
const NOTHING_TO_UNDO: &str = "saga-nothing-to-undo";

/// The one compression that every library of gRPC has.
const GZIP: &str = "gzip";

/// What carries the details of a status.
const DETAILS: &str = "grpc-status-details-bin";

/// One call to make.
pub(super) struct Unary {
    pub(super) path: PathAndQuery,
    pub(super) metadata: HeaderMap,
    /// The message, as protobuf bytes.
    pub(super) body: Bytes,
    pub(super) timeout: Duration,
    pub(super) reply_bytes_max: usize,
}

/// What was seen of a call.
#[derive(Debug)]
pub enum Seen {
    /// OK, and the reply.
    Reply(Bytes),
    /// OK, and the reply of a compensation that found nothing to undo.
    NothingToUndo(Bytes),
    /// OK, and a reply that is larger than is kept.
    TooLarge {
        /// How large it may be.
        message: String,
        /// As much of it as is looked at.
        begins: Bytes,
        /// Whether it is that of a compensation that found nothing to undo.
        nothing_to_undo: bool,
    },
    /// A status other than OK that came over the wire as one.
    Status(Box<Status>),
    /// The message never left: no participant can have acted on it.
    NotSent {
        /// Why it did not leave.
        message: String,
    },
    /// No answer in time; the message may have left.
    TimedOut,
    /// The connection broke; the message may have left.
    Lost {
        /// How it broke.
        message: String,
    },
    /// An answer that is not gRPC: a proxy's.
    NotGrpc {
        /// What it is.
        message: String,
    },
    /// OK, and a reply that cannot be taken.
    BadReply {
        /// Why it cannot be taken.
        message: String,
    },
}

/// Makes one call.
pub(super) async fn unary(channel: &Channel, unary: Unary) -> Seen {
    let left = Arc::new(AtomicBool::new(false));
    let Unary { timeout, reply_bytes_max, .. } = unary;
    let path = unary.path.clone();
    let request = request(unary, &left);
    let exchange = exchange(channel, path, request, reply_bytes_max);
    let seen = match tokio::time::timeout(timeout, exchange).await {
        Ok(seen) => seen,
        Err(_) => Seen::TimedOut,
    };
    // A method with one request runs when it has the message. One that was never taken
    // by the connection is on no wire.
    match seen {
        Seen::TimedOut if !left.load(Ordering::Acquire) => {
            Seen::NotSent { message: format!("no connection within {timeout:?}") }
        }
        Seen::Lost { message } if !left.load(Ordering::Acquire) => Seen::NotSent { message },
        seen => seen,
    }
}

fn request(unary: Unary, left: &Arc<AtomicBool>) -> http::Request<Body> {
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES + unary.body.len());
    frame.put_u8(0);
    // Requests are bounded far below 4 GiB when a saga is started.
    frame.put_u32(u32::try_from(unary.body.len()).unwrap_or(u32::MAX));
    frame.put_slice(&unary.body);
    let left = Arc::clone(left);
    let body = Full::new(frame.freeze()).map_frame(move |frame| {
        left.store(true, Ordering::Release);
        frame
    });
    let mut request = http::Request::new(Body::new(body));
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    let headers = request.headers_mut();
    *headers = unary.metadata;
    headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-accept-encoding", HeaderValue::from_static(GZIP));
    // The unit `m` is milliseconds; the protocol allows 8 digits.
    let timeout_ms = unary.timeout.as_millis().clamp(1, 99_999_999);
    if let Ok(value) = HeaderValue::try_from(format!("{timeout_ms}m")) {
        headers.insert(HeaderName::from_static("grpc-timeout"), value);
    }
    request
}

async fn exchange(
    channel: &Channel,
    path: PathAndQuery,
    request: http::Request<Body>,
    reply_bytes_max: usize,
) -> Seen {
    let response = match channel.send(path, request).await {
        Ok(response) => response,
        Err(error) => {
            return match broken(channel, &error) {
                Seen::Lost { message } if is_refused_unprocessed(&error) => {
                    let refused = "the participant refused the stream before it took the call";
                    Seen::NotSent { message: format!("{refused}: {message}") }
                }
                seen => seen,
            };
        }
    };
    let (head, mut body) = response.into_parts();
    let content_type = head.headers.get(http::header::CONTENT_TYPE);
    let is_grpc = content_type.is_some_and(|it| it.as_bytes().starts_with(b"application/grpc"));
    if head.status != http::StatusCode::OK || !is_grpc {
        let shown = content_type.and_then(|it| it.to_str().ok()).unwrap_or("no content type");
        return Seen::NotGrpc { message: format!("HTTP {}, {shown}", head.status.as_u16()) };
    }
    if let Some(code) = code_of(&head.headers) {
        return answered(code, head.headers, Sent::default());
    }
    let found_nothing = |headers: &HeaderMap| {
        headers.get(NOTHING_TO_UNDO).is_some_and(|it| it.as_bytes() == b"true")
    };
    let gzip = head.headers.get("grpc-encoding").is_some_and(|it| it.as_bytes() == GZIP.as_bytes());
    let mut sent = Sent { gzip, reply_bytes_max, ..Sent::default() };
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(status) => return broken(channel, &status),
        };
        match frame.into_data() {
            // Read to its end, however large: the status behind it says whether it was done.
            Ok(bytes) => sent.come(&bytes),
            Err(frame) => trailers = frame.into_trailers().ok().or(trailers),
        }
    }
    let trailers = trailers.unwrap_or_default();
    let nothing_to_undo = found_nothing(&head.headers) || found_nothing(&trailers);
    let seen = match code_of(&trailers) {
        Some(code) => answered(code, trailers, sent),
        None => return Seen::Lost { message: "the reply ended without a status".to_owned() },
    };
    // What the trailers say holds however large the reply is.
    match seen {
        Seen::Reply(reply) if nothing_to_undo => Seen::NothingToUndo(reply),
        Seen::TooLarge { message, begins, .. } => {
            Seen::TooLarge { message, begins, nothing_to_undo }
        }
        seen => seen,
    }
}

/// The status code, where the participant sent one.
fn code_of(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|it| Code::from_bytes(it.as_bytes()))
}

/// What came before a status.
#[derive(Default)]
struct Sent {
    /// As much of it as may be kept.
    data: BytesMut,
    /// How much it was.
    bytes: usize,
    /// Whether a message that is compressed is so.
    gzip: bool,
    reply_bytes_max: usize,
}

impl Sent {
    fn come(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len());
        let room = (FRAME_HEADER_BYTES + self.reply_bytes_max).saturating_sub(self.data.len());
        self.data.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }
}

/// What a status that came over the wire says.
fn answered(code: Code, mut headers: HeaderMap, sent: Sent) -> Seen {
    if code == Code::Ok {
        return message(sent);
    }
    // `Status::from_header_map` panics on details that are not base64: it gets none.
    let details = headers.remove(DETAILS).and_then(decoded);
    let status = Status::from_header_map(&headers).unwrap_or_else(|| Status::new(code, ""));
    let metadata = status.metadata().clone();
    let status = Status::with_details_and_metadata(
        status.code(),
        status.message(),
        details.unwrap_or_default(),
        metadata,
    );
    Seen::Status(Box::new(status))
}

/// The bytes of a binary header, where they can be decoded.
fn decoded(value: HeaderValue) -> Option<Bytes> {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static(DETAILS), value);
    MetadataMap::from_headers(headers).get_bin(DETAILS)?.to_bytes().ok()
}

/// The one message of a reply.
fn message(sent: Sent) -> Seen {
    let Sent { mut data, bytes, gzip, reply_bytes_max } = sent;
    let bad = |message: &str| Seen::BadReply { message: message.to_owned() };
    if data.len() < FRAME_HEADER_BYTES {
        return bad("OK came without a reply");
    }
    let compressed = data.get_u8() != 0;
    let length = data.get_u32();
    if usize::try_from(length) != Ok(bytes - FRAME_HEADER_BYTES) {
        return bad("the reply is not exactly one message");
    }
    let is_whole = data.len() == bytes - FRAME_HEADER_BYTES;
    match (compressed, gzip) {
        (false, _) if !is_whole => over(reply_bytes_max, data.freeze()),
        (false, _) => Seen::Reply(data.freeze()),
        (true, true) => inflated(&data, is_whole, reply_bytes_max),
        (true, false) => bad("the reply is compressed, and not in gzip, which was offered"),
    }
}

/// A message that came in gzip. No more of it is ever held than may be kept: a few bytes may
/// stand for a thousand times as many.
fn inflated(data: &[u8], is_whole: bool, reply_bytes_max: usize) -> Seen {
    let mut reply = Vec::new();
    let most = u64::try_from(reply_bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    match MultiGzDecoder::new(data).take(most).read_to_end(&mut reply) {
        Ok(len) if reply_bytes_max < len => over(reply_bytes_max, reply.into()),
        // What is missing of it was not kept; what is not is in `reply` all the same.
        _ if !is_whole => over(reply_bytes_max, reply.into()),
        Ok(_) => Seen::Reply(reply.into()),
        Err(error) => Seen::BadReply { message: format!("the reply is no gzip: {error}") },
    }
}

fn over(reply_bytes_max: usize, mut begins: Bytes) -> Seen {
    let message = format!("the reply is over the limit of {reply_bytes_max} bytes");
    begins.truncate(BEGINNING_BYTES_MAX);
    Seen::TooLarge { message, begins, nothing_to_undo: false }
}

/// Whether the participant said that it never took the call (RFC 9113, sections 6.8 and 8.7): it
/// reset the stream as refused, or went away and named an earlier stream as its last. What our
/// own library says of a reply that it cannot take bears the same code, and is not that.
fn is_refused_unprocessed(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            // A server that does not take our certificate reads nothing behind it.
            let kind = error.get_io().map(std::io::Error::kind);
            if kind == Some(std::io::ErrorKind::ConnectionRefused) {
                return true;
            }
            let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
            return error.is_remote() && (refused || error.is_go_away());
        }
        next = error.source();
    }
    false
}

/// Whether our library gave a stream up because of its headers.
fn is_over_size(error: &h2::Error) -> bool {
    let reason = error.reason();
    let one = error.is_reset() && reason == Some(Reason::REFUSED_STREAM);
    // Much over it, the whole connection is given up.
    let all = error.is_go_away() && reason == Some(Reason::ENHANCE_YOUR_CALM);
    error.is_library() && (one || all)
}

/// A call that ended without an answer.
fn broken(channel: &Channel, error: &(dyn Error + 'static)) -> Seen {
    let mut words = Vec::new();
    let mut connecting = false;
    let mut next = Some(error);
    while let Some(error) = next {
        connecting |= error.downcast_ref().is_some_and(legacy::Error::is_connect);
        if error.downcast_ref().is_some_and(is_over_size) {
            words.push("headers or trailers over `header_bytes_max`".to_owned());
        }
        let mut text = error.to_string();
        if let Some(reason) = error.downcast_ref().and_then(gone_away) {
            // The library says what the code means, and what the participant wrote beside it.
            text = format!("GOAWAY {reason:?}: {text}");
            if reason == Reason::ENHANCE_YOUR_CALM {
                channel.calm_down();
            }
        }
        if words.last() != Some(&text) {
            words.push(text);
        }
        next = error.source();
    }
    if connecting {
        // What lies behind it says why; how the libraries came there helps nobody.
        let message = words.pop().map(|it| in_plain_words(&it)).unwrap_or_default();
        return Seen::NotSent { message };
    }
    Seen::Lost { message: words.join(": ") }
}

/// `connection refused` of `Connection refused (os error 111)`.
fn in_plain_words(error: &str) -> String {
    let text = error.split(" (os error ").next().unwrap_or(error);
    let mut letters = text.chars();
    match letters.next() {
        // A name keeps its capitals, such as TLS.
        Some(first) if letters.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

/// With which code the participant closed the connection, where it did.
fn gone_away(error: &h2::Error) -> Option<Reason> {
    if error.is_go_away() && error.is_remote() { error.reason() } else { None }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, read::GzEncoder};

    use super::*;

    #[test]
    fn a_packed_reply_of_which_the_end_was_not_kept_is_over_the_limit() {
        // Nothing that packing makes smaller.
        let reply: Vec<u8> = (0..=255).collect();
        let mut packed = Vec::new();
        let len = GzEncoder::new(reply.as_slice(), Compression::none()).read_to_end(&mut packed);
        assert!(len.is_ok_and(|len| reply.len() < len));
        let mut sent = Sent { gzip: true, reply_bytes_max: 100, ..Sent::default() };
        sent.come(&[1, 0, 0]);
        sent.come(&u16::try_from(packed.len()).unwrap_or_default().to_be_bytes());
        packed.chunks(7).for_each(|it| sent.come(it));
        let Seen::TooLarge { begins, .. } = message(sent) else { panic!("it is read") };
        assert!((1..100).contains(&begins.len()) && reply.starts_with(&begins));
    }
}
