//! The same start is the same start: whatever its encoding, and across an upgrade.

use orchestrator::engine::{StartSaga, StartedSaga};
use saga_proto::saga::v1::{self as pb, signal_saga_request::Payload, start_saga_request::Input};
use sha2::{Digest, Sha256};
use tonic::Status;

use super::server::{Server, named, reason};

const LOOSE: &str = "
kind: Saga
name: loose
version: 1
input: loose.All
steps:
  - name: asked
    wait: { signal: answer, type: loose.All, timeout: 7d }
  - name: act
    pivot: true
    action: { call: order/loose.Echo/Echo, request: { text: input.text } }
";

/// Twelve entries: a hash map gives them in another order nearly every time.
fn entries() -> String {
    let pairs: Vec<String> = (0..12).map(|it| format!(r#""k{it}": "{it}""#)).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn inputs() -> [String; 4] {
    [
        r#"{"labels": MAP}"#,
        r#"{"free": MAP}"#,
        r#"{"any": {"@type": "type.googleapis.com/loose.All", "labels": MAP}}"#,
        r#"{"any": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": MAP}}"#,
    ]
    .map(|json| json.replace("MAP", &entries()))
}

async fn start(
    server: &mut Server,
    key: &str,
    json: &str,
) -> Result<pb::StartSagaResponse, Status> {
    let request = pb::StartSagaRequest {
        definition: "loose".to_owned(),
        business_key: key.to_owned(),
        input: Some(Input::Json(json.to_owned())),
        ..pb::StartSagaRequest::default()
    };
    server.sagas.start_saga(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_start_is_repeated_whatever_order_its_maps_come_in() {
    let mut server = Server::start().await;
    server.register(LOOSE).await.unwrap();
    for (key, json) in inputs().iter().enumerate() {
        let key = format!("key-{key}");
        let first = start(&mut server, &key, json).await.unwrap();
        assert!(!first.existed);
        for _ in 0..5 {
            let again = start(&mut server, &key, json).await.unwrap();
            assert!(again.existed, "{json}");
            assert_eq!(again.saga.unwrap().saga_id, first.saga.as_ref().unwrap().saga_id);
        }
        let other = json.replace("k11", "k12");
        let (_, reused) = reason(&start(&mut server, &key, &other).await.unwrap_err());
        assert_eq!(reused, "BUSINESS_KEY_REUSED");
    }
}

#[tokio::test]
async fn a_signal_is_repeated_whatever_order_its_maps_come_in() {
    let mut server = Server::start().await;
    server.register(LOOSE).await.unwrap();
    for (key, json) in inputs().iter().enumerate() {
        let key = format!("key-{key}");
        start(&mut server, &key, "{}").await.unwrap();
        for existed in [false, true, true, true] {
            let request = pb::SignalSagaRequest {
                name: named(&key),
                signal: "answer".to_owned(),
                payload: Some(Payload::Json(json.clone())),
                request_id: "one".to_owned(),
                ..pb::SignalSagaRequest::default()
            };
            let reply = server.sagas.signal_saga(request).await.unwrap().into_inner();
            assert_eq!(reply.existed, existed, "{json}");
        }
    }
}

/// The number as a program of before made it: no name of a form, and what is in an `Any` as
/// it came.
fn hash_of_before(version: u32, input: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"loose\0");
    hash.update(version.to_be_bytes());
    hash.update(input);
    hash.finalize().into()
}

#[tokio::test]
async fn a_start_of_before_an_upgrade_is_compared_by_its_own_form() {
    let mut server = Server::start().await;
    server.register(LOOSE).await.unwrap();
    // A map inside of an `Any`, in an order that is not today's: `b` before `a`.
    let labels = [0x22, 6, 0x0a, 1, b'b', 0x12, 1, b'2', 0x22, 6, 0x0a, 1, b'a', 0x12, 1, b'1'];
    let url = b"type.googleapis.com/loose.All";
    let mut any = vec![0x0a, u8::try_from(url.len()).unwrap()];
    any.extend_from_slice(url);
    any.extend([0x12, u8::try_from(labels.len()).unwrap()]);
    any.extend(labels);
    let mut input = vec![0x12, u8::try_from(any.len()).unwrap()];
    input.extend(any);

    let definition = server.engine.definition("loose", 0).await.unwrap();
    let before = StartSaga {
        namespace: String::new(),
        business_key: "of-old".to_owned(),
        request_hash: hash_of_before(0, &input),
        definition,
        input: input.into(),
    };
    let StartedSaga::New { saga, .. } = server.engine.start_saga(before).await.unwrap() else {
        panic!("it is new");
    };
    let with = |b: &str| {
        format!(
            r#"{{"any": {{"labels": {{"a": "1", "b": "{b}"}},
                "@type": "type.googleapis.com/loose.All"}}}}"#
        )
    };
    for _ in 0..3 {
        let again = start(&mut server, "of-old", &with("2")).await.unwrap();
        assert!(again.existed);
        assert_eq!(again.saga.unwrap().saga_id, saga.to_string());
    }
    let (_, reused) = reason(&start(&mut server, "of-old", &with("3")).await.unwrap_err());
    assert_eq!(reused, "BUSINESS_KEY_REUSED");
    // As asked: another version is another request, then and now.
    let request = pb::StartSagaRequest {
        definition: "loose".to_owned(),
        definition_version: 1,
        business_key: "of-old".to_owned(),
        input: Some(Input::Json(with("2"))),
        ..pb::StartSagaRequest::default()
    };
    let (_, reused) = reason(&server.sagas.start_saga(request).await.unwrap_err());
    assert_eq!(reused, "BUSINESS_KEY_REUSED");
}

#[tokio::test]
async fn a_start_without_a_version_is_the_same_start_whatever_was_registered_since() {
    let mut server = Server::start().await;
    server.register(LOOSE).await.unwrap();
    let json = r#"{"labels": {"a": "1"}}"#;
    let first = start(&mut server, "key", json).await.unwrap().saga.unwrap();
    // The newest takes no such input, and is not the first one's.
    let newest = LOOSE
        .replace("version: 1", "version: 2\nretires: 1")
        .replace("input: loose.All", "input: google.protobuf.StringValue")
        .replace("text: input.text", "text: input.value");
    server.register(&newest).await.unwrap();
    for _ in 0..2 {
        let again = start(&mut server, "key", json).await.unwrap();
        assert!(again.existed);
        let again = again.saga.unwrap();
        assert_eq!((again.saga_id, again.definition_version), (first.saga_id.clone(), 1));
    }
    // What is no repeat is judged by the newest.
    for (key, json) in [("key", r#"{"labels": {"a": "2"}}"#), ("other", json)] {
        let (_, refused) = reason(&start(&mut server, key, json).await.unwrap_err());
        assert_eq!(refused, "INPUT_INVALID", "{key}");
    }
    let (_, refused) = reason(&start(&mut server, "key", "\"a\"").await.unwrap_err());
    assert_eq!(refused, "BUSINESS_KEY_REUSED");
    let named = pb::StartSagaRequest {
        definition: "loose".to_owned(),
        definition_version: 1,
        business_key: "another".to_owned(),
        ..pb::StartSagaRequest::default()
    };
    let (code, refused) = reason(&server.sagas.start_saga(named).await.unwrap_err());
    assert_eq!((code, &*refused), (tonic::Code::FailedPrecondition, "DEFINITION_RETIRED"));
    start(&mut server, "new", "\"a\"").await.unwrap();
}
