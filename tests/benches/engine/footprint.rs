//! The real binary at rest: how soon it listens, and how much memory it holds.

use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Starts the release binary on a fresh SQLite log and looks at it.
pub(crate) fn measure() -> String {
    let binary = binary();
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let log = format!("sqlite:{}", folder.path().join("log.db").display());
    let started = Instant::now();
    let child = Command::new(binary)
        .args(["serve", "--migrate", "--listen", &address, "--log", &log])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let deadline = started + Duration::from_secs(10);
    while TcpStream::connect(&address).is_err() {
        assert!(Instant::now() < deadline, "the orchestrator never listened");
        std::thread::yield_now();
    }
    let ready = started.elapsed();
    let idle_kib = resident_kib(child.0.id());
    child.0.kill().unwrap();
    format!(
        "ready on SQLite after {} ms, idle memory {:.1} MB",
        ready.as_millis(),
        idle_kib as f64 / 1024.0
    )
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

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
