//! Signals from outside, and how waits for them end.

use bytes::Bytes;
use saga_core::{Action, Definition, Event, OnTimeout, StepIndex, StepKind, StepPhase, Verdict};

use super::Node;
use crate::world::{Books, Mood};

impl Node {
    /// The steps whose signal would still count: it would be the first, and the step has
    /// not ended.
    pub(crate) fn signals_that_count(&self, definition: &Definition) -> Vec<StepIndex> {
        let gone = self.state.ended().is_some() || self.state.turned_back().is_some();
        let counts = |step: &StepIndex| {
            let waits = matches!(definition.step(*step).kind, StepKind::Wait { .. });
            let open = matches!(
                self.state.step(*step).phase,
                StepPhase::Pending | StepPhase::Waiting { .. } | StepPhase::Unrenderable { .. }
            );
            waits && open && !gone && self.world.signals[step.at()].is_none()
        };
        definition.indices().filter(counts).collect()
    }

    /// The event of a signal, as its log would say it.
    pub(crate) fn signalled(&self, step: StepIndex) -> Event {
        let (request_id, payload) = ("r".to_owned(), Bytes::new());
        let (actor, reason, at_ms) = (String::new(), String::new(), self.now_ms);
        Event::Signalled { step, request_id, payload, actor, reason, at_ms }
    }

    /// A signal comes. Its sender is told once it is in the log.
    pub(super) fn signal(&mut self, at: usize, mood: Mood) -> Event {
        self.world.signals[at] = Some(mood);
        let step = u8::try_from(at).map(StepIndex).expect("there are few steps");
        self.signalled(step)
    }

    /// How the signal is judged: by what it says.
    pub(super) fn judged(&self, step: StepIndex) -> Event {
        let verdict = match self.world.signals[step.at()] {
            Some(Mood::Refuses) => Verdict::Refused { reason: "DENIED".to_owned() },
            Some(Mood::Accepts) | None => Verdict::Accepted,
        };
        Event::WaitEnded { step, verdict, at_ms: self.now_ms }
    }

    pub(super) fn timed_out(&self, step: StepIndex, then: OnTimeout) -> Event {
        Event::WaitEnded { step, verdict: Verdict::TimedOut { then }, at_ms: self.now_ms }
    }

    /// Writes down what is true once a wait has ended by `action`.
    pub(super) fn end_wait(&mut self, action: &Action) {
        let (step, mood) = match *action {
            Action::Judge { step } => (step, self.world.signals[step.at()]),
            Action::TimeOut { step, then: OnTimeout::Accept } => (step, Some(Mood::Accepts)),
            Action::TimeOut { step, then: OnTimeout::Refuse } => (step, Some(Mood::Refuses)),
            _ => return,
        };
        if let Some(mood) = mood {
            self.world.books[step.at()] = Books::after_wait(mood);
        }
    }
}
