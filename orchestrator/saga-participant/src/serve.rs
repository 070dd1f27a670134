//! What every service binary shares: configuration, commands, the gRPC server.
//!
//! A binary is one line, `saga_participant::serve::main::<InventoryService>()`; a program
//! that holds several services uses [`App`] and [`Server`] directly.

use std::{future::Future, net::SocketAddr, time::Duration};

use saga_serve::{Connections, Front, Incoming, Requests};
pub use saga_serve::{Plaintext, Wire};
use tokio::{net::TcpListener, sync::oneshot};
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server as GrpcServer};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{database::Database, engines::Engines, raw::RawLayer};

mod command;
mod config;

pub use command::main;
pub use config::{Config, DatabaseUrl, LogConfig, LogFormat, ServerLimits, Service};
pub use saga_serve::{Ops, OpsPort, text_or_file};

/// The longest message that a service takes or sends. Set it on every generated server.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// The domain of the reasons with which calls are refused in front of a service.
const DOMAIN: &str = "saga.participant.v1";

const HEALTH: &str = "grpc.health.v1.Health";

const PROBE_EVERY: Duration = Duration::from_secs(2);

/// Why a server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another program listens there.
    #[error("listen {listen}: the port is in use; stop the other program, or choose another port")]
    PortInUse {
        /// The address.
        listen: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("listen {listen}: the address cannot be listened on; choose one of this machine's")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// It could be reached from other machines without TLS, and nobody has said that this is
    /// meant.
    #[error(transparent)]
    Plaintext(#[from] Plaintext),
    /// The descriptors that are built in cannot be served: a mistake of this program.
    #[error("the built-in descriptors cannot be served")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The server stopped by itself.
    #[error("the server stopped")]
    Transport(#[source] tonic::transport::Error),
}

/// A service that is ready to be served.
#[derive(Debug)]
pub struct App {
    /// Its gRPC services.
    pub routes: Routes,
    /// Their full names, for the health service.
    pub service_names: &'static [&'static str],
    /// Its database: closed at the end, and probed for the health service.
    pub database: Database,
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    limits: ServerLimits,
    wire: Wire,
    engines: Engines,
    ops: Option<Ops>,
    descriptors: &'static [u8],
}

impl Server {
    /// Listens on `listen`; port 0 takes a free one. Must be called inside a runtime.
    ///
    /// # Errors
    ///
    /// [`ServeError::Plaintext`], [`ServeError::PortInUse`] or [`ServeError::Listen`].
    pub fn bind(listen: SocketAddr, limits: ServerLimits, wire: Wire) -> Result<Self, ServeError> {
        wire.check("listen", listen)?;
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AddrInUse => ServeError::PortInUse { listen },
            _ => ServeError::Listen { listen, source },
        };
        let socket = std::net::TcpListener::bind(listen).map_err(failed)?;
        let listener = socket
            .set_nonblocking(true)
            .and_then(|()| TcpListener::from_std(socket))
            .map_err(|source| ServeError::Listen { listen, source })?;
        let local_addr =
            listener.local_addr().map_err(|source| ServeError::Listen { listen, source })?;
        let engines = Engines::new(&[], DOMAIN);
        Ok(Self { listener, local_addr, limits, wire, engines, ops: None, descriptors: &[] })
    }

    /// Tells `ops` whether it is ready.
    #[must_use]
    pub fn with_ops(self, ops: Ops) -> Self {
        Self { ops: Some(ops), ..self }
    }

    /// Shows the service's own contracts by reflection, beside that of participants: an encoded
    /// `FileDescriptorSet` with all that they import. Definitions are checked against them.
    #[must_use]
    pub fn describing(self, descriptors: &'static [u8]) -> Self {
        Self { descriptors, ..self }
    }

    /// From now on only these identities are believed what they say of operations, and may ask
    /// what became of them. None: everybody is.
    #[must_use]
    pub fn trusting(self, engines: &[String]) -> Self {
        Self { engines: Engines::new(engines, DOMAIN), ..self }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` ends, then drains: takes no new calls, lets the present ones
    /// finish for at most `drain_max_ms`, waits for every transaction, closes the database.
    ///
    /// # Errors
    ///
    /// [`ServeError::Reflection`], [`ServeError::Transport`].
    pub async fn run(
        self,
        app: App,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let App { routes, service_names, database } = app;
        let own = self.descriptors;
        let (health, health_server) = tonic_health::server::health_reporter();
        let routes = routes
            .add_service(health_server)
            .add_service(reflection(own, service_names).build_v1().map_err(ServeError::Reflection)?)
            .add_service(
                reflection(own, service_names).build_v1alpha().map_err(ServeError::Reflection)?,
            );

        let stop = CancellationToken::new();
        let ops = self.ops.clone();
        let told = Told { health, service_names, ops: self.ops };
        told.report(database.answers().await).await;
        let probe = tokio::spawn(probe(told, database.clone(), stop.clone()));
        let (stopped, draining) = oneshot::channel();
        let connections = Connections::new(self.limits.of_strangers());
        let stopping = connections.clone();
        let requests = Requests::of(&[saga_proto::FILE_DESCRIPTOR_SET, own], service_names);
        if let Some(ops) = &ops {
            ops.show(|registry| {
                requests.show(&connections, registry);
                database.show(registry);
            });
        }
        let signal = async move {
            shutdown.await;
            tracing::info!("draining");
            stop.cancel();
            drop(stopped);
            stopping.stop();
        };
        let serving = self
            .limits
            .server()
            .layer(Front::new(connections.clone(), DOMAIN, &[]).counted_by(requests))
            .layer(self.engines)
            .layer(RawLayer)
            .add_routes(routes)
            .serve_with_incoming_shutdown(
                Incoming::new(self.listener, connections, self.wire, |it| it),
                signal,
            );
        let drain_max = Duration::from_millis(self.limits.drain_max_ms);
        let overtime = async {
            // The other end is dropped when the draining begins.
            let _: Result<(), _> = draining.await;
            tokio::time::sleep(drain_max).await;
        };
        let served = tokio::select! {
            served = serving => served.map_err(ServeError::Transport),
            () = overtime => {
                tracing::warn!("calls were still open at the end of the draining");
                Ok(())
            }
        };
        probe.abort();
        database.close().await;
        served
    }
}

/// Lists what is served, and nothing else that is in the descriptors.
fn reflection<'d>(own: &'d [u8], services: &[&str]) -> tonic_reflection::server::Builder<'d> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(saga_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(own);
    let served = services.iter().copied().chain([HEALTH]);
    served.fold(reflection, tonic_reflection::server::Builder::with_service_name)
}

impl ServerLimits {
    /// Whether something can be served within these.
    ///
    /// # Errors
    ///
    /// Names the key, its value, and what it may be.
    pub(crate) fn check(&self) -> Result<(), saga_serve::WrongLimit> {
        self.of_strangers().check()
    }

    /// What whoever connects may hold.
    fn of_strangers(&self) -> saga_serve::Limits {
        saga_serve::Limits {
            connections_max: self.connections_max,
            calls_max: self.calls_max,
            streams_per_connection_max: self.streams_per_connection_max,
            reads_per_connection_max: self.reads_per_connection_max,
            header_bytes_max: self.header_bytes_max,
            request_bytes_max: MESSAGE_BYTES_MAX,
            requests_bytes_max: self.requests_bytes_max,
            handshake_timeout_ms: self.handshake_timeout_ms,
            request_timeout_ms: self.request_timeout_ms,
            keepalive_interval_ms: self.keepalive_interval_ms,
            keepalive_timeout_ms: self.keepalive_timeout_ms,
        }
    }

    fn server(&self) -> GrpcServer {
        let server = GrpcServer::builder()
            .http2_keepalive_interval(Some(Duration::from_millis(self.keepalive_interval_ms)))
            .http2_keepalive_timeout(Some(Duration::from_millis(self.keepalive_timeout_ms)))
            .max_concurrent_streams(self.streams_per_connection_max)
            .http2_max_header_list_size(self.header_bytes_max)
            .http2_max_pending_accept_reset_streams(Some(64));
        match self.connection_age_max_ms {
            0 => server,
            age_ms => server.max_connection_age(Duration::from_millis(age_ms)),
        }
    }
}

/// Who is told whether calls are taken.
#[derive(Debug)]
struct Told {
    health: HealthReporter,
    service_names: &'static [&'static str],
    ops: Option<Ops>,
}

impl Told {
    async fn report(&self, answers: bool) {
        if let Some(ops) = &self.ops {
            match answers {
                true => ops.ready(),
                false => ops.not_ready("the database does not answer"),
            }
        }
        self.health(answers).await;
    }

    async fn stopping(&self) {
        if let Some(ops) = &self.ops {
            ops.not_ready("stopping: open calls are finished, and no new ones taken");
        }
        self.health(false).await;
    }

    async fn health(&self, serves: bool) {
        let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in self.service_names.iter().copied().chain([""]) {
            self.health.set_service_status(name, status).await;
        }
    }
}

/// Tells from time to time whether the database answers, and after `stop` that nothing is
/// served, so that nobody sends new calls.
async fn probe(told: Told, database: Database, stop: CancellationToken) {
    let every_so_often = async {
        loop {
            tokio::time::sleep(PROBE_EVERY).await;
            told.report(database.answers().await).await;
        }
    };
    stop.run_until_cancelled(every_so_often).await;
    told.stopping().await;
}
