//! Logs of a saga that waits for a signal, and of an effect that the client brought along.

use bytes::Bytes;
use saga_core::{
    Definition,
    Direction::{Backward, Forward},
    Ending, Event, OnTimeout, OnUnknown, RetryPolicy, Step, StepIndex, StepKind, Timer,
    TurnBackReason, Verdict,
};

use super::{Log, answered, applied, intended, started};

const PAID: StepIndex = StepIndex(0);
const APPROVAL: StepIndex = StepIndex(1);
const REFUND: StepIndex = StepIndex(2);

/// A payment that the client brought along and that is undone on a condition, the approval
/// with a timer, and the refund, which is the pivot.
fn definition() -> Definition {
    let timer = Timer { after_ms: 60_000, then: OnTimeout::Refuse };
    let step = |name: &str, kind: StepKind, after: &[StepIndex]| Step {
        name: name.to_owned(),
        kind,
        after: after.iter().copied().collect(),
        conditional: false,
        pivot: false,
        excludes: saga_core::StepSet::EMPTY,
        compensable: false,
        compensation_conditional: false,
        on_unknown: OnUnknown::Resolve,
        timeout_ms: 2_000,
        retry: RetryPolicy::ACTION,
        compensation_retry: RetryPolicy::COMPENSATION,
        resolve_retry: RetryPolicy::RESOLVE,
    };
    let paid = step("paid", StepKind::Given, &[]);
    Definition {
        name: "golden-wait".to_owned(),
        version: 1,
        deadline_ms: None,
        steps: vec![
            Step { compensable: true, compensation_conditional: true, ..paid },
            step("approval", StepKind::Wait { timer: Some(timer) }, &[PAID]),
            Step { pivot: true, ..step("refund", StepKind::Call, &[APPROVAL]) },
        ],
    }
}

pub(super) fn logs() -> Vec<Log> {
    let log = |name, rest: Vec<Event>| {
        let events = std::iter::once(started()).chain(rest).collect();
        Log { name, definition: definition(), events }
    };
    let refund = || {
        vec![
            intended(REFUND, Forward, 1),
            answered(REFUND, Forward, 1, applied(b"refunded")),
            Event::Ended { ending: Ending::Completed, at_ms: 9_000 },
        ]
    };
    let turned_back = |reason: &str| Event::TurnedBack {
        reason: TurnBackReason::StepRejected { step: APPROVAL, reason: reason.to_owned() },
        at_ms: 8_000,
    };
    let compensated = || Event::Ended { ending: Ending::Compensated, at_ms: 9_000 };
    let began = || Event::WaitBegan { step: APPROVAL, at_ms: 2_000 };
    vec![
        log(
            "signal_accepted",
            [vec![signalled(), began(), ended(Verdict::Accepted)], refund()].concat(),
        ),
        log(
            "signal_refused",
            vec![
                began(),
                signalled(),
                ended(Verdict::Refused { reason: "REFUND_DENIED".to_owned() }),
                turned_back("REFUND_DENIED"),
                Event::Kept { step: PAID, at_ms: 8_000 },
                compensated(),
            ],
        ),
        log(
            "signal_never_came",
            vec![
                began(),
                ended(Verdict::TimedOut { then: OnTimeout::Refuse }),
                turned_back("SIGNAL_TIMEOUT"),
                intended(PAID, Backward, 1),
                answered(PAID, Backward, 1, applied(b"")),
                compensated(),
            ],
        ),
        log(
            "named",
            vec![
                began(),
                signalled_by("ada@example.org", "the goods are back"),
                ended(Verdict::Accepted),
                Event::CancelRequested {
                    actor: "bob@example.org".to_owned(),
                    reason: "the wrong order".to_owned(),
                    at_ms: 3_000,
                    request_id: String::new(),
                },
                Event::TurnedBack { reason: TurnBackReason::Cancelled, at_ms: 3_000 },
                Event::Kept { step: PAID, at_ms: 8_000 },
                compensated(),
            ],
        ),
        log(
            "signal_not_needed",
            [vec![began(), ended(Verdict::TimedOut { then: OnTimeout::Accept })], refund()]
                .concat(),
        ),
    ]
}

fn signalled() -> Event {
    signalled_by("", "")
}

fn signalled_by(actor: &str, reason: &str) -> Event {
    Event::Signalled {
        step: APPROVAL,
        request_id: "r-1".to_owned(),
        payload: Bytes::from_static(b"\x08\x01"),
        actor: actor.to_owned(),
        reason: reason.to_owned(),
        at_ms: 1_500,
    }
}

fn ended(verdict: Verdict) -> Event {
    Event::WaitEnded { step: APPROVAL, verdict, at_ms: 2_500 }
}
