//! What a connection is made secret with.

use std::path::PathBuf;

use clap::Args;
use saga_tls::ClientFiles;

use super::variable;

/// What a connection is made secret with: PEM files.
#[derive(Debug, Args)]
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

impl Tls {
    /// As given, or as the variables say. `None`: there is no authority.
    pub(crate) fn files(&self) -> Option<ClientFiles> {
        let path = |given: &Option<PathBuf>, name| {
            given.clone().or_else(|| variable(name).map(PathBuf::from))
        };
        Some(ClientFiles {
            ca: path(&self.ca, "SAGACTL_CA")?,
            certificate: path(&self.certificate, "SAGACTL_CERTIFICATE"),
            key: path(&self.certificate_key, "SAGACTL_CERTIFICATE_KEY"),
            server_name: self.server_name.clone().or_else(|| variable("SAGACTL_SERVER_NAME")),
        })
    }
}
