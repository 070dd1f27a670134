//! Logs as releases wrote them. Each must decode and fold for ever: a saga may outlive
//! many releases. `UPDATE_GOLDEN=1` writes the files of the present version; files of
//! earlier versions are never written again.

mod logs;
mod told;

use std::{collections::BTreeSet, env, fs, path::PathBuf, sync::Once};

use bytes::Bytes;
use saga_core::{
    Definition, Direction, Event, OperationId, OperationName, OperationRoot, OperatorAct, SagaId,
    Settled, State, Verdict, encoding, next, stuck,
};
use uuid::Uuid;

use crate::logs::{Log, logs};

#[test]
fn the_logs_of_version_1_decode_to_what_was_written() {
    for Log { name, events, .. } in logs() {
        let row = read(name);
        assert_eq!(encoding::decode(&row).as_ref(), Ok(&events), "{name}");
        assert_eq!(encoding::encode(&events), row, "{name}: the present encoding is version 1");
    }
}

#[test]
fn the_logs_of_version_1_fold() {
    for Log { name, definition, .. } in logs() {
        let state = fold(&definition, &encoding::decode(&read(name)).unwrap()).unwrap();
        insta::assert_debug_snapshot!(name, state);
    }
}

#[test]
fn no_file_of_version_1_is_without_a_log() {
    let files: BTreeSet<String> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, logs().iter().map(|log| format!("{}.bin", log.name)).collect());
}

#[test]
fn the_logs_hold_every_variant() {
    let logs = logs();
    let met: BTreeSet<String> = logs.iter().flat_map(|log| &log.events).map(variant).collect();
    let variants: Vec<&str> = met.iter().map(String::as_str).collect();
    assert_eq!(
        variants,
        [
            "Answered ",
            "Answered BAD_REPLY",
            "Answered BUSY",
            "Answered CONNECTION_LOST",
            "Answered FORBIDDEN",
            "Answered INDEFINITE_STATUS",
            "Answered NOT_SENT",
            "Answered OUT_OF_STOCK",
            "Answered TIMED_OUT",
            "CancelRequested",
            "Ended Compensated",
            "Ended Completed",
            "Inquired",
            "Intended",
            "Kept",
            "LogWentBack",
            "OperatorActed RETRY",
            "OperatorActed SETTLE Applied",
            "OperatorActed SETTLE NotApplied",
            "Owned",
            "Resolved ",
            "Resolved FENCED",
            "Resolved INQUIRY_UNANSWERED",
            "Resolved INQUIRY_UNSUPPORTED",
            "Resolved IN_PROGRESS",
            "Resolved OUT_OF_STOCK",
            "Signalled",
            "Skipped",
            "Started",
            "TurnedBack ATTEMPTS_EXHAUSTED",
            "TurnedBack CANCELLED",
            "TurnedBack DEADLINE_PASSED",
            "TurnedBack STEP_REJECTED",
            "TurnedBack UNDONE_IN_LOST_ROWS",
            "TurnedBack UNRENDERABLE",
            "Unrenderable",
            "WaitBegan",
            "WaitEnded ACCEPTED",
            "WaitEnded REFUSED",
            "WaitEnded TIMED_OUT Accept",
            "WaitEnded TIMED_OUT Refuse",
        ]
    );
}

/// A participant knows an operation by this key alone: were it another one after a
/// restart, the operation would happen again.
#[test]
fn operation_ids_are_for_ever() {
    let saga = SagaId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
    let id = |step, direction| {
        let name = OperationName { step, direction, generation: 0 };
        OperationId::derive(saga, OperationRoot::Saga, name).to_string()
    };
    assert_eq!(id("reserve_stock", Direction::Forward), "ae0cff4e-af1d-5c22-9c2b-111822349145");
    assert_eq!(id("reserve_stock", Direction::Backward), "fe13b8f6-add6-5d6b-82e5-227049d41766");
    assert_eq!(id("insert_order", Direction::Forward), "10f32205-e508-5853-90c7-4ce11337e0d7");
}

/// The second derivation: the same start finds its operations again, whatever became of the log.
#[test]
fn operation_ids_of_a_request_are_for_ever() {
    let root = OperationRoot::of_request("shop", "order-1", &[7; 32]);
    let id = |saga, direction, generation| {
        let name = OperationName { step: "reserve_stock", direction, generation };
        OperationId::derive(SagaId(Uuid::from_u128(saga)), root, name).to_string()
    };
    assert_eq!(id(1, Direction::Forward, 0), id(2, Direction::Forward, 0));
    assert_eq!(id(1, Direction::Forward, 0), "c29bbf18-b547-585a-8838-baaf06e0adab");
    assert_eq!(id(1, Direction::Backward, 0), "a2ec33eb-f761-5fa3-9d52-673dfccfbe92");
    assert_eq!(id(1, Direction::Forward, 1), "9a3f13a4-116c-5ed5-952e-78a9b973000a");
    assert_eq!(id(1, Direction::Forward, 12), "4e69f1d9-e61a-5dfc-9cdb-347f209d3295");
}

