//! Expressions that may have no value where that leaves a saga in limbo, and the guards that
//! keep them from it.

use saga_definition::{CompiledDefinition, Severity};

use super::world::{contracts, served};

const TYPES: &str = "syntax = 'proto3'; package s; import 'google/protobuf/timestamp.proto'; import \
    'google/protobuf/wrappers.proto'; service S { rpc Do(In) returns (Rep); rpc Undo(In) returns \
    (Rep); } enum K { K0 = 0; PAID = 1; } message L { int64 qty = 1; string sku = 2; repeated L parts \
    = 3; oneof how { string card = 4; string cash = 5; } } message In { string text = 1; int64 n = 2; \
    int64 m = 3; int32 i = 4; uint64 u = 5; repeated string names = 6; repeated L lines = 7; \
    map<string, string> by = 8; K k = 9; double d = 10; bytes raw = 11; google.protobuf.Timestamp at = \
    12; bool b = 13; uint32 u32 = 14; map<string, string> out = 15; L one = 16; repeated int64 ns = 17; \
    google.protobuf.Int32Value w = 18; } message Rep { repeated string ids = 1; int64 n = 2; string \
    text = 3; K k = 4; bool ok = 5; int32 i = 6; repeated L lines = 7; map<string, string> by = 8; }";

/// A compensation of `first`, and a step behind the pivot.
fn yaml(first: &str, undo: &str, last: &str) -> String {
    format!(
        "kind: Saga\nname: one\nversion: 1\ninput: s.In\nsteps:\n  - name: first\n    on_unknown: \
         retry\n    {first}\n    compensation: {{ call: p/s.S/Undo, {undo} }}\n  - name: end\n    \
         pivot: true\n    on_unknown: retry\n    action: {{ call: p/s.S/Do, request: {{ text: \
         input.text }} }}\n  - name: last\n    on_unknown: retry\n    {last}\n"
    )
}

const DO: &str = "action: { call: p/s.S/Do, request: { text: input.text } }";
const UNDO: &str = "request: { text: op(\"first\") }";

/// What is said about limbo.
fn said(yaml: &str) -> Vec<(Severity, String)> {
    let contracts = contracts([("p", served(&[("s.proto", TYPES)]))]);
    let findings = match CompiledDefinition::check(yaml, "test.yaml", &contracts) {
        Ok(compiled) => compiled.warnings,
        Err(report) => report.findings,
    };
    let rules = ["may-fail-in-limbo", "conditional-reference"];
    let others: Vec<_> = findings
        .iter()
        .filter(|it| it.severity == Severity::Error && !rules.contains(&it.rule))
        .collect();
    assert!(others.is_empty(), "{yaml}: {others:?}");
    let about = findings.into_iter().filter(|it| rules.contains(&it.rule));
    about.map(|it| (it.severity, format!("{} | {}", it.message, it.remedy))).collect()
}

/// Expressions by the field of the request that they are for.
fn undone(request: &str) -> Vec<(Severity, String)> {
    said(&yaml(DO, &format!("request: {{ {request} }}"), DO))
}

fn behind(request: &str) -> Vec<(Severity, String)> {
    said(&yaml(DO, UNDO, &format!("action: {{ call: p/s.S/Do, request: {{ {request} }} }}")))
}

