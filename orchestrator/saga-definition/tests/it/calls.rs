//! What no stranger's service can be called without: replies that say no, whole messages as
//! requests, and metadata.

use saga_core::{Direction, StepIndex};
use saga_definition::{BadReply, CompiledDefinition, ReplyMeaning};

use super::world::{Data, broken, check, contracts, rendered, served};

const TYPES: &str = "syntax = 'proto3'; package s; service S { rpc Do(In) returns (Rep); rpc Undo(In) \
    returns (Rep); rpc Other(Rep) returns (Rep); } message In { string id = 1; oneof pay { string \
    card = 2; string iban = 3; } repeated Rep more = 4; } message Rep { Status status = 1; int32 code \
    = 2; In back = 3; enum Status { OK = 0; REJECTED = 1; } }";

fn yaml(action: &str) -> String {
    format!(
        "kind: Saga\nname: one\nversion: 1\ninput: s.In\nsteps:\n  - name: do\n    on_unknown: retry\n    \
         action:\n      call: p/s.S/Do\n      {action}\n    compensation: {{ call: p/s.S/Undo, \
         request: input }}\n  - name: end\n    pivot: true\n    on_unknown: retry\n    action: {{ call: \
         p/s.S/Do, request: input }}\n"
    )
}

fn definition(action: &str) -> CompiledDefinition {
    let contracts = contracts([("p", served(&[("s.proto", TYPES)]))]);
    let made = check(&yaml(action), &contracts);
    made.unwrap_or_else(|report| panic!("{action}: {}", report.rendered)).definition
}

fn refused(action: &str) -> Vec<(&'static str, String)> {
    broken(&yaml(action), &contracts([("p", served(&[("s.proto", TYPES)]))]))
}

fn data(definition: &CompiledDefinition) -> Data {
    let input = r#"{"id": "o-1", "iban": "KR1"}"#;
    Data { input: definition.encode_input_json(input).unwrap(), ..Data::default() }
}

fn meaning(definition: &CompiledDefinition, reply: &str) -> Result<ReplyMeaning, BadReply> {
    let reply = definition.encode_reply_json(StepIndex(0), reply).unwrap();
    definition.check_reply(StepIndex(0), Direction::Forward, &reply, &data(definition))
}

#[test]
fn a_reply_that_says_no_is_a_refusal_with_its_reason() {
    let when = "refused_when: reply.status == 'REJECTED' && input.id != ''";
    let named =
        definition(&format!("{when}\n      refused_reason: \"'CARD_' + string(reply.code)\""));
    let no = |reason: &str| Ok(ReplyMeaning::Refused { reason: reason.to_owned() });
    assert_eq!(meaning(&named, "{}"), Ok(ReplyMeaning::Done));
    assert_eq!(meaning(&named, r#"{"status": "REJECTED", "code": 7}"#), no("CARD_7"));
    let bare = definition(when);
    assert_eq!(meaning(&bare, r#"{"status": "REJECTED"}"#), no("REFUSED_BY_REPLY"));
}

#[test]
fn a_reply_that_cannot_be_judged_is_no_refusal() {
    let definition = definition("refused_when: 7 / reply.code > 1");
    assert!(matches!(meaning(&definition, "{}"), Err(BadReply::NotJudged(_))));
}

#[test]
fn a_reply_is_judged_nowhere_else_and_not_behind_the_pivot() {
    assert_eq!(refused("request: { id: string(reply.code) }")[0].0, "unknown-variable");
    assert_eq!(refused("refused_when: reply.code")[0].0, "wrong-type");
    assert_eq!(refused("refused_reason: \"'NO'\"")[0].0, "shape");
    let contracts = contracts([("p", served(&[("s.proto", TYPES)]))]);
    let late = yaml("request: input").replace(
        "  - name: end\n    pivot: true\n",
        "  - name: middle\n    pivot: true\n    on_unknown: retry\n    action: { call: p/s.S/Do }\n  - name: \
         end\n",
    );
    let late =
        late.replace("p/s.S/Do, request: input }", "p/s.S/Do, refused_when: reply.code > 0 }");
    assert_eq!(broken(&late, &contracts)[0].0, "refusal-after-pivot");
}

/// A request with a oneof at its top could not be forwarded field by field.
#[test]
fn a_whole_message_is_a_request() {
    let made = definition("request: input");
    let data = data(&made);
    assert_eq!(rendered(&made, 0, &data), data.input);
    let branch = definition("request: 'input.id != \"\" ? input : input.more[0].back'");
    assert_eq!(rendered(&branch, 0, &data), data.input);
    assert_eq!(refused("request: input.id")[0].0, "wrong-type");
    assert_eq!(refused("request: input.more[0]")[0].0, "wrong-type");
}

/// Libraries of no language read what is nested deeper.
#[test]
fn a_request_that_nobody_could_read_is_not_sent() {
    let made = definition("request: { more: [ { back: input } ] }");
    let nested = |levels: u8| {
        // `more` of an In and `back` of a Rep in turn.
        let input = (1..levels).fold(Vec::new(), |inner, level| {
            let tag = if (levels - level) % 2 == 1 { 0x22 } else { 0x1a };
            let mut outer = vec![tag];
            prost::encode_length_delimiter(inner.len(), &mut outer).unwrap();
            [outer, inner].concat()
        });
        Data { input: input.into(), ..Data::default() }
    };
    rendered(&made, 0, &nested(98));
    let deep = made.render(StepIndex(0), Direction::Forward, &nested(99)).unwrap_err();
    assert!(deep.to_string().contains("more than 100 messages"), "{deep}");
}

#[test]
fn a_call_has_headers_of_its_own_and_none_of_the_engine() {
    let made = definition("headers: { idempotency-key: op(\"do\"), x-shop: input.id }");
    let headers = made.headers(StepIndex(0), Direction::Forward, &data(&made)).unwrap();
    assert_eq!(headers[0].0, "idempotency-key");
    assert_eq!(headers[0].1.len(), 36);
    assert_eq!(headers[1], ("x-shop".to_owned(), "o-1".to_owned()));
    for name in ["authorization", "saga-op-id", "grpc-timeout", "te", "host", "X-Shop", "a-bin"] {
        let found = refused(&format!("headers: {{ {name}: input.id }}"));
        assert_eq!(found[0].0, "header", "{name}: {found:?}");
    }
    assert_eq!(refused("headers: { x: size(input.id) }")[0].0, "wrong-type");
    let line = data(&made);
    let odd = made.encode_input_json(r#"{"id": "a\nb"}"#).unwrap();
    let error = made.render(StepIndex(0), Direction::Forward, &Data { input: odd, ..line });
    assert!(error.unwrap_err().to_string().contains("printable"));
}
