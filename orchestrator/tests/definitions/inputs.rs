//! Inputs: what is accepted, and how a refusal reads (F58).

use orchestrator::definition::Rendered;
use prost::Message;
use prost_reflect::DynamicMessage;
use saga_core::{Direction, StepIndex};
use shop_proto::order::v1::{OrderLine, PaymentInput, PlaceOrderInput};

use super::sample::{Data, compile, echo, echo_of, kinds, known, pool};

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

/// One limit, however an input is spelled, and everybody who gets it later can read it.
#[test]
fn nesting_has_one_limit_that_all_readers_can_take() {
    let definition =
        compile(&echo("{ children: [{ child: input }] }"), &kinds()).unwrap().definition;
    let child = |depth: usize| "{\"child\":".repeat(depth) + "{}" + &"}".repeat(depth);
    let listed = |depth: usize| "{\"children\":[".repeat(depth) + "{}" + &"]}".repeat(depth);
    let bytes = |depth: usize| {
        let mut bytes = Vec::new();
        for _ in 0..depth {
            let mut outer = vec![0x52];
            prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
            outer.extend_from_slice(&bytes);
            bytes = outer;
        }
        bytes
    };
    let check = |bytes: &[u8]| definition.check_input_bytes("kinds.All", bytes);
    for depth in [20, 59] {
        for json in [child(depth), listed(depth)] {
            let input = definition.encode_input_json(&json).unwrap();
            assert_eq!(check(&input).unwrap(), input);
            let data = Data { input, ..Data::default() };
            let request = definition.render(StepIndex(0), Direction::Forward, &data).unwrap();
            let Rendered::Request(request) = request else { panic!("skipped") };
            let of = kinds().get_message_by_name("kinds.All").unwrap();
            assert!(DynamicMessage::decode(of, request).is_ok());
        }
        assert!(check(&bytes(depth)).is_ok());
    }
    let told = "more than 60 messages inside one another";
    for depth in [60, 90, 100, 120, 3_000, 100_000] {
        for json in [child(depth), listed(depth)] {
            assert_eq!(definition.encode_input_json(&json).unwrap_err().message, told, "{depth}");
        }
    }
    assert_eq!(check(&bytes(60)).unwrap_err().message, told);
    assert!(check(&bytes(3_000)).is_err());
}