/// What can fail, and the same behind the guards that are told.
const FAILING: [(&str, &[&str]); 20] = [
    (
        "text: 'input.names[0]'",
        &[
            "text: 'size(input.names) > 0 ? input.names[0] : \"\"'",
            "text: 'size(input.names) == 0 ? \"\" : input.names[0]'",
            "text: '!(size(input.names) < 1) ? input.names[0] : \"\"'",
            "text: 'input.names.size() != 0 ? input.names[0] : \"\"'",
            "text: 'has(input.names) ? input.names[0] : \"\"'",
            "text: 'input.names != [] ? input.names[0] : \"\"'",
            "text: 'input.names.exists(n, n == \"a\") ? input.names[0] : \"\"'",
            "text: '\"a\" in input.names ? input.names[0] : \"\"'",
            "text: 'size(input.names) > 0 ? input.names[size(input.names) - 1] : \"\"'",
            "b: 'size(input.names) > 0 && input.names[0] == \"a\"'",
            "b: 'input.names[0] == \"a\" && size(input.names) > 0'",
            "b: 'size(input.names) == 0 || input.names[0] == \"a\"'",
            "b: '!(size(input.names) == 0 || input.names[0] == \"a\")'",
            "text: '[input.text][0]'",
            "text: '(input.names + [\"x\"])[0]'",
            "text: 'size(input.names) > 2 || size(input.names) == 1 ? input.names[0] : \"\"'",
        ],
    ),
    (
        "text: 'input.names[input.i]'",
        &["text: 'input.i >= 0 && input.i < size(input.names) ? input.names[input.i] : \"\"'"],
    ),
    (
        "text: 'input.by[input.text]'",
        &[
            "text: 'input.text in input.by ? input.by[input.text] : \"\"'",
            "text: '!(input.text in input.by) ? \"\" : input.by[input.text]'",
        ],
    ),
    ("text: input.by.a", &["text: 'has(input.by.a) ? input.by.a : \"\"'"]),
    (
        "n: 100 / input.n",
        &[
            "n: 'input.n != 0 ? 100 / input.n : 0'",
            "n: 'input.n == 0 ? 0 : 100 / input.n'",
            "n: 'input.n > 0 ? 100 % input.n : 0'",
            "n: '100 / (input.i < 0 ? 1 : input.i + 1)'",
            "n: '(input.n == 2 || input.n == 5) ? 100 / input.n : 0'",
            "n: 'input.n in [2, 5] ? 100 / input.n : 0'",
            "n: 'has(input.n) ? 100 / input.n : 0'",
        ],
    ),
    (
        "n: int(input.text)",
        &[
            "n: 'input.text.matches(\"^[0-9]{1,18}$\") ? int(input.text) : 0'",
            "n: 'input.text == \"17\" ? int(input.text) : 0'",
            "n: 'input.text in [\"17\", \"18\"] ? int(input.text) : 0'",
            "n: int(string(input.n))",
        ],
    ),
    (
        "n: int(input.d)",
        &[
            "n: 'input.d >= -9e18 && input.d <= 9e18 ? int(input.d) : 0'",
            "n: '0.5 < input.d && input.d < 1000 ? int(input.d) : 0'",
            "n: 'input.d == 2.5 ? int(input.d) : 0'",
            "n: int(5.5)",
            "i: 'input.d >= 0 && input.d <= 1000 ? int(input.d) : 0'",
        ],
    ),
    ("u: uint(input.d)", &["u: 'input.d >= 0 && input.d <= 18e18 ? uint(input.d) : 0u'"]),
    // What is no number is not less than any.
    ("n: 'input.d < -9e18 || input.d > 9e18 ? 0 : int(input.d)'", &[]),
    // It may be too long for 64 bits, and may match in the middle.
    ("n: 'input.text.matches(\"^[0-9]+$\") ? int(input.text) : 0'", &[]),
    ("n: 'input.text.matches(\"[0-9]{1,9}\") ? int(input.text) : 0'", &[]),
    (
        "i: input.n",
        &[
            "i: 'input.n >= -5 && input.n <= 2147483647 ? input.n : 0'",
            "i: input.i",
            "i: input.n % 1000",
            "i: size(input.names)",
            "i: 'input.k == \"PAID\" ? 1 : 2'",
            "i: input.k",
        ],
    ),
    ("w: input.n", &["w: input.i"]),
    ("u: input.n", &["u: 'input.n >= 0 ? input.n : 0'", "u: input.u", "u: size(input.text)"]),
    ("u: 'input.u - 1u'", &["u: 'input.u >= 1u ? input.u - 1u : 0u'"]),
    (
        "text: 'input.text.substring(0, 3)'",
        &["text: 'size(input.text) >= 3 ? input.text.substring(0, 3) : input.text'"],
    ),
    ("text: string(input.raw)", &[]),
    ("at: timestamp(input.text)", &["at: 'timestamp(\"2026-01-01T00:00:00Z\")'", "at: input.at"]),
    (
        "ns: 'input.lines.map(l, 100 / l.qty)'",
        &[
            "ns: 'input.lines.map(l, l.qty > 0, 100 / l.qty)'",
            "ns: 'input.lines.filter(l, l.qty > 0).map(l, 100 / l.qty)'",
            "ns: 'input.lines.all(l, l.qty > 0) ? input.lines.map(l, 100 / l.qty) : [0]'",
            "ns: 'input.lines.map(l, l.qty == 0 ? 0 : 100 / l.qty)'",
        ],
    ),
    (
        "out: '{input.text: \"a\", string(input.n): \"b\"}'",
        &["out: '{input.text: \"a\"}'", "out: '{\"a\": input.text, \"b\": input.text}'"],
    ),
];

