//! What can be typed.

use std::{env, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use saga_proto::saga::v1::SagaName;

use crate::{
    failure::Failure,
    name::{BusinessKey, business_key, saga_name},
};

mod change;
mod context;
mod definition;
mod list;
mod login;
mod service;

pub(crate) use change::{Actor, Cancel, Close, Consent, Once, Renew, Retry, Settle, Signal};
pub(crate) use context::ContextCommand;
pub(crate) use definition::{Apply, DefinitionCommand, Diff, Graph, GraphFormat, Prove, Rehearse};
pub(crate) use list::{Causes, List};
pub(crate) use login::{Login, Tls};
pub(crate) use service::{
    Language, ServiceAct, ServiceCheck, ServiceCommand, ServiceLimit, ServiceNew,
};

/// The operator's command line of the saga engine.
#[derive(Debug, Parser)]
#[command(
    name = "sagactl",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Pages: sagactl help exit-codes | states | outcomes | on-unknown | names | codes | CODE"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    #[command(flatten)]
    pub(crate) login: Login,
    /// How the reply is written to standard output.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// How long to wait for an answer, as in `500ms` or `2m` [default: 10s]. For `saga wait`:
    /// for the saga [default: without end]. For `service check`: for the check [default: 10m,
    /// or 1h with --pause-for-restart]; it is stopped then, and reports.
    #[arg(long, global = true, value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Colours. `auto`: on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// Marks in ASCII only.
    #[arg(long, global = true)]
    pub(crate) ascii: bool,
    /// Times in full, in UTC, instead of relative to now.
    #[arg(long, global = true)]
    pub(crate) utc: bool,
}

/// How a reply is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// The same with more columns, such as ids.
    Wide,
    /// The reply of the RPC in canonical proto-JSON.
    Json,
    /// The same, a line for each row.
    Jsonl,
    /// The same as `json`, written as YAML.
    Yaml,
    /// Only the ids.
    Id,
}

