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

/// What the operation ids of one saga are derived from.
///
/// Stands in the first row, so that a saga keeps its ids whatever later releases do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationRoot {
    /// The saga's own id: the sagas of before. A saga that the log has lost and that is
    /// started again is another one to its participants.
    Saga,
    /// What was asked for. The same start derives the same ids and finds its effects again,
    /// also where the log has lost the saga.
    Request(Uuid),
}

impl OperationRoot {
    /// The root of a start: UUID version 5 (RFC 9562) of namespace, business key and the
    /// hash of the request.
    #[must_use]
    pub fn of_request(namespace: &str, business_key: &str, request_hash: &[u8; 32]) -> Self {
        /// Of this project, and of nothing else.
        const REQUESTS: Uuid = Uuid::from_u128(0x5a1d_3f0c_7c1e_4b52_9d0a_6e2b_41c7_80f3);

        let (namespace, key) = (namespace.as_bytes(), business_key.as_bytes());
        let mut name = Vec::with_capacity(8 + namespace.len() + key.len() + request_hash.len());
        // The length, so that no two pairs run together to the same bytes.
        name.extend_from_slice(&(namespace.len() as u64).to_be_bytes());
        name.extend_from_slice(namespace);
        name.extend_from_slice(key);
        name.extend_from_slice(request_hash);
        Self::Request(Uuid::new_v5(&REQUESTS, &name))
    }
}

/// The idempotency key of one operation: the action or the compensation of one step.
///
/// The same for every attempt, on every node, after every restart and for the same start
/// after a lost log; never shared by an action and its compensation (S3-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub Uuid);

/// Which operation of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationName<'n> {
    /// Name of the step.
    pub step: &'n str,
    pub direction: Direction,
    /// How often a person had the operation made anew under another id.
    pub generation: u32,
}

impl OperationId {
    /// The key of an operation: UUID version 5 (RFC 9562) of the step's name, the direction
    /// and, behind the first, the generation, in the namespace of the root.
    #[must_use]
    pub fn derive(saga: SagaId, root: OperationRoot, operation: OperationName<'_>) -> Self {
        let OperationName { step, direction, generation } = operation;
        let mut name = Vec::with_capacity(step.len() + 20);
        name.extend_from_slice(step.as_bytes());
        name.push(b'/');
        name.extend_from_slice(direction.as_str().as_bytes());
        if generation > 0 {
            name.push(b'/');
            name.extend_from_slice(generation.to_string().as_bytes());
        }
        let namespace = match root {
            OperationRoot::Saga => saga.0,
            OperationRoot::Request(root) => root,
        };
        Self(Uuid::new_v5(&namespace, &name))
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
