//! A private PostgreSQL server for one test or benchmark.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::server::free_port;

/// A server with the defaults of its packaging (fsync on), on a free port of the
/// loopback. Stopped when dropped.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    port: u16,
}

impl Cluster {
    /// Makes and starts a server.
    ///
    /// # Panics
    ///
    /// Where PostgreSQL is not installed; `tests/run` installs it.
    #[must_use]
    pub fn start() -> Self {
        let cluster = Self::empty();
        run(cluster.server("initdb").args(["-A", "trust", "-U", "postgres"]));
        cluster.start_server();
        cluster
    }

    /// Starts a standby of the server at `primary`, which does not wait for it: what it
    /// commits may be lost.
    ///
    /// # Panics
    ///
    /// Where it does not start.
    #[must_use]
    pub fn standby_of(primary: SocketAddr) -> Self {
        let cluster = Self::empty();
        let (host, port) = (primary.ip().to_string(), primary.port().to_string());
        let copy = ["-R", "-c", "fast", "-U", "postgres", "-h", &host, "-p", &port];
        run(cluster.server("pg_basebackup").args(copy));
        cluster.start_server();
        cluster
    }

    fn empty() -> Self {
        let folder = tempfile::Builder::new().prefix("amends-pg-").tempdir().unwrap();
        // The server refuses to run as root; its user must be able to write here.
        run(Command::new("chmod").arg("777").arg(folder.path()));
        Self { folder, port: free_port() }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Makes a standby the primary of what it has, and waits until it takes writes.
    ///
    /// # Panics
    ///
    /// Where it is no standby.
    pub fn promote(&self) {
        run(self.server("pg_ctl").args(["-w", "promote"]));
    }

    /// Starts the server again after [`Cluster::kill`].
    ///
    /// # Panics
    ///
    /// Where it does not start.
    pub fn start_server(&self) {
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c max_connections=200",
            self.port,
            self.folder.path().display()
        );
        let log = self.folder.path().join("log");
        run(self.server("pg_ctl").args(["-o", &options, "-w", "start", "-l"]).arg(log));
    }

    /// Ends the server at once, as a power cut would.
    ///
    /// # Panics
    ///
    /// Where it cannot be ended.
    pub fn kill(&self) {
        run(self.server("pg_ctl").args(["-m", "immediate", "-w", "stop"]));
    }

    /// The URL of a new database.
    ///
    /// # Panics
    ///
    /// Where it cannot be made, for example because it exists.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        let port = self.port.to_string();
        let folder = self.folder.path();
        run(Command::new(programs().join("createdb"))
            .args(["-U", "postgres", "-p", &port, "-h"])
            .arg(folder)
            .arg(name));
        format!("postgres://postgres@127.0.0.1:{port}/{name}")
    }

    /// Its port at 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the programs of its version are.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        programs()
    }

    /// The process whose children do the server's work.
    ///
    /// # Panics
    ///
    /// Where the server does not run.
    #[must_use]
    pub fn postmaster(&self) -> u32 {
        let file = self.folder.path().join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().next().unwrap().parse().unwrap()
    }

    fn server(&self, program: &str) -> Command {
        let program = programs().join(program);
        let data = self.folder.path().join("data");
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/").arg("-D").arg(data);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.server("pg_ctl").args(["-m", "immediate", "stop"]).output();
    }
}

fn is_root() -> bool {
    let Output { stdout, .. } = Command::new("id").arg("-u").output().unwrap();
    stdout.trim_ascii() == b"0"
}

/// Where Debian keeps the server's programs, outside the search path.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is not installed; run tests/run, which installs it");
    let newest = versions.map(|entry| entry.unwrap().path()).max().unwrap();
    let programs = newest.join("bin");
    assert!(Path::new(&programs).join("initdb").exists(), "{} has no initdb", programs.display());
    programs
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
