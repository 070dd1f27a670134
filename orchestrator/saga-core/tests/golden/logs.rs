//! Whole logs that hold every variant of every event between them.

use bytes::Bytes;
use saga_core::{
    Definition,
    Direction::{self, Backward, Forward},
    Ending, Epoch, Event, NodeId, NotDone, OnUnknown, OperationRoot, OperatorAct, Outcome,
    Resolution, RetryPolicy, Settled, Started, Step, StepIndex, StepKind, TurnBackReason,
    UnknownCause, Word,
};
use uuid::Uuid;

mod waits;

pub(crate) struct Log {
    pub(crate) name: &'static str,
    pub(crate) definition: Definition,
    pub(crate) events: Vec<Event>,
}

const RESERVE: StepIndex = StepIndex(0);
const GIFT: StepIndex = StepIndex(1);
const ORDER: StepIndex = StepIndex(2);

/// reserve, then a gift on a condition, then the order, which is the pivot.
fn definition() -> Definition {
    let step = |name: &str, after: &[StepIndex]| Step {
        name: name.to_owned(),
        kind: StepKind::Call,
        after: after.iter().copied().collect(),
        conditional: false,
        pivot: false,
        excludes: saga_core::StepSet::EMPTY,
        compensable: true,
        compensation_conditional: false,
        on_unknown: OnUnknown::Resolve,
        timeout_ms: 2_000,
        retry: RetryPolicy::ACTION,
        compensation_retry: RetryPolicy::COMPENSATION,
        resolve_retry: RetryPolicy::RESOLVE,
    };
    Definition {
        name: "golden".to_owned(),
        version: 3,
        deadline_ms: Some(60_000),
        steps: vec![
            step("reserve", &[]),
            Step { conditional: true, ..step("gift", &[RESERVE]) },
            Step { pivot: true, compensable: false, ..step("order", &[GIFT]) },
        ],
    }
}

pub(crate) fn logs() -> Vec<Log> {
    let log = |name, events| Log { name, definition: definition(), events };
    let mut logs = vec![
        log("completed", completed()),
        log("compensated", compensated()),
        log("operated", operated()),
        log("requested", requested()),
        log("rejected_by_inquiry", rejected_by_inquiry()),
        log("fenced", fenced()),
        log("overdue", turned_back(TurnBackReason::DeadlinePassed)),
        log("unrenderable", unrenderable()),
        log("lost_rows", lost_rows()),
    ];
    let mut unasked = definition();
    unasked.steps[RESERVE.at()].on_unknown = OnUnknown::Retry;
    unasked.steps[GIFT.at()].on_unknown = OnUnknown::Park;
    logs.push(Log { name: "lost_rows_unasked", definition: unasked, events: lost_rows_unasked() });
    logs.extend(waits::logs());
    logs
}

/// Two participants cannot be asked what they did in lost rows: one is called, of the other a
/// person tells.
fn lost_rows_unasked() -> Vec<Event> {
    let Event::Started(first) = started() else { unreachable!("it is the first event") };
    vec![
        Event::Started(Started { log_epoch: 1, after_loss: true, ..first }),
        Event::LogWentBack { log_epoch: 2, doubts_all: true, at_ms: 1_600 },
        intended(RESERVE, Forward, 1),
        answered(RESERVE, Forward, 1, applied(b"reserved")),
        acted(OperatorAct::Settle {
            step: GIFT,
            call: Some(Forward),
            settled: Settled::NotApplied,
            reply: None,
        }),
        intended(GIFT, Forward, 1),
        answered(GIFT, Forward, 1, applied(b"given")),
        intended(ORDER, Forward, 1),
        answered(ORDER, Forward, 1, applied(b"ordered")),
        Event::Ended { ending: Ending::Completed, at_ms: 2_000 },
    ]
}

/// The saga had turned back in rows that the log lost, and a participant tells.
fn lost_rows() -> Vec<Event> {
    let resolved = |step, resolution| {
        let inquired = Event::Inquired { step, inquiry: 1, at_ms: 1_700 };
        [inquired, Event::Resolved { step, inquiry: 1, resolution, at_ms: 1_800 }]
    };
    let mut events = vec![
        started(),
        intended(RESERVE, Forward, 1),
        answered(RESERVE, Forward, 1, applied(b"reserved")),
        Event::LogWentBack { log_epoch: 2, doubts_all: false, at_ms: 1_600 },
    ];
    let undone = Resolution::Applied { reply: Bytes::from_static(b"released") };
    events.extend(resolved(RESERVE, undone));
    events.extend(resolved(ORDER, Resolution::Fenced));
    let reason = TurnBackReason::UndoneInLostRows { step: RESERVE };
    events.push(Event::TurnedBack { reason, at_ms: 1_900 });
    events.extend(resolved(GIFT, Resolution::Fenced));
    events.push(Event::Ended { ending: Ending::Compensated, at_ms: 2_000 });
    events
}

