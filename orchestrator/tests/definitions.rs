//! Definitions: what is refused and how the report reads, what is rendered, what inputs
//! are accepted, and what hostile expressions can do.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "definitions"]
mod definitions {
    mod echoes;
    mod hostile;
    mod inputs;
    mod place_order;
    mod rendering;
    mod reports;
    mod sample;
    mod stored;
    mod waits;
}
