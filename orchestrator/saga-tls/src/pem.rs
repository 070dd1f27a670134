//! What is in the files.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer, UnixTime,
        pem::{Error, PemObject},
    },
    sign::CertifiedKey,
};
use webpki::{EndEntityCert, KeyUsage};

use crate::{Problem, TlsError};

/// A file, by its key in the configuration.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) key: String,
    pub(crate) path: PathBuf,
}

/// A file and what is in it.
pub(crate) struct Text<'a> {
    file: &'a File,
    bytes: Vec<u8>,
}

impl File {
    pub(crate) fn new(section: &str, key: &str, path: &std::path::Path) -> Self {
        Self { key: format!("{section}.{key}"), path: path.to_owned() }
    }

    pub(crate) fn error(&self, problem: Problem) -> TlsError {
        TlsError { key: self.key.clone(), file: self.path.clone(), problem }
    }

    pub(crate) fn read(&self) -> Result<Text<'_>, TlsError> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(Text { file: self, bytes }),
            Err(error) => Err(self.error(Problem::Unreadable(Arc::new(error)))),
        }
    }
}

impl Text<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn error(&self, problem: Problem) -> TlsError {
        self.file.error(problem)
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let all = CertificateDer::pem_slice_iter(&self.bytes).collect::<Result<Vec<_>, _>>();
        let all = all.map_err(|error| self.error(Problem::NotPem(error.to_string())))?;
        if all.is_empty() { Err(self.error(Problem::NoCertificate)) } else { Ok(all) }
    }

    /// The authorities in it. Of several, one that has expired is left out: in a rotation the
    /// old one stays for a while.
    pub(crate) fn authorities(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        let mut left_out = None;
        for certificate in self.certificates()? {
            if let Err(problem) = is_current(&certificate) {
                left_out = Some(problem);
                continue;
            }
            let added = roots.add(certificate);
            added.map_err(|error| self.error(Problem::Unusable(error.to_string())))?;
        }
        match left_out {
            Some(problem) if roots.is_empty() => Err(self.error(problem)),
            _ => Ok(roots),
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|error| match error {
            Error::NoItemsFound => self.error(Problem::NoKey),
            // Its text would repeat a line of the file, and that may be of the key.
            Error::Base64Decode(_) => self.error(Problem::NotPem("it is not base64".to_owned())),
            Error::IllegalSectionStart { .. } | Error::MissingSectionEnd { .. } => {
                self.error(Problem::NotPem("a section has no end".to_owned()))
            }
            _ => self.error(Problem::Unusable("it is no key in PEM".to_owned())),
        })
    }
}

/// A certificate and its key, where they are a pair and valid now.
pub(crate) fn pair(certificate: &Text<'_>, key: &Text<'_>) -> Result<CertifiedKey, TlsError> {
    let pair = fitting(certificate, key)?;
    is_current(&pair.cert[0]).map_err(|problem| certificate.error(problem))?;
    Ok(pair)
}

/// A certificate and its key, where they are a pair.
fn fitting(certificate: &Text<'_>, key: &Text<'_>) -> Result<CertifiedKey, TlsError> {
    let chain = certificate.certificates()?;
    let signing = ring::sign::any_supported_type(&key.key()?);
    let signing = signing.map_err(|error| key.error(Problem::Unusable(error.to_string())))?;
    let pair = CertifiedKey::new(chain, signing);
    match pair.keys_match() {
        Ok(()) => Ok(pair),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let certificate = certificate.file.path.clone();
            Err(key.error(Problem::KeyDoesNotFit { certificate }))
        }
        Err(error) => Err(certificate.error(Problem::Unusable(error.to_string()))),
    }
}

/// A pair that may have expired, for a test that shows it.
#[cfg(feature = "testkit")]
pub(crate) fn pair_of_any_time(
    certificate: &Text<'_>,
    key: &Text<'_>,
) -> Result<CertifiedKey, TlsError> {
    fitting(certificate, key)
}

/// Whether a certificate is valid at this time. Nothing else is asked: who signed it is the
/// other side's business.
fn is_current(certificate: &CertificateDer<'_>) -> Result<(), Problem> {
    let unusable = |error: webpki::Error| Problem::Unusable(error.to_string());
    let parsed = EndEntityCert::try_from(certificate).map_err(unusable)?;
    // Its dates are looked at first. That nobody has signed it is found behind them.
    let looked = parsed.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &[],
        &[],
        UnixTime::now(),
        KeyUsage::server_auth(),
        None,
        None,
    );
    match looked.err() {
        Some(webpki::Error::CertExpired { .. }) => Err(Problem::Expired),
        Some(webpki::Error::CertNotValidYet { .. }) => Err(Problem::NotYetValid),
        _ => Ok(()),
    }
}
