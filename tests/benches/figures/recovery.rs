//! How soon a crash is over: the orchestrator's program is killed with many sagas at their
//! first step and started again at once, on logs that hold parked sagas beside them.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use saga_proto::saga::v1::{ListSagasRequest, SagaState};
use saga_tests::postgres::Cluster;
use tokio::sync::watch;

use super::{
    fill::{self, Templates},
    footprint::{await_ends, start_all},
    load,
    options::{Options, progress},
    participant::{self, Counts},
    program::{Program, new_log},
    report::{Figure, Metric, number},
};

/// One takes half a minute.
const ROUNDS_MAX: u32 = 2;

const METRICS: [Metric; 4] = [
    Metric::leading("first after s"),
    Metric::leading("all ended after s"),
    Metric::further("all after the first s"),
    Metric::further("listens after ms"),
];

pub(crate) async fn measure(options: &Options) -> Figure {
    let title = "Recovery: SIGKILL with sagas in flight, started again at once";
    let mut figure = Figure::new("recovery", title, &METRICS, &[]);
    let in_flight = options.pick(10_000, 2_000);
    let parked: &[usize] = options.pick(&[1_000, 10_000, 100_000], &[1_000, 10_000]);
    progress("building the program");
    Program::binary();
    let templates = Templates::make().await;
    let cluster = Cluster::start();
    for database in ["sqlite", "postgres"] {
        let folder = tempfile::tempdir().unwrap();
        let log = new_log(database, folder.path(), &cluster, "recovery");
        let mut stored = 0;
        for &parked in parked {
            let store = fill::open(&log).await;
            templates.define(&*store).await;
            let missing = parked - stored;
            fill::fill(&*store, &[&templates.parked], "parked-", stored, missing).await;
            stored = parked;
            drop(store);
            for round in 1..=options.rounds.min(ROUNDS_MAX) {
                let sample = crash(folder.path(), &log, in_flight).await;
                progress(&format!(
                    "{database}, {parked} parked, round {round}: first {} s, all {} s",
                    number(sample[0]),
                    number(sample[1])
                ));
                figure.add(&format!("{parked} parked"), database, &sample);
            }
        }
    }
    figure.note(format!(
        "{in_flight} sagas in flight; times since SIGKILL; limits.dead_after_ms is 3000. After \
         the crash each of them makes one inquiry and two calls."
    ));
    figure
}

/// Lets one program die with sagas in flight, and another one take them over.
async fn crash(folder: &Path, log: &str, in_flight: usize) -> [f64; 4] {
    let (release, held) = watch::channel(false);
    let counts = Arc::<Counts>::default();
    let participant = participant::serve_held(held, Arc::clone(&counts)).await;
    let mut program = Program::configure(folder, log, participant, "");
    program.start();
    let keys = start_all(&program, in_flight).await;
    while counts.calls.load(Ordering::Relaxed) < in_flight as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let killed = Instant::now();
    program.kill();
    let before = counts.calls.load(Ordering::Relaxed);
    release.send_replace(true);
    let first = tokio::spawn(first_call(Arc::clone(&counts), before));
    program.start();
    let listens = killed.elapsed();
    let first = first.await.unwrap().duration_since(killed).as_secs_f64();
    while counts.commits.load(Ordering::Relaxed) < in_flight as u64 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    until_none_runs(&program).await;
    let all = killed.elapsed().as_secs_f64();
    await_ends(&program, keys).await;
    [first, all, all - first, listens.as_secs_f64() * 1_000.0]
}

async fn first_call(counts: Arc<Counts>, before: u64) -> Instant {
    while counts.calls.load(Ordering::Relaxed) == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Instant::now()
}

/// Waits until the log has no saga of the measured definition that has not ended.
async fn until_none_runs(program: &Program) {
    let mut client = load::client(&load::channels(program.address, 1).await, 0);
    loop {
        let request = ListSagasRequest {
            page_size: 1,
            state: SagaState::Running.into(),
            definition: "bench".to_owned(),
            ..ListSagasRequest::default()
        };
        if client.list_sagas(request).await.unwrap().into_inner().sagas.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
