//! The layer around all methods of a server.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use crate::{
    Peer, Requests,
    answer::{Refusal, with_reason},
    call::Call,
    messages::Messages,
    requests::UnderWay,
};

/// The layer. Around everything else of a server whose connections come from
/// [`Incoming`](crate::Incoming).
#[derive(Clone, Debug)]
pub struct Front {
    domain: &'static str,
    streams: &'static [&'static str],
    connections: crate::Connections,
    requests: Option<Requests>,
}

impl Front {
    /// `domain` is the one of the reasons of refusals, `streams` are the paths of methods that
    /// take more than one message.
    #[must_use]
    pub fn new(
        connections: crate::Connections,
        domain: &'static str,
        streams: &'static [&'static str],
    ) -> Self {
        Self { domain, streams, connections, requests: None }
    }

    /// Has all calls counted.
    #[must_use]
    pub fn counted_by(self, requests: Requests) -> Self {
        Self { requests: Some(requests), ..self }
    }
}

impl<S> Layer<S> for Front {
    type Service = FrontService<S>;

    fn layer(&self, inner: S) -> FrontService<S> {
        FrontService { inner, front: self.clone() }
    }
}

/// A server's methods within the layer.
#[derive(Clone, Debug)]
pub struct FrontService<S> {
    inner: S,
    front: Front,
}

impl<S> Service<Request<Body>> for FrontService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that is ready goes, its clone stays.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let Front { domain, streams, connections, requests } = self.front.clone();
        let Some(peer) = request.extensions().get::<Peer>().cloned() else {
            // Inside one process nobody is a stranger.
            return Box::pin(inner.call(request));
        };
        let mut under_way = requests.as_ref().map(|it| it.begin(request.uri().path()));
        Box::pin(async move {
            let opened = open(&connections, &peer, request.uri().path()).await;
            let (call, place) = match opened {
                Ok(opened) => opened,
                Err(refusal) => {
                    if let Some(requests) = &requests {
                        requests.refused(refusal);
                    }
                    return Ok(told(refusal.status(domain), &mut under_way));
                }
            };
            let (parts, body) = request.into_parts();
            let is_stream = match &place {
                Place::Lasting(_) => true,
                Place::Read | Place::Free => streams.contains(&parts.uri.path()),
            };
            let mut messages =
                Messages::new(body, Arc::clone(&call), domain, is_stream).counted_by(requests);
            let first = match messages.first().await {
                Ok(first) => first,
                Err(status) => return Ok(told(status, &mut under_way)),
            };
            let path = parts.uri.path().to_owned();
            let place = match place {
                Place::Read => {
                    let turn = Arc::clone(&peer.connection.reads).acquire_owned().await;
                    Some(turn.expect("nobody closes it"))
                }
                Place::Lasting(place) => Some(place),
                Place::Free => None,
            };
            let request = Request::from_parts(parts, messages.behind(first));
            let response = with_reason(inner.call(request).await?, &path, domain);
            if let Some(under_way) = &mut under_way {
                under_way.learn(response.headers());
            }
            Ok(response
                .map(|body| Body::new(Answer { body, under_way, _call: call, _place: place })))
        })
    }
}

/// The answer of a call that ends here.
fn told(status: Status, under_way: &mut Option<UnderWay>) -> Response<Body> {
    let response = status.into_http();
    if let Some(under_way) = under_way {
        under_way.learn(response.headers());
    }
    response
}

/// What a call needs beside a place among the calls.
enum Place {
    /// A turn among the reads of its connection, kept until its answer was taken.
    Read,
    /// A place among its streams that last.
    Lasting(OwnedSemaphorePermit),
    Free,
}

async fn open(
    connections: &crate::Connections,
    peer: &Peer,
    path: &str,
) -> Result<(Arc<Call>, Place), Refusal> {
    let call = Call::open(&connections.shared, &peer.connection)?;
    let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    let place = if service.starts_with("grpc.reflection.") || method == "Watch" {
        let place = Arc::clone(&peer.connection.lasting).try_acquire_owned();
        Place::Lasting(place.map_err(|_| Refusal::TooManyLasting)?)
    } else if ["Get", "List", "Count", "Verify", "Audit"].iter().any(|it| method.starts_with(it)) {
        Place::Read
    } else {
        Place::Free
    };
    Ok((call, place))
}

/// The body of an answer. The call ends with it.
struct Answer {
    body: Body,
    /// It ends with the answer, and is counted then.
    under_way: Option<UnderWay>,
    _call: Arc<Call>,
    _place: Option<OwnedSemaphorePermit>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let (Some(Ok(frame)), Some(under_way)) = (&frame, &mut self.under_way)
            && let Some(trailers) = frame.trailers_ref()
        {
            under_way.learn(trailers);
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
