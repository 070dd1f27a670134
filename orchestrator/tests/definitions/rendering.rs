//! What expressions evaluate to, and what happens where they do not.

use bytes::Bytes;
use orchestrator::definition::{RenderError, Rendered, ReplyMeaning, RunData as _};
use prost_reflect::{DynamicMessage, Value};
use saga_core::{Direction, StepIndex};

use super::sample::{Data, compile, echo, kinds};

const INPUT: &str = r#"{
    "i32": -7, "i64": "9007199254740993", "u32": 7, "u64": "18446744073709551615",
    "f64": 0.5, "flag": true, "text": "täxt", "raw": "AAE=", "color": "COLOR_RED",
    "child": {"text": "child", "numbers": ["1", "2", "3"]}, "numbers": ["10", "20", "-9223372036854775808"],
    "children": [{"text": "a", "i64": "1"}, {"text": "b", "i64": "2"}], "counts": {"x": "1", "y": "2"}
}"#;

/// Renders `field: expression` and returns that field.
fn eval(field: &str, expression: &str) -> Result<Value, RenderError> {
    let yaml = echo(&format!("{field}: '{}'", expression.replace('\'', "''")));
    let definition = compile(&yaml, &kinds()).unwrap().definition;
    let input = definition.encode_input_json(INPUT).unwrap();
    let data = Data { input, ..Data::default() };
    let rendered = definition.render(StepIndex(0), Direction::Forward, &data)?;
    let Rendered::Request(bytes) = rendered else { panic!("there is no condition") };
    let all = kinds().get_message_by_name("kinds.All").unwrap();
    let message = DynamicMessage::decode(all, bytes).unwrap();
    Ok(message.get_field_by_name(field).unwrap().into_owned())
}

#[test]
fn expressions_mean_what_cel_says() {
    let text = |it: &str| Value::String(it.to_owned());
    let op = Data::default().operation(StepIndex(0), "first");
    let numbers = |it: &[i64]| Value::List(it.iter().copied().map(Value::I64).collect());
    let table: Vec<(&str, &str, Value)> = vec![
        ("i64", "input.i64", Value::I64(9_007_199_254_740_993)),
        ("u64", "input.u64", Value::U64(u64::MAX)),
        ("u64", "input.u64 - 1u", Value::U64(u64::MAX - 1)),
        ("i64", "input.i64 + 1", Value::I64(9_007_199_254_740_994)),
        ("i32", "input.i32", Value::I32(-7)),
        ("i32", "input.i64 % 100", Value::I32(93)),
        ("i64", "input.i32 / 2", Value::I64(-3)),
        ("u32", "input.i32 + 8", Value::U32(1)),
        ("f64", "input.f64 * 4.0", Value::F64(2.0)),
        ("flag", "input.i64 > 5 && !(input.text == 'x')", Value::Bool(true)),
        ("flag", "input.i32 < int(input.u64 / 2u)", Value::Bool(true)),
        ("flag", "20 in input.numbers && 'x' in input.counts", Value::Bool(true)),
        ("flag", "has(input.child) && !has(input.child.child)", Value::Bool(true)),
        (
            "flag",
            "input.numbers.exists(n, n < 0) && input.children.all(c, c.i64 > 0)",
            Value::Bool(true),
        ),
        ("flag", "input.children.exists_one(c, c.text == 'a')", Value::Bool(true)),
        ("flag", "input.text.startsWith('t') && input.text.contains('x')", Value::Bool(true)),
        ("i64", "input.counts['y'] + size(input.text)", Value::I64(6)),
        ("text", "input.text + '/' + string(input.i64)", text("täxt/9007199254740993")),
        ("text", "input.child.text", text("child")),
        ("text", "input.children[1].text", text("b")),
        ("text", "input.i64 > 5 ? 'big' : 'small'", text("big")),
        ("text", "saga.business_key", text("order-000001")),
        ("text", "saga.id", text("00000000-0000-0000-0000-0000000000a5")),
        ("text", "op('first')", text(&op.to_string())),
        ("raw", "input.raw", Value::Bytes(Bytes::from_static(&[0, 1]))),
        ("color", "input.color", Value::EnumNumber(1)),
        ("color", "COLOR_RED", Value::EnumNumber(1)),
        ("color", "1 > 2 ? 'COLOR_UNSPECIFIED' : 'COLOR_RED'", Value::EnumNumber(1)),
        ("i64", "int(input.color)", Value::I64(1)),
        ("numbers", "input.numbers", numbers(&[10, 20, i64::MIN])),
        ("numbers", "[1, input.i64]", numbers(&[1, 9_007_199_254_740_993])),
        ("numbers", "input.numbers.filter(n, n > 0).map(n, n * 2)", numbers(&[20, 40])),
        ("numbers", "input.children.map(c, c.i64 > 1, c.i64) + [7]", numbers(&[2, 7])),
        (
            "numbers",
            "input.children.map(c, input.numbers.map(n, n)[0] + c.i64)",
            numbers(&[11, 12]),
        ),
        ("i64", "int('-12')", Value::I64(-12)),
    ];
    for (field, expression, expected) in table {
        assert_eq!(eval(field, expression).unwrap(), expected, "{expression}");
    }
}

