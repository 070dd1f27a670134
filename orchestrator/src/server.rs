//! Puts the orchestrator together from its configuration and serves its API.

use std::{future::Future, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use saga_log::{Log, LogLimits, OpenError, OpenOptions};
use saga_proto::saga::v1::{
    definition_service_server::DefinitionServiceServer,
    operator_service_server::OperatorServiceServer, saga_service_server::SagaServiceServer,
};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tonic::transport::{
    Server,
    server::{Connected, TcpConnectInfo, TcpIncoming},
};
use tonic_health::server::HealthReporter;

use crate::{
    api::{DefinitionApi, OperatorApi, SagaApi},
    clock::SystemClock,
    coalesce::Coalesced,
    config::Config,
    definition::ServedTypes,
    definitions::RegisterError,
    descriptors::Descriptors,
    driver::advance::ROW_SHARE_BYTES,
    engine::{Engine, EngineParts},
    participants::Participants,
};

/// Bytes that a client may send ahead, per call and per connection.
const WINDOW_BYTES: u32 = 1024 * 1024;

/// Bytes of one request at most.
const REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;

/// How often it is looked whether sagas can be started here.
const READINESS_EVERY: Duration = Duration::from_millis(250);

/// How often a definition is tried again whose participants cannot be asked.
const REGISTER_AGAIN: Duration = Duration::from_secs(2);

/// An orchestrator that listens.
#[derive(Debug)]
pub struct Orchestrator {
    engine: Engine,
    listener: TcpListener,
    grace: Duration,
}

/// Rows as large as whatever one moment can bring: the largest reply, or the largest request,
/// behind an input.
fn log_limits(config: &Config) -> LogLimits {
    let replies = config.participants.values().map(|it| it.reply_bytes_max);
    let one = replies.chain([config.limits.request_bytes_max]).max().unwrap_or_default();
    let row = 2 * ROW_SHARE_BYTES + config.limits.input_bytes_max + one;
    let defaults = LogLimits::default();
    let row_bytes_max = u32::try_from(row).unwrap_or(u32::MAX).max(defaults.row_bytes_max);
    LogLimits { row_bytes_max, ..defaults }
}

impl Orchestrator {
    /// Opens the log, becomes a node, registers the configured definitions and listens.
    ///
    /// # Errors
    ///
    /// Says what could not be had and what to do about it. Nothing is left running.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let participants = Arc::new(Participants::new(&config.participants)?);
        let descriptors = match &config.descriptors {
            None => Descriptors::Reflection(Arc::clone(&participants)),
            Some(file) => Descriptors::Fixed(Arc::new(read_descriptors(file)?)),
        };
        Self::start_with(config, participants, descriptors).await
    }

    /// As [`Orchestrator::start`], with types that are known already.
    ///
    /// # Errors
    ///
    /// As [`Orchestrator::start`].
    pub async fn start_with(
        config: Config,
        participants: Arc<Participants>,
        descriptors: Descriptors,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(config.listen).await.with_context(|| {
            format!(
                "cannot listen on {}; end what uses the port, or give another with --listen",
                config.listen
            )
        })?;
        let options = OpenOptions { migrate: config.migrate, ..OpenOptions::default() };
        let store = saga_log::open(&config.log, options).await.map_err(with_remedy)?;
        let parts = EngineParts {
            log: Log::start(store, log_limits(&config)),
            clock: Arc::new(SystemClock),
            caller: participants,
            descriptors,
            limits: config.limits,
        };
        let engine = Engine::start(parts).await.context("the log cannot be written")?;
        if let Some(folder) = &config.definitions {
            register_all(&engine, folder).await?;
        }
        Ok(Self { engine, listener, grace: Duration::from_millis(config.stop_grace_ms) })
    }

    /// The engine behind the API.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// The socket is gone.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` ends, then hands the sagas over.
    ///
    /// # Errors
    ///
    /// The server cannot go on. The sagas are handed over all the same.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        let (reporter, health) = tonic_health::server::health_reporter();
        let engine = self.engine.clone();
        engine.shared.tasks.spawn(report_readiness(engine.clone(), reporter.clone()));
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(saga_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        let reflection_v1alpha = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(saga_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);

        let until_told = async {
            shutdown.await;
            tracing::info!("stopping");
            reporter.set_not_serving::<SagaServiceServer<SagaApi>>().await;
            // From now on sagas are handed over, whatever calls and streams are open.
            engine.begin_stop();
        };
        let served = Server::builder()
            .load_shed(true)
            .concurrency_limit_per_connection(4_096)
            .max_concurrent_streams(4_096)
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .http2_keepalive_timeout(Some(Duration::from_secs(20)))
            .initial_stream_window_size(Some(WINDOW_BYTES))
            .initial_connection_window_size(Some(WINDOW_BYTES))
            .http2_max_header_list_size(16 * 1024)
            .add_service(
                SagaServiceServer::new(SagaApi { engine: engine.clone() })
                    .max_decoding_message_size(REQUEST_BYTES_MAX),
            )
            .add_service(
                DefinitionServiceServer::new(DefinitionApi { engine: engine.clone() })
                    .max_decoding_message_size(REQUEST_BYTES_MAX),
            )
            .add_service(OperatorServiceServer::new(OperatorApi { engine: engine.clone() }))
            .add_service(health)
            .add_service(reflection.build_v1()?)
            .add_service(reflection_v1alpha.build_v1alpha()?)
            .serve_with_incoming_shutdown(
                TcpIncoming::from(self.listener)
                    .with_nodelay(Some(true))
                    .map(|stream| stream.map(Coalesced::new)),
                until_told,
            );
        // Streams that stay open do not keep the sagas from being handed over.
        let stopping = async {
            engine.shared.stopping().await;
            tokio::time::sleep(self.grace).await;
        };
        let served = tokio::select! {
            served = served => served,
            () = stopping => Ok(()),
        };
        self.engine.stop(self.grace).await;
        served.context("the gRPC server ended")
    }
}

