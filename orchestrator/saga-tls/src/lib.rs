//! TLS between our programs: rustls with ring, TLS 1.2 and 1.3, HTTP/2 alone.
//!
//! Certificates and keys are files. They are read again when they change, so that a rotation
//! needs no restart: a connection keeps what it was made with, and the next one is made with
//! what is there then. What cannot be used keeps the old one and is said in the log. Sessions
//! are not resumed, on either side: a resumed one would carry an identity past the removal of
//! the authority that gave it.
//!
//! Reading order: [`files`](ServerFiles) (what is configured), `pem` (what is in them), `kept`
//! (read again when they change), `acceptor` and `connector` (the two sides), `identity` (whom a
//! certificate names), `stream` (the bytes of a connection), `here` (who needs no TLS).

mod acceptor;
mod connector;
mod error;
mod files;
mod here;
mod identity;
mod kept;
mod pem;
mod stream;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use acceptor::{Acceptor, Strangers};
pub use connector::Connector;
pub use error::{Problem, TlsError};
pub use files::{ClientFiles, ServerFiles};
pub use here::is_this_machine;
pub use identity::Identity;
pub use kept::Looked;
pub use stream::{Secured, Told};

/// What is spoken behind TLS.
const ALPN: &[u8] = b"h2";
