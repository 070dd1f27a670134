//! Who has which role: `auth` in the configuration.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    policy::Role,
    principal::Roles,
    tokens::{Shown, TokensConfig},
};

/// `auth` in the configuration. Where it is, nobody may do anything that is not granted.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Who may do what.
    pub grants: Vec<Grant>,
    /// Whose tokens are taken. Absent: nobody's.
    pub tokens: Option<TokensConfig>,
    /// Tokens that are looked at and not taken, in a minute, from one address. From then on it
    /// waits.
    pub failures_per_minute_max: u32,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self { grants: Vec::new(), tokens: None, failures_per_minute_max: 60 }
    }
}

/// One line of it: one who, and what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// Who: a name in a certificate, such as `spiffe://shop/till`.
    pub identity: Option<String>,
    /// Or the subject of a token.
    pub subject: Option<String>,
    /// Or everybody whose token has `value` under this claim, such as `groups`.
    pub claim: Option<String>,
    /// What the claim says.
    pub value: Option<String>,
    /// What they are.
    pub role: Option<Role>,
    /// In which namespace. Absent: in all of them.
    pub namespace: Option<String>,
}

/// Grants that cannot be meant. A program that gets them stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// A line that does not say who.
    #[error(
        "auth.grants, number {number}: say who: one of identity, subject, and claim with value, \
         as in {{ identity = \"spiffe://shop/till\", role = \"client\" }}"
    )]
    Nobody {
        /// Which one, from 1.
        number: usize,
    },
    /// A line that does not say what.
    #[error(
        "auth.grants, number {number}: role is missing; give viewer, client, operator, approver \
         or admin"
    )]
    NoRole {
        /// Which one, from 1.
        number: usize,
    },
    /// Nobody could show that they are the one who is meant.
    #[error("auth.grants, number {number}: nobody can show {key} here: give {needs}")]
    NeverShown {
        /// Which one, from 1.
        number: usize,
        /// What would have to be shown.
        key: &'static str,
        /// What has to be configured for it.
        needs: &'static str,
    },
    /// Nobody could say who they are.
    #[error(
        "auth is on, and nobody can say who they are: give tls.client_ca or auth.tokens, or leave \
         auth out"
    )]
    NobodyKnown,
    /// Tokens that would be anybody's, or nobody's.
    #[error("auth.tokens.{key} is missing; give issuer, audience and keys")]
    TokensHalf {
        /// What is missing.
        key: &'static str,
    },
    /// Tokens that have expired would be taken.
    #[error("auth.tokens.leeway_ms is {leeway_ms}; give at most {most}")]
    LeewayTooLong {
        /// As it is configured.
        leeway_ms: u64,
        /// As it may be.
        most: u64,
    },
    /// Nobody could ever log in, or nobody would be stopped.
    #[error("auth.failures_per_minute_max is {0}; give 1 to 1000000")]
    Failures(u32),
    /// The keys of tokens cannot be used.
    #[error("auth.tokens.keys: the file {file} {why}")]
    Keys {
        /// Which one.
        file: String,
        /// What is the matter with it.
        why: String,
    },
}

/// Who is meant by a line.
enum Who<'a> {
    Identity(&'a str),
    Subject(&'a str),
    Claim(&'a str, &'a str),
}

impl Grant {
    fn who(&self) -> Option<Who<'_>> {
        let said = |it: &'_ Option<String>| it.as_deref().is_some_and(|it| !it.is_empty());
        let Self { identity, subject, claim, value, .. } = self;
        match (identity, subject, claim, value) {
            (Some(it), None, None, None) if said(identity) => Some(Who::Identity(it)),
            (None, Some(it), None, None) if said(subject) => Some(Who::Subject(it)),
            (None, None, Some(it), Some(of)) if said(claim) && said(value) => {
                Some(Who::Claim(it, of))
            }
            _ => None,
        }
    }
}

impl AuthConfig {
    /// Whether somebody can be granted something.
    ///
    /// # Errors
    ///
    /// [`AuthError`] says what is missing.
    pub fn check(&self, has_client_ca: bool) -> Result<(), AuthError> {
        for (index, grant) in self.grants.iter().enumerate() {
            let number = index + 1;
            let who = grant.who().ok_or(AuthError::Nobody { number })?;
            if grant.role.is_none() {
                return Err(AuthError::NoRole { number });
            }
            let (key, needs, is_shown) = match who {
                Who::Identity(_) => ("a certificate", "tls.client_ca", has_client_ca),
                Who::Subject(_) | Who::Claim(..) => {
                    ("a token", "auth.tokens", self.tokens.is_some())
                }
            };
            if !is_shown {
                return Err(AuthError::NeverShown { number, key, needs });
            }
        }
        if !(1..=1_000_000).contains(&self.failures_per_minute_max) {
            return Err(AuthError::Failures(self.failures_per_minute_max));
        }
        if let Some(tokens) = &self.tokens {
            return tokens.check();
        }
        if has_client_ca { Ok(()) } else { Err(AuthError::NobodyKnown) }
    }
}

/// Who has which role.
#[derive(Debug, Default)]
pub(super) struct Grants {
    of_identities: HashMap<String, Roles>,
    of_subjects: HashMap<String, Roles>,
    of_claims: Vec<(String, String, Roles)>,
}

impl Grants {
    pub(super) fn new(config: &AuthConfig) -> Self {
        let mut all = Self::default();
        for grant in &config.grants {
            let (Some(who), Some(role)) = (grant.who(), grant.role) else { continue };
            let namespace = grant.namespace.as_deref();
            match who {
                Who::Identity(name) => {
                    let roles = all.of_identities.entry(name.to_owned()).or_default();
                    roles.add(role, namespace);
                }
                Who::Subject(name) => {
                    let roles = all.of_subjects.entry(name.to_owned()).or_default();
                    roles.add(role, namespace);
                }
                Who::Claim(claim, value) => {
                    let mut roles = Roles::default();
                    roles.add(role, namespace);
                    all.of_claims.push((claim.to_owned(), value.to_owned(), roles));
                }
            }
        }
        all
    }

