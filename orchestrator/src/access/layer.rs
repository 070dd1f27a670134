//! The gate around every method of a listener.

use std::{
    future::{Future, ready},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use saga_serve::Peer;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use super::{
    Principal,
    grants::{AuthConfig, Grants},
    policy::{Policy, Rule},
    principal::Roles,
};
use crate::api::error::status;

/// The gate. Inside of what counts the calls of strangers.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Option<Arc<Rules>>);

#[derive(Debug)]
struct Rules {
    policy: Policy,
    grants: Grants,
}

impl Gate {
    /// One that is open: nobody is asked who they are.
    fn open() -> Self {
        Self(None)
    }

    /// One that lets those in who have what a method needs.
    fn of(grants: Grants) -> Self {
        Self(Some(Arc::new(Rules { policy: Policy::read(), grants })))
    }

    /// As it is configured, for the listeners at these addresses.
    pub(crate) fn configured(auth: Option<&AuthConfig>, listeners: &[SocketAddr]) -> Self {
        if let Some(auth) = auth {
            return Self::of(Grants::new(auth));
        }
        let open = listeners.iter().find(|it| !it.ip().to_canonical().is_loopback());
        if let Some(address) = open {
            tracing::warn!(
                %address,
                "other machines can reach this, and there is no `auth`: whoever gets in may do \
                 everything, such as close sagas of others; say in auth.grants who may do what"
            );
        }
        Self::open()
    }

    /// Who calls, where they may.
    fn admit(&self, request: &Request<Body>) -> Result<Principal, Status> {
        let Some(rules) = &self.0 else { return Ok(Principal::anybody()) };
        let path = request.uri().path();
        let rule = rules.policy.of(path);
        let identity = request.extensions().get::<Peer>().and_then(Peer::identity);
        let Some(identity) = identity else {
            // It asks for nothing that anybody may not have.
            if rule == Rule::Open {
                return Principal::admitted("nobody", Roles::default(), path, rule);
            }
            return Err(status(
                Code::Unauthenticated,
                "CREDENTIALS_MISSING",
                "say who you are: connect with a certificate that names you; nothing was done",
            ));
        };
        let roles = rules.grants.of(identity.names());
        Principal::admitted(&identity.to_string(), roles, path, rule)
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, gate: self.clone() }
    }
}

/// A server's methods behind the gate.
#[derive(Clone, Debug)]
pub(crate) struct Gated<S> {
    inner: S,
    gate: Gate,
}

type Answered<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S> Service<Request<Body>> for Gated<S>
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.gate.admit(&request) {
            Ok(principal) => {
                request.extensions_mut().insert(principal);
                Box::pin(self.inner.call(request))
            }
            Err(refused) => Box::pin(ready(Ok(refused.into_http()))),
        }
    }
}
