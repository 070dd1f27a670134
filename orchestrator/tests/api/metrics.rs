//! What is counted of sagas, as Prometheus reads it.

use std::time::{Duration, Instant};

use orchestrator::config::Config;

use super::{
    ops::{get, watched},
    server::Server,
};

/// A definition that waits for a signal.
const WAITS: &str = "
kind: Saga
name: wait-for-it
version: 1
input: loose.All
steps:
  - name: asked
    wait: { signal: answer, type: loose.All, timeout: 7d }
  - name: act
    pivot: true
    action: { call: order/loose.Echo/Echo, request: { text: input.text } }
";

/// A definition that calls where nobody listens.
const CALLS: &str = "
kind: Saga
name: call-nobody
version: 1
input: loose.All
steps:
  - name: act
    pivot: true
    action: { call: order/loose.Echo/Echo, request: { text: input.text } }
";

/// The value of a sample; `None` where there is none.
fn sample(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|it| it.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_calls_and_parkings_are_counted_and_no_saga_is_named() {
    let mut server = Server::start_as("http://127.0.0.1:1", watched()).await;
    let ops = server.ops_address.unwrap();
    for yaml in [WAITS, CALLS] {
        server.register(yaml).await.unwrap();
    }
    server.start_saga("wait-for-it", "canary-key-1").await;
    server.start_saga("call-nobody", "canary-key-2").await;
    let wanted = [
        ("saga_starts_total{definition=\"wait-for-it\"}", 1.0),
        ("saga_starts_total{definition=\"call-nobody\"}", 1.0),
        ("saga_ready", 1.0),
        ("saga_log_available", 1.0),
        ("saga_endings_total{definition=\"call-nobody\",ending=\"completed\"}", 0.0),
        ("saga_parkings_total{waiting_for=\"signal\"}", 1.0),
        ("saga_participant_calls{participant=\"order\"}", 0.0),
    ];
    let least = [
        (
            "saga_calls_total{participant=\"order\",method=\"loose.Echo/Echo\",outcome=\"not_done\"}",
            1.0,
        ),
        ("saga_log_append_seconds_count", 2.0),
        ("saga_log_batch_rows_sum", 2.0),
        (
            "grpc_server_handled_total{grpc_service=\"saga.v1.SagaService\",\
             grpc_method=\"StartSaga\",grpc_code=\"OK\"}",
            2.0,
        ),
    ];
    let deadline = Instant::now() + Duration::from_secs(30);
    let text = loop {
        let (status, text) = get(ops, "/metrics").await.unwrap();
        assert_eq!(status, 200);
        let is = wanted.iter().all(|(series, value)| sample(&text, series) == Some(*value));
        let has = least.iter().all(|(series, value)| Some(*value) <= sample(&text, series));
        if is && has {
            break text;
        }
        assert!(Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(!text.contains("canary"), "a business key is in\n{text}");
    let saga = server.saga("canary-key-1").await;
    assert!(!text.contains(&saga.saga_id), "a saga's id is in\n{text}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_a_stranger_makes_up_share_one_series() {
    let server = Server::start_as("http://127.0.0.1:1", watched()).await;
    let ops = server.ops_address.unwrap();
    let mut client = tonic::client::Grpc::new(server.connect().await);
    for number in 0..20 {
        client.ready().await.unwrap();
        let path = format!("/made.up.v{number}/Method{number}").parse().unwrap();
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        let refused = client.unary(tonic::Request::new(()), path, codec).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unimplemented);
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    let series = "grpc_server_handled_total{grpc_service=\"other\",grpc_method=\"other\",\
                  grpc_code=\"Unimplemented\"}";
    loop {
        let (_, text) = get(ops, "/metrics").await.unwrap();
        assert!(!text.contains("made.up"), "{text}");
        if sample(&text, series) == Some(20.0) {
            break;
        }
        assert!(Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_that_are_refused_are_counted_by_why() {
    let mut config: Config = watched();
    config.limits.sagas_max = 1;
    let mut server = Server::start_as("http://127.0.0.1:1", config).await;
    let ops = server.ops_address.unwrap();
    server.register(WAITS).await.unwrap();
    let twice = "one-key";
    server.start_saga("wait-for-it", twice).await;
    // The same key with another definition: it is in use.
    server.register(&WAITS.replace("wait-for-it", "wait-longer")).await.unwrap();
    let refused = server.try_start_saga("wait-longer", twice).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::AlreadyExists);
    let (_, text) = get(ops, "/metrics").await.unwrap();
    let series = "saga_starts_refused_total{why=\"key_reused\"}";
    assert_eq!(sample(&text, series), Some(1.0), "{text}");
    server.stop().await;
}
