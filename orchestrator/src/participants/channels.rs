//! Connections to one participant.

use std::{
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{
    Request, Response, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper_util::{
    client::legacy::{
        Client, Error,
        connect::{Connected, Connection, HttpConnector},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use saga_tls::{ClientFiles, Secured, TlsError};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use tonic::body::Body;
use tower::Service;

use super::sight::Sight;
use crate::coalesce::Coalesced;

/// How long a participant has to answer a ping of HTTP/2 before its connection is given up.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long what was sent may stay without an acknowledgement of the other machine before a
/// connection is given up: a dead peer is found by TCP, which no server takes amiss.
const DEAD_PEER: Duration = Duration::from_secs(15);

/// How long a connection is silent before TCP asks whether the other machine is there.
const SILENCE: Duration = Duration::from_secs(5);

/// How long a participant that is connected may take to answer a ping.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// Pings are never rarer than this.
const KEEPALIVE_MAX: Duration = Duration::from_secs(7_200);

/// Questions without an answer after which TCP takes the other machine for dead.
const RETRIES: u32 = 3;

/// Bytes that a participant may send ahead. Fixed: to adapt it, a connection would send a
/// ping for every few replies.
const WINDOW_BYTES: u32 = 1024 * 1024;

/// Calls that go out on a new connection before the participant has said how many it takes at
/// a time: one more may be refused, or end the connection.
const STREAMS_FIRST: usize = 1;

/// One participant in the configuration.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ParticipantConfig {
    /// Where it answers, as `http://host:port`, or `https://host:port` with `tls`. Several:
    /// calls go to each in turn.
    pub addresses: Vec<String>,
    /// The files of TLS. Absent: plain text.
    pub tls: Option<ClientFiles>,
    /// A `FileDescriptorSet` with its types, for one that has no reflection. Absent: as for
    /// all participants.
    pub descriptors: Option<PathBuf>,
    /// Connections per address. One carries many calls at once; two keep a lost packet
    /// from holding up all of them.
    pub connections: usize,
    /// Calls at the same time. Further ones wait, so that a slow participant holds its
    /// own sagas and nobody else's.
    pub in_flight_max: usize,
    /// How long a connection may take to be made. Longer means slower news of a dead
    /// participant; a call that never left is known not to have happened.
    pub connect_timeout_ms: u64,
    /// How often a connection is pinged while calls are out on it. Servers of gRPC allow one
    /// ping in five minutes unless they are told otherwise, and close the connection after
    /// more; whoever does so is pinged half as often from then on.
    pub keepalive_ms: u64,
    /// Longest reply that is kept. Of a longer one it is only known that the call was done.
    pub reply_bytes_max: usize,
    /// Names and values of a reply's headers and trailers at most (X09). A refusal that
    /// carries more, such as a stack trace in its details, cannot be read.
    pub header_bytes_max: u32,
}

impl Default for ParticipantConfig {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            tls: None,
            descriptors: None,
            connections: 2,
            in_flight_max: 256,
            connect_timeout_ms: 1_000,
            keepalive_ms: 330_000,
            reply_bytes_max: 1024 * 1024,
            header_bytes_max: 256 * 1024,
        }
    }
}

/// A participant in the configuration that cannot be used. A program that gets one stops.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is nothing to call.
    #[error("participant {participant}: no addresses, or a limit that is 0")]
    Empty { participant: String },
    /// Not `http://host:port`.
    #[error(
        "participant {participant}: address {address}: write http://host:port or https://host:port"
    )]
    Address { participant: String, address: String },
    /// There is nobody to trust.
    #[error(
        "participant {participant}: address {address} speaks TLS: name the authority of its \
         certificate in participants.{participant}.tls.ca"
    )]
    NoAuthority { participant: String, address: String },
    /// Calls would go out in plain text, although there are files of TLS.
    #[error(
        "participant {participant}: address {address} speaks no TLS, and there is \
         participants.{participant}.tls: write https://host:port, or take the section out"
    )]
    Plaintext { participant: String, address: String },
    /// A file of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// One participant.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) channels: Channels,
    /// A place for each call of a conformance check.
    pub(super) checks: Semaphore,
    pub(super) in_flight_max: usize,
    pub(super) reply_bytes_max: usize,
    /// How long a ping may take.
    pub(super) ping_timeout: Duration,
    /// What it serves now, compared with what definitions were checked with.
    pub(super) sight: Sight,
}

