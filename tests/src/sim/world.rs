//! Everything around the nodes, under one lock: participants, messages that are on their
//! way, the judge, the record of what happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prost::Message as _;
use saga_core::SagaId;
use saga_log::Append;
use saga_proto::saga::participant::v1 as kit;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    answer::{Answer, Deny, Refused},
    audit,
    barrier::{Call, Recorded},
    dice::mixed,
    fault::{Defect, Fault},
    journal::{Journal, SagaLog, at},
    shop::Shop,
};

mod check;
mod message;
mod open;

pub use message::{Arrival, Death, Fate, Message, Part, Peace, Plan, Until};
pub use open::Takes;

/// The world. Clones are handles on the same one.
#[derive(Clone)]
pub struct World {
    inside: Arc<Mutex<Inside>>,
}

/// What is in the world.
pub struct Inside {
    /// The participants.
    pub shop: Shop,
    /// The log, as the judge reads it.
    pub journal: Journal,
    /// What goes wrong.
    pub plan: Box<dyn Plan>,
    /// The mistake that is made on purpose.
    pub defect: Option<Defect>,
    /// What went wrong, and how often.
    pub fired: BTreeMap<Fault, u64>,
    /// What must not have happened.
    pub violations: Vec<String>,
    /// Whether what happens is written down: it takes time, and a seed can be repeated.
    pub tells: bool,
    /// What happened.
    pub trace: Vec<String>,
    /// Nodes so far.
    pub nodes: usize,
    /// Messages that were answered.
    pub delivered: u64,
    /// Steps whose messages left, and which.
    pub left: BTreeSet<(String, Part)>,
    /// How far the database's clock is ahead.
    pub database_ahead_ms: i64,
    seed: u64,
    ids: u64,
    origin: Instant,
    sent: BTreeSet<(Uuid, Part, u32)>,
    held: Vec<(Message, Until, bool)>,
    first_answers: BTreeMap<Uuid, Answer>,
    /// Transactions that are open, by operation.
    open: BTreeMap<Uuid, open::Open>,
    /// Until when a participant does not listen, and how often it was started.
    down: BTreeMap<String, (Instant, u64)>,
}

impl World {
    /// A world that begins now.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[must_use]
    pub fn new(seed: u64, shop: Shop, plan: Box<dyn Plan>, defect: Option<Defect>) -> Self {
        let inside = Inside {
            shop,
            journal: Journal::default(),
            plan,
            defect,
            fired: BTreeMap::new(),
            violations: Vec::new(),
            tells: true,
            trace: Vec::new(),
            nodes: 0,
            delivered: 0,
            left: BTreeSet::new(),
            seed,
            database_ahead_ms: 0,
            ids: 0,
            origin: Instant::now(),
            sent: BTreeSet::new(),
            held: Vec::new(),
            first_answers: BTreeMap::new(),
            open: BTreeMap::new(),
            down: BTreeMap::new(),
        };
        Self { inside: Arc::new(Mutex::new(inside)) }
    }

    /// The world, for a moment. Never held across an await.
    pub fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message reaches its participant.
    pub fn deliver(&self, message: &Message) -> Arrival {
        let defect = self.lock().defect;
        self.deliver_as(message, defect)
    }

    /// The same, with a mistake of the participant.
    fn deliver_as(&self, message: &Message, defect: Option<Defect>) -> Arrival {
        let (arrival, late) = self.lock().deliver(message, defect);
        self.release(late);
        arrival
    }

    /// Rows have become durable.
    pub fn durable(&self, append: &Append, node: usize) {
        let late = self.lock().durable(append, node);
        self.release(late);
    }

    /// Delivers what was held, a moment later. Nobody waits for the answers.
    fn release(&self, late: Vec<(Message, Until, bool)>) {
        for (message, until, counts) in late {
            let world = self.clone();
            let pause_ms = 20 + world.lock().chance(&message, 7) % 80;
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                let fault = match until {
                    Until::Overtaken => Fault::Reordered,
                    Until::FencedOrEnded => Fault::LateAfterFence,
                };
                world.lock().happened(fault, counts);
                world.work(&message).await;
            });
        }
    }
}

impl Inside {
    /// Milliseconds since the world began.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Writes down what happened, if anybody is to read it.
    pub fn note(&mut self, what: fmt::Arguments<'_>) {
        if self.tells {
            let line = format!("{:>8} {what}", self.now_ms());
            self.trace.push(line);
        }
    }

