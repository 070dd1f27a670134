//! The participants: an operation log with the barrier for each step, and the ledger of the
//! provider behind one of them. What really took effect is written here and nowhere else.

use saga_core::StepIndex;

use crate::subject::{Barrier, ProviderRules, Subject};

/// What the orchestrator asks of a step's participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    Action,
    Undo,
    Inquiry,
    /// An inquiry about the compensation.
    UndoInquiry,
}

/// One of the two operations of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    Action,
    Undo,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Said {
    Applied,
    /// The refusal is on record.
    Rejected,
    /// Refused by a check before the operation log, which nobody records.
    Refused,
    Fenced,
    /// The action took effect and was undone.
    Reversed,
    /// Only of a compensation: its original had no effect.
    NothingToUndo,
    /// Nothing came: the call was given up.
    Nothing,
    /// The call never left.
    NotSent,
}

/// How an operation that is seen for the first time is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Accepts,
    Refuses,
}

/// What the operation log says of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// The provider is to be asked, or is being asked.
    Intended,
    Applied,
    Rejected,
    Fenced,
}

/// One step's participant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Books {
    pub action: Option<Record>,
    /// One for each id that the compensation had: another where the one before was fenced.
    pub undos: [Option<Record>; 2],
    /// How often the action took effect in the participant's own database.
    pub applied: u8,
    /// How often its effect was undone there.
    pub undone: u8,
    /// The operation id under which the action was recorded.
    id: u8,
}

/// What a participant does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    Answer(Said),
    /// The provider has to be asked first.
    AskProvider(Op),
}

impl Books {
    /// A request arrives. `id` is the operation's id.
    pub fn receive(&mut self, ask: Ask, id: u8, site: Site<'_>, mood: Mood) -> Received {
        match ask {
            Ask::Action => self.act(id, site, mood),
            Ask::Inquiry => self.inquire(site),
            Ask::Undo => self.undo(id, site),
            Ask::UndoInquiry => self.inquire_undo(id, site),
        }
    }

    fn act(&mut self, id: u8, site: Site<'_>, mood: Mood) -> Received {
        let barrier = site.barrier();
        let known = self.action.filter(|_| self.id == id);
        self.id = id;
        match known {
            Some(Record::Applied) if !barrier.knows_repeated_actions => self.take_effect(),
            // What was undone is not there any more: the check finds nothing.
            Some(Record::Applied) if site.checks_first && !self.is_reversed() => {
                Received::Answer(Said::Refused)
            }
            Some(Record::Applied) => Received::Answer(self.applied_or_reversed()),
            Some(Record::Rejected) => Received::Answer(Said::Rejected),
            Some(Record::Fenced) => Received::Answer(Said::Fenced),
            Some(Record::Intended) => Received::AskProvider(Op::Action),
            None if site.asks_provider => {
                if site.provider().intends_before_asking {
                    self.action = Some(Record::Intended);
                }
                Received::AskProvider(Op::Action)
            }
            None if mood == Mood::Refuses => {
                self.action = barrier.remembers_refusals.then_some(Record::Rejected);
                Received::Answer(Said::Rejected)
            }
            None => self.take_effect(),
        }
    }

    fn applied_or_reversed(self) -> Said {
        if self.is_reversed() { Said::Reversed } else { Said::Applied }
    }

    /// Whether the effect of the action is undone, or is about to be.
    fn is_reversed(self) -> bool {
        self.action == Some(Record::Applied)
            && self.undos.into_iter().flatten().any(|it| it != Record::Fenced)
    }

    fn take_effect(&mut self) -> Received {
        self.action = Some(Record::Applied);
        self.applied += 1;
        Received::Answer(Said::Applied)
    }

    fn inquire(&mut self, site: Site<'_>) -> Received {
        let barrier = site.barrier();
        match self.action {
            Some(Record::Applied) => Received::Answer(self.applied_or_reversed()),
            Some(Record::Rejected) => Received::Answer(Said::Rejected),
            Some(Record::Fenced) => Received::Answer(Said::Fenced),
            Some(Record::Intended) if barrier.inquiry_waits_for_provider => {
                Received::AskProvider(Op::Action)
            }
            Some(Record::Intended) | None => {
                if barrier.inquiry_fences {
                    self.action = Some(Record::Fenced);
                }
                Received::Answer(Said::Fenced)
            }
        }
    }

