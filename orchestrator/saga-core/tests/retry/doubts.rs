//! How far a refusal reaches, and what a contradiction keeps from being decided.

use saga_core::{
    Action, Contradiction, Definition,
    Direction::{Backward, Forward},
    Ending, Event, Next, OnUnknown, OperatorAct, Outcome, Resolution, Settled, StepIndex,
    StepPhase, TurnBackReason, Word,
    next::LATE_MS,
    stuck,
};

use crate::fixture::{FIRST, LAST, PIVOT, Saga, call, definition, unknown};

#[test]
fn a_refusal_of_the_only_attempt_turns_back() {
    let refused = Saga::of(definition()).answered(FIRST, Forward, 1, exists());
    refused.does(Action::TurnBack { reason: refusal(FIRST) });
}

#[test]
fn a_refusal_in_doubt_is_inquired_into_before_the_last_attempt() {
    in_doubt(OnUnknown::Resolve).does(inquire(FIRST, 1));
}

#[test]
fn what_the_inquiry_finds_applied_goes_on() {
    let applied = Resolution::Applied { reply: bytes::Bytes::new() };
    in_doubt(OnUnknown::Resolve).resolved(FIRST, 1, applied).does(call(PIVOT, Forward, 1));
}

/// The saga says why: what was refused, not that its attempts were used up.
#[test]
fn what_the_inquiry_fences_was_refused() {
    let fenced = in_doubt(OnUnknown::Resolve).resolved(FIRST, 1, Resolution::Fenced);
    fenced.does(Action::TurnBack { reason: refusal(FIRST) });
}

#[test]
fn a_refusal_on_record_ends_a_doubt() {
    let saga = Saga::of(definition()).answered(FIRST, Forward, 1, unknown());
    let refused = saga.answered(FIRST, Forward, 2, refused(Word::OnRecord));
    refused.does(Action::TurnBack { reason: refusal(FIRST) });
}

#[test]
fn without_an_inquiry_a_refusal_in_doubt_is_shown_at_once_and_asked_slowly() {
    let saga = in_doubt(OnUnknown::Retry);
    assert_eq!(reason(&saga), Some("OUTCOME_UNKNOWN"));
    saga.waits_until(2_000, call(FIRST, Forward, 3));
}

#[test]
fn finish_then_undo_undoes_what_was_refused_in_doubt() {
    let saga = in_doubt(OnUnknown::FinishThenUndo);
    saga.does(Action::TurnBack { reason: refusal(FIRST) });
    let back = saga.then(Event::TurnedBack { reason: refusal(FIRST), at_ms: 0 });
    // Attempt 1 may be under way for as long as a call, and be late.
    back.clone().waits_until(2_000 + LATE_MS, call(FIRST, Backward, 1));
    // Where there was nothing to undo, that is no contradiction: nobody knew.
    let undone = back.at(2_000 + LATE_MS).answered(FIRST, Backward, 1, nothing_to_undo());
    undone.does(Action::End { ending: Ending::Compensated });
}

#[test]
fn behind_the_pivot_a_refusal_in_doubt_is_inquired_into() {
    let saga = Saga::of(definition()).applied(FIRST).applied(PIVOT);
    let saga = saga.answered(LAST, Forward, 1, unknown()).answered(LAST, Forward, 2, exists());
    assert_eq!(reason(&saga), None);
    saga.does(inquire(LAST, 1));
}

#[test]
fn an_attempt_that_may_be_under_way_is_let_arrive_before_its_undo() {
    let saga = Saga::of(with(OnUnknown::Retry)).at(100).answered(FIRST, Forward, 1, unknown());
    let saga = saga.at(500).answered(FIRST, Forward, 2, applied()).turned_back();
    saga.waits_until(2_100 + LATE_MS, call(FIRST, Backward, 1));
}

#[test]
fn a_participant_with_an_inquiry_is_asked_to_undo_at_once() {
    let saga = Saga::of(definition()).at(100).answered(FIRST, Forward, 1, unknown());
    let saga = saga.at(500).answered(FIRST, Forward, 2, applied()).turned_back();
    saga.does(call(FIRST, Backward, 1));
}

#[test]
fn contradictions_of_a_call_wait_for_a_person() {
    use Contradiction::{Fenced, OtherRequest, Reversed, TooOld};
    for cause in [OtherRequest, Fenced, Reversed, TooOld] {
        let saga = Saga::of(definition()).answered(FIRST, Forward, 1, contradicted(cause));
        assert_eq!(reason(&saga), Some("CONTRADICTION"), "{cause:?}");
        assert_eq!(saga.next(), Next::Wait { until_ms: None }, "{cause:?}");
        // Turned back for another reason, it is still not undone over.
        assert_eq!(saga.turned_back().next(), Next::Wait { until_ms: None }, "{cause:?}");
    }
}

