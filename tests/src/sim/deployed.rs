//! The definitions as they are deployed, read and compiled once for all simulations.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use orchestrator::definition::{
    CompiledDefinition, Contracts, LANGUAGE_LEVEL, ScenarioFile, ServedTypes,
};
use saga_core::{
    Definition, Direction, OperationId, OperationName, OperationRoot, SagaId, StepIndex,
};
use saga_log::DefinitionRow;

/// One of `deploy/definitions`.
#[derive(Debug)]
pub struct Deployed {
    /// Its name.
    pub name: String,
    /// What the judge knows of it, and what clients start.
    pub compiled: Arc<CompiledDefinition>,
    /// What the nodes find in the log.
    pub row: DefinitionRow,
}

impl Deployed {
    /// Its steps.
    #[must_use]
    pub fn core(&self) -> &Definition {
        &self.compiled.core
    }

    /// The participant that a step calls, and the method's name.
    #[must_use]
    pub fn target(&self, step: StepIndex, direction: Direction) -> Option<(&str, &str)> {
        let spec = self.compiled.call(step, direction)?;
        let (_, method) = spec.path.path().rsplit_once('/')?;
        Some((spec.participant.as_str(), method))
    }

    /// The operation id of a step's call, made anew so many times.
    #[must_use]
    pub fn op(
        &self,
        saga: SagaId,
        root: OperationRoot,
        step: StepIndex,
        direction: Direction,
        generation: u32,
    ) -> uuid::Uuid {
        let step = &self.core().step(step).name;
        OperationId::derive(saga, root, OperationName { step, direction, generation }).0
    }
}

/// All deployed definitions, by name.
///
/// # Panics
///
/// Where one of them cannot be read or has errors: it is not deployable.
pub fn all() -> &'static [Deployed] {
    static ALL: OnceLock<Vec<Deployed>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
            .filter(|path| !ScenarioFile::is_named(&path.to_string_lossy()))
            .collect();
        files.sort();
        let all: Vec<Deployed> = files.iter().map(|path| read(path)).collect();
        assert!(!all.is_empty(), "there are no definitions");
        all
    })
}

/// The deployed definition of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Deployed> {
    all().iter().find(|it| it.name == name)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/definitions")
}

fn read(path: &Path) -> Deployed {
    let yaml = std::fs::read_to_string(path).unwrap();
    let types = ServedTypes::read_set(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
    let file_name = path.display().to_string();
    let compiled = match CompiledDefinition::check(&yaml, &file_name, &Contracts::from(types)) {
        Ok(compiled) => Arc::new(compiled.definition),
        Err(report) => panic!("{}", report.rendered),
    };
    let row = DefinitionRow {
        name: compiled.core.name.clone(),
        version: compiled.core.version,
        hash: compiled.hash,
        yaml,
        descriptors: compiled.types(),
        registered_at_ms: 0,
        language_level: LANGUAGE_LEVEL,
        retires: compiled.retires,
        asked: saga_log::Asked::default(),
    };
    Deployed { name: row.name.clone(), compiled, row }
}
