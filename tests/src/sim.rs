//! A simulated shop: the real engine over the real deployed definitions, with everything
//! around it replaced by models that run in virtual time.
//!
//! Real: the engine with its driver, claims and log writer; the store in memory; the
//! definitions with their expressions; the outcome table. Simulated: the participants, the
//! payment provider, the network between, the log's availability, each node's clock, and
//! life and death of nodes. Whatever happens is judged while it happens, by code that shares
//! nothing with the engine but the row format and the derivation of operation ids.
//!
//! Reading order: [`fault`] (what can go wrong), [`dice`], [`answer`], [`barrier`] (the
//! operation log of a participant), [`inventory`], [`orders`], [`payments`], [`provider`],
//! [`shop`] (all of them), [`journal`] (the log as the judge reads it), [`world`],
//! [`network`], [`store`], [`cluster`] (nodes and clients), [`deployed`] (the definitions),
//! [`scenario`] (what to start, and how to make it turn back), [`audit`] (the invariants).

pub mod answer;
pub mod audit;
pub mod barrier;
pub mod cluster;
pub mod deployed;
pub mod dice;
pub mod fault;
pub mod inventory;
pub mod journal;
pub mod network;
pub mod orders;
pub mod payments;
pub mod provider;
pub mod scenario;
pub mod shop;
pub mod store;
pub mod world;
