//! What a saga may come to: nothing is missed, and nothing is said that cannot be.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use prost_reflect::prost::Message as _;
use saga_core::{StepSet, StuckReason};
use saga_definition::{CompiledDefinition, Contracts, ServedTypes};
use saga_draft::proof::{
    CallsMax, Fate, Found, Proof, Uncertified, Whole, certificate, check_certificate, prove,
    with_certificate,
};

const TYPES: &str = "syntax = 'proto3'; package s; service S { rpc Do(In) returns (In); rpc Undo(In) \
    returns (In); } message In { string id = 1; bool ok = 2; }";

/// A step that something undoes; `more` are further keys.
fn step(name: &str, more: &str) -> String {
    format!(
        "  - name: {name}\n{more}    action: {{ call: p/s.S/Do, request: {{ id: input.id }} }}\n    \
         compensation: {{ call: p/s.S/Undo, request: {{ id: op(\"{name}\") }} }}\n"
    )
}

/// A step that nothing undoes.
fn forward(name: &str, more: &str) -> String {
    format!(
        "  - name: {name}\n{more}    action: {{ call: p/s.S/Do, request: {{ id: input.id }} }}\n"
    )
}

fn definition(steps: &[String]) -> CompiledDefinition {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.proto"), TYPES).unwrap();
    let set = protox::compile(["s.proto"], [dir.path()]).unwrap();
    let types = ServedTypes::read_set(&set.encode_to_vec()).unwrap();
    let head = "kind: Saga\nname: one\nversion: 1\ninput: s.In\ndeadline: 1h\nsteps:\n";
    let yaml = format!("{head}{}", steps.concat());
    let checked = CompiledDefinition::check(&yaml, "one.yaml", &Contracts::from(types));
    checked.unwrap_or_else(|report| panic!("{}", report.rendered)).definition
}

fn proved(steps: &[String]) -> Proof {
    let proof = prove(&definition(steps)).unwrap();
    assert!(proof.is_complete, "{} points", proof.points);
    proof
}

/// The endings, a line each: what it is, and which steps stand.
fn told(steps: &[String]) -> BTreeSet<String> {
    let definition = definition(steps);
    let names = |set: StepSet| {
        let names = set.iter().map(|it| definition.core.step(it).name.clone());
        names.collect::<Vec<_>>().join(" ")
    };
    let told = |it: &Found| match it.fate {
        Fate::Completed => format!("completed: {}", names(it.stands)),
        Fate::Compensated => format!("compensated: {}", names(it.stands)),
        Fate::Stuck { reason, step } => {
            format!("{} at {}", reason.code(), definition.core.step(step).name)
        }
    };
    prove(&definition).unwrap().endings.iter().map(told).collect()
}

fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|it| (*it).to_owned()).collect()
}

/// Of two pivots one runs, and the other way is not taken.
#[test]
fn a_choice_of_two_ways_is_taken_one_way() {
    let on = |when: &str, more: &str| format!("    when: \"{when}\"\n{more}");
    let steps = [
        step("a", ""),
        forward("p", &on("input.ok", "    pivot: true\n")),
        step("b", &on("!input.ok", "")),
        forward("q", &on("!input.ok", "    pivot: true\n")),
        forward("c", ""),
    ];
    let told = told(&steps);
    let whole: BTreeSet<&str> =
        told.iter().map(String::as_str).filter(|it| it.starts_with("comp")).collect();
    let expected = ["completed: a p c", "completed: a q c", "completed: a b q c", "compensated: "];
    assert_eq!(whole, BTreeSet::from(expected));
    // The longest way has four calls, each up to its last attempt, and the undo of one.
    let CallsMax { calls, .. } = proved(&steps).calls_max;
    let [one, other] = [steps[..2].to_vec(), steps[2..].to_vec()];
    assert!(
        calls < 8 * (one.len() + other.len()) as u64 + 20,
        "{calls}: as if both ways were taken"
    );
}

#[test]
fn a_saga_is_all_or_nothing_or_needs_a_person_for_what_it_was_told() {
    let steps = [step("a", ""), forward("b", "    pivot: true\n"), forward("c", "")];
    assert_eq!(
        told(&steps),
        set(&[
            "completed: a b c",
            "compensated: ",
            // Nobody answers what became of it.
            "OUTCOME_UNKNOWN at a",
            "OUTCOME_UNKNOWN at b",
            "COMPENSATION_FAILING at a",
            "COMPENSATION_REJECTED at a",
            "FORWARD_FAILING at c",
            "REJECTED_AFTER_PIVOT at c",
            // It is refused while an earlier attempt may have done it.
            "OUTCOME_UNKNOWN at c",
        ])
    );
    let proof = proved(&steps);
    let whole = |it: &&Found| it.whole() != Whole::Neither;
    assert_eq!(proof.endings.iter().filter(whole).count(), 2);
}

#[test]
fn what_nothing_undoes_stands_in_the_end() {
    let steps = [
        forward("a", "    compensation: none\n"),
        step("b", "").replace("request: { id: op", "when: input.ok, request: { id: op"),
        forward("c", "    pivot: true\n"),
    ];
    let told = told(&steps);
    let endings: Vec<&String> = told.iter().filter(|it| it.contains("compensated")).collect();
    assert_eq!(endings, ["compensated: ", "compensated: a", "compensated: a b"]);
    let proof = proved(&steps);
    let kept = proof
        .endings
        .iter()
        .find(|it| 1 < it.stands.iter().count() && it.fate == Fate::Compensated);
    // The shortest way: both steps are done, something turns the saga back, and b is kept.
    assert_eq!(kept.unwrap().way.len(), 4, "{kept:?}");
    assert_eq!(kept.unwrap().whole(), Whole::Neither);
}

