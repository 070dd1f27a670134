//! What the expressions of a definition read of a saga.

use bytes::Bytes;
use saga_core::{Direction, OperationId, SagaId, State, StepIndex, TurnBackReason};
use saga_definition::{Failure, RunData};

use crate::advance::Subject;

/// What expressions may read.
#[derive(Debug)]
pub(crate) struct Known<'k> {
    pub(crate) state: &'k State,
    pub(crate) subject: Subject<'k>,
}

impl RunData for Known<'_> {
    fn saga_id(&self) -> SagaId {
        self.state.saga()
    }

    fn operation(&self, index: StepIndex, _: &str) -> OperationId {
        self.state.operation(&self.subject.definition.core, index, Direction::Forward)
    }

    fn business_key(&self) -> &str {
        self.subject.business_key
    }

    fn namespace(&self) -> &str {
        self.subject.namespace
    }

    fn started_at_ms(&self) -> u64 {
        self.state.accepted_at_ms()
    }

    fn input(&self) -> &Bytes {
        self.state.input()
    }

    fn reply(&self, step: StepIndex) -> Option<&Bytes> {
        self.state.step(step).reply.as_ref()
    }

    fn is_unread(&self, step: StepIndex) -> bool {
        self.state.step(step).unread
    }

    fn signal(&self, step: StepIndex) -> Option<&Bytes> {
        self.state.step(step).signal.as_ref().map(|signal| &signal.payload)
    }

    fn failure(&self) -> Option<Failure<'_>> {
        let because = self.state.turned_back()?;
        let step =
            because.step().map_or("", |step| self.subject.definition.core.step(step).name.as_str());
        let reason = match because {
            TurnBackReason::StepRejected { reason, .. } => reason,
            TurnBackReason::DeadlinePassed => "DEADLINE",
            other => other.code(),
        };
        Some(Failure { step, reason })
    }
}
