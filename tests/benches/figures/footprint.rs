//! What the program that is shipped takes: its size, how soon it listens, how much memory it
//! holds at rest and with many sagas in flight, and what one saga costs the processor, in
//! the orchestrator and in the database.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use saga_proto::saga::v1::{SagaState, WaitSagaRequest};
use saga_tests::postgres::Cluster;
use tokio::sync::watch;

use super::{
    load::{self, Load},
    options::{Options, progress},
    participant::{self, Counts},
    processes,
    program::{Program, new_log},
    report::{Figure, Metric, number},
    subject::{Subject, Way},
};

/// Clients that start sagas which stand still.
const STARTERS: usize = 64;

/// Sagas in flight when the processor is looked at.
const LOADED: usize = 64;

const METRICS: [Metric; 8] = [
    Metric::leading("ready ms"),
    Metric::leading("idle MB"),
    Metric::leading("full MB"),
    Metric::further("KB/saga"),
    Metric::leading("cpu us/saga"),
    Metric::further("database us/saga"),
    Metric::further("sagas/s"),
    Metric::further("binary MB"),
];

pub(crate) async fn measure(options: &Options) -> Figure {
    let title = "Footprint: the orchestrator's program, at rest, full and under load";
    let mut figure = Figure::new("footprint", title, &METRICS, &[]);
    let full = options.pick(10_000, 2_000);
    progress("building the program");
    let binary_mb = fs::metadata(Program::binary()).unwrap().len() as f64 / 1e6;
    let stripped_mb = stripped_mb();
    let cluster = Cluster::start();
    for round in 1..=options.rounds {
        for database in ["sqlite", "postgres"] {
            progress(&format!("{database}, round {round}"));
            let folder = tempfile::tempdir().unwrap();
            let log = new_log(database, folder.path(), &cluster, &format!("footprint_{round}"));
            let [ready_ms, idle_mb, full_mb] = fill(folder.path(), &log, full).await;
            let [cpu_us, database_us, rate] =
                press(folder.path(), &log, cluster.postmaster(), options).await;
            let each_kb = (full_mb - idle_mb) * 1_024.0 / full as f64;
            let sample =
                [ready_ms, idle_mb, full_mb, each_kb, cpu_us, database_us, rate, binary_mb];
            figure.add("", database, &sample);
        }
    }
    figure.note(format!(
        "full: {full} sagas in flight, each at its first step. cpu: user and system time per \
         saga, {LOADED} in flight; on SQLite the database is part of the orchestrator. Without \
         its line tables the binary has {} MB.",
        number(stripped_mb)
    ));
    figure
}

/// Size of the program without what only debuggers read. NaN where `strip` is missing.
fn stripped_mb() -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let stripped = folder.path().join("stripped");
    let strip = Command::new("strip").arg("-o").arg(&stripped).arg(Program::binary()).status();
    let is_stripped = strip.is_ok_and(|it| it.success());
    if is_stripped { fs::metadata(stripped).unwrap().len() as f64 / 1e6 } else { f64::NAN }
}

/// Starts it on a fresh log, and fills it with sagas that stand still.
async fn fill(folder: &Path, log: &str, sagas: usize) -> [f64; 3] {
    let (release, held) = watch::channel(false);
    let counts = Arc::<Counts>::default();
    let participant = participant::serve_held(held, Arc::clone(&counts)).await;
    let mut program = Program::configure(folder, log, participant, "");
    let ready = program.start();
    // Until it has done what it does once at its start.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let idle_mb = processes::resident_mb(program.id());
    let keys = start_all(&program, sagas).await;
    while counts.calls.load(Ordering::Relaxed) < sagas as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let full_mb = processes::resident_mb(program.id());
    release.send_replace(true);
    await_ends(&program, keys).await;
    [ready.as_secs_f64() * 1_000.0, idle_mb, full_mb]
}

/// Puts it under load, and reads the processor time before and after.
async fn press(folder: &Path, log: &str, postmaster: u32, options: &Options) -> [f64; 3] {
    let participant = participant::serve().await;
    let mut program = Program::configure(folder, log, participant, "");
    program.start();
    let subject = Subject { name: "program", address: program.address, way: Way::Start };
    let load = Load { in_flight: LOADED, span: Duration::from_millis(500), turns_back: false };
    load::run(&subject, load).await;
    let before = (processes::cpu_s(program.id()), processes::family_cpu_s(postmaster));
    let sample = load::run(&subject, Load { span: options.span(), ..load }).await;
    let own_s = processes::cpu_s(program.id()) - before.0;
    let database_s = processes::family_cpu_s(postmaster) - before.1;
    let database_us = match log.starts_with("sqlite") {
        true => f64::NAN,
        false => database_s * 1e6 / sample.sagas,
    };
    [own_s * 1e6 / sample.sagas, database_us, sample.sagas_per_s]
}

/// Starts sagas, and returns their keys when all are durable and under way.
pub(crate) async fn start_all(program: &Program, sagas: usize) -> Vec<String> {
    let channels = load::channels(program.address, load::CONNECTIONS).await;
    let starters = (0..STARTERS).map(|starter| {
        let mut client = load::client(&channels, starter);
        tokio::spawn(async move {
            let mut keys = Vec::new();
            for _ in (starter..sagas).step_by(STARTERS) {
                let (key, request) = load::start_request();
                client.start_saga(request).await.unwrap();
                keys.push(key);
            }
            keys
        })
    });
    let mut keys = Vec::new();
    for starter in starters.collect::<Vec<_>>() {
        keys.extend(starter.await.unwrap());
    }
    keys
}

/// Waits until these have ended well.
pub(crate) async fn await_ends(program: &Program, keys: Vec<String>) {
    let channels = load::channels(program.address, load::CONNECTIONS).await;
    let started = Instant::now();
    let waiters = keys.chunks(keys.len().div_ceil(STARTERS)).enumerate().map(|(turn, keys)| {
        let (mut client, keys) = (load::client(&channels, turn), keys.to_vec());
        tokio::spawn(async move {
            for key in keys {
                let name = Some(load::name(key));
                let request = WaitSagaRequest { name, ..WaitSagaRequest::default() };
                let saga = client.wait_saga(request).await.unwrap().into_inner().saga.unwrap();
                assert_eq!(saga.state(), SagaState::Completed, "{saga:?}");
            }
        })
    });
    for waiter in waiters.collect::<Vec<_>>() {
        waiter.await.unwrap();
    }
    progress(&format!("{} ends in {:.1} s", keys.len(), started.elapsed().as_secs_f64()));
}