fn completed() -> Vec<Event> {
    let lost = UnknownCause::ConnectionLost;
    vec![
        started(),
        intended(RESERVE, Forward, 1),
        answered(RESERVE, Forward, 1, not_done(NotDone::NotSent, None)),
        intended(RESERVE, Forward, 2),
        answered(RESERVE, Forward, 2, not_done(NotDone::Busy, Some(250))),
        intended(RESERVE, Forward, 3),
        answered(RESERVE, Forward, 3, not_done(NotDone::Busy, None)),
        intended(RESERVE, Forward, 4),
        answered(RESERVE, Forward, 4, applied(b"reserved")),
        Event::Skipped { step: GIFT, at_ms: 1_600 },
        intended(ORDER, Forward, 1),
        answered(ORDER, Forward, 1, unknown(lost)),
        intended(ORDER, Forward, 2),
        answered(ORDER, Forward, 2, unknown(UnknownCause::Status)),
        intended(ORDER, Forward, 3),
        Event::CancelRequested {
            actor: String::new(),
            reason: "changed my mind".to_owned(),
            at_ms: 1_700,
            request_id: String::new(),
        },
        Event::Owned { node: NodeId(Uuid::from_u128(0xb)), epoch: Epoch(2), at_ms: 1_800 },
        intended(ORDER, Forward, 4),
        answered(ORDER, Forward, 4, applied(b"")),
        Event::Ended { ending: Ending::Completed, at_ms: 1_900 },
    ]
}

fn compensated() -> Vec<Event> {
    vec![
        started(),
        intended(RESERVE, Forward, 1),
        answered(RESERVE, Forward, 1, unknown(UnknownCause::TimedOut)),
        Event::CancelRequested {
            actor: String::new(),
            reason: String::new(),
            at_ms: 1_300,
            request_id: String::new(),
        },
        Event::TurnedBack { reason: TurnBackReason::Cancelled, at_ms: 1_300 },
        inquired(RESERVE, 1),
        resolved(RESERVE, 1, Resolution::InProgress),
        inquired(RESERVE, 2),
        resolved(RESERVE, 2, Resolution::Unanswered { message: "no route".to_owned() }),
        inquired(RESERVE, 3),
        resolved(RESERVE, 3, Resolution::Applied { reply: Bytes::from_static(b"reserved") }),
        intended(RESERVE, Backward, 1),
        answered(RESERVE, Backward, 1, rejected()),
        intended(RESERVE, Backward, 2),
        answered(RESERVE, Backward, 2, unknown(UnknownCause::BadReply)),
        intended(RESERVE, Backward, 3),
        answered(RESERVE, Backward, 3, applied(b"released")),
        Event::Ended { ending: Ending::Compensated, at_ms: 9_000 },
    ]
}

fn operated() -> Vec<Event> {
    vec![
        started(),
        intended(RESERVE, Forward, 1),
        answered(RESERVE, Forward, 1, fault()),
        acted(OperatorAct::Retry),
        intended(RESERVE, Forward, 2),
        answered(RESERVE, Forward, 2, unknown(UnknownCause::TimedOut)),
        acted(OperatorAct::Settle {
            step: RESERVE,
            call: None,
            settled: Settled::Applied,
            reply: None,
        }),
        intended(GIFT, Forward, 1),
        answered(GIFT, Forward, 1, unknown(UnknownCause::TimedOut)),
        inquired(GIFT, 1),
        resolved(GIFT, 1, Resolution::Unsupported { message: "no such method".to_owned() }),
        acted(OperatorAct::Settle {
            step: GIFT,
            call: None,
            settled: Settled::NotApplied,
            reply: None,
        }),
        Event::TurnedBack {
            reason: TurnBackReason::AttemptsExhausted { step: GIFT },
            at_ms: 5_000,
        },
        Event::Unrenderable {
            step: RESERVE,
            direction: Backward,
            message: "no such key: lines".to_owned(),
            at_ms: 5_000,
        },
    ]
}

fn rejected_by_inquiry() -> Vec<Event> {
    let reason = "OUT_OF_STOCK".to_owned();
    vec![
        started(),
        intended(RESERVE, Forward, 1),
        answered(RESERVE, Forward, 1, unknown(UnknownCause::TimedOut)),
        inquired(RESERVE, 1),
        resolved(
            RESERVE,
            1,
            Resolution::Rejected { reason: reason.clone(), message: "none left".to_owned() },
        ),
        Event::TurnedBack {
            reason: TurnBackReason::StepRejected { step: RESERVE, reason },
            at_ms: 2_000,
        },
        Event::Ended { ending: Ending::Compensated, at_ms: 2_000 },
    ]
}

