//! Asks for the places of the calls that a draft announces: none leaves without one.

use std::task::Poll;

use saga_core::{SagaId, StepIndex, StepSet};
use saga_draft::Admits;
use saga_governor::{Came, Rank};

use crate::{
    engine::Shared,
    governor::{Answer, InLine, Place},
};

/// Where one saga stands in line, over all its drafts.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: Vec<(StepIndex, InLine)>,
    /// How it came to be driven here. Once it has had a place, it comes by itself.
    pub(crate) came: Came,
}

impl Lines {
    pub(crate) fn new(came: Came) -> Self {
        Self { lines: Vec::new(), came }
    }

    pub(crate) fn are_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Ends when one of the turns has come, or is given up.
    pub(crate) async fn turn(&mut self) {
        let until = self.lines.iter().filter_map(|(_, line)| line.until()).min();
        let lines = &mut self.lines;
        let called = std::future::poll_fn(|context| {
            // All of them, so that each wakes this.
            let turns = lines.iter_mut().map(|(_, line)| line.poll_turn(context).is_ready());
            if turns.filter(|ready| *ready).count() > 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        match until {
            Some(until) => drop(tokio::time::timeout_at(until, called).await),
            None => called.await,
        }
    }
}

/// A participant that takes no call of the saga now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldBack {
    pub(crate) participant: String,
    pub(crate) rank: Rank,
    /// Another one holds it back too: it does not do to wait for this one alone.
    pub(crate) by_others_too: bool,
}

/// Asks for the places of one draft.
pub(crate) struct Gate<'g> {
    shared: &'g Shared,
    lines: &'g mut Lines,
    saga: SagaId,
    since_ms: u64,
    asked: StepSet,
    pub(crate) places: Vec<(StepIndex, Place)>,
    pub(crate) held: Option<HeldBack>,
}

impl<'g> Gate<'g> {
    pub(crate) fn new(
        shared: &'g Shared,
        lines: &'g mut Lines,
        (saga, since_ms): (SagaId, u64),
    ) -> Self {
        let (asked, places) = (StepSet::EMPTY, Vec::new());
        Self { shared, lines, saga, since_ms, asked, places, held: None }
    }

    /// What was got. Lines for calls that are not wanted any more are left.
    pub(crate) fn close(self) -> (Vec<(StepIndex, Place)>, Option<HeldBack>) {
        let asked = self.asked;
        self.lines.lines.retain(|(step, _)| asked.contains(*step));
        (self.places, self.held)
    }

    fn hold(&mut self, participant: &str, rank: Rank) -> bool {
        match &mut self.held {
            Some(held) if held.participant != participant => held.by_others_too = true,
            Some(held) => held.rank = held.rank.min(rank),
            None => {
                let participant = participant.to_owned();
                self.held = Some(HeldBack { participant, rank, by_others_too: false });
            }
        }
        false
    }

    fn go(&mut self, step: StepIndex, place: Place) -> bool {
        self.lines.came = Came::ByItself;
        self.places.push((step, place));
        true
    }
}

impl Admits for Gate<'_> {
    fn admits(&mut self, step: StepIndex, participant: &str, rank: Rank) -> bool {
        self.asked = self.asked.with(step);
        if let Some(at) = self.lines.lines.iter().position(|(it, _)| *it == step) {
            let (_, line) = &mut self.lines.lines[at];
            if line.is_at(participant, rank) {
                return match line.turn() {
                    None => false,
                    Some(turned) => {
                        self.lines.lines.swap_remove(at);
                        match turned {
                            Ok(place) => self.go(step, place),
                            Err(_) => self.hold(participant, rank),
                        }
                    }
                };
            }
            self.lines.lines.swap_remove(at);
        }
        let (of, came) = ((self.saga, self.since_ms), self.lines.came);
        match self.shared.governor.ask(participant, rank, of, came) {
            Answer::Go(place) => self.go(step, place),
            Answer::InLine(line) => {
                self.lines.lines.push((step, line));
                false
            }
            Answer::Held => self.hold(participant, rank),
        }
    }
}

/// How long a saga that several participants hold back waits for the first of them alone.
pub(crate) const BOTH_MS: u64 = 600_000;

/// How long a saga that a participant holds back waits where nobody fetches it.
pub(crate) const FETCHED_MS: u64 = 3_600_000;

impl HeldBack {
    /// When somebody has to look at the saga although the participant is still held back.
    pub(crate) fn wake_at_ms(&self, until_ms: Option<u64>, now_ms: u64) -> u64 {
        let net_ms = if self.by_others_too { BOTH_MS } else { FETCHED_MS };
        let net_at_ms = now_ms.saturating_add(net_ms);
        until_ms.map_or(net_at_ms, |until_ms| until_ms.min(net_at_ms))
    }
}
