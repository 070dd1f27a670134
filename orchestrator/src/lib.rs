//! The orchestrator: drives sagas over gRPC services from a durable log.
