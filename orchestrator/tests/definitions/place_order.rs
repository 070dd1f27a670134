//! The definition that the project ships.

use orchestrator::definition::{CompiledDefinition, LANGUAGE_LEVEL, Rendered, RunData as _};
use prost::Message;
use saga_core::{Direction, StepIndex};
use shop_proto::{inventory, order, payment};

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
            amount_minor: 9_007_199_254_740_993,
        }),
        currency: "KRW".to_owned(),
        ..Default::default()
    }
}

/// A line as the catalogue has it.
fn priced(item_id: &str, qty: i64, credits: i64) -> inventory::v1::PricedLine {
    inventory::v1::PricedLine { item_id: item_id.to_owned(), qty, price_minor: 300, credits }
}

fn data() -> Data {
    let reserved = inventory::v1::ReserveResponse {
        total_minor: 9_007_199_254_740_993,
        currency: "KRW".to_owned(),
        lines: vec![priced("a", 2, 0), priced("b", i64::MAX, 7)],
        credits: 7,
        ..Default::default()
    };
    let accepted =
        order::v1::AcceptOrderResponse { credit_account: "c-1".to_owned(), ..Default::default() };
    let paid = payment::v1::ConfirmResponse {
        payment_id: "p-1".to_owned(),
        amount_minor: 9_007_199_254_740_993,
        ..Default::default()
    };
    Data {
        input: input().encode_to_vec().into(),
        replies: vec![
            None,
            Some(accepted.encode_to_vec().into()),
            Some(reserved.encode_to_vec().into()),
            // No coupons.
            None,
            Some(paid.encode_to_vec().into()),
            None,
            None,
        ],
        ..Data::default()
    }
}

/// The same order with a coupon of 400.
fn data_with_coupon() -> Data {
    let line = |item_id: &str, qty, discount_minor| order::v1::OrderLine {
        item_id: item_id.to_owned(),
        qty,
        price_minor: 300,
        discount_minor,
        ..Default::default()
    };
    let used = order::v1::UseCouponsResponse {
        lines: vec![line("a", 2, 1), line("b", i64::MAX, 399)],
        discount_minor: 400,
        total_minor: 9_007_199_254_740_593,
    };
    let coupon_ids = vec!["k-1".to_owned()];
    let input = order::v1::PlaceOrderInput { coupon_ids, ..input() };
    let mut data = Data { input: input.encode_to_vec().into(), ..data() };
    data.replies[3] = Some(used.encode_to_vec().into());
    data
}

fn rendered<M: Message + Default>(
    definition: &CompiledDefinition,
    step: u8,
    direction: Direction,
) -> M {
    rendered_of(definition, step, direction, &data())
}

fn rendered_of<M: Message + Default>(
    definition: &CompiledDefinition,
    step: u8,
    direction: Direction,
    data: &Data,
) -> M {
    match definition.render(StepIndex(step), direction, data).unwrap() {
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

    // With toss nothing is there before it is captured.
    let paid = definition.render(StepIndex(0), Direction::Backward, &data()).unwrap();
    assert!(matches!(paid, Rendered::Skip));

    let accept: order::v1::AcceptOrderRequest = rendered(&definition, 1, Direction::Forward);
    assert_eq!((accept.lines, accept.payment), (input().lines, input().payment));
    let withdraw: order::v1::WithdrawOrderRequest = rendered(&definition, 1, Direction::Backward);
    assert_eq!(withdraw.accept_op_id, op("accept_order"));

    let reserve: inventory::v1::ReserveRequest = rendered(&definition, 2, Direction::Forward);
    assert_eq!(reserve.order_no, "order-000001");
    let line = |item: &str, qty| inventory::v1::Line {
        item_id: item.to_owned(),
        qty,
        price_minor: 250,
        credits: 0,
    };
    // What the customer takes for the prices is only compared.
    assert_eq!(reserve.lines, [line("a", 2), line("b", i64::MAX)]);
    assert_eq!(reserve.expected_total_minor, 9_007_199_254_740_993);

    let release: inventory::v1::ReleaseRequest = rendered(&definition, 2, Direction::Backward);
    assert_eq!(release.reserve_op_id, op("reserve_stock"));

    let confirm: payment::v1::ConfirmRequest = rendered(&definition, 4, Direction::Forward);
    // The server's price, never the client's (S4-2).
    assert_eq!(confirm.amount_minor, 9_007_199_254_740_993);
    assert_eq!((confirm.provider.as_str(), confirm.provider_key.as_str()), ("toss", "key-1"));

    let cancel: payment::v1::CancelRequest = rendered(&definition, 4, Direction::Backward);
    assert_eq!(cancel.reverses_op_id, op("verify_payment"));
    assert_eq!((cancel.amount_minor, cancel.reason.as_str()), (0, "the order could not be placed"));

    let insert: order::v1::InsertOrderRequest = rendered(&definition, 5, Direction::Forward);
    // The catalogue's prices, whatever the customer says.
    let prices: Vec<i64> = insert.lines.iter().map(|it| it.price_minor).collect();
    assert_eq!((prices, insert.lines[1].credits), (vec![300, 300], 7));
    assert_eq!((insert.accept_op_id, &*insert.credit_account), (op("accept_order"), "c-1"));
    assert_eq!((insert.payment_id.as_str(), insert.paid_minor), ("p-1", 9_007_199_254_740_993));

    let commit: inventory::v1::CommitRequest = rendered(&definition, 6, Direction::Forward);
    assert_eq!(commit.reserve_op_id, op("reserve_stock"));
    assert!(definition.call(StepIndex(5), Direction::Backward).is_none());
}

#[test]
fn what_coupons_leave_is_paid_and_written_down() {
    let definition = compile(YAML, &pool()).unwrap().definition;
    let data = data_with_coupon();
    let forward = Direction::Forward;
    let accept: order::v1::AcceptOrderRequest = rendered_of(&definition, 1, forward, &data);
    assert_eq!(accept.coupon_ids, ["k-1"]);
    // The rest is what the customer expects to pay, and not what the goods cost.
    let reserve: inventory::v1::ReserveRequest = rendered_of(&definition, 2, forward, &data);
    assert_eq!(reserve.expected_total_minor, 0);
    let used: order::v1::UseCouponsRequest = rendered_of(&definition, 3, forward, &data);
    assert_eq!((used.expected_minor, used.is_paid), (9_007_199_254_740_993, true));
    assert_eq!((used.coupon_ids, used.lines[1].price_minor), (vec!["k-1".to_owned()], 300));
    let confirm: payment::v1::ConfirmRequest = rendered_of(&definition, 4, forward, &data);
    assert_eq!(confirm.amount_minor, 9_007_199_254_740_593);
    let insert: order::v1::InsertOrderRequest = rendered_of(&definition, 5, forward, &data);
    let discounts: Vec<i64> = insert.lines.iter().map(|it| it.discount_minor).collect();
    assert_eq!(discounts, [1, 399]);
    let back: order::v1::ReturnCouponsRequest =
        rendered_of(&definition, 3, Direction::Backward, &data);
    assert_eq!(back.use_op_id, data.operation(StepIndex(0), "use_coupons").to_string());
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
