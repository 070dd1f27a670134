//! Why files cannot be used.

use std::{path::PathBuf, sync::Arc};

/// A file that cannot be used. At start the program ends with it; later it goes on with what it
/// had before.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{key}: {}: {problem}", file.display())]
pub struct TlsError {
    /// The key of the configuration.
    pub key: String,
    /// The file.
    pub file: PathBuf,
    /// What is the matter with it.
    #[source]
    pub problem: Problem,
}

/// What is the matter with a file.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Problem {
    /// The system does not give it.
    #[error("the file cannot be read: {0}; name one that this program may read")]
    Unreadable(Arc<std::io::Error>),
    /// It is not in PEM, or not to its end.
    #[error("the file is not PEM to its end: {0}; write it again, as a whole")]
    NotPem(String),
    /// There is no certificate in it.
    #[error(
        "no certificate is in the file; give PEM, which has a line -----BEGIN CERTIFICATE-----"
    )]
    NoCertificate,
    /// There is no key in it.
    #[error(
        "no key is in the file; give PEM, which has a line -----BEGIN PRIVATE KEY-----, without \
         a passphrase"
    )]
    NoKey,
    /// The certificate is of another key.
    #[error("the key is not that of the certificate in {}; give both of one pair", .certificate.display())]
    KeyDoesNotFit {
        /// Where the certificate is.
        certificate: PathBuf,
    },
    /// It was valid before.
    #[error("the certificate has expired; renew it")]
    Expired,
    /// It will be valid later.
    #[error("the certificate is not valid yet; look at the clock of this machine")]
    NotYetValid,
    /// One of the pair is missing.
    #[error("a certificate and its key come together; give both, or neither")]
    Half,
    /// Something in it is none of what this program knows.
    #[error("it cannot be used: {0}")]
    Unusable(String),
}
