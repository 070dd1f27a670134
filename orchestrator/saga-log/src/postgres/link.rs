//! What is said with the database stays between the two (X24).

use saga_tls::is_this_machine;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::open::OpenError;

/// The options, where nobody else can listen: the database is on this machine, or its
/// certificate is checked, or it was said that this is meant.
pub(super) fn secured(
    options: PgConnectOptions,
    allow_insecure: bool,
) -> Result<PgConnectOptions, OpenError> {
    let is_checked = matches!(options.get_ssl_mode(), PgSslMode::VerifyFull);
    if is_here(&options) {
        // A database that offers TLS on this machine would be asked for it, and it costs.
        let is_asked = !matches!(options.get_ssl_mode(), PgSslMode::Prefer | PgSslMode::Allow);
        return Ok(if is_asked { options } else { options.ssl_mode(PgSslMode::Disable) });
    }
    if is_checked || allow_insecure {
        return Ok(options);
    }
    Err(OpenError::Insecure { host: options.get_host().to_owned() })
}

fn is_here(options: &PgConnectOptions) -> bool {
    options.get_socket().is_some() || is_this_machine(options.get_host())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(url: &str, allow_insecure: bool) -> Result<PgSslMode, String> {
        let options: PgConnectOptions = url.parse().unwrap();
        let secured = secured(options, allow_insecure);
        secured.map(|it| it.get_ssl_mode()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_database_elsewhere_shows_a_certificate_that_is_checked() {
        for host in ["db.internal", "10.0.0.7:5432", "[fd00::1]:5432", "localhost.example.org"] {
            for mode in ["", "disable", "allow", "prefer", "require", "verify-ca"] {
                let asked =
                    if mode.is_empty() { String::new() } else { format!("?sslmode={mode}") };
                let url = format!("postgres://amends:canary@{host}/log{asked}");
                let told = judged(&url, false).unwrap_err();
                assert!(told.contains("verify-full"), "{told}");
                assert!(told.contains("allow_insecure_database"), "{told}");
                assert!(!told.contains("canary"), "{told}");
                assert!(judged(&url, true).is_ok(), "{url}");
            }
            let url = format!("postgres://amends@{host}/log?sslmode=verify-full");
            assert!(matches!(judged(&url, false), Ok(PgSslMode::VerifyFull)), "{url}");
        }
    }

    #[test]
    fn a_database_on_this_machine_needs_none_and_is_not_asked_for_one() {
        let sockets = ["postgres:///log?host=/run/postgresql", "postgres://%2Frun%2Fpg/log"];
        let hosts = ["127.0.0.1", "localhost", "[::1]", "127.8.8.8:5433"];
        let urls = hosts.map(|host| format!("postgres://{host}/log"));
        for url in urls.iter().map(String::as_str).chain(sockets) {
            assert!(matches!(judged(url, false), Ok(PgSslMode::Disable)), "{url}");
        }
        let asked = judged("postgres://127.0.0.1/log?sslmode=require", false);
        assert!(matches!(asked, Ok(PgSslMode::Require)));
    }
}
