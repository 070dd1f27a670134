//! The inventory service, over the wire, on SQLite and on PostgreSQL, and where it matters
//! with each way to keep changes of stock apart. Names carry the numbers of the
//! requirements (`s`), invariants (`i`) and published defects (`d`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a crowd tells how long it took")]

mod binary;
mod books;
mod contention;
mod crowd;
mod defects;
mod items;
mod owner;
mod participant;
mod prune;
mod sales;
mod shop;
mod stock;
