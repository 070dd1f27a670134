//! Definitions over the types of strangers: several participants, and whatever they serve.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod cel;
mod constants;
mod expressions;
mod limbo;
mod participants;
mod pivots;
mod random;
mod served;
mod unread;
mod world;
