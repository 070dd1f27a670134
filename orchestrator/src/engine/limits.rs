//! How much a node takes on.

use serde::{Deserialize, Serialize};

/// How much this node takes on, and how patient it is: `limits` in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Sagas that are driven at the same time. A start beyond it is turned away.
    pub sagas_max: usize,
    /// A saga that has nothing to do for longer than this leaves the memory.
    pub park_after_ms: u64,
    /// How long one inquiry may take.
    pub resolve_timeout_ms: u64,
    /// How often this node says that it lives.
    pub heartbeat_ms: u64,
    /// How long a node may be silent before its sagas are taken over. A node that was
    /// only slow loses nothing but work: the log fences it.
    pub dead_after_ms: u64,
    /// How often this node looks for sagas that nobody drives.
    pub claim_ms: u64,
    /// How long a start may wait for the log before the caller is told to ask again.
    pub start_timeout_ms: u64,
    /// Bytes of an input at most (X09).
    pub input_bytes_max: usize,
    /// Bytes of a request at most. One that is larger cannot be made: its step is as if an
    /// expression had no value.
    pub request_bytes_max: usize,
    /// Bytes of inputs, requests and replies that sagas keep in memory while their calls are
    /// out, over all sagas. What is over it is read from the log again when it is needed.
    pub payload_bytes_max: usize,
    /// How far the log may be found to have gone back before this node waits for a person:
    /// what a failover to an asynchronous standby loses, and the clocks of nodes differ by.
    pub restore_tolerance_ms: u64,
    /// How old a backup of the log may be that is ever restored. What participants have recorded
    /// of a saga is needed for so long behind its end.
    pub keep_for_ms: u64,
    /// How often participants are told up to when this log needs what they have recorded.
    pub tell_horizon_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sagas_max: 20_000,
            park_after_ms: 2_000,
            resolve_timeout_ms: 7_000,
            heartbeat_ms: 500,
            dead_after_ms: 3_000,
            claim_ms: 150,
            start_timeout_ms: 5_000,
            input_bytes_max: 256 * 1024,
            request_bytes_max: saga_draft::REQUEST_BYTES_MAX,
            payload_bytes_max: 256 * 1024 * 1024,
            restore_tolerance_ms: 30_000,
            keep_for_ms: 35 * 24 * 3_600_000,
            tell_horizon_ms: 3_600_000,
        }
    }
}
