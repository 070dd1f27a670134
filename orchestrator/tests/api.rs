//! The gRPC services as clients see them: what is refused, with which reason, and what the
//! replies say.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "api"]
mod api {
    mod access;
    mod acts;
    mod cancels;
    mod causes;
    mod contracts;
    mod errors;
    mod finds;
    mod guarded;
    mod issuer;
    mod lists;
    mod metrics;
    mod ops;
    mod participants;
    mod repeats;
    mod server;
    mod signals;
    mod starts;
    mod strangers;
    mod tokens;
}
