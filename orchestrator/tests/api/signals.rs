//! `SignalSaga`: what is taken, what is refused and how, and what a waiting saga says of
//! itself.

use prost::Message;
use saga_proto::saga::v1::{self as pb, SagaState, StepState, signal_saga_request::Payload};
use shop_proto::order::v1::RefundApproval;
use tonic::Code;

use super::server::{Server, named, reason};

const YAML: &str = "
kind: Saga
name: refund
version: 1
input: shop.order.v1.RefundInput
deadline: 30d
steps:
  - name: approval
    wait:
      signal: go-ahead
      type: shop.order.v1.RefundApproval
      accept: signal.approved
      refused: REFUND_DENIED
      timeout: 7d
  - name: note
    after: []
    wait: { signal: note, type: shop.order.v1.RefundApproval, timeout: 7d }
  - name: act
    after: [approval, note]
    when: steps.approval.reply.goods_returned
    compensation: none
    action: { call: order/shop.order.v1.OrderService/InsertOrder }
";

fn signal(key: &str, signal: &str, request_id: &str, json: &str) -> pb::SignalSagaRequest {
    pb::SignalSagaRequest {
        name: named(key),
        signal: signal.to_owned(),
        payload: Some(Payload::Json(json.to_owned())),
        request_id: request_id.to_owned(),
        actor: "ann".to_owned(),
        reason: "the goods are back".to_owned(),
        ..pb::SignalSagaRequest::default()
    }
}

async fn refund(server: &mut Server, key: &str) {
    server.register(YAML).await.unwrap();
    server.start_saga("refund", key).await;
}