#[test]
fn what_may_fail_where_nothing_else_can_be_done_is_an_error_and_its_guard_mends_it() {
    for (failing, guarded) in FAILING {
        for said in [undone(failing), behind(failing)] {
            let [(severity, text)] = said.as_slice() else { panic!("{failing}: {said:?}") };
            assert_eq!(*severity, Severity::Error, "{failing}: {text}");
        }
        for request in guarded {
            assert_eq!(undone(request), [], "{request}");
            assert_eq!(behind(request), [], "{request}");
        }
    }
}

/// Where failing turns the saga back nothing is said.
#[test]
fn before_the_pivot_a_request_may_fail() {
    for (failing, _) in FAILING {
        let first = format!("action: {{ call: p/s.S/Do, request: {{ {failing} }} }}");
        assert_eq!(said(&yaml(&first, UNDO, DO)), [], "{failing}");
    }
}

#[test]
fn a_condition_guards_what_stands_behind_it() {
    let first = "when: size(input.names) > 0\n    action: { call: p/s.S/Do }";
    let names = "request: { text: 'input.names[0]' }";
    assert_eq!(said(&yaml(first, names, DO)), []);
    let undo = format!("when: size(input.names) > 0, {names}");
    assert_eq!(said(&yaml(DO, &undo, DO)), []);
    let last = format!("when: size(input.names) > 0\n    action: {{ call: p/s.S/Do, {names} }}");
    assert_eq!(said(&yaml(DO, UNDO, &last)), []);
    // A condition of one step is none of another, which runs also where that was skipped.
    let last = format!("action: {{ call: p/s.S/Do, {names} }}");
    assert_eq!(said(&yaml(first, UNDO, &last)).len(), 1);
    // Conditions may fail, too.
    let last = "when: input.names[0] == 'a'\n    action: { call: p/s.S/Do }";
    assert_eq!(said(&yaml(DO, UNDO, last))[0].0, Severity::Error);
    assert_eq!(said(&yaml(DO, &format!("when: 100 / input.n > 1, {UNDO}"), DO)).len(), 1);
}

/// Nothing that is read changes: what had a value has it again.
#[test]
fn what_was_sent_once_has_a_value() {
    for request in [
        "n: int(input.text)",
        "at: timestamp(input.text)",
        "n: 100 / input.n",
        "i: input.n",
        "text: 'input.names[0]'",
        "one: '{\"qty\": int(input.text)}'",
    ] {
        let first = format!("action: {{ call: p/s.S/Do, request: {{ {request} }} }}");
        let last = first.clone();
        let undo = format!("request: {{ {request} }}");
        assert_eq!(said(&yaml(&first, &undo, &last)), [], "{request}");
    }
    // Only one branch of a choice has had one.
    let first = "action: { call: p/s.S/Do, request: { n: 'input.b ? int(input.text) : 0' } }";
    assert_eq!(said(&yaml(first, "request: { n: int(input.text) }", DO)).len(), 1);
}

/// Also of a step that was skipped.
#[test]
fn what_a_condition_asked_has_a_value_whether_it_held_or_not() {
    let first = "when: input.names[0] == 'a'\n    action: { call: p/s.S/Do }";
    let last = "when: input.names[0] != 'a'\n    action: { call: p/s.S/Do }";
    assert_eq!(said(&yaml(first, UNDO, last)), []);
    // Only one side of it may have been asked.
    let first = "when: input.n > 5 && input.names[0] == 'a'\n    action: { call: p/s.S/Do }";
    assert_eq!(said(&yaml(first, UNDO, last))[0].0, Severity::Error);
}

