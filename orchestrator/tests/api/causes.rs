//! `ListStuck`: an incident looks like one, whatever sagas it meets, and before it needs
//! anybody.

use saga_proto::saga::v1::{self as pb, SagaState};

use super::{
    cancels::silent,
    server::{Server, reason},
};

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
        let request = pb::ListStuckRequest { examples_max: 2, ..pb::ListStuckRequest::default() };
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

#[tokio::test]
async fn causes_come_in_pages_of_one_query() {
    let (mut server, _participant) = silent().await;
    for name in ["one", "two", "three", "four", "five"] {
        let yaml = format!(
            "kind: Saga\nname: {name}\nversion: 1\ninput: shop.order.v1.RefundInput\nsteps:\n  \
             - name: rest\n    wait: {{ signal: {name}, type: shop.order.v1.RefundApproval }}\n"
        );
        server.register(&yaml).await.unwrap();
        server.start_saga(name, name).await;
    }
    server.start_saga("three", "three too").await;
    waiting(&mut server, 6).await;
    let mut asked = pb::ListStuckRequest { page_size: 2, ..pb::ListStuckRequest::default() };
    let (mut methods, mut pages) = (Vec::new(), 0);
    loop {
        let page = server.operator.list_stuck(asked.clone()).await.unwrap().into_inner();
        assert_eq!((page.total_waiting, page.total), (6, 0), "on every page");
        methods.extend(page.waiting.into_iter().map(|group| group.method));
        pages += 1;
        asked.page_token = page.next_page_token;
        if asked.page_token.is_empty() {
            break;
        }
        assert_eq!(methods.len(), 2 * pages);
        // A token is one of its query, and of no other.
        let filter = "definition == 'one'".to_owned();
        let other = pb::ListStuckRequest { filter, ..asked.clone() };
        let refused = server.operator.list_stuck(other).await.unwrap_err();
        assert_eq!(reason(&refused).1, "PAGE_TOKEN_INVALID");
    }
    // The largest first, and then by name.
    let by_name = ["three", "five", "four", "one", "two"].map(|it| format!("signal {it}"));
    assert_eq!((methods, pages), (by_name.to_vec(), 3));

    for bad in ["causes", "causes.0", "x"] {
        let bad = pb::ListStuckRequest { page_token: bad.to_owned(), ..Default::default() };
        let refused = server.operator.list_stuck(bad).await.unwrap_err();
        assert_eq!(reason(&refused).1, "PAGE_TOKEN_INVALID");
    }
    let many = pb::ListStuckRequest { examples_max: 101, ..Default::default() };
    let refused = server.operator.list_stuck(many).await.unwrap_err();
    assert_eq!(reason(&refused).1, "EXAMPLES_INVALID");
    let filter = "definition == 'three'".to_owned();
    let of_one = pb::ListStuckRequest { filter, ..Default::default() };
    let reply = server.operator.list_stuck(of_one).await.unwrap().into_inner();
    assert_eq!((reply.waiting.len(), reply.total_waiting), (1, 2));
}
