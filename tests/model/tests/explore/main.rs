//! Explores the model completely within the bounds of a few small scopes, and shows that the
//! exploration would find what is wrong.

#![expect(clippy::print_stdout, reason = "people want to see how much was explored")]

mod alike;
mod mutants;
mod whole;

/// Threads of one exploration.
const THREADS: usize = 2;