    /// Counts a fault at the moment at which it strikes.
    pub fn happened(&mut self, fault: Fault, counts: bool) {
        self.note(format_args!("fault {fault}"));
        if counts {
            *self.fired.entry(fault).or_default() += 1;
        }
    }

    /// A number for a new id.
    pub fn new_id(&mut self) -> u64 {
        self.ids += 1;
        mixed(self.seed, &[self.ids])
    }

    /// A number that belongs to this message and this use of it.
    #[must_use]
    pub fn chance(&self, message: &Message, salt: u64) -> u64 {
        let step = super::dice::number_of(&message.step);
        let parts =
            [message.label as u64, step, message.part as u64, u64::from(message.number), salt];
        mixed(self.seed, &parts)
    }

    /// Keeps a message back.
    pub fn hold(&mut self, message: Message, until: Until, counts: bool) {
        self.held.push((message, until, counts));
    }

    /// A participant is gone for a while, and with it whatever it had in hand.
    pub fn take_down(&mut self, participant: &str, for_ms: u64) {
        let until = Instant::now() + Duration::from_millis(for_ms);
        let starts = self.starts(participant) + 1;
        self.down.insert(participant.to_owned(), (until, starts));
        self.note(format_args!("{participant} is down for {for_ms} ms"));
    }

    /// How often a participant was started again.
    #[must_use]
    pub fn starts(&self, participant: &str) -> u64 {
        self.down.get(participant).map_or(0, |(_, starts)| *starts)
    }

    /// Whether a participant listens.
    #[must_use]
    pub fn is_up(&self, participant: &str) -> bool {
        self.down.get(participant).is_none_or(|(until, _)| *until <= Instant::now())
    }

    /// All participants listen from now on.
    pub fn bring_up(&mut self) {
        for (until, _) in self.down.values_mut() {
            *until = Instant::now();
        }
    }

    /// Judges a message at the moment at which it leaves (L1, E10, F77).
    pub fn leaves(&mut self, message: &Message) {
        let Message { label, step, part, number, .. } = message;
        self.note(format_args!("saga {label} {step} {part:?}#{number} leaves"));
        let wrong = self.may_leave(message);
        self.violated(wrong.into_iter().map(|it| format!("{it} [saga {label} {step}]")));
        self.left.insert((step.clone(), *part));
        if !self.sent.insert((message.op, *part, *number)) {
            self.violated([format!("L1: {part:?}#{number} of {step} of saga {label} left twice")]);
        }
    }

    fn may_leave(&self, message: &Message) -> Option<String> {
        let Some(log) = self.journal.sagas.get(&message.saga) else {
            return Some("L1: a message of a saga that is not in the log".to_owned());
        };
        let index = log.deployed.core().index_of(&message.step)?;
        let facts = &log.steps[index.at()];
        let direction = match message.part {
            Part::Action => saga_core::Direction::Forward,
            Part::Compensation => saga_core::Direction::Backward,
            Part::Inquiry => {
                let is_logged = message.number <= facts.inquiries;
                return (!is_logged).then(|| "L1: an inquiry that is not in the log".to_owned());
            }
        };
        if facts.attempts[at(direction)] < message.number {
            return Some(format!("L1: {:?} that is not in the log", message.part));
        }
        if facts.requests[at(direction)].as_ref() != Some(&message.body) {
            return Some("F77: another request than the log has".to_owned());
        }
        let undoes = message.part == Part::Compensation;
        (undoes && log.pivot_stands(message.saga, &self.shop))
            .then(|| "E10: a compensation although the pivot is done".to_owned())
    }

    /// Notes what must not have happened.
    pub fn violated(&mut self, wrong: impl IntoIterator<Item = String>) {
        for what in wrong {
            self.note(format_args!("VIOLATED {what}"));
            if self.violations.len() < 50 && !self.violations.contains(&what) {
                self.violations.push(what);
            }
        }
    }

