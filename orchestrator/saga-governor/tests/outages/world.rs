//! A participant in virtual time, its desk, and all who want to call it.

use std::collections::{BTreeMap, BTreeSet};

use saga_governor::{Asked, Caller, Came, Desk, Ping, Rank, Timing, Turn, Word, places::Places};

pub(crate) const LIMIT: u32 = 16;
pub(crate) const CALL_MS: u64 = 20;
pub(crate) const PATIENCE_MS: u64 = 2_000;

/// A participant, its desk, and all who want to call it.
pub(crate) struct World {
    pub(crate) desk: Desk,
    pub(crate) now_ms: u64,
    /// Who waits to be fetched: what the log holds.
    held: BTreeSet<(Rank, u64)>,
    /// With the time at which they leave it.
    line: BTreeMap<u64, (Rank, u64)>,
    /// When each call ends.
    pub(crate) out: Vec<(u64, Rank, u64, u32)>,
    pub(crate) is_up: bool,
    pub(crate) hangs: bool,
    /// What a ping comes to. `None`: whether it is up.
    pub(crate) ping: Option<Ping>,
    /// Whose own calls come to something else, and after how long.
    pub(crate) odd: BTreeMap<u64, (Word, u64)>,
    /// Who is called in vain comes again after a pause; after so many calls it asks what became
    /// of them, and is answered.
    pub(crate) asks_after: Option<usize>,
    in_vain: Vec<u64>,
    /// Who comes again, and when.
    later: Vec<(u64, Rank, u64)>,
    /// In the order in which they were answered.
    pub(crate) done: Vec<(Rank, u64)>,
    pub(crate) tries: u64,
    pub(crate) pings: u64,
    pub(crate) out_max: usize,
}

impl World {
    pub(crate) fn new() -> Self {
        let places = Places::new(LIMIT, 1_000);
        Self {
            desk: Desk::new(places, Timing::USUAL, PATIENCE_MS, 7),
            now_ms: 1,
            held: BTreeSet::new(),
            line: BTreeMap::new(),
            out: Vec::new(),
            is_up: true,
            hangs: false,
            ping: None,
            odd: BTreeMap::new(),
            asks_after: None,
            in_vain: Vec::new(),
            later: Vec::new(),
            done: Vec::new(),
            tries: 0,
            pings: 0,
            out_max: 0,
        }
    }

    pub(crate) fn come(&mut self, rank: Rank, caller: u64) {
        self.ask(rank, caller, Came::ByItself);
    }

    fn ask(&mut self, rank: Rank, caller: u64, came: Came) {
        match self.desk.ask(of(rank, caller, came), self.now_ms) {
            Asked::Go { round } => self.go(rank, caller, round),
            Asked::InLine => {
                let patience_ms = if came == Came::Fetched { u64::MAX } else { PATIENCE_MS };
                self.line.insert(caller, (rank, self.now_ms.saturating_add(patience_ms)));
            }
            Asked::Held => drop(self.held.insert((rank, caller))),
        }
    }

    fn go(&mut self, rank: Rank, caller: u64, round: u32) {
        self.tries += 1;
        let span_ms = match self.odd.get(&caller) {
            Some((_, span_ms)) if self.is_up => *span_ms,
            _ if self.is_up && !self.hangs => CALL_MS,
            _ => 1,
        };
        self.out.push((self.now_ms + span_ms, rank, caller, round));
        self.out_max = self.out_max.max(self.out.len());
    }

    fn asks(&self, rank: Rank) -> bool {
        self.asks_after.is_some() && rank == Rank::Undo
    }

    /// One millisecond.
    pub(crate) fn tick(&mut self) {
        self.now_ms += 1;
        let (over, out) = self.out.iter().partition(|it| it.0 <= self.now_ms);
        self.out = out;
        for (_, rank, caller, round) in Vec::from_iter::<Vec<_>>(over) {
            let word = match self.odd.get(&caller).filter(|_| !self.asks(rank)) {
                Some((word, _)) if self.is_up => *word,
                _ if !self.is_up => Word::NeverSent,
                _ if self.hangs => Word::Unknown,
                _ => Word::Answered,
            };
            self.desk.learn(rank, word, round, caller, self.now_ms);
            match word {
                Word::Answered => self.done.push((rank, caller)),
                _ => match self.asks_after {
                    None => self.come(rank, caller),
                    Some(most) => {
                        self.in_vain.push(caller);
                        let times = self.in_vain.iter().filter(|it| **it == caller).count();
                        let rank = if times < most { rank } else { Rank::Undo };
                        self.later.push((self.now_ms + CALL_MS, rank, caller));
                    }
                },
            }
        }
        for (_, rank, caller) in
            self.later.extract_if(.., |it| it.0 <= self.now_ms).collect::<Vec<_>>()
        {
            self.come(rank, caller);
        }
        if self.desk.begin_ping(self.now_ms) {
            self.pings += 1;
            let here = if self.is_up { Ping::Answered } else { Ping::Silent };
            self.desk.pinged(self.ping.unwrap_or(here), self.now_ms);
        }
        for turn in self.desk.turns(self.now_ms) {
            match turn {
                Turn::Go { ticket, round, .. } => {
                    let (rank, _) = self.line.remove(&ticket).expect("it stood in line");
                    self.go(rank, ticket, round);
                }
                Turn::SentAway { ticket } => {
                    let (rank, _) = self.line.remove(&ticket).expect("it stood in line");
                    self.held.insert((rank, ticket));
                }
            }
        }
        let leave = self.line.iter().filter(|(_, (_, until_ms))| *until_ms <= self.now_ms);
        let leave: Vec<u64> = leave.map(|(caller, _)| *caller).collect();
        for caller in leave {
            self.desk.leave(caller);
            let (rank, _) = self.line.remove(&caller).expect("it stood in line");
            self.held.insert((rank, caller));
        }
        for _ in 0..self.desk.room(self.now_ms) {
            let Some((rank, caller)) = self.held.pop_first() else { break };
            self.ask(rank, caller, Came::Fetched);
        }
    }

    pub(crate) fn run(&mut self, span_ms: u64) {
        for _ in 0..span_ms {
            self.tick();
        }
    }

    /// Whether this caller, which comes now, is answered in that time. It is called for no longer.
    pub(crate) fn is_answered(&mut self, caller: u64, within_ms: u64) -> bool {
        self.come(Rank::Fresh, caller);
        let until_ms = self.now_ms + within_ms;
        while self.now_ms < until_ms {
            self.tick();
            if self.done.last() == Some(&(Rank::Fresh, caller)) {
                return true;
            }
        }
        false
    }
}

pub(crate) fn of(rank: Rank, caller: u64, came: Came) -> Caller {
    Caller { rank, since_ms: caller, ticket: caller, caller, came }
}

/// Callers come at an even pace, each the first time for its saga.
pub(crate) fn crowd(world: &mut World, callers: std::ops::Range<u64>, over_ms: u64) {
    let each_ms = over_ms / (callers.end - callers.start);
    for caller in callers {
        world.come(Rank::Fresh, caller);
        world.run(each_ms);
    }
}
