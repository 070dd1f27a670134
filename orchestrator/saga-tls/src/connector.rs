//! The side that connects.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig,
    client::{Resumption, WebPkiServerVerifier},
    crypto::ring,
    pki_types::ServerName,
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::{
    ALPN, ClientFiles, Looked, Problem, Secured, TlsError,
    acceptor::VERSIONS,
    kept::Kept,
    pem::{File, Text, pair},
};

/// Speaks TLS with whom it connects to. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connector {
    kept: Kept<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl Connector {
    /// Reads `files`, which stand under `section` in the configuration.
    ///
    /// # Errors
    ///
    /// [`TlsError`] names the key, the file and what is the matter with it.
    pub fn open(section: &str, files: &ClientFiles) -> Result<Self, TlsError> {
        Self::open_with(section, files, config)
    }

    /// The same, with a certificate that may have expired.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    #[cfg(feature = "testkit")]
    pub fn open_of_any_time(section: &str, files: &ClientFiles) -> Result<Self, TlsError> {
        let any = |texts: &[Text<'_>]| config_with(texts, crate::pem::pair_of_any_time);
        Self::open_with(section, files, any)
    }

    fn open_with(
        section: &str,
        files: &ClientFiles,
        config: fn(&[Text<'_>]) -> Result<ClientConfig, TlsError>,
    ) -> Result<Self, TlsError> {
        let ClientFiles { ca, certificate, key, server_name } = files;
        let mut all = vec![File::new(section, "ca", ca)];
        match (certificate, key) {
            (None, None) => {}
            (Some(certificate), Some(key)) => {
                all.push(File::new(section, "certificate", certificate));
                all.push(File::new(section, "key", key));
            }
            (Some(one), None) => {
                return Err(File::new(section, "certificate", one).error(Problem::Half));
            }
            (None, Some(one)) => return Err(File::new(section, "key", one).error(Problem::Half)),
        }
        let server_name = match server_name {
            None => None,
            Some(name) => Some(ServerName::try_from(name.clone()).map_err(|error| {
                let problem = Problem::Unusable(format!("{name:?} is no name: {error}"));
                File::new(section, "server_name", ca).error(problem)
            })?),
        };
        Ok(Self { kept: Kept::open(all, Box::new(config))?, server_name })
    }

    /// Looks at the files now.
    #[must_use]
    pub fn look(&self) -> Looked {
        self.kept.look()
    }

    /// Looks at the files from now on. Must be called inside a runtime.
    pub fn look_after(&self) {
        self.kept.look_after();
    }

    /// Makes a connection over `io` to the server at `host`, with the files as they are now.
    ///
    /// # Errors
    ///
    /// The server is not who it should be, or does not take this program for somebody it
    /// knows. Nothing was sent but the handshake. A server of TLS 1.3 may say the latter
    /// only later: then reading says so.
    pub async fn connect<IO>(&self, host: &str, io: IO) -> io::Result<Secured<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => {
                let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                ServerName::try_from(bare).map_err(io::Error::other)?
            }
        };
        let shown = name.to_str().into_owned();
        let connected = TlsConnector::from(self.kept.now()).connect(name, io).await;
        let said = |error: io::Error| {
            io::Error::new(error.kind(), format!("no TLS with {shown}: {error}"))
        };
        Ok(Secured::of_connection(connected.map_err(said)?))
    }
}

fn config(texts: &[Text<'_>]) -> Result<ClientConfig, TlsError> {
    config_with(texts, pair)
}

type Pair = fn(&Text<'_>, &Text<'_>) -> Result<CertifiedKey, TlsError>;

fn config_with(texts: &[Text<'_>], pair: Pair) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(texts[0].authorities()?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let verifier =
        verifier.build().map_err(|error| texts[0].error(Problem::Unusable(error.to_string())))?;
    let begun = ClientConfig::builder_with_provider(provider);
    let begun = begun.with_protocol_versions(&VERSIONS).expect("ring knows both versions");
    let begun = begun.with_webpki_verifier(verifier);
    let mut config = match texts {
        [_, certificate, key] => {
            let pair = pair(certificate, key)?;
            begun.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
        }
        _ => begun.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
