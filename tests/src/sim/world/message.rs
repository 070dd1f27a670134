//! Messages between nodes and participants, and what is to happen to them.

use bytes::Bytes;
use saga_core::SagaId;
use uuid::Uuid;

use crate::sim::{answer::Answer, fault::Fault};

/// What a message wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The action of a step.
    Action,
    /// Its compensation.
    Compensation,
    /// What became of its action.
    Inquiry,
}

/// A message from a node to a participant.
#[derive(Clone, Debug)]
pub struct Message {
    /// Number of the node.
    pub node: usize,
    /// Whom it is for.
    pub participant: String,
    /// The saga, by the number that is the same at every repetition.
    pub label: usize,
    /// The saga.
    pub saga: SagaId,
    /// The step.
    pub step: String,
    /// What it wants.
    pub part: Part,
    /// Number of the attempt or inquiry, from 1.
    pub number: u32,
    /// The operation it is about.
    pub op: Uuid,
    /// Whether a check refuses it that comes before the operation log, and whether that
    /// counts.
    pub checked: Option<bool>,
    /// The method.
    pub method: String,
    /// The request.
    pub body: Bytes,
}

/// How a node dies with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Death {
    /// Before it is written.
    BeforeAppend,
    /// After it is written, and before the node hears of it.
    AfterAppend,
}

/// What is to happen to a message.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    /// The fault.
    pub fault: Fault,
    /// Whether it is what is being tested, and not only the way there.
    pub counts: bool,
    /// Whether the sender dies with the next row of that saga.
    pub death: Option<Death>,
}

/// Decides what goes wrong.
pub trait Plan: Send {
    /// What happens to a message.
    fn of_message(&mut self, message: &Message) -> Option<Fate>;

    /// What happens to a write of these sagas. `try_number` tells repetitions apart.
    fn of_write(&mut self, _node: usize, _rows: &[(usize, u64)], _try: u64) -> Option<Fault> {
        None
    }

    /// Whether the log cannot be read this time.
    fn of_read(&mut self, _node: usize, _try: u64) -> bool {
        false
    }
}

/// Nothing goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Peace;

impl Plan for Peace {
    fn of_message(&mut self, _: &Message) -> Option<Fate> {
        None
    }
}

/// When a message that is held comes after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Behind the next message about the same operation.
    Overtaken,
    /// When its operation is fenced, or its saga has ended.
    FencedOrEnded,
}

/// What became of a message that reached its participant.
#[derive(Debug)]
pub enum Arrival {
    /// It was answered.
    Answered(Answer),
    /// It was to undo something, and there is nothing.
    NothingToUndo,
    /// Nobody listens there at present.
    NobodyThere,
    /// The participant died while the message was worked on, and did nothing.
    Lost,
}
