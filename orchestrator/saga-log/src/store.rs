//! What a database must do to keep the log: the trait that PostgreSQL, SQLite and
//! memory implement, and the rows that cross it. The conformance suite says the same
//! in tests, and runs on all three.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use saga_core::{NodeId, SagaId};
use uuid::Uuid;

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

    /// Writes a batch in one transaction and answers, for each append in order, what
    /// became of it. One append that is superseded does not touch the others. When this
    /// returns `Ok`, everything that is [`Written::Done`] is durable.
    ///
    /// A second append of the same saga in one batch gets a transaction of its own after
    /// the first, and is superseded where the first one was.
    ///
    /// Called by one writer at a time. May be called again with the same batch: an
    /// append whose `append_id` is already in the log is `Done`, and does nothing more.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: nobody knows what of the batch was written. Write
    /// the same batch again. [`StoreError::Rejected`]: nothing was written, and this
    /// batch can never be; a part of it may.
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

    /// A page of index rows, newest first (by saga id, which is a UUID of version 7).
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn list(&self, query: &ListQuery) -> Result<Vec<SagaRow>, StoreError>;

    /// What is stuck, grouped by reason, definition and step, the largest group first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn stuck_groups(&self, examples_max: u32) -> Result<Vec<StuckGroup>, StoreError>;

    /// Sagas that nobody drives and that are due, and sagas of the nodes in `dead`;
    /// `sagas_max` at most, the longest due first, and before them those of dead nodes
    /// that no time would wake. Takes nothing: whoever wants one appends `Owned` to its
    /// log, and of two that try one succeeds.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: ask again.
    async fn claimable(&self, query: &ClaimQuery<'_>) -> Result<Vec<SagaId>, StoreError>;

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
    /// took it for dead, and it must register again under a new id.
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

    /// Stores a definition version for ever. Answers the one that is stored afterwards:
    /// where the version existed, that is the older one, with its own hash.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: do it again; twice is once.
    async fn put_definition(&self, row: &DefinitionRow) -> Result<DefinitionRow, StoreError>;

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
}

/// Why the store could not do what it was asked. One variant for each thing a caller
/// can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be asked, or did not answer. A write may have happened.
    /// Back off and do the same again.
    #[error("{operation}: log unavailable")]
    Unavailable { operation: &'static str, source: Box<dyn std::error::Error + Send + Sync> },

    /// The database refuses this statement for what is in it. Nothing was written.
    /// Doing it again is of no use.
    #[error("{operation}: refused by the log")]
    Rejected { operation: &'static str, source: Box<dyn std::error::Error + Send + Sync> },

    /// The database holds what this program cannot have written. A person must look.
    #[error("{operation}: damaged log: {what}")]
    Damaged { operation: &'static str, what: String },
}

/// One row to append to the log of one saga, and what it changes in the saga's index row.
#[derive(Clone, Debug)]
pub struct Append {
    pub saga: SagaId,
    /// The version this row will have; it builds on the one before, which the writer has
    /// seen in the log or has been told is done. The first is 1.
    pub version: u64,
    /// Who writes.
    pub writer: NodeId,
    /// Unique to this append. After a commit whose outcome is unknown it tells whose
    /// row is in the log.
    pub append_id: Uuid,
    /// The clock of the writer, for people.
    pub at_ms: u64,
    /// One or more events, encoded. The store does not look into them.
    pub events: Bytes,
    pub index: IndexChange,
}

/// What an append does to the index row of its saga, in the same transaction.
#[derive(Clone, Debug)]
pub enum IndexChange {
    /// Makes it. Only with version 1.
    Create(Box<NewSaga>),
    /// Leaves it as it is: the usual step of a saga under way.
    Keep,
    /// Replaces where the saga stands.
    Set(Box<Standing>),
}

/// The parts of an index row that never change.
#[derive(Clone, Debug)]
pub struct NewSaga {
    pub namespace: String,
    pub business_key: String,
    pub definition: String,
    pub definition_version: u32,
    /// SHA-256 of definition, version and input: tells a repeated start from a reused key.
    pub request_hash: [u8; 32],
    pub started_at_ms: u64,
    pub standing: Standing,
}

/// Where a saga stands, for people and for claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub status: Status,
    /// When somebody has to look at it. Due at once for a saga that is being driven, so
    /// that it is claimed as soon as its owner is dead.
    pub wake_at_ms: Option<u64>,
    /// What it waits for where no time will wake it, such as `operator`.
    pub waiting_on: Option<String>,
    /// The node that drives it. `None`: whoever finds it due may take it.
    pub owner: Option<NodeId>,
    pub stuck: Option<StuckRow>,
    /// Why it turned back, a reason code. `None`: it did not.
    pub turned_back: Option<String>,
    pub ended_at_ms: Option<u64>,
}

/// The state of a saga in the index. The discriminants are stored; never change one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum Status {
    Running = 1,
    Compensating = 2,
    Completed = 3,
    Compensated = 4,
    Closed = 5,
}

