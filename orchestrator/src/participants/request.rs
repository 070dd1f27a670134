//! What is called, and what is asked about.

use std::time::Duration;

use bytes::Bytes;
use saga_core::{Direction, OperationId, SagaId};

use crate::{definition::CallSpec, engine::LogMark};

/// One attempt of one call.
#[derive(Clone, Debug)]
pub struct CallRequest<'a> {
    /// Whom to call, and how.
    pub spec: &'a CallSpec,
    /// The request, as protobuf bytes. Sent as they are.
    pub body: Bytes,
    /// Metadata that the definition adds. It cannot stand in for what the engine says.
    pub headers: Vec<(String, String)>,
    /// The saga the call is for.
    pub saga: SagaId,
    /// When it was accepted, as its log has it: the same in every call of the saga. `None`: its
    /// id tells.
    pub started_at_ms: Option<u64>,
    /// Name of the step.
    pub step: &'a str,
    /// Action or compensation.
    pub direction: Direction,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Idempotency key, the same for every attempt.
    pub operation: OperationId,
    /// How far the log is, for the participant to remember. `None`: the call is of no log.
    pub log: Option<LogMark>,
    /// How long to wait for the reply. What is left of the saga's deadline may make it
    /// shorter than [`CallSpec::timeout`].
    pub timeout: Duration,
}

/// An operation that somebody asks about, and the saga that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationOf {
    pub saga: SagaId,
    /// As of [`CallRequest::started_at_ms`].
    pub started_at_ms: Option<u64>,
    pub id: OperationId,
}
