//! Everything outside of the engine: the network, and a participant with its operation
//! log for each step. What really took effect is written here and nowhere else.

use saga_core::{Direction, StepIndex, StepKind};

use crate::cases::{Case, Keeps, ON_THE_WIRE_MS};

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
    /// Whether its owner was replaced while it waited, and may still tell the answer.
    pub(crate) forsaken: bool,
    /// When it left, where that matters: an action of a participant that keeps nothing is
    /// gone once the time of a call is over.
    pub(crate) sent_at_ms: u64,
}

/// What the operation log says about an action, or what a participant without one answers.
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
    pub(crate) keeps: Keeps,
    pub(crate) books: Vec<Books>,
    /// What the first signal of each step says, once its sender was told that it is kept.
    pub(crate) signals: Vec<Option<Mood>>,
    /// Sorted, so that the same requests are the same network.
    pub(crate) network: Vec<Message>,
}

impl World {
    pub(crate) fn new(case: &Case) -> Self {
        let definition = &case.definition;
        let books = definition.steps.iter().map(|step| match step.kind {
            StepKind::Given => Books::of_applied(),
            StepKind::Call | StepKind::Wait { .. } => Books::default(),
        });
        let signals = vec![None; definition.steps.len()];
        Self { keeps: case.keeps, books: books.collect(), signals, network: Vec::new() }
    }

    /// The same world, with ages instead of times.
    pub(crate) fn timeless(&self, now_ms: u64) -> Self {
        let mut world = self.clone();
        for message in &mut world.network {
            message.sent_at_ms = now_ms.saturating_sub(message.sent_at_ms).min(ON_THE_WIRE_MS);
        }
        world
    }

    /// What is too old to arrive is gone, unless somebody still waits for its answer.
    pub(crate) fn expire(&mut self, now_ms: u64) {
        if self.keeps == Keeps::Nothing {
            self.network.retain(|it| {
                it.awaited
                    || it.request != Request::Action
                    || now_ms < it.sent_at_ms + ON_THE_WIRE_MS
            });
        }
    }

    /// A step's refused operation is made anew under another id: what is on the wire of the
    /// old one meets the old record.
    pub(crate) fn renew(&mut self, step: StepIndex, request: Request) {
        let books = &mut self.books[step.at()];
        match request {
            Request::Action => *books = Books::default(),
            Request::Compensation | Request::Inquiry => books.compensation = false,
        }
        let is_undo = |request| request == Request::Compensation;
        self.network.retain(|it| it.step != step || is_undo(it.request) != is_undo(request));
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
            message.forsaken |= message.awaited;
            message.awaited = false;
        }
        self.network.sort_unstable();
    }

    /// Nobody waits for the answers about these steps.
    pub(crate) fn give_up(&mut self, which: impl Fn(StepIndex) -> bool) {
        for message in self.network.iter_mut().filter(|it| which(it.step)) {
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
        let is_new = match self.keeps {
            // Fenced here: a person has seen to it.
            Keeps::Nothing => !self.stands(step) && self.of(step).action != Some(Record::Fenced),
            Keeps::Log | Keeps::LogAside => self.of(step).action.is_none(),
        };
        is_new && self.has_on_the_wire(step, Request::Action)
    }

    /// Whether the effect is there, or may yet come.
    pub(crate) fn may_stand(&self, step: StepIndex) -> bool {
        self.stands(step) || self.may_yet_be_applied(step)
    }

    pub(crate) fn has_on_the_wire(&self, step: StepIndex, request: Request) -> bool {
        self.network.iter().any(|it| it.step == step && it.request == request)
    }

    /// Whether an action that arrived now could be refused: it is new to its participant, or
    /// the participant cannot tell.
    pub(crate) fn may_be_refused(&self, message: Message) -> bool {
        let is_new = self.of(message.step).action.is_none() || self.keeps != Keeps::Log;
        message.request == Request::Action && is_new
    }

    /// A request arrives. The answer is what the operation log says then.
    pub(crate) fn receive(&mut self, message: Message, barrier: Barrier, mood: Mood) -> Record {
        let books = &mut self.books[message.step.at()];
        match (message.request, self.keeps) {
            (Request::Action, Keeps::Nothing) => books.act_without_log(mood),
            (Request::Compensation, Keeps::Nothing) => books.undo_without_log(),
            (Request::Action, Keeps::LogAside)
                if mood == Mood::Refuses && books.action != Some(Record::Fenced) =>
            {
                Record::Rejected
            }
            (Request::Action, _) => books.act(barrier, mood),
            (Request::Inquiry, _) => books.inquire(barrier),
            (Request::Compensation, _) => books.undo(barrier),
        }
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

    /// Does it unless it is done; may refuse either way, and remembers no refusal.
    fn act_without_log(&mut self, mood: Mood) -> Record {
        if mood == Mood::Refuses || self.action == Some(Record::Fenced) {
            return Record::Rejected;
        }
        if self.applied == self.undone {
            self.applied += 1;
        }
        *self.action.insert(Record::Applied)
    }

    fn undo_without_log(&mut self) -> Record {
        self.compensation = true;
        self.undone = self.applied;
        Record::Applied
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