#[test]
fn a_step_that_may_be_skipped_may_be_missing() {
    let steps = [step("a", "    when: input.ok\n"), forward("b", "    pivot: true\n")];
    let told = told(&steps);
    assert!(told.contains("completed: b"), "{told:?}");
    assert!(told.contains("completed: a b"), "{told:?}");
}

#[test]
fn a_signal_has_no_effect_that_could_stand() {
    let wait = |rest: &str| {
        format!("  - name: w\n    wait: {{ signal: s, type: s.In, timeout: 1m{rest} }}\n")
    };
    let steps = |rest: &str| [step("a", ""), wait(rest), forward("b", "    pivot: true\n")];
    let refused = told(&steps(", accept: signal.ok"));
    assert!(refused.contains("completed: a b"), "{refused:?}");
    assert!(refused.contains("compensated: "), "{refused:?}");
    let proof = proved(&steps(""));
    assert!(proof.endings.iter().all(|it| !it.way.iter().any(|it| it.contains("says no"))));
}

/// What is undone in doubt is undone where it never was, too: nobody is needed.
#[test]
fn how_a_doubt_is_settled_is_seen() {
    let of = |how: &str| {
        let steps =
            [step("a", &format!("    on_unknown: {how}\n")), forward("b", "    pivot: true\n")];
        told(&steps)
    };
    let unknown = "OUTCOME_UNKNOWN at a".to_owned();
    assert!(of("park").contains(&unknown));
    assert!(of("retry").contains(&unknown));
    assert!(of("resolve").contains(&unknown));
}

#[test]
fn calls_are_counted_by_their_last_attempts() {
    let retry = "    retry: { attempts: 3 }\n    resolve: { attempts: 2 }\n";
    let steps =
        [step("a", retry), forward("b", &format!("    pivot: true\n{retry}")), forward("c", retry)];
    let most = proved(&steps).calls_max;
    // Three attempts of a, three of b that is not known then, two inquiries, and ten of undoing a.
    assert_eq!((most.calls, most.inquiries), (3 + 3 + 10, 2));
}

#[test]
fn eight_steps_are_proved_whole() {
    let mut steps: Vec<String> = ["a", "b", "c", "d", "e"].map(|it| step(it, "")).into();
    steps.push(forward("f", "    pivot: true\n"));
    steps.extend(["g", "h"].map(|it| forward(it, "    when: input.ok\n")));
    let proof = proved(&steps);
    let completed = proof.endings.iter().filter(|it| it.fate == Fate::Completed);
    assert_eq!(completed.count(), 4);
    let stuck = |reason: StuckReason| {
        let is = |it: &&Found| matches!(it.fate, Fate::Stuck { reason: of, .. } if of == reason);
        proof.endings.iter().filter(is).count()
    };
    assert_eq!(stuck(StuckReason::CompensationRejected), 5);
    assert_eq!(stuck(StuckReason::RejectedAfterPivot), 2);
    // What a proof takes: a point is some microseconds, so this is far below ten seconds.
    assert!(proof.points <= 100_000, "{} points", proof.points);
}

/// No way to an ending is longer than another one to it: what could be left out would be.
#[test]
fn the_way_to_an_ending_is_the_shortest() {
    let steps = [step("a", ""), step("b", ""), forward("c", "    pivot: true\n")];
    let rejected = |step: u8| Fate::Stuck {
        reason: StuckReason::CompensationRejected,
        step: saga_core::StepIndex(step),
    };
    let proof = proved(&steps);
    let way = |fate: Fate| {
        let found = proof.endings.iter().find(|it| it.fate == fate);
        found.unwrap().way.clone()
    };
    assert_eq!(way(rejected(0)), ["a: done", "b: refused", "undo a: refused"]);
    assert_eq!(way(rejected(1)), ["a: done", "b: done", "c: refused", "undo b: refused"]);
}

#[test]
fn steps_side_by_side_are_proved_whole() {
    let mut steps: Vec<String> = ["a", "b"].map(|it| step(it, "    after: []\n")).into();
    steps.push(forward("c", "    after: [a, b]\n    pivot: true\n"));
    let proof = proved(&steps);
    let compensated = proof.endings.iter().filter(|it| it.fate == Fate::Compensated);
    assert!(compensated.into_iter().all(|it| it.whole() == Whole::Nothing));
}

#[test]
fn a_certificate_is_of_one_definition_as_it_is() {
    let yaml = "# yaml-language-server: $schema=x\nkind: Saga\nname: one\nversion: 1\ninput: s.In\nsteps:\n  \
                - name: a\n    pivot: true\n    action: { call: p/s.S/Do }\n";
    let hash = CompiledDefinition::identity(yaml).unwrap().hash;
    let steps = [forward("a", "    pivot: true\n")];
    let mut definition = definition(&steps);
    definition.hash = hash;
    let line = certificate(&definition, &proved(&steps)).unwrap();
    assert_eq!(check_certificate(yaml), Err(Uncertified::Missing));
    let certified = with_certificate(yaml, &line);
    assert_eq!(certified.lines().nth(1), Some(line.as_str()));
    assert_eq!(check_certificate(&certified), Ok(()));
    assert_eq!(with_certificate(&certified, &line), certified, "renewed, it stands there once");
    // Comments change nothing, and anything else does.
    assert_eq!(check_certificate(&format!("{certified}# more\n")), Ok(()));
    let changed = certified.replace("pivot: true", "compensation: none");
    assert_eq!(check_certificate(&changed), Err(Uncertified::OfAnother));
    let incomplete = Proof { is_complete: false, ..proved(&steps) };
    assert_eq!(certificate(&definition, &incomplete), None);
}
