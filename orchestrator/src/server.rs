//! Puts the orchestrator together from its configuration and serves its API.

use std::{
    collections::BTreeMap, future::Future, net::SocketAddr, path::Path, sync::Arc, time::Duration,
};

use anyhow::Context;
use saga_draft::ROW_SHARE_BYTES;
use saga_log::{Log, LogLimits, OpenError, OpenOptions};
use saga_proto::saga::v1::{
    definition_service_server::DefinitionServiceServer,
    operator_service_server::OperatorServiceServer, saga_service_server::SagaServiceServer,
};
use saga_serve::{Ops, OpsPort, Requests, Wire};
use saga_tls::Strangers;
use tonic::service::Routes;
use tonic_health::{
    pb::health_server::{Health, HealthServer},
    server::HealthReporter,
};
use tonic_reflection::server::Builder;

use crate::{
    access::Gate,
    api::{DefinitionApi, OperatorApi, SagaApi},
    clock::SystemClock,
    config::Config,
    definition::ServedTypes,
    descriptors::Descriptors,
    engine::{Engine, EngineParts},
    participants::Participants,
};

mod folder;

const SAGA_SERVICE: &str = "saga.v1.SagaService";
/// Those whose methods are counted.
const SERVICES: [&str; 3] = [SAGA_SERVICE, "saga.v1.DefinitionService", "saga.v1.OperatorService"];
const HEALTH_SERVICE: &str = "grpc.health.v1.Health";

/// Above what `server.request_bytes_max` may be: that one is what counts.
const MESSAGE_BYTES_MAX: usize = 1 << 30;

mod listener;

use listener::{Listener, Reserved};

/// How often it is looked whether sagas can be started here.
const READINESS_EVERY: Duration = Duration::from_millis(250);

/// An orchestrator that listens.
#[derive(Debug)]
pub struct Orchestrator {
    engine: Engine,
    listener: Listener,
    /// Where definitions and acts of operators are served, where that is apart.
    listener_operator: Option<Listener>,
    gate: Gate,
    ops: Ops,
    ops_port: Option<OpsPort>,
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
        let descriptors = descriptors(&config, &participants)?;
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
        let ops = Ops::new("orchestrator", env!("CARGO_PKG_VERSION"));
        let ops_port = config.listen_ops.map(|listen| ops.open(listen)).transpose()?;
        ops.not_ready("starting: the log is opened, and definitions are registered");
        // First, as a port that is in use is found at once; and opened last.
        let (tls, plain) = (config.tls.as_ref(), config.allow_plaintext);
        let by_token = config.auth.as_ref().is_some_and(|it| it.tokens.is_some());
        let strangers = if by_token { Strangers::LetIn } else { Strangers::KeptOut };
        let wire = Wire::configured(tls, plain, strangers)?;
        let reserved = Reserved::bind("listen", config.listen, config.server, wire.clone())?;
        let operator = config
            .listen_operator
            .map(|address| Reserved::bind("listen_operator", address, config.server, wire))
            .transpose()?;
        let listeners = [Some(config.listen), config.listen_operator];
        let listeners: Vec<_> = listeners.into_iter().flatten().collect();
        let gate = Gate::configured(config.auth.as_ref(), &listeners)?;
        let (migrate, allow_insecure) = (config.migrate, config.allow_insecure_database);
        let options = OpenOptions { migrate, allow_insecure, ..OpenOptions::default() };
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
            folder::register_all(&engine, folder, config.strict_definitions).await?;
        }
        if ops_port.is_some() {
            ops.show(|registry| {
                engine.show(registry);
                gate.show(registry);
            });
            engine.keep_sampling();
        }
        let grace = Duration::from_millis(config.stop_grace_ms);
        let listener = reserved.listen()?;
        let listener_operator = operator.map(Reserved::listen).transpose()?;
        Ok(Self { engine, listener, listener_operator, gate, ops, ops_port, grace })
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

    /// Where definitions and acts of operators are served, where that is apart.
    ///
    /// # Errors
    ///
    /// The socket is gone.
    pub fn operator_addr(&self) -> std::io::Result<Option<SocketAddr>> {
        self.listener_operator.as_ref().map(Listener::local_addr).transpose()
    }

    /// What is shown at the ops port, if there is one.
    #[must_use]
    pub fn ops(&self) -> &Ops {
        &self.ops
    }

    /// Where the ops port is, if there is one.
    #[must_use]
    pub fn ops_addr(&self) -> Option<SocketAddr> {
        self.ops_port.as_ref().map(OpsPort::local_addr)
    }

    /// Serves until `shutdown` ends, then hands the sagas over.
    ///
    /// # Errors
    ///
    /// The server cannot go on. The sagas are handed over all the same.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        let Self { engine, listener, listener_operator, gate, ops, ops_port, grace } = self;
        let (reporter, health) = tonic_health::server::health_reporter();
        engine.shared.tasks.spawn(report_readiness(engine.clone(), reporter.clone(), ops.clone()));
        let requests = Requests::of(&[saga_proto::FILE_DESCRIPTOR_SET], &SERVICES);
        let until_told = async {
            shutdown.await;
            tracing::info!("stopping");
            reporter.set_not_serving::<SagaServiceServer<SagaApi>>().await;
            // From now on sagas are handed over, whatever calls and streams are open.
            engine.begin_stop();
        };
        let stopped = engine.shared.stopping();
        let served = async {
            let Some(listener_operator) = listener_operator else {
                let every = every_service(&engine, health)?;
                listener.serve(every, requests, gate, Some(&ops), until_told).await?;
                return anyhow::Ok(());
            };
            let clients = client_services(&engine, health.clone())?;
            let clients =
                listener.serve(clients, requests.clone(), gate.clone(), Some(&ops), until_told);
            let every = every_service(&engine, health)?;
            let people = listener_operator.serve(every, requests, gate, None, stopped);
            tokio::try_join!(clients, people)?;
            Ok(())
        };
        // Streams that stay open do not keep the sagas from being handed over.
        let stopping = async {
            engine.shared.stopping().await;
            tokio::time::sleep(grace).await;
        };
        let served = tokio::select! {
            served = served => served,
            () = stopping => Ok(()),
        };
        engine.stop(grace).await;
        drop(ops_port);
        served.context("the gRPC server ended")
    }
}

