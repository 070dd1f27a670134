//! The operator's command line of the saga engine.
