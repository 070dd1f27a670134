//! Calls to participants: dynamic gRPC over the channels that the configuration names.
//!
//! Only configured participants can be called (X07): a definition names one, it never
//! gives an address. A call says what is known about its effect, never just that it went
//! wrong: the table is in [`outcome`].
//!
//! Reading order: `request`, [`outcome`], `exchange`, `channels`, `reflection`, `metadata`, `marks`,
//! `horizon`, [`probe`].

mod channels;
mod exchange;
mod horizon;
mod marks;
mod metadata;
pub mod observe;
pub mod outcome;
mod ping;
pub mod probe;
mod reflection;
mod request;
mod sight;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use saga_core::{NotDone, Outcome, Resolution};
pub use saga_governor::Ping;
use uuid::Uuid;

use crate::engine::{Advanced, Heard};
use channels::{Channel, Entry};
pub use channels::{ConfigError, ParticipantConfig};
use exchange::Unary;
use metadata::metadata;
use outcome::Seen;
use probe::{Answer, Inquiry, Key, Told};
pub use reflection::Reflected;
pub use request::{CallRequest, OperationOf};
use sight::Judged;

/// Where every participant answers inquiries.
const RESOLVE_PATH: &str = "/saga.participant.v1.ParticipantService/Resolve";

/// What an answer to an inquiry is longer than the reply in it, at most.
const RESOLVE_BYTES: usize = 64;

/// Carries the operation id.
const OPERATION_ID: &str = "saga-op-id";

/// Whoever makes calls for the driver: the network, or a script in a test.
#[async_trait]
pub trait Caller: Send + Sync {
    /// Makes one attempt of a call. Never fails: whatever happened is an outcome.
    async fn call(&self, request: CallRequest<'_>) -> Outcome;

    /// Asks `participant` what became of `operation`, and fences it.
    async fn resolve(
        &self,
        participant: &str,
        operation: OperationOf,
        timeout: Duration,
    ) -> Resolution;

    /// The longest reply of a participant, in bytes. A script has no limit of its own.
    fn reply_bytes_max(&self, _participant: &str) -> usize {
        0
    }

    /// Asks `participant` how far it has heard of the log `log_id`. A script keeps no marks.
    async fn heard_mark(&self, participant: &str, log_id: Uuid, timeout: Duration) -> Heard {
        let _ = (participant, log_id, timeout);
        Heard::Nothing
    }

    /// Tells `participant` that the log `log_id` needs nothing of sagas that began before
    /// `at_ms`. A script keeps everything.
    async fn advance_horizon(
        &self,
        participant: &str,
        log_id: Uuid,
        at_ms: u64,
        timeout: Duration,
    ) -> Advanced {
        let _ = (participant, log_id, at_ms, timeout);
        Advanced::KeepsAll
    }

    /// Who is to be asked what was heard of the log. A script has nobody.
    fn participants(&self) -> Vec<String> {
        Vec::new()
    }

    /// Makes one call of a conformance check and tells what was seen of it. A script
    /// answers nothing.
    async fn probe(&self, request: CallRequest<'_>, key: Key) -> Answer {
        let message = format!("{} cannot be probed, {key:?}", request.spec.participant);
        Answer::Silent { message }
    }

    /// Makes one inquiry of a conformance check. A script answers nothing.
    async fn inquire(
        &self,
        participant: &str,
        operation: OperationOf,
        inquiry: Inquiry,
        timeout: Duration,
    ) -> Told {
        let id = operation.id;
        let message = format!("{participant}: no {inquiry} of {id} within {timeout:?}");
        Told::Unanswered { message }
    }

    /// Calls to `participant` at the same time, of all nodes together. A script has no limit of
    /// its own.
    fn in_flight_max(&self, _participant: &str) -> u32 {
        1_024
    }

    /// Where `participant` answers, for people. A script has no addresses.
    fn addresses(&self, _participant: &str) -> Vec<String> {
        Vec::new()
    }

    /// Asks whether anything answers at one of the addresses of `participant`. A script cannot
    /// tell.
    async fn ping(&self, _participant: &str) -> Ping {
        Ping::Unable
    }

    /// Whether calls to `participant` can be made at all. A script knows everybody.
    fn knows(&self, participant: &str) -> bool {
        let _ = participant;
        true
    }
}

/// The participants of the configuration.
#[derive(Debug)]
pub struct Participants {
    entries: BTreeMap<String, Entry>,
}

/// Why a participant's types are not known. Nothing was changed anywhere.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorError {
    /// The configuration names no such participant.
    #[error("participant {participant} is not configured")]
    NotConfigured { participant: String },
    /// It was not reached, or answered nothing usable. Ask again.
    #[error("participant {participant}: reflection: {message}")]
    Unanswered { participant: String, message: String },
    /// It was not reached: nothing was asked. Ask again.
    #[error("participant {participant} was not reached: {message}")]
    Unreached { participant: String, message: String },
    /// It has no reflection. Give its types to the registration in another way.
    #[error("participant {participant} does not serve gRPC reflection")]
    Unsupported { participant: String },
}

