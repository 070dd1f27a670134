//! What a rule can have the step under test do.

use std::{slice, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use saga_core::{Direction, OperationId};
use uuid::Uuid;

use super::{Case, Effect, FAILURE, TRIES, pause};
use crate::{
    conformance::data::Data,
    definition::{Rendered, reordered},
    participants::{
        CallRequest, OperationOf,
        probe::{Answer, Inquiry, Key, Told},
    },
};

impl Case<'_> {
    /// The action of the step under test.
    pub(in crate::conformance) async fn act(&mut self) -> Result<Answer, String> {
        let body = self.body(Direction::Forward)?;
        Ok(self.act_with(body).await)
    }

    /// The action, with the entries of its maps in another order. `None`: it has no map of
    /// two or more entries.
    pub(in crate::conformance) async fn act_reordered(&mut self) -> Result<Option<Answer>, String> {
        let definition = &self.bench.check.definition;
        let body = self.body(Direction::Forward)?;
        let of = definition.request_type(self.step, Direction::Forward);
        let Some(body) = of.and_then(|of| reordered(of, &body)) else { return Ok(None) };
        Ok(Some(self.act_with(body).await))
    }

    async fn act_with(&mut self, body: Bytes) -> Answer {
        let was = self.begin_action();
        let (answer, doubt) = self.send(Direction::Forward, body).await;
        self.end_action(was, slice::from_ref(&answer), doubt);
        answer
    }

    /// The action, `times` times at the same moment.
    pub(in crate::conformance) async fn act_at_once(
        &mut self,
        times: usize,
    ) -> Result<Vec<Answer>, String> {
        let body = self.body(Direction::Forward)?;
        let was = self.begin_action();
        let sent = join_all((0..times).map(|_| self.send(Direction::Forward, body.clone()))).await;
        let (answers, doubts): (Vec<_>, Vec<_>) = sent.into_iter().unzip();
        self.end_action(was, &answers, doubts.contains(&true));
        Ok(answers)
    }

    /// Another request under the same operation id. `None`: every request of this step is
    /// the same.
    pub(in crate::conformance) async fn act_otherwise(&mut self) -> Result<Option<Answer>, String> {
        let mut other = Data::new(self.bench);
        other.number(self.bench, self.json)?;
        other.replies.clone_from(&self.data.replies);
        other.unread = self.data.unread;
        let body = self.body_of(&other, Direction::Forward)?;
        if body == self.body(Direction::Forward)? {
            return Ok(None);
        }
        let (answer, _) = self.send(Direction::Forward, body).await;
        if matches!(answer, Answer::Reply(_)) {
            let why = "another request under its operation id was answered OK, and may have been \
                       executed";
            self.leave(self.step, why.to_owned());
        }
        Ok(Some(answer))
    }

    /// The action without its operation id, once.
    pub(in crate::conformance) async fn act_without_id(&mut self) -> Result<Answer, String> {
        let body = self.body(Direction::Forward)?;
        let request = self.request(Direction::Forward, 1, body)?;
        let answer = self.bench.caller.probe(request, Key::LeftOut).await;
        if matches!(answer, Answer::Reply(_)) {
            self.leave(self.step, "a call without an operation id was executed".to_owned());
        }
        Ok(answer)
    }

    /// The compensation of the step under test. `None`: its `when` is false.
    pub(in crate::conformance) async fn undo(&mut self) -> Result<Option<Answer>, String> {
        Ok(self.undo_at_once(1).await?.and_then(|mut answers| answers.pop()))
    }

    /// The compensation, `times` times at the same moment. `None`: its `when` is false.
    pub(in crate::conformance) async fn undo_at_once(
        &mut self,
        times: usize,
    ) -> Result<Option<Vec<Answer>>, String> {
        let Some(body) = self.undo_body()? else { return Ok(None) };
        let send = |_| self.send(Direction::Backward, body.clone());
        let answers: Vec<Answer> =
            join_all((0..times).map(send)).await.into_iter().map(|(answer, _)| answer).collect();
        if answers.iter().all(|it| matches!(it, Answer::Reply(_))) {
            self.effect = Effect::Undone;
        }
        Ok(Some(answers))
    }

    /// The compensation under an operation id of its own. `None`: its `when` is false.
    pub(in crate::conformance) async fn undo_under_another_id(
        &mut self,
    ) -> Result<Option<Answer>, String> {
        let Some(body) = self.undo_body()? else { return Ok(None) };
        let mut request = self.request(Direction::Backward, 1, body)?;
        request.operation = OperationId(Uuid::now_v7());
        let (answer, _) = self.repeated(request).await;
        if matches!(answer, Answer::Reply(_)) {
            let why = "a second compensation, under another id, was answered OK, and may have \
                       been executed";
            self.leave(self.step, why.to_owned());
        }
        Ok(Some(answer))
    }

    fn undo_body(&mut self) -> Result<Option<Bytes>, String> {
        self.data.failure = Some(FAILURE);
        let rendered = self.rendered(&self.data, self.step, Direction::Backward);
        self.data.failure = None;
        match rendered? {
            Rendered::Request(body) => Ok(Some(body)),
            Rendered::Skip => Ok(None),
        }
    }

    /// The action, and a fencing inquiry `behind` it.
    pub(in crate::conformance) async fn race(
        &mut self,
        behind: Duration,
    ) -> Result<(Answer, Told), String> {
        let body = self.body(Direction::Forward)?;
        let was = self.begin_action();
        let inquiry = async {
            tokio::time::sleep(behind).await;
            self.resolve(Inquiry::Fence).await
        };
        let ((answer, doubt), told) = tokio::join!(self.send(Direction::Forward, body), inquiry);
        self.end_action(was, slice::from_ref(&answer), doubt);
        Ok((answer, told))
    }

    /// The action, and its compensation `behind` it. `None`: its `when` is false.
    pub(in crate::conformance) async fn race_undo(
        &mut self,
        behind: Duration,
    ) -> Result<Option<(Answer, Answer)>, String> {
        let Some(undo) = self.undo_body()? else { return Ok(None) };
        let body = self.body(Direction::Forward)?;
        let was = self.begin_action();
        let undone = async {
            tokio::time::sleep(behind).await;
            self.send(Direction::Backward, undo).await
        };
        let ((answer, doubt), (undone, _)) =
            tokio::join!(self.send(Direction::Forward, body), undone);
        self.end_action(was, slice::from_ref(&answer), doubt);
        if matches!(undone, Answer::Reply(_)) {
            self.effect = Effect::Undone;
        }
        Ok(Some((answer, undone)))
    }

    /// An inquiry about the action, repeated until it has an answer.
    pub(in crate::conformance) async fn resolve(&self, inquiry: Inquiry) -> Told {
        let id = self.operation(self.step, Direction::Forward);
        let operation = OperationOf { saga: self.data.saga, started_at_ms: None, id };
        let participant = &self.bench.check.participant;
        let mut told = Told::InProgress;
        for attempt in 1..=TRIES {
            let timeout = self.bench.resolve_timeout;
            told = self.bench.caller.inquire(participant, operation, inquiry, timeout).await;
            if !matches!(told, Told::InProgress | Told::Unanswered { .. }) {
                break;
            }
            pause(attempt).await;
        }
        told
    }

    /// A call of the step under test, repeated until it is definite, and whether a try
    /// before the last one may have taken effect.
    async fn send(&self, direction: Direction, body: Bytes) -> (Answer, bool) {
        match self.request(direction, 1, body) {
            Ok(request) => self.repeated(request).await,
            Err(message) => (Answer::Silent { message }, false),
        }
    }

    async fn repeated(&self, request: CallRequest<'_>) -> (Answer, bool) {
        let mut doubt = false;
        let mut attempt = 1;
        loop {
            let request = CallRequest { attempt, ..request.clone() };
            let answer = self.bench.caller.probe(request, Key::Sent).await;
            if attempt == TRIES || !answer.may_be_tried_again() {
                return (answer, doubt);
            }
            doubt |= !answer.did_nothing();
            pause(attempt).await;
            attempt += 1;
        }
    }

    /// From here on the action may have taken effect, also where nobody waits for its answer.
    fn begin_action(&mut self) -> Effect {
        let was = self.effect;
        if was == Effect::Nothing {
            self.effect = Effect::Stands;
        }
        was
    }

    fn end_action(&mut self, was: Effect, answers: &[Answer], doubt: bool) {
        let replies = || answers.iter().filter_map(Answer::reply);
        match was {
            Effect::Undone if replies().any(|it| Some(it) != self.first.as_ref()) => {
                self.leave(self.step, "it was applied after its compensation".to_owned());
            }
            Effect::Nothing if !doubt && answers.iter().all(Answer::did_nothing) => {
                self.effect = Effect::Nothing;
            }
            Effect::Nothing | Effect::Stands | Effect::Undone => {}
        }
        if self.first.is_none() {
            self.first = replies().next().cloned();
        }
    }
}
