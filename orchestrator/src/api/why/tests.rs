//! The sentence of every kind of state, as a table to be read.

use std::sync::Arc;

use bytes::Bytes;
use prost_reflect::DescriptorPool;
use saga_core::{
    Direction::{Backward, Forward},
    Ending, Event, NodeId, OperationRoot, Resolution, SagaId, Settled, Started, State, StepIndex,
    TurnBackReason, Verdict,
};
use saga_log::SagaRow;
use uuid::Uuid;

mod logs;

use logs::*;

use super::why;
use crate::{
    api::view,
    definition::CompiledDefinition,
    driver::standing::{Care, standing},
    engine::Snapshot,
};

const YAML: &str = r#"
kind: Saga
name: test
version: 1
input: shop.order.v1.PlaceOrderInput
deadline: 1m
steps:
  - name: reserve
    action: { call: inventory/shop.inventory.v1.InventoryService/Reserve, request: { order_no: input.order_no }, timeout: 1s }
    compensation: { call: inventory/shop.inventory.v1.InventoryService/Release, request: { reserve_op_id: op("reserve") }, timeout: 1s, retry: { attempts: 2 } }
    retry: { attempts: 3 }
    resolve: { attempts: 1 }
  - name: note
    compensation: none
    action: { call: order/shop.order.v1.OrderService/InsertOrder, request: { order_no: input.order_no }, timeout: 1s }
  - name: approval
    wait: { signal: go-ahead, type: shop.order.v1.RefundApproval, accept: signal.approved, refused: DENIED, timeout: 4s }
  - name: insert
    pivot: true
    action: { call: order/shop.order.v1.OrderService/InsertOrder, request: { order_no: input.order_no }, timeout: 1s }
  - name: commit
    action: { call: inventory/shop.inventory.v1.InventoryService/Commit, request: { reserve_op_id: op("reserve") }, timeout: 1s }
    retry: { attempts: 2 }
"#;

const RESERVE: StepIndex = StepIndex(0);
const NOTE: StepIndex = StepIndex(1);
const APPROVAL: StepIndex = StepIndex(2);
const INSERT: StepIndex = StepIndex(3);
const COMMIT: StepIndex = StepIndex(4);
const NOW_MS: u64 = 5_000;

