//! What is configured.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[tls]` of a listener: PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServerFiles {
    /// The certificate of this program, and the ones between it and its authority.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// The authorities whose certificates clients show. Absent: clients show none.
    pub client_ca: Option<PathBuf>,
}

/// `[participants.NAME.tls]`, and whatever else connects: PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientFiles {
    /// The authorities whose certificates the server shows.
    pub ca: PathBuf,
    /// What this program shows. Absent: nothing.
    pub certificate: Option<PathBuf>,
    /// The key of the certificate.
    pub key: Option<PathBuf>,
    /// Whom the server's certificate has to name. Absent: the host of the address.
    pub server_name: Option<String>,
}
