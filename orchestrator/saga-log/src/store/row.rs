//! The rows that cross the trait, and what is asked about them.

use bytes::Bytes;
use saga_core::{NodeId, SagaId};
use uuid::Uuid;

use super::filter::Filter;

/// One row to append to the log of one saga, and what it changes in the saga's index row.
#[derive(Clone, Debug)]
pub struct Append {
    pub saga: SagaId,
    /// The version this row will have. The first is 1.
    pub version: u64,
    /// The append id of the row before, which the writer has seen in the log or has been
    /// told is done. `None`: this is the first. It is compared in the log itself: a version
    /// alone would fit on the history of another writer as well, where the log lost rows.
    pub after: Option<Uuid>,
    /// Who writes.
    pub writer: NodeId,
    /// Unique to this append. After a commit whose outcome is unknown it tells whose
    /// row is in the log.
    pub append_id: Uuid,
    /// The epoch of the log in which it was decided. Where another has begun, it is not written:
    /// rows were lost that its writer had not heard of. 0: it holds whatever was lost.
    pub log_epoch: u64,
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
    /// What it is found by, by name.
    pub labels: Vec<(String, String)>,
    pub standing: Standing,
}

/// Where a saga stands, for people and for claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub status: Status,
    /// When somebody has to look at it. Due at once for a saga that is being driven, so
    /// that it is claimed as soon as its owner is dead.
    pub wake_at_ms: Option<u64>,
    /// What it waits for, such as `operator`, where no time will wake it, or `participant
    /// inventory`, where a participant takes no calls now.
    pub waiting_on: Option<String>,
    /// Where it stands among those that wait for the same participant: the lower, the sooner
    /// it is its turn. `None`: it waits for none.
    pub rank: Option<u8>,
    /// The node that drives it. `None`: whoever finds it due may take it.
    pub owner: Option<NodeId>,
    pub stuck: Option<StuckRow>,
    /// Why it turned back, a reason code. `None`: it did not.
    pub turned_back: Option<String>,
    pub ended_at_ms: Option<u64>,
    /// What holds it up, whether or not it needs a person. `None`: nothing does.
    pub cause: Option<CauseRow>,
}

impl Standing {
    /// Since when it is held up, where it is.
    pub(crate) fn held_since_ms(&self) -> u64 {
        let stuck = self.stuck.as_ref().map(|stuck| stuck.since_ms);
        stuck.or(self.cause.as_ref().map(|cause| cause.since_ms)).unwrap_or(0)
    }
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

/// What holds a saga up. Sagas with the same three words are held up by the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseRow {
    /// Whom it calls, or empty.
    pub participant: String,
    /// What it calls there, or what it waits for.
    pub method: String,
    /// Reason code of what was met last.
    pub code: String,
    pub message: String,
    pub since_ms: u64,
}

impl CauseRow {
    /// What tells one cause from another, as it is stored.
    pub(crate) fn key(&self) -> String {
        [&self.participant, &self.method, &self.code].map(String::as_str).join("\n")
    }

    /// The cause with this stored key, if it is one.
    pub(crate) fn of(key: &str, message: String, since_ms: u64) -> Option<Self> {
        let mut words = key.splitn(3, '\n').map(str::to_owned);
        let (participant, method, code) = (words.next()?, words.next()?, words.next()?);
        Some(Self { participant, method, code, message, since_ms })
    }
}

/// What became of one append of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is durable: written now, or found written by an earlier try of the same append.
    Done,
    /// Another append has the version, on the same history. Nothing was written. Load what
    /// is behind the row it builds on, and see who owns the saga.
    Superseded,
    /// The row it builds on is not in the log: the log went back in time, to a standby that
    /// had not heard of it or to a backup. Nothing was written. What the writer knows of the
    /// saga is not true any more; load the whole log.
    Missing,
    /// At the version it builds on is another row: the log went back in time, and others went
    /// on from there. As after [`Missing`](Self::Missing).
    Foreign,
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

/// When a saga was started and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgeRow {
    pub saga: SagaId,
    pub started_at_ms: u64,
    /// `None`: it has not.
    pub ended_at_ms: Option<u64>,
}