impl Participants {
    /// Channels to all participants. Connects when something is called, not before.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the entry that cannot be used.
    pub fn new(config: &BTreeMap<String, ParticipantConfig>) -> Result<Self, ConfigError> {
        let mut entries = BTreeMap::new();
        for (name, entry) in config {
            entries.insert(name.clone(), Entry::new(name, entry)?);
        }
        Ok(Self { entries })
    }

    /// Names of the participants.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// What a participant serves, and its types, by gRPC reflection.
    ///
    /// # Errors
    ///
    /// [`DescriptorError`] says what is missing. Nothing was changed anywhere.
    pub async fn descriptors(&self, participant: &str) -> Result<Reflected, DescriptorError> {
        let entry = self.entries.get(participant).ok_or_else(|| {
            DescriptorError::NotConfigured { participant: participant.to_owned() }
        })?;
        reflection::descriptors(participant, entry.channels.next()).await
    }
}

#[async_trait]
impl Caller for Participants {
    fn knows(&self, participant: &str) -> bool {
        self.entries.contains_key(participant)
    }

    fn reply_bytes_max(&self, participant: &str) -> usize {
        self.entries.get(participant).map_or(0, |entry| entry.reply_bytes_max)
    }

    fn in_flight_max(&self, participant: &str) -> u32 {
        let entry = self.entries.get(participant);
        entry.map_or(0, |entry| u32::try_from(entry.in_flight_max).unwrap_or(u32::MAX))
    }

    fn addresses(&self, participant: &str) -> Vec<String> {
        self.entries.get(participant).map_or_else(Vec::new, |entry| entry.channels.addresses())
    }

    async fn ping(&self, participant: &str) -> Ping {
        match self.entries.get(participant) {
            Some(entry) => ping::ping(entry).await,
            None => Ping::Silent,
        }
    }

    async fn call(&self, request: CallRequest<'_>) -> Outcome {
        let Some(entry) = self.entries.get(&request.spec.participant) else {
            return not_configured(&request.spec.participant);
        };
        let channel = entry.channels.next();
        let spec = request.spec;
        match entry.sight.judge(channel, spec).await {
            Judged::Same => {}
            Judged::Changed(message) => {
                return Outcome::Fault { reason: "TYPES_CHANGED".to_owned(), message };
            }
            Judged::Unreached(message) => {
                return outcome::of_call(Seen::NotSent { message }, spec.refusals);
            }
        }
        let seen = call(channel, entry.reply_bytes_max, &request, metadata(&request)).await;
        match outcome::of_call(seen, spec.refusals) {
            Outcome::Rejected { reason, .. } if spec.already_undone.contains(&reason) => {
                Outcome::Applied { reply: Bytes::new() }
            }
            outcome => outcome,
        }
    }

    async fn resolve(
        &self,
        participant: &str,
        operation: OperationOf,
        timeout: Duration,
    ) -> Resolution {
        let Some(entry) = self.entries.get(participant) else {
            let message = format!("participant {participant} is not configured");
            return Resolution::Unanswered { message };
        };
        outcome::of_resolve(resolve(entry, operation, Inquiry::Fence, timeout).await)
    }

