//! What changes a saga, and who asks for it.

use std::{fs, os::unix::fs::MetadataExt, time::Duration};

use clap::{Args, ValueEnum};
use saga_proto::saga::v1::{SettledOutcome, StepCall};
use uuid::Uuid;

use super::{Named, duration, variable};

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    pub(crate) saga: Named,
    /// Why, for the saga's log.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
    /// Wait for so long until it is decided whether the saga turns back [default: not at all].
    #[arg(long, value_parser = duration)]
    pub(crate) wait: Option<Duration>,
    #[command(flatten)]
    pub(crate) once: Once,
    #[command(flatten)]
    pub(crate) actor: Actor,
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
    pub(crate) once: Once,
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
    /// Why, for the saga's log.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) once: Once,
    #[command(flatten)]
    pub(crate) actor: Actor,
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
    /// Which call you mean: refused where another one is in question [default: the one that is].
    #[arg(long, value_enum)]
    pub(crate) call: Option<Call>,
    /// What the action replied, in proto-JSON, for later steps to read: the text itself,
    /// `@FILE`, or `-` for standard input [default: nothing].
    #[arg(long)]
    pub(crate) reply: Option<String>,
    /// How you found it out, for the saga's log.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) once: Once,
    #[command(flatten)]
    pub(crate) actor: Actor,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Args)]
pub(crate) struct Renew {
    #[command(flatten)]
    pub(crate) saga: Named,
    /// The step.
    #[arg(long)]
    pub(crate) step: String,
    /// What has changed at the participant, for the saga's log.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) once: Once,
    #[command(flatten)]
    pub(crate) actor: Actor,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Args)]
pub(crate) struct Close {
    #[command(flatten)]
    pub(crate) saga: Named,
    /// Why, and who cares for what is left behind, for the saga's log.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) once: Once,
    #[command(flatten)]
    pub(crate) actor: Actor,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

/// What makes a change happen once, and only to what was looked at.
#[derive(Debug, Args)]
pub(crate) struct Once {
    /// Makes a repeated command the same request [default: a new UUID].
    #[arg(long, value_name = "ID", default_value_t = new_id(), hide_default_value = true)]
    pub(crate) request_id: String,
    /// Only if it is still in this version, which `describe` shows; exits with 6 where it is not.
    #[arg(long, value_name = "VERSION")]
    pub(crate) expected_version: Option<u64>,
}

fn new_id() -> String {
    Uuid::now_v7().to_string()
}

#[derive(Debug, Args)]
pub(crate) struct Actor {
    /// Who acts, for the saga's log [default: USER].
    #[arg(long, default_value_t = login(), hide_default_value = true)]
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

/// One of a step's two calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Call {
    /// What the step does.
    Action,
    /// What undoes it.
    Compensation,
}

impl From<Call> for StepCall {
    fn from(call: Call) -> Self {
        match call {
            Call::Action => Self::Action,
            Call::Compensation => Self::Compensation,
        }
    }
}

impl From<Outcome> for SettledOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Applied => Self::Applied,
            Outcome::NotApplied => Self::NotApplied,
        }
    }
}

/// Who is logged in. Where the environment does not say, the number that the system knows.
fn login() -> String {
    let number = || fs::metadata("/proc/self").ok().map(|it| format!("uid {}", it.uid()));
    variable("USER").or_else(|| variable("LOGNAME")).or_else(number).unwrap_or_default()
}
