//! What the tests and benches of the whole workspace share.
//!
//! Reading order: [`programs`] (the workspace's binaries), [`process`] (one that runs, and
//! dies with its test), [`server`] (one that listens and can be started again), [`shop`]
//! (all of them together), [`secured`] (with TLS on every hop), [`order`], [`buyer`] and [`sagas`] (what is bought, and what becomes of
//! it), [`books`] (what it
//! came to), [`postgres`] (a database server of one's own), [`relay`] (a name that leads
//! elsewhere), [`condition`] (waiting), [`sim`] (the
//! engine in a world that is simulated).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::missing_panics_doc, reason = "a test fails by panicking")]

pub mod books;
pub mod buyer;
pub mod condition;
pub mod order;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod relay;
pub mod sagas;
pub mod secured;
pub mod server;
pub mod shop;
pub mod sim;
