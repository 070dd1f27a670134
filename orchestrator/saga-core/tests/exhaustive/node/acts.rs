//! What a person does to a saga, and to its participants.

use saga_core::{Direction, Event, OperatorAct, Settled, StepIndex, StepPhase};

use super::Node;
use crate::world::{Books, Record, Request};

impl Node {
    /// A person looks at the participant and does there what is needed, then says what
    /// is true now.
    pub(super) fn settle_by_hand(&mut self, step: StepIndex) -> Event {
        let books = &mut self.world.books[step.at()];
        let settled = match self.state.step(step).phase {
            StepPhase::Open { direction: Direction::Forward, .. } => {
                match *books.action.get_or_insert(Record::Fenced) {
                    Record::Applied => Settled::Applied,
                    Record::Rejected | Record::Fenced => Settled::NotApplied,
                }
            }
            StepPhase::Open { .. } | StepPhase::Unrenderable { direction: Direction::Backward } => {
                *books = Books { compensation: true, undone: 1, ..*books };
                Settled::Applied
            }
            _ => {
                *books = Books { action: Some(Record::Applied), applied: 1, ..*books };
                Settled::Applied
            }
        };
        self.acted(OperatorAct::Settle { step, call: None, settled, reply: None })
    }

    pub(super) fn renew(&mut self, step: StepIndex) -> Event {
        let request = match self.state.step(step).phase {
            StepPhase::Open { .. } => Request::Compensation,
            _ => Request::Action,
        };
        self.world.renew(step, request);
        self.acted(OperatorAct::Renew { step })
    }

    pub(crate) fn acted(&self, act: OperatorAct) -> Event {
        let (actor, reason) = ("somebody".to_owned(), "looked at the participant".to_owned());
        Event::OperatorActed { actor, reason, act, at_ms: self.now_ms, request_id: String::new() }
    }
}
