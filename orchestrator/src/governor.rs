//! The governor: a desk before each participant, and the callers that stand at it.
//!
//! What a desk decides is in the crate `saga_governor`, which is pure. Here its clock runs, its
//! callers are woken, its pings leave, and a place is given back however a call ends. A saga that
//! is sent away is parked in the log, where it waits for `participant NAME`; the claim loop
//! fetches as many as there is room for.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use saga_core::SagaId;
use saga_governor::{
    Asked, Caller as AtDesk, Came, Desk, Rank, Timing, Turn, Word, places::Places,
};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use crate::participants::Caller;

mod people;
mod place;

pub use people::ParticipantView;
use people::Rule;
pub(crate) use place::{InLine, Place};

/// What a saga that is sent away waits for, as its index entry says it.
pub(crate) fn waiting_on(participant: &str) -> String {
    format!("participant {participant}")
}

/// What somebody who asks for a place gets.
#[derive(Debug)]
pub(crate) enum Answer {
    Go(Place),
    InLine(InLine),
    /// Nobody may call it here now. The saga is to be parked.
    Held,
}

/// The desks of a node.
pub(crate) struct Governor {
    caller: Arc<dyn Caller>,
    desks: Mutex<Desks>,
    /// Something was learned, so that a ping or a turn may be due.
    changed: Notify,
    began: Instant,
    patience_ms: u64,
    /// Sagas of this node that may be at one participant at the same time.
    seats: u32,
}

#[derive(Debug, Default)]
struct Desks {
    by_name: BTreeMap<Arc<str>, Counter>,
    tickets: u64,
    /// Which of how many living nodes this one is.
    share: Share,
    /// What people have decided, by participant.
    rules: BTreeMap<String, Rule>,
}

/// A node's part of what all nodes may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    place: u32,
    nodes: u32,
}

impl Default for Share {
    fn default() -> Self {
        Self { place: 0, nodes: 1 }
    }
}

impl Share {
    fn of(self, whole: u32) -> u32 {
        let nodes = self.nodes.max(1);
        whole / nodes + u32::from(self.place < whole % nodes)
    }
}

/// One desk and those who stand at it.
#[derive(Debug)]
struct Counter {
    desk: Desk,
    /// Of all nodes together: as configured, or as a person has decided.
    limit: u32,
    waiting: HashMap<u64, (SagaId, Called)>,
    /// Whether sagas may be parked that wait for it.
    has_parked: bool,
}

/// Whoever stood in line is to come again when fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SentAway;

/// What comes of standing in line.
pub(crate) type Turned = Result<Place, SentAway>;

type Called = oneshot::Sender<Turned>;

/// What is told once the desks are let go of. A place that is given back changes a desk.
type Told = Vec<(Option<Called>, Turned)>;

impl Governor {
    /// The governor of a node that drives `sagas_max` sagas at the same time, each of which
    /// waits in memory for `patience` at most.
    pub(crate) fn new(caller: Arc<dyn Caller>, sagas_max: usize, patience: Duration) -> Arc<Self> {
        // Half of all is the most that one participant takes: others have room whatever it does.
        let seats = u32::try_from(sagas_max.div_ceil(2)).unwrap_or(u32::MAX).max(1);
        Arc::new(Self {
            caller,
            desks: Mutex::default(),
            changed: Notify::new(),
            began: Instant::now(),
            patience_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
            seats,
        })
    }

    /// Asks for a place at `participant` for a call of `saga`, which began at `since_ms`.
    pub(crate) fn ask(
        self: &Arc<Self>,
        participant: &str,
        rank: Rank,
        (saga, since_ms): (SagaId, u64),
        came: Came,
    ) -> Answer {
        if !self.caller.knows(participant) {
            return Answer::Held;
        }
        let now_ms = self.now_ms();
        let mut desks = self.lock();
        desks.tickets += 1;
        let ticket = desks.tickets;
        let name = self.open(&mut desks, participant);
        let Some(counter) = desks.by_name.get_mut(&name) else { return Answer::Held };
        let caller = saga.0.as_u64_pair().1;
        match counter.desk.ask(AtDesk { rank, since_ms, ticket, caller, came }, now_ms) {
            Asked::Go { round } => Answer::Go(self.place(&name, rank, round, saga)),
            Asked::InLine => {
                let (turn, called) = oneshot::channel();
                counter.waiting.insert(ticket, (saga, turn));
                drop(desks);
                let until = (came == Came::ByItself)
                    .then(|| Instant::now() + Duration::from_millis(self.patience_ms));
                let of = (Arc::clone(self), name, ticket);
                Answer::InLine(InLine::new(of, rank, called, until))
            }
            Asked::Held => Answer::Held,
        }
    }

