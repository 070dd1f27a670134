//! Acts that are asked for twice: whose answer was lost asks again, and is told the same.

use std::{future::Future, net::TcpListener};

use saga_proto::saga::v1::{self as pb, SagaState, SagaVerb, SettledOutcome};
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use super::{
    cancels::{in_doubt, silent},
    server::{Server, named, reason},
};

/// One way to act on the saga `a`, under a request id, for a reason, in a version.
#[derive(Clone, Copy, Debug)]
enum Act {
    Cancel,
    Retry,
    Settle,
    Close,
}

impl Act {
    const ALL: [Self; 4] = [Self::Cancel, Self::Retry, Self::Settle, Self::Close];

    /// What it needs to be taken.
    fn verb(self) -> SagaVerb {
        match self {
            Self::Cancel => SagaVerb::Cancel,
            Self::Retry | Self::Settle => SagaVerb::SettleApplied,
            Self::Close => SagaVerb::Close,
        }
    }

    async fn send(
        self,
        server: &Server,
        (request_id, reason, expected_version): (&str, &str, u64),
    ) -> Result<pb::Saga, Status> {
        let (mut sagas, mut operator) = (server.sagas.clone(), server.operator.clone());
        let (name, actor) = (named("a"), "ada".to_owned());
        let (request_id, reason) = (request_id.to_owned(), reason.to_owned());
        let saga = match self {
            Self::Cancel => {
                let wait = None;
                let request = pb::CancelSagaRequest {
                    name,
                    reason,
                    actor,
                    wait,
                    expected_version,
                    request_id,
                };
                told(sagas.cancel_saga(request)).await?.saga
            }
            Self::Retry => {
                let request =
                    pb::RetrySagaRequest { name, actor, reason, expected_version, request_id };
                told(operator.retry_saga(request)).await?.saga
            }
            Self::Settle => {
                let request = pb::ForceOutcomeRequest {
                    name,
                    step: "insert".to_owned(),
                    outcome: SettledOutcome::Applied.into(),
                    actor,
                    reason,
                    expected_version,
                    request_id,
                    ..pb::ForceOutcomeRequest::default()
                };
                told(operator.force_outcome(request)).await?.saga
            }
            Self::Close => {
                let request =
                    pb::CloseSagaRequest { name, actor, reason, expected_version, request_id };
                told(operator.close_saga(request)).await?.saga
            }
        };
        Ok(saga.unwrap())
    }
}

async fn told<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    call.await.map(Response::into_inner)
}

/// A saga to which this can be done: a cancel finds it before its pivot, what is settled is in
/// doubt, and what is tried again waits for somebody who listens nowhere.
async fn prepared(act: Act) -> (Server, Option<TcpListener>) {
    if let Act::Retry = act {
        let mut server = Server::start().await;
        server.register(WAITS).await.unwrap();
        server.start_saga("waits", "a").await;
        server.offering("a", SagaVerb::Retry).await;
        return (server, None);
    }
    let (mut server, participant) = silent().await;
    match act {
        Act::Cancel => server.start_saga("place", "a").await,
        _ => in_doubt(&mut server, "a").await,
    }
    server.offering("a", act.verb()).await;
    (server, Some(participant))
}

const WAITS: &str = "
kind: Saga
name: waits
version: 1
input: shop.order.v1.RefundInput
steps:
  - name: insert
    pivot: true
    on_unknown: retry
    retry: { first: 1h, max: 1h, factor: 1, jitter: none }
    action: { call: order/shop.order.v1.OrderService/InsertOrder, timeout: 2s }
";

async fn recorded(server: &mut Server, request_id: &str) -> usize {
    let events = server.events("a").await;
    events.iter().filter(|it| it.request_id == request_id).count()
}

