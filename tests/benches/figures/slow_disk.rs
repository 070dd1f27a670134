//! The engine on a disk that takes 2 ms longer for each fsync.
//!
//! How: this program runs itself twice more as a child, once as it is and once with a
//! wrapper of fsync and fdatasync preloaded, which is compiled from `slow_fsync.c` with
//! `cc`. A child measures the engine's subjects in its own process whenever it is sent a
//! line, and starts its own PostgreSQL, which inherits the wrapper. It ends, with
//! everything that it started, when its standard input is closed, so also when this
//! process dies.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::{
    load::{self, Load, Sample},
    machine,
    options::{Options, SLOW_DISK_CHILD, progress},
    report::{Figure, Metric, number},
    subject::Subjects,
};

/// Sagas in flight, where nothing else is asked for.
const IN_FLIGHT: usize = 64;

/// What a slow disk takes longer.
const MORE_US: u32 = 2_000;

const METRICS: [Metric; 4] = Sample::METRICS;

pub(crate) async fn measure(options: &Options) -> Figure {
    let title = "Slow disk: the engine as it is, and with 2 ms more for each fsync";
    let mut figure = Figure::new("slow-disk", title, &METRICS, &["relay"]);
    let in_flight = options.in_flight.unwrap_or(IN_FLIGHT);
    let folder = tempfile::tempdir().unwrap();
    let wrapper = compile(folder.path());
    let disks = [("as it is", None), ("+ 2 ms", Some(&*wrapper))];
    let mut children: Vec<(&str, Measured)> = Vec::new();
    for (disk, wrapper) in disks {
        let started = Measured::start(options, in_flight, wrapper);
        children.push((disk, started));
    }
    for (disk, child) in &mut children {
        let hello = child.line().await;
        figure.note(format!("{disk}: fdatasync of 4 KiB {} us", hello["fdatasync_us"]));
    }
    for round in 1..=options.rounds {
        for (disk, child) in &mut children {
            let samples = child.ask().await;
            for sample in samples.as_array().unwrap() {
                let subject = sample["subject"].as_str().unwrap();
                let values = sample["values"].as_array().unwrap();
                let values: Vec<f64> = values.iter().map(|it| it.as_f64().unwrap()).collect();
                let rate = number(values[0]);
                progress(&format!("{disk}, round {round}: {subject} {rate}"));
                figure.add(disk, subject, &values);
            }
        }
    }
    figure.note(format!("{in_flight} in flight"));
    figure
}

/// What the child does: measures all subjects for each line that it reads.
pub(crate) async fn serve(options: &Options) {
    let (line, lines) = mpsc::channel(1);
    let (open, closed) = oneshot::channel::<()>();
    // Its own thread: a read of standard input cannot be cancelled.
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            if line.blocking_send(()).is_err() {
                break;
            }
        }
        drop(open);
    });
    tokio::select! {
        () = answer(options, lines) => {}
        _ = closed => {}
    }
}

/// Measures once for each line that comes.
async fn answer(options: &Options, mut lines: mpsc::Receiver<()>) {
    let subjects = Subjects::start(options).await;
    let fdatasync_us = machine::fdatasync_us(&env::temp_dir());
    println!("{}", json!({ "fdatasync_us": fdatasync_us }));
    while lines.recv().await.is_some() {
        let mut samples = Vec::new();
        for subject in &subjects.all {
            let in_flight = options.in_flight.unwrap_or(IN_FLIGHT);
            let load = Load { in_flight, span: options.span(), turns_back: false };
            let sample = load::run(subject, load).await;
            samples.push(json!({ "subject": subject.name, "values": sample.values() }));
        }
        println!("{}", Value::Array(samples));
    }
}

/// A child that measures.
#[derive(Debug)]
struct Measured {
    child: Child,
    /// Closed when this is dropped, which ends the child.
    asks: Option<ChildStdin>,
    says: Option<BufReader<ChildStdout>>,
}

impl Measured {
    fn start(options: &Options, in_flight: usize, wrapper: Option<&Path>) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([SLOW_DISK_CHILD, "--in-flight", &in_flight.to_string()]);
        command.args(if options.quick { &["--quick"][..] } else { &[] });
        if let Some(threads) = options.threads {
            command.args(["--threads", &threads.to_string()]);
        }
        for subject in ["relay", "sqlite", "postgres"] {
            if options.wants_subject(subject) {
                command.args(["--subject", subject]);
            }
        }
        if let Some(wrapper) = wrapper {
            command.env("LD_PRELOAD", wrapper);
            command.env("AMENDS_BENCH_SLOW_FSYNC_US", MORE_US.to_string());
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
        let says = child.stdout.take().map(BufReader::new);
        Self { asks: child.stdin.take(), says, child }
    }

    /// Lets it measure, and returns the samples by their subjects.
    async fn ask(&mut self) -> Value {
        writeln!(self.asks.as_mut().unwrap(), "go").unwrap();
        self.line().await
    }

    /// Waits for its next line.
    async fn line(&mut self) -> Value {
        let mut says = self.says.take().unwrap();
        let read = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            says.read_line(&mut line).unwrap();
            (says, line)
        });
        let (says, line) = read.await.unwrap();
        self.says = Some(says);
        assert!(!line.is_empty(), "the child that measures ended: {:?}", self.child.try_wait());
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        // It stops its PostgreSQL first.
        self.asks = None;
        let _ = self.child.wait();
    }
}

/// Compiles the wrapper, where the user of PostgreSQL can read it too.
fn compile(folder: &Path) -> PathBuf {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/figures/slow_fsync.c");
    let wrapper = folder.join("slow_fsync.so");
    let mut compile = Command::new("cc");
    compile.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&wrapper).arg(source).arg("-ldl");
    let status = compile.status().expect("a C compiler is needed: apt-get install gcc");
    assert!(status.success(), "{compile:?}");
    wrapper
}
