//! Scenarios that are played: each answer has its consequence, and each difference is told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use prost_reflect::prost::Message as _;
use saga_definition::{CompiledDefinition, Contracts, ScenarioFile, ServedTypes};
use saga_draft::rehearsal::{Coverage, Played, Unplayable, play};

const TYPES: &str = "syntax = 'proto3'; package s; service S { rpc Take(In) returns (Rep); rpc Back(Id) \
    returns (Rep); rpc Ship(In) returns (Rep); rpc Tell(Id) returns (Rep); } message In { string \
    order_no = 1; int64 amount = 2; bool told = 3; } message Id { string id = 1; } message Rep { \
    string id = 1; int64 amount = 2; }";

const DEFINITION: &str = "kind: Saga
name: order
version: 1
input: s.In
deadline: 1h
steps:
  - name: approval
    wait: { signal: approved, type: s.Id, timeout: 10m, accept: signal.id != 'no' }
  - name: take
    action: { call: p/s.S/Take, request: { order_no: input.order_no, amount: input.amount }, timeout: 5s }
    compensation: { call: p/s.S/Back, request: { id: steps.take.reply.id } }
    retry: { first: 1s, factor: 2, max: 4s, attempts: 3 }
  - name: ship
    pivot: true
    action: { call: p/s.S/Ship, request: { order_no: input.order_no } }
  - name: tell
    when: input.told
    action: { call: p/s.S/Tell, request: { id: steps.take.reply.id } }
";

fn definition() -> CompiledDefinition {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.proto"), TYPES).unwrap();
    let set = protox::compile(["s.proto"], [dir.path()]).unwrap();
    let types = ServedTypes::read_set(&set.encode_to_vec()).unwrap();
    let checked = CompiledDefinition::check(DEFINITION, "order.yaml", &Contracts::from(types));
    checked.unwrap_or_else(|report| panic!("{}", report.rendered)).definition
}

/// A scenario of which the client has the approval, unless it says otherwise.
fn played(words: &str) -> Result<Played, Unplayable> {
    let signals = match words.contains("signals:") {
        true => "",
        false => "    signals: [{ signal: approved, payload: { id: ada } }]\n",
    };
    let text = format!("scenarios:\n  - name: one\n{signals}{words}");
    let file = ScenarioFile::read(&text, "order.test.yaml");
    let file = file.unwrap_or_else(|report| panic!("{}", report.rendered));
    play(&definition(), &file.scenarios[0])
}

fn differences(words: &str) -> Vec<String> {
    played(words).unwrap_or_else(|error| panic!("{words}: {error}")).differences
}

#[test]
fn what_calls_answer_has_its_consequence() {
    for words in [
        "    input: { order_no: o-1, told: true }
    answers: { take: { ok: { id: t-1 } } }
    expect: { ending: completed, calls: [take, ship, tell: { id: t-1 }], stands: [approval, take, ship, tell] }\n",
        "    answers: { take: { refused: NO_MONEY } }
    expect: { ending: compensated, reason: NO_MONEY, calls: [take], undone: [], stands: [approval] }\n",
        "    answers: { take: { ok: { id: t-1 } }, ship: { refused: NO_STREET } }
    expect: { ending: compensated, reason: NO_STREET, calls: [take, ship, undo take: { id: t-1 }], undone: [take] }\n",
        // The inquiry tells the reply.
        "    answers: { take: [unknown, { applied: { id: t-2 } }], ship: { refused: NO } }
    expect: { ending: compensated, calls: [take, ship, undo take: { id: t-2 }] }\n",
        "    answers: { take: [unknown, never_applied] }
    expect: { ending: compensated, calls: [take], undone: [] }\n",
        // Nobody says what became of it.
        "    answers: { take: unknown }
    expect: { ending: stuck, reason: OUTCOME_UNKNOWN, calls: [take] }\n",
        // Three attempts, and nothing was done.
        "    answers: { take: { down: 2d } }
    expect: { ending: compensated, undone: [] }\n",
        "    answers: { take: { ok: { id: t-1 } }, ship: { refused: NO }, undo take: { refused: GONE } }
    expect: { ending: stuck, reason: COMPENSATION_REJECTED, stands: [approval] }\n",
        "    answers: { take: nothing }
    expect: { ending: waiting, calls: [take] }\n",
        "    input: { told: true }
    answers: { tell: { down: 3h } }
    expect: { ending: completed, undone: [] }\n",
        "    cancel: { at: take }
    expect: { ending: compensated, reason: CANCELLED, undone: [take] }\n",
        "    signals: [{ signal: approved, payload: { id: 'no' }, after: 5m }]
    expect: { ending: compensated, calls: [] }\n",
        "    signals: []
    expect: { ending: compensated, reason: SIGNAL_TIMEOUT, calls: [], within: 10m }\n",
        "    signals: []
    cancel: { after: 3m }
    expect: { ending: compensated, reason: CANCELLED, within: 3m }\n",
    ] {
        let played = played(words).unwrap();
        assert!(played.differences.is_empty(), "{words}{:#?}\n{:#?}", played.differences, played.course);
    }
}

#[test]
fn every_difference_is_told() {
    let expected = "    expect: { ending: stuck, reason: NONE_SUCH, calls: [ship, take: { amount: 7 }], \
                    stands: [], undone: [ship], within: 1ms }\n";
    let words = format!(
        "    input: {{ amount: 5 }}\n    answers: {{ ship: {{ refused: NO }} }}\n{expected}"
    );
    assert_eq!(
        differences(&words),
        [
            "ending: stuck is expected, compensated came",
            "reason: NONE_SUCH is expected, NO came",
            "stands: nothing is expected, approval came",
            "undone: ship is expected, take came",
            "time: at most 1 ms are expected, 3 ms came",
            "calls: ship, take are expected, take, ship, undo take left",
            "request of take: amount: 7 is expected, 5 left",
        ]
    );
}

#[test]
fn a_scenario_that_does_not_fit_its_definition_says_so() {
    for (words, why) in [
        ("    answers: { tkae: unknown }\n    expect: {}\n", "the definition has no step `tkae`"),
        (
            "    answers: { undo ship: unknown }\n    expect: {}\n",
            "the definition has no call `undo ship`",
        ),
        (
            "    signals: [{ signal: nope }]\n    expect: {}\n",
            "the definition has no signal `nope`",
        ),
        ("    input: { amount: many }\n    expect: {}\n", "the input: "),
        ("    answers: { take: { ok: { nope: 1 } } }\n    expect: {}\n", "the reply of take: "),
    ] {
        let error = played(words).unwrap_err().to_string();
        assert!(error.starts_with(why), "{words}: {error}");
    }
}

#[test]
fn what_no_scenario_goes_through_is_named() {
    let mut seen = Coverage::default();
    for words in [
        "    expect: {}\n",
        "    input: { told: true }\n    answers: { ship: { refused: NO } }\n    expect: {}\n",
    ] {
        seen.add(&played(words).unwrap().coverage);
    }
    let missing = seen.missing(&definition().core);
    assert_eq!(missing, ["approval refused", "take refused", "tell applied"]);
}

#[test]
fn what_is_no_scenario_is_told_with_its_line() {
    let text =
        "scenarios:\n  - name: one\n    answers: { take: unkown }\n    expect: { endig: stuck }\n";
    let report = ScenarioFile::read(text, "order.test.yaml").unwrap_err();
    let found: Vec<(u32, &str)> =
        report.findings.iter().map(|it| (it.line, it.remedy.as_str())).collect();
    assert_eq!(found, [(3, "did you mean `unknown`?"), (4, "did you mean `ending`?")]);
}
