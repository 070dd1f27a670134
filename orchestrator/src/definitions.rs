//! The definitions that this node can drive: stored ones, compiled once and kept.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use saga_log::{Asked, DefinitionRow, StoreError};
use tokio::sync::Semaphore;

use crate::{
    definition::{
        Compiled, CompiledDefinition, Contracts, Finding, LANGUAGE_LEVEL, Report, ServedTypes,
        Sizes, Unreadable,
    },
    engine::Shared,
    participants::DescriptorError,
};

/// Definitions that are read or checked at the same time. Each takes a processor for a while.
const READ_AT_ONCE: usize = 2;

/// Compiled definitions by name and version.
#[derive(Debug)]
pub(crate) struct Definitions {
    known: RwLock<Known>,
    /// Why a file of this node's folder was refused.
    refused: RwLock<BTreeMap<String, String>>,
    reading: Semaphore,
}

impl Default for Definitions {
    fn default() -> Self {
        Self {
            known: RwLock::default(),
            refused: RwLock::default(),
            reading: Semaphore::new(READ_AT_ONCE),
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    compiled: HashMap<(String, u32), Arc<CompiledDefinition>>,
    newest: HashMap<String, u32>,
    /// By name, the version up to which none is started any more. It only grows.
    retired: HashMap<String, u32>,
}

/// Why a definition cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// Nothing of this name and version is stored.
    #[error("definition {name} version {version} is not registered")]
    NotRegistered { name: String, version: u32 },
    /// The log cannot be asked now. Ask again.
    #[error("definition {name}: the log cannot be asked")]
    Log { name: String, source: StoreError },
    /// It was stored by a program that understood it; this one does not.
    #[error("definition {name} version {version} cannot be run: {why}")]
    Unusable { name: String, version: u32, why: Unreadable },
}

/// Why a definition was not stored. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The definition has errors.
    #[error("the definition is not valid:\n{}", .0.rendered)]
    Invalid(Box<Report>),
    /// This version is stored with other contents.
    #[error("definition {name} version {version} is stored with other contents")]
    VersionReused { name: String, version: u32 },
    /// A participant's types are not known.
    #[error("the types of participant {participant} are not known: {message}")]
    Descriptors { participant: String, message: String },
    /// The definition calls a participant that the configuration does not name (X07).
    #[error(
        "participant {participant} is not configured; add it under [participants], or correct \
         its name in the definition"
    )]
    ParticipantUnknown { participant: String },
    /// The request id has stored another definition, or came from somebody else. Take another.
    #[error("the request id is that of definition {name} version {version}")]
    RequestIdReused { name: String, version: u32 },
    /// Its newest version is another one than was looked at. Look again.
    #[error("the newest version of definition {name} is not {expected}")]
    MovedOn { name: String, expected: u32, newest: Option<Box<DefinitionRow>> },
    /// The log cannot be written now. Do it again, with the same request id: it may be stored.
    #[error("the definition was not stored")]
    Log(#[source] StoreError),
}

/// Who registers a definition.
#[derive(Clone, Debug, Default)]
pub struct Registrar {
    pub asked: Asked,
    /// The newest version that they looked at. 0: whatever it is.
    pub expected_version: u32,
}

/// A definition that is stored.
#[derive(Debug)]
pub struct Registered {
    pub row: DefinitionRow,
    pub warnings: Vec<Finding>,
}

impl Definitions {
    /// The definition of this name. Version 0 is the newest that this node knows of.
    pub(crate) async fn find(
        &self,
        shared: &Shared,
        name: &str,
        version: u32,
    ) -> Result<Arc<CompiledDefinition>, DefinitionError> {
        if let Some(known) = self.known(name, version) {
            return Ok(known);
        }
        let row = shared
            .log
            .store()
            .definition(name, version)
            .await
            .map_err(|source| DefinitionError::Log { name: name.to_owned(), source })?;
        let not_registered = || DefinitionError::NotRegistered { name: name.to_owned(), version };
        let row = row.ok_or_else(not_registered)?;
        if let Some(known) = self.known(name, row.version) {
            return Ok(known);
        }
        let version = row.version;
        let read =
            CompiledDefinition::read(&row.yaml, &row.name, row.language_level, &row.descriptors);
        let definition = read.map_err(|why| {
            let name = name.to_owned();
            DefinitionError::Unusable { name, version, why }
        })?;
        Ok(self.keep(definition))
    }

