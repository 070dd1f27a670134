//! What can be typed.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use saga_proto::saga::v1::{SagaName, SagaState, SettledOutcome};

use crate::name::{BusinessKey, business_key, saga_name};

mod service;

pub(crate) use service::{ServiceCheck, ServiceCommand};

/// The operator's command line of the saga engine.
#[derive(Debug, Parser)]
#[command(
    name = "sagactl",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Pages: sagactl help exit-codes | states | outcomes | names | codes | CODE"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where the orchestrator listens.
    #[arg(long, global = true, env = "SAGACTL_ADDRESS", default_value = "http://127.0.0.1:7400")]
    pub(crate) address: String,
    /// How the reply is written to standard output.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// How long to wait for an answer, as in `500ms` or `2m` [default: 10s]. For `saga wait`:
    /// for the saga [default: without end]. For `service check`: for the check [default: 10m].
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
    /// The reply of the RPC in canonical proto-JSON.
    Json,
    /// The same, a line for each row.
    Jsonl,
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
    /// What needs a person, grouped by cause.
    Stuck {
        /// Sagas to name in each group, at most 100.
        #[arg(long, default_value_t = 10)]
        examples: u32,
    },
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
    /// Write the completion script of a shell to standard output.
    Completion { shell: clap_complete::Shell },
    /// Explain a command, a reason code, or a part of the model.
    Help {
        /// `exit-codes`, `states`, `outcomes`, `names`, `codes`, a reason code, or a command.
        topic: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SagaCommand {
    /// Start a saga, or find the one that was started with the same key and input.
    Start(Start),
    /// List sagas, newest first.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one saga in a line.
    Get(Named),
    /// Explain one saga: why it stands where it stands, its calls, and what you can do.
    Describe(Named),
    /// Show the whole history of one saga, oldest first.
    Log(SagaLog),
    /// Wait for the end of a saga. Exits with 0 completed, 8 compensated or closed, 9 stuck,
    /// 7 not ended in time.
    Wait(Named),
    /// Ask a saga to turn back: everything that was applied is undone.
    ///
    /// It does not turn back where it has passed its pivot. An unknown outcome is settled
    /// first. There is no way forward again.
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
}

#[derive(Debug, Args)]
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

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only sagas in this state.
    #[arg(long, value_enum)]
    pub(crate) state: Option<State>,
    /// Only sagas of this definition.
    #[arg(long)]
    pub(crate) definition: Option<String>,
    /// How many at most; 0 is all.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
}

/// A state to filter by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    Running,
    Compensating,
    Stuck,
    Completed,
    Compensated,
    Closed,
}

impl From<State> for SagaState {
    fn from(state: State) -> Self {
        match state {
            State::Running => Self::Running,
            State::Compensating => Self::Compensating,
            State::Stuck => Self::Stuck,
            State::Completed => Self::Completed,
            State::Compensated => Self::Compensated,
            State::Closed => Self::Closed,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its id, or its business key as `namespace/key` or `key`.
    #[arg(value_name = "SAGA", value_parser = saga_name)]
    pub(crate) name: SagaName,
}

#[derive(Debug, Args)]
pub(crate) struct SagaLog {
    #[command(flatten)]
    pub(crate) saga: Named,
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
    #[command(flatten)]
    pub(crate) actor: Actor,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    pub(crate) saga: Named,
    /// Why, for the saga's log.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    pub(crate) saga: Named,
    /// Why, for the saga's log.
    #[arg(long, default_value = "asked for with sagactl")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) actor: Actor,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Args)]
pub(crate) struct Signal {
    #[command(flatten)]
    pub(crate) saga: Named,
    /// Name of the signal.
    pub(crate) signal: String,
    /// What it says in proto-JSON: the text itself, `@FILE`, or `-` for standard input
    /// [default: nothing].
    #[arg(long)]
    pub(crate) input: Option<String>,
    /// A file with what it says, as `--input @FILE`.
    #[arg(short, long, conflicts_with = "input")]
    pub(crate) file: Option<String>,
    /// Makes a repeated command the same request [default: a new UUID].
    #[arg(long)]
    pub(crate) request_id: Option<String>,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Args)]
pub(crate) struct Settle {
    #[command(flatten)]
    pub(crate) saga: Named,
    /// The step.
    #[arg(long)]
    pub(crate) step: String,
    /// What you found out at the participant.
    #[arg(long, value_enum)]
    pub(crate) outcome: Outcome,
    /// How you found it out, for the saga's log.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) actor: Actor,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Args)]
pub(crate) struct Actor {
    /// Who acts, for the saga's log.
    #[arg(long, env = "USER", hide_env_values = true)]
    pub(crate) actor: String,
}

#[derive(Debug, Args)]
pub(crate) struct Consent {
    /// Do it without the question.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// What a person found out about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Outcome {
    /// The participant did it.
    Applied,
    /// The participant did not do it and never will.
    NotApplied,
}

impl From<Outcome> for SettledOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Applied => Self::Applied,
            Outcome::NotApplied => Self::NotApplied,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum DefinitionCommand {
    /// Check a definition and store it. A stored version never changes.
    Apply(File),
    /// Check a definition without storing it. Exits with 1 where it has errors.
    Check(File),
    /// List the newest version of each definition.
    #[command(visible_alias = "ls")]
    List,
    /// Show a stored definition as YAML.
    Get {
        /// `place-order`, or `place-order@3` for a version.
        name: String,
    },
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

/// Reads `500ms`, `10s`, `1m 30s`.
fn duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration =
        text.parse().map_err(|error: jiff::Error| error.to_string())?;
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
        assert!(duration("10").is_err());
        assert!(duration("-1s").is_err());
    }
}
