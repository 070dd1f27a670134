//! What can never fit, and what must not be missing: known before any saga runs.

use saga_definition::CompiledDefinition;

use super::world::{broken, check, contracts, served};

const TYPES: &str = "syntax = 'proto2'; package s; service S { rpc Do(In) returns (In); } message L \
    { optional int32 i = 1; required string id = 2; } message In { optional int32 i = 1; repeated \
    int32 l = 2; repeated L ls = 3; optional L one = 4; optional bool b = 5; optional double d = 6; \
    map<string, int32> m = 7; }";

fn yaml(request: &str) -> String {
    format!(
        "kind: Saga\nname: one\nversion: 1\ninput: s.In\nsteps:\n  - name: do\n    pivot: true\n    \
         on_unknown: retry\n    action:\n      call: p/s.S/Do\n      request: {{ {request} }}\n"
    )
}

fn flaws(request: &str) -> Vec<&'static str> {
    let contracts = contracts([("p", served(&[("s.proto", TYPES)]))]);
    match check(&yaml(request), &contracts) {
        Ok(_) => Vec::new(),
        Err(report) => report.findings.iter().map(|it| it.rule).collect(),
    }
}

#[test]
fn a_constant_that_never_fits_is_refused_wherever_it_stands() {
    for request in [
        "i: '3000000000'",
        "l: ['3000000000']",
        "l: '[3000000000]'",
        "l: 'input.l.map(x, 3000000000)'",
        "i: 'input.b ? 1 : 3000000000'",
        "m: { a: '3000000000' }",
        "ls: [{ i: '3000000000', id: \"'x'\" }]",
        r#"ls: 'input.l.map(x, {"i": 3000000000, "id": "x"})'"#,
        "l: ['[1, 2][5]']",
        "l: ['1 / 0']",
    ] {
        assert!(flaws(request).contains(&"wrong-type"), "{request}: {:?}", flaws(request));
    }
    for request in [
        "l: ['300000', 'input.i']",
        "l: 'input.l.map(x, x + 1)'",
        "i: 'input.b ? 1 : input.i'",
        r#"ls: 'input.l.map(x, {"i": x, "id": string(x)})'"#,
        "m: { a: '1' }",
    ] {
        assert_eq!(flaws(request), [] as [&str; 0], "{request}");
    }
}

#[test]
fn a_required_field_that_nothing_is_given_for_is_refused() {
    assert_eq!(flaws("one: { i: '1' }"), ["required-field"]);
    assert_eq!(flaws("ls: [{ i: '1' }]"), ["required-field"]);
    assert_eq!(flaws(r#"ls: 'input.l.map(x, {"i": x})'"#), ["wrong-type"]);
    assert_eq!(flaws("one: { id: \"'x'\" }"), [] as [&str; 0]);
}

fn definition() -> CompiledDefinition {
    let contracts = contracts([("p", served(&[("s.proto", TYPES)]))]);
    check(&yaml("i: input.i"), &contracts).unwrap().definition
}

#[test]
fn an_input_without_a_required_field_is_refused() {
    let definition = definition();
    for (input, field) in
        [(r#"{"one": {"i": 1}}"#, "one.id"), (r#"{"ls": [{"id": "a"}, {}]}"#, "ls.id")]
    {
        let refused = definition.encode_input_json(input).unwrap_err();
        assert_eq!((refused.field.as_str(), refused.message.as_str()), (field, "s.L requires it"));
    }
    // The same in bytes: `one`, which is empty.
    assert!(definition.check_input_bytes("s.In", &[0x22, 0]).is_err());
    assert!(definition.encode_input_json(r#"{"one": {"id": "x"}}"#).is_ok());
}

#[test]
fn a_fraction_may_stand_in_quotes() {
    let definition = definition();
    let bytes = definition.encode_input_json(r#"{"d": "1.5"}"#).unwrap();
    assert_eq!(bytes, definition.encode_input_json(r#"{"d": 1.5}"#).unwrap());
    assert!(definition.encode_input_json(r#"{"d": "1.5x"}"#).is_err());
}

#[test]
fn a_version_is_written_in_one_way() {
    let contracts = contracts([("p", served(&[("s.proto", TYPES)]))]);
    for version in ["01", "+1"] {
        let yaml = yaml("i: input.i").replace("version: 1", &format!("version: {version}"));
        assert_eq!(broken(&yaml, &contracts)[0].0, "shape", "{version}");
    }
}

#[test]
fn a_type_may_be_that_of_a_participant_that_is_not_called() {
    let other = "syntax = 'proto3'; package o; message Start { int32 i = 1; }";
    let contracts =
        contracts([("a", served(&[("o.proto", other)])), ("p", served(&[("s.proto", TYPES)]))]);
    let yaml = yaml("i: input.i").replace("input: s.In", "input: o.Start");
    let definition = check(&yaml, &contracts).unwrap().definition;
    assert_eq!(definition.input_type(), "o.Start");
}

/// As many keys as a definition has room for: each costs its own bytes, and no parser.
#[test]
fn a_request_of_many_fields_is_read_once() {
    let entries: Vec<String> = (0..15_000).map(|it| format!("k{it}: input.i")).collect();
    assert_eq!(flaws(&format!("m: {{ {} }}", entries.join(", "))), [] as [&str; 0]);
    assert_eq!(flaws("i: 'input.i.'"), ["expression-syntax"]);
    assert_eq!(flaws("i: input.x"), ["unknown-field"]);
    // As deep as a file has room for, and the stack has not.
    assert_eq!(flaws(&format!("i: input{}", ".one".repeat(50_000))), ["expression-too-large"]);
    assert_eq!(flaws(&format!("i: input{}", ".one".repeat(900))), ["expression-too-large"]);
    assert_eq!(flaws("i: input.one.i.y"), ["unknown-field"]);
}
