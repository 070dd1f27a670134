//! The kit a service links to take part in sagas.
//!
//! The service knows nothing of sagas. It has *operations*: calls that change something
//! and that carry an id. The kit keeps an operation log in the service's own database and
//! writes it in the same transaction as the change, so that an operation has at most one
//! effect and always the same answer, however often and in whatever order its calls,
//! its compensation and inquiries arrive.
//!
//! Reading order: [`operation`] (what a service implements), [`error`] (how it refuses),
//! [`fields`] (checks of requests), [`database`] (PostgreSQL and SQLite behind one small
//! facade), [`op_log`] (the table and the barrier), [`raw`] (the bytes of requests and
//! replies), [`participant`] (the one line in every handler), [`patience`] (trying again), [`lane`] (operations that share a transaction),
//! [`provider`] (operations that call an outside provider), [`service`] (the inquiry that
//! orchestrators use), [`log_mark`] (how far their logs are), `horizon` and `prune` (what is
//! forgotten), [`schema`] (migrations), [`audit`] (rules over tables), [`serve`]
//! (what every service binary shares), `testkit` (the suite that any service can run).

pub mod audit;
pub mod database;
mod engines;
pub mod error;
pub mod fields;
mod horizon;
mod in_flight;
pub mod lane;
pub mod log_mark;
pub mod op_log;
pub mod operation;
pub mod participant;
pub mod patience;
pub mod provider;
mod prune;
pub mod raw;
mod repeat;
mod request_hash;
pub mod schema;
pub mod serve;
pub mod service;
mod telemetry;
#[cfg(feature = "testkit")]
pub mod testkit;

// What the kit's own interface shows, in its versions.
pub use prost;
pub use sqlx;
pub use tonic;
pub use uuid;

pub use database::{Arg, Database, Limits, Row, Sql, Tx};
pub use error::{OperationError, Overload, Refusal, RefusalCode};
pub use lane::{BatchOperation, Lane, LaneLimits, Member};
pub use operation::{Operation, OperationMeta, Query, ServiceOperation};
pub use participant::{Participant, Setup};
pub use patience::Patience;
pub use provider::{Intent, ProviderOperation, Resumer, Settled, Verdict};
pub use prune::Forget;
pub use raw::{RawLayer, RawRequest};
pub use schema::{Migration, Schema};
pub use service::ParticipantApi;
