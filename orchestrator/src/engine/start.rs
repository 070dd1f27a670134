//! Accepts sagas. A saga is accepted when its first row is durable; from then on it ends
//! completed, compensated, or stuck and explained.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use saga_core::{Event, OperationRoot, SagaId, Started, State};
use saga_governor::Came;
use saga_log::{AppendError, SagaRow};
use tokio::sync::oneshot;

use crate::{
    definitions::DefinitionError,
    driver::{Accepted, Creation, Run, key::Key},
    engine::{
        Engine, Shared,
        live::{EndWatch, Seat},
    },
};

/// A saga to start.
#[derive(Clone, Debug)]
pub struct StartSaga {
    pub namespace: String,
    pub business_key: String,
    /// The definition, compiled: the input was checked against it.
    pub definition: Arc<crate::definition::CompiledDefinition>,
    /// SHA-256 of what the client asked for: tells a repeated start from a reused key.
    pub request_hash: [u8; 32],
    /// The input, as bytes of the definition's input type.
    pub input: Bytes,
}

/// What a start found or made.
#[derive(Debug)]
pub enum StartedSaga {
    /// A new saga. `end` tells when it has ended.
    New { saga: SagaId, end: EndWatch },
    /// A saga that an earlier start with the same request had made.
    Existing(Box<SagaRow>),
}

/// Why a saga was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key belongs to a saga with another request. Nothing was done.
    #[error("business key {business_key} is in use")]
    KeyReused { business_key: String, other: Box<SagaRow> },
    /// A newer version of the definition has retired this one, and no saga has the business
    /// key. Nothing was done; start it by a newer version.
    #[error("definition {name} version {version} is retired")]
    Retired { name: String, version: u32 },
    /// This node drives as many sagas as it may, or its log's queue is full. Nothing
    /// was done; ask again in a while.
    #[error("this node is at its limit")]
    Overloaded,
    /// The engine stops. Nothing was done; ask another node.
    #[error("this node is stopping")]
    Stopping,
    /// The log went back in time by this much, and nobody has acknowledged it. Nothing was
    /// done; a person has to look.
    #[error("the log went back in time by {behind_ms} ms")]
    WentBack { behind_ms: u64 },
    /// The input and the first request together are over the limit of a log row.
    /// Nothing was done.
    #[error("{bytes} bytes are over the limit of a log row, {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    /// The log did not answer in time. The saga may have been accepted: ask again with
    /// the same key.
    #[error("the log did not answer in time")]
    Unknown,
    /// The log cannot be written now. Nothing was done; ask again in a while.
    #[error("the log cannot be written now")]
    LogUnavailable,
    /// The log refuses the row for what is in it. Nothing was done.
    #[error("the log refuses the saga")]
    Refused(#[source] AppendError),
}

impl StartError {
    /// Why, in one word.
    fn word(&self) -> &'static str {
        match self {
            Self::KeyReused { .. } => "key_reused",
            Self::Retired { .. } => "retired",
            Self::Overloaded => "overloaded",
            Self::Stopping => "stopping",
            Self::WentBack { .. } => "log_went_back",
            Self::TooLarge { .. } => "too_large",
            Self::Unknown => "log_slow",
            Self::LogUnavailable => "log_unavailable",
            Self::Refused(_) => "log_refuses",
        }
    }
}

impl Engine {
    /// The definition of this name; version 0 is the newest.
    ///
    /// # Errors
    ///
    /// [`DefinitionError`]: there is none, or the log cannot be asked.
    pub async fn definition(
        &self,
        name: &str,
        version: u32,
    ) -> Result<Arc<crate::definition::CompiledDefinition>, DefinitionError> {
        self.shared.definitions.find(&self.shared, name, version).await
    }

    /// Starts a saga, or finds the one that has the business key.
    ///
    /// Dropping the future does not take the start back: what is being written will be
    /// driven.
    ///
    /// # Errors
    ///
    /// [`StartError`] says whether anything was done. Only after
    /// [`StartError::Unknown`] the saga may exist.
    pub async fn start_saga(&self, start: StartSaga) -> Result<StartedSaga, StartError> {
        let started = self.accept(start).await;
        if let Err(error) = &started {
            self.shared.metrics.refused(error.word());
        }
        started
    }

