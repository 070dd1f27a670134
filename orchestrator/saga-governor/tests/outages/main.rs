//! Outages in virtual time: a thousand callers, a participant that goes away and comes again.

use saga_governor::{Asked, Came, Desk, Ping, Rank, Timing, Turn, Word, places::Places};

use world::{CALL_MS, LIMIT, PATIENCE_MS, World, crowd, of};

mod evidence;
mod world;

#[test]
fn an_outage_costs_few_tries_and_drains_in_less_than_twice_the_time_of_its_calls() {
    for outage_ms in [3_000, 60_000, 600_000] {
        let mut world = World::new();
        world.is_up = false;
        crowd(&mut world, 1..2_001, outage_ms - outage_ms % 2_000);
        let tries = world.tries;
        assert!(tries < 20, "{tries} tries of a participant that is not there");
        assert!(world.pings < 20 + outage_ms / 2_000, "{} pings", world.pings);
        assert_eq!(world.done, []);

        world.is_up = true;
        let up_ms = world.now_ms;
        while world.done.len() < 2_000 {
            world.tick();
            assert!(world.now_ms < up_ms + 60_000, "{} done", world.done.len());
        }
        // From when it may know: a ping is due within five seconds.
        let needed_ms = 2_000 * CALL_MS / u64::from(LIMIT - LIMIT / 8);
        let took_ms = world.now_ms - up_ms;
        assert!(took_ms < 5_250 + 2 * needed_ms, "{took_ms} ms where {needed_ms} are needed");
        assert!(world.out_max <= LIMIT as usize);
        assert_eq!(world.tries, tries + 2_000, "one try each");
    }
}

#[test]
fn undo_comes_first_then_what_is_behind_its_pivot_then_the_oldest() {
    let mut world = World::new();
    world.is_up = false;
    crowd(&mut world, 1..101, 10_000);
    for caller in 101..111 {
        world.come(Rank::Committed, caller);
        world.come(Rank::Undo, caller + 100);
    }
    world.is_up = true;
    world.run(30_000);
    assert_eq!(world.done.len(), 120);
    let place = |rank| {
        let places = world.done.iter().enumerate().filter(|(_, it)| it.0 == rank);
        let places: Vec<usize> = places.map(|(at, _)| at).collect();
        (places[0], places[places.len() - 1])
    };
    assert_eq!(place(Rank::Undo), (0, 9));
    // A wave may overlap the one before.
    assert!(place(Rank::Committed).1 < 20 + LIMIT as usize);
    let fresh = world.done.iter().filter(|it| it.0 == Rank::Fresh).map(|it| it.1);
    assert!(fresh.is_sorted());
}

/// Who was sent away is older than all who come later, and is not overtaken by them for ever.
#[test]
fn a_crowd_that_never_ends_keeps_nobody_away() {
    let mut world = World::new();
    world.is_up = false;
    crowd(&mut world, 1..201, 4_000);
    world.is_up = true;
    // A third more than it can take.
    crowd(&mut world, 201..10_201, 10_000);
    let oldest = world.done.iter().filter(|it| it.1 <= 200).count();
    assert_eq!(oldest, 200, "of those who waited");
}

#[test]
fn it_comes_back_in_growing_waves() {
    let mut world = World::new();
    world.is_up = false;
    crowd(&mut world, 1..401, 4_000);
    world.is_up = true;
    let mut out = vec![0];
    while world.done.len() < 400 {
        world.tick();
        if out.last() != Some(&world.out.len()) && !world.out.is_empty() {
            out.push(world.out.len());
        }
    }
    let first = |size| out.iter().position(|it| *it >= size).expect("it grows");
    assert!(first(1) < first(2) && first(2) < first(4) && first(4) < first(8), "{out:?}");
}

#[test]
fn a_participant_that_answers_pings_and_no_calls_is_tried_ever_more_rarely() {
    let mut world = World::new();
    world.hangs = true;
    crowd(&mut world, 1..101, 100);
    world.run(3_600_000);
    assert!((30..200).contains(&world.tries), "{} tries in an hour", world.tries);
    world.hangs = false;
    world.run(70_000);
    assert_eq!(world.done.len(), 100);
}

#[test]
fn one_address_of_two_that_refuses_is_no_outage() {
    let mut desk = Desk::new(Places::new(64, 100), Timing::USUAL, PATIENCE_MS, 1);
    for turn in 0..1_000 {
        let Asked::Go { round } = desk.ask(of(Rank::Fresh, turn, Came::ByItself), turn) else {
            panic!("held back at {turn}");
        };
        // All refusals of a while come before the first answer.
        let word = if turn % 100 < 60 { Word::NeverSent } else { Word::Answered };
        desk.learn(Rank::Fresh, word, round, turn, turn);
        if desk.begin_ping(turn) {
            desk.pinged(Ping::Answered, turn);
        }
    }
}

#[test]
fn one_call_that_is_never_answered_is_no_outage() {
    let mut desk = Desk::new(Places::new(64, 100), Timing::USUAL, PATIENCE_MS, 1);
    for turn in 0..1_000 {
        let Asked::Go { round } = desk.ask(of(Rank::Fresh, turn, Came::ByItself), turn * 1_000)
        else {
            panic!("held back at {turn}");
        };
        desk.learn(Rank::Fresh, Word::Unknown, round, 1, turn * 1_000);
        if desk.begin_ping(turn * 1_000) {
            desk.pinged(Ping::Answered, turn * 1_000);
        }
    }
}

