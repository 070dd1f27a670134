//! Where callers of one participant ask, wait in line, and are called.

use std::collections::BTreeMap;

use crate::{
    Rank, Word,
    breaker::{Breaker, Ping},
    places::Places,
    timing::Timing,
};

/// What a caller is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// It has a place: call now, and say what came of it, with this round.
    Go { round: u32 },
    /// It stands in line under its ticket until its turn comes or it leaves.
    InLine,
    /// The participant is held back, or too many are in line: come again when fetched.
    Held,
}

/// How a caller came to the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Came {
    /// By itself: its saga got here just now.
    ByItself,
    /// It was sent away before, and fetched as [`Desk::room`] said.
    Fetched,
}

/// One who asks for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    pub rank: Rank,
    /// When its saga began, by any clock: the oldest come first.
    pub since_ms: u64,
    /// Its own, and nobody else's.
    pub ticket: u64,
    /// For whom it calls, as [`Desk::learn`] is told: a call that is never answered says
    /// something about its caller first.
    pub caller: u64,
    pub came: Came,
}

/// What becomes of one who stands in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// It has a place now.
    Go { ticket: u64, rank: Rank, round: u32 },
    /// Nobody is let through for now: come again when fetched.
    SentAway { ticket: u64 },
}

/// Where somebody stands in line: by rank, then by age, then by ticket.
type Spot = (Rank, u64, u64);

/// So many in line are looked through for somebody in particular.
const LOOK_MAX: usize = 64;

/// The desk of one participant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Desk {
    places: Places,
    breaker: Breaker,
    /// How each came, and for whom it calls.
    line: BTreeMap<Spot, (Came, u64)>,
    is_paused: bool,
    /// How long an outage may last before those who come are sent away at once.
    patience_ms: u64,
}

/// What people are told of a desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Calls that this node may have out at the same time.
    pub limit: u32,
    /// Calls that are out.
    pub out: u32,
    /// Callers that stand in line.
    pub in_line: u32,
    /// Whether a person has paused it.
    pub is_paused: bool,
    /// Since when calls are held back, all or some, by the desk's clock.
    pub held_since_ms: Option<u64>,
    /// When it is asked again whether it answers, by the desk's clock. `None`: it is not held
    /// back, or is being asked.
    pub ping_at_ms: Option<u64>,
}

impl Desk {
    /// The desk of a participant that is taken to be well.
    #[must_use]
    pub fn new(places: Places, timing: Timing, patience_ms: u64, seed: u64) -> Self {
        let breaker = Breaker::new(timing, seed);
        Self { places, breaker, line: BTreeMap::new(), is_paused: false, patience_ms }
    }

    /// Sets how many calls may be out at the same time. Those that are out stay.
    pub fn limit(&mut self, limit: u32) {
        self.places.limit = limit;
    }

    /// Lets nobody through, or lets them through again.
    pub fn pause(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// Whether nobody is let through whatever the participant answers.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.is_paused || self.places.most() == 0
    }

    /// When the outage has lasted for so long that nobody waits for its end in line.
    fn sends_away_at_ms(&self) -> Option<u64> {
        Some(self.breaker.open_since_ms()?.saturating_add(self.patience_ms))
    }

    fn sends_away(&self, now_ms: u64) -> bool {
        self.is_shut() || self.sends_away_at_ms().is_some_and(|at_ms| at_ms <= now_ms)
    }

    /// Somebody asks for a place.
    pub fn ask(&mut self, caller: Caller, now_ms: u64) -> Asked {
        if self.sends_away(now_ms) {
            return Asked::Held;
        }
        let Caller { rank, since_ms, ticket, caller, came } = caller;
        let spot = (rank, since_ms, ticket);
        let is_full = self.places.seats <= self.here();
        self.line.insert(spot, (came, caller));
        if self.next(now_ms) == Some((spot, caller)) {
            return Asked::Go { round: self.go(spot, caller) };
        }
        if is_full {
            self.line.remove(&spot);
            return Asked::Held;
        }
        Asked::InLine
    }

    /// Sagas that are at this participant, calling or in line.
    fn here(&self) -> u32 {
        u32::try_from(self.line.len()).unwrap_or(u32::MAX).saturating_add(self.places.out())
    }

