//! The orchestrator's configuration: a TOML file, then the environment, then flags.

mod misfit;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use saga_tls::ServerFiles;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{
    access::{AuthConfig, AuthError},
    engine::Limits,
    participants::ParticipantConfig,
};

/// The largest row of the log. What may be in one is configured, and fits.
const ROW_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a row of the log holds beside the largest thing in it: other facts of the same
/// moment, names, messages.
const ROW_SPARE_BYTES: usize = 64 * 1024;

/// What the orchestrator is told. Every key is explained in
/// `deploy/config/orchestrator.toml`.
///
/// Names end in their unit. A key that is not known is an error, so that a typing
/// mistake cannot pass for a default.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the gRPC services listen.
    pub listen: SocketAddr,
    /// Where `DefinitionService` and `OperatorService` listen instead, beside everything else.
    pub listen_operator: Option<SocketAddr>,
    /// Where `/livez`, `/readyz` and `/metrics` answer.
    pub listen_ops: Option<SocketAddr>,
    /// The files of TLS at both of them. Absent: plain text.
    pub tls: Option<ServerFiles>,
    /// Who may do what. Absent: whoever gets in may do everything.
    pub auth: Option<AuthConfig>,
    /// Whether plain text may be spoken with other machines.
    pub allow_plaintext: bool,
    /// Whether the database of the log may be on another machine and not show a certificate
    /// that is checked.
    pub allow_insecure_database: bool,
    /// The log: `postgres://…`, `sqlite:path` or `memory:`, or the file that holds it.
    #[serde(deserialize_with = "saga_serve::text_or_file")]
    pub log: String,
    /// Whether to bring the log's schema up to date at start.
    pub migrate: bool,
    /// A folder of definitions to register at start.
    pub definitions: Option<PathBuf>,
    /// Whether one of them that is refused stops the start.
    pub strict_definitions: bool,
    /// Threads. Absent: as many as suit the machine.
    pub threads: Option<NonZeroUsize>,
    /// A `FileDescriptorSet` with the types of all participants. Absent: each
    /// participant is asked by reflection.
    pub descriptors: Option<PathBuf>,
    /// Whom definitions may call, by the name they use.
    pub participants: BTreeMap<String, ParticipantConfig>,
    pub limits: Limits,
    /// What whoever connects may hold.
    pub server: saga_serve::Limits,
    pub telemetry: TelemetryConfig,
    /// How long calls may take to end when the orchestrator is told to stop.
    pub stop_grace_ms: u64,
}

/// Logs and traces.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// What to log, as in `info` or `orchestrator=debug,warn`.
    pub filter: String,
    pub format: LogFormat,
    /// Where traces go, an OTLP endpoint over gRPC. Absent: nowhere.
    pub otlp_endpoint: Option<String>,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For machines.
    #[default]
    Json,
    /// For people.
    Text,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7400)),
            listen_operator: None,
            listen_ops: None,
            tls: None,
            auth: None,
            allow_plaintext: false,
            allow_insecure_database: false,
            log: "sqlite:amends.db".to_owned(),
            migrate: false,
            definitions: None,
            strict_definitions: false,
            threads: None,
            descriptors: None,
            participants: BTreeMap::new(),
            limits: Limits::default(),
            server: saga_serve::Limits::default(),
            telemetry: TelemetryConfig::default(),
            stop_grace_ms: 20_000,
        }
    }
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Json, otlp_endpoint: None }
    }
}

/// Why a configuration cannot be used. A program that gets one stops.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file, a variable or a flag does not fit. Names the key and where it came from.
    #[error("configuration: {}", misfit::in_words(.0))]
    DoesNotFit(Box<figment::Error>),
    /// A node would be taken for dead while it lives.
    #[error(
        "configuration: limits.dead_after_ms is {dead_after_ms}, and must be at least three times \
         limits.heartbeat_ms, {heartbeat_ms}"
    )]
    DeadTooSoon { dead_after_ms: u64, heartbeat_ms: u64 },
    /// Nothing could work with it.
    #[error("configuration: limits.{key} is {value}; give {least} to {most}")]
    LimitOutOfRange { key: &'static str, value: u64, least: u64, most: u64 },
    /// Nobody could do anything, or not what is meant.
    #[error("configuration")]
    Auth(#[from] AuthError),
    /// Nobody could be served with it.
    #[error("configuration")]
    Server(#[from] saga_serve::WrongLimit),
    /// A saga whose input is within its limit could not be written down.
    #[error(
        "configuration: limits.input_bytes_max is {input_bytes_max}, and a row of the log, \
         {row_bytes_max}, must hold an input, the first request, which may repeat it, and \
         {ROW_SPARE_BYTES} more: give at most {}",
        (row_bytes_max - ROW_SPARE_BYTES) / 2
    )]
    InputOverRow { input_bytes_max: usize, row_bytes_max: usize },
    /// A reply within its limit could not be written down, and its saga could not go on.
    #[error(
        "configuration: participants.{participant}.reply_bytes_max is {reply_bytes_max}, and a \
         row of the log, {row_bytes_max}, must hold a reply and {ROW_SPARE_BYTES} more: give at \
         most {}",
        row_bytes_max - ROW_SPARE_BYTES
    )]
    ReplyOverRow { participant: String, reply_bytes_max: usize, row_bytes_max: usize },
}

