//! Tests of the log: the conformance suite on all databases, outages, and what is special
//! about each database.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod database;
mod locked;
mod mute;
mod outages;
mod pooler;
mod postgres;
mod sqlite;
mod timeline;
