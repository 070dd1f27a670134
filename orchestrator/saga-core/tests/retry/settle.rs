//! What a person says of a step is about the call that the person looked at.

use bytes::Bytes;
use saga_core::{
    Direction::{self, Backward, Forward},
    Event, Offer, OperatorAct, Outcome, Settled, StepPhase, offers,
};

use crate::fixture::{FIRST, Saga, definition, unknown};

fn settle(call: Option<Direction>, reply: Option<&'static [u8]>) -> OperatorAct {
    let reply = reply.map(Bytes::from_static);
    OperatorAct::Settle { step: FIRST, call, settled: Settled::Applied, reply }
}

#[track_caller]
fn takes_only(saga: &Saga, call: Direction, reply: Option<&'static [u8]>) {
    assert_eq!(saga.state.call_in_question(FIRST, reply.is_some()), Some(call));
    saga.clone().acted(settle(None, reply));
    saga.clone().acted(settle(Some(call), reply));
    let other = if call == Forward { Backward } else { Forward };
    let (actor, reason, request_id) = Default::default();
    let act = settle(Some(other), reply);
    let wrong = Event::OperatorActed { actor, reason, act, at_ms: 0, request_id };
    let mut state = saga.state.clone();
    assert!(state.apply(&wrong).is_err(), "{other:?} of {:?}", state.step(FIRST).phase);
    assert_eq!(state, saga.state);
}

#[test]
fn what_is_settled_is_the_call_that_was_looked_at() {
    let doubt = Saga::of(definition()).answered(FIRST, Forward, 1, unknown());
    takes_only(&doubt, Forward, None);
    let undoing = Saga::of(definition()).undoing(unknown());
    takes_only(&undoing, Backward, None);
    let unread = Outcome::AppliedUnread { message: "over the limit".to_owned() };
    let unread = Saga::of(definition()).answered(FIRST, Forward, 1, unread);
    takes_only(&unread, Forward, None);
    let offered = |settled| Offer::Settle { step: FIRST, settled };
    let offers = offers(&unread.definition, &unread.state, 0);
    assert!(offers.contains(&offered(Settled::Applied)), "{offers:?}");
    assert!(!offers.contains(&offered(Settled::NotApplied)), "{offers:?}");
    // Its undo cannot be made: without a reply it is the undo that was made by hand.
    let (direction, message) = (Backward, String::new());
    let stands = unread.turned_back();
    let stands = stands.then(Event::Unrenderable { step: FIRST, direction, message, at_ms: 0 });
    takes_only(&stands, Backward, None);
    takes_only(&stands, Forward, Some(b"the reply"));
    let read = stands.acted(settle(Some(Forward), Some(b"the reply")));
    assert_eq!(read.state.step(FIRST).phase, StepPhase::Applied);
}

/// What a saga keeps in memory is what it was given, was sent and has sent.
#[test]
fn every_payload_is_counted() {
    let saga = Saga::of(definition());
    let before = saga.state.payload_bytes();
    let request = Some(Bytes::from_static(b"a request"));
    let (step, direction, attempt, at_ms) = (FIRST, Forward, 1, 0);
    let out = saga.then(Event::Intended { step, direction, attempt, request, at_ms });
    assert_eq!(out.state.payload_bytes(), before + 9);
    let outcome = Outcome::Applied { reply: Bytes::from_static(b"the reply") };
    let done = out.then(Event::Answered { step, direction, attempt, outcome, at_ms });
    assert_eq!(done.state.payload_bytes(), before + 9);
    let mut light = done.state;
    light.forget_payloads();
    assert_eq!(light.payload_bytes(), 0);
}

/// A reply over the limit to an undo is an undo like any other: nobody is told of trouble.
#[test]
fn an_undo_with_a_reply_over_the_limit_is_no_trouble() {
    let unread = Outcome::AppliedUnread { message: "over the limit".to_owned() };
    let undone = Saga::of(definition()).undoing(unread);
    let step = undone.state.step(FIRST);
    assert_eq!(step.phase, StepPhase::Undone);
    assert_eq!((step.last_trouble.as_ref(), step.troubled_since_ms), (None, None));
}
