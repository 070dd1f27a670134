//! Which orchestrator is meant, and who we are there: flags, then the context that is named or
//! in use, or else variables.

use std::path::PathBuf;

use saga_tls::ClientFiles;

use crate::{
    cli::{Login, Tls, variable},
    context::{Context, Contexts, TokenSource},
    failure::Failure,
};

/// Where an orchestrator listens unless it is told otherwise.
const PORT: u16 = 7400;
/// Where one listens on this machine.
const DEFAULT_ADDRESS: &str = "http://127.0.0.1:7400";

/// One orchestrator, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) address: String,
    pub(crate) tls: Option<ClientFiles>,
    pub(crate) token: Option<TokenSource>,
}

impl Connection {
    /// As it is typed, or as the context says that is named or in use.
    ///
    /// Where an address is typed or in SAGACTL_ADDRESS, neither the context in use
    /// is looked at, nor, where it is typed, the one of SAGACTL_CONTEXT: who
    /// we are at one orchestrator is not shown to another.
    ///
    /// # Errors
    ///
    /// There is no such context, or their file cannot be used.
    pub(crate) fn of(login: &Login) -> Result<Self, Failure> {
        let typed = login.address.is_some();
        let named = variable("SAGACTL_CONTEXT").filter(|_| !typed);
        let named = login.context.clone().or(named);
        let elsewhere = typed || variable("SAGACTL_ADDRESS").is_some();
        let context = match named {
            Some(name) => Some(Contexts::read()?.named(&name)?.clone()),
            None if elsewhere => None,
            None => {
                let all = Contexts::read()?;
                all.current.as_deref().map(|it| all.named(it).cloned()).transpose()?
            }
        };
        Ok(match context {
            Some(context) => Self::with(login, context),
            None => Self::with(login, said_by_variables()),
        })
    }

    fn with(login: &Login, context: Context) -> Self {
        let Login { address, tls, token_file, token_command, .. } = login;
        let Tls { ca, certificate, certificate_key, server_name } = tls;
        let token = token_file.clone().map(TokenSource::File);
        let token = token.or_else(|| token_command.clone().map(TokenSource::Command));
        let files = ca.clone().or(context.ca).map(|ca| ClientFiles {
            ca,
            certificate: certificate.clone().or(context.certificate),
            key: certificate_key.clone().or(context.certificate_key),
            server_name: server_name.clone().or(context.server_name),
        });
        let address = address.clone().unwrap_or(context.address);
        Self {
            address: whole(&address, files.is_some()),
            tls: files,
            token: token.or(context.token),
        }
    }
}

/// What variables say, where no context does.
fn said_by_variables() -> Context {
    let path = |name| variable(name).map(PathBuf::from);
    Context {
        address: variable("SAGACTL_ADDRESS").unwrap_or_else(|| DEFAULT_ADDRESS.to_owned()),
        ca: path("SAGACTL_CA"),
        certificate: path("SAGACTL_CERTIFICATE"),
        certificate_key: path("SAGACTL_CERTIFICATE_KEY"),
        server_name: variable("SAGACTL_SERVER_NAME"),
        token: path("SAGACTL_TOKEN_FILE").map(TokenSource::File),
    }
}

/// `host` is meant as `http://host:7400`, and `host:port` as `http://host:port`; with an
/// authority, as `https`.
fn whole(typed: &str, has_authority: bool) -> String {
    if typed.contains("://") {
        return typed.to_owned();
    }
    let scheme = if has_authority { "https" } else { "http" };
    // An address of IPv6 has colons of its own, and stands in brackets before a port.
    let has_port = match typed.rsplit_once(']') {
        Some((_, rest)) => rest.starts_with(':'),
        None => typed.contains(':'),
    };
    if has_port { format!("{scheme}://{typed}") } else { format!("{scheme}://{typed}:{PORT}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_is_the_orchestrators() {
        for (typed, meant) in [
            ("127.0.0.1", "http://127.0.0.1:7400"),
            ("saga.internal:80", "http://saga.internal:80"),
            ("[::1]", "http://[::1]:7400"),
            ("[::1]:81", "http://[::1]:81"),
            ("http://h", "http://h"),
        ] {
            assert_eq!(whole(typed, false), meant);
            if !typed.contains("://") {
                assert_eq!(whole(typed, true), meant.replace("http:", "https:"));
            }
        }
    }
}
