//! Checks a service's real binary: commands, configuration, health, reflection, stopping.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::{v1, v1alpha};

use super::{Scratch, wire};

/// A service's binary.
#[derive(Debug)]
pub struct Binary {
    /// Where it is: `env!("CARGO_BIN_EXE_..")`.
    pub path: &'static str,
    /// What its environment variables begin with.
    pub env_prefix: &'static str,
    /// The full name of its gRPC service.
    pub service_name: &'static str,
}

/// A binary that serves. It is killed when this value goes.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its ops port.
    pub ops: SocketAddr,
    child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _: std::io::Result<()> = self.child.kill();
        let _: std::io::Result<_> = self.child.wait();
    }
}

impl Running {
    /// Sends SIGTERM and waits; returns whether it ended with status 0.
    ///
    /// # Panics
    ///
    /// It does not end within ten seconds.
    pub fn terminate(&mut self) -> bool {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.is_ok_and(|it| it.success()), "SIGTERM was not sent");
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                return status.success();
            }
            assert!(Instant::now() < deadline, "it does not stop");
            std::thread::yield_now();
        }
    }
}

impl Binary {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.path);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Runs it; returns its exit status and what it wrote to standard error.
    fn run(&self, args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
        let env = env.iter().map(|(key, value)| (format!("{}{key}", self.env_prefix), *value));
        let output = self.command(args).envs(env).output().expect("the binary can be run");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Starts it on a free port, with the tables brought up to date.
    ///
    /// # Panics
    ///
    /// It does not say where it listens.
    pub fn serve(&self, url: &str) -> Running {
        let listen = ["--listen", "127.0.0.1:0", "--set", "listen_ops=127.0.0.1:0"];
        let args = [&["serve", "--migrate", "--database-url", url][..], &listen].concat();
        let mut child = self.command(&args).spawn().expect("the binary can be run");
        let mut log = BufReader::new(child.stderr.take().expect("standard error is piped"));
        let mut read = String::new();
        let mut ops = None;
        let address = loop {
            let from = read.len();
            let count = log.read_line(&mut read).expect("a log is text");
            assert!(count > 0, "it ended without listening: {read}");
            ops = ops.or_else(|| address_in(&read[from..], "listen_ops"));
            if let Some(address) = address_in(&read[from..], "listen") {
                break address;
            }
        };
        let ops = ops.expect("the ops port is open before calls are taken");
        // A full pipe would stop it.
        std::thread::spawn(move || std::io::copy(&mut log.by_ref(), &mut std::io::sink()));
        Running { address, ops, child }
    }

    /// Checks everything that each service's binary promises.
    ///
    /// # Panics
    ///
    /// A promise is broken.
    pub async fn check(&self, scratch: &Scratch) {
        self.check_refusals(scratch);
        let (status, log) = self.run(&["migrate"], &[("DATABASE_URL", &scratch.url)]);
        assert_eq!(status, Some(0), "{log}");

        let mut running = self.serve(&scratch.url);
        let address = running.address.to_string();
        let url = scratch.url.as_str();
        let refused = self.run(&["serve", "--listen", &address, "--database-url", url], &[]);
        assert_eq!(refused.0, Some(1));
        assert!(refused.1.contains("the port is in use"), "{}", refused.1);

        let channel = wire::connect(running.address).await;
        self.check_health(channel.clone()).await;
        self.check_reflection(channel).await;
        check_ops(running.ops);
        assert!(running.terminate(), "SIGTERM ends it in good order");
    }

    fn check_refusals(&self, scratch: &Scratch) {
        let url = scratch.url.as_str();
        let file = std::env::temp_dir().join(format!("amends-{}.toml", uuid::Uuid::now_v7()));
        std::fs::write(&file, "[server]\ndrain_max_ms = \"soon\"\n").expect("a file");
        let file = RemovedAtEnd(file);
        let config = file.0.to_string_lossy();
        let cases: [(&[&str], &str); 6] = [
            (&["serve", "--database-url", url], "run `migrate`"),
            (&["serve"], "database_url is missing"),
            (&["serve", "--database-url", "mysql://x"], "write postgres://USER@HOST/NAME"),
            (&["serve", "--database-url", url, "--set", "servr.x=1"], "servr is not known"),
            (&["serve", "--database-url", url, "--config", &config], "server.drain_max_ms is"),
            (
                &[
                    "serve",
                    "--database-url",
                    "postgres://u:canary@127.0.0.1:1/x",
                    "--set",
                    "database.connect_max_ms=200",
                ],
                "the database cannot be reached",
            ),
        ];
        for (args, told) in cases {
            let (status, log) = self.run(args, &[]);
            assert_eq!(status, Some(1), "{args:?}: {log}");
            assert!(log.contains(told), "{args:?} should tell {told:?}: {log}");
            assert!(!log.contains("canary"), "a password was told: {log}");
        }
        let (status, log) = self.run(&["serve"], &[("LISTENN", "x"), ("DATABASE_URL", url)]);
        assert!(status == Some(1) && log.contains("listenn is not known"), "{log}");
    }

    async fn check_health(&self, channel: Channel) {
        let mut health = HealthClient::new(channel);
        for service in ["", self.service_name] {
            let request = HealthCheckRequest { service: service.to_owned() };
            let status = health.check(request).await.expect("health answers").into_inner().status;
            assert_eq!(status, 1, "{service:?} is serving");
        }
    }

    async fn check_reflection(&self, channel: Channel) {
        let (host, name) = (String::new(), self.service_name.to_owned());
        let request = v1::ServerReflectionRequest {
            host: host.clone(),
            message_request: Some(
                v1::server_reflection_request::MessageRequest::FileContainingSymbol(name.clone()),
            ),
        };
        let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
        let requests = futures::stream::iter([request]);
        let mut replies = client.server_reflection_info(requests).await.expect("v1").into_inner();
        let reply = replies.message().await.expect("v1").expect("v1 answers").message_response;
        let told = format!("{reply:?}");
        assert!(told.starts_with("Some(FileDescriptorResponse"), "{told}");

        let request = v1alpha::ServerReflectionRequest {
            host,
            message_request: Some(
                v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(name),
            ),
        };
        let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
        let requests = futures::stream::iter([request]);
        let replies = client.server_reflection_info(requests).await.expect("v1alpha");
        let reply =
            replies.into_inner().message().await.expect("v1alpha").expect("v1alpha answers");
        let told = format!("{:?}", reply.message_response);
        assert!(told.starts_with("Some(FileDescriptorResponse"), "{told}");
    }
}

struct RemovedAtEnd(PathBuf);

impl Drop for RemovedAtEnd {
    fn drop(&mut self) {
        // What is left behind in the temporary directory does no harm.
        let _: std::io::Result<()> = std::fs::remove_file(&self.0);
    }
}

/// What the machinery around a service asks it.
fn check_ops(ops: SocketAddr) {
    let get = |path: &str| {
        let mut stream = TcpStream::connect(ops).expect("the ops port is open");
        let request = format!("GET {path} HTTP/1.1\r\nhost: it\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers with text");
        answer
    };
    assert!(get("/livez").ends_with("\r\n\r\nalive\n"));
    assert!(get("/readyz").ends_with("\r\n\r\nready\n"), "{}", get("/readyz"));
    let metrics = get("/metrics");
    assert!(metrics.contains("saga_build_info{program=\""), "{metrics}");
    assert!(get("/").starts_with("HTTP/1.1 404"));
}

/// The address in a line of the log, under this key.
fn address_in(line: &str, key: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    line.get("fields")?.get(key)?.as_str()?.parse().ok()
}
