//! Reaches a saga wherever it is: shows it as its log tells it, and puts
//! facts from outside into its log.

use std::sync::Arc;

use bytes::Bytes;
use saga_core::{Event, OperationId, SagaId, State, encoding};
use saga_draft::{Mode, NoCalls, Subject, advance};
use saga_log::{
    AppendError, Chain, Draft, IndexChange, Link, LogRow, SagaRow, Standing, StoreError, Tip,
    Written,
};
use tokio::sync::oneshot;

use crate::{
    definition::CompiledDefinition,
    driver::{DriveError, Message},
    engine::{Engine, claim::Loaded},
};

/// How often a fact is offered to a log that others append to at the same time.
const TRIES_MAX: u32 = 64;

/// One saga, as index and log tell it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub row: SagaRow,
    pub definition: Arc<CompiledDefinition>,
    pub state: State,
    pub version: u64,
}

/// Why a saga cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// There is no such saga.
    #[error("there is no such saga")]
    NotFound,
    /// The log cannot be asked now. Ask again. A fact may have been recorded.
    #[error("the log cannot be asked")]
    Log(#[from] StoreError),
    /// The log cannot be written now. The fact may have been recorded.
    #[error("the log cannot be written")]
    Append(#[from] AppendError),
    /// The saga's log cannot be read by this program.
    #[error("the saga's log cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The fact does not fit the saga as it stands. Nothing was recorded.
    #[error("it does not fit the saga as it stands")]
    DoesNotFit,
    /// The saga moved on at every try. Nothing was recorded; ask again.
    #[error("the saga moved on at every try")]
    Contended,
}

impl From<DriveError> for ReachError {
    fn from(error: DriveError) -> Self {
        match error {
            DriveError::Log { source, .. } => Self::Log(source),
            DriveError::Gone { .. } => Self::NotFound,
            other => Self::Unreadable(Box::new(other)),
        }
    }
}

impl Engine {
    /// One saga, as index and log tell it now.
    ///
    /// # Errors
    ///
    /// [`ReachError`]: there is none, or the log cannot be asked or read.
    pub async fn snapshot(&self, saga: SagaId) -> Result<Snapshot, ReachError> {
        let row = self.shared.log.store().saga(saga).await?.ok_or(ReachError::NotFound)?;
        self.snapshot_of(row).await
    }

    /// The saga whose index entry was read just now.
    ///
    /// # Errors
    ///
    /// [`ReachError`]: the log cannot be asked or read.
    pub(crate) async fn snapshot_of(&self, row: SagaRow) -> Result<Snapshot, ReachError> {
        let Loaded { definition, state, tip } = self.shared.unfold(row.saga).await?;
        Ok(Snapshot { row, definition, state, version: tip.version })
    }

    /// The rows of a saga's log behind `after_version`, `rows_max` at most.
    ///
    /// # Errors
    ///
    /// [`ReachError::Log`]: ask again.
    pub async fn rows(
        &self,
        saga: SagaId,
        after_version: u64,
        rows_max: u32,
    ) -> Result<Vec<LogRow>, ReachError> {
        Ok(self.shared.log.store().load(saga, after_version, rows_max).await?)
    }

    /// Whether each row of a saga's log is as it was written, oldest first.
    ///
    /// # Errors
    ///
    /// [`ReachError::Log`]: ask again.
    pub async fn links(&self, saga: SagaId) -> Result<Vec<(u64, Link)>, ReachError> {
        let rows = self.shared.load_rows(saga, 0).await?;
        let mut chain = Chain::of(saga);
        Ok(rows.iter().map(|row| (row.version, chain.follow(row))).collect())
    }

    /// Puts a fact from outside into the log of a saga that has not ended, whoever
    /// drives it. A parked saga becomes due at once.
    ///
    /// # Errors
    ///
    /// [`ReachError`] says per variant whether the fact may have been recorded.
    pub async fn tell(&self, saga: SagaId, fact: Event) -> Result<(), ReachError> {
        for _ in 0..TRIES_MAX {
            if self.tell_driver(saga, &fact).await {
                return Ok(());
            }
            if self.tell_log(saga, &fact, None).await? {
                return Ok(());
            }
        }
        Err(ReachError::Contended)
    }

    /// As [`Engine::tell`], where the saga's log has this version and no row more. 0: whatever it
    /// has.
    ///
    /// # Errors
    ///
    /// As [`Engine::tell`]; [`ReachError::DoesNotFit`] also where the saga moved on.
    pub async fn tell_at(&self, saga: SagaId, fact: Event, version: u64) -> Result<(), ReachError> {
        if version == 0 {
            return self.tell(saga, fact).await;
        }
        // Past its driver, which may know of more than is in the log.
        let told = self.tell_log(saga, &fact, Some(version)).await?;
        told.then_some(()).ok_or(ReachError::DoesNotFit)
    }

    /// True where the driver here has made the fact durable.
    async fn tell_driver(&self, saga: SagaId, fact: &Event) -> bool {
        let Some(mailbox) = self.shared.live.mailbox(saga) else {
            return false;
        };
        let (done, told) = oneshot::channel();
        let sent = mailbox.send(Message { fact: Box::new(fact.clone()), done }).await.is_ok();
        // A message that is sent while the driver leaves may stay in the channel, unread,
        // for as long as there is a sender. Whoever kept one here would wait for ever.
        drop(mailbox);
        sent && told.await.is_ok()
    }

    /// True where the fact was appended, false where others were quicker.
    async fn tell_log(
        &self,
        saga: SagaId,
        fact: &Event,
        version: Option<u64>,
    ) -> Result<bool, ReachError> {
        let Loaded { mut state, tip, .. } = self.shared.unfold(saga).await?;
        if version.is_some_and(|version| version != tip.version) {
            return Err(ReachError::DoesNotFit);
        }
        // Read behind the log: where the append below succeeds, no row came in between, and
        // the index is what goes with this version. Read before it, a saga that parks in
        // between would stay parked.
        let row = self.shared.log.store().saga(saga).await?.ok_or(ReachError::NotFound)?;
        state.apply(fact).map_err(|_| ReachError::DoesNotFit)?;
        self.append_told(row, tip, std::slice::from_ref(fact)).await
    }

    /// Records the answer to a call of a saga that is not driven here any more, as far as it
    /// says something about that operation.
    ///
    /// # Errors
    ///
    /// As [`Engine::tell`].
    pub(crate) async fn tell_answer(
        &self,
        saga: SagaId,
        operation: OperationId,
        answer: &Event,
    ) -> Result<(), ReachError> {
        let Event::Answered { step, direction, .. } = *answer else {
            return Err(ReachError::DoesNotFit);
        };
        for _ in 0..TRIES_MAX {
            let Loaded { definition, state, tip } = self.shared.unfold(saga).await?;
            let row = self.shared.log.store().saga(saga).await?.ok_or(ReachError::NotFound)?;
            // Another generation of it may be out, and its attempts count from 1 too.
            if state.operation(&definition.core, step, direction) != operation {
                return Err(ReachError::DoesNotFit);
            }
            let subject = Subject {
                definition: &definition,
                business_key: &row.business_key,
                namespace: &row.namespace,
                request_bytes_max: self.shared.limits.request_bytes_max,
            };
            let now_ms = self.shared.clock.now_ms();
            let facts = std::slice::from_ref(answer);
            let told = advance(subject, &state, facts, Mode::HandOver, now_ms, &mut NoCalls)
                .map_err(|error| ReachError::Unreadable(Box::new(error)))?;
            if told.events.is_empty() {
                return Err(ReachError::DoesNotFit);
            }
            if self.append_told(row, tip, &told.events).await? {
                return Ok(());
            }
        }
        Err(ReachError::Contended)
    }

    /// Appends facts behind `tip`, and makes a parked saga due.
    async fn append_told(
        &self,
        row: SagaRow,
        tip: Tip,
        facts: &[Event],
    ) -> Result<bool, ReachError> {
        let shared = &self.shared;
        let (saga, now_ms) = (row.saga, shared.clock.now_ms());
        let index = if row.standing.owner.is_none() {
            let (wake_at_ms, waiting_on, rank) = (Some(now_ms), None, None);
            let due = Standing { wake_at_ms, waiting_on, rank, ..row.standing };
            IndexChange::Set(Box::new(due))
        } else {
            IndexChange::Keep
        };
        let events: Bytes = encoding::encode(facts);
        let draft = Draft { saga, writer: shared.node, log_epoch: 0, at_ms: now_ms, events, index };
        Ok(shared.log.append(draft.behind(Some(tip))).await? == Written::Done)
    }
}
