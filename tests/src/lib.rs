//! Tests over the whole workspace: harness, integration, crash, tidy, benches.
