//! What the engine costs: three no-op gRPC steps through the orchestrator, beside a
//! *relay* that takes the same call and makes the same three with typed clients and no
//! log. Both in one process with their client and their participant, in turns, several
//! rounds; the table shows medians.
//!
//! `cargo bench -p saga-tests --bench engine [-- --quick] [--only NAME] [--in-flight N]`:
//! one subject or one load alone, for profiles.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark fails by panicking")]

use std::time::Duration;

/// The orchestrator's program has the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod engine {
    pub(super) mod footprint;
    pub(super) mod load;
    pub(super) mod participant;
    pub(super) mod relay;
    pub(super) mod report;
    pub(super) mod subject;
}

use engine::{
    footprint,
    load::{self, Load},
    participant, relay,
    report::Report,
    subject::Subject,
};
use saga_tests::postgres::Cluster;

/// Sagas in flight at the same time.
const IN_FLIGHT: [usize; 4] = [1, 16, 64, 256];
/// HTTP/2 connections of each hop.
const CONNECTIONS: usize = 4;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let only = value_of("--only");
    let in_flights = value_of("--in-flight")
        .map_or(IN_FLIGHT.to_vec(), |given| vec![given.parse().expect("a number")]);
    let (rounds, span) =
        if quick { (1, Duration::from_secs(1)) } else { (3, Duration::from_secs(3)) };

    let participant = participant::serve().await;
    let relay = relay::serve(participant, CONNECTIONS).await;
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start();
    let sqlite = format!("sqlite:{}", folder.path().join("log.db").display());
    let subjects = [
        Subject { name: "relay", address: relay },
        Subject::orchestrator("sqlite", &sqlite, participant, CONNECTIONS).await,
        Subject::orchestrator("postgres", &cluster.database("bench"), participant, CONNECTIONS)
            .await,
    ];

    let mut report = Report::new();
    for in_flight in in_flights {
        for round in 0..rounds {
            // In turns, so that whatever else the machine does meets all of them.
            for subject in
                subjects.iter().filter(|it| only.as_ref().is_none_or(|name| name == it.name))
            {
                eprint_progress(subject.name, in_flight, round, rounds);
                let load = Load { in_flight, span, connections: CONNECTIONS };
                report.add(subject.name, in_flight, load::run(subject.address, load).await);
            }
        }
    }
    println!("{}", report.table("relay"));
    if only.is_none() {
        println!("{}", footprint::measure().await);
    }
    report.write_json();
}

/// What follows `flag` on the command line.
fn value_of(flag: &str) -> Option<String> {
    std::env::args().skip_while(|arg| arg != flag).nth(1)
}

#[expect(clippy::print_stderr, reason = "progress is for the person who waits")]
fn eprint_progress(name: &str, in_flight: usize, round: u32, rounds: u32) {
    eprintln!("{name:>9} {in_flight:>4} in flight, round {} of {rounds}", round + 1);
}