/// What clients of sagas need.
fn client_services(engine: &Engine, health: HealthServer<impl Health>) -> anyhow::Result<Routes> {
    let sagas = SagaServiceServer::new(SagaApi { engine: engine.clone() });
    let names = [SAGA_SERVICE, HEALTH_SERVICE];
    let reflection = || names.into_iter().fold(reflection(), Builder::with_service_name);
    Ok(Routes::new(sagas.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

/// Everything: what clients need, and what people and pipelines do.
fn every_service(engine: &Engine, health: HealthServer<impl Health>) -> anyhow::Result<Routes> {
    let sagas = SagaServiceServer::new(SagaApi { engine: engine.clone() });
    let definitions = DefinitionServiceServer::new(DefinitionApi { engine: engine.clone() });
    let operator = OperatorServiceServer::new(OperatorApi { engine: engine.clone() });
    Ok(Routes::new(sagas.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(definitions.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(operator.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

fn reflection<'b>() -> Builder<'b> {
    Builder::configure()
        .register_encoded_file_descriptor_set(saga_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Says that this server is ready for as long as sagas can be started here.
async fn report_readiness(engine: Engine, reporter: HealthReporter, ops: Ops) {
    let mut said = None;
    while !engine.shared.is_stopping() {
        let unready = engine.unready();
        let is_ready = unready.is_none();
        match unready {
            None => ops.ready(),
            Some(why) => ops.not_ready(why),
        }
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
    ops.not_ready("stopping: sagas are handed over, and none is started");
}

/// Says how to mend a schema with this program.
fn with_remedy(error: OpenError) -> anyhow::Error {
    let is_behind = matches!(error, OpenError::SchemaMissing | OpenError::SchemaTooOld { .. });
    if is_behind {
        return anyhow::anyhow!("{error}: run `orchestrator migrate`, or serve with --migrate");
    }
    error.into()
}

/// Where the configuration says that types come from.
fn descriptors(config: &Config, participants: &Arc<Participants>) -> anyhow::Result<Descriptors> {
    let for_all = match &config.descriptors {
        None => Descriptors::Reflection(Arc::clone(participants)),
        Some(file) => Descriptors::Fixed(Arc::new(read_descriptors("descriptors", file)?)),
    };
    let mut sets = BTreeMap::new();
    for (name, entry) in &config.participants {
        if let Some(file) = &entry.descriptors {
            let types = read_descriptors(&format!("participants.{name}.descriptors"), file)?;
            sets.insert(name.clone(), Arc::new(types));
        }
    }
    if sets.is_empty() {
        return Ok(for_all);
    }
    Ok(Descriptors::Own { sets, others: Box::new(for_all) })
}

fn read_descriptors(key: &str, file: &Path) -> anyhow::Result<ServedTypes> {
    let bytes =
        std::fs::read(file).with_context(|| format!("{key}: {} cannot be read", file.display()))?;
    ServedTypes::read_set(&bytes).with_context(|| {
        format!("{key}: {} is not a FileDescriptorSet; make it with `buf build -o`", file.display())
    })
}
