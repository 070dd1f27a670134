//! Which orchestrator is meant, how its connection is made secret, and who we are there.

use std::path::PathBuf;

use clap::Args;

/// Which orchestrator is meant, and who we are there. Variables stand in where neither a flag nor
/// a context says it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Login {
    /// The orchestrator of this name, as `sagactl context add` keeps it; other flags stand over
    /// what it says [default: SAGACTL_CONTEXT, else the one in use, unless an address is given].
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Where the orchestrator listens [default: SAGACTL_ADDRESS, else http://127.0.0.1:7400].
    // Not clap's `env`: an error's usage line would show the flag as one that is required.
    #[arg(long, global = true)]
    pub(crate) address: Option<String>,
    #[command(flatten)]
    pub(crate) tls: Tls,
    /// The file of the token that says who you are [default: SAGACTL_TOKEN_FILE].
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "token_command")]
    pub(crate) token_file: Option<PathBuf>,
    /// A command of the shell that writes the token to its standard output.
    #[arg(long, global = true, value_name = "COMMAND")]
    pub(crate) token_command: Option<String>,
}

/// What a connection is made secret with: PEM files.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Tls {
    /// The authorities of the orchestrator's certificate, for an https:// address
    /// [default: SAGACTL_CA].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The certificate that says who you are [default: SAGACTL_CERTIFICATE].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// The key of the certificate [default: SAGACTL_CERTIFICATE_KEY].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) certificate_key: Option<PathBuf>,
    /// Whom the orchestrator's certificate has to name, where that is not the host of the
    /// address [default: SAGACTL_SERVER_NAME].
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
}
