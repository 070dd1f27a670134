//! `definition test`: plays the scenarios beside definitions, without a server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use saga_definition::ScenarioFile;
use saga_draft::rehearsal::{Coverage, Played, play};

use super::offline::{beside, cannot, checked, read, refused, types_at};
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
    let types = types_at(&shown, &places)?;
    let yaml = read(&definition_path)?;
    let compiled = checked(&yaml, &definition_path.display().to_string(), types)?;
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
