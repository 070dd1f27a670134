//! The command line of a service: `serve` and `migrate`.

use std::{io::IsTerminal as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use saga_serve::Ops;
use tracing_subscriber::{
    EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use saga_tls::Strangers;

use super::{
    Server, Wire,
    config::{Config, LogConfig, LogFormat, Service, Sources},
};
use crate::{database::Database, schema};

#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT. Refuses a database schema that it does not know.
    Serve {
        /// Bring the tables up to date first.
        #[arg(long)]
        migrate: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Bring the tables up to date, and end. Changes nothing where they are.
    Migrate {
        #[command(flatten)]
        settings: Settings,
    },
}

#[derive(Args, Debug)]
struct Settings {
    /// Configuration file, TOML. Environment variables and flags override it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen, such as 0.0.0.0:50051.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The service's own database: postgres://USER@HOST/NAME or sqlite://PATH.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Any other key of the configuration, such as server.drain_max_ms=5000.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

impl Settings {
    fn read<S: Service>(&self) -> anyhow::Result<Config<S::Config>> {
        let mut flags = self.set.clone();
        if let Some(listen) = self.listen {
            flags.push(("listen".to_owned(), listen.to_string()));
        }
        if let Some(url) = &self.database_url {
            flags.push(("database_url".to_owned(), url.clone()));
        }
        let by_env = std::env::var_os(format!("{}CONFIG", S::ENV_PREFIX)).map(PathBuf::from);
        let file = self.config.clone().or(by_env);
        Config::read(&Sources {
            file: file.as_deref(),
            env_prefix: S::ENV_PREFIX,
            listen_default: S::LISTEN_DEFAULT,
            flags: &flags,
        })
    }
}

/// The whole of a service's binary.
#[expect(clippy::print_stderr, reason = "the error of a command goes to the terminal")]
pub fn main<S: Service>() -> ExitCode {
    saga_serve::prepare_process();
    let command = Cli::command().name(S::NAME).about(S::ABOUT);
    let cli = match Cli::from_arg_matches(&command.get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start of the runtime")
        .and_then(|runtime| runtime.block_on(Box::pin(run::<S>(cli.command))));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", S::NAME);
            ExitCode::FAILURE
        }
    }
}

async fn run<S: Service>(command: Command) -> anyhow::Result<()> {
    let (settings, migrate, serve) = match &command {
        Command::Serve { migrate, settings } => (settings, *migrate, true),
        Command::Migrate { settings } => (settings, true, false),
    };
    let config = settings.read::<S>()?;
    start_log(&config.log)?;
    // Open before everything else, and closed behind it.
    let ops = Ops::new(S::NAME, env!("CARGO_PKG_VERSION"));
    let listen_ops = config.listen_ops.filter(|_| serve);
    let ops_port = listen_ops.map(|listen| ops.open(listen)).transpose()?;
    if let Some(port) = &ops_port {
        tracing::info!(listen_ops = %port.local_addr(), "the ops port is open");
    }
    if !config.allow_insecure_database {
        Database::check_secret(config.database_url.expose())?;
    }
    let database = Database::connect(config.database_url.expose(), config.database).await?;
    if migrate {
        let applied = schema::migrate(&database, &S::SCHEMA).await?;
        tracing::info!(migrations = applied, "schema is up to date");
    }
    if !serve {
        database.close().await;
        return Ok(());
    }
    schema::check(&database, &S::SCHEMA).await?;
    config.server.check()?;
    let wire = Wire::configured(config.tls.as_ref(), config.allow_plaintext, Strangers::KeptOut)?;
    let shows_who = config.tls.as_ref().is_some_and(|it| it.client_ca.is_some());
    anyhow::ensure!(
        config.engines.is_empty() || shows_who,
        "engines: nobody can say who they are: give tls.client_ca, or leave engines out"
    );
    let server = Server::bind(config.listen, config.server, wire)?;
    let server = server.trusting(&config.engines).with_ops(ops).describing(S::DESCRIPTORS);
    let app = S::app(database, config.service).await?;
    tracing::info!(listen = %server.local_addr(), "{} serves", S::NAME);
    server.run(app, saga_serve::asked_to_stop().context("listen for signals")?).await?;
    tracing::info!("{} has stopped", S::NAME);
    Ok(())
}

fn start_log(log: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter).with_context(|| {
        format!("log.filter is {:?}: write a level such as info, or module=level", log.filter)
    })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A file is read by programs and in editors, which show the codes of colours as they are.
    let lines = if std::io::stderr().is_terminal() { lines } else { lines.with_ansi(false) };
    let lines = match log.format {
        LogFormat::Json => lines.json().boxed(),
        LogFormat::Text => lines.boxed(),
    };
    let lines = lines.with_filter(saga_serve::Quiet::default());
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(())
}
