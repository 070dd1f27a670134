//! Authorities and certificates for tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType, date_time_ymd,
};

/// Somebody who signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Valid {
    /// For as long as a test may take.
    Now,
    /// It was.
    Before,
    /// It will be.
    Later,
}

fn params(common_name: &str, valid: Valid) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let (from, to) = match valid {
        Valid::Now => (2020, 4000),
        Valid::Before => (2019, 2020),
        Valid::Later => (3999, 4000),
    };
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    params
}

impl Authority {
    /// A new one, of this name.
    ///
    /// # Panics
    ///
    /// There is no randomness.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::valid(name, Valid::Now)
    }

    /// A new one that is valid then.
    ///
    /// # Panics
    ///
    /// There is no randomness.
    #[must_use]
    pub fn valid(name: &str, valid: Valid) -> Self {
        let key = KeyPair::generate().expect("there is randomness");
        let mut params = params(name, valid);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("the key is of a kind that signs");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Its certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for these names: URIs, addresses or names of hosts.
    ///
    /// # Panics
    ///
    /// A name is none.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_valid(names, Valid::Now)
    }

    /// One that is valid then.
    ///
    /// # Panics
    ///
    /// A name is none.
    #[must_use]
    pub fn issue_valid(&self, names: &[&str], valid: Valid) -> Issued {
        let key = KeyPair::generate().expect("there is randomness");
        let mut params = params("nobody by its common name", valid);
        params.subject_alt_names = names.iter().map(|name| san(name)).collect();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let signed = params.signed_by(&key, &self.issuer).expect("the authority signs");
        Issued { certificate: signed.pem(), key: key.serialize_pem() }
    }
}

fn san(name: &str) -> SanType {
    let text = || name.try_into().expect("names are ASCII");
    if name.contains("://") {
        return SanType::URI(text());
    }
    name.parse().map_or_else(|_| SanType::DnsName(text()), SanType::IpAddress)
}

impl Issued {
    /// Writes it as `NAME.pem` and `NAME.key` in `folder`.
    ///
    /// # Panics
    ///
    /// The folder cannot be written to.
    #[must_use]
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let paths = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        fs::write(&paths.0, &self.certificate).expect("the folder can be written to");
        fs::write(&paths.1, &self.key).expect("the folder can be written to");
        paths
    }
}
