//! The bytes of a request as they came over the wire, and those of a reply as they are
//! stored.
//!
//! A repeat is recognised by its bytes. Encoding a message anew gives others: a map has
//! another order each time, and what this build of the service does not know is gone. And
//! a stored reply is repeated byte for byte, which decoding and encoding would not do. But
//! generated handlers see messages only. So a layer around all of a server's routes keeps
//! the bytes of each operation's request while tonic reads them, in the request's
//! extensions, and puts a stored reply in the place of what tonic made of it. Generated
//! code, limits on sizes, and calls that are no operations stay as they are.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{TryFutureExt as _, future::MapOk};
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tower::{Layer, Service};

use crate::{
    error::{OperationError, reason},
    operation::OP_ID_KEY,
};

/// One byte says whether the message is compressed, four how long it is.
const HEADER_BYTES: usize = 5;

/// The layer. [`crate::serve::Server`] has it; another server has to be given it, or else
/// every operation is answered INTERNAL.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawLayer;

impl<S> Layer<S> for RawLayer {
    type Service = RawService<S>;

    fn layer(&self, inner: S) -> RawService<S> {
        RawService { inner }
    }
}

/// A service within the layer.
#[derive(Clone, Debug)]
pub struct RawService<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for RawService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = MapOk<S::Future, fn(Response<Body>) -> Response<Body>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if request.headers().contains_key(OP_ID_KEY) {
            let kept = RawRequest::default();
            request.extensions_mut().insert(kept.clone());
            request = request.map(|body| Body::new(KeptBody { body, kept }));
        }
        self.inner.call(request).map_ok(as_stored)
    }
}

/// The first message of a request, in the request's extensions.
#[derive(Clone, Debug, Default)]
pub struct RawRequest(Arc<Mutex<Vec<u8>>>);

impl RawRequest {
    /// As if the encoded `message` had come over the wire, for a call inside one process.
    pub fn of(message: &[u8]) -> Self {
        Self(Arc::new(Mutex::new(framed(message).into())))
    }

    /// Keeps what of `chunk` belongs to the first message. What is kept grows as it comes:
    /// the length that a message announces is no reason to reserve memory.
    fn keep(&self, mut chunk: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let missing @ 1.. = missing_bytes(&kept).min(chunk.len()) {
            let (here, rest) = chunk.split_at(missing);
            kept.extend_from_slice(here);
            chunk = rest;
        }
    }

    /// The bytes of the message of a request.
    ///
    /// # Errors
    ///
    /// [`OperationError::Unknown`], a mistake in how the service is put together: its
    /// server is without [`RawLayer`], or takes compressed messages. Nothing was done.
    pub(crate) fn take<O>(request: &mut tonic::Request<O>) -> Result<Bytes, OperationError> {
        let Some(Self(kept)) = request.extensions_mut().remove::<Self>() else {
            return Err(unusable(
                "the server does not keep the bytes of requests: serve with \
                 saga_participant::serve::Server, or add saga_participant::RawLayer to it",
            ));
        };
        let kept = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
        if kept.first() != Some(&0) || 0 < missing_bytes(&kept) {
            return Err(unusable(
                "the request came compressed, and compressing it again may give other bytes: \
                 take `accept_compressed` away from the server of this service",
            ));
        }
        Ok(Bytes::from(kept).slice(HEADER_BYTES..))
    }
}

fn unusable(message: &str) -> OperationError {
    tracing::error!("{message}");
    OperationError::Unknown { reason: reason::INTERNAL_FAULT, message: message.to_owned() }
}

/// How many bytes are missing, of the header or else of the message.
fn missing_bytes(kept: &[u8]) -> usize {
    match *kept {
        [_, a, b, c, d, ref message @ ..] => {
            (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(message.len())
        }
        _ => HEADER_BYTES - kept.len(),
    }
}

fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(HEADER_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// A request's body that keeps what passes.
struct KeptBody {
    body: Body,
    kept: RawRequest,
}

impl HttpBody for KeptBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(chunk) = frame.data_ref()
        {
            self.kept.keep(chunk);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stored reply, in a response's extensions.
#[derive(Clone, Debug)]
pub(crate) struct RawReply(pub(crate) Bytes);

fn as_stored(mut response: Response<Body>) -> Response<Body> {
    match response.extensions_mut().remove::<RawReply>() {
        Some(RawReply(reply)) => {
            response.map(|body| Body::new(StoredBody { body, reply: Some(framed(&reply)) }))
        }
        None => response,
    }
}

/// A response's body with a stored reply in the place of its message. A message that tonic
/// does not send, because it is too long, is not sent here either.
struct StoredBody {
    body: Body,
    reply: Option<Bytes>,
}

impl HttpBody for StoredBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            if !matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
                return Poll::Ready(frame);
            }
            if let Some(reply) = self.reply.take() {
                return Poll::Ready(Some(Ok(Frame::data(reply))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
