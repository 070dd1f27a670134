//! Steps that wait for a signal, steps that the client brought along, and compensations
//! that ask what failed.

use bytes::Bytes;
use orchestrator::definition::{CompiledDefinition, LANGUAGE_LEVEL, Rendered};
use saga_core::{Direction, OnTimeout, StepIndex, StepKind, Timer, Verdict};

use super::sample::{Data, compile, kinds};

const YAML: &str = "
kind: Saga
name: refund
version: 1
input: kinds.All
deadline: 30d
steps:
  - name: paid
    compensation:
      call: echo/kinds.Echo/Echo
      when: failure.reason in ['OUT_OF_STOCK', 'AMOUNT_MISMATCH']
      request: { text: failure.step, left: failure.reason }
  - name: approval
    when: input.flag
    wait:
      signal: go-ahead
      type: kinds.All
      accept: signal.flag && signal.i64 < input.i64
      refused: REFUND_DENIED
      timeout: 7d
  - name: act
    pivot: true
    action:
      call: echo/kinds.Echo/Echo
      request: { text: 'has(steps.approval.reply) ? steps.approval.reply.text : \"\"' }
";

const PAID: StepIndex = StepIndex(0);
const APPROVAL: StepIndex = StepIndex(1);
const ACT: StepIndex = StepIndex(2);

fn refund() -> CompiledDefinition {
    let compiled = compile(YAML, &kinds()).unwrap();
    assert_eq!(compiled.rendered, "");
    compiled.definition
}

fn all(definition: &CompiledDefinition, json: &str) -> Bytes {
    definition.encode_input_json(json).unwrap()
}

#[test]
fn the_core_knows_what_waits_and_what_is_given() {
    let core = refund().core;
    assert_eq!(core.step(PAID).kind, StepKind::Given);
    assert!(core.step(PAID).compensable && core.step(PAID).compensation_conditional);
    let timer = Timer { after_ms: 7 * 86_400_000, then: OnTimeout::Refuse };
    assert_eq!(core.step(APPROVAL).kind, StepKind::Wait { timer: Some(timer) });
    assert!(!core.step(APPROVAL).compensable);
    assert!(core.step(APPROVAL).after.contains(PAID));
    assert_eq!(core.step(ACT).kind, StepKind::Call);
}

#[test]
fn a_signal_is_judged_by_what_it_says() {
    let definition = refund();
    let judge = |signal: Option<&str>| {
        let input = all(&definition, r#"{"i64": "5"}"#);
        let signal = signal.map(|json| all(&definition, json));
        definition.judge(APPROVAL, &Data { input, signal, ..Data::default() })
    };
    let denied = Verdict::Refused { reason: "REFUND_DENIED".to_owned() };
    assert_eq!(judge(Some(r#"{"flag": true, "i64": "4"}"#)), Ok(Verdict::Accepted));
    assert_eq!(judge(Some(r#"{"flag": true, "i64": "5"}"#)), Ok(denied.clone()));
    assert_eq!(judge(Some("{}")), Ok(denied));
    assert_eq!(judge(None).unwrap_err().message, "there is no signal");
}

/// The check refuses such a definition now. One that was stored before is read and run.
#[test]
fn a_signal_that_cannot_be_judged_says_where() {
    let yaml = YAML.replace("signal.i64 < input.i64", "1 / signal.i64 > 0");
    let report = compile(&yaml, &kinds()).unwrap_err();
    assert_eq!(report.findings[0].rule, "may-fail-in-limbo");
    let types = compile(YAML, &kinds()).unwrap().definition.types();
    let definition = CompiledDefinition::read(&yaml, "refund", 3, &types).unwrap();
    let signal = Some(all(&definition, r#"{"flag": true}"#));
    let error = definition.judge(APPROVAL, &Data { signal, ..Data::default() }).unwrap_err();
    assert_eq!(error.to_string(), "line 18: step approval, accept: division by zero");
}

#[test]
fn a_wait_begins_where_its_condition_holds() {
    let definition = refund();
    let begins = |json: &str| {
        let input = all(&definition, json);
        definition.begins(APPROVAL, &Data { input, ..Data::default() }).unwrap()
    };
    assert!(begins(r#"{"flag": true}"#));
    assert!(!begins("{}"));
}

#[test]
fn what_was_accepted_is_the_reply_of_the_step() {
    let definition = refund();
    let text = |reply: Option<&str>| {
        let replies = vec![None, reply.map(|json| all(&definition, json))];
        definition.render(ACT, Direction::Forward, &Data { replies, ..Data::default() }).unwrap()
    };
    let said = r#"{"text": "fine", "flag": true}"#;
    assert_eq!(text(Some(said)), Rendered::Request(all(&definition, r#"{"text": "fine"}"#)));
    assert_eq!(text(None), Rendered::Request(all(&definition, r#"{"text": ""}"#)));
}

#[test]
fn a_compensation_asks_what_failed() {
    let definition = refund();
    let undo = |failure| {
        let data = Data { failure: Some(failure), ..Data::default() };
        definition.render(PAID, Direction::Backward, &data).unwrap()
    };
    let request = all(&definition, r#"{"text": "act", "left": "OUT_OF_STOCK"}"#);
    assert_eq!(undo(("act", "OUT_OF_STOCK")), Rendered::Request(request));
    assert_eq!(undo(("approval", "REFUND_DENIED")), Rendered::Skip);
    assert_eq!(undo(("", "DEADLINE")), Rendered::Skip);
}

#[test]
fn signals_have_names_and_types() {
    let definition = refund();
    let signals: Vec<_> = definition.signals().collect();
    let [signal] = signals.as_slice() else { panic!("{signals:?}") };
    assert_eq!((signal.step, signal.name, signal.type_name()), (APPROVAL, "go-ahead", "kinds.All"));
    let bytes = signal.encode_json(r#"{"text": "x"}"#).unwrap();
    assert_eq!(signal.check_bytes("type.googleapis.com/kinds.All", &bytes).unwrap(), bytes);
    assert!(signal.check_bytes("kinds.None", &bytes).is_err());
    let unknown = signal.encode_json(r#"{"txet": "x"}"#).unwrap_err();
    assert_eq!((unknown.field.as_str(), unknown.remedy.as_str()), ("txet", "did you mean `text`?"));
}

#[test]
fn the_stored_types_hold_the_signals() {
    let types = refund().types();
    let read = CompiledDefinition::read(YAML, "refund", LANGUAGE_LEVEL, &types).unwrap();
    assert_eq!(read.hash, refund().hash);
    let participants = CompiledDefinition::participants_of(YAML, "refund.yaml").unwrap();
    assert_eq!(participants.into_iter().collect::<Vec<_>>(), ["echo"]);
}
