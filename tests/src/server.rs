//! A program that listens, always on the same port, and can be ended and started again.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::ExitStatus,
    sync::atomic::{AtomicU16, Ordering},
};

use hyper_util::rt::TokioIo;
use saga_tls::Connector;
use tokio::{net::TcpStream, process::Command};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower::service_fn;

use crate::{condition::eventually, process::Process, programs};

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC with the health service.
    Grpc,
    /// HTTP.
    Http,
}

/// A program that listens.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What its environment has besides.
    pub environment: Vec<(String, String)>,
    address: SocketAddr,
    protocol: Protocol,
    /// What is spoken with it. Absent: plain text.
    pub tls: Option<Connector>,
    process: Option<Process>,
}

impl Server {
    /// A server that is not started yet.
    #[must_use]
    pub fn new(name: &'static str, protocol: Protocol) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (arguments, environment) = (Vec::new(), Vec::new());
        Self { name, arguments, environment, address, protocol, tls: None, process: None }
    }

    /// Where it listens, whether or not it runs.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// A channel to it, which connects when it is used.
    #[must_use]
    pub fn channel(&self) -> Channel {
        match &self.tls {
            None => Endpoint::from_shared(self.url()).unwrap().connect_lazy(),
            Some(tls) => channel_with(tls, self.address),
        }
    }

    /// What the process, which must have been started, wrote so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.as_ref().unwrap().output()
    }

    /// The process, which must have been started.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    /// The command that starts it.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = programs::command(self.name);
        command.args(&self.arguments).envs(self.environment.iter().cloned());
        command
    }

    /// Starts it and waits until it serves.
    pub async fn start(&mut self) {
        self.launch();
        self.ready().await;
    }

    /// Starts it and does not wait.
    pub fn launch(&mut self) {
        self.process = Some(Process::start(self.name, self.command()));
    }

    /// Waits until it serves.
    pub async fn ready(&mut self) {
        let (address, protocol, channel) = (self.address, self.protocol, self.channel());
        let process = self.process.as_mut().unwrap();
        eventually(self.name, async || {
            process.assert_running().await;
            match protocol {
                Protocol::Grpc => serves(channel.clone(), "").await.then_some(()),
                Protocol::Http => TcpStream::connect(address).await.ok().map(drop),
            }
        })
        .await;
    }

    /// Sends SIGKILL and waits until it is gone.
    pub async fn kill(&mut self) {
        self.process.take().unwrap().kill().await;
    }

    /// Sends SIGTERM and waits for its end.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        process.terminate().await;
        process.exit().await
    }
}

/// A channel over TLS, which connects when it is used.
#[must_use]
pub fn channel_with(tls: &Connector, address: SocketAddr) -> Channel {
    let tls = tls.clone();
    let connector = service_fn(move |_: Uri| {
        let tls = tls.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            tls.connect("127.0.0.1", stream).await.map(TokioIo::new)
        }
    });
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
    endpoint.connect_with_connector_lazy(connector)
}

/// Whether the health service says that `service` is served.
pub async fn serves(channel: Channel, service: &str) -> bool {
    let request = HealthCheckRequest { service: service.to_owned() };
    let reply = HealthClient::new(channel).check(request).await;
    reply.is_ok_and(|it| it.get_ref().status() == ServingStatus::Serving)
}

/// A port that nobody listens on, below those that the system gives to outgoing
/// connections, so that a server that is started again finds it free. Tests that run at
/// the same time hardly get the same one: each process begins somewhere else and counts on.
#[must_use]
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const PORTS: u32 = 22_000;
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    loop {
        let taken = u32::from(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + (std::process::id().wrapping_mul(61) + taken) % PORTS;
        let port = u16::try_from(port).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
