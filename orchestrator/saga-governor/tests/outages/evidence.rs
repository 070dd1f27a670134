//! What says that a participant is away, and what says only something about one caller.

use saga_governor::{Asked, Came, Desk, Ping, Rank, Timing, Turn, Word, places::Places};

use super::world::{CALL_MS, PATIENCE_MS, World, of};

/// What a call that hangs takes.
const TIMEOUT_MS: u64 = 2_000;

/// A participant that answers all but these callers, whose every call hangs.
fn hangs_for(callers: std::ops::RangeInclusive<u64>) -> World {
    let mut world = World::new();
    for caller in callers {
        world.odd.insert(caller, (Word::Unknown, TIMEOUT_MS));
        world.come(Rank::Fresh, caller);
    }
    world
}

fn desk() -> Desk {
    Desk::new(Places::new(64, 100), Timing::USUAL, PATIENCE_MS, 1)
}

fn go(desk: &mut Desk, rank: Rank, caller: u64, now_ms: u64) -> u32 {
    match desk.ask(of(rank, caller, Came::ByItself), now_ms) {
        Asked::Go { round } => round,
        other => panic!("{caller} is held back: {other:?}"),
    }
}

/// One after another: each comes, is declined with a pause, and is told of it.
fn declined(desk: &mut Desk, callers: impl IntoIterator<Item = u64>) {
    for caller in callers {
        let round = go(desk, Rank::Fresh, caller, 1_000);
        let word = Word::Declined { retry_after_ms: Some(500) };
        desk.learn(Rank::Fresh, word, round, caller, 1_000);
    }
}

#[test]
fn three_callers_whose_own_call_hangs_hold_nobody_else_back() {
    let mut world = hangs_for(1..=3);
    for caller in 100..200 {
        assert!(world.is_answered(caller, 10 * CALL_MS), "{caller} waits");
        assert_eq!(world.desk.view(world.now_ms).held_since_ms, None);
        // So little traffic that their calls are nearly all there are.
        world.run(7_000);
    }
}

/// Nobody knows them yet, and the oldest come first.
#[test]
fn a_dozen_callers_whose_own_call_hangs_hold_nobody_else_back_for_long() {
    let mut world = hangs_for(1..=12);
    world.run(60_000);
    assert!(world.is_answered(100, TIMEOUT_MS + 6_000), "who comes first");
    for caller in 101..200 {
        assert!(world.is_answered(caller, 1_000), "{caller} waits");
        world.run(7_000);
    }
    assert_eq!(world.desk.view(world.now_ms).held_since_ms, None);
}

/// They are the oldest, and all that is fetched for the first wave.
#[test]
fn whose_call_hangs_are_not_the_only_ones_who_are_asked_after_an_outage() {
    let mut world = hangs_for(1..=12);
    world.run(TIMEOUT_MS);
    world.is_up = false;
    world.run(2 * TIMEOUT_MS);
    for caller in 100..200 {
        world.come(Rank::Fresh, caller);
    }
    world.run(10_000);
    assert_eq!(world.done, []);
    world.is_up = true;
    world.run(12_000);
    assert_eq!(world.done.len(), 100);
}

/// A call may hang for a long time.
#[test]
fn who_comes_while_a_hanging_call_is_tried_goes_beside_it() {
    let mut world = hangs_for(1..=3);
    world.run(TIMEOUT_MS + 1);
    world.is_up = false;
    world.run(TIMEOUT_MS);
    assert!(world.desk.view(world.now_ms).held_since_ms.is_some());
    world.odd.extend((1..=3).map(|caller| (caller, (Word::Unknown, 600_000))));
    world.is_up = true;
    world.run(10_000);
    for caller in 100..200 {
        assert!(world.is_answered(caller, 10 * CALL_MS), "{caller} waits");
    }
    assert_eq!(world.desk.view(world.now_ms).held_since_ms, None);
}

/// Each is called three times in vain, and asked about then. Were only new ones called after a
/// call in vain, nobody would ever come to its inquiry.
#[test]
fn inquiries_that_are_answered_get_all_through_whose_calls_are_not() {
    let mut world = World::new();
    world.desk.limit(4);
    world.asks_after = Some(3);
    for caller in 1..=100 {
        world.odd.insert(caller, (Word::Unknown, CALL_MS));
        world.come(Rank::Fresh, caller);
    }
    world.run(600_000);
    assert_eq!(world.done.len(), 100);
    assert!(world.out_max <= 4);
}

#[test]
fn who_was_answered_meanwhile_is_evidence_again() {
    let mut desk = desk();
    for word in [Word::Unknown, Word::Answered, Word::Unknown] {
        for turn in 0..8 {
            let caller = turn % 4;
            let round = go(&mut desk, Rank::Fresh, caller, 1_000);
            desk.learn(Rank::Fresh, word, round, caller, 1_000);
        }
    }
    let round = go(&mut desk, Rank::Fresh, 4, 1_000);
    desk.learn(Rank::Fresh, Word::Unknown, round, 4, 1_000);
    assert_eq!(desk.view(1_000).held_since_ms, Some(1_000), "five in a row");
}

