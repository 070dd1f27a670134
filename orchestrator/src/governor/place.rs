//! A place at a participant, and a place in the line for one. Whoever drops them gives them back.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use saga_core::{NotDone, Outcome, Resolution, SagaId, UnknownCause};
use saga_governor::{Rank, Word};
use tokio::{sync::oneshot, time::Instant};

use super::{Governor, SentAway, Turned};
use crate::participants::outcome::heard;

/// Leave to make one call. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    governor: Arc<Governor>,
    name: Arc<str>,
    rank: Rank,
    round: u32,
    saga: SagaId,
    word: Word,
}

impl Place {
    pub(super) fn new(
        (governor, name): (Arc<Governor>, Arc<str>),
        (rank, round): (Rank, u32),
        saga: SagaId,
    ) -> Self {
        Self { governor, name, rank, round, saga, word: Word::Unmade }
    }

    /// The call came to this. Its place is free.
    pub(crate) fn called(mut self, outcome: &Outcome) {
        self.word = of_call(outcome);
    }

    /// The inquiry came to this. Its place is free.
    pub(crate) fn inquired(mut self, resolution: &Resolution) {
        self.word = of_inquiry(resolution);
    }
}

fn of_call(outcome: &Outcome) -> Word {
    match outcome {
        Outcome::NotDone { cause: NotDone::NotSent, .. } => Word::NeverSent,
        Outcome::NotDone { cause: NotDone::Busy, retry_after_ms, .. } => {
            Word::Declined { retry_after_ms: *retry_after_ms }
        }
        Outcome::Unknown { cause: UnknownCause::Status, message } => match heard(message) {
            Word::Indefinite => Word::Indefinite,
            // A status of its own, whatever its reason.
            _ => Word::Answered,
        },
        Outcome::Unknown {
            cause: UnknownCause::TimedOut | UnknownCause::ConnectionLost, ..
        } => Word::Unknown,
        Outcome::Unknown { cause: UnknownCause::BadReply, .. }
        | Outcome::Applied { .. }
        | Outcome::AppliedUnread { .. }
        | Outcome::Rejected { .. }
        | Outcome::Contradicted { .. }
        | Outcome::Fault { .. } => Word::Answered,
    }
}

fn of_inquiry(resolution: &Resolution) -> Word {
    match resolution {
        Resolution::Unanswered { message } => heard(message),
        _ => Word::Answered,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.governor.learn(&self.name, (self.rank, self.round), self.saga, self.word);
    }
}

/// A place in line. Left when it is dropped.
#[derive(Debug)]
pub(crate) struct InLine {
    governor: Arc<Governor>,
    name: Arc<str>,
    ticket: u64,
    rank: Rank,
    called: oneshot::Receiver<Turned>,
    turn: Option<Turned>,
    /// When it is given up. `None`: its turn comes, or it is sent away.
    until: Option<Instant>,
}

impl InLine {
    pub(super) fn new(
        (governor, name, ticket): (Arc<Governor>, Arc<str>, u64),
        rank: Rank,
        called: oneshot::Receiver<Turned>,
        until: Option<Instant>,
    ) -> Self {
        Self { governor, name, ticket, rank, called, turn: None, until }
    }

    pub(crate) fn is_at(&self, participant: &str, rank: Rank) -> bool {
        &*self.name == participant && self.rank == rank
    }

    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether its turn has come, or it was sent away. Whoever asks is woken then.
    pub(crate) fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.turn.is_some() {
            return Poll::Ready(());
        }
        Pin::new(&mut self.called).poll(context).map(|turn| {
            self.turn = Some(turn.unwrap_or(Err(SentAway)));
        })
    }

    /// What it came to, where it has come to something.
    pub(crate) fn turn(&mut self) -> Option<Turned> {
        if self.turn.is_none() {
            self.turn = match self.called.try_recv() {
                Ok(turn) => Some(turn),
                Err(oneshot::error::TryRecvError::Empty) => None,
                Err(oneshot::error::TryRecvError::Closed) => Some(Err(SentAway)),
            };
        }
        if self.turn.is_none() && self.until.is_some_and(|until| until <= Instant::now()) {
            return Some(Err(SentAway));
        }
        self.turn.take()
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        self.called.close();
        self.governor.leave(&self.name, self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};

    use super::*;
    use crate::{
        definition::RefusalCodes,
        participants::outcome::{self, Seen},
    };

    fn words(seen: impl Fn() -> Seen) -> (Word, Word) {
        let call = outcome::of_call(seen(), RefusalCodes::default());
        (of_call(&call), of_inquiry(&outcome::of_resolve(seen())))
    }

    #[test]
    fn who_answers_with_a_status_of_its_own_is_there() {
        for code in (1..=16).map(Code::from_i32) {
            let (call, inquiry) = words(|| Seen::Status(Box::new(Status::new(code, "no"))));
            // A proxy says that too, for a participant that is away.
            let at_most = if code == Code::Unavailable { Word::Indefinite } else { Word::Answered };
            assert_eq!(inquiry, at_most, "{code:?}");
            let declined = Word::Declined { retry_after_ms: None };
            assert_eq!(call, if code == Code::Aborted { declined } else { at_most }, "{code:?}");
        }
        let message = || "odd".to_owned();
        let bad = || Seen::BadReply { message: message() };
        assert_eq!(words(bad), (Word::Answered, Word::Answered));
        let html = || Seen::NotGrpc { message: message() };
        assert_eq!(words(html), (Word::Indefinite, Word::Indefinite));
    }

    #[test]
    fn an_inquiry_that_is_answered_with_nothing_of_use_is_answered() {
        use saga_proto::saga::participant::v1::{Absent, ResolveResponse, resolve_response};
        let absent = resolve_response::Resolution::Absent(Absent {});
        for resolution in [None, Some(absent)] {
            let reply = prost::Message::encode_to_vec(&ResolveResponse { resolution });
            let (_, inquiry) = words(|| Seen::Reply(reply.clone().into()));
            assert_eq!(inquiry, Word::Answered);
        }
        let torn = || Seen::Reply(vec![0xff].into());
        assert_eq!(words(torn).1, Word::Answered);
    }

    #[test]
    fn what_nobody_answers_says_nothing() {
        assert_eq!(words(|| Seen::TimedOut), (Word::Unknown, Word::Unknown));
        let message = || "gone".to_owned();
        assert_eq!(words(|| Seen::Lost { message: message() }), (Word::Unknown, Word::Unknown));
        assert_eq!(words(|| Seen::NotSent { message: message() }).0, Word::NeverSent);
    }
}
