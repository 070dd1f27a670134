//! The calls of one step, read from the log.

use jiff::Timestamp;
use saga_proto::saga::v1::SagaEvent;

use crate::look::timestamp;

/// One attempt, in one direction.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    /// `Intended`: from here on the call may have left.
    pub(crate) intended: &'a SagaEvent,
    /// `Answered`: what became of it. `None`: nothing is recorded.
    pub(crate) answered: Option<&'a SagaEvent>,
    /// `Resolved`: what the inquiries after it learned.
    pub(crate) resolved: Vec<&'a SagaEvent>,
}

impl Call<'_> {
    /// Whether this call undoes.
    pub(crate) fn is_backward(&self) -> bool {
        self.intended.direction == "backward"
    }
}

/// The calls of `step`, in the order in which they were intended.
pub(crate) fn calls<'a>(events: &'a [SagaEvent], step: &str) -> Vec<Call<'a>> {
    let mut calls: Vec<Call<'a>> = Vec::new();
    for event in events.iter().filter(|it| it.step == step) {
        match event.kind.as_str() {
            "Intended" => {
                calls.push(Call { intended: event, answered: None, resolved: Vec::new() });
            }
            "Answered" => {
                let answers = |it: &&mut Call<'a>| {
                    it.intended.direction == event.direction && it.intended.attempt == event.attempt
                };
                if let Some(call) = calls.iter_mut().rev().find(answers) {
                    call.answered = Some(event);
                }
            }
            "Resolved" => {
                if let Some(call) = calls.iter_mut().rev().find(|it| !it.is_backward()) {
                    call.resolved.push(event);
                }
            }
            _ => {}
        }
    }
    calls
}

/// When the step's action was first intended, and when something was last learned of it.
pub(crate) fn action_span(calls: &[Call<'_>]) -> Option<(Timestamp, Option<Timestamp>)> {
    let at = |event: &SagaEvent| event.appended_at.and_then(timestamp);
    let mut actions = calls.iter().filter(|it| !it.is_backward());
    let first = actions.next()?;
    let begin = at(first.intended)?;
    let last = actions.next_back().unwrap_or(first);
    let learned = last.resolved.last().copied().or(last.answered);
    Some((begin, learned.and_then(at)))
}