/// No part of what was asked for can be taken for another, and each of them counts.
#[test]
fn other_requests_have_other_operation_ids() {
    let roots = [
        OperationRoot::of_request("shop", "order-1", &[7; 32]),
        OperationRoot::of_request("shop", "order-1", &[8; 32]),
        OperationRoot::of_request("shop", "order-2", &[7; 32]),
        OperationRoot::of_request("shopo", "rder-1", &[7; 32]),
        OperationRoot::of_request("", "shoporder-1", &[7; 32]),
    ];
    let all: std::collections::HashSet<OperationRoot> = roots.into_iter().collect();
    assert_eq!(all.len(), roots.len());
}

#[test]
fn bytes_that_end_too_soon_never_panic() {
    let mut prefixes = 0;
    for Log { name, definition, events } in logs() {
        let row = read(name);
        for length in 0..row.len() {
            let decoded = use_all(&definition, &row.slice(..length));
            assert_ne!(decoded.as_ref(), Some(&events), "{name}: {length} bytes");
            prefixes += 1;
        }
    }
    assert_eq!(prefixes, 3_580);
}

#[test]
fn a_flipped_bit_never_panics() {
    let mut flips = 0;
    for Log { name, definition, .. } in logs() {
        let row = read(name);
        for at in 0..row.len() {
            for bit in 0..8 {
                let mut damaged = row.to_vec();
                damaged[at] ^= 1 << bit;
                use_all(&definition, &damaged.into());
                flips += 1;
            }
        }
    }
    assert_eq!(flips, 8 * 3_580);
}

#[test]
fn a_row_may_be_empty_and_unknown_fields_are_passed_over() {
    assert_eq!(encoding::decode(&Bytes::new()), Ok(vec![]));
    // Field 15 of the row, which no version has written: a varint.
    assert_eq!(encoding::decode(&Bytes::from_static(&[0x78, 0x01])), Ok(vec![]));
}

#[test]
fn an_event_of_a_later_version_is_an_error() {
    // An event whose kind has tag 18.
    let row = Bytes::from_static(&[0x0a, 0x03, 0x92, 0x01, 0x00]);
    assert!(encoding::decode(&row).is_err());
}

/// Everything that a program does with a log that it loads. Returns the events, where
/// they are legal.
fn use_all(definition: &Definition, row: &Bytes) -> Option<Vec<Event>> {
    let events = encoding::decode(row).ok()?;
    for event in &events {
        let _ = (event.kind(), event.step(), format!("{event:?}"));
    }
    let state = fold(definition, &events)?;
    for now_ms in [0, 1_000, u64::MAX] {
        let _ = next(definition, &state, now_ms);
    }
    let _ = stuck(definition, &state);
    let _ = told::told(definition, &state);
    if let Some(step) = state.turned_back().and_then(saga_core::TurnBackReason::step) {
        let _ = definition.step(step);
    }
    Some(events)
}

fn fold(definition: &Definition, events: &[Event]) -> Option<State> {
    let (Event::Started(started), rest) = events.split_first()? else { return None };
    let mut state = State::start(SagaId(Uuid::from_u128(1)), definition, started);
    state.apply_all(rest).ok()?;
    Some(state)
}

/// The event's kind, and what else the format tells apart.
fn variant(event: &Event) -> String {
    let kind = event.kind();
    match event {
        Event::Answered { outcome, .. } => format!("{kind} {}", outcome.reason()),
        Event::Resolved { resolution, .. } => format!("{kind} {}", resolution.reason()),
        Event::TurnedBack { reason, .. } => format!("{kind} {}", reason.code()),
        Event::Ended { ending, .. } => format!("{kind} {ending:?}"),
        Event::OperatorActed { act: OperatorAct::Retry, .. } => format!("{kind} RETRY"),
        Event::OperatorActed { act: OperatorAct::Renew { .. }, .. } => format!("{kind} RENEW"),
        Event::OperatorActed { act: OperatorAct::Close, .. } => format!("{kind} CLOSE"),
        Event::OperatorActed { act: OperatorAct::Settle { settled, .. }, .. } => {
            let settled: &Settled = settled;
            format!("{kind} SETTLE {settled:?}")
        }
        Event::WaitEnded { verdict, .. } => match verdict {
            Verdict::Accepted => format!("{kind} ACCEPTED"),
            Verdict::Refused { .. } => format!("{kind} REFUSED"),
            Verdict::TimedOut { then } => format!("{kind} TIMED_OUT {then:?}"),
        },
        _ => kind.to_owned(),
    }
}

fn read(name: &str) -> Bytes {
    let path = directory().join(format!("{name}.bin"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// Where the files are. They are written first where somebody asks for it.
fn directory() -> PathBuf {
    static WRITTEN: Once = Once::new();
    let directory: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", "v1"].iter().collect();
    WRITTEN.call_once(|| {
        if env::var_os("UPDATE_GOLDEN").is_some() {
            for Log { name, events, .. } in logs() {
                let path = directory.join(format!("{name}.bin"));
                fs::write(path, encoding::encode(&events)).expect("the tests may be written");
            }
        }
    });
    directory
}