    async fn accept(&self, start: StartSaga) -> Result<StartedSaga, StartError> {
        let shared = &self.shared;
        if shared.is_stopping() {
            return Err(StartError::Stopping);
        }
        if let Some(went_back) = shared.continuity.went_back() {
            return Err(StartError::WentBack { behind_ms: went_back.behind_ms });
        }
        if !shared.continuity.holds() {
            return Err(StartError::LogUnavailable);
        }
        let core = &start.definition.core;
        if shared.definitions.is_retired(&core.name, core.version) {
            return self.find_started(start).await;
        }
        let saga = SagaId(shared.clock.new_id());
        let place = shared.places.for_start().ok_or(StartError::Overloaded)?;
        // A new id is nobody's.
        let Seat { mailbox, end } = shared.live.enter(saga).ok_or(StartError::Overloaded)?;
        let ended = end.subscribe();
        let (accepted, answer) = oneshot::channel();
        let request_hash = start.request_hash;
        let business_key = start.business_key.clone();

        let (state, creation) = first_row(shared, saga, start.clone(), accepted);
        let shared_by_run = Arc::clone(shared);
        let run = Run::new(
            shared_by_run,
            Key { namespace: start.namespace, business_key: start.business_key },
            start.definition,
            state,
            None,
            mailbox,
            Came::ByItself,
        );
        shared.supervise(saga, end, place, run.start(creation));

        let patience = Duration::from_millis(shared.limits.start_timeout_ms);
        let answer = tokio::time::timeout(patience, answer).await;
        // Too late, or the driver crashed before it could tell.
        let Ok(Ok(answer)) = answer else {
            return Err(StartError::Unknown);
        };
        match answer {
            Ok(Accepted::New) => Ok(StartedSaga::New { saga, end: ended }),
            Ok(Accepted::KeyInUse(other)) if other.request_hash == request_hash => {
                Ok(StartedSaga::Existing(other))
            }
            Ok(Accepted::KeyInUse(other)) => Err(StartError::KeyReused { business_key, other }),
            Err(AppendError::Overloaded { .. }) => Err(StartError::Overloaded),
            Err(AppendError::PayloadTooLarge { bytes, bytes_max }) => {
                Err(StartError::TooLarge { bytes, bytes_max })
            }
            Err(AppendError::Closed) => Err(StartError::Stopping),
            Err(AppendError::Unavailable) => Err(StartError::LogUnavailable),
            Err(refused) => {
                let error: &dyn std::error::Error = &refused;
                tracing::error!(error, business_key, "the log refuses to take a saga in");
                Err(StartError::Refused(refused))
            }
        }
    }

    /// A start by a version that is retired: it is a repeat, or it comes too late.
    async fn find_started(&self, start: StartSaga) -> Result<StartedSaga, StartError> {
        let StartSaga { namespace, business_key, definition, request_hash, .. } = start;
        let turn = self.shared.visits.acquire().await;
        let found = self.shared.log.store().saga_by_key(&namespace, &business_key).await;
        drop(turn);
        match found.map_err(|_| StartError::LogUnavailable)? {
            Some(row) if row.request_hash == request_hash => {
                Ok(StartedSaga::Existing(Box::new(row)))
            }
            Some(row) => Err(StartError::KeyReused { business_key, other: Box::new(row) }),
            None => {
                let (name, version) = (definition.core.name.clone(), definition.core.version);
                Err(StartError::Retired { name, version })
            }
        }
    }
}

fn first_row(
    shared: &Shared,
    saga: SagaId,
    start: StartSaga,
    accepted: oneshot::Sender<Result<Accepted, AppendError>>,
) -> (State, Creation) {
    let now_ms = shared.clock.now_ms();
    let core = &start.definition.core;
    let started = Started {
        definition: core.name.clone(),
        definition_version: core.version,
        definition_hash: start.definition.hash,
        input: start.input.clone(),
        operations: OperationRoot::of_request(
            &start.namespace,
            &start.business_key,
            &start.request_hash,
        ),
        node: shared.node,
        log_epoch: shared.log_mark().epoch,
        after_loss: shared.continuity.lost_lately(now_ms),
        at_ms: now_ms,
    };
    let state = State::start(saga, core, &started);
    let request_hash = start.request_hash;
    (state, Creation { started: Event::Started(started), request_hash, accepted })
}
