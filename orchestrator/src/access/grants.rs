//! Who has which role: `auth` in the configuration.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{policy::Role, principal::Roles};

/// `auth` in the configuration. Where it is, nobody may do anything that is not granted.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Who may do what.
    pub grants: Vec<Grant>,
}

/// One line of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// Who: a name in a certificate, such as `spiffe://shop/till`.
    pub identity: String,
    /// What they are.
    pub role: Option<Role>,
    /// In which namespace. Absent: in all of them.
    pub namespace: Option<String>,
}

/// Grants that cannot be meant. A program that gets them stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// A line that says nothing.
    #[error(
        "auth.grants, number {number}: {key} is missing; write \
         {{ identity = \"spiffe://shop/till\", role = \"client\" }}"
    )]
    Half {
        /// Which one, from 1.
        number: usize,
        /// What is missing.
        key: &'static str,
    },
    /// Nobody could say who they are.
    #[error("auth is on, and nobody can say who they are: give tls.client_ca, or leave auth out")]
    NobodyKnown,
}

impl AuthConfig {
    /// Whether somebody can be granted something.
    ///
    /// # Errors
    ///
    /// [`AuthError`] says what is missing.
    pub fn check(&self, has_client_ca: bool) -> Result<(), AuthError> {
        for (index, grant) in self.grants.iter().enumerate() {
            let half = |key| AuthError::Half { number: index + 1, key };
            if grant.identity.is_empty() {
                return Err(half("identity"));
            }
            if grant.role.is_none() {
                return Err(half("role"));
            }
        }
        if has_client_ca { Ok(()) } else { Err(AuthError::NobodyKnown) }
    }
}

/// Who has which role.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    of_identities: HashMap<String, Roles>,
}

impl Grants {
    pub(crate) fn new(config: &AuthConfig) -> Self {
        let mut all: HashMap<String, Roles> = HashMap::new();
        for Grant { identity, role, namespace } in &config.grants {
            let Some(role) = *role else { continue };
            all.entry(identity.clone()).or_default().add(role, namespace.as_deref());
        }
        Self { of_identities: all }
    }

    /// What is granted to any of these names.
    pub(crate) fn of<'a>(&self, names: impl Iterator<Item = &'a str>) -> Roles {
        let mut all = Roles::default();
        for roles in names.filter_map(|it| self.of_identities.get(it)) {
            all.join(roles);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(identity: &str, role: Role, namespace: Option<&str>) -> Grant {
        let namespace = namespace.map(str::to_owned);
        Grant { identity: identity.to_owned(), role: Some(role), namespace }
    }

    #[test]
    fn what_is_granted_to_any_name_adds_up() {
        let grants = vec![
            grant("a", Role::Viewer, None),
            grant("a", Role::Operator, Some("orders")),
            grant("b", Role::Client, None),
            grant("b", Role::Viewer, Some("orders")),
        ];
        let grants = Grants::new(&AuthConfig { grants });
        let of =
            |names: &[&str], namespace: &str| grants.of(names.iter().copied()).within(namespace);
        assert_eq!(of(&["a"], "other"), Some(Role::Viewer));
        assert_eq!(of(&["a"], "orders"), Some(Role::Operator));
        assert_eq!(of(&["a", "b"], "other"), Some(Role::Client));
        assert_eq!(of(&["b", "a"], "orders"), Some(Role::Operator));
        assert_eq!(of(&["b"], "orders"), Some(Role::Client), "everywhere is there too");
        assert_eq!(of(&["c"], "orders"), None);
    }

    #[test]
    fn a_grant_says_who_and_what() {
        let none = Grant { role: Some(Role::Client), ..Grant::default() };
        let half = Grant { identity: "a".to_owned(), ..Grant::default() };
        for (wrong, key) in [(none, "identity"), (half, "role")] {
            let grants = vec![grant("a", Role::Admin, None), wrong];
            let refused = AuthConfig { grants }.check(true).unwrap_err();
            assert_eq!(refused, AuthError::Half { number: 2, key });
        }
        assert_eq!(AuthConfig::default().check(false), Err(AuthError::NobodyKnown));
        assert_eq!(AuthConfig::default().check(true), Ok(()));
    }
}
