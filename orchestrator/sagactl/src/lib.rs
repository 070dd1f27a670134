//! The operator's command line of the saga engine. It speaks gRPC to an orchestrator and
//! knows nothing else of the engine.
//!
//! [`cli`] says what can be typed, and a [`connection`] which orchestrator is meant: one that is
//! typed, or a [`context`] of the person. A [`command`] asks the server through the [`client`],
//! and writes the reply through the [`session`]: as canonical proto-JSON ([`reply`]) or as
//! a [`report`], a pure function of the reply. A command that changes a saga needs a
//! [`permit`]. Data goes to standard output, talk to standard error; what went wrong is a
//! [`failure`], and how it ended an [`exit`] code. [`pages`] explains every reason code.
//!
//! Reading order: [`cli`], [`command`], [`session`], [`connection`], [`context`], [`client`], [`permit`], [`name`],
//! [`reply`], [`look`], [`report`], [`failure`], [`exit`], [`pages`].

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

mod cli;
mod client;
mod command;
mod connection;
mod context;
mod exit;
mod failure;
mod look;
mod name;
mod pages;
mod permit;
mod reply;
mod report;
mod session;
mod suggest;
mod yaml;

use crate::{cli::Cli, exit::Exit, session::Session};

/// Runs one command line, from its first word, the program's name, on.
///
/// Writes to the standard streams of the process. The exit codes are those of
/// `sagactl help exit-codes`.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = suggest::help_first(arguments.into_iter().collect());
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return misread(&error, &arguments).into(),
    };
    let mut session = Session::open(&cli.global);
    let exit = match command::run(&mut session, cli) {
        Ok(exit) => exit,
        Err(failure) => {
            session.fail(&failure);
            failure.exit
        }
    };
    exit.into()
}

/// Answers a command line that is none, and the flags that ask for help or the version.
fn misread(error: &clap::Error, arguments: &[OsString]) -> Exit {
    // Nothing is left to do where the message cannot be written.
    if !error.use_stderr() {
        let _ = error.print();
        return Exit::Ok;
    }
    match suggest::wants_json(arguments) {
        Some(output) => session::tell(&suggest::failure(error).shown(output)),
        None => {
            let _ = error.print();
            if let Some(tip) = suggest::tip(error) {
                session::tell(&tip);
            }
        }
    }
    Exit::Usage
}
