//! The kit a service links to take part in sagas: operation log, barrier, inquiry.
