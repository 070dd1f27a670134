//! The gate around every method of a listener.

use std::{
    future::{Future, ready},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use saga_metrics::Registry;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::{
    Principal,
    grants::{AuthConfig, AuthError},
    login::Logins,
    policy::{Policy, Rule},
    principal::Roles,
};

/// The gate. Inside of what counts the calls of strangers.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Option<Arc<Rules>>);

#[derive(Debug)]
struct Rules {
    policy: Policy,
    logins: Logins,
}

impl Gate {
    /// As it is configured, for the listeners at these addresses. Must be called inside a
    /// runtime.
    ///
    /// # Errors
    ///
    /// The keys of tokens cannot be used.
    pub(crate) fn configured(
        auth: Option<&AuthConfig>,
        listeners: &[SocketAddr],
    ) -> Result<Self, AuthError> {
        if let Some(auth) = auth {
            let (policy, logins) = (Policy::read(), Logins::open(auth)?);
            return Ok(Self(Some(Arc::new(Rules { policy, logins }))));
        }
        let open = listeners.iter().find(|it| !it.ip().to_canonical().is_loopback());
        if let Some(address) = open {
            tracing::warn!(
                %address,
                "other machines can reach this, and there is no `auth`: whoever gets in may do \
                 everything, such as close sagas of others; say in auth.grants who may do what"
            );
        }
        Ok(Self(None))
    }

    /// Shows what is counted of logins.
    pub(crate) fn show(&self, registry: &mut Registry) {
        Logins::show(self.0.as_deref().map(|it| &it.logins), registry);
    }

    /// Who calls, where they may.
    fn admit(&self, request: &Request<Body>) -> Result<Principal, Status> {
        let Some(rules) = &self.0 else { return Ok(Principal::anybody()) };
        let path = request.uri().path();
        let rule = rules.policy.of(path);
        if rule == Rule::Open {
            // It asks for nothing that anybody may not have.
            return Principal::admitted("nobody", Roles::default(), path, rule);
        }
        let (name, roles) = rules.logins.who(request)?;
        Principal::admitted(&name, roles, path, rule)
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
