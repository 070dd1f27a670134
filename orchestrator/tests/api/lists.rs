//! Lists come in pages, a token is one of its list and query alone, and acts are refused where
//! the saga is not as it was looked at.

use std::time::Duration;

use futures::future::join_all;
use saga_proto::saga::v1 as pb;
use tonic::Code;

use super::server::{Server, named, reason};

/// A saga that waits for a signal.
fn waiting(name: &str) -> String {
    format!(
        "kind: Saga\nname: {name}\nversion: 1\ninput: shop.order.v1.PlaceOrderInput\nsteps:\n  - \
         name: pause\n    wait: {{ signal: go, type: shop.order.v1.RefundApproval, timeout: 7d }}\n  \
         - name: act\n    compensation: none\n    action: {{ call: \
         order/shop.order.v1.OrderService/InsertOrder }}\n# {}\n",
        "why ".repeat(10_000)
    )
}

#[tokio::test]
async fn definitions_are_listed_in_pages_without_their_text() {
    let mut server = Server::start().await;
    for name in ["d-3", "d-1", "d-2"] {
        server.register(&waiting(name)).await.unwrap();
    }
    let (mut names, mut page_token) = (Vec::new(), String::new());
    for at in 0..3 {
        let asked = pb::ListDefinitionsRequest { page_size: 1, page_token };
        let page = server.definitions.list_definitions(asked).await.unwrap().into_inner();
        assert!(page.definitions.iter().all(|it| it.yaml.is_empty() && it.version == 1));
        names.extend(page.definitions.into_iter().map(|it| it.name));
        page_token = page.next_page_token;
        assert_eq!(page_token.is_empty(), at == 2);
    }
    assert_eq!(names, ["d-1", "d-2", "d-3"]);
    let asked = pb::GetDefinitionRequest { name: "d-1".to_owned(), version: 0 };
    let whole = server.definitions.get_definition(asked).await.unwrap().into_inner();
    assert_eq!(whole.definition.unwrap().yaml, waiting("d-1"));
}

#[tokio::test]
async fn a_token_of_one_query_is_none_of_another() {
    let mut server = Server::start().await;
    server.register(&waiting("d")).await.unwrap();
    for key in ["a", "b", "c"] {
        server.start_saga("d", key).await;
    }
    let all = pb::ListSagasRequest { page_size: 2, ..Default::default() };
    let page = server.sagas.list_sagas(all.clone()).await.unwrap().into_inner();
    let page_token = page.next_page_token;
    let next = pb::ListSagasRequest { page_token: page_token.clone(), ..all.clone() };
    assert_eq!(server.sagas.list_sagas(next.clone()).await.unwrap().into_inner().sagas.len(), 1);

    let invalid = (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned());
    for other in [
        pb::ListSagasRequest { definition: "d".to_owned(), ..next.clone() },
        pb::ListSagasRequest { state: pb::SagaState::Running.into(), ..next.clone() },
        pb::ListSagasRequest { page_token: "x".repeat(100_000), ..next.clone() },
    ] {
        assert_eq!(reason(&server.sagas.list_sagas(other).await.unwrap_err()), invalid);
    }
    let events = pb::ListEventsRequest { name: named("a"), page_token, ..Default::default() };
    assert_eq!(reason(&server.sagas.list_events(events).await.unwrap_err()), invalid);

    let negative = pb::ListSagasRequest { page_size: -1, ..all.clone() };
    let refused = server.sagas.list_sagas(negative).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::InvalidArgument, "PAGE_SIZE_INVALID".to_owned()));
    let unknown = pb::ListSagasRequest { state: 99, ..all };
    let refused = server.sagas.list_sagas(unknown).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::InvalidArgument, "ENUM_VALUE_UNKNOWN".to_owned()));
}

#[tokio::test]
async fn an_act_names_the_version_that_was_looked_at() {
    let mut server = Server::start().await;
    server.register(&waiting("d")).await.unwrap();
    server.start_saga("d", "a").await;
    let version = server.saga("a").await.version;
    let cancel = |expected_version| pb::CancelSagaRequest {
        name: named("a"),
        expected_version,
        ..pb::CancelSagaRequest::default()
    };
    let moved_on = (Code::Aborted, "SAGA_MOVED_ON".to_owned());
    let refused = server.sagas.cancel_saga(cancel(version + 1)).await.unwrap_err();
    assert_eq!(reason(&refused), moved_on);
    let retry = pb::RetrySagaRequest {
        name: named("a"),
        actor: "ada".to_owned(),
        reason: "now".to_owned(),
        expected_version: version + 1,
        ..pb::RetrySagaRequest::default()
    };
    assert_eq!(reason(&server.operator.retry_saga(retry).await.unwrap_err()), moved_on);
    server.sagas.cancel_saga(cancel(0)).await.unwrap();
    server.ended("a").await;
}

#[tokio::test]
async fn many_wait_for_one_saga_and_all_are_told() {
    let mut server = Server::start().await;
    server.register(&waiting("d")).await.unwrap();
    server.start_saga("d", "a").await;
    let wait = |timeout: u64| pb::WaitSagaRequest {
        name: named("a"),
        timeout: prost_types::Duration::try_from(Duration::from_secs(timeout)).ok(),
    };
    let waits: Vec<_> = (0..200)
        .map(|_| {
            let mut sagas = server.sagas.clone();
            tokio::spawn(async move { sagas.wait_saga(wait(60)).await })
        })
        .collect();
    // One that has no patience is answered although others still wait.
    let early = server.sagas.wait_saga(wait(0)).await.unwrap().into_inner();
    assert!(!early.ended);
    let cancel = pb::CancelSagaRequest { name: named("a"), ..Default::default() };
    server.sagas.cancel_saga(cancel).await.unwrap();
    for told in join_all(waits).await {
        assert!(told.unwrap().unwrap().into_inner().ended);
    }
    // And whoever asks afterwards.
    assert!(server.sagas.wait_saga(wait(60)).await.unwrap().into_inner().ended);
}
