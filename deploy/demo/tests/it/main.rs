//! The demo as a whole, and the configuration files beside it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broken_books;
mod config;
mod examples;
mod monitoring;
mod runs;
