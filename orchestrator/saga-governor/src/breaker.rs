//! Whether a participant takes calls at all: closed while it does, open during an outage, and
//! letting calls through in growing waves when it answers again.

use crate::Word;

/// How a breaker waits, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// The pause before the first ping of an outage. It doubles from ping to ping.
    pub ping_first_ms: u64,
    /// The longest pause between two pings of a participant that is silent.
    pub ping_max_ms: u64,
    /// The longest pause where pings are answered and calls are not.
    pub relapse_max_ms: u64,
    /// From the ping that was answered to the first wave: time to fetch those who come first.
    pub gather_ms: u64,
    /// The longest pause between two waves. It is drawn by lot.
    pub wave_ms: u64,
}

impl Timing {
    /// What a node uses.
    pub const USUAL: Self = Self {
        ping_first_ms: 250,
        ping_max_ms: 5_000,
        relapse_max_ms: 60_000,
        gather_ms: 250,
        wave_ms: 50,
    };
}

/// Calls in a row without an answer after which a participant is held back although it answers
/// pings, or cannot be pinged.
const RUN_MAX: u32 = 5;

/// So many different callers must have met it: one call that is never answered is no outage.
const CALLERS_MIN: usize = 3;

/// Declines in a row after which everybody waits as long as the participant asks for.
const DECLINES_MAX: u32 = 8;

/// A ping is no news for so long.
const PING_AGAIN_MS: u64 = 1_000;

/// What became of a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ping {
    /// Something answered, whatever it said.
    Answered,
    /// Nothing did, at any address.
    Silent,
    /// There is no way to ping it: only calls tell.
    Unable,
}

/// The breaker of one participant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Breaker {
    timing: Timing,
    state: State,
    /// Calls that left in another round say nothing about this one.
    round: u32,
    /// Since when calls are held back, through waves that failed.
    since_ms: Option<u64>,
    /// Waves that failed in a row.
    relapses: u32,
    declines: u32,
    /// The participant asked for a pause until then.
    rest_until_ms: u64,
    suspicion: Suspicion,
    pinged_at_ms: Option<u64>,
    can_ping: bool,
    is_pinging: bool,
    dice: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Closed { run: Run },
    Open { ping_at_ms: u64, pause_ms: u64 },
    Waves { size: u32, opens_at_ms: u64, good: u32, bad: u32 },
}

/// What the last call says about the participant, before a ping tells more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Suspicion {
    None,
    /// A ping should tell. Calls go on.
    Some,
    /// A ping should tell, and nobody calls before.
    Strong,
}

/// Calls in a row that were not answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Run {
    never_sent: u32,
    unknown: u32,
    /// Some of those whose call was not answered.
    callers: Vec<u64>,
}

impl Run {
    fn add(&mut self, word: Word, caller: u64) {
        let count = match word {
            Word::NeverSent => &mut self.never_sent,
            _ => &mut self.unknown,
        };
        *count = count.saturating_add(1);
        if self.callers.len() < CALLERS_MIN && !self.callers.contains(&caller) {
            self.callers.push(caller);
        }
    }

    /// Whether this is an outage. What never left at some of the addresses, while another
    /// answers pings, is none.
    fn is_outage(&self, can_ping: bool) -> bool {
        let hangs = RUN_MAX <= self.unknown && CALLERS_MIN <= self.callers.len();
        hangs || !can_ping && RUN_MAX <= self.never_sent
    }
}

impl Breaker {
    /// A breaker of a participant of which nothing is known. `seed` tells its jitter from that
    /// of others.
    #[must_use]
    pub fn new(timing: Timing, seed: u64) -> Self {
        Self {
            timing,
            state: State::Closed { run: Run::default() },
            round: 0,
            since_ms: None,
            relapses: 0,
            declines: 0,
            rest_until_ms: 0,
            suspicion: Suspicion::None,
            pinged_at_ms: None,
            can_ping: true,
            is_pinging: false,
            dice: seed,
        }
    }

    /// Which calls leave now.
    #[must_use]
    pub fn round(&self) -> u32 {
        self.round
    }