impl Status {
    /// Every status, in the order of the numbers that are stored.
    pub const ALL: [Self; 5] =
        [Self::Running, Self::Compensating, Self::Completed, Self::Compensated, Self::Closed];

    /// The number that is stored.
    #[must_use]
    pub fn stored(self) -> i16 {
        self as i16
    }

    /// The status with this stored number, if there is one.
    #[must_use]
    pub fn from_stored(stored: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.stored() == stored)
    }
}

/// Why a saga needs a person. A stuck saga still has its [`Status`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StuckRow {
    /// Stable reason code.
    pub reason: String,
    /// Name of the step, or empty.
    pub step: String,
    pub message: String,
    pub since_ms: u64,
}

/// What became of one append of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is durable: written now, or found written by an earlier try of the same append.
    Done,
    /// The version is taken by another append, or the one before it is not in the log.
    /// Nothing was written. Load the log and see who owns the saga.
    Superseded,
    /// A start whose business key is in use. Nothing was written. This is the saga that has it.
    KeyInUse(Box<SagaRow>),
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    pub version: u64,
    pub writer: NodeId,
    pub append_id: Uuid,
    pub at_ms: u64,
    pub events: Bytes,
}

/// An index row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SagaRow {
    pub saga: SagaId,
    pub namespace: String,
    pub business_key: String,
    pub definition: String,
    pub definition_version: u32,
    pub request_hash: [u8; 32],
    pub started_at_ms: u64,
    pub standing: Standing,
}

/// Which index rows to list.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Only rows whose id is smaller: the last one of the page before.
    pub before: Option<SagaId>,
    pub rows_max: u32,
    pub status: Option<Status>,
    /// `Some(true)`: only stuck ones. `Some(false)`: only those that are not.
    pub stuck: Option<bool>,
    pub definition: Option<String>,
}

/// Sagas that are stuck for the same cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StuckGroup {
    pub reason: String,
    pub definition: String,
    pub step: String,
    pub sagas: u64,
    pub since_ms: u64,
    /// The oldest first.
    pub examples: Vec<SagaRow>,
}

/// Which sagas could be claimed.
#[derive(Clone, Copy, Debug)]
pub struct ClaimQuery<'q> {
    /// Nodes that are taken for dead, whatever the reason.
    pub dead: &'q [NodeId],
    pub now_ms: u64,
    pub sagas_max: u32,
}

/// A node that is known, or that still owns live sagas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeRow {
    pub node: NodeId,
    /// How often it has beaten. `None`: it is not registered, but owns live sagas.
    pub beats: Option<u64>,
}

/// A stored definition version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionRow {
    pub name: String,
    pub version: u32,
    /// SHA-256 of the canonical form.
    pub hash: [u8; 32],
    pub yaml: String,
    /// The `google.protobuf.FileDescriptorSet` it was checked against, encoded.
    pub descriptors: Bytes,
    pub registered_at_ms: u64,
    /// The language that it was checked in, from 1.
    pub language_level: u32,
}
