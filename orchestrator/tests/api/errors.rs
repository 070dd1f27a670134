//! Errors reach whoever made them: they fit what a client takes of a trailer, whatever was in
//! the request.

use saga_proto::saga::v1 as pb;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::server::{Server, named};

/// What clients on gRPC's C core take by default, for all of the metadata.
const TRAILER_BYTES: usize = 8 * 1024;

/// Bytes that a status takes as headers: its message with each byte that is not ASCII in
/// three, its details in base64.
fn trailer_bytes(status: &Status) -> usize {
    let message: usize =
        status.message().bytes().map(|it| if it.is_ascii_graphic() { 1 } else { 3 }).sum();
    message + status.details().len().div_ceil(3) * 4 + 100
}

#[track_caller]
fn fits(status: &Status, code: Code, reason: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    let info = status.get_details_error_info().expect("an ErrorInfo");
    assert_eq!(info.reason, reason, "{status:?}");
    let bytes = trailer_bytes(status);
    assert!(bytes < TRAILER_BYTES, "{bytes} bytes: {status:?}");
}

const MANY_STEPS: &str =
    "kind: Saga\nname: many\nversion: 1\ninput: shop.order.v1.PlaceOrderInput\nsteps:\n";

#[tokio::test]
async fn a_definition_full_of_mistakes_is_refused_with_the_first_of_them() {
    let mut server = Server::start().await;
    let fields: String = (0..6_000).map(|it| format!("ключ{it}: input.order_no, ")).collect();
    let yaml = format!(
        "{MANY_STEPS}  - name: one\n    pivot: true\n    on_unknown: retry\n    action:\n      call: \
         order/shop.order.v1.OrderService/GetOrder\n      request: {{ {fields} }}\n"
    );
    let refused = server.register(&yaml).await.unwrap_err();
    fits(&refused, Code::InvalidArgument, "DEFINITION_INVALID");
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    assert!((5..=20).contains(&violations.len()), "{}", violations.len());
    assert!(refused.message().contains(" more"), "{}", refused.message());
}

#[tokio::test]
async fn what_a_client_gave_is_named_by_its_beginning() {
    let mut server = Server::start().await;
    let long = "é".repeat(100_000);
    let steps: String = (0..64)
        .map(|it| {
            format!(
                "  - name: a_long_name_for_a_step_that_is_one_of_very_many_{it}\n    compensation: none\n    on_unknown: retry\n    \
                 action: {{ call: order/shop.order.v1.OrderService/GetOrder }}\n"
            )
        })
        .collect();
    server.register(&format!("{MANY_STEPS}{steps}")).await.unwrap();

    let asked = pb::GetDefinitionRequest { name: long.clone(), version: 0 };
    let refused = server.definitions.get_definition(asked).await.unwrap_err();
    fits(&refused, Code::InvalidArgument, "FIELD_TOO_LONG");

    let start = pb::StartSagaRequest {
        definition: long.clone(),
        business_key: "k".to_owned(),
        ..Default::default()
    };
    let refused = server.sagas.start_saga(start).await.unwrap_err();
    fits(&refused, Code::InvalidArgument, "FIELD_TOO_LONG");

    server.start_saga("many", "k").await;
    let force = pb::ForceOutcomeRequest {
        name: named("k"),
        step: long.chars().take(60).collect(),
        outcome: pb::SettledOutcome::Applied.into(),
        actor: "ada".to_owned(),
        reason: "looked".to_owned(),
        ..Default::default()
    };
    let refused = server.operator.force_outcome(force).await.unwrap_err();
    fits(&refused, Code::NotFound, "STEP_NOT_FOUND");
}

#[tokio::test]
async fn who_asks_for_a_version_that_is_not_stored_is_told_the_newest() {
    let mut server = Server::start().await;
    let yaml = |version| {
        format!(
            "kind: Saga\nname: one\nversion: {version}\ninput: shop.order.v1.PlaceOrderInput\n\
             steps:\n  - name: one\n    compensation: none\n    on_unknown: retry\n    action: {{ \
             call: order/shop.order.v1.OrderService/GetOrder }}\n"
        )
    };
    server.register(&yaml(1)).await.unwrap();
    server.register(&yaml(4)).await.unwrap();
    let mut told = async |name: &str, version| {
        let asked = pb::GetDefinitionRequest { name: name.to_owned(), version };
        let refused = server.definitions.get_definition(asked).await.unwrap_err();
        fits(&refused, Code::NotFound, "DEFINITION_NOT_FOUND");
        refused.message().to_owned()
    };
    assert_eq!(told("one", 99).await, "one has no version 99; the newest is 4");
    assert_eq!(told("two", 99).await, "definition two is not registered");
}
