//! Who may call a participant now.
//!
//! A [`Desk`] stands before each participant. Whoever wants to call asks it: there is a free
//! [place](places), or the caller stands in line, or the participant is held back and the
//! caller should come again when it is fetched. The desk is told what became of each call. From
//! that its [breaker] knows an outage: it holds everybody back, has the participant asked
//! whether it answers, and lets callers through again in growing waves, undo and inquiries
//! first. An answered call says more than any ping; that one caller's calls are never answered,
//! or declined again and again, says nothing about others.
//!
//! This crate does no I/O, reads no clock, makes no random number and knows no async: time is an
//! argument, in milliseconds of any clock that only goes on, and jitter comes from a seed. A
//! desk decides only *when* something is called; that it may be called at all is for others.
//!
//! Reading order: [`places`], [`timing`], `evidence`, [`breaker`], [`desk`].

pub mod breaker;
pub mod desk;
mod evidence;
pub mod places;
pub mod timing;

pub use breaker::Ping;
pub use desk::{Asked, Caller, Came, Desk, Turn, View};
pub use timing::Timing;

/// Who comes first. Within one rank, the oldest saga does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// What ends doubts and takes effects back: compensations and inquiries.
    Undo,
    /// Steps behind the pivot of their saga: there is no way but on.
    Committed,
    /// The rest.
    Fresh,
}

impl Rank {
    /// Its number, from 0.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// What became of a call, as far as a desk depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// The participant answered, whatever it said.
    Answered,
    /// It declined for now. It may have asked for a pause.
    Declined { retry_after_ms: Option<u64> },
    /// The call surely never reached it.
    NeverSent,
    /// Something answered, and said nothing definite: the participant to this one call, or a
    /// proxy for a participant that is away. A ping tells which.
    Indefinite,
    /// Nobody answered, and nobody knows whether it did.
    Unknown,
    /// The call was not made after all.
    Unmade,
}
