//! Configuration: defaults, then a TOML file, then the environment, then flags.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    error::Kind,
    providers::{Env, Format as _, Serialized, Toml},
    value::Value,
};
use saga_tls::ServerFiles;
use serde::{Deserialize, de::DeserializeOwned};

use super::App;
use crate::{
    database::{Database, Limits},
    schema::Schema,
};

/// A service, as its binary sees it.
pub trait Service: Sized + 'static {
    /// Name of the binary, such as `inventory-svc`.
    const NAME: &'static str;
    /// One sentence for `--help`.
    const ABOUT: &'static str;
    /// What its environment variables begin with, such as `AMENDS_INVENTORY_`.
    const ENV_PREFIX: &'static str;
    /// Where it listens unless told otherwise.
    const LISTEN_DEFAULT: &'static str;
    /// Its tables.
    const SCHEMA: Schema;
    /// Its own contracts, an encoded `FileDescriptorSet`, which reflection shows: definitions are
    /// checked against them. Without them each orchestrator needs the descriptors in a file.
    const DESCRIPTORS: &'static [u8] = &[];
    /// What is configured under `[service]`. Derive `Deserialize` with
    /// `#[serde(deny_unknown_fields, default)]`.
    type Config: DeserializeOwned + Send;

    /// Makes the service. The schema was checked.
    ///
    /// # Errors
    ///
    /// What in the configuration does not fit together, with the remedy.
    fn app(
        database: Database,
        config: Self::Config,
    ) -> impl Future<Output = anyhow::Result<App>> + Send;
}

/// The configuration of a service. Names end in their unit; a key that is not known is an
/// error, so that a typing mistake cannot pass for a default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config<C> {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` answer. None: nowhere.
    #[serde(default)]
    pub listen_ops: Option<SocketAddr>,
    /// `postgres://USER@HOST/NAME` or `sqlite://PATH`, or the file that holds it. The database is
    /// the service's own.
    #[serde(deserialize_with = "saga_serve::text_or_file")]
    pub database_url: DatabaseUrl,
    /// The files of TLS at `listen`. Absent: plain text.
    #[serde(default)]
    pub tls: Option<ServerFiles>,
    /// Who is believed what it says of operations: names in certificates, such as
    /// `spiffe://shop/orchestrator`. Empty: everybody.
    #[serde(default)]
    pub engines: Vec<String>,
    /// Whether plain text may be spoken with other machines.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// Whether a database on another machine may be one whose certificate is not checked.
    #[serde(default)]
    pub allow_insecure_database: bool,
    /// How much the database is asked to do at once.
    #[serde(default)]
    pub database: Limits,
    /// Limits of the gRPC server.
    #[serde(default)]
    pub server: ServerLimits,
    /// What is logged, and how. Logs go to standard error.
    #[serde(default)]
    pub log: LogConfig,
    /// The service's own part.
    pub service: C,
}

/// Limits of the gRPC server.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerLimits {
    /// Connections at the same time. For one more, the one that has been idle for longest has
    /// to go. Never more than the process has descriptors for.
    pub connections_max: usize,
    /// Calls that all connections have open together.
    pub calls_max: usize,
    /// Calls that one connection may have open.
    pub streams_per_connection_max: u32,
    /// Reads that one connection may have under way. The next one waits for its turn.
    pub reads_per_connection_max: usize,
    /// Requests of all calls together, each from its 16 KiB on.
    pub requests_bytes_max: usize,
    /// How long a connection may take to begin to speak HTTP/2.
    pub handshake_timeout_ms: u64,
    /// How long a request may take to arrive, from its headers to its end.
    pub request_timeout_ms: u64,
    /// All headers of one call together.
    pub header_bytes_max: u32,
    /// How often a connection is asked whether it lives.
    pub keepalive_interval_ms: u64,
    /// How long it may take to say so.
    pub keepalive_timeout_ms: u64,
    /// After this a connection is asked to go; 0: never. Spreads clients over replicas.
    pub connection_age_max_ms: u64,
    /// How long open calls may go on after SIGTERM.
    pub drain_max_ms: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        let strangers = saga_serve::Limits::default();
        Self {
            connections_max: strangers.connections_max,
            calls_max: strangers.calls_max,
            streams_per_connection_max: 1_024,
            reads_per_connection_max: strangers.reads_per_connection_max,
            requests_bytes_max: strangers.requests_bytes_max,
            handshake_timeout_ms: strangers.handshake_timeout_ms,
            request_timeout_ms: strangers.request_timeout_ms,
            header_bytes_max: 16 << 10,
            keepalive_interval_ms: 20_000,
            keepalive_timeout_ms: 10_000,
            connection_age_max_ms: 0,
            drain_max_ms: 20_000,
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `json`, or `text` for people.
    pub format: LogFormat,
    /// Such as `info` or `info,saga_participant=debug`.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Json, filter: "info".to_owned() }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// The URL of a database. Its `Debug` hides it, because it may hold a password.
#[derive(Clone)]
pub struct DatabaseUrl(String);

impl From<String> for DatabaseUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl DatabaseUrl {
    /// The URL itself. Not for logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DatabaseUrl(..)")
    }
}