    fn deliver(
        &mut self,
        message: &Message,
        defect: Option<Defect>,
    ) -> (Arrival, Vec<(Message, Until, bool)>) {
        let Message { label, step, part, number, participant, op, .. } = message;
        if !self.is_up(participant) {
            self.note(format_args!("saga {label} {step} {part:?}#{number} finds nobody there"));
            return (Arrival::NobodyThere, Vec::new());
        }
        let answer = if *part == Part::Inquiry {
            let recorded = self.shop.resolve(participant, *op, defect);
            Ok(resolution(recorded).encode_to_vec())
        } else {
            let mut op = *op;
            if defect == Some(Defect::IdPerAttempt) {
                op = Uuid::new_v5(&op, &number.to_be_bytes());
            }
            let call = Call { op, method: message.method.clone(), body: message.body.clone() };
            match self.refused_by_check(message) {
                Some(refused) => Err(refused),
                None => self.shop.serve(participant, &call, defect),
            }
        };
        self.delivered += 1;
        let told = match &answer {
            Ok(_) => "done",
            Err(
                Deny::Refused(Refused { reason, .. }) | Deny::Unrecorded(Refused { reason, .. }),
            ) => reason,
            Err(Deny::Busy { reason, .. } | Deny::Unknown { reason }) => reason,
            Err(Deny::Invalid { message }) => &message.clone(),
            Err(Deny::NoSuchMethod { .. }) => "NO_SUCH_METHOD",
        };
        self.note(format_args!("saga {label} {step} {part:?}#{number} arrives: {told}"));
        let met = std::mem::take(&mut self.shop.payments.books.provider.ill_met);
        for fault in met {
            self.happened(fault, true);
        }
        if *part != Part::Inquiry {
            self.same_answer(message, &answer);
        }
        let wrong = audit::always(&self.shop);
        self.violated(wrong);
        let is_fenced = self.shop.recorded(participant, *op) == Some(&Recorded::Fenced);
        let late = self
            .take_held(|held, until| held.op == *op && (until == Until::Overtaken || is_fenced));
        let found_nothing = self.shop.recorded(participant, *op) == Some(&Recorded::NothingToUndo);
        let arrival = match answer {
            Ok(_) if found_nothing => Arrival::NothingToUndo,
            answer => Arrival::Answered(answer),
        };
        (arrival, late)
    }

    /// An operation is answered the same way for ever (I4).
    fn same_answer(&mut self, message: &Message, answer: &Answer) {
        if !matches!(answer, Ok(_) | Err(Deny::Refused(_))) {
            return;
        }
        let first = self.first_answers.entry(message.op).or_insert_with(|| answer.clone());
        if first != answer {
            let Message { label, step, part, .. } = message;
            let what = format!("I4: {part:?} of {step} of saga {label}: {first:?}, now {answer:?}");
            self.violated([what]);
        }
    }

    fn durable(&mut self, append: &Append, node: usize) -> Vec<(Message, Until, bool)> {
        let (events, wrong) = self.journal.row(append, &self.shop);
        let label = self.journal.sagas.get(&append.saga).map_or(usize::MAX, |it| it.label);
        if self.tells {
            let kinds: Vec<&str> = events.iter().map(saga_core::Event::kind).collect();
            let kinds = kinds.join(" ");
            self.note(format_args!("saga {label} row {} by node {node}: {kinds}", append.version));
        }
        self.violated(wrong);
        let ended = |saga: &SagaId, journal: &Journal| {
            journal.sagas.get(saga).is_some_and(|it: &SagaLog| it.ended.is_some())
        };
        if !ended(&append.saga, &self.journal) {
            return Vec::new();
        }
        let saga = append.saga;
        self.take_held(|held, _| held.saga == saga)
    }

    fn take_held(
        &mut self,
        which: impl Fn(&Message, Until) -> bool,
    ) -> Vec<(Message, Until, bool)> {
        let (due, held) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|(message, until, _)| which(message, *until));
        self.held = held;
        due
    }
}

fn resolution(recorded: Recorded) -> kit::ResolveResponse {
    use kit::resolve_response::Resolution as R;
    let resolution = match recorded {
        Recorded::Applied(reply) => R::Applied(kit::Applied { reply }),
        Recorded::NothingToUndo => R::Applied(kit::Applied { reply: Vec::new() }),
        Recorded::Rejected(Refused { reason, message, .. }) => {
            R::Rejected(kit::Rejected { reason: reason.to_owned(), message })
        }
        Recorded::Fenced => R::Fenced(kit::Fenced {}),
        Recorded::Intended => R::InProgress(kit::InProgress {}),
    };
    kit::ResolveResponse { resolution: Some(resolution) }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside").field("violations", &self.violations).finish_non_exhaustive()
    }
}
