//! The shop's payment service, and a simulator of its payment providers.
//!
//! The service keeps its own books (`payments`) and asks a [`provider`] for the money.
//! What it does not know for certain it never answers as a refusal: an operation whose
//! outcome is unknown stays open, and asking again, by whomever, goes on with it.
//!
//! Reading order: [`provider`] and its adapter [`provider::toss`]; `prepare`, `confirm`,
//! `cancel`, `query`, `audit`: one module for each RPC; `service`, which serves them; and
//! [`simulator`], which is a program of its own.

mod audit;
mod cancel;
pub mod clock;
mod confirm;
pub mod limits;
mod payments;
mod prepare;
pub mod provider;
mod query;
pub mod reason;
mod service;
pub mod simulator;

pub use service::{
    PaymentApi, PaymentConfig, PaymentService, Payments, SCHEMA, app, migrate, participant,
};
