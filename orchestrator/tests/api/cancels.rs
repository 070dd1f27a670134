//! `CancelSaga` and what operators do: what people are told is what becomes of the saga.

use std::{net::TcpListener, time::Duration};

use saga_proto::saga::v1::{
    self as pb, CancelEffect, SagaState, SagaVerb, SettledOutcome, StepState, StepUndo,
};
use tonic::Code;

use super::server::{Server, named, reason};

/// A pivot whose call is never answered, so that only a person can say what became of it.
const YAML: &str = "
kind: Saga
name: place
version: 1
input: shop.order.v1.RefundInput
steps:
  - name: approval
    wait: { signal: approval, type: shop.order.v1.RefundApproval, accept: signal.approved }
  - name: insert
    pivot: true
    on_unknown: park
    retry: { attempts: 1 }
    action: { call: order/shop.order.v1.OrderService/InsertOrder, timeout: 50ms }
";

/// A server whose participant takes every connection and never says a word.
pub(crate) async fn silent() -> (Server, TcpListener) {
    let participant = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", participant.local_addr().unwrap());
    let mut server = Server::start_with(&address).await;
    server.register(YAML).await.unwrap();
    (server, participant)
}

/// A saga whose pivot may have been applied.
pub(crate) async fn in_doubt(server: &mut Server, key: &str) {
    server.start_saga("place", key).await;
    approve(server, key).await;
    server.offering(key, SagaVerb::SettleApplied).await;
}

async fn approve(server: &mut Server, key: &str) {
    let request = pb::SignalSagaRequest {
        name: named(key),
        signal: "approval".to_owned(),
        payload: Some(pb::signal_saga_request::Payload::Json(r#"{"approved": true}"#.to_owned())),
        request_id: "1".to_owned(),
        ..pb::SignalSagaRequest::default()
    };
    server.sagas.signal_saga(request).await.unwrap();
}

fn cancel(key: &str, wait: Duration) -> pb::CancelSagaRequest {
    pb::CancelSagaRequest {
        name: named(key),
        actor: "ada".to_owned(),
        reason: "the wrong order".to_owned(),
        wait: prost_types::Duration::try_from(wait).ok(),
        expected_version: 0,
        ..pb::CancelSagaRequest::default()
    }
}

async fn cancelled(server: &mut Server, key: &str) -> CancelEffect {
    let request = cancel(key, Duration::ZERO);
    server.sagas.cancel_saga(request).await.unwrap().into_inner().effect()
}

fn settle(key: &str, outcome: SettledOutcome) -> pb::ForceOutcomeRequest {
    pb::ForceOutcomeRequest {
        name: named(key),
        step: "insert".to_owned(),
        outcome: outcome.into(),
        actor: "bob".to_owned(),
        reason: "looked".to_owned(),
        ..pb::ForceOutcomeRequest::default()
    }
}

/// F81: while the pivot is in doubt nobody is told that it turns back.
#[tokio::test]
async fn a_cancel_is_answered_once_it_is_decided_and_never_otherwise() {
    let (mut server, _participant) = silent().await;
    for (key, outcome, effect, state) in [
        ("a", SettledOutcome::NotApplied, CancelEffect::TurnsBack, SagaState::Compensated),
        ("b", SettledOutcome::Applied, CancelEffect::TooLate, SagaState::Completed),
    ] {
        in_doubt(&mut server, key).await;
        assert_eq!(cancelled(&mut server, key).await, CancelEffect::Undecided);
        let short = cancel(key, Duration::from_millis(30));
        let reply = server.sagas.cancel_saga(short).await.unwrap().into_inner();
        assert_eq!(reply.effect(), CancelEffect::Undecided, "{key}");
        assert!(reply.saga.unwrap().offers.iter().all(|it| it.verb() != SagaVerb::Cancel));

        let mut sagas = server.sagas.clone();
        let patient = cancel(key, Duration::from_secs(50));
        let patient = tokio::spawn(async move { sagas.cancel_saga(patient).await });
        server.operator.force_outcome(settle(key, outcome)).await.unwrap();
        let told = patient.await.unwrap().unwrap().into_inner();
        assert_eq!(told.effect(), effect, "{key}");

        // Asked again, before and behind the end: the same.
        assert_eq!(cancelled(&mut server, key).await, effect);
        assert_eq!(server.ended(key).await.state(), state);
        assert_eq!(cancelled(&mut server, key).await, effect);
        let events = server.events(key).await;
        let asked: Vec<_> = events.iter().filter(|it| it.kind == "CancelRequested").collect();
        assert_eq!(asked.len(), 1, "asking twice is asking once");
        assert_eq!(
            (asked[0].actor.as_str(), asked[0].message.as_str()),
            ("ada", "the wrong order")
        );
    }
}

#[tokio::test]
async fn a_cancel_behind_the_end_says_that_the_saga_had_ended() {
    let (mut server, _participant) = silent().await;
    in_doubt(&mut server, "a").await;
    server.operator.force_outcome(settle("a", SettledOutcome::Applied)).await.unwrap();
    server.ended("a").await;
    for _ in 0..2 {
        assert_eq!(cancelled(&mut server, "a").await, CancelEffect::Ended);
    }
    let long = pb::CancelSagaRequest { actor: "x".repeat(1_001), ..cancel("a", Duration::ZERO) };
    let refused = server.sagas.cancel_saga(long).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::InvalidArgument, "REASON_TOO_LONG".to_owned()));
}

