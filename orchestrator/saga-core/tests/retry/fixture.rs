//! A saga of three steps whose pivot is the second, and a log written by hand.

use bytes::Bytes;
use saga_core::{
    Action, Definition,
    Direction::{self, Backward, Forward},
    Epoch, Event, Jitter, Next, NodeId, NotDone, OnUnknown, OperationRoot, OperatorAct, Outcome,
    Resolution, RetryPolicy, SagaId, Started, State, Step, StepIndex, StepKind, TurnBackReason,
    UnknownCause, Word, next,
};
use uuid::Uuid;

pub(crate) const FIRST: StepIndex = StepIndex(0);
pub(crate) const PIVOT: StepIndex = StepIndex(1);
pub(crate) const LAST: StepIndex = StepIndex(2);

/// Three attempts after 100 ms and 200 ms, bounded by 1 s, nothing left to chance.
pub(crate) const PLAIN: RetryPolicy = RetryPolicy {
    delay_first_ms: 100,
    factor_permille: 2000,
    delay_max_ms: 1_000,
    jitter: Jitter::None,
    attempts_max: 3,
};

/// As the definition's default, but nothing is left to chance.
pub(crate) const INQUIRIES: RetryPolicy =
    RetryPolicy { jitter: Jitter::None, ..RetryPolicy::RESOLVE };

pub(crate) fn definition() -> Definition {
    let step = |name: &str, after: &[StepIndex]| Step {
        name: name.to_owned(),
        kind: StepKind::Call,
        after: after.iter().copied().collect(),
        conditional: false,
        pivot: false,
        excludes: saga_core::StepSet::EMPTY,
        compensable: true,
        compensation_conditional: false,
        on_unknown: OnUnknown::Resolve,
        timeout_ms: 2_000,
        retry: PLAIN,
        compensation_retry: PLAIN,
        resolve_retry: INQUIRIES,
    };
    let pivot = Step { pivot: true, compensable: false, ..step("pivot", &[FIRST]) };
    let last = Step { compensable: false, ..step("last", &[PIVOT]) };
    let steps = vec![step("first", &[]), pivot, last];
    Definition { name: "retry".to_owned(), version: 1, deadline_ms: None, steps }
}

/// A saga whose log is written by the test. It starts at 0.
#[derive(Clone)]
pub(crate) struct Saga {
    pub(crate) definition: Definition,
    pub(crate) state: State,
    pub(crate) now_ms: u64,
}

impl Saga {
    pub(crate) fn of(definition: Definition) -> Self {
        Self::numbered(1, definition)
    }

    pub(crate) fn numbered(number: u128, definition: Definition) -> Self {
        Self::made(number, 0, definition)
    }

    pub(crate) fn started_at(at_ms: u64, definition: Definition) -> Self {
        Self::made(1, at_ms, definition)
    }

    fn made(number: u128, at_ms: u64, definition: Definition) -> Self {
        let started = Started {
            definition: definition.name.clone(),
            definition_version: 1,
            definition_hash: [0; 32],
            input: Bytes::new(),
            operations: OperationRoot::Saga,
            node: NodeId(Uuid::nil()),
            log_epoch: 0,
            after_loss: false,
            at_ms,
        };
        let state = State::start(SagaId(Uuid::from_u128(number)), &definition, &started);
        Self { definition, state, now_ms: at_ms }
    }

    pub(crate) fn next(&self) -> Next {
        next(&self.definition, &self.state, self.now_ms)
    }

    /// Goes to this time.
    pub(crate) fn at(mut self, now_ms: u64) -> Self {
        self.now_ms = now_ms;
        self
    }

    /// Records one event.
    pub(crate) fn then(mut self, event: Event) -> Self {
        assert_eq!(self.state.apply(&event), Ok(()), "{event:?}");
        self
    }

    /// One attempt and its answer.
    pub(crate) fn answered(
        self,
        step: StepIndex,
        direction: Direction,
        attempt: u32,
        outcome: Outcome,
    ) -> Self {
        let at_ms = self.now_ms;
        self.out(step, direction, attempt).then(Event::Answered {
            step,
            direction,
            attempt,
            outcome,
            at_ms,
        })
    }

