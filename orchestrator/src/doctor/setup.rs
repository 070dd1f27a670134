//! Whether the configuration lets in whom it should, and keeps its secrets.

use std::{fs, net::SocketAddr};

use saga_tls::is_this_machine;

use super::Finding;
use crate::config::Config;

/// Variables that may hold the log's URL.
const LOG_VARIABLE: &str = "AMENDS_ORCHESTRATOR_LOG";

pub(super) fn judge(config: &Config) -> Vec<Finding> {
    let mut findings = vec![listeners(config), participants(config)];
    findings.extend(roles(config));
    findings.extend(definitions(config));
    if std::env::var(LOG_VARIABLE).is_ok_and(|url| has_password(&url)) {
        findings.push(Finding::not_safe(
            "secrets",
            format!("{LOG_VARIABLE} holds a password: variables are in the process table"),
            format!("write the URL to a file, and name it in {LOG_VARIABLE}__FILE"),
        ));
    } else if has_password(&config.log) {
        findings.push(Finding::safe("secrets", "no variable holds the database's password"));
    }
    findings
}

fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next());
    let login = authority.and_then(|it| it.rsplit_once('@'));
    login.is_some_and(|(login, _)| login.contains(':'))
}

fn listeners(config: &Config) -> Finding {
    let all = [("listen", Some(config.listen)), ("listen_operator", config.listen_operator)];
    let open = all.iter().find_map(|(key, address)| {
        address.filter(|it: &SocketAddr| !it.ip().to_canonical().is_loopback()).map(|it| (key, it))
    });
    let Some((key, address)) = open else {
        return Finding::safe("listeners", "only this machine reaches them");
    };
    match &config.tls {
        Some(tls) if tls.client_ca.is_some() || config.auth.is_some() => Finding::safe(
            "listeners",
            format!("{key} {address} speaks TLS with whoever shows who they are"),
        ),
        Some(_) => Finding::not_safe(
            "listeners",
            format!(
                "{key} {address} speaks TLS with anybody: whoever reaches it may do everything"
            ),
            "set tls.client_ca, and give clients certificates of it, or auth.tokens",
        ),
        None => Finding::not_safe(
            "listeners",
            format!("{key} {address} can be reached by other machines, in plain text"),
            "set tls.certificate, tls.key and tls.client_ca, or listen at 127.0.0.1",
        ),
    }
}

/// Who may do what, where others get in.
fn roles(config: &Config) -> Option<Finding> {
    let all = [Some(config.listen), config.listen_operator];
    all.into_iter().flatten().find(|it| !it.ip().to_canonical().is_loopback())?;
    Some(match &config.auth {
        Some(auth) => Finding::safe(
            "roles",
            format!("who gets in may do what auth grants them, in {} lines", auth.grants.len()),
        ),
        None => Finding::note(
            "roles",
            "whoever gets in may do everything: start, settle and close every saga",
            "say in auth.grants who may do what",
        ),
    })
}

fn participants(config: &Config) -> Finding {
    let uri = |address: &str| address.parse::<http::Uri>().ok();
    let is_plain = |address: &str| uri(address).is_some_and(|it| it.scheme_str() == Some("http"));
    let is_near =
        |address: &str| uri(address).is_some_and(|it| it.host().is_some_and(is_this_machine));
    let far = config.participants.iter().find_map(|(name, it)| {
        it.addresses.iter().find(|it| is_plain(it) && !is_near(it)).map(|it| (name, it))
    });
    match far {
        _ if config.participants.is_empty() => Finding::note(
            "participants",
            "there are none: no definition can be registered",
            "add [participants.NAME]",
        ),
        None => Finding::safe("participants", "all are called on this machine, or over TLS"),
        Some((name, address)) => Finding::not_safe(
            "participants",
            format!("{name} is called at {address}, in plain text"),
            "give it a certificate, name it as https://, and its authority in participants.NAME.tls.ca",
        ),
    }
}

fn definitions(config: &Config) -> Option<Finding> {
    let folder = config.definitions.as_ref()?;
    Some(match fs::read_dir(folder) {
        Ok(_) => Finding::safe("definitions", format!("{} is read", folder.display())),
        Err(error) => Finding::not_safe(
            "definitions",
            format!("{} cannot be read: {error}; the program will not start", folder.display()),
            "make it, or correct its path: it is beside the configuration file",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doctor::Verdict, participants::ParticipantConfig};

    #[test]
    fn a_listener_that_others_reach_is_safe_where_they_show_certificates() {
        let files = |client_ca: Option<&str>| saga_tls::ServerFiles {
            certificate: "a.pem".into(),
            key: "a.key".into(),
            client_ca: client_ca.map(Into::into),
        };
        let told = |listen: &str, tls| {
            let config = Config { listen: listen.parse().unwrap(), tls, ..Config::default() };
            listeners(&config)
        };
        for (listen, tls, is_safe) in [
            ("127.0.0.1:1", None, true),
            ("[::ffff:127.0.0.1]:1", None, true),
            ("0.0.0.0:1", None, false),
            ("0.0.0.0:1", Some(files(None)), false),
            ("0.0.0.0:1", Some(files(Some("ca.pem"))), true),
        ] {
            let found = told(listen, tls);
            assert_eq!(found.verdict == Verdict::Safe, is_safe, "{listen}: {found:?}");
        }
    }

    #[test]
    fn a_participant_that_is_called_in_plain_text_is_on_this_machine() {
        for (address, is_safe) in [
            ("http://127.0.0.1:7411", true),
            ("http://localhost:7411", true),
            ("http://[::1]:7411", true),
            ("https://payment.example.org", true),
            ("http://payment.example.org", false),
            ("http://127.example.org:7411", false),
            ("http://localhost.example.org", false),
            ("HTTP://10.0.0.7:7411", false),
        ] {
            let addresses = vec![address.to_owned()];
            let called = ParticipantConfig { addresses, ..ParticipantConfig::default() };
            let participants = [("payment".to_owned(), called)].into();
            let found = super::participants(&Config { participants, ..Config::default() });
            assert_eq!(found.verdict == Verdict::Safe, is_safe, "{address}: {found:?}");
        }
    }

    #[test]
    fn that_everybody_may_do_everything_is_said_where_others_get_in() {
        let told = |listen: &str, auth| {
            let config = Config { listen: listen.parse().unwrap(), auth, ..Config::default() };
            roles(&config).map(|it| it.verdict)
        };
        let auth = || Some(crate::access::AuthConfig::default());
        assert_eq!(told("127.0.0.1:1", None), None);
        assert_eq!(told("127.0.0.1:1", auth()), None);
        assert_eq!(told("0.0.0.0:1", None), Some(Verdict::Note));
        assert_eq!(told("0.0.0.0:1", auth()), Some(Verdict::Safe));
    }

    #[test]
    fn a_password_is_seen_where_there_is_one() {
        for (url, has) in [
            ("postgres://app:secret@db/log", true),
            ("postgres://app@db/log?x=a:b@c", false),
            ("postgres://db:5432/log", false),
            ("sqlite:a:b@c", false),
        ] {
            assert_eq!(has_password(url), has, "{url}");
        }
    }
}