#[test]
fn a_map_literal_becomes_a_message() {
    let made =
        eval("children", "input.children.map(c, {\"text\": c.text, \"u32\": c.i64})").unwrap();
    let Value::List(items) = made else { panic!("a list") };
    let texts: Vec<_> = items
        .iter()
        .map(|it| {
            let it = it.as_message().unwrap();
            let text = it.get_field_by_name("text").unwrap().as_str().unwrap().to_owned();
            (text, it.get_field_by_name("u32").unwrap().as_u32().unwrap())
        })
        .collect();
    assert_eq!(texts, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
}

#[test]
fn what_cannot_be_computed_says_why() {
    let table = [
        ("i64", "input.i64 * input.i64", "a number overflows 64 bits"),
        ("u64", "input.u64 * input.u64", "a number overflows 64 bits"),
        ("i64", "-input.numbers[2]", "a number overflows 64 bits"),
        (
            "u64",
            "input.i64 - input.i64 * 2",
            "-9007199254740993 does not fit into a field of type uint64",
        ),
        ("i32", "input.i64", "9007199254740993 does not fit into a field of type int32"),
        ("i64", "input.i64 / (input.i64 - input.i64)", "division by zero"),
        ("i64", "input.numbers[3]", "index 3 is outside of a list of 3"),
        ("i64", "input.numbers[-1]", "index -1 is outside of a list of 3"),
        ("i64", "input.counts['z']", "a map has no such key"),
        ("i64", "int(input.text)", "it is not a number"),
        ("i64", "int(input.f64 * 0.0 / 0.0)", "it is not a number"),
        ("text", "input.text.substring(2, 1)", "a text of 4 characters has none from 2 to 1"),
        (
            "i64",
            "int(saga.started_at + duration('300000000000s'))",
            "the point in time is not of the years 1 to 9999",
        ),
        ("i64", "int(input.f64 * 1.0e300)", "a number overflows 64 bits"),
        ("color", "input.i64", "9007199254740993 does not fit into a field of type enum"),
    ];
    for (field, expression, expected) in table {
        let error = eval(field, expression).unwrap_err();
        assert_eq!(error.message, expected, "{expression}");
        assert_eq!(error.line, 11, "{expression}");
        assert_eq!(error.what, format!("step first, forward, field {field}"));
    }
}

#[test]
fn absence_is_copied() {
    let yaml = echo("{ maybe: input.maybe, child: input.child, i64: input.i64 }");
    let definition = compile(&yaml, &kinds()).unwrap().definition;
    let render = |json: &str| {
        let input = definition.encode_input_json(json).unwrap();
        let data = Data { input: input.clone(), ..Data::default() };
        let rendered = definition.render(StepIndex(0), Direction::Forward, &data).unwrap();
        (rendered, Rendered::Request(input))
    };
    for json in ["{}", r#"{"maybe": "0"}"#, r#"{"child": {}}"#, r#"{"child": {"maybe": "5"}}"#] {
        let (rendered, same) = render(json);
        assert_eq!(rendered, same, "{json}");
    }
}

#[test]
fn equal_messages_are_equal_bytes() {
    let yaml = echo("{ counts: input.counts, children: input.children }");
    let definition = compile(&yaml, &kinds()).unwrap().definition;
    let entries: Vec<String> = (0..50).map(|it| format!(r#""k{it}": "{it}""#)).collect();
    let json =
        format!(r#"{{"counts": {{{0}}}, "children": [{{"counts": {{{0}}}}}]}}"#, entries.join(","));
    let first = definition.encode_input_json(&json).unwrap();
    for _ in 0..10 {
        assert_eq!(definition.encode_input_json(&json).unwrap(), first);
        assert_eq!(definition.check_input_bytes("kinds.All", &first).unwrap(), first);
        let data = Data { input: first.clone(), ..Data::default() };
        let rendered = definition.render(StepIndex(0), Direction::Forward, &data).unwrap();
        assert_eq!(rendered, Rendered::Request(first.clone()));
    }
}

#[test]
fn a_condition_that_is_false_skips_and_a_guard_sees_it() {
    let yaml = "kind: Saga\nname: guarded\nversion: 1\ninput: kinds.All\nsteps:\n  - name: maybe\n    \
                when: input.flag\n    action: { call: echo/kinds.Echo/Echo }\n    compensation: none\n  \
                - name: last\n    pivot: true\n    action:\n      call: echo/kinds.Echo/Echo\n      \
                request:\n        text: \"has(steps.maybe.reply) ? steps.maybe.reply.text : 'none'\"\n";
    let compiled = compile(yaml, &kinds()).unwrap();
    let rules: Vec<_> = compiled.warnings.iter().map(|it| it.rule).collect();
    assert_eq!(rules, ["compensation-missing"], "a guarded reference is no warning");
    let definition = compiled.definition;
    let reply = definition.encode_input_json(r#"{"text": "said"}"#).unwrap();
    let render = |step, json: &str, reply: Option<&Bytes>| {
        let input = definition.encode_input_json(json).unwrap();
        let data = Data { input, replies: vec![reply.cloned()], ..Data::default() };
        definition.render(StepIndex(step), Direction::Forward, &data).unwrap()
    };
    assert_eq!(render(0, "{}", None), Rendered::Skip);
    assert_eq!(render(0, r#"{"flag": true}"#, None), Rendered::Request(Bytes::new()));
    let text = |it: &str| definition.encode_input_json(&format!(r#"{{"text": "{it}"}}"#)).unwrap();
    assert_eq!(render(1, "{}", None), Rendered::Request(text("none")));
    assert_eq!(render(1, "{}", Some(&reply)), Rendered::Request(text("said")));
}

#[test]
fn a_reply_that_cannot_be_read_is_told_from_one_that_can() {
    let definition = compile(&echo("{}"), &kinds()).unwrap().definition;
    let check = |bytes: &'static [u8]| {
        let reply = Bytes::from_static(bytes);
        definition.check_reply(StepIndex(0), Direction::Forward, &reply, &Data::default())
    };
    assert_eq!(check(b""), Ok(ReplyMeaning::Done));
    assert_eq!(check(&[0x10, 0x01]), Ok(ReplyMeaning::Done));
    assert!(check(&[0x10]).is_err(), "cut short");
    assert!(check(&[0x3a, 0x02, 0xff, 0xff]).is_err(), "text that is not UTF-8");
}
