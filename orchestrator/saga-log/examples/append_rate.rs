//! How many appends a second a database takes: `append_rate URL [SECONDS]`.
//!
//! Each appender runs sagas of four appends, one after the other: a start, two steps and an
//! end, which is what a saga of three steps costs. Use an empty database.

#![expect(clippy::print_stdout, reason = "this is a command")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use saga_core::{NodeId, SagaId};
use saga_log::{
    Draft, IndexChange, Log, LogLimits, NewSaga, OpenOptions, Standing, Status, Written,
};
use uuid::Uuid;

/// A typical encoded answer.
const EVENTS_BYTES: usize = 200;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("append_rate URL [SECONDS]")?;
    let seconds = arguments.next().map_or(Ok(5), |seconds| seconds.parse())?;
    let options = OpenOptions { migrate: true, ..OpenOptions::default() };
    let store = saga_log::open(&url, options).await?;
    println!("{:>9}  {:>9}  {:>9}  {:>9}", "APPENDERS", "APPENDS/S", "P50_MS", "P99_MS");
    for appenders in [1, 64, 256, 1_024] {
        let log = Log::start(store.clone(), LogLimits::default());
        let until = Instant::now() + Duration::from_secs(seconds);
        let started = Instant::now();
        let tasks = (0..appenders).map(|_| tokio::spawn(run_sagas(log.clone(), until)));
        let mut took = Vec::new();
        for task in join_all(tasks).await {
            took.extend(task??);
        }
        let rate = took.len() as f64 / started.elapsed().as_secs_f64();
        took.sort_unstable();
        let at = |share: usize| took[took.len() * share / 100].as_secs_f64() * 1_000.0;
        println!("{appenders:>9}  {rate:>9.0}  {:>9.2}  {:>9.2}", at(50), at(99));
        log.close().await;
    }
    Ok(())
}

/// Runs one saga after the other. Answers how long each append took.
async fn run_sagas(log: Log, until: Instant) -> Result<Vec<Duration>, Failure> {
    let events = Bytes::from(vec![b'e'; EVENTS_BYTES]);
    let node = NodeId(Uuid::now_v7());
    let mut took = Vec::new();
    while Instant::now() < until {
        let saga = SagaId(Uuid::now_v7());
        let mut tip = None;
        for version in 1..=4 {
            let index = match version {
                1 => IndexChange::Create(Box::new(new_saga(saga, node))),
                4 => IndexChange::Set(Box::new(standing(None, Some(1)))),
                _ => IndexChange::Keep,
            };
            let row =
                Draft { saga, writer: node, log_epoch: 0, at_ms: 1, events: events.clone(), index };
            let asked = Instant::now();
            let append = row.behind(tip);
            tip = Some(append.tip());
            match log.append(append).await? {
                Written::Done => took.push(asked.elapsed()),
                other => return Err(format!("saga {saga}: {other:?}").into()),
            }
        }
    }
    Ok(took)
}

fn new_saga(saga: SagaId, node: NodeId) -> NewSaga {
    NewSaga {
        namespace: "default".to_owned(),
        business_key: saga.to_string(),
        definition: "place-order".to_owned(),
        definition_version: 1,
        request_hash: [7; 32],
        started_at_ms: 1,
        labels: Vec::new(),
        standing: standing(Some(node), None),
    }
}

fn standing(owner: Option<NodeId>, ended_at_ms: Option<u64>) -> Standing {
    let status = if ended_at_ms.is_some() { Status::Completed } else { Status::Running };
    Standing {
        status,
        wake_at_ms: Some(1),
        waiting_on: None,
        rank: None,
        owner,
        stuck: None,
        turned_back: None,
        ended_at_ms,
        cause: None,
    }
}
