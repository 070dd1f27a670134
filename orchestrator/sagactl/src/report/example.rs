//! Sagas for the golden tests of the reports, at a fixed present.

use jiff::Timestamp;
use prost_types::Timestamp as WireTime;
use saga_proto::saga::v1::{
    CancelEffect, ListStuckResponse, Saga, SagaEvent, SagaOffer, SagaState, SagaStep, SagaVerb,
    StepState, StepUndo, Stuck, StuckGroup, StuckPlace,
};

use crate::look::Look;

/// 2026-01-02T19:00:00Z
const NOW_S: i64 = 1_767_380_400;

pub(crate) fn look() -> Look {
    let now = Timestamp::from_second(NOW_S).unwrap();
    Look { color: false, ascii: false, utc: false, width: None, now }
}

/// `seconds` before the present.
pub(crate) fn ago(seconds: i64) -> Option<WireTime> {
    Some(WireTime { seconds: NOW_S - seconds, nanos: 0 })
}

fn step(name: &str, state: StepState, attempt: u32, last_result: &str) -> SagaStep {
    let undo = match state {
        StepState::Applied => StepUndo::Planned,
        StepState::Unknown => StepUndo::IfApplied,
        StepState::Compensated => StepUndo::Done,
        _ => StepUndo::Nothing,
    };
    SagaStep {
        name: name.to_owned(),
        state: state.into(),
        attempt,
        action_op_id: "5d1c2f0e-1f1c-5b34-9c5d-2a8b5f0c9e11".to_owned(),
        last_result: last_result.to_owned(),
        undo: undo.into(),
        pivot: name == "insert_order",
    }
}

fn offer(verb: SagaVerb, step: &str, signal: &str) -> SagaOffer {
    SagaOffer { verb: verb.into(), step: step.to_owned(), signal: signal.to_owned() }
}

fn saga(key: &str, state: SagaState, steps: Vec<SagaStep>) -> Saga {
    Saga {
        saga_id: "01a1ff65-949e-76ea-a3c9-4d8f0c70cde9".to_owned(),
        namespace: "order".to_owned(),
        business_key: key.to_owned(),
        definition: "place-order".to_owned(),
        definition_version: 3,
        state: state.into(),
        started_at: ago(41 * 60),
        steps,
        version: 17,
        ..Saga::default()
    }
}

pub(crate) fn stuck_saga() -> Saga {
    let steps = vec![
        step("reserve_stock", StepState::Applied, 1, ""),
        step("verify_payment", StepState::Unknown, 7, "TIMED_OUT"),
        step("insert_order", StepState::Pending, 0, ""),
    ];
    let stuck = Stuck {
        reason: "OUTCOME_UNKNOWN".to_owned(),
        step: "verify_payment".to_owned(),
        message: "The outcome of verify_payment is unknown.".to_owned(),
        since: ago(38 * 60),
    };
    Saga {
        stuck: Some(stuck),
        offers: vec![
            offer(SagaVerb::Retry, "", ""),
            offer(SagaVerb::SettleApplied, "verify_payment", ""),
            offer(SagaVerb::SettleNotApplied, "verify_payment", ""),
        ],
        undo_order: vec!["reserve_stock".to_owned()],
        cancel_effect: CancelEffect::TurnsBack.into(),
        turned_back: "DEADLINE_PASSED".to_owned(),
        owner: "orchestrator-2".to_owned(),
        why: "The outcome of verify_payment is unknown. 7 calls to PaymentService/Confirm ended \
              without a definite answer; Resolve was not answered 6 times. Nothing will be undone \
              until this is settled."
            .to_owned(),
        ..saga("10042", SagaState::Stuck, steps)
    }
}

