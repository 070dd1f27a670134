//! The orchestrator: in this process, or in one of its own that can be killed.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use figment::{
    Figment,
    providers::{Format as _, Serialized, Toml},
};
use orchestrator::{config::Config, server::Orchestrator};
use saga_proto::saga::v1::{ListSagasRequest, saga_service_client::SagaServiceClient};
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::{Progress, books::Books, definition, shop::Addresses};

/// How long an orchestrator may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How long it may take to hand its sagas over.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How an orchestrator is started, again and again.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) config: PathBuf,
    /// The program that becomes a child. None: the orchestrator runs in this process.
    pub(crate) program: Option<PathBuf>,
    pub(crate) output: PathBuf,
}

/// An orchestrator that runs.
#[derive(Debug)]
pub(crate) enum Node {
    Here { stop: CancellationToken, running: JoinHandle<anyhow::Result<()>> },
    Child { plan: Plan, child: Box<Child> },
}

impl Plan {
    /// Writes the configuration and the definitions of a run.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub(crate) fn lay_out(
        books: &Books,
        listen: SocketAddr,
        addresses: &Addresses,
        program: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let definitions = books.folder.join("definitions");
        definition::write_hurried(&definitions).context("the definitions")?;
        let config = books.folder.join("orchestrator.toml");
        fs::write(&config, config_text(books, listen, &definitions, addresses))
            .context("the orchestrator's configuration")?;
        Ok(Self { config, program, output: books.folder.join("orchestrator.log") })
    }
}

/// The configuration of a run's orchestrator. A dead one is missed sooner than is wise for
/// one that may be busy with other things.
fn config_text(
    books: &Books,
    listen: SocketAddr,
    definitions: &Path,
    addresses: &Addresses,
) -> String {
    let Addresses { inventory, payment, order, .. } = addresses;
    let log = toml_text(&books.log);
    let definitions = toml_text(&definitions.display().to_string());
    format!(
        "listen = \"{listen}\"
log = {log}
migrate = true
definitions = {definitions}
stop_grace_ms = 5000

[limits]
heartbeat_ms = 300
dead_after_ms = 1500

[participants.inventory]
addresses = [\"http://{inventory}\"]

[participants.payment]
addresses = [\"http://{payment}\"]

[participants.order]
addresses = [\"http://{order}\"]
"
    )
}

/// Reads the configuration of a run. Variables of the environment are meant for real
/// orchestrators and do not change a demo.
fn read(config: &Path) -> anyhow::Result<Config> {
    let defaults = Figment::from(Serialized::defaults(Config::default()));
    let config = defaults.merge(Toml::file_exact(config)).extract();
    config.context("the orchestrator's configuration")
}

/// A basic string of TOML, which reads as one of JSON does.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Node {
    /// Starts an orchestrator and waits until it answers.
    ///
    /// # Errors
    ///
    /// Says why it does not.
    pub(crate) async fn start(
        plan: Plan,
        mut client: SagaServiceClient<Channel>,
    ) -> anyhow::Result<Self> {
        let mut node = match &plan.program {
            None => {
                let config = read(&plan.config)?;
                let stop = CancellationToken::new();
                let orchestrator = Box::pin(Orchestrator::start(config)).await?;
                let running = tokio::spawn(orchestrator.run(stop.clone().cancelled_owned()));
                Self::Here { stop, running }
            }
            Some(program) => Self::Child { child: Box::new(spawn(program, &plan)?), plan },
        };
        let by = Instant::now() + READY_WITHIN;
        loop {
            let request = ListSagasRequest { page_size: 1, ..ListSagasRequest::default() };
            let Err(error) = client.list_sagas(request).await else {
                return Ok(node);
            };
            if let Self::Child { child, plan } = &mut node
                && let Some(status) = child.try_wait()?
            {
                bail!("the orchestrator ended with {status}; see {}", plan.output.display());
            }
            if by < Instant::now() {
                return Err(error).context("the orchestrator does not answer");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills the orchestrator each time another share of the errands has ended, and starts
    /// it again at once. Returns it, and how often it died, when `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// It cannot be killed or started.
    pub(crate) async fn kill(
        mut self,
        kills: u32,
        errands: u64,
        mut progress: watch::Receiver<Progress>,
        stop: CancellationToken,
    ) -> anyhow::Result<(Self, u32)> {
        let mut killed = 0;
        if let Self::Child { plan, child } = &mut self {
            for kill in 1..=kills {
                let at = errands * u64::from(kill) / (u64::from(kills) + 1);
                tokio::select! {
                    reached = progress.wait_for(|it| at <= it.ended) => drop(reached?),
                    () = stop.cancelled() => break,
                }
                child.kill().await.context("the orchestrator cannot be killed")?;
                let program = plan.program.as_deref().context("a child has a program")?;
                **child = spawn(program, plan)?;
                killed += 1;
                tracing::info!(kill, "the orchestrator was killed and started again");
            }
        }
        stop.cancelled().await;
        Ok((self, killed))
    }

    /// Stops the orchestrator; its sagas are handed over.
    ///
    /// # Errors
    ///
    /// It ended badly. Its sagas are in the log all the same.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Here { stop, running } => {
                stop.cancel();
                running.await.context("the orchestrator ended in a panic")?
            }
            Self::Child { mut child, .. } => {
                // The end of its input tells the child to stop.
                drop(child.stdin.take());
                if timeout(STOP_WITHIN, child.wait()).await.is_err() {
                    child.kill().await.context("the orchestrator cannot be killed")?;
                }
                Ok(())
            }
        }
    }
}

fn spawn(program: &Path, plan: &Plan) -> anyhow::Result<Child> {
    let output = File::options().create(true).append(true).open(&plan.output);
    let output = output.with_context(|| format!("{}: unwritable", plan.output.display()))?;
    Command::new(program)
        .arg(CHILD_COMMAND)
        .arg(&plan.config)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(output)
        // Ctrl-C at the terminal is for the demo, which stops the child in its own time.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{}: cannot be started", program.display()))
}

/// The hidden command with which the demo's program is an orchestrator and nothing else.
pub const CHILD_COMMAND: &str = "orchestrator";

/// The whole of a child: serves until its input ends, which it does when the demo dies.
///
/// # Errors
///
/// Says why the orchestrator cannot be started, or ended.
pub async fn child(config: &Path) -> anyhow::Result<()> {
    let config = read(config)?;
    let orchestrator = Box::pin(Orchestrator::start(config)).await?;
    let told = async {
        let mut nothing = [0; 64];
        let mut input = tokio::io::stdin();
        while input.read(&mut nothing).await.is_ok_and(|read| 0 < read) {}
    };
    orchestrator.run(told).await
}