    /// Undoing what never came succeeds, and keeps it from ever coming.
    fn inquire_undo(&mut self, id: u8, site: Site<'_>) -> Received {
        let undo = &mut self.undos[usize::from(id)];
        match undo {
            Some(Record::Applied) => Received::Answer(Said::Applied),
            Some(Record::Intended) => Received::AskProvider(Op::Undo),
            Some(Record::Rejected | Record::Fenced) => Received::Answer(Said::Fenced),
            None => {
                if site.barrier().undo_inquiry_fences {
                    *undo = Some(Record::Fenced);
                }
                Received::Answer(Said::Fenced)
            }
        }
    }

    fn undo(&mut self, id: u8, site: Site<'_>) -> Received {
        let barrier = site.barrier();
        let undo = self.undos[usize::from(id)];
        let known = match self.action {
            // The row that is found is the action's.
            Some(Record::Applied) if !barrier.undo_has_its_own_id => Some(Record::Applied),
            _ => undo.filter(|it| barrier.knows_repeated_undos || *it != Record::Applied),
        };
        match (known, self.action) {
            (Some(Record::Intended), _) => Received::AskProvider(Op::Undo),
            (Some(Record::Fenced), _) => Received::Answer(Said::Fenced),
            (Some(_), _) => Received::Answer(self.undone_or_nothing()),
            (None, Some(Record::Intended)) => Received::AskProvider(Op::Action),
            (None, Some(Record::Applied)) if site.asks_provider => {
                self.undos[usize::from(id)] = Some(Record::Intended);
                Received::AskProvider(Op::Undo)
            }
            (None, original) => {
                self.undos[usize::from(id)] = Some(Record::Applied);
                if original.is_none() {
                    self.action = Some(Record::Fenced);
                }
                if original == Some(Record::Applied) {
                    self.undone += 1;
                }
                Received::Answer(self.undone_or_nothing())
            }
        }
    }

    fn undone_or_nothing(&self) -> Said {
        if self.action == Some(Record::Applied) { Said::Applied } else { Said::NothingToUndo }
    }

    /// The provider has answered for good. Another answer may have been recorded before.
    pub fn settle(&mut self, op: Op, mood: Mood, site: Site<'_>) {
        let record = match op {
            Op::Action => &mut self.action,
            Op::Undo => {
                let intended = self.undos.iter().position(|it| *it == Some(Record::Intended));
                &mut self.undos[intended.unwrap_or(0)]
            }
        };
        let is_open = *record == Some(Record::Intended)
            || (record.is_none() && !site.provider().intends_before_asking);
        if !is_open {
            return;
        }
        match (op, mood) {
            (Op::Action, Mood::Refuses) => *record = Some(Record::Rejected),
            (Op::Action, Mood::Accepts) => {
                *record = Some(Record::Applied);
                self.applied += 1;
            }
            (Op::Undo, _) => {
                *record = Some(Record::Applied);
                self.undone += 1;
            }
        }
    }
}

/// Which participant, under which rules.
#[derive(Clone, Copy, Debug)]
pub struct Site<'s> {
    pub subject: &'s Subject,
    pub step: StepIndex,
    /// Whether its effect is made by an outside provider.
    pub asks_provider: bool,
    /// Whether it refuses what it has already, without a look into its operation log.
    pub checks_first: bool,
}

impl Site<'_> {
    fn barrier(&self) -> Barrier {
        self.subject.barrier
    }

    fn provider(&self) -> ProviderRules {
        self.subject.provider
    }
}

/// The outside provider: a second, independent book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// How it met the charge, which it remembers by its key.
    pub charge: Option<bool>,
    pub captured: u8,
    pub refund: bool,
    pub refunded: u8,
}

impl Ledger {
    /// A call arrives. The answer to a repeated key is the first one.
    pub fn receive(&mut self, op: Op, rules: ProviderRules, mood: Mood) -> Mood {
        let knows = rules.tries_share_a_key;
        match (op, self.charge) {
            (Op::Action, Some(false)) => Mood::Refuses,
            (Op::Action, Some(true)) if knows => Mood::Accepts,
            (Op::Action, None) if mood == Mood::Refuses => {
                self.charge = Some(false);
                Mood::Refuses
            }
            (Op::Action, _) => {
                self.charge = Some(true);
                self.captured += 1;
                Mood::Accepts
            }
            (Op::Undo, _) => {
                if !(knows && self.refund) {
                    self.refund = true;
                    self.refunded += 1;
                }
                Mood::Accepts
            }
        }
    }
}