/// Paths that a file says are beside it, whatever folder the program was started in.
fn beside(file: &Path, said: &Figment, mut sources: Figment) -> Figment {
    let folder = file.parent().unwrap_or(Path::new(""));
    let fixed = [
        "definitions",
        "descriptors",
        "tls.certificate",
        "tls.key",
        "tls.client_ca",
        "auth.tokens.keys",
    ];
    let mut keys = fixed.map(str::to_owned).to_vec();
    let participants = said.extract_inner::<BTreeMap<String, IgnoredAny>>("participants");
    for name in participants.unwrap_or_default().into_keys() {
        let of_one = ["tls.ca", "tls.certificate", "tls.key", "descriptors"];
        keys.extend(of_one.map(|it| format!("participants.{name}.{it}")));
    }
    for key in keys {
        if let Ok(path) = said.extract_inner::<PathBuf>(&key) {
            sources = sources.merge(Serialized::default(&key, folder.join(path)));
        }
    }
    sources
}

impl Config {
    /// Reads the file, then variables that begin with `AMENDS_ORCHESTRATOR_`
    /// (`AMENDS_ORCHESTRATOR_LIMITS__SAGAS_MAX` is `limits.sagas_max`), then `flags`, each
    /// over the one before, and checks them. Relative paths in the file are beside the file;
    /// those in variables and flags are where the program was started.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first key that does not fit.
    pub fn load(file: Option<&Path>, flags: impl Serialize) -> Result<Self, ConfigError> {
        let mut sources = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            let said = Figment::from(Toml::file_exact(file));
            sources = beside(file, &said, sources.merge(&said));
        }
        let config: Self = sources
            .merge(Env::prefixed("AMENDS_ORCHESTRATOR_").split("__"))
            .merge(Serialized::globals(flags))
            .extract()
            .map_err(|error| ConfigError::DoesNotFit(Box::new(error)))?;
        config.checked()
    }

    /// Nothing that would be a typing mistake: zero pauses, hours between two heartbeats.
    fn limits_make_sense(&self) -> Result<(), ConfigError> {
        const HOUR_MS: u64 = 3_600_000;
        const DAY_MS: u64 = 24 * HOUR_MS;
        const GIB: u64 = 1 << 30;
        let limits = &self.limits;
        let count = |it: usize| it as u64;
        let bounds = [
            ("sagas_max", count(limits.sagas_max), 1, 10_000_000),
            ("park_after_ms", limits.park_after_ms, 1, DAY_MS),
            ("resolve_timeout_ms", limits.resolve_timeout_ms, 10, HOUR_MS),
            ("heartbeat_ms", limits.heartbeat_ms, 10, HOUR_MS),
            ("dead_after_ms", limits.dead_after_ms, 30, DAY_MS),
            ("claim_ms", limits.claim_ms, 10, HOUR_MS),
            ("keep_for_ms", limits.keep_for_ms, HOUR_MS, 36_525 * DAY_MS),
            ("tell_horizon_ms", limits.tell_horizon_ms, 1_000, DAY_MS),
            ("start_timeout_ms", limits.start_timeout_ms, 10, HOUR_MS),
            // What is too large for a row is said with the row.
            ("input_bytes_max", count(limits.input_bytes_max), 64, u64::MAX),
            ("request_bytes_max", count(limits.request_bytes_max), 64, GIB),
            ("payload_bytes_max", count(limits.payload_bytes_max), 1, 1_024 * GIB),
        ];
        for (key, value, least, most) in bounds {
            if value < least || most < value {
                return Err(ConfigError::LimitOutOfRange { key, value, least, most });
            }
        }
        Ok(self.server.check()?)
    }

    fn checked(self) -> Result<Self, ConfigError> {
        self.limits_make_sense()?;
        if let Some(auth) = &self.auth {
            auth.check(self.tls.as_ref().is_some_and(|it| it.client_ca.is_some()))?;
        }
        let Limits { dead_after_ms, heartbeat_ms, input_bytes_max, .. } = self.limits;
        if dead_after_ms < heartbeat_ms.saturating_mul(3) {
            return Err(ConfigError::DeadTooSoon { dead_after_ms, heartbeat_ms });
        }
        let row_bytes_max = ROW_BYTES_MAX;
        if row_bytes_max < input_bytes_max.saturating_mul(2).saturating_add(ROW_SPARE_BYTES) {
            return Err(ConfigError::InputOverRow { input_bytes_max, row_bytes_max });
        }
        for (participant, entry) in &self.participants {
            let reply_bytes_max = entry.reply_bytes_max;
            if row_bytes_max < reply_bytes_max.saturating_add(ROW_SPARE_BYTES) {
                let participant = participant.clone();
                return Err(ConfigError::ReplyOverRow {
                    participant,
                    reply_bytes_max,
                    row_bytes_max,
                });
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Flags {
        #[serde(skip_serializing_if = "Option::is_none")]
        definitions: Option<PathBuf>,
    }

    #[test]
    fn paths_of_a_file_are_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("orchestrator.toml");
        let load = |text: &str, definitions: Option<&str>| {
            std::fs::write(&file, text).unwrap();
            let flags = Flags { definitions: definitions.map(PathBuf::from) };
            Config::load(Some(&file), flags).unwrap()
        };
        let said = "definitions = \"../sagas\"\ndescriptors = \"/types.binpb\"\n";
        let config = load(said, None);
        assert_eq!(config.definitions, Some(folder.path().join("../sagas")));
        assert_eq!(config.descriptors, Some(PathBuf::from("/types.binpb")));
        let told = load(said, Some("here")).definitions;
        assert_eq!(told, Some(PathBuf::from("here")), "a flag is where the program was started");
        assert_eq!(load("", None).definitions, None);
        let config = load("participants.points.descriptors = \"points.binpb\"\n", None);
        let own = config.participants["points"].descriptors.clone();
        assert_eq!(own, Some(folder.path().join("points.binpb")));
    }

    #[test]
    fn limits_of_zero_or_nonsense_are_refused_by_name() {
        let names = [
            "sagas_max",
            "park_after_ms",
            "resolve_timeout_ms",
            "heartbeat_ms",
            "dead_after_ms",
            "claim_ms",
            "start_timeout_ms",
            "input_bytes_max",
            "request_bytes_max",
            "payload_bytes_max",
            "keep_for_ms",
            "tell_horizon_ms",
        ];
        let default = serde_json::to_value(Limits::default()).unwrap();
        let refused = |key: &str, value: u64| {
            let mut limits = default.clone();
            limits[key] = value.into();
            let limits = serde_json::from_value(limits).unwrap();
            Config { limits, ..Config::default() }.checked().unwrap_err().to_string()
        };
        for key in names {
            for value in [0, u64::MAX] {
                let told = refused(key, value);
                assert!(told.contains(key) && told.contains(&value.to_string()), "{key}: {told}");
            }
        }
        let server = saga_serve::Limits { calls_max: 0, ..saga_serve::Limits::default() };
        let told = Config { server, ..Config::default() }.checked().unwrap_err();
        let told = format!("{:#}", anyhow::Error::from(told));
        assert!(told.contains("server.calls_max is 0"), "{told}");
    }

    #[test]
    fn limits_that_do_not_fit_each_other_stop_the_start_with_both_values() {
        assert!(Config::default().checked().is_ok());
        let row_bytes_max = ROW_BYTES_MAX;

        let largest = (row_bytes_max - ROW_SPARE_BYTES) / 2;
        let with_input = |input_bytes_max| {
            let limits = Limits { input_bytes_max, ..Limits::default() };
            Config { limits, ..Config::default() }.checked()
        };
        assert!(with_input(largest).is_ok());
        for too_large in [largest + 1, usize::MAX] {
            let told = with_input(too_large).unwrap_err().to_string();
            for part in ["limits.input_bytes_max", &too_large.to_string(), &largest.to_string()] {
                assert!(told.contains(part), "{part}: {told}");
            }
        }

        let largest = row_bytes_max - ROW_SPARE_BYTES;
        let with_reply = |reply_bytes_max| {
            let entry = ParticipantConfig { reply_bytes_max, ..ParticipantConfig::default() };
            let participants = BTreeMap::from([("stock".to_owned(), entry)]);
            Config { participants, ..Config::default() }.checked()
        };
        assert!(with_reply(largest).is_ok());
        for too_large in [largest + 1, usize::MAX] {
            let told = with_reply(too_large).unwrap_err().to_string();
            for part in ["participants.stock.reply_bytes_max", &too_large.to_string()] {
                assert!(told.contains(part), "{part}: {told}");
            }
            assert!(told.contains(&row_bytes_max.to_string()), "{told}");
        }
    }
}
