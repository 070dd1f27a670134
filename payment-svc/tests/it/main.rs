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
mod credit;
mod currency;
mod ledger;
mod limits;
mod locks;
mod odd_replies;
mod portone;
mod prune;
mod shop;
mod stray;
mod upgrade;
mod verify;
mod webhooks;
mod windows;
mod wire;
mod words;