#[tokio::test]
async fn who_acted_is_the_reason_that_is_shown() {
    let (mut server, _participant) = silent().await;
    in_doubt(&mut server, "a").await;
    let stuck = server.saga("a").await;
    assert_eq!(
        stuck.why,
        "Nobody knows whether insert was applied after 1 call (last: TIMED_OUT: no answer in time)."
    );
    server.operator.force_outcome(settle("a", SettledOutcome::NotApplied)).await.unwrap();
    let saga = server.ended("a").await;
    assert_eq!(saga.why, "Nothing was done: bob settled that insert was not applied: \"looked\".");
    let insert = &saga.steps[1];
    assert_eq!((insert.state(), insert.undo()), (StepState::NotDone, StepUndo::Nothing));
    assert_eq!((insert.attempt, insert.pivot), (0, true));
    assert_eq!(insert.last_result, "settled by bob: looked");
    assert_eq!(saga.offers, []);

    server.start_saga("place", "b").await;
    server.offering("b", SagaVerb::Signal).await;
    assert_eq!(cancelled(&mut server, "b").await, CancelEffect::TurnsBack);
    let saga = server.ended("b").await;
    assert_eq!(saga.why, "Nothing was done: ada cancelled it: \"the wrong order\".");
    let states: Vec<StepState> = saga.steps.iter().map(pb::SagaStep::state).collect();
    assert_eq!(states, [StepState::NotDone, StepState::Pending]);
}

#[tokio::test]
async fn what_is_not_offered_is_refused_with_what_is_known() {
    let (mut server, _participant) = silent().await;
    server.start_saga("place", "a").await;
    let saga = server.offering("a", SagaVerb::Signal).await;
    let verbs: Vec<SagaVerb> = saga.offers.iter().map(pb::SagaOffer::verb).collect();
    assert_eq!(verbs, [SagaVerb::Signal, SagaVerb::Cancel]);
    assert_eq!(saga.offers[0].signal, "approval");
    let retry = |key: &str| pb::RetrySagaRequest {
        name: named(key),
        actor: "bob".to_owned(),
        reason: "now".to_owned(),
        expected_version: 0,
        ..pb::RetrySagaRequest::default()
    };
    let refused = server.operator.retry_saga(retry("a")).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::FailedPrecondition, "NOTHING_TO_RETRY".to_owned()));
    assert_eq!(
        refused.message(),
        "nothing waits for a try: approval waits for the signal approval."
    );
    let refused = server.operator.force_outcome(settle("a", SettledOutcome::Applied)).await;
    let refused = refused.unwrap_err();
    assert_eq!(reason(&refused), (Code::FailedPrecondition, "NOTHING_TO_SETTLE".to_owned()));
    assert_eq!(
        refused.message(),
        "insert is not begun; only a step whose outcome is in question can be settled; nothing \
         was done"
    );
    cancelled(&mut server, "a").await;
    server.ended("a").await;
    let refused = server.operator.retry_saga(retry("a")).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::FailedPrecondition, "SAGA_ENDED".to_owned()));
}