#[test]
fn an_inquiry_that_finds_it_reversed_or_too_old_waits_for_a_person() {
    let too_old = Resolution::TooOld { message: "pruned".to_owned() };
    for told in [Resolution::Reversed, too_old] {
        let saga = Saga::of(definition()).exhausted(FIRST, &unknown());
        let saga = saga.resolved(FIRST, 1, told);
        assert_eq!(reason(&saga), Some("CONTRADICTION"));
        assert_eq!(saga.next(), Next::Wait { until_ms: None });
        // Whoever turns it back for another reason does not undo over it either.
        assert_eq!(saga.turned_back().next(), Next::Wait { until_ms: None });
    }
}

/// The log has the effect, and the participant no longer knows whether it stands.
#[test]
fn an_undo_that_is_too_old_waits_for_a_person() {
    let saga = Saga::of(definition()).answered(FIRST, Forward, 1, applied()).turned_back();
    let saga = saga.answered(FIRST, Backward, 1, contradicted(Contradiction::TooOld));
    assert_eq!(reason(&saga), Some("CONTRADICTION"));
    assert_eq!(saga.next(), Next::Wait { until_ms: None });
}

/// The call of a node that lost the saga meets the fence of its successor.
#[test]
fn a_fence_that_our_inquiry_set_is_no_contradiction() {
    let saga = Saga::of(definition()).exhausted(FIRST, &unknown());
    let saga = saga.resolved(FIRST, 1, Resolution::Unanswered { message: String::new() });
    let fenced = saga.answered(FIRST, Forward, 4, contradicted(Contradiction::Fenced));
    assert_eq!(fenced.state.step(FIRST).phase, StepPhase::Fenced);
}

/// F70: the participant was restored from a backup.
#[test]
fn an_undo_that_finds_nothing_of_what_was_applied_is_a_contradiction() {
    let saga = Saga::of(definition()).undoing(nothing_to_undo());
    assert_eq!(reason(&saga), Some("CONTRADICTION"));
    assert_eq!(saga.next(), Next::Wait { until_ms: None });
    let settled = saga.acted(settle(FIRST, Settled::Applied));
    settled.does(Action::End { ending: Ending::Compensated });
}

#[test]
fn a_person_can_have_a_contradiction_asked_again() {
    let other = contradicted(Contradiction::OtherRequest);
    let saga = Saga::of(definition()).answered(FIRST, Forward, 1, other);
    saga.acted(OperatorAct::Retry).does(call(FIRST, Forward, 2));
}

#[test]
fn a_refused_step_behind_the_pivot_is_made_anew_under_another_id() {
    let saga = Saga::of(definition()).applied(FIRST).applied(PIVOT);
    let saga = saga.answered(LAST, Forward, 1, refused(Word::OnRecord));
    let id = |saga: &Saga| saga.state.operation(&saga.definition, LAST, Forward);
    let before = id(&saga);
    let renewed = saga.acted(OperatorAct::Renew { step: LAST });
    assert_ne!(id(&renewed), before);
    renewed.does(call(LAST, Forward, 1));
    renewed.applied(LAST).does(Action::End { ending: Ending::Completed });
}

#[test]
fn a_refused_compensation_is_made_anew_under_another_id() {
    let saga = Saga::of(definition()).undoing(exists());
    let id = |saga: &Saga, direction| saga.state.operation(&saga.definition, FIRST, direction);
    let before = [id(&saga, Forward), id(&saga, Backward)];
    let renewed = saga.acted(OperatorAct::Renew { step: FIRST });
    assert_eq!(id(&renewed, Forward), before[0]);
    assert_ne!(id(&renewed, Backward), before[1]);
    renewed.does(call(FIRST, Backward, 1));
}

/// Another undo under a new id could be the second one.
#[test]
fn a_compensation_in_doubt_is_not_made_anew() {
    let mut saga = Saga::of(definition()).undoing(unknown()).answered(FIRST, Backward, 2, exists());
    let acted = Event::OperatorActed {
        actor: String::new(),
        reason: String::new(),
        act: OperatorAct::Renew { step: FIRST },
        at_ms: 0,
        request_id: String::new(),
    };
    assert!(saga.state.apply(&acted).is_err());
}

#[test]
fn a_saga_is_closed_as_it_is() {
    let saga = Saga::of(definition()).undoing(exists()).acted(OperatorAct::Close);
    saga.does(Action::End { ending: Ending::Closed });
    let closed = saga.then(Event::Ended { ending: Ending::Closed, at_ms: 0 });
    assert_eq!(closed.next(), Next::Finished(Ending::Closed));
    assert_eq!(stuck(&closed.definition, &closed.state), None);
}

