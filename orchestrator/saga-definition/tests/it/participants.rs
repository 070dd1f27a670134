//! Several participants in one definition, each with types of its own.

use prost::Message as _;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use saga_core::{Direction, StepIndex};
use saga_definition::ServedTypes;

use super::world::{broken, check, compiled, contracts, request, served};

const HEALTH: &str = "syntax = 'proto3'; package grpc.health.v1; message HealthCheckRequest { \
                      string service = 1; } service Health { rpc Check(HealthCheckRequest) \
                      returns (HealthCheckRequest); }";

/// One step at `a`, one at `b`. The input is `a`'s.
const TWO: &str = "kind: Saga\nname: two\nversion: 1\ninput: a.Req\nsteps:
  - name: one
    action: { call: a/a.A/Do, request: { order_no: input.order_no } }
    compensation: { call: a/a.A/Undo, request: { order_no: input.order_no } }
    on_unknown: retry
  - name: two
    pivot: true
    action: { call: b/b.B/Do, request: { order_no: input.order_no, money: input.money } }
    on_unknown: retry\n";

fn service(package: &str, name: &str, import: &str, money: &str) -> String {
    format!(
        "syntax = 'proto3'; package {package}; {import} service {name} {{ rpc Do(Req) returns \
         (Rep); rpc Undo(Req) returns (Rep); }} message Req {{ string order_no = 1; {money} money \
         = 2; }} message Rep {{ string id = 1; }}"
    )
}

fn money(fields: &str) -> String {
    format!("syntax = 'proto3'; package google.type; message Money {{ {fields} }}")
}

/// The request type of `b`, by its own types.
fn of_b(files: &[(&str, &str)]) -> MessageDescriptor {
    let pool = DescriptorPool::decode(compiled(files).encode_to_vec().as_slice()).unwrap();
    pool.get_message_by_name("b.Req").unwrap()
}

