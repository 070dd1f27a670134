//! Inputs: what is accepted, and how a refusal reads (F58).

use prost::Message;
use saga_proto::shop::order::v1::{OrderLine, PaymentInput, PlaceOrderInput};

use super::sample::{compile, echo, kinds, pool};

const YAML: &str = include_str!("../../../deploy/definitions/place-order.yaml");
const TYPE: &str = "shop.order.v1.PlaceOrderInput";

#[test]
fn a_refused_json_input_names_the_field() {
    let definition = compile(YAML, &pool()).unwrap().definition;
    let table = [
        (
            r#"{"order_no": "o", "colour": 1}"#,
            "colour",
            "shop.order.v1.PlaceOrderInput has no such field",
        ),
        (r#"{"lines": [{"qty": 1}, {"qty": "x"}]}"#, "lines[1].qty", ""),
        (r#"{"lines": [{"qty": 9223372036854775808}]}"#, "lines[0].qty", ""),
        (r#"{"payment": {"amount_minor": true}}"#, "payment.amount_minor", ""),
        (
            r#"{"payment": {"amount": 1}}"#,
            "payment.amount",
            "shop.order.v1.PaymentInput has no such field",
        ),
        (r#"{"lines": {}}"#, "lines", ""),
        (r#"{"order_no": 5}"#, "order_no", ""),
        ("[]", "", ""),
        ("{", "", ""),
        ("{} {}", "", ""),
    ];
    for (json, field, message) in table {
        let error = definition.encode_input_json(json).unwrap_err();
        assert_eq!(error.field, field, "{json}: {error}");
        assert!(error.message.contains(message), "{json}: {error}");
        assert!(!error.remedy.is_empty());
    }
    let error = definition.encode_input_json(r#"{"ordr_no": "o"}"#).unwrap_err();
    assert_eq!(error.remedy, "did you mean `order_no`?");
}

#[test]
fn both_spellings_of_a_name_and_large_numbers_are_accepted() {
    let definition = compile(YAML, &pool()).unwrap().definition;
    let json = r#"{"orderNo": "o", "payment": {"amount_minor": 9007199254740993}, "lines": [{"qty": "2"}]}"#;
    let bytes = definition.encode_input_json(json).unwrap();
    let input = PlaceOrderInput::decode(bytes.clone()).unwrap();
    assert_eq!(input.order_no, "o");
    assert_eq!(input.payment.unwrap().amount_minor, 9_007_199_254_740_993);
    assert_eq!(definition.check_input_bytes(TYPE, &bytes).unwrap(), bytes);
    assert_eq!(definition.input_type(), TYPE);
}

#[test]
fn bytes_of_another_type_or_with_unknown_fields_are_refused() {
    let definition = compile(YAML, &pool()).unwrap().definition;
    let check = |name: &str, bytes: &[u8]| definition.check_input_bytes(name, bytes);
    let url = format!("type.googleapis.com/{TYPE}");
    assert!(check(&url, &[]).is_ok());
    assert!(check("shop.order.v1.OrderLine", &[]).is_err());
    assert!(check("", &[]).is_err());
    assert!(check(TYPE, &[0x0a]).is_err(), "cut short");
    let error = check(TYPE, &[0xf8, 0x07, 0x01]).unwrap_err();
    assert!(error.message.contains("no field number 127"), "{error}");
    // The same inside of the second line: field 3, 3 bytes, unknown field 127.
    let error = check(TYPE, &[0x1a, 0x00, 0x1a, 0x03, 0xf8, 0x07, 0x01]).unwrap_err();
    assert_eq!(error.field, "lines[1]");
}

#[test]
fn deep_nesting_is_refused_and_never_overflows() {
    let definition = compile(&echo("{}"), &kinds()).unwrap().definition;
    let deep = |depth: usize| "{\"child\":".repeat(depth) + "{}" + &"}".repeat(depth);
    assert!(definition.encode_input_json(&deep(20)).is_ok());
    assert!(definition.encode_input_json(&deep(100_000)).is_err());
    let mut bytes = Vec::new();
    for _ in 0..3_000 {
        let mut outer = vec![0x52];
        prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
        outer.extend_from_slice(&bytes);
        bytes = outer;
    }
    assert!(definition.check_input_bytes("kinds.All", &bytes).is_err());
}

#[test]
fn malformed_bytes_never_panic() {
    let definition = compile(YAML, &pool()).unwrap().definition;
    let line = OrderLine {
        item_id: "item".to_owned(),
        qty: -1,
        price_minor: i64::MAX,
        discount_minor: 3,
        ..OrderLine::default()
    };
    let payment = PaymentInput { provider: "toss".to_owned(), ..PaymentInput::default() };
    let good = PlaceOrderInput {
        order_no: "order-000001".to_owned(),
        customer_id: "c".to_owned(),
        lines: vec![line; 3],
        payment: Some(payment),
        currency: "KRW".to_owned(),
        ..PlaceOrderInput::default()
    }
    .encode_to_vec();
    let mut refused = 0;
    for at in 0..good.len() {
        for flip in [0x01_u8, 0x07, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            refused += usize::from(definition.check_input_bytes(TYPE, &bad).is_err());
        }
        refused += usize::from(definition.check_input_bytes(TYPE, &good[..at]).is_err());
    }
    assert!(good.len() < refused, "only {refused} of {} were refused", good.len() * 5);
}
