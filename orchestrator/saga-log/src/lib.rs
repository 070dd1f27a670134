//! The durable log of the saga engine.
//!
//! Every saga has a log of rows, numbered from 1, that is only ever appended to. An
//! append names the version it will have; of two writers exactly one succeeds, so the
//! log is its own fence and no clock is trusted for ownership. All appends of a node go
//! through one [`Log`] writer, which puts everything that is waiting into one
//! transaction (group commit).
//!
//! Reading order: [`store`] (the contract of a database), `writer` (group commit),
//! `postgres`, `sqlite`, `memory`, and `conformance`, the suite that all three pass.

pub mod store;

pub use store::{
    Append, ClaimQuery, DefinitionRow, IndexChange, ListQuery, LogRow, NewSaga, NodeRow, SagaRow,
    Standing, Status, Store, StoreError, StuckGroup, StuckRow, Written,
};
