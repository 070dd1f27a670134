//! What a saga remembers beside the phases of its steps: later calls and people depend on it.

use bytes::Bytes;
use saga_core::{
    Action, Contradiction, Definition,
    Direction::{self, Backward, Forward},
    Epoch, Event, Jitter, Next, NodeId, NotDone, OnTimeout, OnUnknown, OperationRoot, OperatorAct,
    Outcome, Resolution, RetryPolicy, SagaId, Settled, Started, State, Step, StepIndex, StepKind,
    StepPhase, StepSet, TurnBackReason, UnknownCause, Verdict, Word, next,
    next::LATE_MS,
};
use uuid::Uuid;

const STARTED_AT_MS: u64 = 7_000;
const CALL: StepIndex = StepIndex(0);
const WAIT: StepIndex = StepIndex(1);

#[test]
fn what_a_saga_was_started_with_is_kept() {
    let state = state_of(&definition());
    assert_eq!(state.started_at_ms(), STARTED_AT_MS);
    assert_eq!(state.input().as_ref(), b"an order");
}

#[test]
fn the_deadline_counts_from_the_start() {
    let definition = Definition { deadline_ms: Some(500), ..definition() };
    let state = state_of(&definition).then(intended(Forward, 1, 0));
    let waits = Next::Wait { until_ms: Some(STARTED_AT_MS + 500) };
    assert_eq!(next(&definition, &state, STARTED_AT_MS + 499), waits);
    let reason = TurnBackReason::DeadlinePassed;
    let turns_back = Next::Do(vec![Action::TurnBack { reason }]);
    assert_eq!(next(&definition, &state, STARTED_AT_MS + 500), turns_back);
}

#[test]
fn what_a_participant_said_is_kept_word_for_word() {
    let message = || "what it said".to_owned();
    let outcomes = [
        Outcome::AppliedUnread { message: message() },
        Outcome::Contradicted { cause: Contradiction::Reversed, message: message() },
        Outcome::Rejected { reason: "NO".to_owned(), message: message(), word: Word::OnRecord },
        Outcome::NotDone { cause: NotDone::Busy, message: message(), retry_after_ms: None },
        Outcome::Fault { reason: "NO".to_owned(), message: message() },
        Outcome::Unknown { cause: UnknownCause::TimedOut, message: message() },
    ];
    for outcome in outcomes {
        let reason = outcome.reason().to_owned();
        let state = state_of(&definition()).then(intended(Forward, 1, 0));
        let state = state.then(answered(Forward, 1, outcome, 0));
        let trouble = state.step(CALL).last_trouble.clone().unwrap();
        assert_eq!((trouble.reason, trouble.message), (reason, message()));
    }
    assert_eq!(applied().message(), "");
}

#[test]
fn a_call_is_never_waited_for() {
    let state = state_of(&definition());
    for event in [
        Event::WaitBegan { step: CALL, at_ms: 0 },
        signal(CALL),
        wait_ended(CALL, Verdict::Accepted),
        wait_ended(CALL, Verdict::TimedOut { then: OnTimeout::Accept }),
    ] {
        state.refuses(&event);
    }
}

#[test]
fn a_wait_is_never_called() {
    let state = state_of(&definition());
    state.refuses(&Event::Intended {
        step: WAIT,
        direction: Forward,
        attempt: 1,
        request: Some(Bytes::new()),
        at_ms: 0,
    });
}

#[test]
fn the_first_signal_counts_and_ends_the_timer() {
    let timed_out = wait_ended(WAIT, Verdict::TimedOut { then: OnTimeout::Refuse });
    let waiting = state_of(&definition()).then(Event::WaitBegan { step: WAIT, at_ms: 0 });
    waiting.refuses(&wait_ended(WAIT, Verdict::Accepted));
    waiting.clone().then(timed_out.clone());
    let signalled = waiting.then(signal(WAIT));
    signalled.refuses(&signal(WAIT));
    signalled.refuses(&timed_out);
    let reason = "DENIED".to_owned();
    let refused = signalled.clone().then(wait_ended(WAIT, Verdict::Refused { reason }));
    assert_eq!(refused.step(WAIT).last_trouble.as_ref().unwrap().reason, "DENIED");
    let accepted = signalled.then(wait_ended(WAIT, Verdict::Accepted));
    assert_eq!(accepted.step(WAIT).reply.as_deref(), Some(&b"yes"[..]));
}

