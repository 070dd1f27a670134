//! What a definition expects of replies (F28).

use bytes::Bytes;
use orchestrator::definition::{BadReply, CompiledDefinition, RenderError, ReplyMeaning};
use saga_core::{Direction, StepIndex};

use super::sample::{Data, compile, kinds};

const YAML: &str = r#"
kind: Saga
name: echoes
version: 1
input: kinds.All
steps:
  - name: first
    when: input.flag
    action:
      call: echo/kinds.Echo/Echo
      request: { text: input.text }
      expect:
        text: input.text
        i32: input.i64
        color: COLOR_RED
        child: { i64: input.i64 + 1, text: op("first") }
        numbers: input.numbers
    compensation:
      call: echo/kinds.Echo/Echo
      expect: { text: op("first"), i64: steps.first.reply.i64 }
  - name: second
    after: [first]
    pivot: true
    action:
      call: echo/kinds.Echo/Echo
      expect: { i64: steps.first.reply.i64 }
"#;

fn definition() -> CompiledDefinition {
    compile(YAML, &kinds()).unwrap().definition
}

fn message(definition: &CompiledDefinition, json: &str) -> Bytes {
    definition.encode_input_json(json).unwrap()
}

#[test]
fn a_reply_that_echoes_is_one_and_any_other_is_told_by_its_field() {
    let definition = definition();
    let input = r#"{"flag": true, "text": "order-1", "i64": "7", "numbers": [1, 2]}"#;
    let data = Data { input: message(&definition, input), ..Data::default() };
    let op = orchestrator::definition::RunData::operation(&data, StepIndex(0), "first");
    let check = |json: &str| {
        let reply = message(&definition, &json.replace("OP", &op.to_string()));
        definition.check_reply(StepIndex(0), Direction::Forward, &reply, &data)
    };
    let good = r#"{"text": "order-1", "i32": 7, "color": "COLOR_RED",
        "child": {"i64": "8", "text": "OP"}, "numbers": [1, 2], "u64": "5"}"#;
    assert_eq!(check(good), Ok(ReplyMeaning::Done));
    let cases = [
        ("\"order-1\"", "\"order-2\"", "text", "\"order-1\"", "\"order-2\""),
        ("\"i32\": 7", "\"i32\": 8", "i32", "7", "8"),
        ("\"i32\": 7, ", "", "i32", "7", "0"),
        ("COLOR_RED", "COLOR_UNSPECIFIED", "color", "1", "0"),
        ("\"i64\": \"8\"", "\"i64\": \"9\"", "child.i64", "8", "9"),
        ("[1, 2]", "[2, 1]", "numbers", "[1,2]", "[2,1]"),
    ];
    for (from, to, wrong, wanted, came) in cases {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good);
        let Err(BadReply::ToSomethingElse { field, expected, got }) = check(&changed) else {
            panic!("{to}: {:?}", check(&changed));
        };
        assert_eq!((field.as_str(), expected.as_str(), got.as_str()), (wrong, wanted, came));
    }
    let none = definition.check_reply(StepIndex(0), Direction::Forward, &Bytes::new(), &data);
    let told = none.unwrap_err().to_string();
    assert_eq!(told, "reply is to something else: text is \"\", and \"order-1\" is expected");
}

#[test]
fn a_compensation_is_compared_like_an_action() {
    let definition = definition();
    let stored = message(&definition, r#"{"i64": "3"}"#);
    let data = Data { replies: vec![Some(stored)], ..Data::default() };
    let reply = message(&definition, r#"{"i64": "4"}"#);
    let bad = definition.check_reply(StepIndex(0), Direction::Backward, &reply, &data);
    assert!(matches!(bad, Err(BadReply::ToSomethingElse { field, .. }) if field == "text"));
}

#[test]
fn long_values_are_cut() {
    let definition = definition();
    let text = "\u{d55c}".repeat(5_000);
    let input = message(&definition, &format!(r#"{{"text": "{text}"}}"#));
    let data = Data { input, ..Data::default() };
    let bad = definition.check_reply(StepIndex(0), Direction::Forward, &Bytes::new(), &data);
    let told = bad.unwrap_err().to_string();
    assert!(told.chars().count() < 200, "{told}");
}

/// Nothing is sent whose reply could not be judged, and a reply that comes all the same (from
/// another program's call) is not taken for one.
#[test]
fn what_cannot_be_expected_is_known_before_the_call() {
    let definition = definition();
    let data = Data { replies: vec![None, None], ..Data::default() };
    let render = definition.render(StepIndex(1), Direction::Forward, &data);
    let Err(RenderError { what, message, .. }) = render else { panic!("{render:?}") };
    assert_eq!(what, "step second, forward, expect, field i64");
    assert_eq!(message, "step first has no reply: it was skipped, or settled without one");
    let bad = definition.check_reply(StepIndex(1), Direction::Forward, &Bytes::new(), &data);
    assert!(matches!(bad, Err(BadReply::NotJudged(_))), "{bad:?}");
}
