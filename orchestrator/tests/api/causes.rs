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
async fn an_outage_is_one_cause_whatever_it_meets_and_before_it_needs_anybody() {
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
    let [cause] = &reply.waiting[..] else { panic!("one cause: {reply:?}") };
    let told = [&cause.reason, &cause.participant, &cause.method, &cause.code];
    let expected = ["", "order", "shop.order.v1.OrderService/InsertOrder", "NOT_SENT"];
    assert_eq!(told.map(String::as_str), expected);
    assert!(cause.message.contains("refused"), "{cause:?}");
    let places = cause.places.iter().map(|it| (it.definition.as_str(), it.sagas));
    assert_eq!(places.collect::<Vec<_>>(), [("place", 2), ("import", 1)]);
    assert_eq!((cause.sagas, cause.examples.len()), (3, 2));
    assert!(cause.since.is_some() && cause.wake_at.is_some(), "{cause:?}");

    let request = pb::ListSagasRequest::default();
    for saga in server.sagas.list_sagas(request).await.unwrap().into_inner().sagas {
        assert_eq!(saga.state(), SagaState::Running);
        assert!(saga.why.starts_with("order: NOT_SENT: "), "a list says it too: {}", saga.why);
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