#[test]
fn what_a_reply_was_refused_for_it_does_not_say_later() {
    let first = "action: { call: p/s.S/Do, refused_when: size(reply.ids) == 0 || reply.n < 1 }";
    let last = "action: { call: p/s.S/Do, request: { text: 'steps.first.reply.ids[0]', n: 7 / \
                steps.first.reply.n } }";
    assert_eq!(said(&yaml(first, UNDO, last)), []);
    assert_eq!(said(&yaml(DO, UNDO, last)).len(), 2);
    // Nothing that a reply says is known before it was judged.
    let first = "action: { call: p/s.S/Do, refused_when: 'reply.ids[0] == \"no\"' }";
    let doubt = said(&yaml(first, UNDO, DO));
    assert_eq!(doubt[0].0, Severity::Warning);
}

#[test]
fn what_a_signal_was_accepted_for_it_says_later() {
    let wait = |rest: &str| {
        format!(
            "kind: Saga\nname: one\nversion: 1\ninput: s.In\ndeadline: 1h\nsteps:\n  - name: word\n    \
             wait: {{ signal: word, type: s.Rep, timeout: 1m, {rest} }}\n  - name: end\n    pivot: true\n    \
             on_unknown: retry\n    action: {{ call: p/s.S/Do }}\n  - name: last\n    on_unknown: \
             retry\n    action: {{ call: p/s.S/Do, request: {{ text: 'steps.word.reply.ids[0]' }} }}\n"
        )
    };
    assert_eq!(said(&wait("accept: size(signal.ids) > 0")), []);
    assert_eq!(said(&wait("accept: signal.ok")).len(), 1);
    let judged = said(&wait("accept: 'signal.ids[0] == \"a\"'"));
    assert_eq!(judged.len(), 1, "{judged:?}");
    assert_eq!(judged[0].0, Severity::Error);
    assert!(judged[0].1.contains("size(signal.ids) > 0"), "{judged:?}");
    // Behind its timer there may be none at all.
    let late = said(&wait("on_timeout: accept, accept: size(signal.ids) > 0"));
    assert!(late[0].1.contains("may go on without a signal"), "{late:?}");
    assert_eq!(late[0].0, Severity::Error);
    let asked = wait("on_timeout: accept, accept: size(signal.ids) > 0").replace(
        "    action: { call: p/s.S/Do, request",
        "    when: has(steps.word.reply)\n    action: { call: p/s.S/Do, request",
    );
    assert_eq!(said(&asked), []);
}

#[test]
fn a_reply_that_may_not_be_there_is_asked_for() {
    let first = "when: input.n > 5\n    action: { call: p/s.S/Do }";
    let last = |when: &str| {
        format!(
            "{when}\n    action: {{ call: p/s.S/Do, request: {{ text: steps.first.reply.text }} }}"
        )
    };
    assert_eq!(said(&yaml(first, UNDO, &last("")))[0].0, Severity::Error);
    for when in ["has(steps.first.reply)", "input.n > 5", "input.n == 7", "input.n > 5 && input.b"]
    {
        assert_eq!(said(&yaml(first, UNDO, &last(&format!("when: {when}")))), [], "{when}");
    }
    assert_eq!(said(&yaml(first, UNDO, &last("when: input.n > 4"))).len(), 1);
}

#[test]
fn headers_hold_printable_text() {
    let header = |value: &str| {
        let last = format!("action: {{ call: p/s.S/Do, headers: {{ x-a: {value} }} }}");
        said(&yaml(DO, UNDO, &last))
    };
    assert_eq!(header("input.text")[0].0, Severity::Error);
    for safe in [
        "op(\"first\")",
        "string(input.n)",
        "\"'a' + saga.id\"",
        "string(input.k)",
        "'input.text.matches(\"^[ -~]{0,256}$\") ? input.text : \"\"'",
    ] {
        assert_eq!(header(safe), [], "{safe}");
    }
}

/// Sums of money do not reach 64 bits, and no guard would be worth its words.
#[test]
fn numbers_that_no_one_has_are_a_warning() {
    for request in ["n: input.n + input.m", "n: input.ns.sum()", "d: input.n"] {
        let said = behind(request);
        assert_eq!(said.len(), 1, "{request}: {said:?}");
        assert_eq!(said[0].0, Severity::Warning, "{request}");
    }
    for request in ["n: input.i + input.i", "n: input.i * 1000", "d: input.i"] {
        assert_eq!(behind(request), [], "{request}");
    }
}
