//! What the engine costs, each figure beside its baseline, measured in turns in one run.
//!
//! `cargo bench -p saga-tests`: all figures, some 20 minutes. Prints the machine and a table
//! per figure, and leaves an SVG plot and a JSON file of each in `bench/` of the target
//! folder. Needs PostgreSQL's server programs and a C compiler; redis-server where present.
//!
//! ```text
//! cargo bench -p saga-tests -- [--quick] [--rounds N] [--only FIGURE]...
//!     [--subject NAME]... [--in-flight N] [--threads N]
//! ```
//!
//! Everything that it starts ends with it, also after SIGINT and SIGTERM, and where cargo
//! is ended.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark fails by panicking")]

use std::{
    env,
    os::unix::process::parent_id,
    process::ExitCode,
    time::{Duration, Instant},
};

use orchestrator::runtime;
use tokio::signal::unix::{SignalKind, signal};

/// The orchestrator's program has the same, so the relay has it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod figures {
    pub(super) mod bare;
    pub(super) mod engine;
    pub(super) mod fill;
    pub(super) mod footprint;
    pub(super) mod hot_item;
    pub(super) mod load;
    pub(super) mod machine;
    pub(super) mod options;
    pub(super) mod orders;
    pub(super) mod participant;
    pub(super) mod plot;
    pub(super) mod processes;
    pub(super) mod program;
    pub(super) mod recovery;
    pub(super) mod redis;
    pub(super) mod relay;
    pub(super) mod report;
    pub(super) mod scale;
    pub(super) mod shop;
    pub(super) mod slow_disk;
    pub(super) mod stored_bytes;
    pub(super) mod subject;
}

use figures::{
    engine, footprint, hot_item, machine, options::Options, orders, recovery, report::Figure,
    scale, slow_disk, stored_bytes,
};

/// The names of the figures, in the order in which they are measured.
const FIGURES: [&str; 8] =
    ["engine", "orders", "hot-item", "recovery", "scale", "bytes", "slow-disk", "footprint"];

fn main() -> ExitCode {
    let options = match Options::read(env::args().skip(1), &FIGURES) {
        Ok(options) => options,
        Err(usage) => {
            println!("{usage}");
            return ExitCode::FAILURE;
        }
    };
    // The runtime of the orchestrator's program, for all that is measured.
    runtime::build(options.threads).unwrap().block_on(run(&options))
}

async fn run(options: &Options) -> ExitCode {
    let measured = async {
        if options.is_slow_disk_child {
            slow_disk::serve(options).await;
        } else {
            measure(options).await;
        }
    };
    // Whoever is dropped here takes what it started with it.
    tokio::select! {
        () = Box::pin(measured) => ExitCode::SUCCESS,
        why = ended() => {
            println!("{why}: everything that was started is stopped");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) {
    println!("{}", machine::describe());
    let began = Instant::now();
    for name in FIGURES.into_iter().filter(|name| options.wants(name)) {
        println!("\n== {name} ({})", machine::mood());
        let started = Instant::now();
        for figure in measure_one(name, options).await {
            figure.publish();
        }
        println!("{name}: {:.0} s", started.elapsed().as_secs_f64());
    }
    println!("\nall of it: {:.0} s", began.elapsed().as_secs_f64());
}

async fn measure_one(name: &str, options: &Options) -> Vec<Figure> {
    match name {
        "engine" => vec![Box::pin(engine::measure(options)).await],
        "orders" => vec![Box::pin(orders::measure(options)).await],
        "hot-item" => vec![Box::pin(hot_item::measure(options)).await],
        "recovery" => vec![Box::pin(recovery::measure(options)).await],
        "scale" => Box::pin(scale::measure(options)).await,
        "bytes" => vec![Box::pin(stored_bytes::measure(options)).await],
        "slow-disk" => vec![Box::pin(slow_disk::measure(options)).await],
        "footprint" => vec![Box::pin(footprint::measure(options)).await],
        other => unreachable!("{other} is not in FIGURES"),
    }
}

/// Waits until somebody ends the benchmark, and says who.
async fn ended() -> &'static str {
    let mut interrupt = signal(SignalKind::interrupt()).unwrap();
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let mut hang_up = signal(SignalKind::hangup()).unwrap();
    let why = tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        _ = hang_up.recv() => "SIGHUP",
        () = orphaned() => "cargo ended",
    };
    // Clients whose servers are stopped panic, and that is no news.
    std::panic::set_hook(Box::new(|_| ()));
    why
}

/// Waits until the cargo that started this is gone: it does not hand its signals on.
async fn orphaned() {
    let parent = parent_id();
    if env::var_os("CARGO").is_none() {
        return std::future::pending().await;
    }
    while parent_id() == parent {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
