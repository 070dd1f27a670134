//! The types that a definition needs, by participant: found when it is checked, stored with
//! it, and read again for ever.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};

use super::{Contracts, Needs};
use crate::{
    file::{CallFile, DefinitionFile, suggest},
    finding::{Findings, Span},
    rules,
    yaml::Spanned,
};

/// Types that belong to no participant that is called.
const NOBODY: &str = "";

/// The types that a definition needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pools {
    /// By participant.
    by: BTreeMap<String, DescriptorPool>,
    /// Of all participants: what was stored up to language level 2 knows no others.
    common: Option<DescriptorPool>,
}

/// As they are stored. What was stored up to level 2 is a `FileDescriptorSet`.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    common: Vec<Bytes>,
    #[prost(message, repeated, tag = "2")]
    participants: Vec<OfParticipant>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OfParticipant {
    #[prost(string, tag = "1")]
    name: String,
    /// A `FileDescriptorSet`.
    #[prost(bytes = "bytes", tag = "2")]
    files: Bytes,
}

impl Pools {
    /// The types that were stored with a definition. Without any where they are damaged, which
    /// shows when they are looked for.
    pub(crate) fn read(stored: &[u8]) -> Self {
        let Ok(read) = Stored::decode(stored) else { return Self::default() };
        let pool = |files: &[u8]| DescriptorPool::decode(files).unwrap_or_default();
        let of_each = read.participants.into_iter().map(|it| (it.name, pool(&it.files)));
        let common = (!read.common.is_empty()).then(|| pool(stored));
        Self { by: of_each.collect(), common }
    }

    pub(crate) fn encode(&self) -> Bytes {
        if let Some(common) = &self.common {
            return common.encode_to_vec().into();
        }
        let participants = self.by.iter().map(|(name, pool)| OfParticipant {
            name: name.clone(),
            files: pool.encode_to_vec().into(),
        });
        let stored = Stored { common: Vec::new(), participants: participants.collect() };
        stored.encode_to_vec().into()
    }

    fn of(&self, participant: &str) -> Option<&DescriptorPool> {
        self.by.get(participant).or(self.common.as_ref())
    }

    /// The message of that name: of the first participant, by name, that has one.
    pub(crate) fn message(&self, name: &str) -> Option<MessageDescriptor> {
        let mut pools = self.by.values().chain(&self.common);
        pools.find_map(|pool| pool.get_message_by_name(name))
    }
}

/// Looks for types, and reports what is not there.
pub(crate) struct Search<'c> {
    pub(crate) pools: Pools,
    /// What is served, for suggestions. `None`: a definition is read that was stored.
    served: Option<&'c Contracts>,
    /// Participants whose types cannot be used, which is reported.
    unusable: BTreeSet<String>,
}

impl<'c> Search<'c> {
    /// Among what was stored with a definition.
    pub(crate) fn stored(types: &[u8]) -> Self {
        Self { pools: Pools::read(types), served: None, unusable: BTreeSet::new() }
    }

    /// Among what participants serve.
    pub(crate) fn served(
        file: &DefinitionFile,
        contracts: &'c Contracts,
        findings: &mut Findings,
    ) -> Self {
        let mut needs: BTreeMap<String, (Needs, Span)> = BTreeMap::new();
        for call in file.steps.iter().flat_map(|it| it.call().into_iter().chain(it.undo())) {
            let (of, _) = needs
                .entry(call.participant.clone())
                .or_insert_with(|| (Needs::default(), call.span));
            of.methods.entry(call.service.clone()).or_default().insert(call.method.clone());
        }
        let signals = file.steps.iter().filter_map(|it| it.wait()?.of.as_ref());
        for name in signals.chain([&file.input]) {
            // Those that are called come first; any other may declare it too.
            let known = needs.keys().chain(contracts.types.keys());
            let mut known = known.filter(|it| contracts.of(it).has_message(&name.value));
            let first = known.next().cloned().unwrap_or_else(|| NOBODY.to_owned());
            let (of, _) = needs.entry(first).or_insert_with(|| (Needs::default(), name.span));
            of.messages.insert(name.value.clone());
        }
        let (mut by, mut unusable) = (BTreeMap::new(), BTreeSet::new());
        for (participant, (needs, span)) in needs {
            match contracts.of(&participant).pool(&needs) {
                Ok(pool) => {
                    by.insert(participant, pool);
                }
                Err(why) => {
                    let message = format!("the types of participant {participant}: {why}");
                    let remedy = "serve types that refer only to what is served, or give a \
                                  descriptor set in the configuration (`descriptors`)";
                    findings.error("unusable-types", span, message, remedy);
                    unusable.insert(participant);
                }
            }
        }
        Self { pools: Pools { by, common: None }, served: Some(contracts), unusable }
    }

    /// The method that a call names.
    pub(crate) fn method(
        &self,
        call: &CallFile,
        findings: &mut Findings,
    ) -> Option<MethodDescriptor> {
        rules::check_reach(call, findings);
        if self.unusable.contains(&call.participant) {
            return None;
        }
        let found = self.pools.of(&call.participant);
        let found = found.and_then(|pool| pool.get_service_by_name(&call.service));
        let served = self.served.map(|it| it.of(&call.participant));
        let Some(service) = found else {
            let message =
                format!("participant {} serves no service `{}`", call.participant, call.service);
            let known = served.map(|it| it.services()).unwrap_or_default();
            findings.error("unknown-service", call.span, message, suggest(&call.service, &known));
            return None;
        };
        let Some(method) = service.methods().find(|it| it.name() == call.method) else {
            let message = format!("{} has no method `{}`", call.service, call.method);
            let known = served.and_then(|it| it.methods(&call.service)).unwrap_or_default();
            findings.error("unknown-method", call.span, message, suggest(&call.method, &known));
            return None;
        };
        if method.is_client_streaming() || method.is_server_streaming() {
            let message = format!("{} streams", method.full_name());
            let remedy = "call a method with one request and one reply";
            findings.error("streaming-method", call.span, message, remedy);
        }
        Some(method)
    }

    /// The message of that name. Where there is none, `rule` says so, with names that end in
    /// one of `endings` as suggestions.
    pub(crate) fn message(
        &self,
        rule: &'static str,
        name: &Spanned<String>,
        endings: &[&str],
        findings: &mut Findings,
    ) -> Option<MessageDescriptor> {
        let found = self.pools.message(&name.value);
        if found.is_none() && self.unusable.is_empty() {
            let mut known = self.known_messages();
            known.retain(|it| endings.iter().any(|ending| it.ends_with(ending)));
            let near = suggest(&name.value, &known);
            let remedy = if near.starts_with("did") {
                near
            } else {
                "name a message that a participant serves by reflection: package.Message".to_owned()
            };
            let message = format!("there is no message type `{}`", name.value);
            findings.error(rule, name.span, message, remedy);
        }
        found
    }

    fn known_messages(&self) -> Vec<&str> {
        let Some(contracts) = self.served else { return Vec::new() };
        let of_each = self.pools.by.keys().flat_map(|it| contracts.of(it).messages());
        let known: BTreeSet<&str> = of_each.collect();
        known.into_iter().collect()
    }
}
