//! One state of everything: the log, the nodes, the rows and the messages that are under
//! way, the participants and their provider.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use saga_core::{StepIndex, StepPhase};

use crate::{
    fold::{Course, Fold, Slot},
    mixer::Mixer,
    participant::{Books, Ledger, Record, Site},
    scope::Faults,
    world::{
        log::{Laned, Log, RowId, Teller},
        network::{Leg, Message},
        node::{Memory, Pending},
    },
};

pub mod log;
pub mod moves;
pub mod network;
pub mod node;
pub mod take;

/// Nodes that may run at once.
pub const SLOTS: [Slot; 2] = [0, 1];

#[derive(Clone, Debug)]
pub struct World {
    pub log: Log,
    /// What a node has in memory; `None` where it has not taken the saga, or has died.
    pub nodes: [Option<Memory>; 2],
    /// Rows on their way to the log, in no order.
    pub lane: Vec<Laned>,
    /// Messages under way, in no order; sorted, so that the same ones are the same network.
    pub network: Vec<Message>,
    pub books: Vec<Books>,
    pub ledger: Ledger,
    pub cancel: Cancel,
    /// How much may still go wrong.
    pub left: Faults,
    pub broken: Broken,
    /// Rows that were written, whatever became of them.
    rows: RowId,
    /// Rows that the log may lose at once.
    tail_rows_max: usize,
    /// Equal for worlds in which the same can happen.
    pub key: u64,
}

/// How far the client's wish to turn back has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cancel {
    Impossible,
    Possible,
    /// On its way to the log, through a node that does not drive the saga.
    UnderWay,
    Asked,
}

/// Rules of moves, as far as a move broke them. Rules of states are in
/// [`crate::properties`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Broken {
    /// L1: a request left that is not in the log.
    pub sent_before_log: bool,
    /// L2: a row was accepted from a node that does not own the saga.
    pub written_by_other: bool,
    /// L3: a row, or a decision, does not follow from the log.
    pub does_not_fold: bool,
    /// L4: a row was accepted behind the end.
    pub written_behind_end: bool,
    /// T1: a row was accepted that does not build on the last one.
    pub built_on_older: bool,
    /// T2: a row was accepted that builds on a row that was lost.
    pub mixed_histories: bool,
}

impl World {
    /// The saga was accepted: its first row is durable, and its writer is not told yet.
    #[must_use]
    pub fn first(course: Course<'_>) -> Self {
        let steps = course.scope.definition.steps.len();
        let mut world = Self {
            log: Log::empty(course),
            nodes: [None, None],
            lane: Vec::new(),
            network: Vec::new(),
            books: vec![Books::default(); steps],
            ledger: Ledger::default(),
            cancel: match course.scope.cancels {
                crate::scope::Cancels::Never => Cancel::Impossible,
                crate::scope::Cancels::Once => Cancel::Possible,
            },
            left: course.scope.faults,
            broken: Broken::default(),
            rows: 0,
            tail_rows_max: course.scope.tail_rows_max,
            key: 0,
        };
        world.begin(course, 0);
        world.key = world.present_key();
        world
    }

    /// The node in `slot` writes the first row of the saga, and is not told yet.
    fn begin(&mut self, course: Course<'_>, slot: Slot) {
        let id = self.new_row();
        let row = self.log.begin(course, slot, id);
        let mut owner = Memory::of(&self.log);
        owner.pending = Some(Pending { row, is_landed: true });
        self.nodes[usize::from(slot)] = Some(owner);
    }

    fn new_row(&mut self) -> RowId {
        self.rows += 1;
        self.rows
    }

    /// What the log folds to.
    #[must_use]
    pub fn fold(&self) -> &Fold {
        self.log.fold()
    }

    /// Rows that the log may still lose.
    #[must_use]
    pub fn may_lose(&self) -> usize {
        if 0 < self.left.tails { self.tail_rows_max } else { 0 }
    }

    /// Whether the node's memory is that of the owner that the log names. A node that takes
    /// the saga over is not, even where it runs in the slot of a dead owner.
    #[must_use]
    pub fn owns(&self, slot: Slot) -> bool {
        let fold = self.fold();
        self.node(slot).is_some_and(|memory| {
            let is_new = memory.pending.as_ref().is_some_and(|it| it.row.is_takeover());
            let epochs = (memory.fold.state.epoch(), fold.state.epoch());
            !is_new && self.log.is_owned_by(slot) && epochs.0 == epochs.1
        })
    }

    /// Whether somebody will go on with the saga by itself.
    #[must_use]
    pub fn is_cared_for(&self) -> bool {
        SLOTS.iter().any(|slot| {
            let writes = self.node(*slot).is_some_and(|memory| memory.pending.is_some());
            writes || self.owns(*slot)
        })
    }