#[test]
fn nothing_is_said_twice() {
    let definition = compile(&echo_of("known", "{}"), &known()).unwrap().definition;
    let table = [
        (r#"{"i64": 5, "i64": 500}"#, "i64"),
        (r#"{"number_of": 5, "numberOf": 6}"#, "numberOf"),
        (r#"{"counts": {"a": 1, "a": 2}}"#, "counts.a"),
        (r#"{"keyed": {"1": "a", "01": "b"}}"#, "keyed.1"),
        (r#"{"child": {"text": "a", "text": "a"}}"#, "child.text"),
        (r#"{"children": [{}, {"text": "a", "text": "b"}]}"#, "children[1].text"),
        (r#"{"free": {"a": {"b": 1, "b": 1}}}"#, "free.a.b"),
        (r#"{"any": {"@type": "x/known.All", "text": "a", "text": "b"}}"#, "any.text"),
        (
            r#"{"any": {"@type": "x/google.protobuf.Struct", "value": {"a": 1, "a": 1}}}"#,
            "any.value.a",
        ),
        (r#"{"any": {"@type": "x/known.All", "@type": "x/known.All"}}"#, "any.@type"),
    ];
    for (json, field) in table {
        let error = definition.encode_input_json(json).unwrap_err();
        assert_eq!((error.field.as_str(), error.message.as_str()), (field, "it is given twice"));
    }
    for json in
        [r#"{"left": "a", "right": "b"}"#, r#"{"numbers": [null]}"#, r#"{"counts": {"a": null}}"#]
    {
        assert!(definition.encode_input_json(json).is_err(), "{json}");
    }
}

#[test]
fn a_number_is_exact_or_refused() {
    let definition = compile(&echo_of("known", "{}"), &known()).unwrap().definition;
    let same = [
        (r#"{"i64": 9007199254740993.0}"#, r#"{"i64": "9007199254740993"}"#),
        (r#"{"i64": "9007199254740993.0"}"#, r#"{"i64": "9007199254740993"}"#),
        (r#"{"i64": 9223372036854775807.0}"#, r#"{"i64": "9223372036854775807"}"#),
        (r#"{"i64": -9.223372036854775808e18}"#, r#"{"i64": "-9223372036854775808"}"#),
        (r#"{"u64": 1.8446744073709551615e19}"#, r#"{"u64": "18446744073709551615"}"#),
        (r#"{"i64": 1e3, "i32": 1.0e0}"#, r#"{"i64": "1000", "i32": 1}"#),
        (r#"{"i64": "1e3"}"#, r#"{"i64": 1000}"#),
        (r#"{"numbers": [1.0, "2.0e0"]}"#, r#"{"numbers": [1, 2]}"#),
        (r#"{"counts": {"a": 9007199254740993.0}}"#, r#"{"counts": {"a": "9007199254740993"}}"#),
        (r#"{"wrapped": 9007199254740993.0}"#, r#"{"wrapped": "9007199254740993"}"#),
        (r#"{"color": 1.0}"#, r#"{"color": "RED"}"#),
        (
            r#"{"any": {"@type": "x/known.All", "i64": 9007199254740993.0}}"#,
            r#"{"any": {"i64": "9007199254740993", "@type": "x/known.All"}}"#,
        ),
        (r#"{"f64": 1e3, "f32": 0.5}"#, r#"{"f64": 1000, "f32": 5e-1}"#),
        (r#"{"f64": 1.7976931348623157e308}"#, r#"{"f64": 17976931348623157e292}"#),
        (r#"{"free": {"a": 9007199254740992}}"#, r#"{"free": {"a": 9007199254740992.0}}"#),
    ];
    for (one, other) in same {
        let bytes = [one, other].map(|json| definition.encode_input_json(json));
        assert!(bytes[0].is_ok() && bytes[0] == bytes[1], "{one}: {bytes:?}");
    }
    let refused = [
        (r#"{"i64": 9007199254740992.5}"#, "i64"),
        (r#"{"i64": 9223372036854775807.5}"#, "i64"),
        (r#"{"i64": 9223372036854775808.0}"#, "i64"),
        (r#"{"i64": 1e30}"#, "i64"),
        (r#"{"u64": 1e30}"#, "u64"),
        (r#"{"u64": -1.0}"#, "u64"),
        (r#"{"i32": 2147483648.0}"#, "i32"),
        (r#"{"i64": "9007199254740992.5"}"#, "i64"),
        (r#"{"numbers": [1, 1.5]}"#, "numbers[1]"),
        (r#"{"counts": {"a": 1.5}}"#, "counts.a"),
        (r#"{"wrapped": 1.5}"#, "wrapped"),
        (r#"{"any": {"@type": "x/known.All", "i64": 1.5}}"#, "any.i64"),
        (r#"{"f64": 9007199254740993}"#, "f64"),
        (r#"{"f64": "9007199254740993"}"#, "f64"),
        (r#"{"f32": 16777217}"#, "f32"),
        (r#"{"free": {"a": [9007199254740993]}}"#, "free.a[0]"),
    ];
    for (json, field) in refused {
        let error = definition.encode_input_json(json).unwrap_err();
        assert!(error.field.starts_with(field), "{json}: {error}");
    }
}

/// As protobuf's own readers take it: what there is no room for is refused, and not cut.
#[test]
fn a_time_is_exact_or_refused() {
    let definition = compile(&echo_of("known", "{}"), &known()).unwrap().definition;
    let read = |json: &str| definition.encode_input_json(json);
    for taken in [
        r#"{"at": "2026-01-02T15:04:05Z", "span": "1.5s"}"#,
        r#"{"at": "2026-01-02T15:04:05.123456789+01:00", "span": "-0.000000001s"}"#,
        r#"{"at": null, "span": "3s"}"#,
    ] {
        assert!(read(taken).is_ok(), "{taken}: {:?}", read(taken));
    }
    for (json, field) in [
        (r#"{"at": "2026-01-02T15:04:60Z"}"#, "at"),
        (r#"{"at": "2026-01-02T15:04:05.0000000001Z"}"#, "at"),
        (r#"{"at": "2026-01-02T15:04:05"}"#, "at"),
        (r#"{"at": "2026-01-02"}"#, "at"),
        (r#"{"child": {"at": "2026-01-02 15:04:05Z"}}"#, "child.at"),
        (r#"{"span": "1.0000000001s"}"#, "span"),
        (r#"{"span": "1m"}"#, "span"),
        (r#"{"any": {"@type": "x/google.protobuf.Timestamp", "value": "2026-01-02"}}"#, "any"),
    ] {
        let error = read(json).unwrap_err();
        assert!(error.field.starts_with(field), "{json}: {error}");
    }
}

/// Golden: request hashes, and the ids of operations, are made of these bytes.
#[test]
fn equal_inputs_are_equal_bytes_also_inside_of_any() {
    let definition = compile(&echo_of("known", "{}"), &known()).unwrap().definition;
    let pairs: Vec<String> = (0..12).map(|it| format!(r#""k{it}": "{it}""#)).collect();
    let reversed: Vec<String> = pairs.iter().rev().cloned().collect();
    let (pairs, reversed) = (pairs.join(","), reversed.join(","));
    let shapes = [
        r#"{"labels": {MAP}}"#,
        r#"{"free": {MAP}}"#,
        r#"{"any": {"@type": "x/known.All", "labels": {MAP}}}"#,
        r#"{"any": {"@type": "x/google.protobuf.Struct", "value": {MAP}}}"#,
        r#"{"any": {"@type": "x/google.protobuf.Any", "value": {"@type": "x/known.All", "labels": {MAP}}}}"#,
        r#"{"anys": {"b": {"@type": "x/known.All", "labels": {MAP}}, "a": {"@type": "x/known.All"}}}"#,
    ];
    for shape in shapes {
        let first = definition.encode_input_json(&shape.replace("MAP", &pairs)).unwrap();
        for map in [&pairs, &reversed, &pairs] {
            let again = definition.encode_input_json(&shape.replace("MAP", map)).unwrap();
            assert_eq!(again, first, "{shape}");
            assert_eq!(
                definition.check_input_bytes("known.All", &again).unwrap(),
                first,
                "{shape}"
            );
        }
    }
    let json =
        r#"{"any": {"@type": "x/known.All", "labels": {"b": "2", "a": "1"}, "i64": -1}, "i64": 3}"#;
    let hex: String =
        definition.encode_input_json(json).unwrap().iter().map(|it| format!("{it:02x}")).collect();
    assert_eq!(
        hex,
        "1003a2012a0a0b782f6b6e6f776e2e416c6c121b10ffffffffffffffffff016a060a01611201316a060a0162120132"
    );
}

/// What is not known here is its receiver's: in an `Any`, and in the reply of a participant
/// that is newer than the definition.
#[test]
fn what_is_not_known_stays_and_has_its_place() {
    let definition = compile(&echo_of("known", "{}"), &known()).unwrap().definition;
    let check = |bytes: &[u8]| definition.check_input_bytes("known.All", bytes);
    let any = |url: &str, value: &[u8]| {
        let any = prost_types::Any { type_url: url.to_owned(), value: value.to_vec() };
        let mut bytes = vec![0xa2, 0x01];
        prost::encoding::encode_varint(any.encoded_len() as u64, &mut bytes);
        bytes.extend(any.encode_to_vec());
        bytes
    };
    // Field 100 before field 2: sorted by number, and kept.
    let mixed = check(&any("x/known.All", &[0xa0, 0x06, 0x05, 0x10, 0x03])).unwrap();
    assert_eq!(mixed, any("x/known.All", &[0x10, 0x03, 0xa0, 0x06, 0x05]));
    for (url, value) in
        [("x/no.Such", &[0xff, 0xff][..]), ("x/known.All", &[0x10]), ("known.All", &[0x10, 0x00])]
    {
        assert_eq!(check(&any(url, value)).unwrap(), any(url, value), "{url}");
    }
    // Any in any in any: refused, and never an overflow.
    let mut deep = any("x/known.All", &[]);
    for _ in 0..3_000 {
        deep = any("x/known.All", &deep);
    }
    assert!(check(&deep).is_err());
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
