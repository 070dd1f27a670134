//! The orchestrator's program.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};
use orchestrator::{config::Config, doctor, runtime, server::Orchestrator, telemetry};
use saga_log::OpenOptions;
use serde::Serialize;

/// A saga is many small allocations that one thread makes and another gives back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Drives sagas over gRPC services from a durable log.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C, then hand the sagas over.
    Serve(Options),
    /// Bring the log's schema up to date, and end.
    Migrate(Options),
    /// Say what is safe about the configuration, the log's database and the machine, what is
    /// not, and what to do. Changes nothing. Exits with 0 nothing is unsafe, 1 something is, 2 it
    /// could not look.
    Doctor {
        #[command(flatten)]
        options: Options,
        /// How the report is written to standard output.
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Debug, Args)]
struct Options {
    /// The configuration file; deploy/config/orchestrator.toml explains every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// Flags stand over variables (`AMENDS_ORCHESTRATOR_...`), and those over the file.
#[derive(Debug, Args, Serialize)]
struct Flags {
    /// Where to listen, as in 127.0.0.1:7400.
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// The log: postgres://…, sqlite:path or memory:.
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    /// A folder of definitions to register at start.
    #[arg(long, value_name = "FOLDER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    definitions: Option<PathBuf>,
    /// Do not start where a definition of the folder is refused.
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    strict_definitions: bool,
    /// Threads of the program; without it, one on two processors or fewer, and one for each
    /// where there are more.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<NonZeroUsize>,
    /// Bring the log's schema up to date before serving.
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    migrate: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn main() -> ExitCode {
    saga_serve::prepare_process();
    // The allocator asks for pages of 2 MiB, and each of its small heaps would touch one:
    // twice the memory at rest. Without this the program is only larger.
    #[cfg(target_os = "linux")]
    let _kept = rustix::thread::disable_transparent_huge_pages(true);
    let done = match Cli::parse().command {
        Command::Serve(options) => run(options, serve),
        Command::Migrate(options) => run(options, migrate),
        Command::Doctor { options, output } => {
            return doctor(options, output).unwrap_or_else(|error| {
                complain(&error);
                // Apart from what is unsafe.
                ExitCode::from(2)
            });
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a program that cannot start says so to its user")]
fn complain(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

fn run(
    options: Options,
    work: impl AsyncFnOnce(Config) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let config = Config::load(options.config.as_deref(), options.flags)?;
    runtime::build(config.threads)?.block_on(work(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let telemetry = telemetry::start(&config.telemetry)?;
    let told = saga_serve::asked_to_stop()?;
    tokio::pin!(told);
    let orchestrator = tokio::select! {
        started = Orchestrator::start(config) => started?,
        // Whatever it waits for: nothing was accepted yet.
        () = &mut told => {
            telemetry.stop();
            return Ok(());
        }
    };
    tracing::info!(address = %orchestrator.local_addr()?, "listening");
    if let Some(address) = orchestrator.operator_addr()? {
        tracing::info!(%address, "listening for operators");
    }
    if let Some(address) = orchestrator.ops_addr() {
        tracing::info!(%address, "listening for the machinery");
    }
    let served = orchestrator.run(told).await;
    telemetry.stop();
    served
}

#[expect(clippy::print_stdout, reason = "the report is what was asked for")]
fn doctor(options: Options, output: Output) -> anyhow::Result<ExitCode> {
    let config = Config::load(options.config.as_deref(), options.flags)?;
    let report = runtime::build(config.threads)?.block_on(doctor::examine(&config))?;
    match output {
        Output::Text => print!("{}", report.as_text()),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(if report.safe { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn migrate(config: Config) -> anyhow::Result<()> {
    let allow_insecure = config.allow_insecure_database;
    let options = OpenOptions { migrate: true, allow_insecure, ..OpenOptions::default() };
    saga_log::open(&config.log, options).await?;
    Ok(())
}