    /// The desk of this participant, opened where there is none yet.
    fn open(&self, desks: &mut Desks, participant: &str) -> Arc<str> {
        if let Some((name, _)) = desks.by_name.get_key_value(participant) {
            return Arc::clone(name);
        }
        let name: Arc<str> = participant.into();
        let rule = desks.rules.get(participant).copied().unwrap_or_default();
        let limit = rule.limit.unwrap_or_else(|| self.caller.in_flight_max(participant));
        let places = Places::new(desks.share.of(limit), self.seats);
        // Its name tells its jitter from that of others.
        let seed = name
            .bytes()
            .fold(self.patience_ms, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let mut desk = Desk::new(places, Timing::USUAL, self.patience_ms, seed);
        desk.pause(rule.is_paused);
        let waiting = HashMap::new();
        let counter = Counter { desk, limit, waiting, has_parked: true };
        desks.by_name.insert(Arc::clone(&name), counter);
        name
    }

    fn place(self: &Arc<Self>, name: &Arc<str>, rank: Rank, round: u32, saga: SagaId) -> Place {
        Place::new((Arc::clone(self), Arc::clone(name)), (rank, round), saga)
    }

    /// A call has ended, and its place is free.
    fn learn(self: &Arc<Self>, name: &str, (rank, round): (Rank, u32), saga: SagaId, word: Word) {
        let now_ms = self.now_ms();
        self.at(name, |counter| {
            counter.desk.learn(rank, word, round, saga.0.as_u64_pair().1, now_ms);
        });
    }

    fn leave(self: &Arc<Self>, name: &str, ticket: u64) {
        self.at(name, |counter| {
            if counter.waiting.remove(&ticket).is_some() {
                counter.desk.leave(ticket);
            }
        });
    }

    /// Changes one desk, and calls those whose turn it is then.
    fn at(self: &Arc<Self>, name: &str, change: impl FnOnce(&mut Counter)) {
        let mut desks = self.lock();
        let Some((name, counter)) = desks.of(name) else { return };
        change(counter);
        let told = self.turns(&name, counter);
        // Where all is well, time changes nothing, and nobody has to be woken for it.
        let is_timed = counter.desk.wake_at_ms(self.now_ms()).is_some();
        drop(desks);
        tell(told);
        if is_timed {
            self.changed.notify_one();
        }
    }

    fn turns(self: &Arc<Self>, name: &Arc<str>, counter: &mut Counter) -> Told {
        let mut told = Told::new();
        for turn in counter.desk.turns(self.now_ms()) {
            let (Turn::Go { ticket, .. } | Turn::SentAway { ticket }) = turn;
            let (saga, called) = match counter.waiting.remove(&ticket) {
                Some((saga, called)) => (saga, Some(called)),
                None => (SagaId(uuid::Uuid::nil()), None),
            };
            let turned = match turn {
                Turn::Go { rank, round, .. } => Ok(self.place(name, rank, round, saga)),
                Turn::SentAway { .. } => Err(SentAway),
            };
            told.push((called, turned));
        }
        told
    }

    /// The participants that have room for sagas that are parked, and for how many.
    pub(crate) fn rooms(&self) -> Vec<(Arc<str>, u32)> {
        let now_ms = self.now_ms();
        let desks = self.lock();
        let rooms = desks.by_name.iter().filter(|(_, counter)| counter.has_parked);
        let rooms = rooms.map(|(name, counter)| (Arc::clone(name), counter.desk.room(now_ms)));
        rooms.filter(|(_, room)| *room > 0).collect()
    }

    /// A saga is parked that waits for this participant.
    pub(crate) fn has_parked(&self, participant: &str) {
        self.set_parked(participant, true);
    }

    /// All that were parked for this participant are fetched.
    pub(crate) fn is_fetched(&self, participant: &str) {
        self.set_parked(participant, false);
    }

    fn set_parked(&self, participant: &str, has_parked: bool) {
        if let Some(counter) = self.lock().by_name.get_mut(participant) {
            counter.has_parked = has_parked;
        }
    }

    /// Others may have parked sagas meanwhile: has the log asked again, for every participant
    /// that can be called.
    pub(crate) fn look_again(&self) {
        let mut desks = self.lock();
        for participant in self.caller.participants() {
            self.open(&mut desks, &participant);
        }
        desks.by_name.values_mut().for_each(|counter| counter.has_parked = true);
    }

    /// This is node number `place` of so many that live: its part of every limit follows.
    pub(crate) fn share(self: &Arc<Self>, place: usize, nodes: usize) {
        let narrow = |number| u32::try_from(number).unwrap_or(u32::MAX);
        let share = Share { place: narrow(place), nodes: narrow(nodes).max(1) };
        let mut desks = self.lock();
        if desks.share == share {
            return;
        }
        desks.share = share;
        let mut told = Told::new();
        let names: Vec<Arc<str>> = desks.by_name.keys().cloned().collect();
        for name in names {
            if let Some(counter) = desks.by_name.get_mut(&name) {
                counter.desk.limit(share.of(counter.limit));
                told.extend(self.turns(&name, counter));
            }
        }
        drop(desks);
        tell(told);
    }

    /// Milliseconds since this node began: what the desks know of time.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Makes what time brings happen: pings that are due, and turns that come. Ends never.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut pings = tokio::task::JoinSet::new();
        loop {
            let (due, wake_at_ms) = self.tick();
            for name in due {
                let governor = Arc::clone(&self);
                pings.spawn(async move {
                    let ping = governor.caller.ping(&name).await;
                    let now_ms = governor.now_ms();
                    governor.at(&name, |counter| counter.desk.pinged(ping, now_ms));
                });
            }
            let pause = async {
                match wake_at_ms {
                    Some(at_ms) => {
                        tokio::time::sleep_until(self.began + Duration::from_millis(at_ms)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = pause => {}
                () = self.changed.notified() => {}
                Some(_) = pings.join_next(), if !pings.is_empty() => {}
            }
        }
    }

    /// Calls those whose turn it is. Answers who is to be pinged now, and when to look again.
    fn tick(self: &Arc<Self>) -> (Vec<Arc<str>>, Option<u64>) {
        let now_ms = self.now_ms();
        let (mut due, mut wake_at_ms, mut told) = (Vec::new(), None::<u64>, Told::new());
        let mut desks = self.lock();
        let names: Vec<Arc<str>> = desks.by_name.keys().cloned().collect();
        for name in names {
            let Some(counter) = desks.by_name.get_mut(&name) else { continue };
            if counter.desk.begin_ping(now_ms) {
                due.push(Arc::clone(&name));
            }
            told.extend(self.turns(&name, counter));
            if let Some(at_ms) = counter.desk.wake_at_ms(now_ms) {
                wake_at_ms = Some(wake_at_ms.map_or(at_ms, |it| it.min(at_ms)));
            }
        }
        drop(desks);
        tell(told);
        // What is due now is being done; a later look finds what became of it.
        (due, wake_at_ms.map(|at_ms| at_ms.max(now_ms + 1)))
    }

    fn lock(&self) -> MutexGuard<'_, Desks> {
        // Each counter is whole at every moment, whatever panicked.
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Outside of the lock: a place that nobody takes is given back at once.
fn tell(told: Told) {
    for (called, turned) in told {
        if let Some(called) = called {
            let _ = called.send(turned);
        }
    }
}

impl Desks {
    fn of(&mut self, participant: &str) -> Option<(Arc<str>, &mut Counter)> {
        let (name, _) = self.by_name.get_key_value(participant)?;
        let name = Arc::clone(name);
        let counter = self.by_name.get_mut(&name)?;
        Some((name, counter))
    }
}

impl fmt::Debug for Governor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Governor").field("seats", &self.seats).finish_non_exhaustive()
    }
}
