//! The whole shop in one process: orchestrator, three services and a payment simulator.
