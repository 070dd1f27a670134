//! Expressions on a reply that was too large to be kept.

use saga_core::{Direction, StepIndex};
use saga_definition::{CompiledDefinition, Rendered};

use super::world::{Data, check, contracts, served};

const TYPES: &str = "syntax = 'proto3'; package s; service S { rpc Do(In) returns (In); } message In { \
    string id = 1; bool told = 2; }";

fn definition(id: &str) -> CompiledDefinition {
    let call = |id: &str| format!("{{ call: p/s.S/Do, request: {{ id: {id} }} }}");
    let yaml = format!(
        "kind: Saga\nname: two\nversion: 1\ninput: s.In\nsteps:\n  - name: take\n    when: \
         input.id != ''\n    on_unknown: retry\n    action: {}\n    compensation: none\n  - name: \
         next\n    pivot: true\n    on_unknown: retry\n    action: {}\n",
        call("input.id"),
        call(&format!("'{id}'"))
    );
    let made = check(&yaml, &contracts([("p", served(&[("s.proto", TYPES)]))]));
    made.unwrap_or_else(|report| panic!("{id}: {}", report.rendered)).definition
}

/// What the second step makes of it.
fn rendered(id: &str, unread: Option<StepIndex>) -> Result<Rendered, String> {
    let definition = definition(id);
    let input = definition.encode_input_json("{\"told\": true}").unwrap();
    let data = Data { input, replies: vec![None, None], unread };
    let made = definition.render(StepIndex(1), Direction::Forward, &data);
    made.map_err(|error| error.message)
}

#[test]
fn whoever_looks_at_a_reply_that_was_not_kept_is_told_that_it_was_not() {
    for id in [
        r#"has(steps.take.reply) ? steps.take.reply.id : """#,
        r#"has(steps.take.reply) ? "there" : "not there""#,
        r#"!has(steps.take.reply) && input.told ? "not there" : "there""#,
        r#"has(steps.take.reply) && has(steps.take.reply.id) ? "there" : """#,
    ] {
        let why = "the reply of step take was too large to be kept";
        assert_eq!(rendered(id, Some(StepIndex(0))), Err(why.to_owned()), "{id}");
        assert!(matches!(rendered(id, None), Ok(Rendered::Request(_))), "{id}");
    }
}

/// Whatever the reply says, this is true.
#[test]
fn what_is_decided_without_a_reply_needs_none() {
    let id = r#"has(steps.take.reply) || input.told ? "told" : """#;
    assert_eq!(rendered(id, Some(StepIndex(0))), rendered(id, None));
}
