//! The orchestrator as the program that is shipped, in a process of its own.

use std::{
    env, fs,
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

use saga_tests::{postgres::Cluster, server::free_port};

use super::{processes::Killed, subject::DEFINITION};

/// How long it may take until it listens.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The program beside this benchmark, built with the same profile.
static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let bench = env::current_exe().unwrap();
    // This one is <target>/release/deps/<name>.
    let release = bench.ancestors().nth(2).unwrap();
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(saga_tests::programs::repository())
        .args(["build", "--quiet", "--release", "-p", "saga-tests", "-p", "orchestrator"])
        .arg("--target-dir")
        .arg(release.parent().unwrap())
        .status()
        .unwrap();
    assert!(status.success(), "the orchestrator does not build");
    release.join("orchestrator")
});

/// A program that is configured, and runs from time to time.
#[derive(Debug)]
pub(crate) struct Program {
    config: PathBuf,
    pub(crate) address: SocketAddr,
    running: Option<Killed>,
}

impl Program {
    /// Where the program is. Builds it, so that nobody measures that.
    pub(crate) fn binary() -> &'static Path {
        &BINARY
    }

    /// Configures one in a folder of its own: its log, its only participant, and its limits
    /// beside the defaults, in TOML.
    pub(crate) fn configure(
        folder: &Path,
        log: &str,
        participant: SocketAddr,
        limits: &str,
    ) -> Self {
        let definitions = folder.join("definitions");
        fs::create_dir_all(&definitions).unwrap();
        fs::write(definitions.join("bench.yaml"), patient_definition()).unwrap();
        let descriptors = folder.join("descriptors.bin");
        fs::write(&descriptors, shop_proto::FILE_DESCRIPTOR_SET).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let text = format!(
            r#"
listen = "{address}"
log = "{log}"
migrate = true
definitions = "{}"
descriptors = "{}"

[participants.noop]
addresses = ["http://{participant}"]
connections = 4
in_flight_max = 10000

[limits]
{limits}
"#,
            definitions.display(),
            descriptors.display(),
        );
        let config = folder.join("orchestrator.toml");
        fs::write(&config, text).unwrap();
        Self { config, address, running: None }
    }

    /// Starts it. Returns how long it took until it listened.
    pub(crate) fn start(&mut self) -> Duration {
        let binary = Self::binary();
        let started = Instant::now();
        let mut command = Command::new(binary);
        for (variable, _) in env::vars_os() {
            // Variables are configuration.
            if variable.to_string_lossy().starts_with("AMENDS_") {
                command.env_remove(variable);
            }
        }
        let child = command
            .args(["serve", "--config"])
            .arg(&self.config)
            .stderr(Stdio::null())
            // A Ctrl-C is for the benchmark, which ends this one.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut child = Killed(child);
        while TcpStream::connect(self.address).is_err() {
            let ended = child.0.try_wait().unwrap();
            assert!(ended.is_none(), "the orchestrator ended: {ended:?}");
            assert!(started.elapsed() < READY_WITHIN, "the orchestrator never listened");
            std::thread::sleep(Duration::from_micros(200));
        }
        self.running = Some(child);
        started.elapsed()
    }

    /// Sends SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    pub(crate) fn id(&self) -> u32 {
        self.running.as_ref().unwrap().0.id()
    }
}

/// Patient steps: what waits here waits for the benchmark.
pub(crate) fn patient_definition() -> String {
    DEFINITION.replace("10s", "5m").replace("deadline: 1m", "deadline: 1h")
}

/// A log of SQLite in `folder`.
pub(crate) fn sqlite_log(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("log.db").display())
}

/// A new log: in `folder` for `sqlite`, else the database `name` of `cluster`.
pub(crate) fn new_log(database: &str, folder: &Path, cluster: &Cluster, name: &str) -> String {
    match database {
        "sqlite" => sqlite_log(folder),
        _ => cluster.database(name),
    }
}
