//! The durable log of the saga engine.
//!
//! Every saga has a log of rows, numbered from 1, that is only ever appended to. An
//! append names the version it will have; of two writers exactly one succeeds, so the
//! log is its own fence and no clock is trusted for ownership. All appends of a node go
//! through one [`Log`] writer, which puts everything that is waiting into one
//! transaction (group commit).
//!
//! ```no_run
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use saga_log::{Log, LogLimits, OpenOptions};
//!
//! let options = OpenOptions { migrate: true, ..OpenOptions::default() };
//! let store = saga_log::open("sqlite:amends.db", options).await?;
//! let log = Log::start(store, LogLimits::default());
//! // log.append(..).await returns when the append is durable.
//! log.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! What a caller can rely on:
//!
//! * **Durable.** An append that was answered [`Written::Done`] survives a crash of this
//!   process and of the database. How much more (a lost disk, a failover) is decided by
//!   how the database is configured.
//! * **One winner.** Of two appends of one version one is `Done`, the other
//!   [`Written::Superseded`] and not written at all. A log has no gaps.
//! * **One history.** An append names the row that it builds on. Where the database lost
//!   that row, it is [`Written::Missing`] or [`Written::Foreign`], and never continues what
//!   another node has written meanwhile.
//! * **Idempotent.** A batch whose outcome nobody knows is written again until it is
//!   known. Rows carry the id of their append, so nothing is written twice.
//! * **Apart.** An append that is not written does not touch the others of its batch.
//! * **No limbo.** A saga that has not ended has a wake-up time or a named reason to
//!   wait; the database checks it.
//!
//! Reading order: [`store`] (the contract of a database), `chain` (what ties a row to those
//! before it), `plan` (what all stores refuse, and in what order they write), `writer` (group
//! commit), `metrics`, `open`, [`inspect`](inspect()) (what the database is), `sql` (the queries
//! that PostgreSQL and SQLite share), `postgres`,
//! `sqlite`, `memory`, and `conformance`, the suite that all three pass.

pub mod store;

mod chain;
mod metrics;
mod plan;
mod writer;

mod inspect;
mod memory;
mod open;
mod postgres;
mod rows;
mod sql;
mod sqlite;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use chain::{Chain, Draft, Link, Tip};
pub use inspect::{Inspection, PostgresFacts, SqliteFacts, inspect};
pub use memory::MemoryStore;
pub use open::{OpenError, OpenOptions, open};
pub use plan::{BUSINESS_KEY_BYTES_MAX, Fault, LABEL_BYTES_MAX, NAME_BYTES_MAX};
pub use postgres::PostgresStore;
pub use sqlite::SqliteStore;
pub use store::{
    AgeRow, Append, Asked, CLOCKS_APART_MS, CauseGroup, CausePart, CausePlace, CauseRow,
    ClaimQuery, Compare, Connections, Count, DefinitionRow, EpochRow, Filter, Held, HeldQuery,
    IndexChange, Labels, ListPage, ListQuery, LogIdentity, LogRow, NewSaga, NodeRow, NumberColumn,
    ParticipantAct, SagaRow, Standing, Status, Store, StoreError, StuckRow, TextColumn, TextTest,
    Written,
};
pub use writer::{AppendError, Log, LogLimits};
