//! What operators do to a saga that does not move: what is taken, what is refused, and what
//! is said of it.

use saga_proto::saga::v1::{self as pb, SagaState, SagaVerb, SettledOutcome, StepCall};
use tonic::Code;

use super::{
    cancels::{in_doubt, silent},
    server::{Server, named, reason},
};

fn settle(key: &str) -> pb::ForceOutcomeRequest {
    pb::ForceOutcomeRequest {
        name: named(key),
        step: "insert".to_owned(),
        outcome: SettledOutcome::Applied.into(),
        actor: "bob".to_owned(),
        reason: "looked".to_owned(),
        ..pb::ForceOutcomeRequest::default()
    }
}

fn close(key: &str, expected_version: u64) -> pb::CloseSagaRequest {
    let (actor, reason) = ("bob".to_owned(), "the shop is gone".to_owned());
    pb::CloseSagaRequest {
        name: named(key),
        actor,
        reason,
        expected_version,
        ..pb::CloseSagaRequest::default()
    }
}

#[tokio::test]
async fn a_settlement_says_which_call_is_meant_and_what_it_replied() {
    let (mut server, _participant) = silent().await;
    in_doubt(&mut server, "a").await;

    let undo = StepCall::Compensation.into();
    let other = pb::ForceOutcomeRequest { call: undo, ..settle("a") };
    let refused = server.operator.force_outcome(other).await.unwrap_err();
    assert_eq!(reason(&refused).1, "NOTHING_TO_SETTLE");

    for json in [r#"{"orderNo": 7}"#, r#"{"nothing": "such"}"#, "no json"] {
        let bad = pb::ForceOutcomeRequest { reply_json: json.to_owned(), ..settle("a") };
        let refused = server.operator.force_outcome(bad).await.unwrap_err();
        assert_eq!(reason(&refused), (Code::InvalidArgument, "REPLY_INVALID".to_owned()));
    }
    let not_applied = pb::ForceOutcomeRequest {
        outcome: SettledOutcome::NotApplied.into(),
        reply_json: "{}".to_owned(),
        ..settle("a")
    };
    let refused = server.operator.force_outcome(not_applied).await.unwrap_err();
    assert_eq!(reason(&refused).1, "REPLY_INVALID");

    let told = pb::ForceOutcomeRequest {
        call: StepCall::Action.into(),
        reply_json: r#"{"orderNo": "order-1"}"#.to_owned(),
        ..settle("a")
    };
    server.operator.force_outcome(told).await.unwrap();
    assert_eq!(server.ended("a").await.state(), SagaState::Completed);
    let version = version_of(&mut server, "a").await;
    let refused = server.operator.close_saga(close("a", version)).await.unwrap_err();
    assert_eq!(reason(&refused).1, "SAGA_ENDED");
}

#[tokio::test]
async fn a_saga_is_closed_with_what_it_leaves_behind_on_record() {
    let (mut server, _participant) = silent().await;
    in_doubt(&mut server, "a").await;
    let saga = server.offering("a", SagaVerb::Close).await;

    let refused = server.operator.close_saga(close("a", saga.version + 1)).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::Aborted, "SAGA_MOVED_ON".to_owned()));
    let nameless = pb::CloseSagaRequest { actor: String::new(), ..close("a", 0) };
    let refused = server.operator.close_saga(nameless).await.unwrap_err();
    assert_eq!(reason(&refused).1, "ACTOR_MISSING");

    let closed = server.operator.close_saga(close("a", saga.version)).await.unwrap().into_inner();
    let closed = closed.saga.unwrap();
    assert_eq!(closed.state(), SagaState::Closed);
    assert!(closed.why.contains("insert may be left behind"), "{}", closed.why);
    assert_eq!(closed.offers, []);
    let events = server.events("a").await;
    let act = events.iter().find(|it| it.kind == "OperatorActed").unwrap();
    assert_eq!((&*act.actor, &*act.message), ("bob", "closed as it is: the shop is gone"));
}

#[tokio::test]
async fn only_what_surely_was_not_done_is_made_anew() {
    let (mut server, _participant) = silent().await;
    in_doubt(&mut server, "a").await;
    let (actor, why) = ("bob".to_owned(), "mended".to_owned());
    let renew = |step: &str| pb::RenewOperationRequest {
        name: named("a"),
        step: step.to_owned(),
        actor: actor.clone(),
        reason: why.clone(),
        expected_version: 0,
        ..pb::RenewOperationRequest::default()
    };
    let refused = server.operator.renew_operation(renew("insert")).await.unwrap_err();
    let expected = (Code::FailedPrecondition, "NOTHING_TO_RENEW".to_owned());
    assert_eq!(reason(&refused), expected);
    let refused = server.operator.renew_operation(renew("nothing")).await.unwrap_err();
    assert_eq!(reason(&refused).1, "STEP_NOT_FOUND");
}

async fn version_of(server: &mut Server, key: &str) -> u64 {
    server.saga(key).await.version
}
