//! Whose word about operations is taken (X17).
//!
//! The metadata of a call says which operation it is, of which saga, and how far its log is; an
//! inquiry ends an operation for ever. Whoever could forge them could fence what is about to
//! happen, or have an answer that was somebody else's. So where engines are configured, only
//! they are believed, by the certificate that they show.

use std::{
    collections::HashMap,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use saga_serve::Peer;
use tonic::{Code, Status, body::Body};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::{Layer, Service};

use crate::error::reason;

/// What begins the names of what only an engine says.
const METADATA: &str = "saga-";

/// The service that only an engine asks.
const SERVICE: &str = "/saga.participant.v1.ParticipantService/";

/// The layer around all methods of a participant.
#[derive(Clone, Debug)]
pub(crate) struct Engines {
    /// Empty: everybody is believed.
    names: Arc<[String]>,
    domain: &'static str,
}

impl Engines {
    pub(crate) fn new(names: &[String], domain: &'static str) -> Self {
        Self { names: names.into(), domain }
    }

    fn check(&self, request: &Request<Body>) -> Result<(), Status> {
        let claims = request.uri().path().starts_with(SERVICE)
            || request.headers().keys().any(|it| it.as_str().starts_with(METADATA));
        if self.names.is_empty() || !claims {
            return Ok(());
        }
        let identity = request.extensions().get::<Peer>().and_then(Peer::identity);
        let is_known = |name: &str| self.names.iter().any(|engine| engine.as_str() == name);
        if identity.is_some_and(|it| it.names().any(is_known)) {
            return Ok(());
        }
        let who = identity.map_or_else(|| "nobody by name".to_owned(), ToString::to_string);
        let message = format!(
            "this is {who}, and only an engine says what operation a call is, or asks what became \
             of one; nothing was done: name it under `engines` in this service's configuration"
        );
        let details =
            ErrorDetails::with_error_info(reason::ENGINE_UNKNOWN, self.domain, HashMap::new());
        Err(Status::with_error_details(Code::PermissionDenied, message, details))
    }
}

impl<S> Layer<S> for Engines {
    type Service = Believed<S>;

    fn layer(&self, inner: S) -> Believed<S> {
        Believed { inner, engines: self.clone() }
    }
}

/// A participant's methods behind it.
#[derive(Clone, Debug)]
pub(crate) struct Believed<S> {
    inner: S,
    engines: Engines,
}

type Answered<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S> Service<Request<Body>> for Believed<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answered<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.engines.check(&request) {
            Ok(()) => Box::pin(self.inner.call(request)),
            Err(refused) => Box::pin(ready(Ok(refused.into_http()))),
        }
    }
}
