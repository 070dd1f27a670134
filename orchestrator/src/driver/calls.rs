//! Makes one call or one inquiry, and turns what became of it into a fact.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use saga_core::{Direction, Event, OperationId, Outcome, Resolution, SagaId, StepIndex};
use saga_draft::Order;
use tokio::time::Instant;
use tracing::{Instrument, field, info_span};

use crate::{
    definition::CompiledDefinition,
    driver::{Answer, Answered, Run},
    engine::Shared,
    governor::Place,
    metrics::Course,
    participants::{CallRequest, OperationOf},
};

/// The call or inquiry of `order`, whose answer is a fact about `run`.
pub(super) fn make(run: &Run, order: Order, place: Option<Place>) -> Answer {
    let (step, direction) = match order {
        Order::Call { step, direction, .. } | Order::Inquire { step, direction, .. } => {
            (step, direction)
        }
    };
    let operation = run.state.operation(&run.definition.core, step, direction);
    let caller = Caller {
        shared: Arc::clone(&run.shared),
        definition: Arc::clone(&run.definition),
        course: Arc::clone(&run.course),
        saga: run.saga,
        started_at_ms: run.state.accepted_at_ms(),
        operation,
        place,
    };
    match order {
        Order::Call { step, direction, attempt, body, headers } => Box::pin(async move {
            let it = Attempt { step, direction, attempt, body, headers };
            Answered { operation, fact: caller.call(it).await }
        }),
        Order::Inquire { step, direction, inquiry } => Box::pin(async move {
            Answered { operation, fact: caller.inquire(step, direction, inquiry).await }
        }),
    }
}

/// One attempt of a call.
struct Attempt {
    step: StepIndex,
    direction: Direction,
    attempt: u32,
    body: Bytes,
    headers: Vec<(String, String)>,
}

/// What a call needs of its saga.
struct Caller {
    shared: Arc<Shared>,
    definition: Arc<CompiledDefinition>,
    course: Arc<Course>,
    saga: SagaId,
    started_at_ms: u64,
    /// What is called or inquired into.
    operation: OperationId,
    /// Its leave to call. `None`: there is no such call.
    place: Option<Place>,
}

impl Caller {
    async fn call(self, it: Attempt) -> Event {
        let Attempt { step, direction, attempt, body, headers } = it;
        let name = &self.definition.core.step(step).name;
        let span = info_span!(
            "call",
            saga.id = %self.saga,
            step.name = %name,
            step.direction = direction.as_str(),
            step.attempt = attempt,
            step.outcome = field::Empty,
        );
        let began = Instant::now();
        let outcome = async {
            let outcome = match self.definition.call(step, direction) {
                Some(spec) => {
                    let request = CallRequest {
                        spec,
                        body,
                        headers,
                        saga: self.saga,
                        started_at_ms: Some(self.started_at_ms),
                        step: name,
                        direction,
                        attempt,
                        operation: self.operation,
                        log: Some(self.shared.log_mark()),
                        timeout: spec.timeout,
                    };
                    self.shared.caller.call(request).await
                }
                // Only a compensable step is compensated; this is a defect of ours.
                None => Outcome::Fault {
                    reason: "NO_SUCH_CALL".to_owned(),
                    message: format!("{name} has no {} call", direction.as_str()),
                },
            };
            tracing::Span::current().record("step.outcome", word(&outcome));
            outcome
        }
        .instrument(span)
        .await;
        self.course.called((step, direction), attempt, &outcome, began.elapsed());
        if let Some(place) = self.place {
            place.called(&outcome);
        }
        let at_ms = self.shared.clock.now_ms();
        Event::Answered { step, direction, attempt, outcome, at_ms }
    }

    async fn inquire(self, step: StepIndex, direction: Direction, inquiry: u32) -> Event {
        let name = &self.definition.core.step(step).name;
        let span = info_span!("inquire", saga.id = %self.saga, step.name = %name, inquiry);
        let resolution = match self.definition.call(step, direction) {
            Some(spec) => {
                let timeout = Duration::from_millis(self.shared.limits.resolve_timeout_ms);
                let (saga, started_at_ms) = (self.saga, Some(self.started_at_ms));
                let operation = OperationOf { saga, started_at_ms, id: self.operation };
                let asked = self.shared.caller.resolve(&spec.participant, operation, timeout);
                asked.instrument(span).await
            }
            None => Resolution::Unsupported { message: format!("{name} has no call") },
        };
        self.course.inquired((step, direction), &resolution);
        if let Some(place) = self.place {
            place.inquired(&resolution);
        }
        let at_ms = self.shared.clock.now_ms();
        Event::Resolved { step, inquiry, resolution, at_ms }
    }
}

/// The outcome in one word, for the span.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Applied { .. } | Outcome::AppliedUnread { .. } => "applied",
        Outcome::Contradicted { .. } => "contradicted",
        Outcome::Rejected { .. } => "rejected",
        Outcome::NotDone { .. } => "not_done",
        Outcome::Fault { .. } => "fault",
        Outcome::Unknown { .. } => "unknown",
    }
}
