//! The kit, with two tiny services: a counter, and one that charges at a pretended
//! provider.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod barrier;
mod charge;
mod counter;
mod database;
mod engines;
mod horizon;
mod lane;
mod log_mark;
mod provider;
mod prune;
mod random;
mod schema;
mod serve;
mod transaction;
mod upgrade;
mod wire;