    /// Reads a text that nobody has checked, beside the threads that drive sagas: they go on
    /// whatever is in it. What is stored was checked, and is read where it is needed.
    async fn beside<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> T {
        let _place = self.reading.acquire().await.expect("nobody closes it");
        match tokio::task::spawn_blocking(read).await {
            Ok(read) => read,
            // Nobody cancels it: it panicked, and so does whoever asked.
            Err(died) => std::panic::resume_unwind(died.into_panic()),
        }
    }

    fn known(&self, name: &str, version: u32) -> Option<Arc<CompiledDefinition>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let version = if version == 0 { *known.newest.get(name)? } else { version };
        known.compiled.get(&(name.to_owned(), version)).cloned()
    }

    fn keep(&self, definition: CompiledDefinition) -> Arc<CompiledDefinition> {
        let (name, version) = (definition.core.name.clone(), definition.core.version);
        let definition = Arc::new(definition);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let newest = known.newest.entry(name.clone()).or_insert(version);
        *newest = version.max(*newest);
        known.compiled.insert((name, version), Arc::clone(&definition));
        definition
    }

    /// Whether a newer version has retired this one: no new saga is started by it. What runs by
    /// it goes on.
    pub(crate) fn is_retired(&self, name: &str, version: u32) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.retired.get(name).is_some_and(|retired| version <= *retired)
    }

    fn retire(&self, name: String, version: u32) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let retired = known.retired.entry(name).or_default();
        *retired = version.max(*retired);
    }

    /// Remembers for `server info` that a file is not what is stored. Sagas and starts go by
    /// what is.
    pub(crate) fn refuse(&self, file: &str, why: &str) {
        let mut refused = self.refused.write().unwrap_or_else(PoisonError::into_inner);
        refused.insert(file.to_owned(), why.to_owned());
    }

    /// Forgets that a file was refused: it is stored now, or gone.
    pub(crate) fn take_back(&self, file: &str) {
        let mut refused = self.refused.write().unwrap_or_else(PoisonError::into_inner);
        refused.remove(file);
    }

    /// The files that were refused, each with why.
    pub(crate) fn refused(&self) -> Vec<String> {
        let refused = self.refused.read().unwrap_or_else(PoisonError::into_inner);
        refused.iter().map(|(file, why)| format!("{file}: {why}")).collect()
    }

    /// Learns of versions that other nodes have stored, and of those that they have retired.
    pub(crate) async fn refresh(&self, shared: &Shared) -> Result<(), StoreError> {
        // Whether or not this program can read the version that retires them.
        for (name, version) in shared.log.store().retired().await? {
            self.retire(name, version);
        }
        for row in shared.log.store().definitions().await? {
            if self.known(&row.name, row.version).is_none() {
                self.learn(shared, &row).await;
            }
        }
        Ok(())
    }

    /// Checks a definition against the types of its participants.
    pub(crate) async fn check(
        &self,
        shared: &Shared,
        yaml: &str,
        file_name: &str,
    ) -> Result<Compiled, RegisterError> {
        let invalid = |report| RegisterError::Invalid(Box::new(report));
        let (text, name): (Arc<str>, Arc<str>) = (yaml.into(), file_name.into());
        let of = (Arc::clone(&text), Arc::clone(&name));
        let named = self.beside(move || CompiledDefinition::participants_of(&of.0, &of.1));
        let participants = named.await.map_err(invalid)?;
        let (mut types, mut inquiry, mut reply_bytes_max) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for participant in participants {
            // Fixed types hold those of participants that nobody can call.
            if !shared.caller.knows(&participant) {
                return Err(RegisterError::ParticipantUnknown { participant });
            }
            let unknown = |message: String| RegisterError::Descriptors {
                participant: participant.clone(),
                message,
            };
            let asked = shared.descriptors.of_participant(&participant).await;
            let (served, answers) = asked.map_err(|error| match error {
                DescriptorError::NotConfigured { participant } => {
                    RegisterError::ParticipantUnknown { participant }
                }
                other => unknown(other.to_string()),
            })?;
            types.insert(participant.clone(), served);
            let reply = shared.caller.reply_bytes_max(&participant);
            reply_bytes_max.insert(participant.clone(), reply);
            inquiry.extend(answers.map(|answers| (participant, answers)));
        }
        self.find_messages(shared, &text, &mut types).await;
        let sizes = Sizes {
            input_bytes_max: shared.limits.input_bytes_max,
            reply_bytes_max,
            request_bytes_max: shared.limits.request_bytes_max,
        };
        let others = Arc::new(ServedTypes::default());
        let contracts = Contracts { types, others, inquiry, sizes: Some(sizes) };
        self.beside(move || CompiledDefinition::check(&text, &name, &contracts))
            .await
            .map_err(invalid)
    }

    /// Looks for the types of inputs and signals at the other participants of this node, where
    /// none that is called has them. One that cannot be asked has none.
    async fn find_messages(
        &self,
        shared: &Shared,
        yaml: &Arc<str>,
        types: &mut BTreeMap<String, Arc<ServedTypes>>,
    ) {
        let text = Arc::clone(yaml);
        let messages = self.beside(move || CompiledDefinition::messages_of(&text)).await;
        for participant in shared.caller.participants() {
            let is_known = |name: &String| types.values().any(|it| it.has_message(name));
            if messages.iter().all(is_known) {
                return;
            }
            if types.contains_key(&participant) {
                continue;
            }
            match shared.descriptors.of_participant(&participant).await {
                Ok((served, _)) if messages.iter().any(|it| served.has_message(it)) => {
                    types.insert(participant, served);
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(participant, %error, "its types are left out"),
            }
        }
    }

    /// Checks a definition and stores it for ever. What is stored already was checked then: a
    /// node finds it in its folder at each start, and runs sagas by it whatever today's rules
    /// would say.
    pub(crate) async fn register(
        &self,
        shared: &Shared,
        yaml: &str,
        file_name: &str,
        by: Registrar,
    ) -> Result<Registered, RegisterError> {
        let store = shared.log.store();
        let heard = store.definition_of_request(&by.asked.request_id).await;
        let is_heard = match heard.map_err(RegisterError::Log)? {
            Some(row) => {
                same_request(&row, yaml, &by.asked)?;
                true
            }
            None => false,
        };
        if let Some(row) = self.stored(shared, yaml).await? {
            if !is_heard {
                by.still_at(shared, &row.name).await?;
            }
            self.learn(shared, &row).await;
            return Ok(Registered { row, warnings: Vec::new() });
        }
        let Compiled { definition, warnings, .. } = self.check(shared, yaml, file_name).await?;
        let row = DefinitionRow {
            name: definition.core.name.clone(),
            version: definition.core.version,
            hash: definition.hash,
            yaml: yaml.to_owned(),
            descriptors: definition.types(),
            registered_at_ms: shared.clock.now_ms(),
            language_level: LANGUAGE_LEVEL,
            retires: definition.retires,
            asked: by.asked.clone(),
        };
        by.still_at(shared, &row.name).await?;
        let stored = store.put_definition(&row).await.map_err(RegisterError::Log)?;
        if (&stored.name, stored.version) != (&row.name, row.version) {
            let (name, version) = (stored.name, stored.version);
            return Err(RegisterError::RequestIdReused { name, version });
        }
        if stored.hash != row.hash {
            return Err(RegisterError::VersionReused { name: row.name, version: row.version });
        }
        self.learn(shared, &stored).await;
        Ok(Registered { row: stored, warnings })
    }

    /// Keeps a definition as every other node has it: with the types that are stored, not with
    /// all that its participants serve, which may make another message of the same bytes.
    async fn learn(&self, shared: &Shared, row: &DefinitionRow) {
        self.retire(row.name.clone(), row.retires);
        if let Err(error) = self.find(shared, &row.name, row.version).await {
            tracing::warn!(%error, "a stored definition cannot be used");
        }
    }

    /// The stored definition that this text is.
    async fn stored(
        &self,
        shared: &Shared,
        yaml: &str,
    ) -> Result<Option<DefinitionRow>, RegisterError> {
        let text = yaml.to_owned();
        let asked = self.beside(move || CompiledDefinition::identity(&text)).await;
        let Some(asked) = asked else { return Ok(None) };
        let row = shared.log.store().definition(&asked.name, asked.version).await;
        let row = row.map_err(RegisterError::Log)?;
        // With other contents it is checked: what is wrong with it is worth more to know.
        Ok(row.filter(|row| row.hash == asked.hash))
    }
}

impl Registrar {
    /// Whether the newest version is still the one that was looked at.
    async fn still_at(&self, shared: &Shared, name: &str) -> Result<(), RegisterError> {
        let expected = self.expected_version;
        if expected == 0 {
            return Ok(());
        }
        let newest = shared.log.store().definition(name, 0).await.map_err(RegisterError::Log)?;
        if newest.as_ref().is_some_and(|row| row.version == expected) {
            return Ok(());
        }
        let name = name.to_owned();
        Err(RegisterError::MovedOn { name, expected, newest: newest.map(Box::new) })
    }
}

/// Whether what a request has stored is what it asks for now.
fn same_request(row: &DefinitionRow, yaml: &str, asked: &Asked) -> Result<(), RegisterError> {
    if row.yaml == yaml && row.asked == *asked {
        return Ok(());
    }
    Err(RegisterError::RequestIdReused { name: row.name.clone(), version: row.version })
}
