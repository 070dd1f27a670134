//! The engine over every store, with participants that follow a script: crash recovery
//! at every append, taking over from dead nodes, cancels from anywhere, limits.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod engine {
    mod clocks;
    pub(super) mod crash;
    mod definitions;
    mod echoes;
    mod horizon;
    mod lacking;
    mod large;
    mod life;
    mod lost_append;
    pub(super) mod lost_tail;
    pub(super) mod mortal;
    pub(super) mod outages;
    mod readiness;
    mod refused;
    mod restore;
    pub(super) mod script;
    mod steered;
    pub(super) mod stores;
    mod waits;
    mod watchers;
    mod ways_out;
}
