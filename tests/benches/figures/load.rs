//! The client: keeps a number of sagas in flight for a while.

use std::{
    net::SocketAddr,
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use prost::Message;
use saga_proto::saga::v1::{
    SagaName, SagaState, StartSagaRequest, saga_name, saga_service_client::SagaServiceClient,
    start_saga_request::Input,
};
use shop_proto::{
    inventory::v1::inventory_service_client::InventoryServiceClient, order::v1::PlaceOrderInput,
};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

use super::{
    bare,
    options::progress,
    participant::REFUSED,
    processes,
    report::Metric,
    subject::{Subject, Way},
};

/// HTTP/2 connections of each hop.
pub(crate) const CONNECTIONS: usize = 4;

/// Of so many sagas one is turned back, where some are.
const TURNED_BACK_EVERY: u64 = 5;

/// How hard to press.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) in_flight: usize,
    pub(crate) span: Duration,
    /// Whether a fifth of the sagas is refused at its third step.
    pub(crate) turns_back: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) sagas_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Microseconds of processor time per saga, of this whole process.
    pub(crate) cpu_us: f64,
    /// How many there were.
    pub(crate) sagas: f64,
}

impl Sample {
    /// What [`Sample::values`] holds.
    pub(crate) const METRICS: [Metric; 4] = [
        Metric::leading("sagas/s"),
        Metric::further("p50 ms"),
        Metric::further("p99 ms"),
        Metric::further("cpu us"),
    ];

    pub(crate) fn values(&self) -> [f64; 4] {
        [self.sagas_per_s, self.p50_ms, self.p99_ms, self.cpu_us]
    }
}

/// The latency at a part of all of them, in milliseconds. Sorts them.
pub(crate) fn at_part(latencies_us: &mut [u64], part: f64) -> f64 {
    latencies_us.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let index = ((latencies_us.len() - 1) as f64 * part) as usize;
    latencies_us[index] as f64 / 1_000.0
}

/// Microseconds since then.
pub(crate) fn micros_since(sent: Instant) -> u64 {
    u64::try_from(sent.elapsed().as_micros()).unwrap()
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

/// A business key that no other saga has.
fn next_key(turns_back: bool) -> String {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let is_refused = turns_back && serial.is_multiple_of(TURNED_BACK_EVERY);
    format!("{}bench-{serial}", if is_refused { REFUSED } else { "" })
}

/// The start of a saga with a business key that no other has, and that key.
pub(crate) fn start_request() -> (String, StartSagaRequest) {
    let key = next_key(false);
    let request = start("bench", &key);
    (key, request)
}

/// The start of a saga of this definition.
pub(crate) fn start(definition: &str, key: &str) -> StartSagaRequest {
    let input = PlaceOrderInput { order_no: key.to_owned(), ..PlaceOrderInput::default() };
    StartSagaRequest {
        definition: definition.to_owned(),
        business_key: key.to_owned(),
        input: Some(Input::Message(prost_types::Any {
            type_url: "type.googleapis.com/shop.order.v1.PlaceOrderInput".to_owned(),
            value: input.encode_to_vec(),
        })),
        ..StartSagaRequest::default()
    }
}

/// The saga that has this business key.
pub(crate) fn name(business_key: String) -> SagaName {
    let name = Some(saga_name::Name::BusinessKey(business_key));
    SagaName { name, ..SagaName::default() }
}

/// Starts sagas and waits for each one's end, `in_flight` at the same time.
pub(crate) async fn run(subject: &Subject, load: Load) -> Sample {
    let channels = channels(subject.address, CONNECTIONS).await;
    let started = Instant::now();
    let cpu_before_s = processes::cpu_s(process::id());
    let workers = (0..load.in_flight).map(|worker| {
        let channel = channels[worker % channels.len()].clone();
        tokio::spawn(work(channel, subject.way, started + load.span, load.turns_back))
    });
    let mut latencies_us: Vec<u64> = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        latencies_us.extend(worker.await.unwrap());
    }
    let elapsed = started.elapsed();
    let cpu_s = processes::cpu_s(process::id()) - cpu_before_s;
    let sagas = latencies_us.len() as f64;
    Sample {
        sagas_per_s: sagas / elapsed.as_secs_f64(),
        p50_ms: at_part(&mut latencies_us, 0.5),
        p99_ms: at_part(&mut latencies_us, 0.99),
        cpu_us: cpu_s * 1e6 / sagas,
        sagas,
    }
}

async fn work(channel: Channel, way: Way, until: Instant, turns_back: bool) -> Vec<u64> {
    let mut latencies_us = Vec::new();
    let bare = InventoryServiceClient::new(channel.clone());
    let mut sagas = SagaServiceClient::new(channel);
    while Instant::now() < until {
        let key = next_key(turns_back);
        let is_refused = key.starts_with(REFUSED);
        let sent = Instant::now();
        let state = match way {
            Way::Bare => bare::calls(|| bare.clone(), key).await.unwrap(),
            Way::Start => {
                let wait = Some(prost_types::Duration { seconds: 30, nanos: 0 });
                let request = StartSagaRequest { wait, ..start("bench", &key) };
                insist(&mut sagas, request).await
            }
        };
        let expected = if is_refused { SagaState::Compensated } else { SagaState::Completed };
        assert_eq!(state, expected);
        latencies_us.push(micros_since(sent));
    }
    latencies_us
}

/// Starts a saga, again where the log did not answer in time: a disk that stands still for
/// seconds is slow, and no reason to measure nothing.
async fn insist(sagas: &mut SagaServiceClient<Channel>, request: StartSagaRequest) -> SagaState {
    loop {
        match sagas.start_saga(request.clone()).await {
            Ok(reply) => return reply.into_inner().saga.unwrap().state(),
            Err(status) if status.code() == Code::Unavailable => {
                progress(&format!("the log stood still: {}", status.message()));
            }
            Err(status) => panic!("{status}"),
        }
    }
}
