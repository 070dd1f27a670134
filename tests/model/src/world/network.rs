//! The network: a multiset of messages, each of which may arrive at any time, twice, or
//! never. A request that asks a provider goes four ways; any of them may be lost.

use saga_core::StepIndex;

use crate::{
    fold::{Course, Slot},
    participant::{Ask, Mood, Op, Received, Said},
    world::World,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    pub step: StepIndex,
    pub leg: Leg,
    /// What the orchestrator asked.
    pub ask: Ask,
    /// Who waits for the answer. Where nobody does, a call was given up or its caller died.
    pub to: Option<Slot>,
    /// The operation id of an action: the same for every attempt.
    pub id: u8,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leg {
    /// To the participant.
    Request,
    /// From the participant to its provider.
    AtProvider(Op),
    /// Back from the provider: whether it accepted.
    FromProvider(Op, bool),
    /// From the participant to the orchestrator.
    Reply(Said),
}

/// The books after a delivery, and what is sent on.
type Delivered = (crate::participant::Books, crate::participant::Ledger, Option<Message>);

impl World {
    /// What happens where `message` arrives anywhere but at the orchestrator.
    pub(crate) fn delivered(&self, course: Course<'_>, message: Message, mood: Mood) -> Delivered {
        let mut books = self.books[message.step.at()];
        let mut ledger = self.ledger;
        let site = self.site(course, message.step);
        let leg = match message.leg {
            Leg::Reply(said) => Leg::Reply(said),
            Leg::AtProvider(op) => {
                let answer = ledger.receive(op, course.subject.provider, mood);
                Leg::FromProvider(op, answer == Mood::Accepts)
            }
            Leg::Request => received_leg(books.receive(message.ask, message.id, site, mood)),
            Leg::FromProvider(op, accepted) => {
                let answer = if accepted { Mood::Accepts } else { Mood::Refuses };
                books.settle(op, answer, site);
                // The request goes on from where it stood.
                received_leg(books.receive(message.ask, message.id, site, mood))
            }
        };
        let is_heard = !matches!(leg, Leg::Reply(_)) || message.to.is_some();
        (books, ledger, is_heard.then_some(Message { leg, ..message }))
    }

    /// Whether `message` can be met in two ways: the operation is new, and may be refused.
    pub(crate) fn is_open(&self, course: Course<'_>, message: Message) -> bool {
        if message.ask != Ask::Action || !course.scope.refusable.contains(message.step) {
            return false;
        }
        match message.leg {
            Leg::Request => {
                let is_new = self.books[message.step.at()].action.is_none();
                is_new && !course.scope.asks_provider(message.step)
            }
            Leg::AtProvider(Op::Action) => self.ledger.charge.is_none(),
            _ => false,
        }
    }

    /// Whether `message` changes nothing any more, now and for ever, and nobody waits for it.
    pub(crate) fn is_spent(&self, course: Course<'_>, message: Message) -> bool {
        if message.to.is_some() || self.is_open(course, message) {
            return false;
        }
        let (books, ledger, sent) = self.delivered(course, message, Mood::Accepts);
        if books != self.books[message.step.at()] || ledger != self.ledger {
            return false;
        }
        sent.is_none_or(|next| next.leg > message.leg && self.is_spent(course, next))
    }
}

fn received_leg(received: Received) -> Leg {
    match received {
        Received::Answer(said) => Leg::Reply(said),
        Received::AskProvider(op) => Leg::AtProvider(op),
    }
}
