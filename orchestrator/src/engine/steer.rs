//! What people decide about participants: that nobody calls one, or how many calls may be out.
//!
//! Each act is a row of the log's database, and the newest of a participant holds, on every node
//! and over restarts. The node that records one does it at once; the others read it with their
//! next look.

use saga_log::{ParticipantAct, StoreError};

use crate::engine::{Engine, Shared};

/// How often an act is offered while others act on the same participant.
const TRIES_MAX: u32 = 8;

/// Acts among which a repeated request is looked for.
const ACTS_MAX: u32 = 1_000;

/// What is to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nobody calls it.
    Pause,
    /// It is called again.
    Resume,
    /// So many calls at the same time, of all nodes together. `None`: as configured.
    Limit(Option<u32>),
}

/// What a person decides about a participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParticipantChange {
    pub participant: String,
    pub change: Change,
    /// What makes it one, however often it is sent.
    pub request_id: String,
    /// What the person saw. 0: whatever it is.
    pub expected_version: u64,
    pub actor: String,
    pub reason: String,
}

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum SteerError {
    /// This node has no such participant in its configuration. Ask one that has.
    #[error("participant {participant} is not configured")]
    NotConfigured { participant: String },
    /// Somebody else has decided something since. Look again.
    #[error("it is in version {version} now")]
    MovedOn { expected: u64, version: u64, last: Option<Box<ParticipantAct>> },
    /// The request id is that of another act. Take another one.
    #[error("the request id is that of version {version}, which says something else")]
    RequestIdReused { version: u64 },
    /// Others acted at every try. Nothing was recorded; ask again.
    #[error("others acted on it at every try")]
    Contended,
    /// The log cannot be asked. It may have been recorded; ask again with the same request id.
    #[error("the log cannot be asked")]
    Log(#[from] StoreError),
}

impl ParticipantChange {
    /// The act behind `last`.
    fn after(&self, last: Option<&ParticipantAct>, at_ms: u64) -> ParticipantAct {
        let (is_paused, in_flight_max) =
            last.map_or((false, None), |last| (last.is_paused, last.in_flight_max));
        let (is_paused, in_flight_max) = match self.change {
            Change::Pause => (true, in_flight_max),
            Change::Resume => (false, in_flight_max),
            Change::Limit(limit) => (is_paused, limit),
        };
        ParticipantAct {
            participant: self.participant.clone(),
            version: last.map_or(0, |last| last.version) + 1,
            request_id: self.request_id.clone(),
            is_paused,
            in_flight_max,
            actor: self.actor.clone(),
            reason: self.reason.clone(),
            at_ms,
        }
    }

    /// Whether `act` is what came of this request when it was sent before.
    fn is_that(&self, act: &ParticipantAct) -> bool {
        let does = match self.change {
            Change::Pause => act.is_paused,
            Change::Resume => !act.is_paused,
            Change::Limit(limit) => act.in_flight_max == limit,
        };
        does && act.actor == self.actor && act.reason == self.reason
    }
}

impl Engine {
    /// Records what a person decides about a participant, and does it here at once. Answers the
    /// act that was recorded, also where the request was sent before.
    ///
    /// # Errors
    ///
    /// [`SteerError`] says whether anything may have been recorded.
    pub async fn steer(&self, wanted: &ParticipantChange) -> Result<ParticipantAct, SteerError> {
        let shared = &self.shared;
        let participant = &wanted.participant;
        if !shared.caller.knows(participant) {
            return Err(SteerError::NotConfigured { participant: participant.clone() });
        }
        let store = shared.log.store();
        for _ in 0..TRIES_MAX {
            let acts = store.participant_acts(participant, ACTS_MAX).await?;
            if let Some(act) = acts.iter().find(|act| act.request_id == wanted.request_id) {
                let version = act.version;
                let known = wanted.is_that(act).then(|| act.clone());
                return known.ok_or(SteerError::RequestIdReused { version });
            }
            let version = acts.first().map_or(0, |act| act.version);
            if wanted.expected_version != 0 && wanted.expected_version != version {
                let (expected, last) = (wanted.expected_version, acts.into_iter().next());
                return Err(SteerError::MovedOn { expected, version, last: last.map(Box::new) });
            }
            let act = wanted.after(acts.first(), shared.clock.now_ms());
            if store.act_on_participant(&act).await? {
                tracing::info!(
                    participant = %act.participant,
                    participant.paused = act.is_paused,
                    participant.in_flight_max = act.in_flight_max,
                    actor = %act.actor,
                    reason = %act.reason,
                    "somebody has decided about a participant"
                );
                shared.governor.obey(std::slice::from_ref(&act));
                return Ok(act);
            }
        }
        Err(SteerError::Contended)
    }
}

impl Shared {
    /// Does what people have decided about participants, on whatever node.
    pub(super) async fn obey(&self) -> Result<(), StoreError> {
        self.governor.obey(&self.log.store().newest_participant_acts().await?);
        Ok(())
    }
}