    /// Whose turn it is now: that of the first in line. After an outage those whose last call was
    /// not answered may have to let others go first.
    fn next(&self, now_ms: u64) -> Option<(Spot, u64)> {
        let line = self.line.iter().map(|(spot, (_, caller))| (*spot, *caller));
        let is_beside = |(spot, caller): &(Spot, u64)| self.breaker.is_beside((spot.0, *caller));
        let mut firsts =
            [line.clone().find(|it| !is_beside(it)), line.take(LOOK_MAX).find(is_beside)];
        if !self.breaker.puts_beside_last() {
            firsts.sort_unstable();
        }
        let undo_out = self.places.undo_out();
        firsts.into_iter().flatten().find(|(spot, caller)| {
            self.places.is_free(spot.0) && self.breaker.lets((spot.0, *caller), undo_out, now_ms)
        })
    }

    fn go(&mut self, spot: Spot, caller: u64) -> u32 {
        self.line.remove(&spot);
        self.places.take(spot.0);
        self.breaker.goes((spot.0, caller))
    }

    /// Somebody leaves the line.
    pub fn leave(&mut self, ticket: u64) {
        self.line.retain(|(_, _, it), _| *it != ticket);
    }

    /// A call has come to an end, and leaves its place.
    pub fn learn(&mut self, rank: Rank, word: Word, round: u32, caller: u64, now_ms: u64) {
        self.places.leave(rank);
        self.breaker.learn(word, round, (rank, caller), self.places.most(), now_ms);
    }

    /// Whose turn it is now. Ask again whenever something was learned, and at
    /// [`wake_at_ms`](Self::wake_at_ms).
    pub fn turns(&mut self, now_ms: u64) -> Vec<Turn> {
        let mut turns = Vec::new();
        if self.sends_away(now_ms) {
            let sent = std::mem::take(&mut self.line).into_keys();
            return sent.map(|(_, _, ticket)| Turn::SentAway { ticket }).collect();
        }
        while let Some((spot, caller)) = self.next(now_ms) {
            let round = self.go(spot, caller);
            turns.push(Turn::Go { ticket: spot.2, rank: spot.0, round });
        }
        turns
    }

    /// How many of those that were sent away should be fetched now, so that no place stays
    /// empty. Who came by itself does not count: it is younger than those, or comes behind them.
    #[must_use]
    pub fn room(&self, now_ms: u64) -> u32 {
        if self.is_shut() {
            return 0;
        }
        let fetched = self.line.values().filter(|(came, _)| *came == Came::Fetched).count();
        let fetched = u32::try_from(fetched).unwrap_or(u32::MAX);
        let wanted = self.breaker.wanted(self.places.most(), now_ms);
        wanted.saturating_sub(fetched).min(self.places.seats.saturating_sub(self.here()))
    }

    /// When time alone changes something.
    #[must_use]
    pub fn wake_at_ms(&self, now_ms: u64) -> Option<u64> {
        let sends_away_at_ms = self.sends_away_at_ms().filter(|at_ms| now_ms < *at_ms);
        let breaker = [self.breaker.wake_at_ms(now_ms), self.breaker.ping_at_ms(now_ms)];
        breaker.into_iter().chain([sends_away_at_ms]).flatten().min()
    }

    /// Whether the participant should be asked now whether it answers. Where it says so,
    /// [`pinged`](Self::pinged) has to follow.
    pub fn begin_ping(&mut self, now_ms: u64) -> bool {
        let is_due = self.breaker.ping_at_ms(now_ms).is_some_and(|at_ms| at_ms <= now_ms);
        if is_due {
            self.breaker.begin_ping();
        }
        is_due
    }

    /// The ping came to this.
    pub fn pinged(&mut self, ping: Ping, now_ms: u64) {
        self.breaker.pinged(ping, now_ms);
    }

    /// What people are told.
    #[must_use]
    pub fn view(&self, now_ms: u64) -> View {
        View {
            limit: self.places.limit,
            out: self.places.out(),
            in_line: u32::try_from(self.line.len()).unwrap_or(u32::MAX),
            is_paused: self.is_paused,
            held_since_ms: self.breaker.since_ms(),
            ping_at_ms: self.breaker.ping_at_ms(now_ms),
        }
    }
}