/// A participant without an inquiry is met by a late attempt after its undo.
#[test]
fn without_an_inquiry_nothing_is_undone_while_an_attempt_may_be_under_way() {
    let definition = with_call(|step| Step { on_unknown: OnUnknown::Retry, ..step });
    let state = state_of(&definition)
        .then(intended(Forward, 1, 100))
        .then(answered(Forward, 1, unknown(), 900))
        .then(intended(Forward, 2, 1_000))
        .then(answered(Forward, 2, applied(), 1_100))
        .then(turned_back());
    assert_eq!(next(&definition, &state, 0), Next::Wait { until_ms: Some(2_100 + LATE_MS) });
    assert_eq!(next(&definition, &state, 2_100 + LATE_MS), undo());
    // It refuses what comes behind its undo.
    assert_eq!(next(&self::definition(), &state, 1_100), undo());
}

#[test]
fn the_call_of_a_dead_owner_may_be_under_way() {
    let definition = with_call(|step| Step { on_unknown: OnUnknown::Retry, ..step });
    let (node, epoch) = (NodeId(Uuid::from_u128(2)), Epoch(2));
    let state = state_of(&definition)
        .then(intended(Forward, 1, 300))
        .then(Event::Owned { node, epoch, at_ms: 400 })
        .then(intended(Forward, 2, 400))
        .then(answered(Forward, 2, applied(), 500))
        .then(turned_back());
    assert_eq!(next(&definition, &state, 500), Next::Wait { until_ms: Some(2_400 + LATE_MS) });
}

#[test]
fn an_undo_that_finds_nothing_contradicts_what_is_surely_there_and_nothing_else() {
    let nothing = Outcome::Contradicted { cause: Contradiction::NoEffect, message: String::new() };
    let sure = state_of(&definition())
        .then(intended(Forward, 1, 0))
        .then(answered(Forward, 1, applied(), 0))
        .then(turned_back())
        .then(intended(Backward, 1, 0))
        .then(answered(Backward, 1, nothing.clone(), 0));
    assert!(sure.step(CALL).phase.may_stand(), "{:?}", sure.step(CALL).phase);

    let definition = with_call(|step| Step { on_unknown: OnUnknown::FinishThenUndo, ..step });
    let word = Word::OfAttempt;
    let refused = Outcome::Rejected { reason: String::new(), message: String::new(), word };
    let in_doubt = state_of(&definition)
        .then(intended(Forward, 1, 0))
        .then(answered(Forward, 1, unknown(), 0))
        .then(intended(Forward, 2, 0))
        .then(answered(Forward, 2, refused, 0))
        .then(turned_back())
        .then(intended(Backward, 1, 0))
        .then(answered(Backward, 1, nothing, 0));
    assert_eq!(in_doubt.step(CALL).phase, StepPhase::Undone);
}

#[test]
fn an_operation_that_is_made_anew_is_another_one() {
    let definition = definition();
    let refused = state_of(&definition).then(intended(Forward, 1, 0)).then(answered(
        Forward,
        1,
        rejected(),
        0,
    ));
    let renewed = refused.clone().then(acted(OperatorAct::Renew { step: CALL }));
    assert_eq!(renewed.step(CALL).phase, StepPhase::Pending);
    let id = |state: &State, direction| state.operation(&definition, CALL, direction);
    assert_ne!(id(&refused, Forward), id(&renewed, Forward));
    assert_eq!(id(&refused, Backward), id(&renewed, Backward));
    // Its request is made anew as well.
    assert_eq!(renewed.step(CALL).request, None);

    let undo_refused = state_of(&definition)
        .then(intended(Forward, 1, 0))
        .then(answered(Forward, 1, applied(), 0))
        .then(turned_back())
        .then(intended(Backward, 1, 0))
        .then(answered(Backward, 1, rejected(), 0));
    let renewed = undo_refused.clone().then(acted(OperatorAct::Renew { step: CALL }));
    assert_eq!(renewed.step(CALL).phase, StepPhase::Applied);
    assert_eq!(id(&undo_refused, Forward), id(&renewed, Forward));
    assert_ne!(id(&undo_refused, Backward), id(&renewed, Backward));
}

