//! Counts what happened in an exploration. A fault that never happened was not tested (V6).

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    participant::{Ask, Record, Said},
    world::{
        World,
        moves::Move,
        network::{Leg, Message},
    },
};

macro_rules! happenings {
    ($($name:ident),+ $(,)?) => {
        /// Something worth counting.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Happening { $(#[doc = stringify!($name)] $name),+ }

        impl Happening {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

happenings!(
    Landed,
    Learned,
    Delivered,
    DeliveredTwice,
    Lost,
    GivenUp,
    NotSent,
    PauseEnded,
    Died,
    TakenOver,
    LivingOwnerReplaced,
    Cancelled,
    CancelledInLog,
    WrittenAgain,
    RowLost,
    RowRefused,
    OwnRowRecognised,
    OwnerTurnedAway,
    DecidedAgain,
    SentByReplacedOwner,
    ActionMetIntent,
    InquiryFenced,
    InquiryMetIntent,
    LateActionMetFence,
    LateActionMetRefusal,
    LateActionRepeated,
    LateUndoRepeated,
    ActionMetReversal,
    RepeatRefusedByCheck,
    TailLost,
    TailLostUnderNode,
    SagaLost,
    RowsGone,
    RowsMissed,
    ForeignRowHasTheVersion,
    StartedAgain,
    UndoAskedFor,
);

impl Happening {
    pub(crate) fn of(step: Move) -> Self {
        match step {
            Move::Land { .. } => Self::Landed,
            Move::Learn { .. } => Self::Learned,
            Move::Deliver { .. } => Self::Delivered,
            Move::DeliverAndKeep { .. } => Self::DeliveredTwice,
            Move::Lose { .. } => Self::Lost,
            Move::GiveUp { .. } => Self::GivenUp,
            Move::FailToSend { .. } => Self::NotSent,
            Move::EndPause { .. } => Self::PauseEnded,
            Move::Die { .. } => Self::Died,
            Move::TakeOver { .. } => Self::TakenOver,
            Move::CancelAtNode { .. } => Self::Cancelled,
            Move::CancelInLog => Self::CancelledInLog,
            Move::WriteAgain { .. } => Self::WrittenAgain,
            Move::LoseRow { .. } => Self::RowLost,
            Move::LoseTail { .. } => Self::TailLost,
            Move::MissRows { .. } => Self::RowsMissed,
            Move::StartAgain { .. } => Self::StartedAgain,
        }
    }

    /// A request arrives at its participant.
    pub(crate) fn of_request(world: &World, message: Message) -> Self {
        match (message.ask, world.books[message.step.at()].action) {
            (Ask::Action, Some(Record::Intended)) => Self::ActionMetIntent,
            (Ask::Inquiry, Some(Record::Intended)) => Self::InquiryMetIntent,
            (Ask::Inquiry, None) => Self::InquiryFenced,
            (Ask::UndoInquiry, _) => Self::UndoAskedFor,
            _ => Self::Delivered,
        }
    }

    /// A request is answered in a way of its own.
    pub(crate) fn of_answer(sent: Message) -> Option<Self> {
        match (sent.ask, sent.leg) {
            (Ask::Action, Leg::Reply(Said::Reversed)) => Some(Self::ActionMetReversal),
            (Ask::Action, Leg::Reply(Said::Refused)) => Some(Self::RepeatRefusedByCheck),
            _ => None,
        }
    }

    /// A request that changes nothing any more, whenever it arrives.
    pub(crate) fn of_spent(world: &World, message: Message) -> Self {
        match (message.ask, world.books[message.step.at()].action) {
            (Ask::Action, Some(Record::Fenced)) => Self::LateActionMetFence,
            (Ask::Action, Some(Record::Rejected)) => Self::LateActionMetRefusal,
            (Ask::Action, Some(Record::Applied)) => Self::LateActionRepeated,
            (Ask::Undo, _) => Self::LateUndoRepeated,
            _ => Self::Delivered,
        }
    }
}

/// What happened in one move.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Happened(u64);

impl Happened {
    pub(crate) fn add(&mut self, happening: Happening) {
        self.0 |= 1 << (happening as u32);
    }

    fn contains(self, happening: Happening) -> bool {
        self.0 & (1 << (happening as u32)) != 0
    }
}

/// How often each of them happened, over all moves that were explored.
#[derive(Debug)]
pub struct Tally([AtomicU64; Happening::ALL.len()]);

impl Default for Tally {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; Happening::ALL.len()])
    }
}

impl Tally {
    pub(crate) fn count(&self, happened: Happened) {
        for (counter, happening) in self.0.iter().zip(Happening::ALL) {
            if happened.contains(*happening) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// What happened, and how often.
    pub fn counts(&self) -> impl Iterator<Item = (Happening, u64)> + '_ {
        let counts = self.0.iter().map(|counter| counter.load(Ordering::Relaxed));
        Happening::ALL.iter().copied().zip(counts)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().try_for_each(|(happening, count)| write!(f, " {happening:?} {count}"))
    }
}
