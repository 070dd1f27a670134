//! The command line of the simulator.

use std::{io::Write, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{DuplicateOrders, FaultMix, Simulator, SimulatorConfig};

#[derive(Parser)]
#[command(name = "payment-svc", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A payment provider to develop and test against. It speaks the wires of Toss Payments
    /// and of PortOne V1, and keeps real books.
    ///
    /// Everybody who reaches its port may open payments, plan faults and move its clock,
    /// under /simulator/v1. Any secret key that begins with test_sk_ or live_sk_ is taken, and
    /// any imp_secret that begins with imp_secret_.
    Simulator(Options),
}

#[derive(Args)]
struct Options {
    /// Where to listen. Port 0 takes a free one; the address is printed.
    #[arg(long, default_value = "127.0.0.1:7414", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The file of its books. It is made where it is absent.
    #[arg(long, default_value = "simulator.db", value_name = "FILE")]
    ledger: PathBuf,
    /// Currency of every payment.
    #[arg(long, default_value = "KRW")]
    currency: String,
    /// Random faults of payments that bring no script of their own.
    #[arg(long, value_enum, default_value = "none")]
    faults: Faults,
    /// Chooses which payments meet a fault.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Capture a second payment of an order that is paid, instead of refusing it.
    #[arg(long)]
    capture_duplicates: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Faults {
    /// No fault.
    None,
    /// Some of everything that a good week has.
    Light,
    /// A bad day.
    Heavy,
}

/// The whole of `payment-svc simulator`.
#[expect(clippy::print_stderr, reason = "the error of a command goes to the terminal")]
pub fn main() -> ExitCode {
    let Command::Simulator(options) = Cli::parse().command;
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start of the runtime")
        .and_then(|runtime| runtime.block_on(run(options)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("payment-svc simulator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> anyhow::Result<()> {
    let Options { listen, ledger, seed, .. } = &options;
    let config = SimulatorConfig {
        currency: options.currency.clone(),
        mix: match options.faults {
            Faults::None => FaultMix::default(),
            Faults::Light => FaultMix::light(*seed),
            Faults::Heavy => FaultMix::heavy(*seed),
        },
        duplicate_orders: match options.capture_duplicates {
            true => DuplicateOrders::Captured,
            false => DuplicateOrders::Refused,
        },
    };
    let simulator = Simulator::open(ledger, config)
        .await
        .with_context(|| format!("--ledger {}", ledger.display()))?;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("--listen {listen}: choose a free port of this machine"))?;
    // For the program that started this one: it learns the port, and that we listen.
    let address = listener.local_addr().context("read the address")?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "listening on http://{address}").context("write to stdout")?;
    drop(stdout);

    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    simulator.serve(listener, shutdown).await.context("serve")?;
    simulator.close().await;
    Ok(())
}