/// Few enough to be known, each one of them: calls alone could go on for ever.
#[test]
fn a_participant_that_hangs_for_all_of_eight_is_tried_now_and_then() {
    let mut world = World::new();
    world.hangs = true;
    for caller in 1..=8 {
        world.come(Rank::Fresh, caller);
    }
    world.run(600_000);
    assert!((60..400).contains(&world.tries), "{} tries in ten minutes", world.tries);
    assert!(world.desk.view(world.now_ms).held_since_ms.is_some());
    world.hangs = false;
    world.run(7_000);
    assert_eq!(world.done.len(), 8);
}

/// What no ping of ours reaches is no outage while calls are answered.
#[test]
fn who_answers_calls_and_no_pings_is_held_back_for_a_moment_once() {
    let mut world = World::new();
    world.ping = Some(Ping::Silent);
    world.odd.insert(7, (Word::Unknown, TIMEOUT_MS));
    for caller in 100..110 {
        assert!(world.is_answered(caller, 10 * CALL_MS));
    }
    world.come(Rank::Fresh, 7);
    world.run(TIMEOUT_MS);
    assert!(world.is_answered(110, 2_000), "a call tells more than a ping");
    world.run(1_000);
    for caller in 111..200 {
        assert!(world.is_answered(caller, 10 * CALL_MS), "{caller} waits");
        world.run(7_000);
    }
}

/// The node begins while it is away, and so knows nothing of it.
#[test]
fn who_answers_calls_and_no_pings_is_called_again_some_time_after_an_outage() {
    let mut world = World::new();
    world.ping = Some(Ping::Silent);
    world.is_up = false;
    (1..10).for_each(|caller| world.come(Rank::Fresh, caller));
    world.run(60_000);
    world.is_up = true;
    world.run(256 * 5_000);
    assert_eq!(world.done.len(), 9);
}

#[test]
fn an_answered_call_tells_more_than_the_ping_that_was_out_meanwhile() {
    let mut desk = desk();
    let late = go(&mut desk, Rank::Fresh, 1, 0);
    let other = go(&mut desk, Rank::Fresh, 2, 0);
    desk.learn(Rank::Fresh, Word::Unknown, late, 1, 1_000);
    assert!(desk.begin_ping(1_000));
    desk.learn(Rank::Fresh, Word::Answered, other, 2, 1_100);
    desk.pinged(Ping::Silent, 2_000);
    assert_eq!(desk.view(2_000).held_since_ms, None);
}

#[test]
fn an_answer_to_a_call_of_before_the_outage_ends_it() {
    let mut desk = desk();
    let late = go(&mut desk, Rank::Fresh, 1, 0);
    let other = go(&mut desk, Rank::Fresh, 2, 0);
    desk.learn(Rank::Fresh, Word::Unknown, late, 1, 1_000);
    assert!(desk.begin_ping(1_000));
    desk.pinged(Ping::Silent, 1_001);
    assert_eq!(desk.ask(of(Rank::Fresh, 3, Came::ByItself), 1_002), Asked::InLine);
    desk.learn(Rank::Fresh, Word::Answered, other, 2, 1_003);
    assert!(matches!(desk.turns(1_300)[..], [Turn::Go { ticket: 3, .. }]));
}

#[test]
fn who_declines_one_caller_again_and_again_takes_the_calls_of_others() {
    let mut desk = desk();
    declined(&mut desk, [1; 100]);
    declined(&mut desk, (0..100).map(|turn| 1 + turn % 2));
    go(&mut desk, Rank::Fresh, 9, 1_000);
}

#[test]
fn one_answer_among_declines_is_no_rest_for_all() {
    let mut desk = desk();
    for _ in 0..10 {
        declined(&mut desk, 1..8);
        let round = go(&mut desk, Rank::Fresh, 8, 1_000);
        desk.learn(Rank::Fresh, Word::Answered, round, 8, 1_000);
    }
    go(&mut desk, Rank::Fresh, 9, 1_000);
}

#[test]
fn undo_and_inquiries_try_one_at_a_time_while_the_rest_wait() {
    let mut desk = desk();
    declined(&mut desk, 1..9);
    assert_eq!(desk.ask(of(Rank::Committed, 9, Came::ByItself), 1_100), Asked::InLine);
    let round = go(&mut desk, Rank::Undo, 10, 1_100);
    assert_eq!(desk.ask(of(Rank::Undo, 11, Came::ByItself), 1_100), Asked::InLine);
    assert_eq!(desk.turns(1_100), []);
    desk.learn(Rank::Undo, Word::Answered, round, 10, 1_200);
    assert!(matches!(desk.turns(1_200)[..], [Turn::Go { ticket: 11, rank: Rank::Undo, .. }]));
    assert!(matches!(desk.turns(1_500)[..], [Turn::Go { ticket: 9, .. }]));
}
