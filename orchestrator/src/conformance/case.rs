//! One saga of a check: its data, its calls, and what has to be compensated at the end.

mod acts;
mod sight;

use std::time::Duration;

use bytes::Bytes;
use saga_core::{
    Contradiction, Direction, OperationId, Outcome, SagaId, StepIndex, StepKind, StepSet,
};

use crate::{
    conformance::{
        Bench,
        data::{Data, operation},
    },
    definition::{CallSpec, Failure, Rendered},
    participants::CallRequest,
};
use sight::Mark;
pub(super) use sight::Sight;

/// Tries of one call whose answer is not definite.
const TRIES: u32 = 6;

/// Pause before the second try; doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// What compensations are told.
const FAILURE: Failure<'static> = Failure { step: "", reason: "CANCELLED" };

/// An effect of a check that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    pub step: String,
    /// `None`: only the observed number tells of it.
    pub saga: Option<SagaId>,
    /// Why it was not undone.
    pub why: String,
}

/// One saga of a check.
pub(super) struct Case<'b> {
    bench: &'b Bench,
    /// The step under test.
    step: StepIndex,
    json: &'b str,
    data: Data,
    /// Steps before it that took effect, or may have.
    done: Vec<StepIndex>,
    /// What is known of the step under test.
    effect: Effect,
    /// The reply of the action, when it was applied for the first time.
    first: Option<Bytes>,
    /// From where on effects are counted. `None`: they are not, so far.
    mark: Option<Mark>,
    /// What a person should know although the rule is kept.
    pub(super) note: String,
    left: Vec<Left>,
}

/// What is known of the step under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Nothing,
    /// It took effect, or may have.
    Stands,
    /// Its compensation was answered OK.
    Undone,
}

/// How a call of the saga ended.
enum Called {
    Skipped,
    /// `None`: its reply could not be kept.
    Applied(Option<Bytes>),
    Refused {
        reason: String,
        message: String,
    },
}

impl<'b> Case<'b> {
    pub(super) fn new(bench: &'b Bench, step: StepIndex, json: &'b str) -> Self {
        Self {
            bench,
            step,
            json,
            data: Data::new(bench),
            done: Vec::new(),
            effect: Effect::Nothing,
            first: None,
            mark: None,
            note: String::new(),
            left: Vec::new(),
        }
    }

    /// Runs the steps before the one under test.
    ///
    /// # Errors
    ///
    /// Why they cannot be run. [`close`](Self::close) undoes those that were.
    pub(super) async fn prepare(&mut self) -> Result<(), String> {
        self.data.number(self.bench, self.json)?;
        tracing::info!(saga.id = %self.data.saga, step.name = self.name(self.step), "conformance check");
        let definition = &self.bench.check.definition;
        let all = definition.core.ancestors(self.step);
        let mut over = StepSet::EMPTY;
        while let Some(step) = all
            .iter()
            .find(|it| !over.contains(*it) && definition.core.step(*it).after.is_subset_of(over))
        {
            self.run_before(step).await?;
            over = over.with(step);
        }
        match definition.begins(self.step, &self.data) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("the `when` of {} is false", self.name(self.step))),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn run_before(&mut self, step: StepIndex) -> Result<(), String> {
        let definition = &self.bench.check.definition;
        match definition.core.step(step).kind {
            StepKind::Given => return Ok(()),
            StepKind::Wait { .. } => {
                let name = self.name(step);
                return Err(format!("{name} comes before it and waits for a signal"));
            }
            StepKind::Call => {}
        }
        if !definition.begins(step, &self.data).map_err(|error| error.to_string())? {
            return Ok(());
        }
        // From here on it may have taken effect, whatever its answer.
        self.done.push(step);
        let called = self.settled(step, Direction::Forward).await;
        let name = self.name(step);
        match called {
            Ok(Called::Applied(reply)) => {
                if reply.is_none() {
                    self.data.unread = self.data.unread.with(step);
                }
                self.data.replies[step.at()] = reply;
                Ok(())
            }
            Ok(Called::Skipped) => Ok(()),
            Ok(Called::Refused { reason, message }) => {
                self.done.pop();
                Err(format!("{name} comes before it and was refused: {reason}: {message}"))
            }
            Err(why) => Err(format!("{name} comes before it and could not be done: {why}")),
        }
    }

    /// Compensates everything that was done. Returns what stands all the same.
    pub(super) async fn close(mut self) -> Vec<Left> {
        self.data.failure = Some(FAILURE);
        let under_test = (self.effect == Effect::Stands).then_some(self.step);
        let done = std::mem::take(&mut self.done);
        for step in under_test.into_iter().chain(done.into_iter().rev()) {
            match self.settled(step, Direction::Backward).await {
                Ok(Called::Applied(_)) => {}
                Ok(Called::Skipped) => {
                    self.leave(step, "the `when` of its compensation is false".to_owned());
                }
                // The message may name ids; without it, equal cases can be counted.
                Ok(Called::Refused { reason, .. }) => {
                    self.leave(step, format!("its compensation was refused: {reason}"));
                }
                Err(why) => self.leave(step, why),
            }
        }
        self.left
    }

