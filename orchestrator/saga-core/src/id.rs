//! Identities. A newtype for each, so that one cannot stand in for another.

use std::fmt;

use uuid::Uuid;

use crate::event::Direction;

/// Identity of one saga: a UUID of version 7, made by whoever accepts the saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SagaId(pub Uuid);

/// Identity of one run of an orchestrator process. A restarted process is another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub Uuid);

/// How many owners a saga has had. The first owner's epoch is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// The idempotency key of one operation: the action or the compensation of one step.
///
/// The same for every attempt, on every node, after every restart; never shared by an
/// action and its compensation (S3-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub Uuid);

impl OperationId {
    /// The key of `step` in `direction`: UUID version 5 (RFC 9562) of the step's name
    /// and the direction, in the namespace of the saga.
    #[must_use]
    pub fn derive(saga: SagaId, step: &str, direction: Direction) -> Self {
        let mut name = Vec::with_capacity(step.len() + 9);
        name.extend_from_slice(step.as_bytes());
        name.push(b'/');
        name.extend_from_slice(direction.as_str().as_bytes());
        Self(Uuid::new_v5(&saga.0, &name))
    }
}

macro_rules! displays_as_inner {
    ($($id:ident),+) => {
        $(impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        })+
    };
}

displays_as_inner!(SagaId, NodeId, Epoch, OperationId);