#[test]
fn an_action_is_not_made_anew_on_the_way_back() {
    let refused = state_of(&definition())
        .then(intended(Forward, 1, 0))
        .then(answered(Forward, 1, rejected(), 0))
        .then(turned_back());
    refused.refuses(&acted(OperatorAct::Renew { step: CALL }));
}

#[test]
fn a_reply_that_was_too_large_is_missing_until_a_person_gives_it() {
    let unread = Outcome::AppliedUnread { message: "over the limit".to_owned() };
    let state =
        state_of(&definition()).then(intended(Forward, 1, 0)).then(answered(Forward, 1, unread, 0));
    assert!(state.step(CALL).unread);
    let settle =
        |settled, reply| acted(OperatorAct::Settle { step: CALL, call: None, settled, reply });
    state.refuses(&settle(Settled::NotApplied, None));
    let read = state.then(settle(Settled::Applied, Some(Bytes::from_static(b"it"))));
    assert!(!read.step(CALL).unread);
    assert_eq!(read.step(CALL).reply.as_deref(), Some(&b"it"[..]));
    assert_eq!(read.step(CALL).last_trouble, None);
    // Nothing is missing any more that a person could give.
    read.refuses(&settle(Settled::Applied, None));
}

#[test]
fn an_inquiry_that_finds_it_undone_is_a_contradiction() {
    let definition = definition();
    let state = state_of(&definition)
        .then(intended(Forward, 1, 0))
        .then(answered(Forward, 1, unknown(), 0))
        .then(Event::Inquired { step: CALL, inquiry: 1, at_ms: 0 })
        .then(Event::Resolved {
            step: CALL,
            inquiry: 1,
            resolution: Resolution::Reversed,
            at_ms: 0,
        });
    let stuck = saga_core::stuck(&definition, &state).unwrap();
    assert_eq!(stuck.reason.code(), "CONTRADICTION");
    assert_eq!(state.step(CALL).last_trouble.as_ref().unwrap().reason, "OP_REVERSED");
}

#[test]
fn a_set_of_no_steps_is_empty() {
    assert!(StepSet::EMPTY.is_empty());
    assert!(!StepSet::EMPTY.with(CALL).is_empty());
}

#[test]
fn a_compensation_calls_a_person_after_ten_attempts() {
    assert_eq!(RetryPolicy::COMPENSATION.attempts_max, 10);
}

/// What one node has told the others to wake a saga at is what they find, whatever their
/// release: the numbers never change. They come out whole where the pause has no bound.
#[test]
fn a_pause_is_the_same_on_every_node() {
    let rolled: Vec<u64> = (1..=4).map(|attempt| dice(1, attempt)).collect();
    let known = [
        5_738_486_799_240_235_524,
        3_562_366_714_161_363_796,
        12_158_962_003_727_714_254,
        13_697_597_165_759_975_132,
    ];
    assert_eq!(rolled, known);
}

/// Each bit of the dice is as often set as not, over the sagas and over the attempts of one.
#[test]
fn the_dice_are_fair() {
    let over_sagas: Vec<u64> = (0..1_024).map(|saga| dice(saga, 1)).collect();
    let over_attempts: Vec<u64> = (1..=512).map(|attempt| dice(1, attempt)).collect();
    for rolled in [over_sagas, over_attempts] {
        for bit in 0..64 {
            let set = rolled.iter().filter(|it| *it >> bit & 1 == 1).count();
            let share = set * 100 / rolled.len();
            assert!((40..=60).contains(&share), "bit {bit} is set in {share} of 100");
        }
    }
}

/// What jitter makes of the pause after this attempt.
fn dice(saga: u128, attempt: u32) -> u64 {
    let retry = RetryPolicy {
        delay_first_ms: u64::MAX,
        factor_permille: 1_000,
        delay_max_ms: u64::MAX,
        jitter: Jitter::Full,
        attempts_max: u32::MAX,
    };
    let definition = with_call(|step| Step { retry, ..step });
    let busy =
        Outcome::NotDone { cause: NotDone::Busy, message: String::new(), retry_after_ms: None };
    let mut state = State::start(SagaId(Uuid::from_u128(saga)), &definition, &started());
    for attempt in 1..=attempt {
        state = state.then(intended(Forward, attempt, 0));
        state = state.then(answered(Forward, attempt, busy.clone(), 0));
    }
    match next(&definition, &state, 0) {
        Next::Wait { until_ms: Some(until_ms) } => until_ms,
        other => panic!("{other:?}"),
    }
}

