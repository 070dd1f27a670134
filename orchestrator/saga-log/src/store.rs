//! What a database must do to keep the log: the trait that PostgreSQL, SQLite and
//! memory implement, and the rows that cross it. The conformance suite says the same
//! in tests, and runs on all three.

use std::fmt;

use async_trait::async_trait;
use saga_core::{NodeId, SagaId};

pub use self::filter::{CausePart, Compare, Filter, Labels, NumberColumn, TextColumn, TextTest};
pub use self::row::{
    AgeRow, Append, Asked, CauseGroup, CausePlace, CauseRow, ClaimQuery, Count, DefinitionRow,
    EpochRow, Held, HeldQuery, IndexChange, ListPage, ListQuery, LogIdentity, LogRow, NewSaga,
    NodeRow, ParticipantAct, SagaRow, Standing, Status, StuckRow, Written,
};

mod filter;
mod row;

/// How far the clocks of nodes that are well may be apart, in milliseconds. A time that lies
/// further ahead than this was written by a clock that was wrong, or that went back since.
pub const CLOCKS_APART_MS: u64 = 5_000;

/// Where the log is kept.
///
/// A future of this trait may be dropped at any time. What it asked for may have happened
/// or not, and no connection is left half-way: a store runs its work in tasks of its own,
/// or closes the connection of a call that was abandoned.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Which kind of database this is: `postgres`, `sqlite` or `memory`.
    fn kind(&self) -> &'static str;

    /// Whether no other process can have this log open. Then every node that is known
    /// from before is dead, and its sagas can be claimed at once.
    fn exclusive(&self) -> bool {
        false
    }

    /// How its connections are used, as far as it has several. Asks nobody.
    fn connections(&self) -> Option<Connections> {
        None
    }

    /// Writes a batch in one transaction and answers, for each append in order, what
    /// became of it. One append that is not written does not touch the others. When this
    /// returns `Ok`, everything that is [`Written::Done`] is durable.
    ///
    /// A second append of the same saga in one batch gets a transaction of its own after
    /// the first. It names the first as the row it builds on, so it is not written either
    /// where the first one is not.
    ///
    /// Called by one writer at a time. May be called again with the same batch: an
    /// append whose `append_id` is already in the log is `Done`, and does nothing more.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: nobody knows what of the batch was written. Write
    /// the same batch again. [`StoreError::Rejected`]: nothing was written, and this
    /// batch can never be; a part of it may. [`StoreError::Locked`]: nothing of a wave was
    /// written; a part of it may be, and the rest later.
    async fn write(&self, batch: &[Append]) -> Result<Vec<Written>, StoreError>;

    /// The rows of one saga behind `after_version`, oldest first, `rows_max` at most.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn load(
        &self,
        saga: SagaId,
        after_version: u64,
        rows_max: u32,
    ) -> Result<Vec<LogRow>, StoreError>;

    /// The index row of one saga.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn saga(&self, saga: SagaId) -> Result<Option<SagaRow>, StoreError>;

    /// The index row of the saga with this business key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn saga_by_key(
        &self,
        namespace: &str,
        business_key: &str,
    ) -> Result<Option<SagaRow>, StoreError>;

    /// A page of index rows, newest first (by saga id, which is a UUID of version 7). It may
    /// have fewer rows than there are, where looking for them takes long: see
    /// [`ListPage::next`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError>;

    /// How many sagas there are of those that one look reaches, whatever `rows_max` is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn count(&self, query: &ListQuery) -> Result<Count, StoreError>;

    /// Sagas that are held up, grouped by why they need a person and by what holds them up,
    /// the largest group first. Whatever their definitions and steps are: those are counted in
    /// each group.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn cause_groups(&self, query: &HeldQuery) -> Result<Vec<CauseGroup>, StoreError>;

    /// What the database's clock says, in milliseconds since the Unix epoch. `None`: it has no
    /// other one than this process has.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn clock_ms(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// Sagas that nobody drives and that are due, and sagas of the nodes in `dead`. Due is
    /// also what was set at a time that is ahead of now by more than [`CLOCKS_APART_MS`]: the
    /// clock went back since, and nobody knows how long it has waited.
    /// `sagas_max` at most, the longest due first, and before them those of dead nodes
    /// that no time would wake. Takes nothing: whoever wants one appends `Owned` to its
    /// log, and of two that try one succeeds.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn claimable(&self, query: &ClaimQuery<'_>) -> Result<Vec<SagaId>, StoreError>;

    /// Sagas that nobody drives and that wait for what `waiting_on` says, a participant:
    /// `sagas_max` at most, by their rank, and of one rank the oldest first. Takes nothing,
    /// as [`claimable`](Self::claimable).
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn held(&self, waiting_on: &str, sagas_max: u32) -> Result<Vec<SagaId>, StoreError>;

    /// When the oldest saga that has not ended was started, in milliseconds since the Unix
    /// epoch. `None`: all have ended.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn oldest_open_ms(&self) -> Result<Option<u64>, StoreError>;

    /// When sagas were started and ended: those whose id is greater than `after`, the oldest id
    /// first, `rows_max` at most.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn ages(&self, after: Option<SagaId>, rows_max: u32) -> Result<Vec<AgeRow>, StoreError>;

    /// The earliest time at which an unowned saga is due, if there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn next_wake_at_ms(&self) -> Result<Option<u64>, StoreError>;

    /// Makes `node` known, with no beat so far.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: do it again; twice is once.
    async fn register_node(&self, node: NodeId, now_ms: u64) -> Result<(), StoreError>;

    /// Counts one beat of `node`. False where the node is not known any more: others
    /// took it for dead, and it must register again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: the beat may have been counted.
    async fn beat(&self, node: NodeId, now_ms: u64) -> Result<bool, StoreError>;

    /// All known nodes and the owners of live sagas that are not known (`beats: None`):
    /// nodes that were forgotten while they still owned sagas.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError>;

    /// Forgets a node. Its sagas can be claimed from now on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: do it again; twice is once.
    async fn forget_node(&self, node: NodeId) -> Result<(), StoreError>;

    /// Which log this is, and its mark.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn identity(&self) -> Result<LogIdentity, StoreError>;

    /// Moves the log's mark up to `now_ms`, never back. When this returns, it is durable.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: it may have moved.
    async fn mark(&self, now_ms: u64) -> Result<(), StoreError>;

    /// Begins an epoch, if the log's is still `after`. False where it is not: somebody else
    /// was quicker.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: it may have begun; look at [`identity`](Self::identity).
    async fn begin_epoch(&self, after: u64, epoch: &EpochRow) -> Result<bool, StoreError>;

    /// The epochs of the log, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn epochs(&self) -> Result<Vec<EpochRow>, StoreError>;

    /// Records what somebody has decided about a participant. False where its version is not
    /// the next one, or its request is on record: nothing was recorded.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: it may be recorded; do it again, the request id tells.
    async fn act_on_participant(&self, act: &ParticipantAct) -> Result<bool, StoreError>;

    /// What was decided about one participant, the newest first, `rows_max` at most.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn participant_acts(
        &self,
        participant: &str,
        rows_max: u32,
    ) -> Result<Vec<ParticipantAct>, StoreError>;

    /// What holds for each participant about which anything was decided: its newest act, by
    /// name.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn newest_participant_acts(&self) -> Result<Vec<ParticipantAct>, StoreError>;

    /// Stores a definition version for ever. Answers the one that is stored afterwards:
    /// where the version existed, that is the older one, with its own hash; where another one
    /// was stored by the same request, that one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: do it again; twice is once.
    async fn put_definition(&self, row: &DefinitionRow) -> Result<DefinitionRow, StoreError>;

    /// The definition that was stored by this request.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn definition_of_request(
        &self,
        request_id: &str,
    ) -> Result<Option<DefinitionRow>, StoreError>;

    /// A stored definition. Version 0 asks for the newest.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn definition(
        &self,
        name: &str,
        version: u32,
    ) -> Result<Option<DefinitionRow>, StoreError>;

    /// The newest version of each stored definition, by name.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError>;

    /// By name, the highest version that any other version of the name retires. Names of which
    /// none is retired are left out.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn retired(&self) -> Result<Vec<(String, u32)>, StoreError>;
}

/// The connections of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Those that there are.
    pub open: u32,
    /// Those of them that nobody uses.
    pub idle: u32,
    /// As many as there may be.
    pub most: u32,
}

/// Why the store could not do what it was asked. One variant for each thing a caller
/// can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be asked, or did not answer. A write may have happened.
    /// Back off and do the same again.
    #[error("{operation}: log unavailable")]
    Unavailable { operation: &'static str, source: Box<dyn std::error::Error + Send + Sync> },

    /// Somebody else has held the lock of one of the rows for longer than a batch may wait.
    /// Nothing was written. Others can be; do the same again in a while.
    #[error("{operation}: a row is locked by {by}")]
    Locked { operation: &'static str, by: String },

    /// The database refuses this statement for what is in it. Nothing was written.
    /// Doing it again is of no use.
    #[error("{operation}: refused by the log")]
    Rejected { operation: &'static str, source: Box<dyn std::error::Error + Send + Sync> },

    /// The database holds what this program cannot have written. A person must look.
    #[error("{operation}: damaged log: {what}")]
    Damaged { operation: &'static str, what: String },
}