    #[must_use]
    pub fn node(&self, slot: Slot) -> Option<&Memory> {
        self.nodes[usize::from(slot)].as_ref()
    }

    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.fold().state.ended().is_some()
    }

    /// Whether a person has to look: rows were lost, and a participant knows what they said.
    #[must_use]
    pub fn is_contradicted(&self) -> bool {
        self.log.has_lost && self.fold().is_contradicted()
    }

    /// The participant of `step`.
    #[must_use]
    pub fn site<'c>(&self, course: Course<'c>, step: StepIndex) -> Site<'c> {
        let asks_provider = course.scope.asks_provider(step);
        let checks_first = course.scope.checked.contains(step);
        Site { subject: course.subject, step, asks_provider, checks_first }
    }

    /// How often the action of `step` really took effect, and was undone.
    #[must_use]
    pub fn effects(&self, course: Course<'_>, step: StepIndex) -> (u8, u8) {
        if course.scope.asks_provider(step) {
            return (self.ledger.captured, self.ledger.refunded);
        }
        let books = &self.books[step.at()];
        (books.applied, books.undone)
    }

    /// Whether the effect of `step` is there, or may yet come from what is under way.
    #[must_use]
    pub fn may_stand(&self, course: Course<'_>, step: StepIndex) -> bool {
        let (applied, undone) = self.effects(course, step);
        undone < applied || self.may_yet_come(step)
    }

    fn may_yet_come(&self, step: StepIndex) -> bool {
        use crate::participant::{Ask, Op};
        let books = &self.books[step.at()];
        self.network.iter().filter(|it| it.step == step).any(|it| match it.leg {
            Leg::Request => it.ask == Ask::Action && books.action.is_none(),
            Leg::AtProvider(Op::Action) => self.ledger.charge.is_none(),
            _ => false,
        })
    }

    /// Whether the action of `step` is recorded as refused or fenced.
    #[must_use]
    pub fn is_refused(&self, step: StepIndex) -> bool {
        let record = self.books[step.at()].action;
        matches!(record, Some(Record::Rejected | Record::Fenced))
    }

    /// Whether the log says that `step` is being undone.
    #[must_use]
    pub fn is_being_undone(&self, step: StepIndex) -> bool {
        use saga_core::Direction::Backward;
        matches!(self.fold().phase(step), StepPhase::InFlight { direction: Backward, .. })
    }

    /// Equal for worlds in which the same can happen. Which slot a node runs in, how many
    /// rows the log has and how many attempts were made is left out.
    fn present_key(&self) -> u64 {
        let local = SLOTS.map(|slot| self.local_key(slot));
        let is_swapped = local[1] < local[0];
        let rank = |slot: Slot| if is_swapped { 1 - slot } else { slot };
        let mut hasher = Mixer::default();
        let may_lose = self.may_lose();
        (self.fold().key, self.log.has_lost, self.log.is_gone(), self.log.start).hash(&mut hasher);
        self.log.pasts(may_lose).for_each(|it| it.hash(&mut hasher));
        (local[0].min(local[1]), local[0].max(local[1])).hash(&mut hasher);
        sum(self.network.iter().map(|it| (it.to.map(rank), it.step, it.leg, it.ask, it.id)))
            .hash(&mut hasher);
        sum(self.lane.iter().map(|it| (it.teller.ranked(rank), it.row.key(&self.log, may_lose))))
            .hash(&mut hasher);
        self.books.hash(&mut hasher);
        self.ledger.hash(&mut hasher);
        (self.cancel, self.left, self.broken).hash(&mut hasher);
        hasher.finish()
    }

    fn local_key(&self, slot: Slot) -> u64 {
        let Some(memory) = self.node(slot) else { return 0 };
        let mut hasher = Mixer::default();
        (memory.fold.key, self.owns(slot), memory.pauses).hash(&mut hasher);
        self.log.place(memory.row, self.may_lose()).hash(&mut hasher);
        self.log.was_owned_by(slot, memory.fold.state.epoch(), self.may_lose()).hash(&mut hasher);
        sum(memory.awaited.iter()).hash(&mut hasher);
        if let Some(pending) = &memory.pending {
            (pending.is_landed, pending.row.key(&self.log, self.may_lose())).hash(&mut hasher);
        }
        hasher.finish() | 1
    }
}

/// The same for the same things in any order.
pub(crate) fn sum<T: Hash>(things: impl Iterator<Item = T>) -> u64 {
    things.fold(0, |sum, thing| {
        let mut hasher = Mixer::default();
        thing.hash(&mut hasher);
        sum.wrapping_add(hasher.finish())
    })
}

impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.key.hash(hasher);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

/// For people who read a trace: the log, the books, and what is under way.
impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = &self.fold().state;
        let phases: Vec<_> = state.steps().iter().map(|step| step.phase).collect();
        let turned_back = state.turned_back().map(|reason| reason.code());
        writeln!(f, "  log: {phases:?} {turned_back:?} {:?}", state.ended())?;
        writeln!(f, "  books: {:?}", self.books)?;
        writeln!(f, "  provider: {:?}", self.ledger)?;
        writeln!(f, "  network: {:?}", self.network)?;
        if self.log.has_lost {
            writeln!(f, "  lost rows, and is started for the {}. time", self.log.start)?;
        }
        writeln!(f, "  cancel: {:?}, faults left: {:?}", self.cancel, self.left)
    }
}

impl Teller {
    fn ranked(self, rank: impl Fn(Slot) -> Slot) -> Self {
        match self {
            Self::Writer(slot) => Self::Writer(rank(slot)),
            Self::LostWriter(slot) => Self::LostWriter(rank(slot)),
            other => other,
        }
    }
}