    async fn heard_mark(&self, participant: &str, log_id: Uuid, timeout: Duration) -> Heard {
        let Some(entry) = self.entries.get(participant) else {
            return Heard::Nothing;
        };
        let unary = Unary {
            path: http::uri::PathAndQuery::from_static(marks::PATH),
            metadata: HeaderMap::new(),
            body: marks::request(log_id),
            timeout,
            reply_bytes_max: entry.reply_bytes_max,
        };
        marks::heard(exchange::unary(entry.channels.next(), unary).await)
    }

    async fn advance_horizon(
        &self,
        participant: &str,
        log_id: Uuid,
        at_ms: u64,
        timeout: Duration,
    ) -> Advanced {
        let Some(entry) = self.entries.get(participant) else {
            return Advanced::KeepsAll;
        };
        let unary = Unary {
            path: http::uri::PathAndQuery::from_static(horizon::PATH),
            metadata: HeaderMap::new(),
            body: horizon::request(log_id, at_ms),
            timeout,
            reply_bytes_max: entry.reply_bytes_max,
        };
        horizon::advanced(exchange::unary(entry.channels.next(), unary).await)
    }

    fn participants(&self) -> Vec<String> {
        self.names().map(str::to_owned).collect()
    }

    async fn probe(&self, request: CallRequest<'_>, key: Key) -> Answer {
        let Some(entry) = self.entries.get(&request.spec.participant) else {
            let message = format!("participant {} is not configured", request.spec.participant);
            return Answer::Silent { message };
        };
        let mut metadata = metadata(&request);
        if key == Key::LeftOut {
            metadata.remove(OPERATION_ID);
        }
        // Waiting for a place is not part of the call: nothing was sent yet.
        let place = tokio::time::timeout(request.timeout, entry.checks.acquire()).await;
        let Ok(Ok(_place)) = place else {
            let message = format!("{} calls of checks are out already", entry.in_flight_max);
            return Answer::of(Seen::NotSent { message }, request.spec.refusals);
        };
        let channel = entry.channels.next();
        let seen = call(channel, entry.reply_bytes_max, &request, metadata).await;
        Answer::of(seen, request.spec.refusals)
    }

    async fn inquire(
        &self,
        participant: &str,
        operation: OperationOf,
        inquiry: Inquiry,
        timeout: Duration,
    ) -> Told {
        let Some(entry) = self.entries.get(participant) else {
            let message = format!("participant {participant} is not configured");
            return Told::Unanswered { message };
        };
        Told::of(resolve(entry, operation, inquiry, timeout).await)
    }
}

/// One attempt of a call. Whoever makes it has a place for it.
async fn call(
    channel: &Channel,
    reply_bytes_max: usize,
    request: &CallRequest<'_>,
    metadata: HeaderMap,
) -> Seen {
    let unary = Unary {
        path: request.spec.path.clone(),
        metadata,
        body: request.body.clone(),
        timeout: request.timeout,
        reply_bytes_max,
    };
    exchange::unary(channel, unary).await
}

async fn resolve(
    entry: &Entry,
    operation: OperationOf,
    inquiry: Inquiry,
    timeout: Duration,
) -> Seen {
    let unary = Unary {
        path: http::uri::PathAndQuery::from_static(RESOLVE_PATH),
        metadata: metadata::of_inquiry(&operation),
        body: probe::resolve_request(operation.id, inquiry),
        timeout,
        // A reply that may be kept, in its wrapping.
        reply_bytes_max: entry.reply_bytes_max + RESOLVE_BYTES,
    };
    exchange::unary(entry.channels.next(), unary).await
}

/// A definition was registered for a participant that this node has not in its configuration:
/// another node may, or a person puts it in.
fn not_configured(participant: &str) -> Outcome {
    Outcome::NotDone {
        cause: NotDone::NotSent,
        message: format!("participant {participant} is not in the configuration of this node"),
        retry_after_ms: None,
    }
}
