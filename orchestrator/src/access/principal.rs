//! Who calls.

use std::{collections::BTreeMap, sync::Arc};

use tonic::{Code, Request, Status};

use super::policy::{Role, Rule};
use crate::api::error::{crashed, status};

/// Characters of what a client says of itself beside who it is: both together are an actor.
const NOTE_CHARS_MAX: usize = 200;

/// Who calls a method, in the extensions of its request.
#[derive(Clone, Debug)]
pub(crate) struct Principal(Option<Arc<Known>>);

/// Somebody who has shown who they are. Where nobody is asked, everybody may do everything.
#[derive(Debug)]
struct Known {
    name: String,
    roles: Roles,
    /// What is called.
    path: String,
    /// Which role that needs, where it is one in a namespace.
    needs: Option<Role>,
}

/// What somebody may do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roles {
    everywhere: Option<Role>,
    namespaces: BTreeMap<String, Role>,
}

impl Roles {
    pub(crate) fn add(&mut self, role: Role, namespace: Option<&str>) {
        match namespace {
            None => self.everywhere = self.everywhere.max(Some(role)),
            Some(namespace) => {
                let own = self.namespaces.entry(namespace.to_owned()).or_insert(role);
                *own = role.max(*own);
            }
        }
    }

    pub(crate) fn join(&mut self, others: &Self) {
        if let Some(role) = others.everywhere {
            self.add(role, None);
        }
        for (namespace, role) in &others.namespaces {
            self.add(*role, Some(namespace));
        }
    }

    pub(crate) fn within(&self, namespace: &str) -> Option<Role> {
        self.everywhere.max(self.namespaces.get(namespace).copied())
    }

    fn anywhere(&self) -> Option<Role> {
        self.everywhere.max(self.namespaces.values().copied().max())
    }
}

impl Principal {
    /// Where nobody is asked who they are.
    pub(crate) fn anybody() -> Self {
        Self(None)
    }

    /// Somebody who has what the method at `path` needs. In which namespace, that is for the
    /// method to find out.
    ///
    /// # Errors
    ///
    /// Which role they need. Nothing was done.
    pub(crate) fn admitted(
        name: &str,
        roles: Roles,
        path: &str,
        rule: Rule,
    ) -> Result<Self, Status> {
        let (needed, has, place) = match rule {
            Rule::Open => (None, None, ""),
            Rule::InNamespace(role) => (Some(role), roles.anywhere(), "in a namespace"),
            Rule::Everywhere(role) => (Some(role), roles.everywhere, "in all namespaces"),
        };
        match needed {
            Some(role) if has < needed => return Err(missing(name, path, role, place)),
            _ => {}
        }
        let needs = match rule {
            Rule::InNamespace(role) => Some(role),
            Rule::Open | Rule::Everywhere(_) => None,
        };
        let (name, path) = (name.to_owned(), path.to_owned());
        Ok(Self(Some(Arc::new(Known { name, roles, path, needs }))))
    }

    /// Who makes this request. The gate has let them in.
    ///
    /// # Errors
    ///
    /// There was no gate: a mistake in how the server is put together. Nothing was done.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let gated = request.extensions().get::<Self>().cloned();
        gated.ok_or_else(|| crashed("this server asks nobody who they are"))
    }

    /// Makes `actor` the one who has shown who they are. What was said beside it is a note.
    pub(crate) fn sign(&self, actor: &mut String) {
        let Some(known) = &self.0 else { return };
        let name = known.name.as_str();
        let said: String = std::mem::take(actor).chars().take(NOTE_CHARS_MAX).collect();
        *actor = match said.trim() {
            "" => name.to_owned(),
            said if said == name => name.to_owned(),
            said => format!("{name} (said: {said})"),
        };
    }

    /// Whether they have what the method needs in every namespace.
    pub(crate) fn has_it_everywhere(&self) -> bool {
        self.0.as_ref().is_none_or(|it| it.needs <= it.roles.everywhere)
    }

    /// The namespaces in which they have what the method needs. `None`: all.
    pub(crate) fn namespaces(&self) -> Option<Vec<&str>> {
        let known = self.0.as_deref().filter(|it| it.roles.everywhere < it.needs)?;
        let own = known.roles.namespaces.iter().filter(|(_, role)| known.needs <= Some(**role));
        Some(own.map(|(namespace, _)| namespace.as_str()).collect())
    }

    /// Whether they have what the method needs in this one.
    pub(crate) fn has_it_in(&self, namespace: &str) -> bool {
        self.0.as_ref().is_none_or(|it| it.needs <= it.roles.within(namespace))
    }

    /// Whether they have what the method needs in the namespace of something that is there.
    /// Whoever may not even look is told that it is `absent`.
    ///
    /// # Errors
    ///
    /// `absent`, or which role they need. Nothing was done.
    pub(crate) fn check_there(
        &self,
        namespace: &str,
        absent: impl FnOnce() -> Status,
    ) -> Result<(), Status> {
        match &self.0 {
            Some(known) if known.roles.within(namespace).is_none() => Err(absent()),
            _ => self.check_in(namespace),
        }
    }

    /// Whether they have what the method needs in this namespace.
    ///
    /// # Errors
    ///
    /// Which role they need. Nothing was done.
    pub(crate) fn check_in(&self, namespace: &str) -> Result<(), Status> {
        match self.0.as_deref() {
            Some(Known { name, path, needs: Some(role), .. }) if !self.has_it_in(namespace) => {
                Err(missing(name, path, *role, "in this namespace"))
            }
            _ => Ok(()),
        }
    }
}

fn missing(name: &str, path: &str, role: Role, place: &str) -> Status {
    let method = path.rsplit('/').next().unwrap_or_default();
    let message = format!(
        "{method} needs the role {} {place}, and {name} does not have it; nothing was done: have \
         it granted under auth.grants",
        role.word()
    );
    status(Code::PermissionDenied, "ROLE_MISSING", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_shown_who_they_are_is_the_actor_and_their_words_are_a_note() {
        let alice = "spiffe://shop/alice";
        let alice = Principal::admitted(alice, Roles::default(), "/x", Rule::Open).unwrap();
        for (said, actor) in [
            ("", "spiffe://shop/alice"),
            ("  ", "spiffe://shop/alice"),
            ("spiffe://shop/alice", "spiffe://shop/alice"),
            ("bob", "spiffe://shop/alice (said: bob)"),
        ] {
            let mut written = said.to_owned();
            alice.sign(&mut written);
            assert_eq!(written, actor);
        }
        let mut written = "bob".to_owned();
        Principal::anybody().sign(&mut written);
        assert_eq!(written, "bob");
    }
}