fn fenced() -> Vec<Event> {
    vec![
        started(),
        intended(RESERVE, Forward, 1),
        answered(RESERVE, Forward, 1, unknown(UnknownCause::TimedOut)),
        inquired(RESERVE, 1),
        resolved(RESERVE, 1, Resolution::Fenced),
        Event::TurnedBack {
            reason: TurnBackReason::AttemptsExhausted { step: RESERVE },
            at_ms: 2_000,
        },
        Event::Ended { ending: Ending::Compensated, at_ms: 2_000 },
    ]
}

fn turned_back(reason: TurnBackReason) -> Vec<Event> {
    vec![
        started(),
        Event::TurnedBack { reason, at_ms: 2_000 },
        Event::Ended { ending: Ending::Compensated, at_ms: 2_000 },
    ]
}

fn unrenderable() -> Vec<Event> {
    let (step, direction) = (RESERVE, Forward);
    let message = "no such key: lines".to_owned();
    vec![
        started(),
        Event::Unrenderable { step, direction, message, at_ms: 1_001 },
        Event::TurnedBack { reason: TurnBackReason::Unrenderable { step }, at_ms: 1_001 },
        Event::Ended { ending: Ending::Compensated, at_ms: 1_001 },
    ]
}

fn started() -> Event {
    Event::Started(Started {
        definition: "golden".to_owned(),
        definition_version: 3,
        definition_hash: [0xab; 32],
        input: Bytes::from_static(b"\x0a\x05A-100"),
        operations: OperationRoot::Saga,
        node: NodeId(Uuid::from_u128(0xa)),
        log_epoch: 0,
        after_loss: false,
        at_ms: 1_000,
    })
}

fn intended(step: StepIndex, direction: Direction, attempt: u32) -> Event {
    let request = (attempt == 1).then(|| Bytes::from_static(b"request"));
    Event::Intended { step, direction, attempt, request, at_ms: 1_000 + u64::from(attempt) }
}

fn answered(step: StepIndex, direction: Direction, attempt: u32, outcome: Outcome) -> Event {
    Event::Answered { step, direction, attempt, outcome, at_ms: 1_100 + u64::from(attempt) }
}

fn inquired(step: StepIndex, inquiry: u32) -> Event {
    Event::Inquired { step, inquiry, at_ms: 1_400 + u64::from(inquiry) }
}

fn resolved(step: StepIndex, inquiry: u32, resolution: Resolution) -> Event {
    Event::Resolved { step, inquiry, resolution, at_ms: 1_500 + u64::from(inquiry) }
}

/// What people asked for, with the ids of their requests.
fn requested() -> Vec<Event> {
    let (actor, reason) = ("ada@example.org".to_owned(), "looked at the books".to_owned());
    let (by, why) = (actor.clone(), reason.clone());
    vec![
        started(),
        intended(RESERVE, Forward, 1),
        answered(RESERVE, Forward, 1, not_done(NotDone::NotSent, None)),
        Event::OperatorActed {
            actor,
            reason,
            act: OperatorAct::Retry,
            request_id: "retry-1".to_owned(),
            at_ms: 4_000,
        },
        Event::CancelRequested {
            actor: by,
            reason: why,
            request_id: "cancel-1".to_owned(),
            at_ms: 4_100,
        },
        Event::TurnedBack { reason: TurnBackReason::Cancelled, at_ms: 4_100 },
        Event::Ended { ending: Ending::Compensated, at_ms: 4_200 },
    ]
}

fn acted(act: OperatorAct) -> Event {
    let (actor, reason) = ("ada@example.org".to_owned(), "looked at the books".to_owned());
    Event::OperatorActed { actor, reason, act, at_ms: 4_000, request_id: String::new() }
}

fn applied(reply: &'static [u8]) -> Outcome {
    Outcome::Applied { reply: Bytes::from_static(reply) }
}

fn rejected() -> Outcome {
    let (reason, message) = ("OUT_OF_STOCK".to_owned(), "none left".to_owned());
    Outcome::Rejected { reason, message, word: Word::OnRecord }
}

fn fault() -> Outcome {
    Outcome::Fault { reason: "FORBIDDEN".to_owned(), message: "no such right".to_owned() }
}

fn not_done(cause: NotDone, retry_after_ms: Option<u64>) -> Outcome {
    Outcome::NotDone { cause, message: "later".to_owned(), retry_after_ms }
}

fn unknown(cause: UnknownCause) -> Outcome {
    Outcome::Unknown { cause, message: "nobody knows".to_owned() }
}
