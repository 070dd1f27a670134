//! What the engine concludes from everything that can happen to a call, against real
//! servers and real sockets on loopback. The tables are snapshots: a new version of a
//! library that changes a line fails here.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "outcomes"]
mod outcomes {
    mod calls;
    mod changes;
    mod codes;
    mod inquiries;
    mod raw;
    mod reflection;
    mod server;
    mod streams;
}
