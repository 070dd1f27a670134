//! A request is handed on message by message, each as a whole.
//!
//! The reader behind this makes room for a message when it is announced, and every call has a
//! buffer of its own from its beginning: streams that announce and never send would take the
//! memory of all they have announced. Here what is kept is what came, it is counted, and it
//! has to be complete in time.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Status, body::Body};

use crate::{
    Requests,
    answer::Refusal,
    call::{Call, Waiting},
};

/// One byte says whether the message is compressed, four how long it is.
const HEADER_BYTES: usize = 5;

/// The messages of a request.
pub(crate) struct Messages {
    body: Body,
    call: Arc<Call>,
    domain: &'static str,
    /// Whether the method takes more than one message: the next one may take its time to
    /// begin.
    is_stream: bool,
    /// What came of the message that is not whole.
    begun: BytesMut,
    /// What came behind a message that was whole.
    rest: Bytes,
    patience: Option<Patience>,
    /// Where it is counted that it is refused.
    requests: Option<Requests>,
    /// Whether the first message was handed on.
    is_begun: bool,
    is_over: bool,
}

/// What a message that is not whole is waited for with.
struct Patience {
    /// Whether it is for the beginning of a message that is not the first.
    is_between: bool,
    until: Pin<Box<Sleep>>,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    _waiting: Waiting,
}

/// What a request says next.
enum Next {
    Message(Bytes),
    Trailers(Frame<Bytes>),
}

impl Messages {
    pub(crate) fn new(body: Body, call: Arc<Call>, domain: &'static str, is_stream: bool) -> Self {
        Self {
            is_stream,
            body,
            call,
            domain,
            begun: BytesMut::new(),
            rest: Bytes::new(),
            patience: None,
            requests: None,
            is_begun: false,
            is_over: false,
        }
    }

    pub(crate) fn counted_by(self, requests: Option<Requests>) -> Self {
        Self { requests, ..self }
    }

    /// The first message, or `None` where the request has none.
    pub(crate) async fn first(&mut self) -> Result<Option<Bytes>, Status> {
        match std::future::poll_fn(|cx| self.poll(cx)).await {
            Some(Ok(Next::Message(message))) => Ok(Some(message)),
            Some(Err(status)) => Err(status),
            Some(Ok(Next::Trailers(_))) | None => Ok(None),
        }
    }

    /// The body of a request of which `first` was read already.
    pub(crate) fn behind(self, first: Option<Bytes>) -> Body {
        Body::new(Behind { first, messages: self })
    }

    fn refuse(&mut self, refusal: Refusal) -> Status {
        self.is_over = true;
        self.begun = BytesMut::new();
        if let Some(requests) = &self.requests {
            requests.refused(refusal);
        }
        refusal.status(self.domain)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Next, Status>>> {
        loop {
            if self.is_over {
                return Poll::Ready(None);
            }
            match self.take() {
                Ok(Some(message)) => {
                    (self.patience, self.is_begun) = (None, true);
                    return Poll::Ready(Some(Ok(Next::Message(message))));
                }
                Ok(None) => {}
                Err(refusal) => return Poll::Ready(Some(Err(self.refuse(refusal)))),
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                let given_up = ready!(self.poll_patience(cx));
                return Poll::Ready(Some(Err(self.refuse(given_up))));
            };
            match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => {
                        if let Err(refusal) = self.call.hold(chunk.len()) {
                            return Poll::Ready(Some(Err(self.refuse(refusal))));
                        }
                        self.rest = chunk;
                    }
                    Err(other) => return Poll::Ready(Some(Ok(Next::Trailers(other)))),
                },
                Some(Err(error)) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None if self.begun.is_empty() => {
                    self.is_over = true;
                    return Poll::Ready(None);
                }
                None => return Poll::Ready(Some(Err(self.refuse(Refusal::CutOff)))),
            }
        }
    }

    /// A message that is whole, if there is one.
    fn take(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let of = if self.begun.is_empty() { &self.rest[..] } else { &self.begun[..] };
            let wanted = match *of {
                [_, a, b, c, d, ..] => {
                    let bytes = u32::from_be_bytes([a, b, c, d]) as usize;
                    let bytes_max = self.call.shared.limits.request_bytes_max;
                    if bytes_max < bytes {
                        return Err(Refusal::TooLarge { bytes, bytes_max });
                    }
                    HEADER_BYTES + bytes
                }
                _ => HEADER_BYTES,
            };
            // As it came: the usual case, and nothing is copied.
            if self.begun.is_empty() && HEADER_BYTES <= of.len() && wanted <= of.len() {
                return Ok(Some(self.rest.split_to(wanted)));
            }
            if HEADER_BYTES <= of.len() && wanted <= of.len() {
                return Ok(Some(self.begun.split_to(wanted).freeze()));
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
            let missing = (wanted - self.begun.len()).min(self.rest.len());
            self.begun.extend_from_slice(&self.rest.split_to(missing));
        }
    }

    /// Ready where nobody waits any longer for what is missing.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Refusal> {
        // Between two messages a stream may be silent, for as long as the server serves.
        let is_between = self.is_stream && self.is_begun && self.begun.is_empty();
        if self.patience.as_ref().is_none_or(|it| it.is_between != is_between) {
            self.patience = None;
            let shared = &self.call.shared;
            let span = match is_between {
                true => Duration::from_secs(u64::from(u32::MAX)),
                false => Duration::from_millis(shared.limits.request_timeout_ms),
            };
            let waiting = match self.call.wait() {
                Ok(waiting) => waiting,
                Err(refusal) => return Poll::Ready(refusal),
            };
            self.patience = Some(Patience {
                is_between,
                until: Box::pin(sleep(span)),
                stopping: Box::pin(shared.stopping.clone().cancelled_owned()),
                _waiting: waiting,
            });
        }
        let Some(patience) = &mut self.patience else { return Poll::Pending };
        if patience.stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Refusal::Stopping);
        }
        ready!(patience.until.as_mut().poll(cx));
        Poll::Ready(Refusal::TooSlow)
    }
}

/// The body behind this: whole messages, the first of them already read.
struct Behind {
    first: Option<Bytes>,
    messages: Messages,
}

impl HttpBody for Behind {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let next = ready!(self.messages.poll(cx));
        Poll::Ready(next.map(|next| {
            next.map(|next| match next {
                Next::Message(message) => {
                    // Of a stream; what it has said before is over.
                    self.messages.call.release(message.len());
                    Frame::data(message)
                }
                Next::Trailers(frame) => frame,
            })
        }))
    }
}
