//! Everything outside of the engine: the network, and a participant with its operation
//! log for each step. What really took effect is written here and nowhere else.

use saga_core::{Definition, Direction, StepIndex, StepKind};

/// Which request of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Request {
    Action,
    Inquiry,
    Compensation,
}

impl From<Direction> for Request {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self::Action,
            Direction::Backward => Self::Compensation,
        }
    }
}

/// A request on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Message {
    pub(crate) step: StepIndex,
    pub(crate) request: Request,
    /// Number of the attempt or of the inquiry.
    pub(crate) number: u32,
    /// Whether somebody waits for the answer. Where nobody does, the request may arrive
    /// at any time, or never.
    pub(crate) awaited: bool,
}

/// What the operation log says about an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Record {
    Applied,
    Rejected,
    Fenced,
}

/// One step's participant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Books {
    pub(crate) action: Option<Record>,
    pub(crate) compensation: bool,
    /// How often the action took effect.
    pub(crate) applied: u8,
    /// How often its effect was undone.
    pub(crate) undone: u8,
}

/// What of the barrier a participant has. All of it, unless a mutant says otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Barrier {
    pub(crate) knows_repeats: bool,
    pub(crate) inquiry_fences: bool,
    pub(crate) undo_has_its_own_key: bool,
}

impl Barrier {
    pub(crate) const WHOLE: Self =
        Self { knows_repeats: true, inquiry_fences: true, undo_has_its_own_key: true };
}

/// How a participant meets an operation that it sees for the first time, or what a signal
/// says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mood {
    Accepts,
    Refuses,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) books: Vec<Books>,
    /// What the first signal of each step says, once its sender was told that it is kept.
    pub(crate) signals: Vec<Option<Mood>>,
    /// Sorted, so that the same requests are the same network.
    pub(crate) network: Vec<Message>,
}

impl World {
    pub(crate) fn new(definition: &Definition) -> Self {
        let books = definition.steps.iter().map(|step| match step.kind {
            StepKind::Given => Books::of_applied(),
            StepKind::Call | StepKind::Wait { .. } => Books::default(),
        });
        let signals = vec![None; definition.steps.len()];
        Self { books: books.collect(), signals, network: Vec::new() }
    }

    pub(crate) fn of(&self, step: StepIndex) -> &Books {
        &self.books[step.at()]
    }

    pub(crate) fn send(&mut self, message: Message) {
        self.network.push(message);
        self.network.sort_unstable();
    }

    /// Nobody waits for any answer any more.
    pub(crate) fn forsake_all(&mut self) {
        for message in &mut self.network {
            message.awaited = false;
        }
        self.network.sort_unstable();
    }

    /// Whether the action's effect is there and not undone.
    pub(crate) fn stands(&self, step: StepIndex) -> bool {
        self.of(step).undone < self.of(step).applied
    }

    /// Whether a request that is on the wire may still bring the effect about.
    pub(crate) fn may_yet_be_applied(&self, step: StepIndex) -> bool {
        self.of(step).action.is_none() && self.has_on_the_wire(step, Request::Action)
    }

    /// Whether the effect is there, or may yet come.
    pub(crate) fn may_stand(&self, step: StepIndex) -> bool {
        self.stands(step) || self.may_yet_be_applied(step)
    }

    pub(crate) fn has_on_the_wire(&self, step: StepIndex, request: Request) -> bool {
        self.network.iter().any(|it| it.step == step && it.request == request)
    }

    /// Whether an action that arrived now would be new to its participant.
    pub(crate) fn is_new(&self, message: Message) -> bool {
        message.request == Request::Action && self.of(message.step).action.is_none()
    }
}

impl Books {
    fn of_applied() -> Self {
        Self { action: Some(Record::Applied), applied: 1, ..Self::default() }
    }

    /// A wait ended. There is no participant; what the books say is what is true.
    pub(crate) fn after_wait(mood: Mood) -> Self {
        match mood {
            Mood::Accepts => Self::of_applied(),
            Mood::Refuses => Self { action: Some(Record::Rejected), ..Self::default() },
        }
    }

    /// A request arrives. The answer is what the operation log says then.
    pub(crate) fn receive(&mut self, request: Request, barrier: Barrier, mood: Mood) -> Record {
        match request {
            Request::Action => self.act(barrier, mood),
            Request::Inquiry => self.inquire(barrier),
            Request::Compensation => self.undo(barrier),
        }
    }

    fn act(&mut self, barrier: Barrier, mood: Mood) -> Record {
        match self.action {
            Some(Record::Applied) if !barrier.knows_repeats => {
                self.applied += 1;
                Record::Applied
            }
            Some(record) => record,
            None if mood == Mood::Refuses => *self.action.insert(Record::Rejected),
            None => {
                self.applied += 1;
                *self.action.insert(Record::Applied)
            }
        }
    }

    fn inquire(&mut self, barrier: Barrier) -> Record {
        match self.action {
            Some(record) => record,
            None if barrier.inquiry_fences => *self.action.insert(Record::Fenced),
            None => Record::Fenced,
        }
    }

    /// Undoing what never came succeeds, and keeps it from ever coming.
    fn undo(&mut self, barrier: Barrier) -> Record {
        let is_repeat = match self.action {
            Some(_) if !barrier.undo_has_its_own_key => true,
            _ => self.compensation && barrier.knows_repeats,
        };
        if is_repeat {
            return Record::Applied;
        }
        self.compensation = true;
        if *self.action.get_or_insert(Record::Fenced) == Record::Applied {
            self.undone += 1;
        }
        Record::Applied
    }
}
