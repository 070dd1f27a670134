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
use crate::participants::outcome::is_status;

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
        self.word = match outcome {
            Outcome::NotDone { cause: NotDone::NotSent, .. } => Word::NeverSent,
            Outcome::NotDone { cause: NotDone::Busy, retry_after_ms, .. } => {
                Word::Declined { retry_after_ms: *retry_after_ms }
            }
            Outcome::Unknown { cause: UnknownCause::Status | UnknownCause::BadReply, .. } => {
                Word::Indefinite
            }
            Outcome::Unknown { .. } => Word::Unknown,
            Outcome::Applied { .. }
            | Outcome::AppliedUnread { .. }
            | Outcome::Rejected { .. }
            | Outcome::Contradicted { .. }
            | Outcome::Fault { .. } => Word::Answered,
        };
    }

    /// The inquiry came to this. Its place is free.
    pub(crate) fn inquired(mut self, resolution: &Resolution) {
        self.word = match resolution {
            Resolution::Unanswered { message } if is_status(message) => Word::Indefinite,
            Resolution::Unanswered { .. } => Word::Unknown,
            _ => Word::Answered,
        };
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
