//! The client: keeps a number of sagas in flight for a while.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use prost::Message;
use saga_proto::{
    saga::v1::{
        SagaName, SagaState, StartSagaRequest, saga_name, saga_service_client::SagaServiceClient,
        start_saga_request::Input,
    },
    shop::order::v1::PlaceOrderInput,
};
use tonic::transport::{Channel, Endpoint};

/// How hard to press.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) in_flight: usize,
    pub(crate) span: Duration,
    pub(crate) connections: usize,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) sagas_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Microseconds of processor time per saga, of this whole process.
    pub(crate) cpu_us: f64,
}

/// Processor time that this process has used, all threads, in seconds.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    // USER_HZ is 100 on every Linux that Rust supports.
    ticks / 100.0
}

/// Makes business keys that no other run has used.
static SERIAL: AtomicU64 = AtomicU64::new(1);

/// Connections to `address`, made beforehand.
pub(crate) async fn channels(address: SocketAddr, count: usize) -> Vec<Channel> {
    let mut channels = Vec::new();
    for _ in 0..count {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        channels.push(endpoint.tcp_nodelay(true).connect().await.unwrap());
    }
    channels
}

/// A client on the channel whose turn it is.
pub(crate) fn client(channels: &[Channel], turn: usize) -> SagaServiceClient<Channel> {
    SagaServiceClient::new(channels[turn % channels.len()].clone())
}

/// The start of a saga with a business key that no other has, and that key.
pub(crate) fn start_request() -> (String, StartSagaRequest) {
    let key = format!("bench-{}", SERIAL.fetch_add(1, Ordering::Relaxed));
    let input = PlaceOrderInput { order_no: key.clone(), ..PlaceOrderInput::default() };
    let request = StartSagaRequest {
        definition: "bench".to_owned(),
        business_key: key.clone(),
        input: Some(Input::Message(prost_types::Any {
            type_url: "type.googleapis.com/shop.order.v1.PlaceOrderInput".to_owned(),
            value: input.encode_to_vec(),
        })),
        ..StartSagaRequest::default()
    };
    (key, request)
}

/// The saga that has this business key.
pub(crate) fn name(business_key: String) -> SagaName {
    let name = Some(saga_name::Name::BusinessKey(business_key));
    SagaName { name, ..SagaName::default() }
}

/// Starts sagas and waits for each one's end, `in_flight` at the same time.
pub(crate) async fn run(address: SocketAddr, load: Load) -> Sample {
    let channels = channels(address, load.connections).await;
    let started = Instant::now();
    let cpu_before = cpu_s();
    let workers = (0..load.in_flight)
        .map(|worker| tokio::spawn(work(client(&channels, worker), started + load.span)));
    let mut latencies_us: Vec<u64> = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        latencies_us.extend(worker.await.unwrap());
    }
    let elapsed = started.elapsed();
    let cpu = cpu_s() - cpu_before;
    latencies_us.sort_unstable();
    let at = |part: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let index = ((latencies_us.len() - 1) as f64 * part) as usize;
        latencies_us[index] as f64 / 1_000.0
    };
    Sample {
        sagas_per_s: latencies_us.len() as f64 / elapsed.as_secs_f64(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        cpu_us: cpu * 1e6 / latencies_us.len() as f64,
    }
}

async fn work(mut client: SagaServiceClient<Channel>, until: Instant) -> Vec<u64> {
    let mut latencies_us = Vec::new();
    while Instant::now() < until {
        let wait = Some(prost_types::Duration { seconds: 30, nanos: 0 });
        let request = StartSagaRequest { wait, ..start_request().1 };
        let sent = Instant::now();
        let saga = client.start_saga(request).await.unwrap().into_inner().saga.unwrap();
        assert_eq!(saga.state(), SagaState::Completed, "{saga:?}");
        latencies_us.push(u64::try_from(sent.elapsed().as_micros()).unwrap());
    }
    latencies_us
}
