//! Who calls: what a peer shows, checked.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use http::{HeaderMap, Request, header::AUTHORIZATION};
use saga_metrics::{Counters, Metric, Registry};
use saga_serve::Peer;
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt as _;

use super::{
    failures::Failures,
    grants::{AuthConfig, AuthError, Grants},
    principal::Roles,
    tokens::{Tokens, Wrong},
};
use crate::api::error::{details, status};

const FAILED: Metric = Metric::counter(
    "saga_logins_failed_total",
    &["why"],
    "Calls of somebody who did not show who they are, by why",
);

/// Nothing was shown.
const MISSING: &str = "missing";
/// What was shown was not looked at: too many of this peer were wrong.
const TOO_MANY: &str = "too_many";

/// What is known of who may log in, and who could not.
#[derive(Debug)]
pub(super) struct Logins {
    grants: Grants,
    tokens: Option<Tokens>,
    failures: Failures,
    failed: Counters<1>,
}

impl Logins {
    /// As it is configured. Must be called inside a runtime.
    ///
    /// # Errors
    ///
    /// The keys of tokens cannot be used.
    pub(super) fn open(auth: &AuthConfig) -> Result<Self, AuthError> {
        let tokens = auth.tokens.as_ref().map(Tokens::open).transpose()?;
        let failures = Failures::new(auth.failures_per_minute_max);
        Ok(Self { grants: Grants::new(auth), tokens, failures, failed: nobody_failed() })
    }

    /// Shows how often somebody failed. `None`: nobody is asked who they are.
    pub(super) fn show(logins: Option<&Self>, registry: &mut Registry) {
        registry.counters(&logins.map_or_else(nobody_failed, |it| it.failed.clone()));
    }

    /// The name of whoever calls, and what is granted to them. Who shows a token is who that
    /// says, whatever certificate its bearer has: a gateway acts for somebody else.
    ///
    /// # Errors
    ///
    /// They have not shown who they are. Nothing was done.
    pub(super) fn who(&self, request: &Request<Body>) -> Result<(String, Roles), Status> {
        let peer = request.extensions().get::<Peer>();
        if request.headers().contains_key(AUTHORIZATION) {
            // Its bearer is not meant, whatever certificate they have.
            let tokens = self.tokens.as_ref().ok_or_else(|| {
                let told = "this server takes no tokens, and nothing was done: leave it out, or \
                            have auth.tokens configured";
                status(Code::Unauthenticated, "TOKEN_REFUSED", told)
            })?;
            return self.bearer(tokens, request.headers(), peer.map(Peer::address));
        }
        match peer.and_then(Peer::identity) {
            Some(it) => Ok((it.to_string(), self.grants.of_names(it.names()))),
            None => {
                self.failed.of([MISSING]).inc();
                Err(status(
                    Code::Unauthenticated,
                    "CREDENTIALS_MISSING",
                    "say who you are: connect with a certificate that names you, or send a token \
                     where this server takes them; nothing was done",
                ))
            }
        }
    }

    fn bearer(
        &self,
        tokens: &Tokens,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<(String, Roles), Status> {
        let now = Instant::now();
        if let Some(Err(wait)) = peer.map(|it| self.failures.check(it, now)) {
            self.failed.of([TOO_MANY]).inc();
            return Err(too_many(wait));
        }
        let checked = token(headers).ok_or(Wrong::Malformed).and_then(|it| tokens.check(it));
        match checked {
            Ok(shown) => {
                let name = format!("{} of {}", shown.subject, tokens.issuer());
                Ok((name, self.grants.of_token(&shown)))
            }
            Err(wrong) => {
                self.failed.of([wrong.word()]).inc();
                if let Some(peer) = peer.filter(|_| wrong.may_be_forged()) {
                    self.failures.failed(peer, now);
                }
                let message = format!(
                    "the token is not taken: {}; nothing was done: send another one",
                    wrong.told()
                );
                Err(status(Code::Unauthenticated, "TOKEN_REFUSED", message))
            }
        }
    }
}

fn nobody_failed() -> Counters<1> {
    let failed = Counters::new(&FAILED);
    for why in Wrong::ALL.map(Wrong::word).into_iter().chain([MISSING, TOO_MANY]) {
        // So that the first of them is seen as one more than none.
        let _ = failed.of([why]);
    }
    failed
}

/// The token of the one header that may hold it.
fn token(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (one, more) = (all.next()?, all.next());
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    (more.is_none() && scheme.eq_ignore_ascii_case("bearer")).then(|| token.trim())
}

fn too_many(wait: Duration) -> Status {
    // In whole seconds: nobody needs to know it better.
    let seconds = wait.as_secs() + 1;
    let mut details = details("TOO_MANY_LOGINS", HashMap::new());
    details.set_retry_info(Some(Duration::from_secs(seconds)));
    let message = format!(
        "too many tokens from this address were not taken; nothing was done: send a good one in \
         {seconds} s"
    );
    Status::with_error_details(Code::ResourceExhausted, message, details)
}