#[test]
fn every_kind_of_state_has_a_sentence_that_is_so() {
    let types = DescriptorPool::decode(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
    let compiled = CompiledDefinition::check(YAML, "test.yaml", &types.into());
    let definition = Arc::new(compiled.unwrap_or_else(|it| panic!("{}", it.rendered)).definition);
    let states = [
        going_forward(),
        behind_the_pivot(),
        turning_back(),
        ended_with_nothing_done(),
        ended_with_something_done(),
    ];
    let table: Vec<String> = states
        .into_iter()
        .flatten()
        .map(|(name, events)| {
            let snapshot = snapshot(&definition, &events.concat());
            let saga = view::saga(&snapshot, NOW_MS);
            assert_eq!(saga.why, why(&snapshot, NOW_MS));
            let steps: Vec<String> = saga.steps.iter().map(described).collect();
            let verbs: Vec<&str> = saga.offers.iter().map(|it| it.verb().as_str_name()).collect();
            let verbs = verbs.join(" ").replace("SAGA_VERB_", "");
            format!("{name}\n  {}\n  {}\n  can {verbs}\n", saga.why, steps.join(", "))
        })
        .collect();
    insta::assert_snapshot!("sentences", table.join("\n"));
}

fn described(step: &saga_proto::saga::v1::SagaStep) -> String {
    let state = step.state().as_str_name().replace("STEP_STATE_", "").to_lowercase();
    let undo = step.undo().as_str_name().replace("STEP_UNDO_", "").to_lowercase();
    let result = &step.last_result;
    let result = if result.is_empty() { String::new() } else { format!(" [{result}]") };
    format!("{} {state}/{undo}{result}", step.name)
}

fn snapshot(definition: &Arc<CompiledDefinition>, events: &[Event]) -> Snapshot {
    let started = Started {
        definition: "test".to_owned(),
        definition_version: 1,
        definition_hash: definition.hash,
        input: Bytes::new(),
        operations: OperationRoot::Saga,
        node: NodeId(Uuid::nil()),
        log_epoch: 0,
        after_loss: false,
        at_ms: 0,
    };
    let saga = SagaId(Uuid::from_u128(1));
    let mut state = State::start(saga, &definition.core, &started);
    for event in events {
        state.apply(event).unwrap_or_else(|illegal| panic!("{illegal}: {events:?}"));
    }
    let row = SagaRow {
        saga,
        namespace: String::new(),
        business_key: "key".to_owned(),
        definition: "test".to_owned(),
        definition_version: 1,
        request_hash: [0; 32],
        started_at_ms: 0,
        standing: standing(definition, &state, &Care::Parked { until_ms: None, held: None }, 0),
    };
    Snapshot { row, definition: Arc::clone(definition), state, version: 1 }
}

/// A state by its name, as its log in parts.
type Told = (&'static str, Vec<Vec<Event>>);

fn going_forward() -> Vec<Told> {
    vec![
        ("just accepted", vec![]),
        ("called", vec![out(RESERVE, Forward, 1)]),
        ("called again", vec![busy(1), out(RESERVE, Forward, 2)]),
        ("to be tried again", vec![busy(1)]),
        ("wiring is wrong", vec![called(RESERVE, Forward, 1, fault())]),
        ("in doubt", vec![doubt()]),
        ("asked", vec![doubt(), busy(2), busy(3), inquired(1)]),
        ("asked in vain", vec![doubt(), busy(2), busy(3), inquired(1), resolved(1, unanswered())]),
        ("waits for its signal", vec![noted(), vec![began()]]),
        ("has its signal", vec![noted(), vec![began(), signalled()]]),
        ("timer is over", vec![noted(), vec![began_at(0)]]),
        ("pivot is out", vec![approved(), out(INSERT, Forward, 1)]),
    ]
}

fn behind_the_pivot() -> Vec<Told> {
    vec![
        ("behind the pivot", vec![inserted(), called(COMMIT, Forward, 1, not_sent())]),
        (
            "fails behind the pivot",
            vec![
                inserted(),
                called(COMMIT, Forward, 1, not_sent()),
                called(COMMIT, Forward, 2, not_sent()),
            ],
        ),
        ("its reply is missed", vec![noted_unread(), unrenderable(COMMIT, Forward)]),
        ("contradicted", vec![called(RESERVE, Forward, 1, contradicted())]),
        ("refused behind the pivot", vec![inserted(), called(COMMIT, Forward, 1, rejected())]),
        ("unrenderable behind the pivot", vec![inserted(), unrenderable(COMMIT, Forward)]),
        (
            "completed",
            vec![inserted(), called(COMMIT, Forward, 1, applied()), vec![ended(Ending::Completed)]],
        ),
    ]
}

fn turning_back() -> Vec<Told> {
    vec![
        ("turning back with a doubt", vec![doubt(), overdue()]),
        ("being undone", vec![noted(), overdue(), out(RESERVE, Backward, 1)]),
        ("not undone yet", vec![noted(), overdue(), called(RESERVE, Backward, 1, not_sent())]),
        (
            "undo fails",
            vec![
                noted(),
                overdue(),
                called(RESERVE, Backward, 1, not_sent()),
                called(RESERVE, Backward, 2, not_sent()),
            ],
        ),
        (
            "undo finds nothing",
            vec![noted(), overdue(), called(RESERVE, Backward, 1, nothing_to_undo())],
        ),
        (
            "closed",
            vec![
                noted(),
                overdue(),
                called(RESERVE, Backward, 1, rejected()),
                closed(),
                vec![ended(Ending::Closed)],
            ],
        ),
        ("undo is refused", vec![noted(), overdue(), called(RESERVE, Backward, 1, rejected())]),
        ("undo is unrenderable", vec![noted(), overdue(), unrenderable(RESERVE, Backward)]),
    ]
}

fn ended_with_nothing_done() -> Vec<Told> {
    vec![
        ("nothing was done: given up", vec![busy(1), busy(2), busy(3), gave_up(), compensated()]),
        (
            "nothing was done: refused",
            vec![
                called(RESERVE, Forward, 1, rejected()),
                refused(RESERVE, "OUT_OF_STOCK"),
                compensated(),
            ],
        ),
        (
            "nothing was done: fenced",
            vec![
                doubt(),
                busy(2),
                busy(3),
                inquired(1),
                resolved(1, Resolution::Fenced),
                gave_up(),
                compensated(),
            ],
        ),
        (
            "nothing was done: settled",
            vec![
                doubt(),
                busy(2),
                busy(3),
                inquired(1),
                resolved(1, unanswered()),
                settled(RESERVE, Settled::NotApplied),
                gave_up(),
                compensated(),
            ],
        ),
        (
            "nothing was done: cancelled",
            vec![busy(1), cancelled(), turned_back(TurnBackReason::Cancelled), compensated()],
        ),
    ]
}

fn ended_with_something_done() -> Vec<Told> {
    vec![
        ("everything is undone", vec![reserved(), overdue(), undone(), compensated()]),
        (
            "settled as undone",
            vec![
                reserved(),
                overdue(),
                called(RESERVE, Backward, 1, rejected()),
                settled(RESERVE, Settled::Applied),
                compensated(),
            ],
        ),
        ("something stays", vec![noted(), overdue(), undone(), compensated()]),
        (
            "no signal came",
            vec![
                noted(),
                vec![began(), judged(Verdict::TimedOut { then: saga_core::OnTimeout::Refuse })],
                refused(APPROVAL, "SIGNAL_TIMEOUT"),
                undone(),
                compensated(),
            ],
        ),
        (
            "the signal said no",
            vec![
                noted(),
                vec![
                    began(),
                    signalled(),
                    judged(Verdict::Refused { reason: "DENIED".to_owned() }),
                ],
                refused(APPROVAL, "DENIED"),
                undone(),
                compensated(),
            ],
        ),
    ]
}
