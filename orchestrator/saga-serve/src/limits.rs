//! How much strangers may hold.

use serde::{Deserialize, Serialize};

/// Limits of one listener: `server` in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at the same time. For one more, the one that has been idle for longest has
    /// to go. Never more than the process has descriptors for.
    pub connections_max: usize,
    /// Calls that all connections have open together. From three quarters on, a connection
    /// that has many opens no more.
    pub calls_max: usize,
    /// Calls that one connection may have open.
    pub streams_per_connection_max: u32,
    /// Reads that one connection may have under way. The next one waits for its turn.
    pub reads_per_connection_max: usize,
    /// All headers of one call together.
    pub header_bytes_max: u32,
    /// One message of a request.
    pub request_bytes_max: usize,
    /// Requests of all calls together, each from its 16 KiB on.
    pub requests_bytes_max: usize,
    /// How long a connection may take to begin to speak HTTP/2.
    pub handshake_timeout_ms: u64,
    /// How long a request may take to arrive, from its headers to its end.
    pub request_timeout_ms: u64,
    /// How often a connection is asked whether it lives.
    pub keepalive_interval_ms: u64,
    /// How long it may take to say so.
    pub keepalive_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 2_048,
            calls_max: 32_768,
            streams_per_connection_max: 1_024,
            reads_per_connection_max: 4,
            header_bytes_max: 16 << 10,
            request_bytes_max: 2 << 20,
            requests_bytes_max: 64 << 20,
            handshake_timeout_ms: 5_000,
            request_timeout_ms: 10_000,
            keepalive_interval_ms: 20_000,
            keepalive_timeout_ms: 10_000,
        }
    }
}

/// A limit with which nothing could be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongLimit {
    /// The key.
    pub key: &'static str,
    /// What it is.
    pub value: u64,
    /// The least that makes sense.
    pub least: u64,
    /// The most that does.
    pub most: u64,
}

impl Limits {
    /// Whether something can be served within these.
    ///
    /// # Errors
    ///
    /// [`WrongLimit`] names the first that is too low or too high.
    pub fn check(&self) -> Result<(), WrongLimit> {
        const HOUR_MS: u64 = 3_600_000;
        const MANY: u64 = 10_000_000;
        const LARGE: u64 = 64 << 30;
        let count = |it: usize| it as u64;
        let bounds = [
            ("connections_max", count(self.connections_max), 2, MANY),
            ("calls_max", count(self.calls_max), 16, MANY),
            ("streams_per_connection_max", self.streams_per_connection_max.into(), 1, MANY),
            ("reads_per_connection_max", count(self.reads_per_connection_max), 1, MANY),
            ("header_bytes_max", self.header_bytes_max.into(), 4 << 10, 1 << 20),
            ("request_bytes_max", count(self.request_bytes_max), 1 << 10, 1 << 30),
            ("requests_bytes_max", count(self.requests_bytes_max), 1 << 20, LARGE),
            ("handshake_timeout_ms", self.handshake_timeout_ms, 100, HOUR_MS),
            ("request_timeout_ms", self.request_timeout_ms, 100, HOUR_MS),
            ("keepalive_interval_ms", self.keepalive_interval_ms, 100, HOUR_MS),
            ("keepalive_timeout_ms", self.keepalive_timeout_ms, 100, HOUR_MS),
        ];
        let wrong =
            bounds.into_iter().find(|(_, value, least, most)| !(*least..=*most).contains(value));
        match wrong {
            Some((key, value, least, most)) => Err(WrongLimit { key, value, least, most }),
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for WrongLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, value, least, most } = self;
        write!(f, "server.{key} is {value}; give {least} to {most}")
    }
}

impl std::error::Error for WrongLimit {}
