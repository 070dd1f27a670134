//! What people decide about participants: what is taken, what is refused, and what comes of it.

use std::time::Duration;

use saga_proto::saga::v1 as pb;
use tonic::Code;

use super::server::{Server, reason};

const YAML: &str = "
kind: Saga
name: d
version: 1
input: shop.order.v1.RefundInput
steps:
  - name: insert
    on_unknown: retry
    retry: { first: 20ms, max: 20ms, factor: 1, jitter: none, attempts: 5 }
    action: { call: order/shop.order.v1.OrderService/InsertOrder, timeout: 2s }
    compensation: { call: order/shop.order.v1.OrderService/Transition }
";

fn pause(request_id: &str, expected_version: u64) -> pb::PauseParticipantRequest {
    pb::PauseParticipantRequest {
        name: "order".to_owned(),
        request_id: request_id.to_owned(),
        actor: "ann".to_owned(),
        reason: "it is moved".to_owned(),
        expected_version,
    }
}

fn resume(request_id: &str, expected_version: u64) -> pb::ResumeParticipantRequest {
    let pb::PauseParticipantRequest { name, request_id, actor, reason, expected_version } =
        pause(request_id, expected_version);
    pb::ResumeParticipantRequest { name, request_id, actor, reason, expected_version }
}

fn limit(request_id: &str, in_flight_max: u32) -> pb::LimitParticipantRequest {
    let pb::PauseParticipantRequest { name, request_id, actor, reason, expected_version } =
        pause(request_id, 0);
    pb::LimitParticipantRequest { name, request_id, actor, reason, expected_version, in_flight_max }
}

async fn shown(server: &mut Server) -> pb::GetParticipantResponse {
    let request = pb::GetParticipantRequest { name: "order".to_owned() };
    server.operator.get_participant(request).await.unwrap().into_inner()
}

/// The code of what holds the saga up, once anything does.
async fn held_up_by(server: &mut Server) -> String {
    loop {
        let request = pb::ListStuckRequest::default();
        let reply = server.operator.list_stuck(request).await.unwrap().into_inner();
        if let Some(group) = reply.waiting.first() {
            assert_eq!(group.participant, "order");
            return group.code.clone();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_paused_participant_is_called_by_nobody_until_it_is_resumed() {
    // Nobody listens where it is said to be, so a call leaves a trace.
    let mut server = Server::start().await;
    server.register(YAML).await.unwrap();
    let paused = server.operator.pause_participant(pause("r-1", 0)).await.unwrap().into_inner();
    assert!(paused.participant.unwrap().paused);
    server.start_saga("d", "a").await;
    assert_eq!(held_up_by(&mut server).await, "HELD_BACK");
    let saga = server.saga("a").await;
    assert_eq!(saga.waiting_on, "participant order");
    let events = server.events("a").await;
    assert!(events.iter().all(|it| it.kind != "intent"), "nothing was sent: {events:?}");
    let seen = shown(&mut server).await;
    let participant = seen.participant.unwrap();
    assert_eq!((participant.sagas_held_up, participant.version), (1, 1));
    assert_eq!(participant.addresses, ["127.0.0.1:1"]);
    let acts: Vec<_> =
        seen.acts.iter().map(|it| (it.actor.as_str(), it.reason.as_str(), it.paused)).collect();
    assert_eq!(acts, [("ann", "it is moved", true)]);

    server.operator.resume_participant(resume("r-2", 1)).await.unwrap();
    loop {
        let saga = server.saga("a").await;
        if saga.steps.iter().any(|step| step.last_result.contains("NOT_SENT")) {
            return; // It was called.
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_decision_is_made_once_and_only_on_what_was_seen() {
    let mut server = Server::start().await;
    let first = server.operator.pause_participant(pause("r-1", 0)).await.unwrap().into_inner();
    let again = server.operator.pause_participant(pause("r-1", 0)).await.unwrap().into_inner();
    assert_eq!(first.act, again.act);
    let version = |it: Option<pb::ParticipantAct>| it.unwrap().version;
    assert_eq!(version(again.act), 1);

    let other = server.operator.resume_participant(resume("r-1", 0)).await.unwrap_err();
    assert_eq!(reason(&other), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
    let stale = server.operator.resume_participant(resume("r-2", 7)).await.unwrap_err();
    assert_eq!(reason(&stale), (Code::Aborted, "PARTICIPANT_MOVED_ON".to_owned()));
    let nothing = pb::LimitParticipantRequest { actor: String::new(), ..limit("r-3", 8) };
    let nothing = server.operator.limit_participant(nothing).await.unwrap_err();
    assert_eq!(reason(&nothing), (Code::InvalidArgument, "ACTOR_MISSING".to_owned()));
    let without = server.operator.pause_participant(pause("", 0)).await.unwrap_err();
    assert_eq!(reason(&without), (Code::InvalidArgument, "REQUEST_ID_MISSING".to_owned()));
    let large = server.operator.limit_participant(limit("r-3", u32::MAX)).await.unwrap_err();
    assert_eq!(reason(&large), (Code::InvalidArgument, "LIMIT_INVALID".to_owned()));
    let nobody = pb::PauseParticipantRequest { name: "nobody".to_owned(), ..pause("r-4", 0) };
    let nobody = server.operator.pause_participant(nobody).await.unwrap_err();
    assert_eq!(reason(&nobody), (Code::NotFound, "PARTICIPANT_NOT_CONFIGURED".to_owned()));
    assert_eq!(shown(&mut server).await.acts.len(), 1, "what was refused was not recorded");

    // A limit leaves the pause, and a resumed participant keeps its limit.
    let limited = server.operator.limit_participant(limit("r-5", 8)).await.unwrap().into_inner();
    let participant = limited.participant.unwrap();
    assert_eq!((participant.in_flight_max, participant.paused), (8, true));
    assert_ne!(participant.in_flight_max_configured, 8);
    server.operator.resume_participant(resume("r-6", 2)).await.unwrap();
    let configured = shown(&mut server).await.participant.unwrap();
    assert_eq!((configured.in_flight_max, configured.paused), (8, false));
    let back = server.operator.limit_participant(limit("r-7", 0)).await.unwrap().into_inner();
    let participant = back.participant.unwrap();
    assert_eq!(participant.in_flight_max, participant.in_flight_max_configured);
}