    /// Calls that may be out now at most.
    #[must_use]
    pub fn cap(&self, now_ms: u64) -> u32 {
        match self.state {
            State::Open { .. } => 0,
            _ if now_ms < self.rest_until_ms || self.suspicion == Suspicion::Strong => 0,
            State::Closed { .. } => u32::MAX,
            State::Waves { opens_at_ms, .. } if now_ms < opens_at_ms => 0,
            State::Waves { size, .. } => size,
        }
    }

    /// Calls that it is worth to have ready.
    #[must_use]
    pub fn wanted(&self, now_ms: u64) -> u32 {
        match self.state {
            State::Open { .. } => 0,
            _ if now_ms < self.rest_until_ms => 0,
            State::Closed { .. } => u32::MAX,
            State::Waves { size, .. } => size.saturating_mul(2).max(8),
        }
    }

    /// Since when everybody is held back, where that is so now.
    #[must_use]
    pub fn open_since_ms(&self) -> Option<u64> {
        self.since_ms.filter(|_| matches!(self.state, State::Open { .. }))
    }

    /// Since when calls are held back, all or some.
    #[must_use]
    pub fn since_ms(&self) -> Option<u64> {
        self.since_ms
    }

    /// When the next ping is due, where one is.
    #[must_use]
    pub fn ping_at_ms(&self, now_ms: u64) -> Option<u64> {
        match self.state {
            _ if self.is_pinging => None,
            State::Open { ping_at_ms, .. } => Some(ping_at_ms),
            _ if self.suspicion != Suspicion::None => Some(now_ms),
            _ => None,
        }
    }

    /// When time alone changes something, beside a ping.
    #[must_use]
    pub fn wake_at_ms(&self, now_ms: u64) -> Option<u64> {
        let opens_at_ms = match self.state {
            State::Waves { opens_at_ms, .. } => Some(opens_at_ms),
            _ => None,
        };
        let times = [opens_at_ms, Some(self.rest_until_ms)];
        times.into_iter().flatten().filter(|at_ms| now_ms < *at_ms).min()
    }

    /// A ping leaves.
    pub fn begin_ping(&mut self) {
        self.is_pinging = true;
    }

    /// A ping came to this.
    pub fn pinged(&mut self, ping: Ping, now_ms: u64) {
        self.is_pinging = false;
        self.pinged_at_ms = Some(now_ms);
        self.can_ping = ping != Ping::Unable;
        let suspicion = std::mem::replace(&mut self.suspicion, Suspicion::None);
        match (&mut self.state, ping) {
            (State::Open { ping_at_ms, pause_ms }, Ping::Silent) => {
                let longest_ms = self.timing.ping_max_ms.max(*pause_ms);
                *pause_ms = pause_ms.saturating_mul(2).min(longest_ms);
                let pause_ms = *pause_ms;
                *ping_at_ms = now_ms.saturating_add(jittered(&mut self.dice, pause_ms));
            }
            (State::Open { .. }, Ping::Answered | Ping::Unable) => {
                self.round = self.round.wrapping_add(1);
                let opens_at_ms = now_ms.saturating_add(self.timing.gather_ms);
                self.state = State::Waves { size: 1, opens_at_ms, good: 0, bad: 0 };
            }
            (_, Ping::Silent) if suspicion != Suspicion::None => self.open(now_ms),
            _ => {}
        }
    }