pub(crate) fn running_saga() -> Saga {
    let steps = vec![
        step("reserve_stock", StepState::Retrying, 2, "NOT_SENT"),
        step("verify_payment", StepState::Pending, 0, ""),
    ];
    Saga {
        wake_at: ago(-3),
        offers: vec![offer(SagaVerb::Retry, "", ""), offer(SagaVerb::Cancel, "", "")],
        cancel_effect: CancelEffect::TurnsBack.into(),
        why: "inventory was not reached; the next try is in 3 s.".to_owned(),
        ..saga("10043", SagaState::Running, steps)
    }
}

/// The pivot's call is out.
pub(crate) fn undecided_saga() -> Saga {
    let steps = vec![
        step("reserve_stock", StepState::Applied, 0, ""),
        SagaStep {
            undo: StepUndo::Stays.into(),
            ..step("insert_order", StepState::InFlight, 1, "")
        },
    ];
    Saga {
        why: "insert_order is being called.".to_owned(),
        offers: vec![offer(SagaVerb::Cancel, "", "")],
        undo_order: vec!["reserve_stock".to_owned()],
        cancel_effect: CancelEffect::Undecided.into(),
        ..saga("10047", SagaState::Running, steps)
    }
}

pub(crate) fn waiting_saga() -> Saga {
    let steps = vec![
        step("request_refund", StepState::Applied, 1, ""),
        step("approval", StepState::Waiting, 0, ""),
        step("give_back", StepState::Pending, 0, ""),
    ];
    Saga {
        wake_at: ago(-6 * 24 * 3_600),
        waiting_on: "signal approval".to_owned(),
        offers: vec![
            offer(SagaVerb::Signal, "approval", "approval"),
            offer(SagaVerb::Cancel, "", ""),
        ],
        undo_order: vec!["request_refund".to_owned()],
        cancel_effect: CancelEffect::TurnsBack.into(),
        why: "approval waits for the signal approval.".to_owned(),
        definition: "refund".to_owned(),
        ..saga("10046", SagaState::Running, steps)
    }
}

pub(crate) fn completed_saga() -> Saga {
    let ended_at = Some(WireTime { seconds: NOW_S - 41 * 60 + 2, nanos: 410_000_000 });
    let cancel_effect = CancelEffect::Ended.into();
    Saga { ended_at, cancel_effect, ..saga("10044", SagaState::Completed, Vec::new()) }
}

pub(crate) fn compensated_saga() -> Saga {
    let steps = vec![
        step("reserve_stock", StepState::Compensated, 1, ""),
        step("verify_payment", StepState::Rejected, 1, "DECLINED"),
    ];
    Saga {
        ended_at: ago(40 * 60),
        turned_back: "STEP_REJECTED".to_owned(),
        rejected_reason: "DECLINED".to_owned(),
        why: "verify_payment was refused: DECLINED. Everything that was applied is undone."
            .to_owned(),
        ..saga("10045", SagaState::Compensated, steps)
    }
}

fn place(definition: &str, step: &str, sagas: u64) -> StuckPlace {
    StuckPlace { definition: definition.to_owned(), step: step.to_owned(), sagas }
}

/// Sagas that are held up at `method` of `participant`.
fn group(participant: &str, method: &str, [code, message]: [&str; 2]) -> StuckGroup {
    StuckGroup {
        participant: participant.to_owned(),
        method: method.to_owned(),
        code: code.to_owned(),
        message: message.to_owned(),
        ..StuckGroup::default()
    }
}

