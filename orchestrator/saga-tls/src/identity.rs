//! Whom a certificate names.

use std::fmt;

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Who showed a certificate that one of the configured authorities has signed: the URIs among
/// its alternative names, such as `spiffe://shop/orchestrator`, or, where it has none, its DNS
/// names. The common name of the subject is nobody's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    names: Vec<String>,
}

impl Identity {
    /// Whom `certificate` names. `None`: nobody.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = EndEntityCert::try_from(certificate).ok()?;
        let mut names: Vec<String> = parsed.valid_uri_names().map(str::to_owned).collect();
        if names.is_empty() {
            // `*.example.org` is nobody.
            let dns = parsed.valid_dns_names().filter(|it| !it.starts_with('*'));
            names = dns.map(str::to_lowercase).collect();
        }
        if names.is_empty() { None } else { Some(Self { names }) }
    }

    /// All of its names. Each of them is its own.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

impl fmt::Display for Identity {
    /// The first of its names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.names.first().map_or("", String::as_str))
    }
}