/// Says that this server is ready for as long as sagas can be started here.
async fn report_readiness(engine: Engine, reporter: HealthReporter) {
    let mut said = None;
    while !engine.shared.is_stopping() {
        let is_ready = engine.is_ready();
        if said.replace(is_ready) != Some(is_ready) {
            match is_ready {
                true => reporter.set_serving::<SagaServiceServer<SagaApi>>().await,
                false => reporter.set_not_serving::<SagaServiceServer<SagaApi>>().await,
            }
        }
        tokio::select! {
            () = tokio::time::sleep(READINESS_EVERY) => {}
            () = engine.shared.stopping() => {}
        }
    }
}

impl Connected for Coalesced {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream().connect_info()
    }
}

/// Says how to mend a schema with this program.
fn with_remedy(error: OpenError) -> anyhow::Error {
    let is_behind = matches!(error, OpenError::SchemaMissing | OpenError::SchemaTooOld { .. });
    let error = anyhow::Error::from(error);
    if is_behind {
        return error.context("run `orchestrator migrate`, or serve with --migrate");
    }
    error
}

fn read_descriptors(file: &Path) -> anyhow::Result<ServedTypes> {
    let bytes = std::fs::read(file)
        .with_context(|| format!("descriptors: {} cannot be read", file.display()))?;
    ServedTypes::read_set(&bytes).with_context(|| {
        format!(
            "descriptors: {} is not a FileDescriptorSet; make it with `buf build -o`",
            file.display()
        )
    })
}

/// Registers every definition of a folder. One that is wrong stops the start; one whose
/// participants cannot be asked is tried again until they can.
async fn register_all(engine: &Engine, folder: &Path) -> anyhow::Result<()> {
    let unreadable = || {
        format!(
            "definitions: the folder {} cannot be read; in a configuration file its path is beside \
             the file",
            folder.display()
        )
    };
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .with_context(unreadable)?
        .collect::<Result<Vec<_>, _>>()
        .with_context(unreadable)?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|is| is == "yaml" || is == "yml"))
        .collect();
    files.sort();
    for file in files {
        let yaml = std::fs::read_to_string(&file)
            .with_context(|| format!("definitions: {} cannot be read", file.display()))?;
        let name = file.display().to_string();
        if !register(engine, &yaml, &name).await? {
            let engine = engine.clone();
            let shared = Arc::clone(&engine.shared);
            shared.tasks.spawn(async move {
                loop {
                    tokio::select! {
                        () = tokio::time::sleep(REGISTER_AGAIN) => {}
                        () = engine.shared.stopping() => return,
                    }
                    match register(&engine, &yaml, &name).await {
                        Ok(true) => return,
                        Ok(false) => {}
                        Err(error) => return tracing::error!(%error, "a definition is refused"),
                    }
                }
            });
        }
    }
    Ok(())
}

/// False where the definition has to be tried again.
async fn register(engine: &Engine, yaml: &str, file_name: &str) -> anyhow::Result<bool> {
    match engine.register(yaml, file_name).await {
        Ok(registered) => {
            for warning in &registered.warnings {
                tracing::warn!(file = file_name, line = warning.line, "{}", warning.message);
            }
            let (name, version) = (&registered.row.name, registered.row.version);
            tracing::info!(definition = %name, version, "definition registered");
            Ok(true)
        }
        Err(error @ (RegisterError::Descriptors { .. } | RegisterError::Log(_))) => {
            tracing::warn!(file = file_name, %error, "a definition waits for its participants");
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
