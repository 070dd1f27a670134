//! What expressions see of one saga of a check.

use bytes::Bytes;
use saga_core::{Direction, OperationId, OperationName, OperationRoot, SagaId, StepIndex, StepSet};
use uuid::Uuid;

use crate::{
    conformance::{Bench, numbered},
    definition::{Failure, RunData},
};

/// The id of an operation of the check's own saga.
pub(super) fn operation(saga: SagaId, step: &str, direction: Direction) -> OperationId {
    let name = OperationName { step, direction, generation: 0 };
    OperationId::derive(saga, OperationRoot::Saga, name)
}

/// What expressions see.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) saga: SagaId,
    pub(super) number: u64,
    pub(super) key: String,
    pub(super) input: Bytes,
    pub(super) replies: Vec<Option<Bytes>>,
    /// Steps whose reply could not be kept.
    pub(super) unread: StepSet,
    pub(super) failure: Option<Failure<'static>>,
}

impl RunData for Data {
    fn saga_id(&self) -> SagaId {
        self.saga
    }

    fn operation(&self, _: StepIndex, step: &str) -> OperationId {
        operation(self.saga, step, Direction::Forward)
    }

    fn business_key(&self) -> &str {
        &self.key
    }

    fn namespace(&self) -> &str {
        ""
    }

    fn started_at_ms(&self) -> u64 {
        // The first 48 bits of an id of version 7.
        u64::try_from(self.saga.0.as_u128() >> 80).unwrap_or(0)
    }

    fn input(&self) -> &Bytes {
        &self.input
    }

    fn reply(&self, step: StepIndex) -> Option<&Bytes> {
        self.replies.get(step.at())?.as_ref()
    }

    fn is_unread(&self, step: StepIndex) -> bool {
        self.unread.contains(step)
    }

    fn signal(&self, _: StepIndex) -> Option<&Bytes> {
        None
    }

    fn failure(&self) -> Option<Failure<'_>> {
        self.failure
    }
}

impl Data {
    pub(super) fn new(bench: &Bench) -> Self {
        let replies = vec![None; bench.check.definition.core.steps.len()];
        let saga = SagaId(Uuid::now_v7());
        Self {
            saga,
            number: 0,
            key: String::new(),
            input: Bytes::new(),
            replies,
            unread: StepSet::EMPTY,
            failure: None,
        }
    }

    /// Gives it an input of its own number.
    pub(super) fn number(&mut self, bench: &Bench, json: &str) -> Result<(), String> {
        let number = bench.next_number();
        self.number = number;
        self.key = format!("conformance-{number}");
        let input = bench.check.definition.encode_input_json(&numbered(json, number));
        self.input = input.map_err(|error| error.to_string())?;
        Ok(())
    }
}
