//! The side that is connected to.

use std::sync::Arc;

use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::ring,
    server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::{
    ALPN, Looked, Problem, Secured, ServerFiles, TlsError, Told,
    kept::Kept,
    pem::{File, Text, pair},
};

pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// What becomes of a client that shows no certificate, where clients have an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// It is not connected.
    KeptOut,
    /// It is connected, and is nobody until it says otherwise, such as with a token.
    LetIn,
}

/// Speaks TLS with who connects. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Acceptor {
    kept: Kept<ServerConfig>,
}

impl Acceptor {
    /// Reads `files`, which stand under `section` in the configuration.
    ///
    /// # Errors
    ///
    /// [`TlsError`] names the key, the file and what is the matter with it.
    pub fn open(
        section: &str,
        files: &ServerFiles,
        strangers: Strangers,
    ) -> Result<Self, TlsError> {
        let ServerFiles { certificate, key, client_ca } = files;
        let mut all =
            vec![File::new(section, "certificate", certificate), File::new(section, "key", key)];
        all.extend(client_ca.as_ref().map(|it| File::new(section, "client_ca", it)));
        let made = Kept::open(all, Box::new(move |texts| config(texts, strangers)));
        Ok(Self { kept: made? })
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

    /// The beginning of a connection over `io`, with the files as they are now. `told` hears
    /// once how the handshake went.
    pub fn accept<IO: AsyncRead + AsyncWrite + Unpin>(&self, io: IO, told: Told) -> Secured<IO> {
        Secured::of_accept(TlsAcceptor::from(self.kept.now()).accept(io), told)
    }
}

fn config(texts: &[Text<'_>], strangers: Strangers) -> Result<ServerConfig, TlsError> {
    let pair = pair(&texts[0], &texts[1])?;
    let provider = Arc::new(ring::default_provider());
    let begun = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let begun = begun.with_protocol_versions(&VERSIONS).expect("ring knows both versions");
    let begun = match texts.get(2) {
        None => begun.with_no_client_auth(),
        Some(text) => {
            let roots = Arc::new(text.authorities()?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = match strangers {
                Strangers::KeptOut => verifier,
                Strangers::LetIn => verifier.allow_unauthenticated(),
            };
            let unusable = |error: rustls::server::VerifierBuilderError| {
                text.error(Problem::Unusable(error.to_string()))
            };
            begun.with_client_cert_verifier(verifier.build().map_err(unusable)?)
        }
    };
    let mut config = begun.with_cert_resolver(resolver(pair));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn resolver(pair: CertifiedKey) -> Arc<dyn ResolvesServerCert> {
    Arc::new(SingleCertAndKey::from(pair))
}
