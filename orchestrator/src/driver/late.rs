//! Answers to the calls of a saga that is not driven here any more.
//!
//! Ownership decides who calls, not who may tell: what a participant answered is a fact,
//! whoever has the saga by now. Thrown away, it would leave the step in doubt, and where a
//! participant cannot be asked again, to a person.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use saga_core::{Direction, Event, OperationId, Outcome, SagaId, StepPhase};

use super::{Answer, Answered, Run};
use crate::engine::{Engine, ReachError, Shared};

/// How often an answer is offered to a log that cannot be asked.
const TRIES_MAX: u32 = 60;

const PAUSE: Duration = Duration::from_secs(1);

impl Run {
    /// Has told what was answered and is not in the log, and what is out waited for. Each call
    /// ends by its own timeout.
    pub(super) fn leave_answers(&mut self) {
        let heard = std::mem::take(&mut self.heard);
        let answers = std::mem::take(&mut self.answers);
        if !heard.is_empty() || !answers.is_empty() {
            self.shared.tasks.spawn(tell_all(Arc::clone(&self.shared), self.saga, heard, answers));
        }
    }
}

async fn tell_all(
    shared: Arc<Shared>,
    saga: SagaId,
    heard: Vec<Answered>,
    mut answers: FuturesUnordered<Answer>,
) {
    let engine = Engine { shared };
    for answered in heard {
        tell(&engine, saga, answered).await;
    }
    while let Some(answered) = answers.next().await {
        tell(&engine, saga, answered).await;
    }
}

async fn tell(engine: &Engine, saga: SagaId, Answered { operation, fact }: Answered) {
    // An inquiry is asked again by whoever has the saga.
    if !matches!(fact, Event::Answered { .. }) {
        return;
    }
    for _ in 0..TRIES_MAX {
        match engine.tell_answer(saga, operation, &fact).await {
            Ok(()) => {
                tracing::info!(saga.id = %saga, "an answer was recorded in a saga of another node");
                return;
            }
            Err(ReachError::DoesNotFit | ReachError::NotFound) => {
                return left_out(engine, saga, operation, &fact).await;
            }
            Err(error) => tracing::debug!(saga.id = %saga, %error, "an answer waits for the log"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::warn!(saga.id = %saga, "the answer to a call is lost: the log could not be asked");
}

/// Nobody needs an answer that says what is known. One that says that something was done, where
/// the log of a saga that has ended has it as never done, is for a person.
async fn left_out(engine: &Engine, saga: SagaId, operation: OperationId, fact: &Event) {
    if let Event::Answered { step, direction: Direction::Forward, outcome, .. } = fact
        && matches!(outcome, Outcome::Applied { .. } | Outcome::AppliedUnread { .. })
        && let Ok(now) = engine.snapshot(saga).await
        && matches!(now.state.step(*step).phase, StepPhase::Fenced | StepPhase::Rejected)
    {
        let step = &now.definition.core.step(*step).name;
        tracing::warn!(
            saga.id = %saga,
            operation.id = %operation.0,
            step,
            "a participant says that it did what the saga's log has as never done: it stands there, \
             and nothing undoes it"
        );
        return;
    }
    tracing::debug!(saga.id = %saga, "an answer came too late and is left out");
}