    /// A call of the saga, as the driver makes it, repeated until it is definite.
    ///
    /// # Errors
    ///
    /// Why it cannot be made, or what was seen last.
    async fn settled(&self, step: StepIndex, direction: Direction) -> Result<Called, String> {
        let name = self.name(step);
        let Some(spec) = self.spec(step, direction) else {
            return Err("it has no compensation".to_owned());
        };
        let body = match self.rendered(&self.data, step, direction)? {
            Rendered::Skip => return Ok(Called::Skipped),
            Rendered::Request(body) => body,
        };
        let mut last = String::new();
        for attempt in 1..=TRIES {
            let (body, timeout) = (body.clone(), spec.timeout);
            let operation = self.operation(step, direction);
            let saga = self.data.saga;
            let request = CallRequest {
                spec,
                body,
                headers: self.headers(step, direction)?,
                saga,
                started_at_ms: None,
                step: name,
                direction,
                attempt,
                operation,
                log: None,
                timeout,
            };
            match self.bench.caller.call(request).await {
                Outcome::Applied { reply } => return Ok(Called::Applied(Some(reply))),
                Outcome::Contradicted { cause: Contradiction::NoEffect, .. }
                | Outcome::AppliedUnread { .. } => return Ok(Called::Applied(None)),
                Outcome::Contradicted { cause, message } => {
                    return Ok(Called::Refused { reason: cause.code().to_owned(), message });
                }
                Outcome::Rejected { reason, message, .. } => {
                    return Ok(Called::Refused { reason, message });
                }
                Outcome::Fault { reason, message } => return Err(format!("{reason}: {message}")),
                Outcome::NotDone { message, .. } | Outcome::Unknown { message, .. } => {
                    last = message;
                }
            }
            pause(attempt).await;
        }
        Err(format!("no definite answer: {last}"))
    }

    fn leave(&mut self, step: StepIndex, why: String) {
        let step = self.name(step).to_owned();
        self.left.push(Left { step, saga: Some(self.data.saga), why });
    }

    /// The request of the step under test.
    fn body(&self, direction: Direction) -> Result<Bytes, String> {
        self.body_of(&self.data, direction)
    }

    fn body_of(&self, data: &Data, direction: Direction) -> Result<Bytes, String> {
        match self.rendered(data, self.step, direction)? {
            Rendered::Request(body) => Ok(body),
            Rendered::Skip => Err(format!("the `when` of {} is false", self.name(self.step))),
        }
    }

    fn rendered(
        &self,
        data: &Data,
        step: StepIndex,
        direction: Direction,
    ) -> Result<Rendered, String> {
        if self.spec(step, direction).is_none() {
            return Err(format!("{} has no {} call", self.name(step), direction.as_str()));
        }
        let rendered = self.bench.check.definition.render(step, direction, data);
        rendered.map_err(|error| error.to_string())
    }

    fn request(
        &self,
        direction: Direction,
        attempt: u32,
        body: Bytes,
    ) -> Result<CallRequest<'_>, String> {
        let spec = self.spec(self.step, direction).ok_or("the step has no such call")?;
        let operation = self.operation(self.step, direction);
        let (saga, step, timeout) = (self.data.saga, self.name(self.step), spec.timeout);
        let log = None;
        let headers = self.headers(self.step, direction)?;
        Ok(CallRequest {
            spec,
            body,
            headers,
            saga,
            started_at_ms: None,
            step,
            direction,
            attempt,
            operation,
            log,
            timeout,
        })
    }

    fn headers(
        &self,
        step: StepIndex,
        direction: Direction,
    ) -> Result<Vec<(String, String)>, String> {
        let headers = self.bench.check.definition.headers(step, direction, &self.data);
        headers.map_err(|error| error.to_string())
    }

    fn spec(&self, step: StepIndex, direction: Direction) -> Option<&'b CallSpec> {
        self.bench.check.definition.call(step, direction)
    }

    fn operation(&self, step: StepIndex, direction: Direction) -> OperationId {
        operation(self.data.saga, self.name(step), direction)
    }

    fn name(&self, step: StepIndex) -> &'b str {
        &self.bench.check.definition.core.step(step).name
    }
}

/// The pause behind try number `attempt`. None behind the last one.
async fn pause(attempt: u32) {
    if attempt < TRIES {
        tokio::time::sleep(PAUSE_FIRST * 2_u32.pow(attempt - 1)).await;
    }
}
