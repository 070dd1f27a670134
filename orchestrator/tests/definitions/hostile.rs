//! Definitions and expressions that are made to hurt (X27, X09).

use std::{
    thread,
    time::{Duration, Instant},
};

use orchestrator::definition::{FINDINGS_MAX, RenderError};
use saga_core::{Direction, StepIndex};

use super::sample::{Data, compile, echo, kinds};

/// The bound is on work, which is a few milliseconds; without it these take hours. Long,
/// because tests run without optimisation and beside others.
const PATIENCE: Duration = Duration::from_secs(2);

fn rules(yaml: &str) -> Vec<&'static str> {
    let began = Instant::now();
    let yaml = yaml.to_owned();
    // Half of the stack of a thread that serves registrations.
    let thread = thread::Builder::new().stack_size(1024 * 1024);
    let check = move || match compile(&yaml, &kinds()) {
        Ok(compiled) => compiled.warnings.iter().map(|it| it.rule).collect(),
        Err(report) => report.findings.iter().map(|it| it.rule).collect(),
    };
    let rules = thread.spawn(check).unwrap().join().unwrap();
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    rules
}

#[test]
fn large_and_deep_expressions_are_refused() {
    let long = format!("text: input.text{}", " + input.text".repeat(100));
    let brackets = format!("i64: {}1{}", "(".repeat(900), ")".repeat(900));
    let lists = format!("i64: 'size({}{})'", "[".repeat(400), "]".repeat(400));
    let signs = format!("i64: '{}1'", "-".repeat(900));
    let choices = format!("i64: '{}1'", "true ? 1 : ".repeat(90));
    let loops = "flag: 'input.numbers.all(a, input.numbers.all(b, input.numbers.all(c, \
                 input.numbers.all(d, a == d))))'";
    let chain = format!("i64: 1{}", "+1".repeat(500));
    let path = format!("text: input{}.text", ".child".repeat(150));
    for request in [&long, &brackets, &lists, &signs, &choices, &chain, &path, loops] {
        let shown: String = request.chars().take(40).collect();
        assert_eq!(rules(&echo(request)), ["expression-too-large"], "{shown}");
    }
}

#[test]
fn large_and_deep_files_are_refused() {
    let large = format!("# {}\n{}", "x".repeat(256 * 1024), echo("{}"));
    assert_eq!(rules(&large), ["too-large"]);
    assert_eq!(rules(&"[".repeat(100_000)), ["yaml"]);
    assert_eq!(rules(&echo(&format!("child: {}", "{ child: ".repeat(5_000)))), ["yaml"]);
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
    assert_eq!(rules(bomb), ["yaml"]);
    let many: String = (0..65).map(|it| format!("  - name: s{it}\n")).collect();
    let steps = format!("kind: Saga\nname: many\nversion: 1\ninput: kinds.All\nsteps:\n{many}");
    assert_eq!(rules(&steps), ["shape"]);
}

#[test]
fn a_long_chain_of_operators_is_evaluated() {
    let chain = format!("i64: 1{}", "+1".repeat(50));
    let definition = compile(&echo(&chain), &kinds()).unwrap().definition;
    assert!(definition.render(StepIndex(0), Direction::Forward, &Data::default()).is_ok());
}

