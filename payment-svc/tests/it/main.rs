//! The payment service against its provider simulator, over real HTTP. Money is judged by
//! the simulator's ledger, never by the service's own tables.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bank;
mod binary;
mod cancel;
mod certification;
mod classification;
mod confirm;
mod crash;
mod limits;
mod odd_replies;
mod shop;
mod wire;
