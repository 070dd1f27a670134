//! Every course of a small desk: what callers, calls, pings and time may do, in every order. In
//! every state of every course the rules must hold.

use std::collections::{BTreeSet, HashSet};

use saga_governor::{Asked, Caller, Came, Desk, Ping, Rank, Timing, Turn, Word, places::Places};

/// Nothing is left to chance, so that the states stay few.
const TIMING: Timing =
    Timing { ping_first_ms: 10, ping_max_ms: 20, relapse_max_ms: 40, gather_ms: 5, wave_ms: 0 };

/// An outage that is longer sends those who come away at once.
const PATIENCE_MS: u64 = 30;

/// Events in one course.
const DEPTH: u8 = 9;

/// Callers in one course.
const CALLERS: u64 = 4;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Course {
    desk: Desk,
    now_ms: u64,
    out: Vec<(Rank, u64, u32)>,
    line: Vec<(Rank, u64)>,
    callers: u64,
    /// Whose last call was not answered, and who has not come again since.
    away: BTreeSet<(Rank, u64)>,
    /// Whose last call was surely not answered, and whose may not have been.
    unanswered: BTreeSet<(Rank, u64)>,
    indefinite: BTreeSet<(Rank, u64)>,
    is_pinging: bool,
    /// Pings are silent, and one call may be tried all the same.
    may_try: bool,
    /// Something that few events lead to.
    rare: Option<&'static str>,
    is_paused: bool,
    limit: u32,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Comes(Rank),
    ComesAgain(Rank, u64),
    /// The first in line leaves.
    Leaves,
    Answered(usize, Word),
    Pinged(Ping),
    TimePasses,
    Pauses,
    Shrinks,
}

impl Course {
    fn new(limit: u32, seats: u32) -> Self {
        let desk = Desk::new(Places::new(limit, seats), TIMING, PATIENCE_MS, 1);
        Self {
            desk,
            now_ms: 0,
            out: Vec::new(),
            line: Vec::new(),
            callers: 0,
            away: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            indefinite: BTreeSet::new(),
            is_pinging: false,
            may_try: false,
            rare: None,
            is_paused: false,
            limit,
        }
    }

    fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.callers < CALLERS {
            events.extend([Rank::Undo, Rank::Committed, Rank::Fresh].map(Event::Comes));
        }
        events.extend(self.away.first().map(|(rank, caller)| Event::ComesAgain(*rank, *caller)));
        if !self.line.is_empty() {
            events.push(Event::Leaves);
        }
        let words = [
            Word::Answered,
            Word::Declined { retry_after_ms: Some(7) },
            Word::NeverSent,
            Word::Indefinite,
            Word::Unknown,
            Word::Unmade,
        ];
        for at in 0..self.out.len() {
            events.extend(words.map(|word| Event::Answered(at, word)));
        }
        if self.is_pinging {
            let pings = [Ping::Answered, Ping::Silent, Ping::Unable];
            events.extend(pings.map(Event::Pinged));
        }
        if self.desk.wake_at_ms(self.now_ms).is_some() {
            events.push(Event::TimePasses);
        }
        if !self.is_paused {
            events.push(Event::Pauses);
        }
        if self.limit > 1 {
            events.push(Event::Shrinks);
        }
        events
    }

    fn after(&self, event: Event) -> Self {
        let mut course = Self { rare: None, ..self.clone() };
        match event {
            Event::Comes(rank) => {
                course.callers += 1;
                course.come(rank, course.callers);
            }
            Event::ComesAgain(rank, caller) => {
                course.away.remove(&(rank, caller));
                course.come(rank, caller);
            }
            Event::Leaves => {
                let (_, ticket) = course.line.remove(0);
                course.desk.leave(ticket);
            }
            Event::Answered(at, word) => {
                let (rank, ticket, round) = course.out.remove(at);
                course.desk.learn(rank, word, round, ticket, course.now_ms);
                course.note((rank, ticket), word);
            }
            Event::Pinged(ping) => {
                course.is_pinging = false;
                course.desk.pinged(ping, course.now_ms);
                course.may_try |= ping == Ping::Silent;
            }
            Event::TimePasses => {
                let at_ms = course.desk.wake_at_ms(course.now_ms).expect("something is due");
                course.now_ms = course.now_ms.max(at_ms);
            }
            Event::Pauses => {
                course.is_paused = true;
                course.desk.pause(true);
            }
            Event::Shrinks => {
                course.limit -= 1;
                course.desk.limit(course.limit);
            }
        }
        if course.desk.begin_ping(course.now_ms) {
            assert!(!course.is_pinging, "one ping at a time");
            course.is_pinging = true;
        }
        course.take_turns();
        course
    }

    fn note(&mut self, who: (Rank, u64), word: Word) {
        self.may_try |= word == Word::Unmade;
        match word {
            Word::Answered | Word::Declined { .. } => {
                self.unanswered.remove(&who);
                self.indefinite.remove(&who);
            }
            Word::Unknown => drop(self.unanswered.insert(who)),
            Word::Indefinite => drop(self.indefinite.insert(who)),
            Word::NeverSent | Word::Unmade => {}
        }
        if word == Word::Unknown {
            self.away.insert(who);
        }
    }

    fn come(&mut self, rank: Rank, ticket: u64) {
        // Whoever comes later is younger. Every other one is fetched.
        let came = if ticket.is_multiple_of(2) { Came::Fetched } else { Came::ByItself };
        let caller = Caller { rank, since_ms: ticket, ticket, caller: ticket, came };
        match self.desk.ask(caller, self.now_ms) {
            Asked::Go { round } => {
                self.judge_turn((rank, ticket));
                self.go(rank, ticket, round);
            }
            Asked::InLine => self.line.push((rank, ticket)),
            Asked::Held => {}
        }
        self.line.sort_unstable();
    }

    fn take_turns(&mut self) {
        for turn in self.desk.turns(self.now_ms) {
            match turn {
                Turn::Go { ticket, rank, round } => {
                    let at = self.line.iter().position(|it| *it == (rank, ticket));
                    self.line.remove(at.expect("it stood in line"));
                    self.judge_turn((rank, ticket));
                    self.go(rank, ticket, round);
                }
                Turn::SentAway { ticket } => self.line.retain(|(_, it)| *it != ticket),
            }
        }
    }

    /// It is the turn of the first. After an outage, those come last whose last call was not
    /// answered.
    fn judge_turn(&mut self, who: (Rank, u64)) {
        let is_held = self.desk.view(self.now_ms).held_since_ms.is_some();
        let may_be_last =
            |it: &(Rank, u64)| self.unanswered.contains(it) || self.indefinite.contains(it);
        for other in &self.line {
            let comes_last = is_held && may_be_last(other);
            assert!(who < *other || comes_last, "{other:?} is overtaken by {who:?}");
            if *other < who {
                self.rare = Some("overtaken for evidence");
            }
            let is_evidence = !is_held || !self.unanswered.contains(&who);
            assert!(is_evidence || may_be_last(other), "{who:?} is asked before {other:?}");
        }
    }

    fn go(&mut self, rank: Rank, ticket: u64, round: u32) {
        assert!(!self.is_paused, "nobody calls a participant that is paused");
        if self.holds() {
            assert!(self.may_try, "nobody calls who is held back");
            (self.may_try, self.rare) = (false, Some("tried in spite of silent pings"));
        }
        self.out.push((rank, ticket, round));
        let most = u32::try_from(self.out.len()).expect("few");
        assert!(most <= self.limit, "{most} calls are out where {} are allowed", self.limit);
        let rest = self.out.iter().filter(|(rank, ..)| *rank != Rank::Undo).count();
        let kept = if self.limit > 1 { 1 } else { 0 };
        let is_rest = rank != Rank::Undo;
        let rest = u32::try_from(rest).expect("few");
        assert!(!is_rest || rest + kept <= self.limit, "no place is left for undo");
    }

    /// Whether everybody is held back.
    fn holds(&self) -> bool {
        self.desk.room(self.now_ms) == 0 && self.desk.view(self.now_ms).held_since_ms.is_some()
    }

    /// What must be so in every state.
    fn judge(&self) {
        let view = self.desk.view(self.now_ms);
        assert_eq!(view.out as usize, self.out.len(), "every place is accounted for");
        assert_eq!(view.in_line as usize, self.line.len(), "the line is what callers were told");
        if let Some(&(rank, _)) = self.line.first() {
            let only_rest = rank != Rank::Undo && !self.out.is_empty();
            let has_more = !self.out.is_empty() && self.out.len() >= self.limit as usize;
            let waits = self.desk.wake_at_ms(self.now_ms).is_some() || self.is_pinging;
            let in_waves = view.held_since_ms.is_some() && !self.out.is_empty();
            assert!(
                only_rest || has_more || waits || in_waves,
                "nobody stands in line for nothing"
            );
        }
        if self.is_paused {
            assert_eq!(self.desk.room(self.now_ms), 0);
        } else if view.held_since_ms.is_some() {
            let goes_on = self.desk.wake_at_ms(self.now_ms).is_some()
                || self.is_pinging
                || !self.out.is_empty()
                || self.desk.room(self.now_ms) > 0;
            assert!(goes_on, "an outage is not for ever");
        }
    }
}

fn walk(course: Course, depth: u8, seen: &mut HashSet<(Course, u8)>, met: &mut HashSet<String>) {
    course.judge();
    if depth == 0 || !seen.insert((course.clone(), depth)) {
        return;
    }
    for event in course.events() {
        let name = format!("{event:?}");
        met.insert(name.split_once('(').map_or(name.clone(), |(name, _)| name.to_owned()));
        let after = course.after(event);
        met.extend(after.rare.map(str::to_owned));
        walk(after, depth - 1, seen, met);
    }
}

#[test]
fn every_course_of_a_small_desk_keeps_the_rules() {
    let mut met = HashSet::new();
    let mut states = 0;
    for (limit, seats) in [(1_u8, 9), (2, 9), (3, 9), (2, 2)] {
        let mut seen = HashSet::new();
        walk(Course::new(limit.into(), seats), DEPTH - limit, &mut seen, &mut met);
        states += seen.len();
    }
    println!("{states} states");
    assert!(states > 10_000, "{states}");
    assert_eq!(met.len(), 10, "{met:?}");
}
