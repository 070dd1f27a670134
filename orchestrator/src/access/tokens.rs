//! Who shows a bearer token (RFC 6750): a JSON Web Token of the one issuer that is configured.

use std::{path::PathBuf, sync::Arc};

use jsonwebtoken::{Validation, decode, decode_header, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{grants::AuthError, keys::Keys, signatures};

/// A token of more bytes is not looked at.
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Characters of a subject (OpenID Connect, 2).
const SUBJECT_CHARS_MAX: usize = 255;

/// How far clocks may be apart (X04).
const LEEWAY_MAX_MS: u64 = 60_000;

/// `auth.tokens` in the configuration: whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokensConfig {
    /// Who makes them: their `iss`.
    pub issuer: String,
    /// For whom they are made: one of their `aud`.
    pub audience: String,
    /// The file of the keys with which they are signed: a JSON Web Key Set.
    pub keys: PathBuf,
    /// How far the clocks of the issuer and of this machine may be apart.
    pub leeway_ms: u64,
}

impl Default for TokensConfig {
    fn default() -> Self {
        let (issuer, audience, keys) = Default::default();
        Self { issuer, audience, keys, leeway_ms: 30_000 }
    }
}

impl TokensConfig {
    pub(super) fn check(&self) -> Result<(), AuthError> {
        let said = [
            ("issuer", !self.issuer.is_empty()),
            ("audience", !self.audience.is_empty()),
            ("keys", !self.keys.as_os_str().is_empty()),
        ];
        if let Some((key, _)) = said.iter().find(|(_, is_said)| !is_said) {
            return Err(AuthError::TokensHalf { key });
        }
        if LEEWAY_MAX_MS < self.leeway_ms {
            let leeway_ms = self.leeway_ms;
            return Err(AuthError::LeewayTooLong { leeway_ms, most: LEEWAY_MAX_MS });
        }
        Ok(())
    }
}

/// Whom a token names, and what it says of them.
#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    #[serde(rename = "sub")]
    pub(super) subject: String,
    #[serde(flatten)]
    claims: Map<String, Value>,
}

impl Shown {
    /// Whether it says `value` under `claim`, alone or among others. Dots lead into claims of
    /// claims, as in `realm_access.roles`, where there is none of the whole name.
    pub(super) fn says(&self, claim: &str, value: &str) -> bool {
        let deep = || {
            let mut parts = claim.split('.');
            let first = self.claims.get(parts.next()?)?;
            parts.try_fold(first, |within, part| within.get(part))
        };
        match self.claims.get(claim).or_else(deep) {
            Some(Value::String(said)) => said == value,
            Some(Value::Array(all)) => all.iter().any(|it| it.as_str() == Some(value)),
            _ => false,
        }
    }
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    TooLarge,
    Malformed,
    Key,
    Signature,
    Expired,
    NotYet,
    Issuer,
    Audience,
    Claims,
}

impl Wrong {
    pub(super) const ALL: [Self; 9] = [
        Self::TooLarge,
        Self::Malformed,
        Self::Key,
        Self::Signature,
        Self::Expired,
        Self::NotYet,
        Self::Issuer,
        Self::Audience,
        Self::Claims,
    ];

    /// Whether nobody who gives tokens may have made it. One that has run out, or that is for
    /// somebody else, is a mistake of its bearer: others behind the same address go on.
    pub(super) fn may_be_forged(self) -> bool {
        matches!(self, Self::TooLarge | Self::Malformed | Self::Key | Self::Signature)
    }

    /// In one word, for metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claims => "claims",
        }
    }

    /// For whoever showed it. Nothing that they could not read in it.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::TooLarge => "it has more than 8 KiB",
            Self::Malformed => "it is no signed JSON Web Token, or of an algorithm not taken here",
            Self::Key => "it is signed with a key that is none of its issuer's",
            Self::Signature => "its signature is wrong",
            Self::Expired => "it has expired",
            Self::NotYet => "it is not valid yet",
            Self::Issuer => "another issuer made it",
            Self::Audience => "it is made for somebody else",
            Self::Claims => {
                "a claim is missing or of another kind: exp, iss, aud and sub are needed"
            }
        }
    }

    fn of(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::NotYet,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::MissingRequiredClaim(_)
            | ErrorKind::InvalidClaimFormat(_)
            | ErrorKind::Json(_) => Self::Claims,
            ErrorKind::InvalidToken => Self::Malformed,
            // Also of another algorithm than the key's.
            _ => Self::Signature,
        }
    }
}

