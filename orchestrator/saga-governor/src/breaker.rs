//! Whether a participant takes calls at all: closed while it does, open during an outage, and
//! letting calls through in growing waves when it answers again.

use crate::{
    Rank, Word,
    evidence::{Declines, Run, TOLD_APART_MAX, Unanswered, Who},
    timing::{Timing, drawn, jittered},
};

/// Calls in a row without an answer after which a participant is held back although it answers
/// pings, or cannot be pinged. Those that left are of so many different callers.
const RUN_MAX: u32 = 5;

/// Where pings are silent a call is tried at every one of so many of them: there are participants
/// that answer calls alone.
const SILENT_MAX: u32 = 256;

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
    /// Calls that left in another round say nothing about this one, unless they are answered.
    /// Even: those whose last call was not answered go beside the others, under the next number.
    round: u32,
    /// Calls of this round that are out.
    round_out: u32,
    beside_out: u32,
    /// Since when calls are held back, through waves that failed.
    since_ms: Option<u64>,
    /// Waves that failed in a row.
    relapses: u32,
    declines: Declines,
    unanswered: Unanswered,
    /// The participant asked for a pause until then.
    rest_until_ms: u64,
    suspicion: Suspicion,
    pinged_at_ms: Option<u64>,
    /// Whether pings say anything.
    can_ping: bool,
    /// Whether a ping was ever answered, and whether a call ever left.
    was_pinged: bool,
    was_called: bool,
    is_pinging: bool,
    dice: u64,
}

/// Open: with its pings that were silent, and whether a call is to be tried in spite of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Closed { never_sent: Run, unknown: Run },
    Open { ping_at_ms: u64, pause_ms: u64, silent: u32, tries: bool },
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

impl State {
    fn closed() -> Self {
        Self::Closed { never_sent: Run::default(), unknown: Run::default() }
    }
}

impl Breaker {
    /// A breaker of a participant of which nothing is known. `seed` tells its jitter from that
    /// of others.
    #[must_use]
    pub fn new(timing: Timing, seed: u64) -> Self {
        Self {
            timing,
            state: State::closed(),
            round: 0,
            round_out: 0,
            beside_out: 0,
            since_ms: None,
            relapses: 0,
            declines: Declines::default(),
            unanswered: Unanswered::default(),
            rest_until_ms: 0,
            suspicion: Suspicion::None,
            pinged_at_ms: None,
            can_ping: true,
            was_pinged: false,
            was_called: false,
            is_pinging: false,
            dice: seed,
        }
    }

    /// Whether this caller may go now, where so many calls of undo are out.
    pub(crate) fn lets(&self, who: Who, undo_out: u32, now_ms: u64) -> bool {
        let tries = who.0 == Rank::Undo && undo_out == 0;
        match self.state {
            _ if self.suspicion == Suspicion::Strong => false,
            // Not even a pause that all were asked for keeps effects from being taken back.
            _ if now_ms < self.rest_until_ms && !tries => false,
            State::Closed { .. } => true,
            State::Waves { opens_at_ms, .. } if now_ms < opens_at_ms => false,
            State::Waves { size, .. } if self.unanswered.has(who) => {
                self.beside_out < size && (self.are_answered() || self.round_out == 0)
            }
            State::Waves { size, .. } => self.round_out < size,
            State::Open { tries, .. } => tries,
        }
    }

    /// Whether this caller's last call was not answered: what becomes of the next one says
    /// little about others.
    pub(crate) fn is_beside(&self, who: Who) -> bool {
        self.unanswered.has(who)
    }

    /// Whether those come behind all others, and not by their age. Every other wave that fails
    /// is one of the oldest: they may have something else to ask after their last attempt.
    pub(crate) fn puts_beside_last(&self) -> bool {
        match self.state {
            State::Closed { .. } => false,
            _ => self.are_answered() || self.relapses.is_multiple_of(2),
        }
    }