pub(crate) fn stuck_groups() -> ListStuckResponse {
    let mut unquotable = saga("$(reboot)", SagaState::Stuck, Vec::new());
    unquotable.saga_id = "01a1ff65-949e-76ea-a3c9-000000000002".to_owned();
    let confirm = "shop.payment.v1.PaymentService/Confirm";
    let release = "shop.inventory.v1.InventoryService/Release";
    let groups = vec![
        StuckGroup {
            reason: "OUTCOME_UNKNOWN".to_owned(),
            definition: "place-order".to_owned(),
            step: "verify_payment".to_owned(),
            sagas: 12,
            since: ago(51 * 60),
            examples: vec![stuck_saga(), unquotable],
            places: vec![place("place-order", "verify_payment", 9), place("settle", "pay", 3)],
            ..group("payment", confirm, ["TIMED_OUT", "no answer in time"])
        },
        StuckGroup {
            reason: "COMPENSATION_FAILING".to_owned(),
            definition: "place-order".to_owned(),
            step: "reserve_stock".to_owned(),
            sagas: 1,
            since: ago(60),
            wake_at: ago(-4),
            examples: vec![saga("10050", SagaState::Stuck, Vec::new())],
            places: vec![place("place-order", "reserve_stock", 1)],
            ..group("inventory", release, ["INTERNAL", "INTERNAL: no table item"])
        },
    ];
    let places = ["place-order", "settle", "refund"].map(|it| place(it, "", 1));
    let waiting = vec![
        StuckGroup {
            sagas: 212,
            since: ago(9 * 60),
            wake_at: ago(-4),
            places: places.to_vec(),
            ..group("payment", confirm, ["NOT_SENT", "connection refused"])
        },
        StuckGroup {
            sagas: 2,
            since: ago(5 * 3_600),
            wake_at: ago(-86_400),
            places: vec![place("refund", "", 2)],
            ..group("", "signal approval", ["SIGNAL_AWAITED", ""])
        },
    ];
    ListStuckResponse {
        groups,
        total: 13,
        waiting,
        total_waiting: 214,
        ..ListStuckResponse::default()
    }
}

fn event(version: u64, at: Option<WireTime>, kind: &str) -> SagaEvent {
    SagaEvent { version, appended_at: at, kind: kind.to_owned(), ..SagaEvent::default() }
}

fn call(version: u64, seconds_ago: i64, step: &str, attempt: u32) -> SagaEvent {
    SagaEvent {
        step: step.to_owned(),
        direction: "forward".to_owned(),
        attempt,
        ..event(version, ago(seconds_ago), "Intended")
    }
}

fn answer(call: &SagaEvent, after_s: i64, outcome: &str, reason: &str) -> SagaEvent {
    let at = call.appended_at.map(|it| WireTime { seconds: it.seconds + after_s, ..it });
    SagaEvent {
        kind: "Answered".to_owned(),
        version: call.version + 1,
        appended_at: at,
        outcome: outcome.to_owned(),
        reason: reason.to_owned(),
        ..call.clone()
    }
}

/// The log of [`stuck_saga`], cut to four of its seven payment calls.
pub(crate) fn stuck_events() -> Vec<SagaEvent> {
    let reserve = call(1, 2_460, "reserve_stock", 1);
    let mut events =
        vec![event(1, ago(2_460), "Started"), reserve.clone(), answer(&reserve, 0, "applied", "")];
    for (attempt, seconds_ago) in [(4, 2_280), (5, 2_240), (6, 1_738), (7, 725)] {
        let call = call(u64::from(attempt) * 2, seconds_ago, "verify_payment", attempt);
        let answered = answer(&call, 2, "unknown", "TIMED_OUT");
        let mut resolved = answer(&call, 5, "unanswered", "");
        resolved.kind = "Resolved".to_owned();
        resolved.message = "UNAVAILABLE".to_owned();
        events.extend([call, answered, resolved]);
    }
    events
}

/// The log of [`compensated_saga`].
pub(crate) fn compensated_events() -> Vec<SagaEvent> {
    let reserve = call(1, 2_460, "reserve_stock", 1);
    let verify = call(2, 2_460, "verify_payment", 1);
    let release =
        SagaEvent { direction: "backward".to_owned(), ..call(3, 2_450, "reserve_stock", 1) };
    vec![
        reserve.clone(),
        answer(&reserve, 1, "applied", ""),
        verify.clone(),
        answer(&verify, 9, "rejected", "DECLINED"),
        release.clone(),
        answer(&release, 1, "applied", ""),
    ]
}