/// Whose tokens are taken.
#[derive(Debug)]
pub(super) struct Tokens {
    config: TokensConfig,
    keys: Arc<Keys>,
}

impl Tokens {
    /// Reads the keys, and looks at them from now on. Must be called inside a runtime.
    ///
    /// # Errors
    ///
    /// The keys cannot be used.
    pub(super) fn open(config: &TokensConfig) -> Result<Self, AuthError> {
        signatures::install();
        let file = || config.keys.display().to_string();
        let keys = Keys::open(&config.keys);
        let keys = Arc::new(keys.map_err(|why| AuthError::Keys { file: file(), why })?);
        keys.look_after();
        Ok(Self { config: config.clone(), keys })
    }

    /// Who made the tokens.
    pub(super) fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// Whom `token` names.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub(super) fn check(&self, token: &str) -> Result<Shown, Wrong> {
        if TOKEN_BYTES_MAX < token.len() {
            return Err(Wrong::TooLarge);
        }
        // Nothing is believed of this but which key is to be tried: the key has one algorithm.
        let header = decode_header(token).map_err(|_| Wrong::Malformed)?;
        let (algorithm, key) = header.kid.and_then(|id| self.keys.of(&id)).ok_or(Wrong::Key)?;
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.config.leeway_ms / 1_000;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.audience]);
        let shown = decode::<Shown>(token, &key, &validation);
        let shown = shown.map_err(|error| Wrong::of(error.kind()))?.claims;
        let subject = &shown.subject;
        // It is written to logs, of sagas and of the program.
        let is_name = !subject.trim().is_empty() && !subject.chars().any(char::is_control);
        if !is_name || subject.chars().nth(SUBJECT_CHARS_MAX).is_some() {
            return Err(Wrong::Claims);
        }
        Ok(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_says_a_value_alone_or_among_others() {
        let shown: Shown = serde_json::from_str(
            r#"{"sub":"a","groups":["on-call","x"],"team":"till","realm":{"roles":["lead"]},
                "a.b":"whole","a":{"b":"deep"},"n":7}"#,
        )
        .unwrap();
        for (claim, value) in
            [("groups", "on-call"), ("team", "till"), ("realm.roles", "lead"), ("a.b", "whole")]
        {
            assert!(shown.says(claim, value), "{claim} {value}");
        }
        for (claim, value) in [
            ("groups", "on"),
            ("team", "till2"),
            ("realm", "lead"),
            ("realm.roles.lead", "lead"),
            ("a.b", "deep"),
            ("n", "7"),
            ("sub", "a"),
            ("", ""),
        ] {
            assert!(!shown.says(claim, value), "{claim} {value}");
        }
    }

    #[test]
    fn tokens_of_nobody_and_for_nobody_are_not_configured() {
        let whole = TokensConfig {
            issuer: "https://login.example".to_owned(),
            audience: "amends".to_owned(),
            keys: "keys.json".into(),
            ..TokensConfig::default()
        };
        assert_eq!(whole.check(), Ok(()));
        let without = [
            ("issuer", TokensConfig { issuer: String::new(), ..whole.clone() }),
            ("audience", TokensConfig { audience: String::new(), ..whole.clone() }),
            ("keys", TokensConfig { keys: PathBuf::new(), ..whole.clone() }),
        ];
        for (key, config) in without {
            assert_eq!(config.check(), Err(AuthError::TokensHalf { key }));
        }
        let lax = TokensConfig { leeway_ms: 60_001, ..whole };
        assert!(matches!(lax.check(), Err(AuthError::LeewayTooLong { .. })));
    }
}
