//! `ListStuck`: an incident looks like one, whatever sagas it meets, and before it needs
//! anybody.

use saga_proto::saga::v1::{self as pb, SagaState};

use super::{cancels::silent, server::Server};

/// Calls the same method as its other form, from a step of another name.
fn yaml(name: &str, step: &str) -> String {
    format!(
        "
kind: Saga
name: {name}
version: 1
input: shop.order.v1.RefundInput
steps:
  - name: {step}
    on_unknown: retry
    retry: {{ first: 1h, max: 1h, factor: 1, jitter: none, attempts: 5 }}
    action: {{ call: order/shop.order.v1.OrderService/InsertOrder, timeout: 2s }}
    compensation: {{ call: order/shop.order.v1.OrderService/Transition }}
"
    )
}

/// What holds sagas up, once so many wait.
async fn waiting(server: &mut Server, sagas: u64) -> pb::ListStuckResponse {
    loop {
        let request = pb::ListStuckRequest { examples_max: 2 };
        let reply = server.operator.list_stuck(request).await.unwrap().into_inner();
        assert!(reply.total_waiting <= sagas, "{reply:?}");
        if reply.total_waiting == sagas {
            return reply;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_outage_is_told_by_its_participant_whatever_it_meets_and_before_it_needs_anybody() {
    // Nobody listens where its participant is said to be.
    let mut server = Server::start().await;
    server.register(&yaml("place", "insert")).await.unwrap();
    server.register(&yaml("import", "copy")).await.unwrap();
    for key in ["1", "2"] {
        server.start_saga("place", key).await;
    }
    server.start_saga("import", "3").await;

    let reply = waiting(&mut server, 3).await;
    assert_eq!((reply.groups.len(), reply.total), (0, 0), "nobody is needed yet: {reply:?}");
    // One met it, and the others are held back by what it met.
    let [held, met] = &reply.waiting[..] else { panic!("two groups: {reply:?}") };
    let told = |cause: &pb::StuckGroup| {
        let told = [&cause.reason, &cause.participant, &cause.method, &cause.code];
        assert!(cause.since.is_some() && cause.wake_at.is_some(), "{cause:?}");
        told.map(String::clone)
    };
    let method = "shop.order.v1.OrderService/InsertOrder";
    assert_eq!(told(met), ["", "order", method, "NOT_SENT"]);
    assert!(met.message.contains("refused"), "{met:?}");
    assert_eq!(told(held), ["", "order", "", "HELD_BACK"]);
    assert_eq!((met.sagas, held.sagas, held.examples.len()), (1, 2, 2));

    let request = pb::ListSagasRequest::default();
    for saga in server.sagas.list_sagas(request).await.unwrap().into_inner().sagas {
        assert_eq!(saga.state(), SagaState::Running);
        let says_it = ["order: NOT_SENT: ", "It waits for participant order."];
        let is_said = says_it.iter().any(|it| saga.why.starts_with(it));
        assert!(is_said, "a list says it too: {}", saga.why);
    }
}

/// It may hold stock and money for as long as it likes.
#[tokio::test]
async fn a_wait_for_a_signal_is_shown_with_its_age() {
    let (mut server, _participant) = silent().await;
    server.start_saga("place", "1").await;
    let reply = waiting(&mut server, 1).await;
    let [cause] = &reply.waiting[..] else { panic!("one cause: {reply:?}") };
    assert_eq!((cause.method.as_str(), cause.code.as_str()), ("signal approval", "SIGNAL_AWAITED"));
    assert!(cause.since.is_some() && cause.participant.is_empty(), "{cause:?}");
}
