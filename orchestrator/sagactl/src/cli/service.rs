//! `sagactl service`.

use clap::{Args, Subcommand};

use super::Consent;

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Check whether a running participant keeps the reply contract.
    ///
    /// IT MAKES REAL CALLS. Each step of the participant in the definition is driven through
    /// each rule: duplicates, late originals, early compensations, inquiries. Each time the
    /// steps before it run for real, and what was done is compensated afterwards. What has no
    /// compensation stays, and is listed. Use it on a test system, or with an input that may
    /// take effect.
    ///
    /// Exits with 0 where no rule is broken, 1 where one is.
    Check(ServiceCheck),
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
    /// payments; a step takes at most 36 [default: numbers that were never used].
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) first_number: u64,
    #[command(flatten)]
    pub(crate) consent: Consent,
}