    /// An attempt that is out.
    pub(crate) fn out(self, step: StepIndex, direction: Direction, attempt: u32) -> Self {
        let request = (attempt == 1).then(Bytes::new);
        let at_ms = self.now_ms;
        self.then(Event::Intended { step, direction, attempt, request, at_ms })
    }

    /// One inquiry and what became of it.
    pub(crate) fn resolved(self, step: StepIndex, inquiry: u32, resolution: Resolution) -> Self {
        let at_ms = self.now_ms;
        self.then(Event::Inquired { step, inquiry, at_ms }).then(Event::Resolved {
            step,
            inquiry,
            resolution,
            at_ms,
        })
    }

    pub(crate) fn applied(self, step: StepIndex) -> Self {
        self.answered(step, Forward, 1, Outcome::Applied { reply: Bytes::new() })
    }

    /// Every attempt that the policy allows, at the present time.
    pub(crate) fn exhausted(self, step: StepIndex, outcome: &Outcome) -> Self {
        (1..=3).fold(self, |saga, attempt| saga.answered(step, Forward, attempt, outcome.clone()))
    }

    pub(crate) fn turned_back(self) -> Self {
        let at_ms = self.now_ms;
        self.then(Event::TurnedBack { reason: TurnBackReason::Cancelled, at_ms })
    }

    /// The first step is applied, the saga turned back, and the compensation was tried.
    pub(crate) fn undoing(self, outcome: Outcome) -> Self {
        self.applied(FIRST).turned_back().answered(FIRST, Backward, 1, outcome)
    }

    pub(crate) fn cancelled(self) -> Self {
        let at_ms = self.now_ms;
        self.then(Event::CancelRequested {
            actor: String::new(),
            reason: String::new(),
            at_ms,
            request_id: String::new(),
        })
    }

    pub(crate) fn owned(self) -> Self {
        let (node, at_ms) = (NodeId(Uuid::from_u128(2)), self.now_ms);
        let epoch = Epoch(self.state.epoch().0 + 1);
        self.then(Event::Owned { node, epoch, at_ms })
    }

    pub(crate) fn acted(self, act: OperatorAct) -> Self {
        let (actor, reason, at_ms) = (String::new(), String::new(), self.now_ms);
        self.then(Event::OperatorActed { actor, reason, act, at_ms, request_id: String::new() })
    }

    /// Nothing happens before `at_ms`, and then `action` does.
    #[track_caller]
    pub(crate) fn waits_until(self, at_ms: u64, action: Action) {
        assert_eq!(self.next(), Next::Wait { until_ms: Some(at_ms) });
        assert_eq!(self.clone().at(at_ms - 1).next(), Next::Wait { until_ms: Some(at_ms) });
        assert_eq!(self.at(at_ms).next(), Next::Do(vec![action]));
    }

    #[track_caller]
    pub(crate) fn does(&self, action: Action) {
        assert_eq!(self.next(), Next::Do(vec![action]));
    }
}

pub(crate) fn call(step: StepIndex, direction: Direction, attempt: u32) -> Action {
    Action::Call { step, direction, attempt }
}

pub(crate) fn not_sent() -> Outcome {
    not_done(NotDone::NotSent, None)
}

pub(crate) fn busy(retry_after_ms: u64) -> Outcome {
    not_done(NotDone::Busy, Some(retry_after_ms))
}

fn not_done(cause: NotDone, retry_after_ms: Option<u64>) -> Outcome {
    Outcome::NotDone { cause, message: String::new(), retry_after_ms }
}

pub(crate) fn unknown() -> Outcome {
    Outcome::Unknown { cause: UnknownCause::TimedOut, message: String::new() }
}

pub(crate) fn fault() -> Outcome {
    Outcome::Fault { reason: "UNIMPLEMENTED".to_owned(), message: String::new() }
}

pub(crate) fn rejected() -> Outcome {
    Outcome::Rejected {
        reason: "OUT_OF_STOCK".to_owned(),
        message: String::new(),
        word: Word::OnRecord,
    }
}

pub(crate) fn unanswered() -> Resolution {
    Resolution::Unanswered { message: String::new() }
}
