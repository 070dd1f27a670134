//! Whether who is on the way can listen.

use std::net::SocketAddr;

use saga_tls::{Acceptor, ServerFiles, Strangers, TlsError};

/// What is spoken at a listener.
#[derive(Clone, Debug)]
pub enum Wire {
    /// Plain text, which does not leave this machine.
    Loopback,
    /// Plain text everywhere: something else keeps others from listening.
    Open,
    /// TLS.
    Tls(Acceptor),
}

/// A listener that anybody on the way could listen to, and nobody has said that this is meant.
/// It was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{key} = {address} can be reached from other machines, and there is no TLS: give \
     tls.certificate and tls.key, listen on 127.0.0.1, or say allow_plaintext = true where \
     something else keeps others from listening"
)]
pub struct Plaintext {
    /// The key of the configuration.
    pub key: &'static str,
    /// Where it would have listened.
    pub address: SocketAddr,
}

impl Wire {
    /// As it is configured: under `tls`, and with `allow_plaintext`. Files are looked at from
    /// now on. Must be called inside a runtime.
    ///
    /// # Errors
    ///
    /// [`TlsError`] names the file that cannot be used.
    pub fn configured(
        tls: Option<&ServerFiles>,
        allow_plaintext: bool,
        strangers: Strangers,
    ) -> Result<Self, TlsError> {
        let Some(files) = tls else {
            return Ok(if allow_plaintext { Self::Open } else { Self::Loopback });
        };
        let acceptor = Acceptor::open("tls", files, strangers)?;
        acceptor.look_after();
        Ok(Self::Tls(acceptor))
    }

    /// Whether `address`, which stands under `key` in the configuration, may be listened at.
    ///
    /// # Errors
    ///
    /// [`Plaintext`]: not without TLS.
    pub fn check(&self, key: &'static str, address: SocketAddr) -> Result<(), Plaintext> {
        if address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        match self {
            Self::Loopback => return Err(Plaintext { key, address }),
            Self::Open => tracing::warn!(
                %address,
                "{key} can be reached from other machines, and there is no TLS: whoever is on the \
                 way can read and change everything; allow_plaintext says that this is meant"
            ),
            Self::Tls(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_on_this_machine_unless_it_is_said_to_be_meant() {
        for here in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(Wire::Loopback.check("listen", here.parse().unwrap()), Ok(()), "{here}");
        }
        for there in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[fd00::1]:1", "[::ffff:10.0.0.1]:1"] {
            let address = there.parse().unwrap();
            let refused = Wire::Loopback.check("listen", address).unwrap_err();
            assert_eq!(refused, Plaintext { key: "listen", address });
            let told = refused.to_string();
            for part in ["listen", there, "tls.certificate", "allow_plaintext"] {
                assert!(told.contains(part), "{part}: {told}");
            }
            assert_eq!(Wire::Open.check("listen", address), Ok(()));
        }
    }
}
