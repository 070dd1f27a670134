//! What expressions become in a request.

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use saga_definition::{CompiledDefinition, RenderError};

use super::world::{Data, broken, check, compiled, contracts, rendered, served};

const TYPES: &str = "syntax = 'proto3'; package s; import 'google/protobuf/struct.proto'; import \
    'google/protobuf/timestamp.proto'; import 'google/protobuf/wrappers.proto'; service S { rpc \
    Do(In) returns (In); } enum K { K0 = 0; PAID = 1; OPEN = 2; } message L { string sku = 1; K k = \
    2; int64 minor = 3; google.protobuf.StringValue note = 4; L sub = 5; oneof how { L card = 6; L \
    cash = 7; } float w = 8; } message In { string text = 1; bytes raw = 2; repeated L lines = 3; \
    repeated L other = 4; map<string, string> m = 5; map<int32, string> by_i = 6; map<int64, string> \
    by_l = 7; K k = 8; repeated K ks = 9; float f = 10; double d = 11; repeated float fs = 12; \
    repeated double ds = 13; map<string, float> fm = 14; map<string, double> dm = 15; int32 i = 16; \
    int64 l = 17; string in = 18; string true = 19; google.protobuf.Struct st = 20; \
    google.protobuf.StringValue sv = 21; google.protobuf.Timestamp at = 22; repeated string names = \
    23; uint32 u = 24; map<string, L> lm = 25; bool b = 26; }";

fn yaml(request: &str) -> String {
    format!(
        "kind: Saga\nname: one\nversion: 1\ninput: s.In\nsteps:\n  - name: do\n    pivot: true\n    \
         on_unknown: retry\n    action:\n      call: p/s.S/Do\n      request: {{ {request} }}\n"
    )
}

fn definition(request: &str) -> CompiledDefinition {
    let contracts = contracts([("p", served(&[("s.proto", TYPES)]))]);
    let made = check(&yaml(request), &contracts);
    made.unwrap_or_else(|report| panic!("{request}: {}", report.rendered)).definition
}

fn data(definition: &CompiledDefinition, input: &str) -> Data {
    Data { input: definition.encode_input_json(input).unwrap(), ..Data::default() }
}

/// What is sent on this input, as JSON.
fn sent(request: &str, input: &str) -> String {
    let definition = definition(request);
    let bytes = rendered(&definition, 0, &data(&definition, input));
    let set = compiled(&[("s.proto", TYPES)]).encode_to_vec();
    let pool = DescriptorPool::decode(set.as_slice()).unwrap();
    let message = DynamicMessage::decode(pool.get_message_by_name("s.In").unwrap(), bytes).unwrap();
    serde_json::to_value(&message).unwrap().to_string()
}

#[test]
fn a_loop_within_a_loop_leaves_the_outer_element_alone() {
    let lines = r#"{"lines": [{"sku": "tea", "minor": "500"}, {"sku": "cup", "minor": "900"}],
                    "other": [{"sku": "cup", "minor": "1"}]}"#;
    let kept = r#"{"lines":[{"minor":"900","sku":"cup"}]}"#;
    let filter = "lines: 'input.lines.filter(l, input.other.exists(o, o.sku == l.sku))'";
    assert_eq!(sent(filter, lines), kept);
    let map = "lines: 'input.lines.map(l, input.other.exists(o, o.sku == l.sku), l)'";
    assert_eq!(sent(map, lines), kept);
}