/// When colours are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start sagas, see where they stand, act on one.
    #[command(subcommand)]
    Saga(SagaCommand),
    /// What needs a person, grouped by cause, and what waits while nobody is needed yet.
    Stuck(Causes),
    /// What holds sagas up, a line for each cause, whether or not anybody is needed yet.
    Causes(Causes),
    /// Definitions of sagas.
    #[command(subcommand)]
    Definition(DefinitionCommand),
    /// Participants: the services that sagas call.
    #[command(subcommand)]
    Service(ServiceCommand),
    /// The log in which all sagas are kept.
    #[command(subcommand)]
    Log(LogCommand),
    /// The orchestrator itself.
    #[command(subcommand)]
    Server(ServerCommand),
    /// Orchestrators by name, and who you are there.
    #[command(subcommand)]
    Context(ContextCommand),
    /// Write the completion script of a shell to standard output.
    Completion { shell: clap_complete::Shell },
    /// Explain a command, a reason code, or a part of the model.
    Help {
        /// `exit-codes`, `states`, `outcomes`, `on-unknown`, `names`, `codes`, a reason code, or a
        /// command.
        topic: Vec<String>,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SagaCommand {
    /// Start a saga, or find the one that was started with the same key and input.
    Start(Start),
    /// List sagas, newest first.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show sagas, a line each.
    Get(Names),
    /// Explain a saga: why it stands where it stands, its calls, and what you can do.
    Describe(Names),
    /// Show the history of a saga, oldest first.
    Log(SagaLog),
    /// Wait for the end of a saga. Exits with 0 completed, 8 compensated or closed, 9 stuck,
    /// 7 not ended in time.
    Wait(Names),
    /// Ask a saga to turn back: what was applied is undone. Exits with 0 it turns back, 6 it
    /// has passed its pivot or had ended, 7 that is not decided yet.
    ///
    /// It does not turn back where it has passed its pivot. While the pivot's call is out
    /// nobody knows; `--wait` waits for that. There is no way forward again.
    Cancel(Cancel),
    /// Make the call that waits, or ask for its outcome, now instead of later.
    ///
    /// The operation id stays the same, so the participant does nothing twice.
    Retry(Retry),
    /// Give a saga the signal that one of its steps waits for, such as an approval.
    ///
    /// The first signal counts; there is no second one. It may come before the step begins
    /// to wait. `saga describe` names what a saga waits for.
    Signal(Signal),
    /// Settle a call whose outcome stays unknown, after you looked at the participant.
    ///
    /// The saga goes on as if the participant had said so. Your name and reason are kept in
    /// its log. There is no way back.
    Settle(Settle),
    /// Have a refused call made again as another operation, under an id of its own.
    ///
    /// What a participant has on record as refused stays refused under its id. Taken only where
    /// the old one surely was not done, and where there is no turning back from it: behind the
    /// pivot, or for a compensation.
    Renew(Renew),
    /// End a saga as it is, without another call.
    ///
    /// What stands is left behind: somebody has to care for it. Your name and reason are kept in
    /// its log. There is no way back.
    Close(Close),
}

impl SagaCommand {
    /// The sagas that it is about, as they were typed. `None`: it names none.
    pub(crate) fn names(&self) -> Option<&[String]> {
        match self {
            Self::Start(_) | Self::List(_) => None,
            Self::Get(named) | Self::Describe(named) | Self::Wait(named) => Some(&named.names),
            Self::Log(log) => Some(&log.sagas.names),
            Self::Cancel(cancel) => Some(&cancel.sagas.names),
            Self::Retry(retry) => Some(&retry.sagas.names),
            Self::Close(close) => Some(&close.sagas.names),
            Self::Signal(_) | Self::Settle(_) | Self::Renew(_) => None,
        }
    }

    /// The same about one saga.
    pub(crate) fn of_one(&self, name: &str) -> Self {
        let mut one = self.clone();
        match &mut one {
            Self::Get(named) | Self::Describe(named) | Self::Wait(named) => named.keep(name),
            Self::Log(log) => log.sagas.keep(name),
            Self::Cancel(cancel) => cancel.sagas.keep(name),
            Self::Retry(retry) => retry.sagas.keep(name),
            Self::Close(close) => close.sagas.keep(name),
            Self::Start(_) | Self::List(_) => {}
            Self::Signal(_) | Self::Settle(_) | Self::Renew(_) => {}
        }
        one
    }

    /// The one saga that it is about.
    ///
    /// # Errors
    ///
    /// The name is none.
    pub(crate) fn about(&self) -> Result<Option<SagaName>, String> {
        match (self, self.names()) {
            (Self::Signal(signal), _) => Ok(Some(signal.saga.name.clone())),
            (Self::Settle(settle), _) => Ok(Some(settle.saga.name.clone())),
            (Self::Renew(renew), _) => Ok(Some(renew.saga.name.clone())),
            (_, Some([name])) => saga_name(name).map(Some),
            _ => Ok(None),
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Start {
    /// Name of a registered definition.
    pub(crate) definition: String,
    /// What makes this saga one: an order number, a request id; `namespace/key` or `key`.
    #[arg(long, value_parser = business_key)]
    pub(crate) key: BusinessKey,
    /// The input in proto-JSON: the text itself, `@FILE`, or `-` for standard input.
    #[arg(long)]
    pub(crate) input: String,
    /// Version of the definition [default: the newest].
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) version: u32,
    /// Wait for its end for so long; exits as `saga wait` does.
    #[arg(long, value_parser = duration)]
    pub(crate) wait: Option<Duration>,
}

/// Sagas, one after the other.
#[derive(Clone, Debug, Args)]
pub(crate) struct Names {
    /// Their ids, or their business keys as `namespace/key` or `key`; `-` reads them from standard
    /// input, a line each.
    #[arg(value_name = "SAGA", required = true)]
    pub(crate) names: Vec<String>,
}

impl Names {
    fn keep(&mut self, name: &str) {
        self.names = vec![name.to_owned()];
    }

    /// The first of them.
    ///
    /// # Errors
    ///
    /// It is no name.
    pub(crate) fn one(&self) -> Result<SagaName, Failure> {
        let name = self.names.first().map_or("", String::as_str);
        saga_name(name).map_err(|wrong| Failure::usage(wrong, "an id, or NAMESPACE/KEY"))
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Named {
    /// Its id, or its business key as `namespace/key` or `key`.
    #[arg(value_name = "SAGA", value_parser = saga_name)]
    pub(crate) name: SagaName,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SagaLog {
    #[command(flatten)]
    pub(crate) sagas: Names,
    /// Only so many events, the newest.
    #[arg(long, value_name = "EVENTS")]
    pub(crate) tail: Option<usize>,
    /// Go on with what comes, until the saga has ended.
    #[arg(short, long, conflicts_with = "verify")]
    pub(crate) follow: bool,
    /// Check instead that no row was changed, and none taken out of the middle. Exits with 1
    /// where one was.
    #[arg(long)]
    pub(crate) verify: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Go on with a log that went back in time, as after a restore from a backup.
    ///
    /// Until then nothing is started or taken over. What the log lost is lost: its effects
    /// stand at the participants. Your name and reason are kept in the log. There is no way
    /// back.
    AcknowledgeRestore(AcknowledgeRestore),
}

#[derive(Debug, Args)]
pub(crate) struct AcknowledgeRestore {
    /// What was restored, and why, for the log.
    #[arg(long)]
    pub(crate) reason: String,
    /// It was restored, and nobody has noticed: no participant that keeps marks was called in what
    /// is lost.
    #[arg(long)]
    pub(crate) unnoticed: bool,
    #[command(flatten)]
    pub(crate) once: Once,
    #[command(flatten)]
    pub(crate) actor: Actor,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Args)]
pub(crate) struct File {
    /// A YAML file, or `-` for standard input.
    #[arg(value_name = "FILE", required_unless_present = "file")]
    argument: Option<String>,
    /// The same, as it is given elsewhere.
    #[arg(short, long, conflicts_with = "argument")]
    file: Option<String>,
}

impl File {
    /// The name of the file. Empty where there is none, which clap refuses.
    pub(crate) fn name(&self) -> &str {
        self.argument.as_deref().or(self.file.as_deref()).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Show the version, the log, and how full the server is.
    Info,
    /// Ask whether the server serves. Exits with 0 only where it does.
    Health,
}

/// What a variable says, where it says something.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|it| !it.is_empty())
}

/// Reads `500ms`, `10s`, `1m 30s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let is_number = !text.is_empty() && text.chars().all(|it| it.is_ascii_digit());
    if is_number {
        return Err(format!("{text} of what? write {text}s, {text}ms or {text}m"));
    }
    let span: Result<jiff::Span, _> = text.parse();
    let signed = span.and_then(|it| it.to_duration(jiff::SpanRelativeTo::days_are_24_hours()));
    let signed =
        signed.map_err(|_| "not a span of time, such as 10s, 500ms, 1m 30s or 30d".to_owned())?;
    Duration::try_from(signed).map_err(|_| "a span of time is not negative".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(duration("10"), Err("10 of what? write 10s, 10ms or 10m".to_owned()));
        assert!(duration("soon").unwrap_err().contains("such as 10s"));
        assert!(duration("-1s").is_err());
    }
}