#[test]
fn nobody_but_a_person_closes_a_saga() {
    let mut state = Saga::of(definition()).state;
    assert!(state.apply(&Event::Ended { ending: Ending::Closed, at_ms: 0 }).is_err());
}

#[test]
fn a_reply_over_the_limit_is_missed_only_where_it_is_read() {
    let unread = || Outcome::AppliedUnread { message: "too large".to_owned() };
    let saga = Saga::of(definition()).answered(FIRST, Forward, 1, unread());
    assert_eq!(reason(&saga), None);
    saga.does(call(PIVOT, Forward, 1));

    let unrenderable =
        |step| Event::Unrenderable { step, direction: Forward, message: String::new(), at_ms: 0 };
    let missed = saga.then(unrenderable(PIVOT));
    assert_eq!(reason(&missed), Some("REPLY_UNREAD"));
    assert_eq!(missed.next(), Next::Wait { until_ms: None });

    let reply = Some(bytes::Bytes::from_static(b"reply"));
    let told = missed.acted(OperatorAct::Settle {
        step: FIRST,
        call: None,
        settled: Settled::Applied,
        reply: reply.clone(),
    });
    assert_eq!(told.state.step(FIRST).reply, reply);
    told.does(call(PIVOT, Forward, 1));
    // Still not to be made: that is this saga's own fault.
    let reason = TurnBackReason::Unrenderable { step: PIVOT };
    told.then(unrenderable(PIVOT)).does(Action::TurnBack { reason });
}

#[test]
fn an_undo_that_reads_a_reply_over_the_limit_is_made_once_it_is_told() {
    let unread = Outcome::AppliedUnread { message: "too large".to_owned() };
    let unrenderable =
        Event::Unrenderable { step: FIRST, direction: Backward, message: String::new(), at_ms: 0 };
    let back = Saga::of(definition()).answered(FIRST, Forward, 1, unread).turned_back();
    let missed = back.then(unrenderable);
    assert_eq!(reason(&missed), Some("REPLY_UNREAD"));
    let settle =
        |reply| OperatorAct::Settle { step: FIRST, call: None, settled: Settled::Applied, reply };
    let told = missed.clone().acted(settle(Some(bytes::Bytes::from_static(b"reply"))));
    assert_eq!(reason(&told), None);
    told.does(call(FIRST, Backward, 1));
    // Without one, it is the undo that was done by hand.
    missed.acted(settle(None)).does(Action::End { ending: Ending::Compensated });
}

#[test]
fn what_was_applied_unread_cannot_be_settled_as_not_applied() {
    let unread = Outcome::AppliedUnread { message: String::new() };
    let mut state = Saga::of(definition()).answered(FIRST, Forward, 1, unread).state;
    let act = settle(FIRST, Settled::NotApplied);
    let (actor, reason) = (String::new(), String::new());
    assert!(
        state
            .apply(&Event::OperatorActed {
                actor,
                reason,
                act,
                at_ms: 0,
                request_id: String::new()
            })
            .is_err()
    );
}

/// Attempt 1 of the first step is in doubt, and attempt 2 is refused.
fn in_doubt(policy: OnUnknown) -> Saga {
    let saga = Saga::of(with(policy)).answered(FIRST, Forward, 1, unknown());
    saga.answered(FIRST, Forward, 2, exists())
}

fn with(policy: OnUnknown) -> Definition {
    let mut definition = definition();
    definition.steps[FIRST.at()].on_unknown = policy;
    definition
}

fn reason(saga: &Saga) -> Option<&'static str> {
    stuck(&saga.definition, &saga.state).map(|it| it.reason.code())
}

fn refusal(step: StepIndex) -> TurnBackReason {
    TurnBackReason::StepRejected { step, reason: "DUPLICATE_ORDER_NO".to_owned() }
}

fn exists() -> Outcome {
    refused(Word::OfAttempt)
}

fn refused(word: Word) -> Outcome {
    Outcome::Rejected { reason: "DUPLICATE_ORDER_NO".to_owned(), message: String::new(), word }
}

fn applied() -> Outcome {
    Outcome::Applied { reply: bytes::Bytes::new() }
}

fn contradicted(cause: Contradiction) -> Outcome {
    Outcome::Contradicted { cause, message: String::new() }
}

fn nothing_to_undo() -> Outcome {
    contradicted(Contradiction::NoEffect)
}

fn settle(step: StepIndex, settled: Settled) -> OperatorAct {
    OperatorAct::Settle { step, call: None, settled, reply: None }
}

fn inquire(step: StepIndex, inquiry: u32) -> Action {
    Action::Inquire { step, inquiry }
}
