//! The orchestrator: drives sagas over gRPC services from a durable log.
//!
//! A client starts a saga of a registered [`definition`]. The [`engine`] makes its first
//! row durable and hands it to a driver, which asks the pure core what must happen,
//! appends that, makes the calls through [`participants`], and appends what became of
//! them. Sagas that wait for long are parked in the log; whichever node finds them due
//! goes on.
//!
//! Reading order: [`engine`], `driver`, [`definition`], [`participants`], [`conformance`],
//! `api`, [`access`], `server`.

pub mod access;
mod api;
pub mod clock;
mod coalesce;
pub mod config;
pub mod conformance;
pub mod definitions;
pub mod descriptors;
pub mod doctor;
mod driver;
pub mod engine;
pub mod governor;
mod metrics;
pub mod participants;
pub mod runtime;
pub mod server;
pub mod telemetry;

pub use saga_definition as definition;