/// What the configuration is made from, weakest first.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    pub(super) file: Option<&'a Path>,
    pub(super) env_prefix: &'static str,
    pub(super) listen_default: &'static str,
    /// `key=value` pairs, such as `server.drain_max_ms=5000`.
    pub(super) flags: &'a [(String, String)],
}

impl<C: DeserializeOwned> Config<C> {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// One line for each mistake: the key, its value, and what it may be.
    pub(super) fn read(sources: &Sources<'_>) -> anyhow::Result<Self> {
        let mut figment = Figment::new()
            .merge(Serialized::default("listen", sources.listen_default))
            .merge(Serialized::default("service", std::collections::BTreeMap::<(), ()>::new()));
        if let Some(file) = sources.file {
            std::fs::read_to_string(file).map_err(|source| {
                anyhow::anyhow!("--config {}: the file cannot be read: {source}", file.display())
            })?;
            // By its name, as paths in it are beside it.
            let said = Figment::from(Toml::file_exact(file));
            figment = figment.merge(&said);
            // A path in the file is beside it, whatever folder the program was started in.
            let folder = file.parent().unwrap_or(Path::new(""));
            for key in ["tls.certificate", "tls.key", "tls.client_ca"] {
                if let Ok(path) = said.extract_inner::<PathBuf>(key) {
                    figment = figment.merge(Serialized::default(key, folder.join(path)));
                }
            }
        }
        let env = Env::prefixed(sources.env_prefix).ignore(&["config"]).split("__");
        figment = figment.merge(env);
        for (key, value) in sources.flags {
            let Ok(value) = value.parse::<Value>();
            figment = figment.merge(Serialized::default(key, value));
        }
        figment.extract().map_err(|errors| {
            let lines: Vec<String> = errors.into_iter().map(|error| line(&error)).collect();
            anyhow::anyhow!("the configuration has mistakes:\n{}", lines.join("\n"))
        })
    }
}

fn line(error: &figment::Error) -> String {
    let path = error.path.join(".");
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let shown = |actual: &figment::error::Actual| {
        let secret = ["url", "key", "secret", "password", "token"];
        if secret.iter().any(|word| path.contains(word)) {
            "a value that is not shown".to_owned()
        } else {
            actual.to_string()
        }
    };
    match &error.kind {
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            format!("  {path} is {}: write {expected}", shown(actual))
        }
        Kind::UnknownVariant(value, allowed) => {
            format!("  {path} is {value:?}: write one of {}", allowed.join(", "))
        }
        Kind::UnknownField(name, allowed) => {
            format!("  {} is not known: write one of {}", at_once(&path, name), allowed.join(", "))
        }
        Kind::MissingField(name) => {
            format!("  {} is missing: set it in the file, the environment or by flag", at(name))
        }
        other => format!("  {path}: {other}"),
    }
}

/// The path of an unknown key; figment has the key in the path already, or not.
fn at_once(path: &str, name: &str) -> String {
    if path == name || path.ends_with(&format!(".{name}")) {
        path.to_owned()
    } else if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