    /// What is granted to any of the names in a certificate.
    pub(super) fn of_names<'a>(&self, names: impl Iterator<Item = &'a str>) -> Roles {
        let mut all = Roles::default();
        for roles in names.filter_map(|it| self.of_identities.get(it)) {
            all.join(roles);
        }
        all
    }

    /// What is granted to whom a token names, and for what it says of them.
    pub(super) fn of_token(&self, shown: &Shown) -> Roles {
        let mut all = self.of_subjects.get(&shown.subject).cloned().unwrap_or_default();
        for (claim, value, roles) in &self.of_claims {
            if shown.says(claim, value) {
                all.join(roles);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(identity: &str, role: Role, namespace: Option<&str>) -> Grant {
        let namespace = namespace.map(str::to_owned);
        Grant {
            identity: Some(identity.to_owned()),
            role: Some(role),
            namespace,
            ..Grant::default()
        }
    }

    fn grants(grants: Vec<Grant>) -> AuthConfig {
        AuthConfig { grants, ..AuthConfig::default() }
    }

    fn tokens() -> Option<TokensConfig> {
        let (issuer, audience) = ("https://login.example".to_owned(), "amends".to_owned());
        let keys = "keys.json".into();
        Some(TokensConfig { issuer, audience, keys, ..TokensConfig::default() })
    }

    #[test]
    fn what_is_granted_to_any_name_adds_up() {
        let grants = Grants::new(&grants(vec![
            named("a", Role::Viewer, None),
            named("a", Role::Operator, Some("orders")),
            named("b", Role::Client, None),
            named("b", Role::Viewer, Some("orders")),
        ]));
        let of = |names: &[&str], namespace: &str| {
            grants.of_names(names.iter().copied()).within(namespace)
        };
        assert_eq!(of(&["a"], "other"), Some(Role::Viewer));
        assert_eq!(of(&["a"], "orders"), Some(Role::Operator));
        assert_eq!(of(&["a", "b"], "other"), Some(Role::Client));
        assert_eq!(of(&["b", "a"], "orders"), Some(Role::Operator));
        assert_eq!(of(&["b"], "orders"), Some(Role::Client), "everywhere is there too");
        assert_eq!(of(&["c"], "orders"), None);
    }

    #[test]
    fn a_token_has_what_is_granted_to_its_subject_and_its_claims_and_no_name_of_a_certificate() {
        let text = |it: &str| Some(it.to_owned());
        let (role, namespace) = (Some(Role::Client), text("orders"));
        let subject = Grant { subject: text("kim"), role, namespace, ..Grant::default() };
        let (claim, value, role) = (text("groups"), text("on-call"), Some(Role::Operator));
        let group = Grant { claim, value, role, ..Grant::default() };
        let grants = Grants::new(&grants(vec![named("lee", Role::Admin, None), subject, group]));
        let of = |token: &str, namespace: &str| {
            let shown: Shown = serde_json::from_str(token).unwrap();
            grants.of_token(&shown).within(namespace)
        };
        assert_eq!(of(r#"{"sub":"kim"}"#, "orders"), Some(Role::Client));
        assert_eq!(of(r#"{"sub":"kim"}"#, "other"), None);
        let both = r#"{"sub":"kim","groups":["on-call"]}"#;
        assert_eq!(of(both, "orders"), Some(Role::Operator));
        assert_eq!(of(r#"{"sub":"lee","groups":["x"]}"#, "orders"), None);
        assert_eq!(grants.of_names(["kim"].into_iter()).within("orders"), None);
    }

    #[test]
    fn a_grant_says_who_and_what() {
        let text = |it: &str| Some(it.to_owned());
        let role = Some(Role::Client);
        let good = || named("a", Role::Admin, None);
        let two = Grant { subject: text("b"), ..good() };
        let half = Grant { claim: text("groups"), role, ..Grant::default() };
        let empty = Grant { identity: text(""), role, ..Grant::default() };
        for wrong in [Grant { role, ..Grant::default() }, two, half, empty] {
            let told = grants(vec![good(), wrong]).check(true).unwrap_err();
            assert_eq!(told, AuthError::Nobody { number: 2 });
        }
        let told = grants(vec![Grant { role: None, ..good() }]).check(true).unwrap_err();
        assert_eq!(told, AuthError::NoRole { number: 1 });
    }

    #[test]
    fn a_grant_is_for_somebody_who_can_show_it() {
        let subject =
            Grant { subject: Some("a".to_owned()), role: Some(Role::Admin), ..Grant::default() };
        let never = |config: AuthConfig, has_client_ca, missing: &str| {
            let told = config.check(has_client_ca).unwrap_err().to_string();
            assert!(told.contains(missing), "{missing}: {told}");
        };
        never(AuthConfig::default(), false, "tls.client_ca or auth.tokens");
        never(grants(vec![subject.clone()]), true, "auth.tokens");
        let by_tokens = |grants| AuthConfig { grants, tokens: tokens(), ..AuthConfig::default() };
        never(by_tokens(vec![named("a", Role::Admin, None)]), false, "tls.client_ca");
        assert_eq!(by_tokens(vec![subject]).check(false), Ok(()));
        assert_eq!(AuthConfig::default().check(true), Ok(()));
        let none = AuthConfig { failures_per_minute_max: 0, ..AuthConfig::default() };
        assert_eq!(none.check(true), Err(AuthError::Failures(0)));
    }
}
