//! The real binary: how soon it listens, and how much memory it holds at rest and with
//! many sagas in flight.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use saga_proto::saga::v1::{SagaState, WaitSagaRequest};
use tokio::sync::watch;

use super::{load, participant, subject};

/// Sagas that stand at their first step when the memory is read.
const IN_FLIGHT: usize = 10_000;
/// Clients that start them.
const STARTERS: usize = 64;

/// Starts the release binary on a fresh SQLite log and looks at it.
pub(crate) async fn measure() -> String {
    let binary = binary();
    let folder = tempfile::tempdir().unwrap();
    let (release, held) = watch::channel(false);
    let participant = participant::serve_held(held).await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let config = configure(folder.path(), address, participant);

    let started = Instant::now();
    let child = Command::new(binary)
        .args(["serve", "--migrate", "--config"])
        .arg(config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let deadline = started + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "the orchestrator never listened");
        std::thread::yield_now();
    }
    let ready = started.elapsed();
    let idle_mb = resident_mb(child.0.id());

    let keys = start_all(address).await;
    let busy_mb = resident_mb(child.0.id());
    let released = Instant::now();
    release.send_replace(true);
    await_ends(address, keys).await;
    let finished = released.elapsed();
    child.0.kill().unwrap();
    format!(
        "ready on SQLite after {} ms; memory: idle {idle_mb:.1} MB, {IN_FLIGHT} sagas in flight \
         {busy_mb:.1} MB; all ended {:.1} s after the participant answered",
        ready.as_millis(),
        finished.as_secs_f64(),
    )
}

/// A configuration whose one participant is at `participant`, and what belongs to it.
fn configure(folder: &Path, listen: SocketAddr, participant: SocketAddr) -> PathBuf {
    let definitions = folder.join("definitions");
    fs::create_dir(&definitions).unwrap();
    // Patient steps: what waits here waits for this benchmark.
    let patient = subject::DEFINITION.replace("10s", "5m").replace("deadline: 1m", "deadline: 1h");
    fs::write(definitions.join("bench.yaml"), patient).unwrap();
    let descriptors = folder.join("descriptors.bin");
    fs::write(&descriptors, saga_proto::FILE_DESCRIPTOR_SET).unwrap();
    let config = folder.join("orchestrator.toml");
    let log = folder.join("log.db");
    let text = format!(
        r#"
listen = "{listen}"
log = "sqlite:{}"
definitions = "{}"
descriptors = "{}"

[participants.noop]
addresses = ["http://{participant}"]
connections = 4
in_flight_max = {IN_FLIGHT}
"#,
        log.display(),
        definitions.display(),
        descriptors.display(),
    );
    fs::write(&config, text).unwrap();
    config
}

/// Starts the sagas, and returns their keys when all are durable and under way.
async fn start_all(address: SocketAddr) -> Vec<String> {
    let channels = load::channels(address, 4).await;
    let starters = (0..STARTERS).map(|starter| {
        let mut client = load::client(&channels, starter);
        tokio::spawn(async move {
            let mut keys = Vec::new();
            for _ in (starter..IN_FLIGHT).step_by(STARTERS) {
                let (key, request) = load::start_request();
                client.start_saga(request).await.unwrap();
                keys.push(key);
            }
            keys
        })
    });
    let mut keys = Vec::new();
    for starter in starters.collect::<Vec<_>>() {
        keys.extend(starter.await.unwrap());
    }
    keys
}

async fn await_ends(address: SocketAddr, keys: Vec<String>) {
    let channels = load::channels(address, 4).await;
    let mut client = load::client(&channels, 0);
    for key in keys {
        let request = WaitSagaRequest { name: Some(load::name(key)), ..WaitSagaRequest::default() };
        let saga = client.wait_saga(request).await.unwrap().into_inner().saga.unwrap();
        assert_eq!(saga.state(), SagaState::Completed, "{saga:?}");
    }
}

/// A child that does not outlive the measurement.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The orchestrator beside this benchmark, built with the same profile.
fn binary() -> PathBuf {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "-p", "saga-tests", "-p", "orchestrator"])
        .status()
        .unwrap();
    assert!(status.success(), "the orchestrator does not build");
    let deps = std::env::current_exe().unwrap();
    deps.ancestors().nth(2).unwrap().join("orchestrator")
}

fn resident_mb(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_024.0
}
