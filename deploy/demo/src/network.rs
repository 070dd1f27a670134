//! Faults between the orchestrator and a service: a layer in front of the service's
//! handlers, for what happens to one call, and a relay in front of its port, for what
//! happens to a connection.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use futures::stream;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{service::Routes, transport::server::TcpConnectInfo};

use crate::{
    definition::STEP_TIMEOUT_MS,
    faults::{Faults, NetworkCounts, NetworkFault},
};

/// How long a slow reply is held back.
const SLOW_MS: std::ops::Range<u64> = 50..300;

/// How late a late request arrives: behind the caller's patience, and behind the inquiry
/// that follows.
const LATE: Duration = Duration::from_millis(STEP_TIMEOUT_MS + 700);

/// The longest request that is kept for later.
const REQUEST_BYTES_MAX: usize = 4 << 20;

/// What the network does to one service.
#[derive(Debug)]
pub(crate) struct Weather {
    pub(crate) faults: Faults,
    pub(crate) seed: u64,
    /// Where the service stands behind a relay: only then connections can be cut.
    pub(crate) relay: Option<Arc<Relay>>,
    pub(crate) counts: Arc<NetworkCounts>,
    /// Calls so far.
    pub(crate) calls: AtomicU64,
    /// Requests that are still on their way.
    pub(crate) late: TaskTracker,
}

impl Weather {
    /// Puts the weather in front of a service's handlers.
    pub(crate) fn over(self: &Arc<Self>, routes: Routes) -> Routes {
        let layer = from_fn_with_state(Arc::clone(self), inject);
        Routes::from(routes.into_axum_router().layer(layer))
    }

    /// What happens to the next call. The same seed brings the same sequence.
    fn next(&self) -> Option<(NetworkFault, StdRng)> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut rng = StdRng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(number));
        let mut drawn = rng.random_range(0..1_000_u64);
        for (fault, permille) in self.faults.network() {
            if drawn < *permille {
                return Some((*fault, rng));
            }
            drawn -= permille;
        }
        None
    }
}

async fn inject(State(weather): State<Arc<Weather>>, request: Request, next: Next) -> Response {
    if !is_call(request.uri().path()) {
        return next.run(request).await;
    }
    let Some((fault, mut rng)) = weather.next() else {
        return next.run(request).await;
    };
    match fault {
        NetworkFault::Unavailable => {
            weather.counts.count(fault);
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        NetworkFault::ReplyLost => {
            next.run(request).await;
            weather.counts.count(fault);
            broken_off()
        }
        NetworkFault::Slow => {
            let response = next.run(request).await;
            weather.counts.count(fault);
            sleep(Duration::from_millis(rng.random_range(SLOW_MS))).await;
            response
        }
        NetworkFault::Late => deliver_late(&weather, request, next).await,
        NetworkFault::Cut => cut(&weather, request, next).await,
    }
}

/// Calls of the shop and inquiries; not health and reflection.
fn is_call(path: &str) -> bool {
    path.starts_with("/shop.") || path.starts_with("/saga.participant.")
}

/// A reply whose headers arrived and whose rest never does.
fn broken_off() -> Response {
    let error = io::Error::new(io::ErrorKind::ConnectionReset, "the reply was lost");
    let body = Body::from_stream(stream::iter([Err::<Vec<u8>, _>(error)]));
    let mut response = Response::new(body);
    let grpc = axum::http::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(axum::http::header::CONTENT_TYPE, grpc);
    response
}

/// Hands the request to the service when nobody waits for the reply any more.
async fn deliver_late(weather: &Weather, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, REQUEST_BYTES_MAX).await else {
        return broken_off();
    };
    weather.counts.count(NetworkFault::Late);
    // In a task: the caller hangs up, and this function ends with its call.
    let arrived = weather.late.spawn(async move {
        sleep(LATE).await;
        next.run(Request::from_parts(head, Body::from(body))).await
    });
    arrived.await.unwrap_or_else(|_| broken_off())
}

/// Lets the service do its work and cuts the connection instead of a reply.
async fn cut(weather: &Weather, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    next.run(request).await;
    if let (Some(relay), Some(peer)) = (&weather.relay, peer)
        && relay.cut(peer)
    {
        weather.counts.count(NetworkFault::Cut);
    }
    broken_off()
}

/// Passes bytes between a port and a service, connection by connection.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    /// Each connection by the address under which the service sees it.
    connections: Mutex<HashMap<SocketAddr, CancellationToken>>,
}

impl Relay {
    /// Relays what `listener` accepts to `target`, until `stop`.
    pub(crate) async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        target: SocketAddr,
        stop: CancellationToken,
    ) {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let relay = Arc::clone(&self);
                    connections.spawn(relay.pass(stream, target, stop.child_token()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the relay cannot accept");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
        connections.close();
        connections.wait().await;
    }

    async fn pass(
        self: Arc<Self>,
        mut near: TcpStream,
        target: SocketAddr,
        cut: CancellationToken,
    ) {
        let far = async {
            let far = TcpStream::connect(target).await?;
            far.set_nodelay(true)?;
            near.set_nodelay(true)?;
            Ok::<_, io::Error>((far.local_addr()?, far))
        };
        let Ok((seen_as, mut far)) = far.await else {
            return;
        };
        self.connections().insert(seen_as, cut.clone());
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            () = cut.cancelled() => {}
        }
        self.connections().remove(&seen_as);
    }

    /// Cuts the connection that the service sees as `peer`. False: it is gone already.
    fn cut(&self, peer: SocketAddr) -> bool {
        let connection = self.connections().remove(&peer);
        connection.is_some_and(|connection| {
            connection.cancel();
            true
        })
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, CancellationToken>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
