//! The definition that the project ships.

use orchestrator::definition::{CompiledDefinition, LANGUAGE_LEVEL, Rendered, RunData as _};
use prost::Message;
use saga_core::{Direction, StepIndex};
use saga_proto::shop::{inventory, order, payment};

use super::sample::{Data, compile, pool};

const YAML: &str = include_str!("../../../deploy/definitions/place-order.yaml");

fn input() -> order::v1::PlaceOrderInput {
    let line = |item: &str, qty| order::v1::OrderLine {
        item_id: item.to_owned(),
        qty,
        price_minor: 250,
        ..Default::default()
    };
    order::v1::PlaceOrderInput {
        order_no: "order-000001".to_owned(),
        customer_id: "c-1".to_owned(),
        lines: vec![line("a", 2), line("b", i64::MAX)],
        payment: Some(order::v1::PaymentInput {
            provider: "toss".to_owned(),
            provider_key: "key-1".to_owned(),
            amount_minor: 1,
        }),
        currency: "KRW".to_owned(),
        ..Default::default()
    }
}

fn data() -> Data {
    let reserved = inventory::v1::ReserveResponse {
        total_minor: 9_007_199_254_740_993,
        currency: "KRW".to_owned(),
        ..Default::default()
    };
    let paid = payment::v1::ConfirmResponse {
        payment_id: "p-1".to_owned(),
        amount_minor: 9_007_199_254_740_993,
        ..Default::default()
    };
    Data {
        input: input().encode_to_vec().into(),
        replies: vec![
            Some(reserved.encode_to_vec().into()),
            Some(paid.encode_to_vec().into()),
            None,
            None,
        ],
        ..Data::default()
    }
}

fn rendered<M: Message + Default>(
    definition: &CompiledDefinition,
    step: u8,
    direction: Direction,
) -> M {
    match definition.render(StepIndex(step), direction, &data()).unwrap() {
        Rendered::Request(bytes) => M::decode(bytes).unwrap(),
        Rendered::Skip => panic!("step {step} has no condition"),
    }
}

#[test]
fn it_compiles_without_a_word() {
    let compiled = compile(YAML, &pool()).unwrap();
    assert_eq!(compiled.rendered, "");
    let participants = CompiledDefinition::participants_of(YAML, "place-order.yaml").unwrap();
    assert_eq!(participants.into_iter().collect::<Vec<_>>(), ["inventory", "order", "payment"]);
}

#[test]
fn every_request_is_what_the_services_expect() {
    let definition = compile(YAML, &pool()).unwrap().definition;
    let op = |step: &str| data().operation(StepIndex(0), step).to_string();

    let reserve: inventory::v1::ReserveRequest = rendered(&definition, 0, Direction::Forward);
    assert_eq!(reserve.order_no, "order-000001");
    let line = |item: &str, qty| inventory::v1::Line { item_id: item.to_owned(), qty };
    assert_eq!(reserve.lines, [line("a", 2), line("b", i64::MAX)]);

    let release: inventory::v1::ReleaseRequest = rendered(&definition, 0, Direction::Backward);
    assert_eq!(release.reserve_op_id, op("reserve_stock"));

    let confirm: payment::v1::ConfirmRequest = rendered(&definition, 1, Direction::Forward);
    // The server's price, never the client's (S4-2).
    assert_eq!(confirm.amount_minor, 9_007_199_254_740_993);
    assert_eq!((confirm.provider.as_str(), confirm.provider_key.as_str()), ("toss", "key-1"));

    let cancel: payment::v1::CancelRequest = rendered(&definition, 1, Direction::Backward);
    assert_eq!(cancel.reverses_op_id, op("verify_payment"));
    assert_eq!((cancel.amount_minor, cancel.reason.as_str()), (0, "the order could not be placed"));

    let insert: order::v1::InsertOrderRequest = rendered(&definition, 2, Direction::Forward);
    assert_eq!(insert.lines, input().lines);
    assert_eq!((insert.payment_id.as_str(), insert.paid_minor), ("p-1", 9_007_199_254_740_993));

    let commit: inventory::v1::CommitRequest = rendered(&definition, 3, Direction::Forward);
    assert_eq!(commit.reserve_op_id, op("reserve_stock"));
    assert!(definition.call(StepIndex(2), Direction::Backward).is_none());
}

#[test]
fn the_stored_types_compile_it_again() {
    let compiled = compile(YAML, &pool()).unwrap().definition;
    let types = compiled.types();
    let holds = |name: &str| types.windows(name.len()).any(|it| it == name.as_bytes());
    assert!(holds("ReserveRequest") && !holds("ParticipantService"), "what is not needed is left");
    let read = CompiledDefinition::read(YAML, "place-order", LANGUAGE_LEVEL, &types).unwrap();
    assert_eq!((read.hash, read.types()), (compiled.hash, types));
}

#[test]
fn formatting_does_not_change_the_hash_and_contents_do() {
    let hash = |yaml: &str| compile(yaml, &pool()).unwrap().definition.hash;
    let bare: String = YAML
        .lines()
        .filter(|it| !it.trim_start().starts_with('#'))
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(hash(&bare), hash(YAML));
    assert_eq!(hash(&YAML.replace("deadline: 5m", "deadline: '5m'")), hash(YAML));
    assert_ne!(hash(&YAML.replace("deadline: 5m", "deadline: 6m")), hash(YAML));
}

#[test]
fn labels_are_made_from_the_input() {
    let definition = compile(YAML, &pool()).unwrap().definition;
    let labels = definition.labels(&data()).unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(labels, [pair("order_no", "order-000001"), pair("customer", "c-1")]);
}
