//! `cargo demo`: the command line of the demo.

use std::{
    fs::File,
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Mutex,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use saga_demo::{
    Demo, Options, Progress,
    books::Earlier,
    faults::Faults,
    summary::{Paint, Summary},
};
use tokio::{signal::ctrl_c, sync::watch};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Runs a whole shop in one process, and places and cancels orders in it while things go
/// wrong: an orchestrator, three gRPC services and a simulator of a payment provider, on SQLite.
/// Then reads everybody's books and tells whether money and stock are where they belong.
///
/// Ends with status 1 if they are not.
#[derive(Debug, Parser)]
#[command(name = "cargo demo", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The orchestrator that `--kill-orchestrator` kills.
    #[command(name = saga_demo::CHILD_COMMAND, hide = true)]
    Orchestrator {
        /// Its configuration.
        config: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Flags {
    /// Place the orders of this file, one JSON object a line, `.gz` allowed. Without it,
    /// 300 orders with the shape of a real shop's are made from the seed.
    ///
    /// Credit notes in the file (`"kind":"cancel"`) are replayed behind the orders before
    /// them: a whole order is cancelled by the saga cancel-order, single lines by
    /// cancel-order-item. A credit note names no order; it is taken for the newest earlier
    /// order of its customer that has most of its lines (same item, quantity and price, not
    /// given back yet). Lines that are on no such order are passed over, and counted.
    #[arg(long, value_name = "FILE")]
    orders: Option<PathBuf>,

    /// Sell the items of this file: name, price, and as much stock as `units_ordered` says.
    /// An order is always charged at these prices. Without it the first order with an item
    /// tells its price, and there is enough of everything.
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,

    /// Place this many orders at most, and carry out the credit notes between them.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Orders and credit notes that are under way at the same time.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = at_least_1)]
    concurrency: usize,

    /// How much goes wrong. `light`: some payments are declined, some replies are lost
    /// after the commit, some answers are 503, some are slow. `heavy`: all of that more
    /// often, connections that are cut, and requests that arrive too late.
    #[arg(long, value_enum, default_value_t)]
    faults: Faults,

    /// Where the orchestrator keeps its log: a path of SQLite, or
    /// `postgres://USER@HOST:PORT/NAME`. For PostgreSQL the demo makes the databases
    /// NAME_log, NAME_inventory, NAME_order and NAME_payment, fresh for each run; it only
    /// ever removes databases that it made itself, and never touches NAME.
    #[arg(long, value_name = "URL")]
    log: Option<String>,

    /// Makes orders and faults. The same seed makes the same orders and payments.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Run the orchestrator as a process of its own and kill it this often with SIGKILL,
    /// spread over the run. It is started again at once.
    #[arg(long, value_name = "N", default_value_t = 0)]
    kill_orchestrator: u32,

    /// The folder of the run: books, logs and configuration. Files that an earlier run
    /// made there are removed, and no others.
    #[arg(long, value_name = "DIR", default_value = ".saga")]
    data: PathBuf,

    /// Go on with the interrupted run in the folder. Give the same flags as then.
    #[arg(long)]
    resume: bool,

    /// The orchestrator's port. Inventory, payment, order and provider follow at +11 to
    /// +14. A port that is taken is replaced by a free one; 0 takes free ones for all.
    #[arg(long, value_name = "PORT", default_value_t = 7400)]
    port_base: u16,

    /// Print the summary as one JSON object.
    #[arg(long)]
    json: bool,

    /// End after the summary. Without it everything keeps serving until Ctrl-C.
    #[arg(long)]
    exit: bool,
}

fn at_least_1(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| 1 <= *number).ok_or("write a number from 1".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Some(Command::Orchestrator { config }) => child(config).await.map(|()| true),
        None => Box::pin(demo(cli.flags)).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            talk(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn child(config: &Path) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(filter())
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    saga_demo::child(config).await
}

/// Returns whether the run was sound.
async fn demo(flags: Flags) -> anyhow::Result<bool> {
    std::fs::create_dir_all(&flags.data)
        .with_context(|| format!("{}: the folder cannot be made", flags.data.display()))?;
    let log = File::create(flags.data.join("demo.log")).context("demo.log")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter())
        .with_writer(Mutex::new(log))
        .with_ansi(false)
        .init();

    let program = std::env::current_exe().context("the path of this program")?;
    let mut demo = Demo::start(options(&flags, program)).await?;
    if !flags.json {
        announce(&demo);
    }
    let summary = place_orders(&mut demo, &flags).await;
    let summary = match summary {
        Ok(Some(summary)) => summary,
        Ok(None) => {
            demo.stop().await?;
            return Ok(false);
        }
        Err(error) => {
            demo.stop().await?;
            return Err(error);
        }
    };
    show(&summary, flags.json)?;
    if summary.interrupted {
        talk("interrupted: what was accepted has ended; add --resume to place the rest");
    } else if !flags.exit {
        talk("serving until Ctrl-C; `--exit` ends after the summary");
        talk(&by_hand(&demo));
        ctrl_c().await.context("Ctrl-C")?;
    }
    demo.stop().await?;
    Ok(summary.is_sound())
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"))
}

fn options(flags: &Flags, program: PathBuf) -> Options {
    Options {
        data: flags.data.clone(),
        orders: flags.orders.clone(),
        items: flags.items.clone(),
        limit: flags.limit,
        concurrency: flags.concurrency,
        faults: flags.faults,
        log: flags.log.clone(),
        seed: flags.seed,
        port_base: flags.port_base,
        earlier: if flags.resume { Earlier::Resumed } else { Earlier::Removed },
        kills: flags.kill_orchestrator,
        program,
    }
}

/// Places the orders under a progress bar. The first Ctrl-C lets what was accepted end;
/// with the second one nobody waits for it, and there is no summary.
async fn place_orders(demo: &mut Demo, flags: &Flags) -> anyhow::Result<Option<Summary>> {
    let stop = CancellationToken::new();
    let (progress, watched) = watch::channel(Progress::default());
    let bar = ProgressBar::with_draw_target(Some(demo.errands()), target(flags.json));
    let style = "  {bar:40} {pos}/{len} in {elapsed}  {msg}";
    bar.set_style(ProgressStyle::with_template(style).context("the progress bar")?);
    let drawing = tokio::spawn(draw(bar.clone(), watched));
    let interrupted = async {
        ctrl_c().await.context("Ctrl-C")?;
        stop.cancel();
        bar.suspend(|| talk("stopping; what is under way comes to its end. Ctrl-C again: now"));
        ctrl_c().await.context("Ctrl-C")?;
        let Progress { begun, ended, .. } = *progress.borrow();
        let open = begun - ended;
        bar.suspend(|| talk(&format!("{open} are open; --resume goes on with them")));
        anyhow::Ok(())
    };
    let summary = tokio::select! {
        summary = demo.place_orders(&progress, &stop) => summary.map(Some),
        interrupted = interrupted => interrupted.map(|()| None),
    };
    drawing.abort();
    bar.finish_and_clear();
    summary
}

fn target(json: bool) -> ProgressDrawTarget {
    if json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() }
}

async fn draw(bar: ProgressBar, mut progress: watch::Receiver<Progress>) {
    bar.enable_steady_tick(Duration::from_millis(100));
    while progress.changed().await.is_ok() {
        let Progress { ended, completed, compensated, given_back, .. } = *progress.borrow();
        bar.set_position(ended);
        let orders = format!("orders: {completed} completed, {compensated} compensated");
        bar.set_message(format!("{orders}; credit notes: {given_back}"));
    }
}

fn announce(demo: &Demo) {
    let addresses = demo.addresses();
    let books = demo.books();
    for note in demo.notes() {
        talk(&format!("  {note}"));
    }
    talk(&format!(
        "  grpc {}   inventory :{}   payment :{}   order :{}   provider :{}",
        demo.listen(),
        addresses.inventory.port(),
        addresses.payment.port(),
        addresses.order.port(),
        addresses.simulator.port(),
    ));
    talk(&format!("  books and logs in {}", books.folder.display()));
}

/// One command that places an order, to be pasted where the demo was started.
fn by_hand(demo: &Demo) -> String {
    let order_no = saga_demo::example::order_no(1);
    format!(
        "to place an order by hand, in another terminal (examples/README.md tells the other sagas):\n\n  \
         cargo run -p sagactl -- --address {} saga start place-order --key {order_no} --input \
         @examples/place-order.json --wait 10s\n",
        demo.listen(),
    )
}

fn show(summary: &Summary, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, summary).context("standard output")?;
        writeln!(out).context("standard output")?;
    } else {
        let coloured = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let paint = if coloured { Paint::Colour } else { Paint::Plain };
        write!(out, "\n{}\n", summary.table(paint)).context("standard output")?;
    }
    Ok(())
}

/// Data goes to standard output, talk to standard error.
#[expect(clippy::print_stderr, reason = "this is where the demo talks to its user")]
fn talk(line: &str) {
    eprintln!("{line}");
}