#[tokio::test]
async fn the_same_request_acts_once_and_is_answered_as_the_first() {
    for act in Act::ALL {
        let (mut server, _participant) = prepared(act).await;
        let seen = server.saga("a").await.version;
        let first = act.send(&server, ("r-1", "looked", seen)).await.unwrap();
        assert!(seen < first.version, "{act:?}: {first:?}");
        // Whatever became of the saga since: it is not in that version any more, or has ended.
        for _ in 0..2 {
            let again = act.send(&server, ("r-1", "looked", seen)).await;
            let again = again.unwrap_or_else(|refused| panic!("{act:?}: {refused:?}"));
            assert_eq!(again.saga_id, first.saga_id, "{act:?}");
        }
        assert_eq!(recorded(&mut server, "r-1").await, 1, "{act:?}");
        // Another request under its id is refused, and tells what the id stands for.
        let other = act.send(&server, ("r-1", "something else", 0)).await.unwrap_err();
        assert_eq!(reason(&other), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
        assert!(other.message().contains("by ada, in row "), "{act:?}: {other:?}");
        assert_eq!(recorded(&mut server, "r-1").await, 1, "{act:?}");
    }
}

#[tokio::test]
async fn requests_that_come_at_the_same_time_are_one() {
    for act in Act::ALL {
        let (mut server, _participant) = prepared(act).await;
        let same = (0..8).map(|_| act.send(&server, ("r-1", "looked", 0)));
        for told in futures::future::join_all(same).await {
            told.unwrap_or_else(|refused| panic!("{act:?}: {refused:?}"));
        }
        assert_eq!(recorded(&mut server, "r-1").await, 1, "{act:?}");
    }
}

#[tokio::test]
async fn an_id_stands_for_one_act_whatever_it_is() {
    let (mut server, _participant) = silent().await;
    server.start_saga("place", "a").await;
    let saga = server.offering("a", SagaVerb::Signal).await;
    let signal = |request_id: &str, expected_version| pb::SignalSagaRequest {
        name: named("a"),
        signal: "approval".to_owned(),
        payload: Some(pb::signal_saga_request::Payload::Json(r#"{"approved": true}"#.to_owned())),
        request_id: request_id.to_owned(),
        expected_version,
        ..pb::SignalSagaRequest::default()
    };
    let moved = server.sagas.signal_saga(signal("r-1", saga.version + 7)).await.unwrap_err();
    assert_eq!(reason(&moved), (Code::Aborted, "SAGA_MOVED_ON".to_owned()));
    let mut send = server.sagas.clone();
    send.signal_saga(signal("r-1", saga.version)).await.unwrap();
    // Its own repeat is none of a saga that moved on.
    let again = send.signal_saga(signal("r-1", saga.version)).await.unwrap().into_inner();
    assert!(again.existed);
    server.offering("a", SagaVerb::SettleApplied).await;
    let reused = Act::Settle.send(&server, ("r-1", "looked", 0)).await.unwrap_err();
    assert_eq!(reason(&reused), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
    Act::Settle.send(&server, ("r-2", "looked", 0)).await.unwrap();
    let reused = server.sagas.signal_saga(signal("r-2", 0)).await.unwrap_err();
    assert_eq!(reason(&reused), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
}

#[tokio::test]
async fn whose_saga_moved_on_is_told_what_changed() {
    for act in Act::ALL {
        // Before its pivot it has one row, and there is no version before that.
        let later = if let Act::Cancel = act { Act::Settle } else { act };
        let (mut server, _participant) = prepared(later).await;
        let seen = server.saga("a").await.version;
        let refused = act.send(&server, ("r-1", "looked", seen - 1)).await.unwrap_err();
        assert_eq!(reason(&refused), (Code::Aborted, "SAGA_MOVED_ON".to_owned()), "{act:?}");
        let values = refused.get_details_error_info().unwrap().metadata;
        assert_eq!(values["expected_version"], (seen - 1).to_string());
        assert_eq!(values["version"], seen.to_string());
        let last = server.events("a").await.pop().unwrap();
        let told = refused.message();
        assert!(told.contains("since then: ") && told.contains(&last.kind), "{act:?}: {told}");
        assert_eq!(server.saga("a").await.version, seen, "{act:?}: nothing was done");
        act.send(&server, ("r-1", "looked", seen)).await.unwrap();
    }
}

#[tokio::test]
async fn who_gives_no_id_has_asked_for_another_act() {
    let (mut server, _participant) = prepared(Act::Retry).await;
    for _ in 0..2 {
        server.offering("a", SagaVerb::Retry).await;
        Act::Retry.send(&server, ("", "again", 0)).await.unwrap();
    }
    let events = server.events("a").await;
    let acts: Vec<_> = events.iter().filter(|it| it.kind == "OperatorActed").collect();
    assert!(acts.len() == 2 && acts.iter().all(|it| !it.request_id.is_empty()), "{acts:?}");
    let long = Act::Retry.send(&server, (&"x".repeat(201), "again", 0)).await.unwrap_err();
    assert_eq!(reason(&long), (Code::InvalidArgument, "REQUEST_ID_MISSING".to_owned()));
}

fn register(
    version: u32,
    request_id: &str,
    expected_version: u64,
) -> pb::RegisterDefinitionRequest {
    pb::RegisterDefinitionRequest {
        yaml: WAITS.replace("version: 1", &format!("version: {version}")),
        file_name: "waits.yaml".to_owned(),
        request_id: request_id.to_owned(),
        actor: "ada".to_owned(),
        reason: "shorter times".to_owned(),
        expected_version,
    }
}

#[tokio::test]
async fn a_definition_is_registered_once_and_only_where_it_was_looked_at() {
    let server = Server::start().await;
    let send = async |request: pb::RegisterDefinitionRequest| {
        let mut definitions = server.definitions.clone();
        let reply = told(definitions.register_definition(request)).await?;
        Ok::<_, Status>(reply.definition.unwrap())
    };
    let first = send(register(1, "r-1", 0)).await.unwrap();
    assert_eq!(
        (&*first.actor, &*first.reason, &*first.request_id),
        ("ada", "shorter times", "r-1")
    );
    assert_eq!(send(register(2, "r-2", 1)).await.unwrap().version, 2);
    // Its version was the newest then.
    assert_eq!(send(register(2, "r-2", 1)).await.unwrap().version, 2);
    assert_eq!(send(register(1, "r-1", 0)).await.unwrap(), first);

    let reused = send(register(3, "r-1", 0)).await.unwrap_err();
    assert_eq!(reason(&reused), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
    let moved = send(register(3, "r-3", 1)).await.unwrap_err();
    assert_eq!(reason(&moved), (Code::Aborted, "DEFINITION_MOVED_ON".to_owned()));
    assert!(moved.message().contains("it is version 2 now, registered by ada"), "{moved:?}");
    assert_eq!(send(register(3, "r-3", 2)).await.unwrap().version, 3);
}

#[tokio::test]
async fn a_closed_saga_is_closed_whoever_asks_again() {
    let (mut server, _participant) = prepared(Act::Close).await;
    Act::Close.send(&server, ("r-1", "the shop is gone", 0)).await.unwrap();
    let again = Act::Close.send(&server, ("r-1", "the shop is gone", 0)).await.unwrap();
    assert_eq!(again.state(), SagaState::Closed);
    let other = Act::Close.send(&server, ("r-2", "the shop is gone", 0)).await.unwrap_err();
    assert_eq!(reason(&other).1, "SAGA_ENDED");
    assert_eq!(server.events("a").await.iter().filter(|it| it.kind == "Ended").count(), 1);
}
