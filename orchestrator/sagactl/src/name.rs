//! How people name one saga.
//!
//! `01a1ff65-949e-76ea-a3c9-4d8f0c70cde9` is an id. Anything else is a business key:
//! `order/10042` is the key `10042` in the namespace `order`, `10042` a key in the default
//! namespace. A key that has a slash itself, or looks like an id, is written with the
//! slash of the empty namespace: `/a/b`.

use saga_proto::saga::v1::{Saga, SagaName, saga_name};
use uuid::Uuid;

/// A business key and its namespace, as typed after `--key` or instead of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BusinessKey {
    /// Empty is the default namespace.
    pub(crate) namespace: String,
    /// Never empty.
    pub(crate) key: String,
}

/// Reads a business key.
///
/// # Errors
///
/// Says what is missing, for clap.
pub(crate) fn business_key(text: &str) -> Result<BusinessKey, String> {
    let (namespace, key) = text.split_once('/').unwrap_or(("", text));
    if key.is_empty() {
        return Err("a business key is missing".to_owned());
    }
    Ok(BusinessKey { namespace: namespace.to_owned(), key: key.to_owned() })
}

/// Reads the name of a saga.
///
/// # Errors
///
/// Says what is missing, for clap.
pub(crate) fn saga_name(text: &str) -> Result<SagaName, String> {
    if is_id(text) {
        return Ok(by_id(text));
    }
    let BusinessKey { namespace, key } = business_key(text)?;
    Ok(SagaName { name: Some(saga_name::Name::BusinessKey(key)), namespace })
}

/// The saga with this id.
pub(crate) fn by_id(id: &str) -> SagaName {
    SagaName { name: Some(saga_name::Name::SagaId(id.to_owned())), namespace: String::new() }
}

/// The name as it was typed, or could have been.
pub(crate) fn shown(name: &SagaName) -> String {
    match &name.name {
        Some(saga_name::Name::BusinessKey(key)) => shown_key(&name.namespace, key),
        Some(saga_name::Name::SagaId(id)) => id.clone(),
        None => String::new(),
    }
}

/// The business key of a saga, written so that [`saga_name`] reads it back.
pub(crate) fn shown_key(namespace: &str, key: &str) -> String {
    if namespace.is_empty() && !key.contains('/') && !is_id(key) {
        key.to_owned()
    } else {
        format!("{namespace}/{key}")
    }
}

/// The name as it was typed, quoted where a shell would not take it as it stands.
pub(crate) fn quoted(name: &SagaName) -> String {
    let shown = shown(name);
    if is_plain(&shown) { shown } else { format!("'{}'", shown.replace('\'', r"'\''")) }
}

fn is_plain(text: &str) -> bool {
    !text.starts_with('-')
        && text.chars().all(|it| it.is_ascii_alphanumeric() || "._:@/-+=".contains(it))
}

/// What to type for this saga: its key, or its id where a shell would not take the key
/// as it stands.
pub(crate) fn typed(saga: &Saga) -> String {
    let shown = shown_key(&saga.namespace, &saga.business_key);
    if saga.business_key.is_empty() || !is_plain(&shown) { saga.saga_id.clone() } else { shown }
}

/// Only the long form with hyphens: a business key of 32 digits stays a key.
fn is_id(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a1ff65-949e-76ea-a3c9-4d8f0c70cde9";

    fn keyed(namespace: &str, key: &str) -> SagaName {
        let name = Some(saga_name::Name::BusinessKey(key.to_owned()));
        SagaName { name, namespace: namespace.to_owned() }
    }

    #[test]
    fn a_uuid_is_an_id_and_anything_else_a_key() {
        let id = Some(saga_name::Name::SagaId(ID.to_owned()));
        assert_eq!(saga_name(ID), Ok(SagaName { name: id, namespace: String::new() }));
        assert_eq!(saga_name("10042"), Ok(keyed("", "10042")));
        assert_eq!(saga_name("order/10042"), Ok(keyed("order", "10042")));
        assert_eq!(saga_name("/a/b"), Ok(keyed("", "a/b")));
        assert_eq!(saga_name(&format!("/{ID}")), Ok(keyed("", ID)));
        assert!(saga_name("").is_err());
        assert!(saga_name("order/").is_err());
    }

    #[test]
    fn what_is_shown_can_be_typed() {
        for (namespace, key) in [("", "10042"), ("order", "10042"), ("", "a/b"), ("", ID)] {
            assert_eq!(saga_name(&shown_key(namespace, key)), Ok(keyed(namespace, key)));
        }
    }

    #[test]
    fn a_key_that_a_shell_would_read_is_replaced_by_the_id() {
        let saga = |key: &str| Saga {
            saga_id: ID.to_owned(),
            business_key: key.to_owned(),
            ..Saga::default()
        };
        assert_eq!(typed(&saga("10042")), "10042");
        for key in ["$(reboot)", "a b", "-o", "a;b", ""] {
            assert_eq!(typed(&saga(key)), ID, "{key}");
        }
    }
}