impl Entry {
    pub(super) fn new(name: &str, config: &ParticipantConfig) -> Result<Self, ConfigError> {
        let ParticipantConfig { connections, in_flight_max, reply_bytes_max, .. } = *config;
        let places = in_flight_max.min(Semaphore::MAX_PERMITS);
        if config.addresses.is_empty()
            || [connections, in_flight_max, reply_bytes_max].contains(&0)
            || config.keepalive_ms == 0
        {
            return Err(ConfigError::Empty { participant: name.to_owned() });
        }
        let tls = config.tls.as_ref().map(|files| {
            let tls = saga_tls::Connector::open(&format!("participants.{name}.tls"), files)?;
            tls.look_after();
            Ok::<_, TlsError>(tls)
        });
        let tls = tls.transpose()?;
        let mut channels = Vec::with_capacity(connections * config.addresses.len());
        for _ in 0..connections {
            for address in &config.addresses {
                let authority = authority(name, address, tls.is_some())?;
                channels.push(Channel::new(authority, config, tls.clone()));
            }
        }
        let addresses = config.addresses.len();
        let channels = Channels { all: channels, addresses, turn: AtomicUsize::new(0) };
        Ok(Self {
            channels,
            checks: Semaphore::new(places),
            in_flight_max,
            reply_bytes_max,
            ping_timeout: Duration::from_millis(config.connect_timeout_ms) + ANSWER_TIME,
            sight: Sight::default(),
        })
    }
}

/// Where `address` leads, if it is one.
fn authority(name: &str, address: &str, has_tls: bool) -> Result<Authority, ConfigError> {
    let names = || (name.to_owned(), address.to_owned());
    let refused = || {
        let (participant, address) = names();
        ConfigError::Address { participant, address }
    };
    let uri: Uri = address.parse().map_err(|_| refused())?;
    let authority = uri.authority().ok_or_else(refused)?;
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let is_secret = uri.scheme() == Some(&Scheme::HTTPS);
    let known = is_secret || uri.scheme() == Some(&Scheme::HTTP);
    if !bare || !known || authority.as_str().contains('@') || authority.port_u16().is_none() {
        return Err(refused());
    }
    let (participant, address) = names();
    match (is_secret, has_tls) {
        (true, false) => Err(ConfigError::NoAuthority { participant, address }),
        (false, true) => Err(ConfigError::Plaintext { participant, address }),
        (true, true) | (false, false) => Ok(authority.clone()),
    }
}

/// Makes connections whose writes are shared by the calls that are ready, and counts them.
#[derive(Clone, Debug)]
struct Connector {
    http: HttpConnector,
    tls: Option<saga_tls::Connector>,
    /// How long the handshake of TLS may take.
    patience: Duration,
    changes: Arc<AtomicU64>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Coalesced>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let Self { tls, patience, changes, .. } = self.clone();
        let host = to.host().unwrap_or_default().to_owned();
        let connecting = self.http.call(to);
        Box::pin(async move {
            let stream: TokioIo<TcpStream> = connecting.await?;
            let stream = stream.into_inner();
            let stream = match tls {
                None => Secured::plain(stream),
                Some(tls) => {
                    let made = timeout(patience, tls.connect(&host, stream)).await;
                    made.map_err(|_| format!("no TLS with {host} within {patience:?}"))??
                }
            };
            Ok(TokioIo::new(Coalesced::counted(stream, changes)))
        })
    }
}

impl Connection for Coalesced {
    fn connected(&self) -> Connected {
        self.stream().map_or_else(Connected::new, Connection::connected)
    }
}

/// One connection: made when something is sent, and made again after it broke.
#[derive(Debug)]
pub(super) struct Channel {
    client: RwLock<Pinged>,
    authority: Authority,
    config: ParticipantConfig,
    tls: Option<saga_tls::Connector>,
    /// Goes up whenever its connection is made or gone.
    changes: Arc<AtomicU64>,
    /// What `changes` was when the participant's types were last looked at over it.
    seen: AtomicU64,
}