trait Log {
    fn then(self, event: Event) -> Self;
    fn refuses(&self, event: &Event);
}

impl Log for State {
    fn then(mut self, event: Event) -> Self {
        assert_eq!(self.apply(&event), Ok(()), "{event:?}");
        self
    }

    #[track_caller]
    fn refuses(&self, event: &Event) {
        let mut state = self.clone();
        assert!(state.apply(event).is_err(), "{event:?}");
        assert_eq!(state, *self);
    }
}

fn definition() -> Definition {
    let step = |name: &str, kind| Step {
        name: name.to_owned(),
        kind,
        after: StepSet::EMPTY,
        conditional: false,
        pivot: false,
        excludes: StepSet::EMPTY,
        compensable: true,
        compensation_conditional: false,
        on_unknown: OnUnknown::Resolve,
        timeout_ms: 2_000,
        retry: RetryPolicy::ACTION,
        compensation_retry: RetryPolicy::COMPENSATION,
        resolve_retry: RetryPolicy::RESOLVE,
    };
    let wait = step("wait", StepKind::Wait { timer: None });
    let wait = Step { after: StepSet::EMPTY.with(CALL), compensable: false, ..wait };
    let steps = vec![step("call", StepKind::Call), wait];
    Definition { name: "recall".to_owned(), version: 1, deadline_ms: None, steps }
}

fn with_call(change: impl Fn(Step) -> Step) -> Definition {
    let mut definition = definition();
    definition.steps[0] = change(definition.steps[0].clone());
    definition
}

fn state_of(definition: &Definition) -> State {
    State::start(SagaId(Uuid::from_u128(1)), definition, &started())
}

fn started() -> Started {
    Started {
        definition: "recall".to_owned(),
        definition_version: 1,
        definition_hash: [0; 32],
        input: Bytes::from_static(b"an order"),
        operations: OperationRoot::Saga,
        node: NodeId(Uuid::from_u128(1)),
        log_epoch: 0,
        after_loss: false,
        at_ms: STARTED_AT_MS,
    }
}

fn intended(direction: Direction, attempt: u32, at_ms: u64) -> Event {
    let request = (attempt == 1).then(Bytes::new);
    Event::Intended { step: CALL, direction, attempt, request, at_ms }
}

fn answered(direction: Direction, attempt: u32, outcome: Outcome, at_ms: u64) -> Event {
    Event::Answered { step: CALL, direction, attempt, outcome, at_ms }
}

fn applied() -> Outcome {
    Outcome::Applied { reply: Bytes::new() }
}

fn rejected() -> Outcome {
    Outcome::Rejected { reason: "NO".to_owned(), message: String::new(), word: Word::OnRecord }
}

fn unknown() -> Outcome {
    Outcome::Unknown { cause: UnknownCause::TimedOut, message: String::new() }
}

fn signal(step: StepIndex) -> Event {
    let (request_id, payload) = ("r-1".to_owned(), Bytes::from_static(b"yes"));
    let (actor, reason) = (String::new(), String::new());
    Event::Signalled { step, request_id, payload, actor, reason, at_ms: 0 }
}

fn wait_ended(step: StepIndex, verdict: Verdict) -> Event {
    Event::WaitEnded { step, verdict, at_ms: 0 }
}

fn turned_back() -> Event {
    Event::TurnedBack { reason: TurnBackReason::Cancelled, at_ms: 0 }
}

fn acted(act: OperatorAct) -> Event {
    Event::OperatorActed {
        actor: "ann".to_owned(),
        reason: "looked".to_owned(),
        act,
        at_ms: 0,
        request_id: String::new(),
    }
}

fn undo() -> Next {
    Next::Do(vec![Action::Call { step: CALL, direction: Backward, attempt: 1 }])
}
