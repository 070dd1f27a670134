//! Sagas are found by what they are and by their labels, and a filter that is none says what
//! would be one.

use saga_proto::saga::v1::{self as pb, start_saga_request::Input};
use tonic::{Code, Status};

use super::server::{Server, named, reason};

const ORDER: &str = "
kind: Saga
name: order
version: 1
input: loose.All
labels: { customer: input.text, region: \"input.labels['region']\" }
steps:
  - name: asked
    wait: { signal: go, type: loose.All, timeout: 7d }
  - name: act
    pivot: true
    action: { call: order/loose.Echo/Echo, request: { text: input.text } }
";

/// Orders `o-0` to `o-5` of customers `c-0` and `c-1`; `o-4` and `o-5` are cancelled.
async fn shop() -> Server {
    let mut server = Server::start().await;
    server.register(ORDER).await.unwrap();
    server.register(&ORDER.replace("name: order", "name: refund")).await.unwrap();
    for at in 0..6 {
        let json =
            format!(r#"{{"text": "c-{}", "labels": {{"region": "eu' or '1'='1"}}}}"#, at % 2);
        let request = pb::StartSagaRequest {
            definition: if at < 3 { "order" } else { "refund" }.to_owned(),
            business_key: format!("o-{at}"),
            input: Some(Input::Json(json)),
            ..pb::StartSagaRequest::default()
        };
        server.sagas.start_saga(request).await.unwrap();
    }
    for key in ["o-4", "o-5"] {
        let cancel = pb::CancelSagaRequest { name: named(key), ..Default::default() };
        server.sagas.cancel_saga(cancel).await.unwrap();
        server.ended(key).await;
    }
    server
}

async fn found(server: &mut Server, filter: &str) -> Result<Vec<String>, Status> {
    let request = pb::ListSagasRequest { filter: filter.to_owned(), ..Default::default() };
    let page = server.sagas.list_sagas(request).await?.into_inner();
    assert_eq!((page.next_page_token.as_str(), page.looked_until), ("", None));
    Ok(page.sagas.into_iter().map(|saga| saga.business_key).collect())
}

#[tokio::test]
async fn sagas_are_found_by_what_they_are() {
    let mut server = shop().await;
    let all = ["o-5", "o-4", "o-3", "o-2", "o-1", "o-0"];
    for (filter, expected) in [
        ("", &all[..]),
        ("  true ", &all[..]),
        ("false", &[]),
        ("labels['customer'] == 'c-1'", &["o-5", "o-3", "o-1"]),
        ("labels.customer == 'c-1' && !ended", &["o-3", "o-1"]),
        ("labels.customer != 'c-1' && ended == false", &["o-2", "o-0"]),
        (r#"labels.region == "eu' or '1'='1""#, &all[..]),
        ("labels['region'] in ['eu', 'us']", &[]),
        ("state == 'RUNNING' && definition == 'order'", &["o-2", "o-1", "o-0"]),
        ("state in ['COMPENSATED', 'STUCK']", &["o-5", "o-4"]),
        ("'refund' == definition && state != 'COMPENSATED'", &["o-3"]),
        ("turned_back == 'CANCELLED' || business_key == 'o-0'", &["o-5", "o-4", "o-0"]),
        ("business_key.startsWith('o-') && version == 1", &all[..]),
        ("version > 1 || saga.namespace != ''", &[]),
        ("waiting_on == 'signal go'", &["o-3", "o-2", "o-1", "o-0"]),
        ("waiting_on.startsWith('signal')", &["o-3", "o-2", "o-1", "o-0"]),
        ("!(waiting_on == 'signal go')", &["o-5", "o-4"]),
        ("age < duration('1h') && started_at > timestamp('2020-01-01T00:00:00Z')", &all[..]),
        ("age > duration('1h') || duration('1m30s') <= age", &[]),
        ("ended_at > timestamp('2020-01-01T00:00:00Z')", &["o-5", "o-4"]),
        ("stuck.reason == 'OUTCOME_UNKNOWN' || cause.participant == 'order'", &[]),
        ("labels.customer == 'c-1\\u0000'", &[]),
        // Of what has ended, nobody is stuck and nothing is waited for.
        ("stuck.reason == ''", &all[..]),
        ("stuck.reason != '' || !(stuck.reason in ['', 'CONTRADICTION'])", &[]),
        ("waiting_on == ''", &["o-5", "o-4"]),
        ("waiting_on != ''", &["o-3", "o-2", "o-1", "o-0"]),
    ] {
        assert_eq!(found(&mut server, filter).await.unwrap(), expected, "{filter}");
        let request = pb::CountSagasRequest { filter: filter.to_owned(), ..Default::default() };
        let count = server.sagas.count_sagas(request).await.unwrap().into_inner();
        let whole = (expected.len() as i64, String::new(), None);
        assert_eq!((count.sagas, count.next_page_token, count.looked_until), whole, "{filter}");
    }
}

#[tokio::test]
async fn a_filter_that_is_none_says_what_would_be_one() {
    let mut server = shop().await;
    let deep = format!("{}ended{}", "(".repeat(200), ")".repeat(200));
    let long = format!("definition == '{}'", "x".repeat(100_000));
    let chain = vec!["ended"; 300].join(" && ");
    assert_eq!(found(&mut server, &chain).await.unwrap(), ["o-5", "o-4"]);
    for (filter, words) in [
        ("state = 'STUCK'", "not an expression"),
        ("state == 'stuck'", "the states are RUNNING, COMPENSATING, STUCK"),
        ("state == STUCK", "write 'TEXT'"),
        ("color == 'red'", "sagas are not found by `color`, but by state, ended,"),
        ("definition", "is no condition; compare it with something"),
        ("labels.customer.startsWith('c')", "is compared with == or in"),
        ("labels == 'c-1'", "labels['NAME']"),
        ("has(labels.customer)", "sagas are not found by"),
        ("age > '1h'", "as in age > duration('1h')"),
        ("age > duration('soon')", "nothing to compare with"),
        ("started_at > 5", "as in started_at > timestamp("),
        ("version == 'three'", "version is a whole number"),
        ("version == -1", "nothing to compare with"),
        ("definition > 'a'", "a text is compared with a text by ==, != or in"),
        ("definition in 'a'", "is no list"),
        ("cause.code == ''", "is not looked for by an empty text"),
        ("size(definition) == 3", "sagas are not found by"),
        ("definition.matches('a*')", "is not among =="),
        ("[1, 2].exists(x, x == 1)", "sagas are not found by"),
        (&deep, "nested"),
        (&long, "bytes; at most"),
    ] {
        let refused = found(&mut server, filter).await.unwrap_err();
        let (code, name) = reason(&refused);
        assert_eq!((code, name.as_str()), (Code::InvalidArgument, "FILTER_INVALID"), "{filter}");
        assert!(refused.message().contains(words), "{filter}: {}", refused.message());
        assert!(refused.message().starts_with("filter: "), "{}", refused.message());
    }
}

/// A token of one filter is none of another, and a page goes on where the one before ended.
#[tokio::test]
async fn what_is_found_comes_in_pages() {
    let mut server = shop().await;
    let mut request = pb::ListSagasRequest {
        filter: "labels.customer == 'c-0' && business_key != 'o-2'".to_owned(),
        page_size: 1,
        ..Default::default()
    };
    let mut keys = Vec::new();
    loop {
        let page = server.sagas.list_sagas(request.clone()).await.unwrap().into_inner();
        keys.extend(page.sagas.into_iter().map(|saga| saga.business_key));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(keys, ["o-4", "o-0"]);
    request.filter.push_str(" && !ended");
    let refused = server.sagas.list_sagas(request).await.unwrap_err();
    assert_eq!(reason(&refused).1, "PAGE_TOKEN_INVALID");
}
