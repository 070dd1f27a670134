//! Definitions and types from files, for commands that need no server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;
use saga_definition::{Compiled, CompiledDefinition, Contracts, Report, ScenarioFile, ServedTypes};

use crate::{exit::Exit, failure::Failure};

/// A definition that the check takes, by these types; where none are named, by those that the
/// scenarios beside it name.
///
/// # Errors
///
/// [`Exit::Usage`]: a file cannot be read, or the check refuses the definition.
pub(super) fn definition_at(file: &Path, types: &[PathBuf]) -> Result<Compiled, Failure> {
    let shown = file.display().to_string();
    let yaml = read(file)?;
    let mut places = types.to_vec();
    if places.is_empty() {
        let beside_it = shown.strip_suffix(".yaml").map(|stem| format!("{stem}.test.yaml"));
        if let Some(scenarios) = beside_it.filter(|it| Path::new(it).exists()) {
            let text = read(Path::new(&scenarios))?;
            let scenarios =
                ScenarioFile::read(&text, &scenarios).map_err(|it| refused(&scenarios, &it))?;
            places = scenarios.types.iter().map(|it| beside(file, it)).collect();
        }
    }
    checked(&yaml, &shown, types_at(&shown, &places)?)
}

/// A definition that the check takes.
///
/// # Errors
///
/// [`Exit::Usage`]: the check refuses it.
pub(super) fn checked(yaml: &str, name: &str, types: ServedTypes) -> Result<Compiled, Failure> {
    let contracts = Contracts::from(types);
    CompiledDefinition::check(yaml, name, &contracts).map_err(|report| refused(name, &report))
}

pub(super) fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

/// All types that are found there: in folders of `.proto` files, in single ones, and in
/// descriptor sets.
pub(super) fn types_at(scenarios: &str, places: &[PathBuf]) -> Result<ServedTypes, Failure> {
    if places.is_empty() {
        let remedy =
            "add `types: [folder/of/protos]`, or `--types FOLDER`; a descriptor set does too";
        return Err(Failure::usage(format!("{scenarios} says no types of participants"), remedy));
    }
    let mut all = prost_types::FileDescriptorSet::default();
    let mut sets: Vec<prost::bytes::Bytes> = Vec::new();
    for place in places {
        if place.is_dir() {
            let mut files = Vec::new();
            protos(place, &mut files).map_err(|error| cannot("read", place, &error))?;
            files.sort();
            all.file.extend(compiled(place, &files)?.file);
        } else if place.extension().is_some_and(|it| it == "proto") {
            let root = place.parent().unwrap_or(Path::new(""));
            all.file.extend(compiled(root, std::slice::from_ref(place))?.file);
        } else {
            sets.push(fs::read(place).map_err(|error| cannot("read", place, &error))?.into());
        }
    }
    // Sets one behind the other are one set.
    let mut bytes = all.encode_to_vec();
    sets.iter().for_each(|it| bytes.extend_from_slice(it));
    ServedTypes::read_set(&bytes).map_err(|error| Failure {
        exit: Exit::Usage,
        what: format!("cannot read the types for {scenarios}"),
        code: None,
        why: error.to_string(),
        remedies: vec!["protoc --include_imports --descriptor_set_out=types.binpb ...".to_owned()],
    })
}

fn protos(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            protos(&path, found)?;
        } else if path.extension().is_some_and(|it| it == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

fn compiled(root: &Path, files: &[PathBuf]) -> Result<prost_types::FileDescriptorSet, Failure> {
    protox::compile(files, [root]).map_err(|error| Failure {
        exit: Exit::Usage,
        what: format!("cannot compile the types in {}", root.display()),
        code: None,
        why: error.to_string(),
        remedies: vec!["name the folder from which imports are found".to_owned()],
    })
}

pub(super) fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| cannot("read", file, &error))
}

pub(super) fn cannot(doing: &str, file: &Path, error: &std::io::Error) -> Failure {
    Failure {
        exit: Exit::Usage,
        what: format!("cannot {doing} {}", file.display()),
        code: None,
        why: error.to_string(),
        remedies: Vec::new(),
    }
}

pub(super) fn refused(file: &str, report: &Report) -> Failure {
    Failure {
        exit: Exit::Usage,
        what: format!("cannot use {file}"),
        code: None,
        why: report.rendered.trim().to_owned(),
        remedies: Vec::new(),
    }
}