#[test]
fn work_is_bounded() {
    let numbers: Vec<String> = (0..2_000).map(|it| format!("\"{it}\"")).collect();
    let json =
        format!(r#"{{"numbers": [{}], "text": "{}"}}"#, numbers.join(","), "x".repeat(200_000));
    let hostile = [
        "flag: 'input.numbers.all(a, input.numbers.all(b, input.numbers.all(c, a + b + c >= 0)))'",
        "numbers: 'input.numbers.map(a, input.numbers.filter(b, b > a)[0])'",
        "texts: 'input.numbers.map(a, input.text)'",
        "texts: 'input.numbers.map(a, input.text + input.text)'",
        "flag: 'input.numbers.all(a, input.text == input.text)'",
        "flag: 'input.numbers.all(a, !input.text.contains(\"y\"))'",
        "flag: 'input.numbers.all(a, size(input.text) > 0)'",
        "flag: 'input.numbers.all(a, -1 in input.numbers || true)'",
        "texts: 'input.numbers.map(a, string(input.text))'",
    ];
    for request in hostile {
        let definition = compile(&echo(request), &kinds()).unwrap().definition;
        let input = definition.encode_input_json(&json).unwrap();
        let data = Data { input, ..Data::default() };
        let began = Instant::now();
        let rendered = definition.render(StepIndex(0), Direction::Forward, &data);
        let took = began.elapsed();
        let Err(RenderError { message, .. }) = rendered else { panic!("{request}: no limit") };
        assert_eq!(message, "the expression takes more work than is allowed", "{request}");
        assert!(took < PATIENCE, "{request}: {took:?}");
    }
}

#[test]
fn a_large_order_is_well_within_the_bound() {
    let children: Vec<String> =
        (0..2_000).map(|it| format!(r#"{{"text": "item-{it}", "i64": "{it}"}}"#)).collect();
    let json = format!(r#"{{"children": [{}]}}"#, children.join(","));
    let request = "children: 'input.children.map(c, {\"text\": c.text, \"i64\": c.i64})'";
    let definition = compile(&echo(request), &kinds()).unwrap().definition;
    let input = definition.encode_input_json(&json).unwrap();
    let data = Data { input, ..Data::default() };
    assert!(definition.render(StepIndex(0), Direction::Forward, &data).is_ok());
}

/// What is copied into a request is counted, bytes as well as text, and as it is copied.
#[test]
fn copies_of_bytes_are_bounded() {
    let numbers: Vec<String> = (0..2_000).map(|it| format!("\"{it}\"")).collect();
    let json = format!(
        r#"{{"numbers": [{}], "text": "{}", "raw": "{}"}}"#,
        numbers.join(","),
        "x".repeat(200_000),
        "A".repeat(200_000)
    );
    let many = format!("texts: [{}]", vec!["input.text"; 8_000].join(", "));
    let hostile = [
        "children: 'input.numbers.map(a, {\"raw\": input.raw + input.raw})'",
        "children: 'input.numbers.map(a, {\"raw\": input.raw})'",
        &many,
    ];
    for request in hostile {
        let shown: String = request.chars().take(60).collect();
        let definition = compile(&echo(request), &kinds()).unwrap().definition;
        let input = definition.encode_input_json(&json).unwrap();
        let data = Data { input, ..Data::default() };
        let rendered = definition.render(StepIndex(0), Direction::Forward, &data);
        let Err(RenderError { message, .. }) = rendered else { panic!("{shown}: no limit") };
        assert_eq!(message, "the expression takes more work than is allowed", "{shown}");
    }
}

/// The largest row of a log holds 32 MiB: a step that only hands it on is within the bound.
#[test]
fn what_is_largest_can_be_handed_on() {
    let definition = compile(&echo("raw: input.raw\n        text: input.text"), &kinds());
    let definition = definition.unwrap().definition;
    let of = definition.request_type(StepIndex(0), Direction::Forward).unwrap();
    let mut message = prost_reflect::DynamicMessage::new(of.clone());
    let half = 16 << 20;
    message.set_field_by_name("raw", prost_reflect::Value::Bytes(vec![7; half].into()));
    message.set_field_by_name("text", prost_reflect::Value::String("x".repeat(half)));
    let data = Data { input: prost::Message::encode_to_vec(&message).into(), ..Data::default() };
    assert!(definition.render(StepIndex(0), Direction::Forward, &data).is_ok());
}

/// A file may be nothing but mistakes: they are counted, not collected.
#[test]
fn a_file_full_of_mistakes_is_reported_as_fast_as_another() {
    let keys = |n: usize| -> String { (0..n).map(|it| format!("z{it}: input.text, ")).collect() };
    let unknown_fields = echo(&format!("{{ {} }}", keys(12_000)));
    let unknown_keys: String = (0..14_000).map(|it| format!("key{it}: value\n")).collect();
    let counts: String = (0..12_000).map(|it| format!("k{it}: text, ")).collect();
    let wrong_types = echo(&format!("counts: {{ {counts} }}"));
    for yaml in [unknown_fields, unknown_keys + &echo("{}"), wrong_types] {
        assert!(150_000 < yaml.len() && yaml.len() < 256 * 1024, "{}", yaml.len());
        let began = Instant::now();
        let report = compile(&yaml, &kinds()).unwrap_err();
        assert!(began.elapsed() < PATIENCE * 5, "{:?}", began.elapsed());
        assert_eq!(report.findings.len(), FINDINGS_MAX);
        assert!(11_000 < report.more, "{}", report.more);
        assert!(report.rendered.ends_with(&format!("and {} more\n", report.more)));
        assert!(report.rendered.len() < 64 * 1024, "{}", report.rendered.len());
    }
}

#[test]
fn errors_are_never_behind_warnings_and_quotations_are_short() {
    let long = "x".repeat(900);
    let report = compile(&echo(&format!("{long}: input.text")), &kinds()).unwrap_err();
    let message = &report.findings[0].message;
    assert!(message.contains(&"x".repeat(100)) && message.len() < 200, "{message}");

    // 60 steps that leave something behind, and are warned of, before the one mistake.
    let steps: String = (0..60)
        .map(|it| format!("  - name: s{it}\n    compensation: none\n    action: {{ call: echo/kinds.Echo/Echo }}\n"))
        .collect();
    let yaml = format!(
        "kind: Saga\nname: many\nversion: 1\ninput: kinds.All\nsteps:\n{steps}  - name: last\n    pivot: true\n    action: {{ call: echo/kinds.Echo/Nope }}\n"
    );
    let report = compile(&yaml, &kinds()).unwrap_err();
    assert_eq!(report.findings.len(), FINDINGS_MAX);
    assert!(report.findings.iter().any(|it| it.rule == "unknown-method"), "{report:?}");
}
