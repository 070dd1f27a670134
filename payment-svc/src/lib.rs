//! The shop's payment service, and a simulator of its payment providers.
//!
//! The service keeps its own books (`payments`) and asks a [`provider`] for the money.
//! What it does not know for certain it never answers as a refusal: an operation whose
//! outcome is unknown stays open, and asking again, by whomever, goes on with it.
//!
//! Reading order: [`provider`] and its adapters [`provider::toss`] and
//! [`provider::portone`]; `prepare`, `confirm`, `verify`, `cancel`, `credit`, `query`, `audit`:
//! one module for each RPC, or for two that belong together, and `charge`, which Confirm and
//! Verify share; [`webhooks`], which makes things happen sooner; [`ledger`], which looks for money
//! that nobody told us of; `service`, which serves it
//! all; and [`simulator`], which is a program of its own.

mod audit;
mod cancel;
mod charge;
pub mod clock;
mod confirm;
mod credit;
pub mod ledger;
pub mod limits;
mod payments;
mod prepare;
pub mod provider;
mod query;
pub mod reason;
mod service;
pub mod simulator;
mod verify;
pub mod webhooks;

pub use service::{
    PaymentApi, PaymentConfig, PaymentService, Payments, SCHEMA, app, migrate, participant,
};
