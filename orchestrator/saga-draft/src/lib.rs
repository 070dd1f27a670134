//! What comes next in one saga, as a draft of the next row of its log.
//!
//! [`advance`] folds what was learned, asks the core what must happen, and renders the requests.
//! Whoever drives a saga makes its drafts durable and then the calls that they announce. A
//! [`rehearsal`] does neither: it plays the answers of a [scenario](saga_definition::Scenario)
//! and compares what follows. A [`proof`] drives the core through everything that may happen, and
//! says what a saga may come to.
//!
//! This crate does no I/O, reads no clock and knows no async.
//!
//! Reading order: `advance`, `gate`, `judged`, `known`, `labels`, [`rehearsal`], [`proof`].

mod advance;
mod gate;
mod judged;
mod known;
mod labels;
pub mod proof;
pub mod rehearsal;

pub use advance::{
    Advance, AdvanceError, Mode, Order, REQUEST_BYTES_MAX, ROW_SHARE_BYTES, Rest, Subject, advance,
};
pub use gate::{Admits, AllLeave, NoCalls};
pub use labels::labels;
