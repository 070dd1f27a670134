//! Which hosts are this machine: what is said to them is heard by nobody else.

use std::net::IpAddr;

/// Whether a host, by name or address and with or without brackets, is this machine whatever
/// its resolver says. A name that only begins like an address of it is not.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = || host.parse::<IpAddr>().is_ok_and(|it| it.to_canonical().is_loopback());
    host.eq_ignore_ascii_case("localhost") || is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_elsewhere_is_here() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "::1", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        assert!(is_this_machine("::ffff:127.0.0.1"));
        for host in ["127.example.org", "127.0.0.1.example.org", "localhost.example.org"] {
            assert!(!is_this_machine(host), "{host}");
        }
        for host in ["", "10.0.0.7", "0.0.0.0", "[::]", "fd00::1", "db"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
