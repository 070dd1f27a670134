//! The commands, a module for each noun.

use clap::CommandFactory;

use crate::{
    cli::{Cli, Command},
    exit::Exit,
    failure::Failure,
    pages::{self, Page},
    session::Session,
};

mod change;
mod context;
mod definition;
mod drawn;
mod log;
mod offline;
mod prove;
mod rehearse;
mod saga;
mod server;
mod service;
mod signal;
mod start;

/// Runs one command.
///
/// # Errors
///
/// What the person is told, and the exit code. Whether the server did something is said in
/// the failure's text.
pub(crate) fn run(session: &mut Session, cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        Command::Completion { shell } => completion(session, shell),
        Command::Help { topic } => help(session, &topic),
        Command::Context(command) => context::run(session, command),
        command => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Failure {
                exit: Exit::Error,
                what: "cannot start".to_owned(),
                code: None,
                why: error.to_string(),
                remedies: Vec::new(),
            })?;
            runtime.block_on(ask(session, command))
        }
    }
}

async fn ask(session: &Session, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Saga(command) => Box::pin(saga::run(session, command)).await,
        Command::Stuck(which) => saga::stuck(session, &which).await,
        Command::Causes(which) => saga::causes(session, &which).await,
        Command::Definition(command) => definition::run(session, command).await,
        Command::Service(command) => service::run(session, command).await,
        Command::Log(command) => log::run(session, command).await,
        Command::Server(command) => server::run(session, command).await,
        Command::Completion { .. } | Command::Context(_) | Command::Help { .. } => Ok(Exit::Ok),
    }
}

fn completion(session: &Session, shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sagactl", &mut script);
    session.write(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}

fn help(session: &Session, topic: &[String]) -> Result<Exit, Failure> {
    match topic {
        [] => session.write(&Cli::command().render_long_help().to_string())?,
        [word] if word == "codes" => session.write(&index())?,
        words => session.write(&explained(words)?)?,
    }
    Ok(Exit::Ok)
}

/// A line for each reason code.
fn index() -> String {
    let is_code = |page: &Page| !page.topic.contains(|it: char| it.is_ascii_lowercase());
    let codes = pages::all().filter(is_code);
    codes.map(|page| format!("{:26} {}\n", page.topic, page.summary())).collect()
}

fn explained(words: &[String]) -> Result<String, Failure> {
    if let [word] = words
        && let Some(page) = pages::page(word)
    {
        return Ok(format!("{}\n\n{}\n", page.topic, page.text));
    }
    let mut command = Cli::command();
    command.build(); // Only then does an inner command know what is typed before it.
    for word in words {
        let Some(inner) = command.find_subcommand(word) else {
            let what = format!("there is no page about {:?}", words.join(" "));
            return Err(Failure::usage(what, "sagactl help codes"));
        };
        command = inner.clone();
    }
    Ok(command.render_long_help().to_string())
}
