//! The order service, over the wire, on SQLite and on PostgreSQL. Names carry the numbers
//! of the requirements.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;
mod history;
mod participant;
mod place;
mod shop;
