//! `sagactl service`.

use clap::{Args, Subcommand};

use super::{Actor, Consent};

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// List the participants, as the node that answers sees them.
    #[command(visible_alias = "ls")]
    List,
    /// Show one participant: whether it is called, how many calls are out, and what people have
    /// decided about it.
    Describe {
        /// Name of the participant in the server's configuration.
        participant: String,
    },
    /// Have nobody call a participant, on any node and over restarts, until it is resumed.
    ///
    /// No step, no compensation and no inquiry leaves. Sagas that need it wait; their deadlines
    /// and timers go on. Calls that are out come to their end.
    Pause(ServiceAct),
    /// Have a participant called again. Sagas that wait for it come in growing waves.
    Resume(ServiceAct),
    /// Set how many calls to a participant may be out at the same time, of all nodes together.
    ///
    /// It holds on all nodes and over restarts, instead of what their configuration says.
    Limit(ServiceLimit),
    /// Check whether a running participant keeps the reply contract.
    ///
    /// IT MAKES REAL CALLS. Each step of the participant in the definition is driven through
    /// each rule: duplicates, late originals, early compensations, inquiries. Each time the
    /// steps before it run for real, and what was done is compensated afterwards. What has no
    /// compensation stays, and is listed. Use it on a test system, or with an input that may
    /// take effect.
    ///
    /// PASS is said of what was seen. Whether an effect happened, happened twice or was undone
    /// is seen in a number of the participant's data, which --observe names; without it those
    /// rules are NOT OBSERVED. What outlives a restart is seen with --restart-cmd or
    /// --pause-for-restart.
    ///
    /// Ctrl-C stops it: what is under way is undone, and the report says what was found.
    ///
    /// Exits with 0 where no rule is broken, 1 where one is, or with --strict where one was not
    /// observed or not checked.
    Check(ServiceCheck),
    /// Write a new service that takes part in sagas, to begin with.
    ///
    /// In Rust it is built with the kit; in Python it is the whole contract on SQLite, in one file.
    /// Both have an operation, what undoes it, and a query: rename them to what yours does. No
    /// server is needed. A folder that is there already is left alone.
    New(ServiceNew),
}

#[derive(Debug, Args)]
pub(crate) struct ServiceNew {
    /// Its name, such as `shipping`: small letters, digits and `-`. The folder is called so too.
    pub(crate) name: String,
    /// The language.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    pub(crate) lang: Language,
    /// The package of its contract [default: NAME.v1].
    #[arg(long)]
    pub(crate) package: Option<String>,
    /// The kit: the folder orchestrator/saga-participant of a checkout of Amends.
    #[arg(long, value_name = "FOLDER", required_if_eq("lang", "rust"))]
    pub(crate) kit: Option<std::path::PathBuf>,
    /// The folder in which it is made.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) into: std::path::PathBuf,
}

/// A language that services are begun in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    Rust,
    Python,
}

#[derive(Debug, Args)]
pub(crate) struct ServiceAct {
    /// Name of the participant in the server's configuration.
    pub(crate) participant: String,
    /// Why. It is kept.
    #[arg(long)]
    pub(crate) reason: String,
    /// Makes a repeated command the same request [default: a new UUID].
    #[arg(long)]
    pub(crate) request_id: Option<String>,
    /// Only if the participant is still in this version, which `service describe` shows [default:
    /// the one that is shown before the question; with --yes whatever it is].
    #[arg(long, value_name = "VERSION")]
    pub(crate) expected_version: Option<u64>,
    #[command(flatten)]
    pub(crate) actor: Actor,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Args)]
pub(crate) struct ServiceLimit {
    #[command(flatten)]
    pub(crate) act: ServiceAct,
    /// Calls at the same time. To have none at all, pause it.
    #[arg(long, value_name = "CALLS", value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(required_unless_present = "as_configured", conflicts_with = "as_configured")]
    pub(crate) calls: Option<u32>,
    /// What the nodes' configuration says, as before.
    #[arg(long)]
    pub(crate) as_configured: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServiceCheck {
    /// Name of the participant in the server's configuration.
    pub(crate) participant: String,
    /// Name of a registered definition that calls it, or a YAML file.
    #[arg(long)]
    pub(crate) definition: String,
    /// Version of the registered definition [default: the newest].
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) version: u32,
    /// An input in proto-JSON that is accepted: a file, or `-` for standard input. `{n}` in its
    /// strings stands for a number of its own in each saga of the check, so that order numbers
    /// and provider keys differ.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: String,
    /// An input that the steps of the participant refuse. Without it the rules about refusals
    /// are not checked.
    #[arg(long, value_name = "FILE")]
    pub(crate) refused_input: Option<String>,
    /// The first of these numbers, where what they name has to exist beforehand, such as
    /// payments; a step takes at most 64 [default: numbers that were never used].
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) first_number: u64,
    /// A method that only reads, whose reply holds a number that an effect of the participant
    /// moves and its undo moves back: `Method` of the service under test,
    /// `package.Service/Method`, or `participant/package.Service/Method`. It is read before and
    /// after each rule. Nobody else should use the service meanwhile.
    #[arg(long, value_name = "METHOD", requires = "observe_field")]
    pub(crate) observe: Option<String>,
    /// Its request in proto-JSON: a file, or JSON. `{n}` as in the input [default: {}].
    #[arg(long, value_name = "JSON", requires = "observe")]
    pub(crate) observe_input: Option<String>,
    /// The field of its reply, such as `balance` or `stock[0].on_hand`: a number, or a list or
    /// map, which counts as its length.
    #[arg(long, value_name = "FIELD", requires = "observe")]
    pub(crate) observe_field: Option<String>,
    /// Restarts the participant, once, between calls and their repeats: run by the shell, and
    /// done when the participant is on its way up.
    #[arg(long, value_name = "COMMAND", conflicts_with = "pause_for_restart")]
    pub(crate) restart_cmd: Option<String>,
    /// Says when to restart the participant, and goes on as soon as it has been away and is
    /// back. Needs no terminal.
    #[arg(long)]
    pub(crate) pause_for_restart: bool,
    /// Exit with 1 also where a rule was not observed or not checked.
    #[arg(long)]
    pub(crate) strict: bool,
    #[command(flatten)]
    pub(crate) consent: Consent,
}
