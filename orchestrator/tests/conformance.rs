//! The conformance check over the wire: a participant that keeps the reply contract passes
//! every rule, and one that breaks a single rule is found by exactly that one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "conformance"]
mod conformance {
    mod defect;
    mod maps;
    mod participant;
    mod record;
    mod requests;
    mod rules;
    mod running;
    mod server;
    mod services;
}
