//! What each method needs. It is said once, in the contracts, and read from there.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, MethodDescriptor, Value};
use serde::{Deserialize, Serialize};

/// What somebody may do. Each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Viewer,
    /// Start, cancel and signal sagas.
    Client,
    /// Act on sagas and participants, where nothing is lost by it.
    Operator,
    /// Say what is true, and end what is not done.
    Approver,
    /// Change what sagas are, and where their log goes on.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Viewer, Self::Client, Self::Operator, Self::Approver, Self::Admin];

    /// Its word in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Client => "client",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    fn of_number(number: i32) -> Option<Self> {
        usize::try_from(number - 1).ok().and_then(|it| Self::ALL.get(it)).copied()
    }
}

/// What a method needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Nothing: whether a server is healthy is no secret.
    Open,
    /// This role in some namespace. Which one, the method finds out.
    InNamespace(Role),
    /// This role in all of them.
    Everywhere(Role),
}

/// What all methods need.
#[derive(Debug)]
pub struct Policy(HashMap<String, Rule>);

impl Policy {
    /// As the contracts of this program say. A method without a word of it does not get past
    /// the build.
    ///
    /// # Panics
    ///
    /// Never: the contracts are built in.
    #[must_use]
    pub fn read() -> Self {
        let pool = DescriptorPool::decode(saga_proto::FILE_DESCRIPTOR_SET)
            .expect("the contracts are built in");
        let methods = pool.services().flat_map(|it| it.methods().collect::<Vec<_>>());
        let rule = |method: MethodDescriptor| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            Some((path, rule(&pool, &method)?))
        };
        Self(methods.filter_map(rule).collect())
    }

    /// What the method at `path` needs. Reflection, and what this program does not know, is
    /// for whoever may look at anything.
    #[must_use]
    pub fn of(&self, path: &str) -> Rule {
        // Once: a stream would keep a connection of somebody whom nobody knows.
        if path == "/grpc.health.v1.Health/Check" {
            return Rule::Open;
        }
        self.0.get(path).copied().unwrap_or(Rule::InNamespace(Role::Viewer))
    }

    /// Every method that says what it needs.
    pub fn methods(&self) -> impl Iterator<Item = (&str, Rule)> {
        self.0.iter().map(|(path, rule)| (path.as_str(), *rule))
    }
}

fn rule(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<Rule> {
    let option = pool.get_extension_by_name("saga.v1.access")?;
    let options = method.options();
    if !options.has_extension(&option) {
        return None;
    }
    let Value::Message(access) = options.get_extension(&option).into_owned() else { return None };
    let role = access.get_field_by_name("role")?.as_enum_number()?;
    let role = Role::of_number(role)?;
    match access.get_field_by_name("in_namespace")?.as_bool()? {
        true => Some(Rule::InNamespace(role)),
        false => Some(Rule::Everywhere(role)),
    }
}

#[cfg(test)]
mod tests {
    use saga_proto::saga::v1 as pb;

    use super::*;

    #[test]
    fn roles_are_those_of_the_contract() {
        for role in Role::ALL {
            let name = format!("ROLE_{}", role.word().to_uppercase());
            let number = pb::Role::from_str_name(&name).unwrap() as i32;
            assert_eq!(Role::of_number(number), Some(role));
        }
        assert_eq!(Role::of_number(0), None);
        assert_eq!(Role::of_number(6), None);
    }

    #[test]
    fn every_method_of_the_engine_says_what_it_needs() {
        let pool = DescriptorPool::decode(saga_proto::FILE_DESCRIPTOR_SET).unwrap();
        let policy = Policy::read();
        let mut seen = 0;
        for service in pool.services().filter(|it| it.package_name() == "saga.v1") {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                assert!(policy.0.contains_key(&path), "{path}");
                seen += 1;
            }
        }
        assert_eq!(policy.0.len(), seen, "and no other does");
        assert!(20 < seen, "{seen}");
        let of = |method: &str| policy.of(&format!("/saga.v1.{method}"));
        assert_eq!(of("SagaService/StartSaga"), Rule::InNamespace(Role::Client));
        assert_eq!(of("OperatorService/ForceOutcome"), Rule::InNamespace(Role::Approver));
        assert_eq!(of("OperatorService/AcknowledgeRestore"), Rule::Everywhere(Role::Admin));
        assert_eq!(policy.of("/grpc.health.v1.Health/Check"), Rule::Open);
        assert_eq!(policy.of("/grpc.health.v1.Health/Watch"), Rule::InNamespace(Role::Viewer));
        let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        assert_eq!(policy.of(reflection), Rule::InNamespace(Role::Viewer));
    }
}