/// Whose undo is broken, or whose database is away, says so itself, call by call: its sagas go
/// on by their own pauses and attempts, and its other methods are called.
#[test]
fn who_answers_pings_is_not_held_back_for_what_it_says_of_calls() {
    let mut desk = Desk::new(Places::new(64, 100), Timing::USUAL, PATIENCE_MS, 1);
    let mut pings = 0;
    for turn in 0..1_000 {
        let now_ms = turn * 100;
        let asked = desk.ask(of(Rank::Fresh, turn, Came::ByItself), now_ms);
        let Asked::Go { round } = asked else { panic!("held back at {turn}: {asked:?}") };
        desk.learn(Rank::Fresh, Word::Indefinite, round, turn, now_ms);
        if desk.begin_ping(now_ms) {
            pings += 1;
            desk.pinged(Ping::Answered, now_ms);
        }
    }
    assert_eq!(pings, 100, "it is asked once a second");
}

/// A proxy says that of each call, and has no other answer to a ping.
#[test]
fn a_proxy_with_nobody_behind_it_is_an_outage() {
    let mut desk = Desk::new(Places::new(64, 100), Timing::USUAL, PATIENCE_MS, 1);
    let asked = desk.ask(of(Rank::Fresh, 1, Came::ByItself), 1);
    let Asked::Go { round } = asked else { panic!("{asked:?}") };
    desk.learn(Rank::Fresh, Word::Indefinite, round, 1, 2);
    assert!(desk.begin_ping(2), "it is news");
    desk.pinged(Ping::Silent, 3);
    assert_eq!(desk.view(3).held_since_ms, Some(3));
    assert_eq!(desk.ask(of(Rank::Fresh, 2, Came::ByItself), 3), Asked::InLine);
}

/// Where there is no way to ping it, only calls tell.
#[test]
fn who_cannot_be_pinged_is_held_back_for_what_it_says_of_calls() {
    let mut desk = Desk::new(Places::new(64, 100), Timing::USUAL, PATIENCE_MS, 1);
    for turn in 0..6 {
        let asked = desk.ask(of(Rank::Fresh, turn, Came::ByItself), turn);
        let Asked::Go { round } = asked else { panic!("held back at {turn}: {asked:?}") };
        desk.learn(Rank::Fresh, Word::Indefinite, round, turn, turn);
        if desk.begin_ping(turn) {
            desk.pinged(Ping::Unable, turn);
        }
    }
    assert_eq!(desk.ask(of(Rank::Fresh, 9, Came::ByItself), 9), Asked::InLine);
}

#[test]
fn who_declines_everybody_is_left_alone_for_as_long_as_it_asks() {
    let mut desk = Desk::new(Places::new(64, 100), Timing::USUAL, PATIENCE_MS, 1);
    let mut out = Vec::new();
    for turn in 0..8 {
        match desk.ask(of(Rank::Fresh, turn, Came::ByItself), 1_000) {
            Asked::Go { round } => out.push(round),
            other => panic!("{other:?}"),
        }
    }
    for (turn, round) in (0..).zip(out) {
        let word = Word::Declined { retry_after_ms: Some(500) };
        desk.learn(Rank::Fresh, word, round, turn, 1_000);
    }
    assert_eq!(desk.ask(of(Rank::Fresh, 9, Came::ByItself), 1_001), Asked::InLine);
    assert_eq!(desk.wake_at_ms(1_001), Some(1_500));
    assert_eq!(desk.turns(1_499), []);
    assert!(matches!(desk.turns(1_500)[..], [Turn::Go { ticket: 9, .. }]));
}

/// The time at which they are called has come, and nobody has looked yet.
#[test]
fn a_newcomer_does_not_overtake_those_whose_turn_has_come() {
    let mut desk = Desk::new(Places::new(1, 100), Timing::USUAL, PATIENCE_MS, 1);
    for turn in 0..8 {
        let Asked::Go { round } = desk.ask(of(Rank::Fresh, turn, Came::ByItself), 1_000) else {
            panic!("{turn}");
        };
        let word = Word::Declined { retry_after_ms: Some(500) };
        desk.learn(Rank::Fresh, word, round, turn, 1_000);
    }
    assert_eq!(desk.ask(of(Rank::Fresh, 9, Came::ByItself), 1_001), Asked::InLine);
    assert_eq!(desk.ask(of(Rank::Fresh, 10, Came::ByItself), 1_500), Asked::InLine);
    assert!(matches!(desk.turns(1_500)[..], [Turn::Go { ticket: 9, .. }]));
}

#[test]
fn calls_of_before_the_outage_say_nothing_about_the_waves() {
    let mut desk = Desk::new(Places::new(16, 100), Timing::USUAL, PATIENCE_MS, 1);
    let mut rounds = Vec::new();
    for turn in 0..10 {
        match desk.ask(of(Rank::Fresh, turn, Came::ByItself), 1) {
            Asked::Go { round } => rounds.push(round),
            other => panic!("{other:?}"),
        }
    }
    desk.learn(Rank::Fresh, Word::NeverSent, rounds[0], 0, 2);
    assert!(desk.begin_ping(2), "a refused connection is news");
    desk.pinged(Ping::Silent, 3);
    assert_eq!(desk.view(3).held_since_ms, Some(3));
    assert!(desk.begin_ping(1_000));
    desk.pinged(Ping::Answered, 1_000);
    for turn in 1..10 {
        desk.learn(Rank::Fresh, Word::Unknown, rounds[1], turn, 1_001);
    }
    let asked = desk.ask(of(Rank::Fresh, 11, Came::ByItself), 2_000);
    assert!(matches!(asked, Asked::Go { .. }), "{asked:?}");
}
