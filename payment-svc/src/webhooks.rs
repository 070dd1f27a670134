//! The providers' webhooks, as hints (F79): they may be lost, late, repeated, in any order,
//! or forged, and that changes nothing but how soon we look. No field of theirs is believed
//! except the payment's key, and that only says where to look. Not for correctness: a shop
//! without this listener ends in the same state.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    routing::post,
};
use saga_participant::Participant;
use serde::Deserialize;
use tokio::net::TcpListener;

mod bounded;
pub(crate) mod follow;
pub(crate) mod hint;
use bounded::BoundedListener;
use hint::{Hint, Hints};

use crate::Payments;

/// Bytes of a webhook. A payment has about two thousand.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What is configured under `[service.webhooks]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where the providers call, with plain HTTP.
    pub listen: SocketAddr,
    /// Connections at the same time. Further ones wait.
    #[serde(default = "connections_max")]
    pub connections_max: u32,
    /// Payments that wait to be looked up. Further hints are answered with 503.
    #[serde(default = "waiting_max")]
    pub waiting_max: u32,
    /// Look-ups in a second, so that forged hints cannot use up the provider's patience.
    #[serde(default = "look_ups_per_second_max")]
    pub look_ups_per_second_max: u32,
}

fn connections_max() -> u32 {
    64
}

fn waiting_max() -> u32 {
    1_024
}

fn look_ups_per_second_max() -> u32 {
    20
}

impl WebhookConfig {
    /// The defaults for everything but the address.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            connections_max: connections_max(),
            waiting_max: waiting_max(),
            look_ups_per_second_max: look_ups_per_second_max(),
        }
    }
}

/// Why the listener cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The address cannot be listened on.
    #[error("webhooks: listen {listen}: choose a free port of this machine")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A limit of 0 would stop everything.
    #[error("webhooks: connections_max, waiting_max and look_ups_per_second_max begin at 1")]
    Limit,
}

/// A listener that does not answer yet.
#[derive(Debug)]
pub struct Webhooks {
    listener: TcpListener,
    local_addr: SocketAddr,
    config: WebhookConfig,
}

impl Webhooks {
    /// Listens; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// [`WebhookError`] says what to correct.
    pub async fn bind(config: WebhookConfig) -> Result<Self, WebhookError> {
        let WebhookConfig { listen, connections_max, waiting_max, look_ups_per_second_max } =
            config;
        if [connections_max, waiting_max, look_ups_per_second_max].contains(&0) {
            return Err(WebhookError::Limit);
        }
        let failed = |source| WebhookError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, local_addr, config })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Takes hints and follows them until it is dropped. What it does to the database runs
    /// in tasks of the database, which come to their end.
    pub async fn run(self, participant: Participant<Payments>) {
        let Self { listener, config, .. } = self;
        let hints = Arc::new(Hints::new(config.waiting_max));
        let routes = Router::new()
            .route("/webhooks/toss", post(from_toss))
            .route("/webhooks/portone", post(from_portone))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(hints.clone());
        let listener = BoundedListener::new(listener, config.connections_max);
        let serving = axum::serve(listener, routes);
        tokio::select! {
            served = serving.into_future() => {
                if let Err(error) = served {
                    tracing::error!(%error, "webhooks are not listened to any more");
                }
            }
            () = follow::follow_all(hints, participant, config.look_ups_per_second_max) => {}
        }
    }
}

async fn from_toss(State(hints): State<Arc<Hints>>, body: Bytes) -> StatusCode {
    take(&hints, Hint::of_toss(&body))
}

async fn from_portone(State(hints): State<Arc<Hints>>, body: Bytes) -> StatusCode {
    take(&hints, Hint::of_portone(&body))
}

/// 200 for what is taken and for what there is nothing to do about: everything else would
/// be sent again.
fn take(hints: &Hints, hint: Option<Hint>) -> StatusCode {
    match hint.map(|it| hints.put(it)) {
        None => StatusCode::BAD_REQUEST,
        Some(true) => StatusCode::OK,
        Some(false) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