    /// Whether calls are answered now, as far as is known.
    fn are_answered(&self) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Waves { size, good, .. } => 1 < size || 0 < good,
            State::Open { .. } => false,
        }
    }

    /// This caller goes. Answers the round of its call.
    pub(crate) fn goes(&mut self, who: Who) -> u32 {
        if let State::Open { tries, .. } = &mut self.state {
            *tries = false;
        }
        if self.unanswered.has(who) {
            self.beside_out = self.beside_out.saturating_add(1);
            return self.round + 1;
        }
        self.round_out = self.round_out.saturating_add(1);
        self.round
    }

    /// Calls that it is worth to have ready, of `most` that may be out.
    #[must_use]
    pub fn wanted(&self, most: u32, now_ms: u64) -> u32 {
        let twice = most.saturating_mul(2);
        let others = match self.state {
            State::Open { tries, .. } if !tries => return 0,
            _ if now_ms < self.rest_until_ms => return 1,
            State::Closed { .. } => return twice,
            State::Open { .. } => 1,
            State::Waves { size, .. } => size.saturating_mul(2).max(8).min(twice),
        };
        // Those whose calls hang may be the oldest.
        others.saturating_add(self.unanswered.count())
    }

    /// Since when nobody is let through, where that is so now.
    #[must_use]
    pub fn open_since_ms(&self) -> Option<u64> {
        self.since_ms.filter(|_| matches!(self.state, State::Open { tries: false, .. }))
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
        self.was_pinged |= ping == Ping::Answered;
        self.can_ping = match ping {
            Ping::Answered => true,
            Ping::Silent => self.can_ping,
            Ping::Unable => false,
        };
        let suspicion = std::mem::replace(&mut self.suspicion, Suspicion::None);
        match (&mut self.state, ping) {
            (State::Open { ping_at_ms, pause_ms, silent, tries }, Ping::Silent)
                if self.can_ping =>
            {
                *silent = silent.saturating_add(1);
                let may_be_deaf = self.was_called && !self.was_pinged;
                *tries |=
                    silent.is_multiple_of(SILENT_MAX) || may_be_deaf && silent.is_power_of_two();
                let longest_ms = self.timing.ping_max_ms.max(*pause_ms);
                *pause_ms = pause_ms.saturating_mul(2).min(longest_ms);
                let pause_ms = *pause_ms;
                *ping_at_ms = now_ms.saturating_add(jittered(&mut self.dice, pause_ms));
            }
            (State::Open { .. }, _) => self.begin_waves(1, now_ms),
            (_, Ping::Silent) if suspicion != Suspicion::None => {
                self.open(self.timing.relapse_max_ms, now_ms);
            }
            _ => {}
        }
    }

    /// A call of `round`, made for `who`, came to this. `most` is what is out at most where
    /// nothing is held back.
    pub(crate) fn learn(&mut self, word: Word, round: u32, who: Who, most: u32, now_ms: u64) {
        let (is_beside, is_of_this) = (round == self.round + 1, round / 2 == self.round / 2);
        let out = if is_beside { &mut self.beside_out } else { &mut self.round_out };
        *out = out.saturating_sub(is_of_this.into());
        self.was_called |= !matches!(word, Word::NeverSent | Word::Unmade);
        let is_good = match word {
            Word::Answered | Word::Declined { .. } => {
                self.is_answered(who, now_ms);
                true
            }
            // Whoever answers pings has said that of the call.
            Word::Indefinite => self.can_ping,
            Word::NeverSent | Word::Unknown => false,
            Word::Unmade => {
                if let State::Open { tries, .. } = &mut self.state {
                    *tries |= is_of_this;
                }
                return;
            }
        };
        if !is_good && word != Word::NeverSent {
            self.unanswered.add(who);
        }
        if is_beside && !is_good && (self.are_answered() || 0 < self.round_out) {
            self.suspect(word, now_ms);
        } else if is_of_this {
            self.weigh((word, is_good), is_beside, who.1, most, now_ms);
        }
    }

    /// A call was answered, whenever it left: that tells more than any ping, and stands for the
    /// first wave.
    fn is_answered(&mut self, who: Who, now_ms: u64) {
        self.unanswered.remove(who);
        self.suspicion = Suspicion::None;
        if let State::Open { silent, .. } = self.state {
            self.can_ping &= silent == 0;
            self.begin_waves(2, now_ms);
        }
    }

    /// What a call of this round says.
    fn weigh(
        &mut self,
        (word, is_good): (Word, bool),
        is_beside: bool,
        caller: u64,
        most: u32,
        now_ms: u64,
    ) {
        if let Some(rest_ms) = self.declines.rest_ms(word, caller) {
            self.rest_until_ms = now_ms.saturating_add(rest_ms);
        }
        match &mut self.state {
            State::Open { .. } => {}
            State::Closed { .. } if is_good => {
                self.state = State::closed();
                if word == Word::Indefinite {
                    self.suspect(word, now_ms);
                }
            }
            State::Closed { never_sent, unknown } => {
                let run = if word == Word::NeverSent { &mut *never_sent } else { &mut *unknown };
                run.add(caller);
                // What never left at some of the addresses, while another answers pings, is none.
                let is_outage = unknown.callers() == TOLD_APART_MAX
                    || !self.can_ping && RUN_MAX <= never_sent.times;
                if is_outage {
                    self.relapse(is_beside, now_ms);
                } else {
                    self.suspect(word, now_ms);
                }
            }
            State::Waves { size, opens_at_ms, good, bad, .. } => {
                *good += u32::from(is_good);
                *bad += u32::from(!is_good);
                if *good < *bad && *size <= *good + *bad || RUN_MAX <= *bad && *good == 0 {
                    self.relapse(is_beside, now_ms);
                } else if *size <= *good + *bad {
                    (*size, *good, *bad) = (size.saturating_mul(2), 0, 0);
                    self.relapses = 0;
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

    fn suspect(&mut self, word: Word, now_ms: u64) {
        let is_news =
            self.pinged_at_ms.is_none_or(|at_ms| at_ms.saturating_add(PING_AGAIN_MS) <= now_ms);
        if !self.can_ping || !is_news || matches!(self.state, State::Open { .. }) {
            return;
        }
        self.suspicion = match (self.suspicion, word) {
            (Suspicion::Strong, _) | (_, Word::NeverSent) => Suspicion::Strong,
            _ => Suspicion::Some,
        };
    }

    /// It answers pings, or cannot be pinged, and not calls: waits longer each time. Whether
    /// others are answered is asked often where all that is known is whose calls are not.
    fn relapse(&mut self, is_beside: bool, now_ms: u64) {
        self.relapses = self.relapses.saturating_add(1);
        let Timing { ping_max_ms, relapse_max_ms, .. } = self.timing;
        // Where only calls tell whether it answers, the next ones are its ping.
        let is_rare = self.can_ping && !is_beside;
        self.open(if is_rare { relapse_max_ms } else { ping_max_ms }, now_ms);
    }

    /// Holds everybody back, for so long at most until the next ping.
    fn open(&mut self, longest_ms: u64, now_ms: u64) {
        self.begin_round();
        self.since_ms.get_or_insert(now_ms);
        self.suspicion = Suspicion::None;
        let doublings = self.relapses.saturating_sub(1).min(20);
        let ping_first_ms = self.timing.ping_first_ms;
        let pause_ms = (ping_first_ms << doublings).min(longest_ms.max(ping_first_ms));
        let ping_at_ms = now_ms.saturating_add(jittered(&mut self.dice, pause_ms));
        self.state = State::Open { ping_at_ms, pause_ms, silent: 0, tries: false };
    }

    /// Lets callers through again, so many at first.
    fn begin_waves(&mut self, size: u32, now_ms: u64) {
        self.begin_round();
        let opens_at_ms = now_ms.saturating_add(self.timing.gather_ms);
        self.state = State::Waves { size, opens_at_ms, good: 0, bad: 0 };
    }

    fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(2);
        (self.round_out, self.beside_out) = (0, 0);
    }

    fn close(&mut self) {
        self.state = State::closed();
        self.since_ms = None;
    }
}
