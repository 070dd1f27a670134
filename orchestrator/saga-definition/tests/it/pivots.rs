//! Several pivots, of which one runs.

use saga_core::{OnUnknown, StepIndex, StepSet};
use saga_definition::{CompiledDefinition, Contracts, Report};

use super::world::{broken, check, contracts, served};

const TYPES: &str = "syntax = 'proto3'; package s; service S { rpc Do(In) returns (In); rpc Undo(In) \
    returns (In); } enum K { K0 = 0; PAID = 1; OPEN = 2; } message In { string text = 1; bool b = 2; \
    int64 l = 3; K k = 4; repeated string names = 5; optional string sv = 6; }";

fn types() -> Contracts {
    contracts([("p", served(&[("s.proto", TYPES)]))])
}

/// A step by its name, and what else is said of it.
fn step(name: &str, more: &str) -> String {
    format!(
        "  - name: {name}\n    on_unknown: retry\n    action: {{ call: p/s.S/Do, request: {{ text: \
         op('{name}') }} }}\n{more}"
    )
}

fn undone(name: &str, when: &str) -> String {
    let undo = "    compensation: { call: p/s.S/Undo, request: { text: steps.NAME.reply.text } }\n";
    let undo = undo.replace("NAME", name);
    step(name, &format!("{}{undo}", condition(when)))
}

fn pivot(name: &str, when: &str) -> String {
    step(name, &format!("{}    pivot: true\n", condition(when)))
}

fn condition(when: &str) -> String {
    if when.is_empty() { String::new() } else { format!("    when: \"{when}\"\n") }
}

fn yaml(steps: &[String]) -> String {
    let head = "kind: Saga\nname: one\nversion: 1\ninput: s.In\nsteps:\n";
    format!("{head}{}{}", undone("choose", ""), steps.concat())
}

/// Two ways, each to a pivot of its own, and a step behind both.
fn choice(one: &str, other: &str) -> String {
    yaml(&[
        undone("a", one),
        pivot("p", one),
        step("note", &condition(one)),
        undone("b", other),
        pivot("q", other),
        step("ship", ""),
    ])
}

fn refused(yaml: &str) -> Vec<&'static str> {
    broken(yaml, &types()).into_iter().map(|it| it.0).filter(|it| *it != "late-attempt").collect()
}

#[test]
fn two_ways_that_exclude_each_other_may_each_have_a_pivot() {
    for (one, other) in [
        ("input.b", "!input.b"),
        ("input.k == 'PAID'", "input.k != 'PAID'"),
        ("input.text == 'now'", "!(input.text == 'now')"),
        ("input.l < 100", "input.l >= 100"),
        ("size(input.names) > 0", "size(input.names) == 0"),
        ("has(input.sv)", "!has(input.sv)"),
        ("input.names[0] == 'a'", "input.names[0] != 'a'"),
        ("steps.choose.reply.k == 'PAID'", "steps.choose.reply.k != 'PAID'"),
        ("input.b && input.l > 5", "!input.b || input.l <= 5"),
    ] {
        let made = check(&choice(one, other), &types());
        let made = made.unwrap_or_else(|it| panic!("{one}: {}", it.rendered));
        let of_pivots = |it: &&str| it.contains("pivot");
        let warned: Vec<&str> = made.warnings.iter().map(|it| it.rule).filter(of_pivots).collect();
        assert_eq!(warned, [] as [&str; 0], "{one}: {}", made.rendered);
        let core = made.definition.core;
        let behind: Vec<&str> = core
            .indices()
            .filter(|it| core.is_after_pivot(*it))
            .map(|it| core.step(it).name.as_str())
            .collect();
        assert_eq!(behind, ["note", "ship"], "{one}");
        let set = |of: [u8; 2]| of.into_iter().map(StepIndex).collect::<StepSet>();
        assert_eq!(core.step(StepIndex(2)).excludes, set([4, 5]), "{one}: p excludes b and q");
        // What may turn back has a last attempt, and what may not has none.
        let attempts = |it: u8| core.step(StepIndex(it)).retry.attempts_max;
        assert_eq!([attempts(4), attempts(5), attempts(3)], [8, 8, 10], "{one}");
        assert!(core.steps.iter().all(|it| it.on_unknown == OnUnknown::Retry));
    }
}

#[test]
fn three_ways_may_each_have_one() {
    let [one, two] = ["input.k == 'PAID'", "input.k == 'OPEN'"];
    let rest = "input.k != 'PAID' && input.k != 'OPEN'";
    let steps = [pivot("p", one), pivot("q", two), pivot("r", rest)];
    let made = check(&yaml(&steps), &types());
    assert!(made.is_ok(), "{}", made.unwrap_err().rendered);
}

#[test]
fn pivots_that_may_both_run_are_refused_with_why() {
    for (one, other) in [
        ("input.b", "input.l > 5"),
        ("input.b", ""),
        ("", "input.b"),
        ("input.l <= 100", "input.l >= 100"),
        ("input.text == 'a'", "input.text != 'b'"),
        // Equal by value, in another spelling.
        ("input.l == 5", "input.l == 5u"),
        // The second cannot be told where the first holds: it may have no value.
        ("input.b", "!input.b || input.names[0] == 'x'"),
    ] {
        assert!(refused(&choice(one, other)).contains(&"pivot-twice"), "{one}, {other}");
    }
    let found = broken(&choice("input.b", "input.l > 5"), &types());
    let found = found.iter().find(|it| it.0 == "pivot-twice").unwrap();
    assert!(found.1.contains("the condition of q is false where that of p is true"), "{found:?}");
}

#[test]
fn pivots_of_which_none_may_run_are_refused_with_why() {
    for (one, other) in [
        ("input.k == 'PAID'", "input.k == 'OPEN'"),
        ("input.l < 100", "input.l > 100"),
        ("input.b", "!input.b && input.l > 5"),
    ] {
        let found = broken(&choice(one, other), &types());
        let found = found.iter().find(|it| it.0 == "conditional-pivot");
        assert!(found.is_some_and(|it| it.1.contains("pivots p and q")), "{one}, {other}");
    }
}

#[test]
fn what_may_run_beside_a_pivot_or_between_two_is_refused() {
    let [one, other] = ["input.b", "!input.b"];
    let between = [pivot("p", one), undone("between", ""), pivot("q", other)];
    assert!(refused(&yaml(&between)).contains(&"pivot-parallel"));
    let beside = "    after: [p]\n    compensation: none\n";
    let beside = [pivot("p", one), pivot("q", other), step("beside", beside)];
    assert!(refused(&yaml(&beside)).contains(&"pivot-parallel"));
    let on_its_way = format!("    after: [p]\n{}", condition(one));
    let on_its_way = [pivot("p", one), pivot("q", other), step("note", &on_its_way)];
    let made: Result<_, Report> = check(&yaml(&on_its_way), &types());
    assert!(made.is_ok(), "{}", made.unwrap_err().rendered);
}

/// What was checked once is told the same way when it is read again.
#[test]
fn what_was_stored_excludes_what_it_did() {
    let yaml = choice("input.b", "!input.b");
    let made = CompiledDefinition::check(&yaml, "x", &types()).unwrap().definition;
    let read = CompiledDefinition::read(&yaml, "x", 5, &made.types()).unwrap();
    assert_eq!(read.core, made.core);
}