#[test]
fn numbers_of_every_width_meet() {
    let input = r#"{"f": 0.5, "d": 0.25, "fs": [0.5], "ds": [0.25], "fm": {"a": 0.5}, "dm": {"a":
                    0.25}, "byI": {"1": "x"}, "byL": {"2": "y"}, "i": 1, "l": "2"}"#;
    for (request, wanted) in [
        ("f: 0.5", r#"{"f":0.5}"#),
        ("f: input.d", r#"{"f":0.25}"#),
        ("d: input.f", r#"{"d":0.5}"#),
        ("d: input.l", r#"{"d":2.0}"#),
        ("fs: input.ds", r#"{"fs":[0.25]}"#),
        ("ds: input.fs", r#"{"ds":[0.5]}"#),
        ("fm: input.dm", r#"{"fm":{"a":0.25}}"#),
        ("dm: input.fm", r#"{"dm":{"a":0.5}}"#),
        ("by_i: input.by_l", r#"{"byI":{"2":"y"}}"#),
        ("by_l: input.by_i", r#"{"byL":{"1":"x"}}"#),
        ("text: 'input.by_i[1]'", r#"{"text":"x"}"#),
        ("text: 'input.by_i[input.i]'", r#"{"text":"x"}"#),
        ("text: 'input.i in input.by_i ? \"in\" : \"out\"'", r#"{"text":"in"}"#),
        ("l: 'input.l + 1'", r#"{"l":"3"}"#),
        ("b: 'input.d < input.i'", r#"{"b":true}"#),
    ] {
        assert_eq!(sent(request, input), wanted, "{request}");
    }
}

#[test]
fn values_of_enums_have_names_everywhere_and_may_have_none() {
    let input = r#"{"k": "OPEN", "text": "PAID", "l": "7", "lines": [{"k": "PAID"}]}"#;
    for (request, wanted) in [
        ("ks: [PAID, OPEN]", r#"{"ks":["PAID","OPEN"]}"#),
        ("ks: '[\"PAID\", \"OPEN\"]'", r#"{"ks":["PAID","OPEN"]}"#),
        ("lines: 'input.lines.map(l, {\"k\": \"OPEN\"})'", r#"{"lines":[{"k":"OPEN"}]}"#),
        ("lines: 'input.lines.map(l, {\"k\": l.k})'", r#"{"lines":[{"k":"PAID"}]}"#),
        ("k: 'input.l > 10 ? \"PAID\" : input.l > 5 ? \"OPEN\" : input.k'", r#"{"k":"OPEN"}"#),
        ("text: string(input.k)", r#"{"text":"OPEN"}"#),
        ("b: input.k == 'OPEN'", r#"{"b":true}"#),
        ("b: 'input.k in [\"PAID\", \"OPEN\"]'", r#"{"b":true}"#),
    ] {
        assert_eq!(sent(request, input), wanted, "{request}");
    }
    assert_eq!(sent("k: input.k", r#"{"k": 77}"#), r#"{"k":77}"#);
    assert_eq!(sent("text: string(input.k)", r#"{"k": 77}"#), r#"{"text":"77"}"#);
    let contracts = contracts([("p", served(&[("s.proto", TYPES)]))]);
    let found = broken(&yaml("b: input.k == 'OPENED'"), &contracts);
    assert_eq!(found[0].0, "expression-type", "{found:?}");
}

/// Up to level 2 it was the number, and a field that was not set was sent as its default.
#[test]
fn what_is_stored_in_an_older_language_means_what_it_meant() {
    let request = "text: string(input.k), lines: 'input.lines.map(l, {\"note\": l.note})'";
    let input = r#"{"k": "OPEN", "lines": [{"sku": "a"}]}"#;
    let now = definition(request);
    let then = CompiledDefinition::read(&yaml(request), "one", 2, &now.types()).unwrap();
    let text = |definition: &CompiledDefinition| {
        rendered(definition, 0, &data(definition, input)).to_vec()
    };
    assert_eq!(text(&now), b"\x0a\x04OPEN\x1a\x00");
    assert_eq!(text(&then), b"\x0a\x012\x1a\x02\x22\x00");
}

#[test]
fn what_is_absent_stays_absent_in_a_map_literal_and_a_oneof_has_one_member() {
    let copy = "lines: 'input.lines.map(l, {\"sku\": l.sku, \"sub\": l.sub, \"card\": l.card, \
                \"cash\": l.cash})'";
    let input = r#"{"lines": [{"sku": "a", "cash": {"sku": "c"}}]}"#;
    assert_eq!(sent(copy, input), r#"{"lines":[{"cash":{"sku":"c"},"sku":"a"}]}"#);
    let both = "lines: 'input.lines.map(l, {\"card\": l, \"cash\": l})'";
    let definition = definition(both);
    let error: RenderError = definition
        .render(saga_core::StepIndex(0), saga_core::Direction::Forward, &data(&definition, input))
        .unwrap_err();
    assert!(error.message.contains("exclude one another"), "{error}");
}

#[test]
fn texts_times_and_json_become_what_their_fields_are() {
    let input = r#"{"text": "tea", "raw": "dGVh", "l": "7", "names": ["x", "y"], "m": {"b": "2", "a":
                    "1"}, "at": "2026-01-01T00:00:00Z", "in": "i", "true": "t", "lines": [{"minor":
                    "100"}, {"minor": "50"}]}"#;
    for (request, wanted) in [
        ("raw: input.text", r#"{"raw":"dGVh"}"#),
        ("raw: bytes(input.text)", r#"{"raw":"dGVh"}"#),
        ("text: string(input.raw)", r#"{"text":"tea"}"#),
        ("l: 'input.lines.map(l, l.minor).sum()'", r#"{"l":"150"}"#),
        ("names: 'input.m.map(k, k)'", r#"{"names":["a","b"]}"#),
        ("m: '{\"a\": input.text}'", r#"{"m":{"a":"tea"}}"#),
        ("m: '{input.text: \"x\"}'", r#"{"m":{"tea":"x"}}"#),
        ("at: 'input.at + duration(\"15m\")'", r#"{"at":"2026-01-01T00:15:00Z"}"#),
        ("at: timestamp('2026-01-01T00:00:00Z')", r#"{"at":"2026-01-01T00:00:00Z"}"#),
        ("at: timestamp('2026-01-01T01:00:00.5+01:00')", r#"{"at":"2026-01-01T00:00:00.500Z"}"#),
        ("b: '1.0 in {1: 2}'", r#"{"b":true}"#),
        ("b: '1.5 in {1: 2} || double(input.l) in {8: 2}'", "{}"),
        ("b: 'double(input.l) in {7: 2}'", r#"{"b":true}"#),
        ("l: '{7: 3}[7.0]'", r#"{"l":"3"}"#),
        ("sv: input.text", r#"{"sv":"tea"}"#),
        ("st: { a: input.text, n: input.l }", r#"{"st":{"a":"tea","n":7.0}}"#),
        ("text: input.names.join('-')", r#"{"text":"x-y"}"#),
        ("text: '\"%s-%d\".format([input.text, input.l])'", r#"{"text":"tea-7"}"#),
        ("b: input.text.matches('^t')", r#"{"b":true}"#),
        ("in: input.in, true: input.`true`", r#"{"in":"i","true":"t"}"#),
        ("lm: { a: { sku: input.text, k: PAID } }", r#"{"lm":{"a":{"k":"PAID","sku":"tea"}}}"#),
    ] {
        assert_eq!(sent(request, input), wanted, "{request}");
    }
}

#[test]
fn a_message_goes_whole_into_an_any() {
    let types = "syntax = 'proto3'; package s; import 'google/protobuf/any.proto'; service S { rpc \
                 Do(In) returns (In); } message L { string sku = 1; map<string, string> m = 2; } \
                 message In { L line = 1; repeated L lines = 2; google.protobuf.Any any = 3; repeated \
                 google.protobuf.Any anys = 4; map<string, google.protobuf.Any> by = 5; }";
    let contracts = contracts([("p", served(&[("s.proto", types)]))]);
    let set = compiled(&[("s.proto", types)]).encode_to_vec();
    let pool = DescriptorPool::decode(set.as_slice()).unwrap();
    let line = r#"{"@type":"type.googleapis.com/s.L","sku":"tea"}"#;
    for (request, wanted) in [
        ("any: input.line", format!(r#"{{"any":{line}}}"#)),
        ("anys: input.lines", format!(r#"{{"anys":[{line}]}}"#)),
        ("anys: 'input.lines.filter(l, l.sku != \"cup\")'", format!(r#"{{"anys":[{line}]}}"#)),
        ("by: { a: input.line }", format!(r#"{{"by":{{"a":{line}}}}}"#)),
        ("any: input.any", format!(r#"{{"any":{line}}}"#)),
        (
            r#"any: { type_url: "'type.googleapis.com/s.L'", value: 'b"\x0a\x03tea"' }"#,
            format!(r#"{{"any":{line}}}"#),
        ),
    ] {
        let made = check(&yaml(request), &contracts);
        let made = made.unwrap_or_else(|it| panic!("{request}: {}", it.rendered)).definition;
        let input =
            format!(r#"{{"line": {{"sku": "tea"}}, "lines": [{{"sku": "tea"}}], "any": {line}}}"#);
        let bytes = rendered(&made, 0, &data(&made, &input));
        let of = pool.get_message_by_name("s.In").unwrap();
        let message = DynamicMessage::decode(of, bytes).unwrap();
        assert_eq!(serde_json::to_value(&message).unwrap().to_string(), wanted, "{request}");
    }
    let found = broken(&yaml("any: { type_url: \"'s.L'\", value: input.line }"), &contracts);
    assert!(found.iter().any(|it| it.0 == "wrong-type"), "{found:?}");
}

#[test]
fn a_list_of_lists_is_flattened_only_where_it_says_so() {
    let contracts = contracts([("p", served(&[("s.proto", TYPES)]))]);
    let nested = "names: 'input.lines.map(l, input.names)'";
    let report = CompiledDefinition::check(&yaml(nested), "x", &contracts).unwrap_err();
    let found = report.findings.iter().find(|it| it.rule == "wrong-type").unwrap();
    assert!(found.remedy.contains(".flatten()"), "{found:?}");
    let flat = "names: 'input.lines.map(l, input.names).flatten()'";
    let input = r#"{"lines": [{}, {}], "names": ["x"]}"#;
    assert_eq!(sent(flat, input), r#"{"names":["x","x"]}"#);
}

#[test]
fn a_saga_names_itself_and_its_start() {
    for (request, wanted) in [
        ("text: saga.namespace + '/' + saga.business_key", r#"{"text":"eu/order-000001"}"#),
        ("at: saga.started_at", r#"{"at":"2026-01-01T00:00:00.123Z"}"#),
        ("at: 'saga.started_at + duration(\"1h\")'", r#"{"at":"2026-01-01T01:00:00.123Z"}"#),
        ("l: int(saga.started_at)", r#"{"l":"1767225600"}"#),
        ("b: 'saga.started_at < input.at'", r#"{"b":true}"#),
    ] {
        assert_eq!(sent(request, r#"{"at": "2026-01-02T00:00:00Z"}"#), wanted, "{request}");
    }
    let contracts = contracts([("p", served(&[("s.proto", TYPES)]))]);
    let found = broken(&yaml("at: saga.began_at"), &contracts);
    assert!(found[0].1.contains("a saga has no `began_at`"), "{found:?}");
}

/// Its request is another one where the same start comes again, and has the same operation id.
#[test]
fn what_only_this_start_has_is_warned_of_in_requests_and_nowhere_else() {
    let contracts = contracts([("p", served(&[("s.proto", TYPES)]))]);
    let warned = |request: &str| {
        let made = check(&yaml(request), &contracts).unwrap_or_else(|it| panic!("{}", it.rendered));
        made.warnings.iter().any(|it| it.rule == "differs-after-loss")
    };
    for request in ["text: saga.id", "at: saga.started_at", "names: '[\"a\", saga.id]'"] {
        assert!(warned(request), "{request}");
    }
    for request in ["text: saga.business_key", "text: saga.namespace", "text: op('do')"] {
        assert!(!warned(request), "{request}");
    }
    let headers = yaml("text: input.text")
        .replace("      request", "      headers: { x-saga: saga.id }\n      request");
    let made = check(&headers, &contracts).unwrap();
    assert!(made.warnings.iter().all(|it| it.rule != "differs-after-loss"), "{}", made.rendered);
}

#[test]
fn a_constant_that_never_fits_is_refused() {
    let contracts = contracts([("p", served(&[("s.proto", TYPES)]))]);
    for request in [
        "i: 3000000000",
        "u: -1",
        "k: 77",
        "l: 1 / 0",
        "l: 9223372036854775807 + 1",
        "i: int('x')",
        "i: '[1, 2][5]'",
        "f: 1e300",
        "at: timestamp('2026-13-01T00:00:00Z')",
        // Without its zone, or with a leap second, it is no point in time (RFC 3339).
        "at: timestamp('2026-01-01')",
        "at: timestamp('2026-01-01T00:00:00')",
        "at: timestamp('2026-01-01 00:00:00Z')",
        "at: timestamp('2026-01-01T00:00:60Z')",
        "at: timestamp('2026-01-01T00:00:00.Z')",
        "at: timestamp('2026-01-01T00:00:00.0000000001Z')",
        "at: timestamp('2026-01-01T00:00:00+0100')",
    ] {
        let found = broken(&yaml(request), &contracts);
        assert!(found.iter().any(|it| it.0 == "wrong-type"), "{request}: {found:?}");
    }
}

/// Classes of Perl are those of ASCII, and a class holds no other classes.
#[test]
fn patterns_are_those_of_re2() {
    for (pattern, text, matches) in [
        (r"^\\d$", "7", true),
        (r"^\\d$", "٣", false),
        (r"^\\D$", "٣", true),
        (r"^\\w+$", "tea_7", true),
        (r"^\\w$", "é", false),
        (r"^[\\W]$", "é", true),
        (r"^\\s$", " ", true),
        (r"^\\s$", "\u{a0}", false),
        (r"^[^\\s]$", "\u{a0}", true),
        (r"\\bé", "é", false),
        ("^[a&&b]+$", "a&b", true),
        ("^[a~~b]$", "~", true),
        ("^[[]$", "[", true),
        ("^[]a]+$", "]a", true),
        ("^[[:alpha:]&]+$", "tea&", true),
        ("^[^[:alpha:]]$", "7", true),
        (r"^\\Qa.b\\E.$", "a.bc", true),
        (r"^\\Qa.b\\E$", "axb", false),
        ("^.$", "é", true),
    ] {
        let request = format!("b: 'input.text.matches(\"{pattern}\")'");
        let input = serde_json::json!({ "text": text }).to_string();
        let wanted = if matches { r#"{"b":true}"# } else { "{}" };
        assert_eq!(sent(&request, &input), wanted, "{pattern} {text}");
    }
}
