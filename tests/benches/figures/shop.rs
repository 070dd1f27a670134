//! The services of the shop in this process, each on a port and with books of its own.

use std::{net::SocketAddr, path::Path};

use saga_participant::{
    Database, Limits, schema,
    serve::{Server, ServerLimits, Service, Wire},
};
use saga_tests::postgres::Cluster;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Where books are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Books<'b> {
    /// Files in this folder.
    Sqlite(&'b Path),
    /// Databases of this server.
    Postgres(&'b Cluster),
}

impl Books<'_> {
    /// `sqlite` or `postgres`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    /// The URL of a new database, as services want it.
    fn database(self, name: &str) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite://{}", folder.join(name).display()),
            Self::Postgres(cluster) => cluster.database(name),
        }
    }

    /// The URL of a new database, as the orchestrator wants it.
    pub(crate) fn log(self, name: &str) -> String {
        self.database(name).replace("sqlite://", "sqlite:")
    }

    /// A new database with the tables of a service.
    pub(crate) async fn open<S: Service>(self, name: &str) -> Database {
        let url = self.database(name);
        let database = Database::connect(&url, Limits::default()).await.unwrap();
        schema::migrate(&database, &S::SCHEMA).await.unwrap();
        database
    }
}

/// A service that is served, until it is dropped.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    stop: DropGuard,
    running: JoinHandle<()>,
}

impl Served {
    /// Serves a service on a free port of the loopback.
    pub(crate) async fn start<S: Service>(database: Database, config: S::Config) -> Self {
        let limits = ServerLimits { drain_max_ms: 3_000, ..ServerLimits::default() };
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits, Wire::Loopback).unwrap();
        let server = server.describing(S::DESCRIPTORS);
        let address = server.local_addr();
        let app = S::app(database, config).await.unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let running = tokio::spawn(async move { server.run(app, stopped).await.unwrap() });
        Self { address, stop: stop.drop_guard(), running }
    }

    /// Stops it, and waits until its database is closed.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.running.await.unwrap();
    }
}

/// A request under an operation id.
pub(crate) fn under<T>(op_id: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("saga-op-id", op_id.parse().unwrap());
    request
}