#[tokio::test]
async fn a_waiting_saga_says_what_it_waits_for() {
    let mut server = Server::start().await;
    refund(&mut server, "r").await;
    let saga = server.saga("r").await;
    assert_eq!(saga.state(), SagaState::Running);
    assert_eq!(saga.waiting_on, "signal go-ahead");
    assert_eq!(saga.why, "approval waits for the signal go-ahead; note waits for the signal note.");
    let states: Vec<StepState> = saga.steps.iter().map(pb::SagaStep::state).collect();
    assert_eq!(states, [StepState::Waiting, StepState::Waiting, StepState::Pending]);

    let listed = server.sagas.list_sagas(pb::ListSagasRequest::default()).await.unwrap();
    let listed = listed.into_inner().sagas.remove(0);
    assert_eq!(listed.why, "It waits for signal go-ahead.");

    let note = signal("r", "go-ahead", "1", r#"{"approved": true}"#);
    let reply = server.sagas.signal_saga(note).await.unwrap().into_inner();
    assert!(!reply.existed);
    server.sagas.signal_saga(signal("r", "note", "2", "{}")).await.unwrap();
    let saga = server.ended("r").await;
    assert_eq!((saga.state(), saga.waiting_on.as_str()), (SagaState::Completed, ""));
    assert_eq!(saga.steps[0].last_result, "signal of ann: the goods are back");
    let events = server.events("r").await;
    let judged: Vec<_> = events.iter().filter(|it| it.kind == "WaitEnded").collect();
    assert!(judged.iter().all(|it| it.outcome == "applied"), "{judged:?}");
    assert_eq!(judged.len(), 2);
    let signalled = events.iter().find(|it| it.kind == "Signalled").unwrap();
    assert_eq!(signalled.actor, "ann");
    assert_eq!(signalled.message, "request 1: the goods are back");
}

#[tokio::test]
async fn a_signal_that_says_no_is_shown_as_a_refusal() {
    let mut server = Server::start().await;
    refund(&mut server, "r").await;
    let approval = RefundApproval { by: "ann".to_owned(), ..RefundApproval::default() };
    let message = prost_types::Any {
        type_url: "type.googleapis.com/shop.order.v1.RefundApproval".to_owned(),
        value: approval.encode_to_vec(),
    };
    let payload = Some(Payload::Message(message));
    let no = pb::SignalSagaRequest { payload, ..signal("r", "go-ahead", "1", "") };
    server.sagas.signal_saga(no.clone()).await.unwrap();
    let saga = server.ended("r").await;
    assert_eq!(saga.state(), SagaState::Compensated);
    assert_eq!(saga.rejected_reason, "REFUND_DENIED");
    assert_eq!(
        saga.why,
        "Nothing was done: ann refused approval: \"the goods are back\" (REFUND_DENIED)."
    );
    let states: Vec<StepState> = saga.steps.iter().map(pb::SagaStep::state).collect();
    assert_eq!(states, [StepState::Rejected, StepState::NotDone, StepState::Pending]);

    let again = server.sagas.signal_saga(no).await.unwrap().into_inner();
    assert!(again.existed, "the same request is answered as before, even after the end");
    let other = server.sagas.signal_saga(signal("r", "go-ahead", "2", "{}")).await.unwrap_err();
    assert_eq!(reason(&other), (Code::FailedPrecondition, "SAGA_ENDED".to_owned()));
}

#[tokio::test]
async fn every_refusal_has_its_reason() {
    let mut server = Server::start().await;
    refund(&mut server, "r").await;
    server.sagas.signal_saga(signal("r", "note", "1", "{}")).await.unwrap();
    let long = "x".repeat(201);
    let large = format!("{{\"note\": \"{}\"}}", "x".repeat(256 * 1024));
    let yes = r#"{"approved": true}"#;
    let said = |actor, reason| pb::SignalSagaRequest {
        actor,
        reason,
        ..signal("r", "go-ahead", "1", yes)
    };
    let cases = [
        (signal("nobody", "note", "1", "{}"), Code::NotFound, "SAGA_NOT_FOUND"),
        (said("x".repeat(1_001), String::new()), Code::InvalidArgument, "REASON_TOO_LONG"),
        (said(String::new(), "x".repeat(1_001)), Code::InvalidArgument, "REASON_TOO_LONG"),
        (signal("r", "note", "", "{}"), Code::InvalidArgument, "REQUEST_ID_MISSING"),
        (signal("r", "note", &long, "{}"), Code::InvalidArgument, "REQUEST_ID_MISSING"),
        (signal("r", "approval", "1", yes), Code::InvalidArgument, "SIGNAL_UNKNOWN"),
        (signal("r", "go-ahead", "1", r#"{"yes": true}"#), Code::InvalidArgument, "SIGNAL_INVALID"),
        (signal("r", "go-ahead", "1", &large), Code::InvalidArgument, "SIGNAL_TOO_LARGE"),
        (signal("r", "note", "1", yes), Code::AlreadyExists, "REQUEST_ID_REUSED"),
        (signal("r", "note", "2", "{}"), Code::FailedPrecondition, "SIGNAL_ALREADY_GIVEN"),
    ];
    for (request, code, wanted) in cases {
        let refused = server.sagas.signal_saga(request).await.unwrap_err();
        assert_eq!(reason(&refused), (code, wanted.to_owned()), "{}", refused.message());
    }
    let unknown = server.sagas.signal_saga(signal("r", "aproval", "1", "{}")).await.unwrap_err();
    assert_eq!(
        unknown.message(),
        "signal: no step waits for \"aproval\"; the signals are go-ahead, note"
    );
    let misfit = signal("r", "go-ahead", "1", r#"{"aproved": true}"#);
    let misfit = server.sagas.signal_saga(misfit).await.unwrap_err();
    assert!(misfit.message().contains("did you mean `approved`?"), "{}", misfit.message());
}

#[tokio::test]
async fn a_definition_is_refused_whose_participant_nobody_can_call() {
    let mut server = Server::start().await;
    let yaml = YAML.replace("call: order/", "call: orders/");
    let refused = server.register(&yaml).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::InvalidArgument, "PARTICIPANT_UNKNOWN".to_owned()));
}