#[test]
fn two_participants_may_call_different_files_by_one_name() {
    let a = service("a", "A", "", "string");
    let b = service("b", "B", "", "string");
    let files = [("service.proto", b.as_str())];
    let contracts = contracts([("a", served(&[("service.proto", &a)])), ("b", served(&files))]);
    let definition = check(TWO, &contracts).unwrap().definition;
    let made = request(&definition, 1, r#"{"orderNo": "o-1", "money": "5"}"#, &of_b(&files));
    assert_eq!(made, r#"{"money":"5","orderNo":"o-1"}"#);
}

#[test]
fn a_health_service_that_both_serve_from_different_files_matters_to_nobody() {
    let (a, b) = (service("a", "A", "", "string"), service("b", "B", "", "string"));
    let a = served(&[("a.proto", &a), ("grpc_health/v1/health.proto", HEALTH)]);
    let b = served(&[("b.proto", &b), ("grpc/health/v1/health.proto", HEALTH)]);
    assert!(check(TWO, &contracts([("a", a), ("b", b)])).is_ok());
}

#[test]
fn a_vendored_type_is_the_same_type_and_what_it_holds_arrives() {
    let fields = "string currency_code = 1; int64 units = 2;";
    let (import_a, import_b) = ("import 'google/type/money.proto';", "import 'third/money.proto';");
    let a = service("a", "A", import_a, "google.type.Money");
    let b = service("b", "B", import_b, "google.type.Money");
    let (money_a, money_b) = (money(fields), money(&format!("{fields} int32 nanos = 3;")));
    let files = [("b.proto", b.as_str()), ("third/money.proto", &money_b)];
    let a = served(&[("a.proto", &a), ("google/type/money.proto", &money_a)]);
    let definition = check(TWO, &contracts([("a", a), ("b", served(&files))])).unwrap().definition;
    let input = r#"{"orderNo": "o-1", "money": {"currencyCode": "KRW", "units": "5"}}"#;
    let made = request(&definition, 1, input, &of_b(&files));
    assert_eq!(made, r#"{"money":{"currencyCode":"KRW","units":"5"},"orderNo":"o-1"}"#);
}

/// What one calls units and the other fee would be booked as the other.
#[test]
fn types_of_one_name_that_mean_different_things_are_told_and_not_exchanged() {
    let of = |fields: &str, package: &str, name: &str| {
        let import = "import 'money.proto';";
        let file = service(package, name, import, "google.type.Money");
        served(&[("x.proto", &file), ("money.proto", &money(fields))])
    };
    let a = || of("int64 units = 2; int64 fee = 3;", "a", "A");
    for (fields, difference) in [
        ("int64 units = 3; int64 fee = 2;", "google.type.Money.units is field 2 in one"),
        ("int32 units = 2; int64 fee = 3;", "google.type.Money.units is int64 in one"),
        ("repeated int64 units = 2;", "google.type.Money.units is repeated in one"),
        ("int64 nanos = 2;", "field 2 is google.type.Money.units in one"),
    ] {
        let found = broken(TWO, &contracts([("a", a()), ("b", of(fields, "b", "B"))]));
        assert!(found.iter().any(|(rule, _)| *rule == "wrong-type"), "{found:?}");
        assert!(found.iter().any(|(_, text)| text.contains(difference)), "{fields}: {found:?}");
    }
}

#[test]
fn a_service_of_one_participant_is_not_called_at_another() {
    let (a, b) = (service("a", "A", "", "string"), service("b", "B", "", "string"));
    let contracts =
        contracts([("a", served(&[("a.proto", &a)])), ("b", served(&[("b.proto", &b)]))]);
    let found = broken(&TWO.replace("b/b.B/Do", "b/a.A/Do"), &contracts);
    assert_eq!(found[0].0, "unknown-service", "{found:?}");
    assert!(found[0].1.contains("participant b serves no service `a.A`"), "{found:?}");
}

#[test]
fn an_input_may_be_a_type_that_everybody_knows() {
    let (a, b) = (service("a", "A", "", "string"), service("b", "B", "", "string"));
    let contracts =
        contracts([("a", served(&[("a.proto", &a)])), ("b", served(&[("b.proto", &b)]))]);
    let yaml = TWO
        .replace("input: a.Req", "input: google.protobuf.StringValue")
        .replace("input.order_no, money: input.money", "input.value")
        .replace("input.order_no", "input.value");
    assert!(check(&yaml, &contracts).is_ok());
}

#[test]
fn what_participants_serve_later_is_compared_with_what_a_definition_was_checked_with() {
    let file = |fields: &str| {
        let service = "service B { rpc Do(Req) returns (Rep); }";
        format!(
            "syntax = 'proto3'; package b; {service} message Req {{ {fields} }} message Rep {{}}"
        )
    };
    let of = |fields: &str| served(&[("b.proto", &file(fields))]);
    let yaml = "kind: Saga\nname: one\nversion: 1\ninput: b.Req\nsteps:\n  - name: do\n    pivot: \
                true\n    on_unknown: retry\n    action: { call: b/b.B/Do, request: { amount: \
                input.amount, fee: input.fee } }\n";
    let stored = of("int64 amount = 1; int64 fee = 2;");
    let definition = check(yaml, &contracts([("b", stored)])).unwrap().definition;
    let spec = definition.call(StepIndex(0), Direction::Forward).unwrap();
    let change = |types: ServedTypes| types.change(spec);
    assert_eq!(change(of("int64 amount = 1; int64 fee = 2; string note = 3;")), None);
    for (fields, difference) in [
        ("int64 amount = 2; int64 fee = 1;", "b.Req.amount is field 1 in one and 2 in the other"),
        ("int64 amount = 1; string fee = 2;", "b.Req.fee is int64 in one and string in the other"),
        ("int64 amount = 1; int64 tax = 2;", "field 2 is b.Req.fee in one and tax in the other"),
        ("int64 amount = 1;", "b.Req.fee is not there any more"),
    ] {
        assert_eq!(change(of(fields)).as_deref(), Some(difference));
    }
}
