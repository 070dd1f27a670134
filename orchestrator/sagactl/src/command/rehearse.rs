//! `definition test`: plays the scenarios beside definitions, without a server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;
use saga_definition::{CompiledDefinition, Contracts, Report, ScenarioFile, ServedTypes};
use saga_draft::rehearsal::{Coverage, Played, play};

use crate::{
    cli::Rehearse,
    exit::Exit,
    failure::Failure,
    report::rehearsal::{self, FileResult, ScenarioResult},
    session::Session,
};

pub(super) fn run(session: &Session, arguments: &Rehearse) -> Result<Exit, Failure> {
    let mut results = Vec::with_capacity(arguments.files.len());
    for file in &arguments.files {
        results.push(rehearse(&scenarios_of(file), &arguments.types, arguments.coverage)?);
    }
    let failed = results.iter().any(FileResult::has_failed);
    if let Some(junit) = &arguments.junit {
        fs::write(junit, rehearsal::junit(&results))
            .map_err(|error| cannot("write", junit, &error))?;
    }
    let ids: Vec<String> = results.iter().flat_map(FileResult::failed).collect();
    session
        .print_value(&rehearsal::value(&results), &ids, |look| rehearsal::report(&results, look))?;
    Ok(if failed { Exit::Error } else { Exit::Ok })
}

/// `place-order.test.yaml`, also where the definition itself is named.
fn scenarios_of(file: &Path) -> PathBuf {
    let name = file.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    let beside = |stem: &str| file.with_file_name(format!("{stem}.test.yaml"));
    match name.strip_suffix(".yaml").filter(|_| !ScenarioFile::is_named(name)) {
        Some(stem) if beside(stem).exists() => beside(stem),
        _ => file.to_owned(),
    }
}

fn rehearse(file: &Path, types: &[PathBuf], coverage: bool) -> Result<FileResult, Failure> {
    let shown = file.display().to_string();
    let text = read(file)?;
    let scenarios = ScenarioFile::read(&text, &shown).map_err(|report| refused(&shown, &report))?;
    let stem = shown.strip_suffix(".test.yaml").unwrap_or(&shown);
    let definition_path = match &scenarios.definition {
        Some(path) => beside(file, path),
        None => PathBuf::from(format!("{stem}.yaml")),
    };
    let of_file = scenarios.types.iter().map(|it| beside(file, it));
    let places: Vec<PathBuf> = if types.is_empty() { of_file.collect() } else { types.to_vec() };
    let contracts = Contracts::from(types_at(&shown, &places)?);
    let yaml = read(&definition_path)?;
    let name = definition_path.display().to_string();
    let compiled = CompiledDefinition::check(&yaml, &name, &contracts)
        .map_err(|report| refused(&name, &report))?;
    let mut seen = Coverage::default();
    let played = scenarios.scenarios.iter().map(|scenario| {
        let started = std::time::Instant::now();
        let outcome = play(&compiled.definition, scenario);
        let took = started.elapsed();
        let (differences, course) = match outcome {
            Ok(Played { differences, course, coverage }) => {
                seen.add(&coverage);
                (differences, course)
            }
            Err(error) => (vec![error.to_string()], Vec::new()),
        };
        let (name, line) = (scenario.name.clone(), scenario.line);
        ScenarioResult { name, line, differences, course, took }
    });
    let scenarios = played.collect();
    let missing = coverage.then(|| seen.missing(&compiled.definition.core));
    Ok(FileResult { file: shown, scenarios, missing })
}

fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

/// All types that are found there: in folders of `.proto` files, in single ones, and in
/// descriptor sets.
fn types_at(scenarios: &str, places: &[PathBuf]) -> Result<ServedTypes, Failure> {
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

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| cannot("read", file, &error))
}

fn cannot(doing: &str, file: &Path, error: &std::io::Error) -> Failure {
    Failure {
        exit: Exit::Usage,
        what: format!("cannot {doing} {}", file.display()),
        code: None,
        why: error.to_string(),
        remedies: Vec::new(),
    }
}

fn refused(file: &str, report: &Report) -> Failure {
    Failure {
        exit: Exit::Usage,
        what: format!("cannot use {file}"),
        code: None,
        why: report.rendered.trim().to_owned(),
        remedies: Vec::new(),
    }
}