/// A client, and how often it pings.
#[derive(Clone, Debug)]
struct Pinged {
    client: Client<Connector, Body>,
    every: Duration,
}

impl Pinged {
    fn new(
        every: Duration,
        config: &ParticipantConfig,
        tls: Option<saga_tls::Connector>,
        changes: &Arc<AtomicU64>,
    ) -> Self {
        let patience = Duration::from_millis(config.connect_timeout_ms);
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_keepalive(Some(SILENCE));
        connector.set_keepalive_interval(Some(SILENCE));
        #[cfg(target_os = "linux")]
        connector.set_tcp_user_timeout(Some(DEAD_PEER));
        connector.set_keepalive_retries(Some(RETRIES));
        connector.set_connect_timeout(Some(patience));
        // Each client has a pool of its own, and a pool has one HTTP/2 connection per
        // address.
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .http2_only(true)
            .http2_keep_alive_interval(every)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .http2_keep_alive_while_idle(false)
            .http2_initial_stream_window_size(WINDOW_BYTES)
            .http2_initial_connection_window_size(WINDOW_BYTES)
            .http2_max_header_list_size(config.header_bytes_max)
            .http2_initial_max_send_streams(STREAMS_FIRST)
            // Trying again is the saga's business, and stands in its log.
            .retry_canceled_requests(false)
            .build(Connector { http: connector, tls, patience, changes: Arc::clone(changes) });
        Self { client, every }
    }
}

impl Channel {
    fn new(
        authority: Authority,
        config: &ParticipantConfig,
        tls: Option<saga_tls::Connector>,
    ) -> Self {
        let changes = Arc::new(AtomicU64::new(1));
        let every = Duration::from_millis(config.keepalive_ms);
        let client = RwLock::new(Pinged::new(every, config, tls.clone(), &changes));
        let config = config.clone();
        Self { client, authority, config, tls, changes, seen: AtomicU64::new(0) }
    }

    /// Whether it may lead to another program than when the types were last looked at.
    pub(super) fn is_new(&self) -> bool {
        self.seen.load(Ordering::Acquire) != self.changes.load(Ordering::Acquire)
    }

    /// Whether there is a connection: each is counted twice, and the count begins at 1.
    pub(super) fn is_connected(&self) -> bool {
        self.changes.load(Ordering::Acquire).is_multiple_of(2)
    }

    /// The types were looked at over it.
    pub(super) fn look_done(&self) {
        self.seen.store(self.changes.load(Ordering::Acquire), Ordering::Release);
    }

    /// The participant closed the connection because it was pinged too often.
    pub(super) fn calm_down(&self) {
        let mut client = self.client.write().unwrap_or_else(PoisonError::into_inner);
        let every = client.every.saturating_mul(2).min(KEEPALIVE_MAX);
        tracing::warn!(
            participant.address = %self.authority,
            keepalive_ms = every.as_millis(),
            "the participant was pinged more often than it allows; it is pinged half as often now"
        );
        *client = Pinged::new(every, &self.config, self.tls.clone(), &self.changes);
    }

    /// Sends `request` to the method at `path`. The reply's head has come when this ends.
    pub(super) async fn send(
        &self,
        path: PathAndQuery,
        mut request: Request<Body>,
    ) -> Result<Response<hyper::body::Incoming>, Error> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        *request.uri_mut() = Uri::from_parts(parts).expect("all three parts are given");
        let client = {
            let pinged = self.client.read().unwrap_or_else(PoisonError::into_inner);
            pinged.client.clone()
        };
        client.request(request).await
    }
}

/// Connections that take turns.
#[derive(Debug)]
pub(super) struct Channels {
    all: Vec<Channel>,
    /// The first so many lead to different addresses.
    addresses: usize,
    turn: AtomicUsize,
}

impl Channels {
    /// One connection to each address.
    pub(super) fn to_each_address(&self) -> impl Iterator<Item = &Channel> {
        self.all.iter().take(self.addresses)
    }

    /// Each address, as `host:port`.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.to_each_address().map(|channel| channel.authority.to_string()).collect()
    }

    /// The connection whose turn it is.
    pub(super) fn next(&self) -> &Channel {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        &self.all[turn % self.all.len()]
    }
}
