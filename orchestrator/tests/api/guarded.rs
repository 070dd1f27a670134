//! An orchestrator that asks everybody who they are, over TLS.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use orchestrator::{
    access::{AuthConfig, Policy, Role, Rule},
    config::Config,
    definition::ServedTypes,
    descriptors::Descriptors,
    participants::{ParticipantConfig, Participants},
    server::Orchestrator,
};
use prost::Message;
use saga_proto::saga::v1 as pb;
use saga_tls::{
    ClientFiles, Connector, ServerFiles,
    testkit::{Authority, Issued},
};
use tokio::{net::TcpSocket, sync::oneshot};
use tonic::{
    Status,
    body::Body,
    transport::{Channel, Endpoint, Uri},
};
use tonic_types::StatusExt;
use tower::{ServiceExt, service_fn};

/// A namespace of sagas, and another one.
pub(crate) const ORDERS: &str = "orders";
pub(crate) const OTHER: &str = "other";

/// What is said where somebody may not do something.
const REFUSALS: [&str; 4] =
    ["CREDENTIALS_MISSING", "ROLE_MISSING", "TOKEN_REFUSED", "TOO_MANY_LOGINS"];

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(crate) struct Guarded {
    folder: tempfile::TempDir,
    pub(crate) authority: Authority,
    pub(crate) address: SocketAddr,
    pub(crate) ops: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Guarded {
    /// `auth` may put files into the folder that it is given.
    pub(crate) async fn start(auth: impl FnOnce(&Path) -> AuthConfig) -> Self {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("shop"));
        let ca = folder.path().join("ca.pem");
        fs::write(&ca, authority.pem()).unwrap();
        let (certificate, key) = authority.issue(&["127.0.0.1"]).write(folder.path(), "server");
        let nobody = ParticipantConfig {
            addresses: vec!["http://127.0.0.1:1".into()],
            ..Default::default()
        };
        let participants = BTreeMap::from([("order".to_owned(), nobody)]);
        let config = Config {
            listen: ANY_PORT,
            listen_ops: Some(ANY_PORT),
            log: "memory:".to_owned(),
            participants: participants.clone(),
            tls: Some(ServerFiles { certificate, key, client_ca: Some(ca) }),
            auth: Some(auth(folder.path())),
            ..Config::default()
        };
        let types = ServedTypes::read_set(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
        let types = Descriptors::Fixed(Arc::new(types));
        let participants = Arc::new(Participants::new(&participants).unwrap());
        let server = Orchestrator::start_with(config, participants, types).await.unwrap();
        let (address, ops) = (server.local_addr().unwrap(), server.ops_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(server.run(async {
            // An error says that the test has ended.
            let _ = stopped.await;
        }));
        Self { folder, authority, address, ops, _stop: stop }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A connection of whoever shows this. `None`: nothing.
    pub(crate) fn shown(&self, issued: Option<&Issued>) -> Channel {
        self.shown_from(Ipv4Addr::LOCALHOST, issued)
    }

    /// The same, from another address of this machine.
    pub(crate) fn shown_from(&self, from: Ipv4Addr, issued: Option<&Issued>) -> Channel {
        let pair = issued.map(|it| it.write(self.folder.path(), "client"));
        let (certificate, key) = pair.unzip();
        let files = ClientFiles { ca: self.path("ca.pem"), certificate, key, server_name: None };
        let tls = Connector::open_of_any_time("test", &files).unwrap();
        let address = self.address;
        let connector = service_fn(move |_: Uri| {
            let tls = tls.clone();
            async move {
                let socket = TcpSocket::new_v4()?;
                socket.bind(SocketAddr::from((from, 0)))?;
                let stream = socket.connect(address).await?;
                tls.connect("127.0.0.1", stream).await.map(TokioIo::new)
            }
        });
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
        endpoint.connect_with_connector_lazy(connector)
    }

    pub(crate) fn known(&self, name: &str) -> Channel {
        self.shown(Some(&self.authority.issue(&[name])))
    }
}

/// What somebody is told of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    NotConnected,
    Refused(String),
    LetIn,
}

impl Told {
    pub(crate) fn refused(reason: &str) -> Self {
        Self::Refused(reason.to_owned())
    }
}

/// `login` is what the call has under `authorization`.
pub(crate) async fn called(channel: Channel, path: &str, login: &[&str]) -> Told {
    let Some(status) = answered(channel, path, login, &message(path)).await else {
        return Told::NotConnected;
    };
    // A method that nobody guards says so only to who reads this.
    assert_ne!(status.code(), tonic::Code::Internal, "{path}: {status:?}");
    let reason = status.get_details_error_info().map(|it| it.reason);
    match reason.filter(|it| REFUSALS.contains(&it.as_str())) {
        Some(reason) => Told::Refused(reason),
        None => Told::LetIn,
    }
}

/// How a call with this message ends, or begins where it is a stream. `None`: nobody answers.
pub(crate) async fn answered(
    channel: Channel,
    path: &str,
    login: &[&str],
    message: &[u8],
) -> Option<Status> {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    let mut request = http::Request::post(format!("https://test{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for shown in login {
        request = request.header("authorization", *shown);
    }
    let body = Body::new(Full::new(Bytes::from(frame)).map_err(|it| match it {}));
    let request = request.body(body).unwrap();
    let response = channel.oneshot(request).await.ok()?;
    if response.status() != http::StatusCode::OK {
        return None;
    }
    Some(Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok("it began")))
}

/// What a method is called with: nothing that does anything, in the namespace that is meant.
fn message(path: &str) -> Vec<u8> {
    if path.ends_with("/StartSaga") {
        let namespace = ORDERS.to_owned();
        return pb::StartSagaRequest { namespace, ..Default::default() }.encode_to_vec();
    }
    Vec::new()
}

/// Every path of the server, with what it needs.
pub(crate) fn paths() -> Vec<(String, Rule)> {
    let policy = Policy::read();
    let health = ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"];
    let reflection = ["v1", "v1alpha"]
        .map(|it| format!("/grpc.reflection.{it}.ServerReflection/ServerReflectionInfo"));
    let more = health.map(str::to_owned).into_iter().chain(reflection);
    let more = more.chain(["/no.Service/Nope".to_owned()]);
    let more: Vec<_> = more.map(|path| (path.clone(), policy.of(&path))).collect();
    policy.methods().map(|(path, rule)| (path.to_owned(), rule)).chain(more).collect()
}

/// Whether the contract says that somebody of this role may, in all namespaces and in the one
/// that is meant.
pub(crate) fn may(rule: Rule, role: Role) -> (bool, bool) {
    match rule {
        Rule::Open => (true, true),
        Rule::InNamespace(needs) => (needs <= role, needs <= role),
        Rule::Everywhere(needs) => (needs <= role, false),
    }
}

pub(crate) fn judged(may: bool) -> Told {
    if may { Told::LetIn } else { Told::refused("ROLE_MISSING") }
}