    /// A call of `round`, made for `caller`, came to this. `most` is what is out at most where
    /// nothing is held back.
    pub fn learn(&mut self, word: Word, round: u32, caller: u64, most: u32, now_ms: u64) {
        if word == Word::Unmade {
            return;
        }
        if round != self.round {
            // It left before the outage, or before the waves. That one answers is news.
            if let (State::Open { ping_at_ms, .. }, Word::Answered) = (&mut self.state, word) {
                *ping_at_ms = now_ms.min(*ping_at_ms);
            }
            return;
        }
        self.count_declines(word, now_ms);
        let is_good = match word {
            Word::Answered | Word::Declined { .. } => true,
            // Whoever answers pings has said that of the call.
            Word::Indefinite => self.can_ping,
            Word::NeverSent | Word::Unknown | Word::Unmade => false,
        };
        match &mut self.state {
            State::Open { .. } => {}
            State::Closed { run } if is_good => {
                run.clone_from(&Run::default());
                if word == Word::Indefinite {
                    self.suspect(word, now_ms);
                }
            }
            State::Closed { run } => {
                run.add(word, caller);
                if run.is_outage(self.can_ping) {
                    self.relapse(now_ms);
                } else {
                    self.suspect(word, now_ms);
                }
            }
            State::Waves { size, opens_at_ms, good, bad } => {
                *good += u32::from(is_good);
                *bad += u32::from(!is_good);
                if *good < *bad && *size <= *good + *bad || RUN_MAX <= *bad && *good == 0 {
                    self.relapse(now_ms);
                } else if *size <= *good + *bad {
                    (*size, *good, *bad) = (size.saturating_mul(2), 0, 0);
                    let is_last = most <= *size;
                    let pause_ms = drawn(&mut self.dice, self.timing.wave_ms);
                    *opens_at_ms = now_ms.saturating_add(pause_ms);
                    if is_last {
                        self.close();
                    }
                }
            }
        }
    }

    /// A participant that declines all calls and says for how long is left alone for so long.
    fn count_declines(&mut self, word: Word, now_ms: u64) {
        let Word::Declined { retry_after_ms } = word else {
            self.declines = 0;
            return;
        };
        self.declines = self.declines.saturating_add(1);
        if let Some(after_ms) = retry_after_ms.filter(|_| DECLINES_MAX <= self.declines) {
            self.rest_until_ms = now_ms.saturating_add(after_ms);
            self.declines = 0;
        }
    }

    fn suspect(&mut self, word: Word, now_ms: u64) {
        let is_news =
            self.pinged_at_ms.is_none_or(|at_ms| at_ms.saturating_add(PING_AGAIN_MS) <= now_ms);
        if !self.can_ping || !is_news {
            return;
        }
        self.suspicion = match (self.suspicion, word) {
            (Suspicion::Strong, _) | (_, Word::NeverSent) => Suspicion::Strong,
            _ => Suspicion::Some,
        };
    }

    /// It answers pings, or cannot be pinged, and not calls: waits longer each time.
    fn relapse(&mut self, now_ms: u64) {
        self.relapses = self.relapses.saturating_add(1);
        self.open(now_ms);
    }

    fn open(&mut self, now_ms: u64) {
        self.round = self.round.wrapping_add(1);
        self.since_ms.get_or_insert(now_ms);
        self.suspicion = Suspicion::None;
        let doublings = self.relapses.saturating_sub(1).min(20);
        let pause_ms = self.timing.ping_first_ms << doublings;
        // Where only calls tell whether it answers, the next ones are its ping.
        let Timing { ping_first_ms, ping_max_ms, relapse_max_ms, .. } = self.timing;
        let longest_ms = if self.can_ping { relapse_max_ms } else { ping_max_ms };
        let pause_ms = pause_ms.min(longest_ms.max(ping_first_ms));
        let ping_at_ms = now_ms.saturating_add(jittered(&mut self.dice, pause_ms));
        self.state = State::Open { ping_at_ms, pause_ms };
    }

    fn close(&mut self) {
        self.state = State::Closed { run: Run::default() };
        self.since_ms = None;
        self.relapses = 0;
    }
}

/// Between a half and the whole of `longest_ms`.
fn jittered(dice: &mut u64, longest_ms: u64) -> u64 {
    longest_ms / 2 + drawn(dice, longest_ms - longest_ms / 2)
}

/// Between 0 and `longest_ms`.
fn drawn(dice: &mut u64, longest_ms: u64) -> u64 {
    if longest_ms == 0 {
        return 0;
    }
    // SplitMix64 (Steele, Lea, Flood 2014).
    *dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *dice;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % (longest_ms + 1)
}
