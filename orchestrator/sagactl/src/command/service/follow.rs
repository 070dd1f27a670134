//! Follows a check while it runs: shows how far it is, restarts what it is asked to restart,
//! and stops it where the person wants that or the time is over.

use std::{
    future::pending,
    io,
    pin::pin,
    process::{Command, Stdio},
    time::Duration,
};

use saga_proto::saga::v1::{
    CheckParticipantResponse, run_participant_check_response::Said as Told,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};

use super::progress::Progress;
use crate::{client::RunningCheck, exit::Exit, failure::Failure, look::plain, session::Session};

/// How long a check may take where `--timeout` does not say; a person who restarts
/// something takes longer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(600);
const PERSON_TIMEOUT: Duration = Duration::from_secs(3_600);

/// How a participant is restarted.
#[derive(Debug)]
pub(super) enum Restart {
    /// By this command.
    Run(String),
    /// By somebody else.
    Wait,
}

/// A check that has ended.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) reply: CheckParticipantResponse,
    /// Whether it came to its own end.
    pub(super) ended: Result<(), Failure>,
}

/// Follows a check to its end.
///
/// # Errors
///
/// There is no report: the check could not be made, or nobody waits for its report any more.
pub(super) async fn follow(
    session: &Session,
    doing: &str,
    mut running: RunningCheck,
    restart: Option<Restart>,
) -> Result<Followed, Failure> {
    let default = match restart {
        Some(Restart::Wait) => PERSON_TIMEOUT,
        Some(Restart::Run(_)) | None => CHECK_TIMEOUT,
    };
    let limit = session.timeout.unwrap_or(default);
    // From here on Ctrl-C ends the check, and not this program.
    let mut interrupts = signal(SignalKind::interrupt())
        .map_err(|error| Failure { why: error.to_string(), ..stopped("") })?;
    let mut over = pin!(tokio::time::sleep(limit));
    let mut ended = Ok(());
    let mut restarting = None;
    let mut progress = Progress::begin();
    loop {
        tokio::select! {
            told = running.next() => match told? {
                Told::Progress(it) => progress.show(&it),
                Told::RestartWanted(it) => {
                    progress.clear();
                    restarting = begin(session, &plain(&it.participant), restart.as_ref());
                }
                Told::Done(reply) => {
                    progress.clear();
                    return Ok(Followed { reply, ended });
                }
            },
            restarted = outcome(&mut restarting) => {
                restarting = None;
                match restarted {
                    Ok(()) => running.restarted(),
                    Err(failure) if ended.is_ok() => {
                        ended = Err(failure);
                        running.stop();
                    }
                    Err(_) => {}
                }
            }
            Some(()) = interrupts.recv() => {
                progress.clear();
                if ended.is_err() {
                    return Err(stopped("the server undoes what is under way"));
                }
                ended = Err(stopped("what was under way is undone"));
                session.say("stopping: what is under way is undone. Ctrl-C again leaves at once");
                running.stop();
            }
            () = &mut over, if ended.is_ok() => {
                progress.clear();
                ended = Err(Failure::timed_out(doing, limit.as_millis()));
                session.say("out of time: what is under way is undone");
                running.stop();
            }
        }
    }
}

/// Begins the restart that was asked for. `None`: somebody else does it, and the check sees
/// it by itself.
fn begin(
    session: &Session,
    participant: &str,
    restart: Option<&Restart>,
) -> Option<JoinHandle<Result<(), Failure>>> {
    let Some(Restart::Run(command)) = restart else {
        session.say(&format!(
            "Restart {participant} now. The check goes on as soon as it has been away and is \
             back; Ctrl-C stops it."
        ));
        return None;
    };
    session.say(&format!("restarting {participant}: {command}"));
    let command = command.clone();
    Some(tokio::task::spawn_blocking(move || run(&command)))
}

/// Runs a command of the person's shell. Standard output is for the report.
fn run(command: &str) -> Result<(), Failure> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(io::stderr());
    let why = match shell.status() {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    Err(Failure {
        exit: Exit::Error,
        what: "the participant was not restarted, so the check was stopped".to_owned(),
        code: None,
        why: format!("--restart-cmd: {why}"),
        remedies: Vec::new(),
    })
}

/// How the restart that is under way ended. Never, where none is.
async fn outcome(restarting: &mut Option<JoinHandle<Result<(), Failure>>>) -> Result<(), Failure> {
    match restarting {
        // A command that crashed this program's thread has not restarted anything for sure;
        // the check finds out whether it has.
        Some(handle) => handle.await.unwrap_or(Ok(())),
        None => pending().await,
    }
}

fn stopped(why: &str) -> Failure {
    Failure {
        exit: Exit::Error,
        what: "the check was stopped".to_owned(),
        code: None,
        why: why.to_owned(),
        remedies: Vec::new(),
    }
}