/// Which sagas to list or to count.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Only those whose id is smaller: where the page before has ended.
    pub before: Option<SagaId>,
    pub rows_max: u32,
    /// Entries of an index that are looked at where the filter is not in it. At least 1.
    pub looks_max: u32,
    pub filter: Filter,
}

/// A page of a list, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage {
    pub rows: Vec<SagaRow>,
    /// Where to go on: there may be more before this saga. `None`: there are none.
    pub next: Option<SagaId>,
}

impl ListPage {
    /// The page of these rows, where whatever is not older than `looked_until` was looked at.
    pub(crate) fn of(rows: Vec<SagaRow>, rows_max: u32, looked_until: Option<SagaId>) -> Self {
        let is_full = u32::try_from(rows.len()).is_ok_and(|count| count == rows_max);
        let last = rows.last().filter(|_| is_full).map(|row| row.saga);
        Self { next: last.or(looked_until), rows }
    }
}

/// A part of a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub sagas: u64,
    /// Where to go on, as in a [`ListPage`].
    pub next: Option<SagaId>,
}

/// Which sagas to group by what holds them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Those that need a person.
    Stuck,
    /// Those that are held up while nobody is needed yet.
    Waiting,
}

/// Which sagas that are held up to group.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldQuery {
    pub held: Held,
    pub filter: Filter,
    /// Sagas to name in each group.
    pub examples_max: u32,
}

/// Sagas that are held up by the same thing, whatever their definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseGroup {
    /// Why they need a person. Empty: they do not.
    pub reason: String,
    /// What holds them up. Empty words where the row is of a program of before.
    pub cause: CauseRow,
    /// Their definitions and steps, with how many there are of each.
    pub places: Vec<CausePlace>,
    pub sagas: u64,
    /// Since when the oldest is held up.
    pub since_ms: u64,
    /// When the first of them moves by itself. `None`: none does.
    pub wake_at_ms: Option<u64>,
    /// The oldest first.
    pub examples: Vec<SagaRow>,
}

/// A definition and a step of it at which sagas are held up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CausePlace {
    pub definition: String,
    /// Empty where nobody is needed.
    pub step: String,
    pub sagas: u64,
}

/// Which sagas could be claimed.
#[derive(Clone, Copy, Debug)]
pub struct ClaimQuery<'q> {
    /// Nodes that are taken for dead, whatever the reason.
    pub dead: &'q [NodeId],
    /// The time by which sagas without an owner are due. `None`: only what those nodes own is
    /// asked for.
    pub due_ms: Option<u64>,
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
    /// Versions up to this one are started no more since this one is stored. 0: none.
    pub retires: u32,
    pub asked: Asked,
}

/// Who asked for something, and by which request. Empty in rows of before, and where nobody did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// What makes the request one, for those who send it twice.
    pub request_id: String,
    pub actor: String,
    pub reason: String,
}

/// Which log this is, and how far it is known to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// Made with the schema. A copy has the same.
    pub log_id: Uuid,
    /// From 1; one more for each time that the log was found to have gone back.
    pub epoch: u64,
    /// When the epoch began, by the clock of whoever noticed. 0: it is the first.
    pub began_at_ms: u64,
    /// How far the log was behind what was known of it when the epoch began.
    pub behind_ms: u64,
    /// The latest time that any node has marked, by its clock: what was appended up to then
    /// is in the log.
    pub mark_at_ms: u64,
}

/// An epoch of the log: what comes after the log went back in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochRow {
    pub epoch: u64,
    pub began_at_ms: u64,
    /// The request by which an operator has acknowledged it. Empty: a node began it by itself.
    pub request_id: String,
    /// Who has acknowledged it: an operator, or a node by itself where little was lost.
    pub actor: String,
    pub reason: String,
    /// The mark of the log when it began.
    pub mark_at_ms: u64,
    /// How far that was behind what nodes or participants had heard of the epoch before.
    pub behind_ms: u64,
}

/// What a person has decided about a participant. It holds until the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParticipantAct {
    pub participant: String,
    /// From 1, one more than that of the act before.
    pub version: u64,
    /// What makes the act one, for those who send it twice.
    pub request_id: String,
    /// Nobody calls it.
    pub is_paused: bool,
    /// Calls at the same time, of all nodes together. `None`: as in their configuration.
    pub in_flight_max: Option<u32>,
    pub actor: String,
    pub reason: String,
    pub at_ms: u64,
}
