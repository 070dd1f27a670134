//! The order service, over the wire, on SQLite and on PostgreSQL. Names carry the numbers
//! of the requirements and of the defects.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod binary;
mod cancel_line;
mod cancel_order;
mod coupons;
mod history;
mod migrate;
mod participant;
mod place;
mod races;
mod settle;
mod shop;
mod states;
