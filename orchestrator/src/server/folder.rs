//! The folder of definitions, registered at the start.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;

use crate::{definition::ScenarioFile, definitions::RegisterError, engine::Engine};

/// How often a definition is tried again whose participants cannot be asked.
const REGISTER_AGAIN: Duration = Duration::from_secs(2);

/// Registers every definition of a folder, side by side. One that is refused is said, and does
/// not keep the node from driving what is stored, unless `strict`. One whose participants
/// cannot be asked is tried again until they can.
pub(super) async fn register_all(
    engine: &Engine,
    folder: &Path,
    strict: bool,
) -> anyhow::Result<()> {
    let files = files_of(folder).with_context(|| {
        format!(
            "definitions: the folder {} cannot be read; in a configuration file its path is beside \
             the file",
            folder.display()
        )
    })?;
    let registering = files.into_iter().map(|file| register_file(engine, file));
    for (file, done) in futures::future::join_all(registering).await {
        match done {
            Ok(()) => {}
            Err(error) if strict => return Err(error),
            Err(error) => refuse(engine, &file, &error),
        }
    }
    Ok(())
}

/// The definitions in a folder, by name.
fn files_of(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // Scenarios beside a definition are played by `sagactl definition test`.
        let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        if !ScenarioFile::is_named(name)
            && path.extension().is_some_and(|is| is == "yaml" || is == "yml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Says loudly that a file is not what this node runs.
fn refuse(engine: &Engine, file: &str, error: &anyhow::Error) {
    let why = format!("{error:#}");
    tracing::error!(
        file,
        why,
        "a definition is refused; sagas and starts go by what is stored; correct the file, or \
         count its version up"
    );
    let first = why.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    engine.shared.definitions.refuse(file, first.trim());
}

async fn register_file(engine: &Engine, path: PathBuf) -> (String, anyhow::Result<()>) {
    let file = path.display().to_string();
    let done = match std::fs::read_to_string(&path) {
        Ok(yaml) => register(engine, &yaml, &file).await.map(|done| (done, yaml)),
        Err(error) => Err(error).with_context(|| format!("definitions: {file} cannot be read")),
    };
    let done = done.map(|(done, yaml)| {
        if !done {
            let again = register_later(engine.clone(), yaml, file.clone());
            engine.shared.tasks.spawn(again);
        }
    });
    (file, done)
}

async fn register_later(engine: Engine, yaml: String, file: String) {
    let shared = Arc::clone(&engine.shared);
    loop {
        tokio::select! {
            () = tokio::time::sleep(REGISTER_AGAIN) => {}
            () = shared.stopping() => return,
        }
        match register(&engine, &yaml, &file).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => return refuse(&engine, &file, &error),
        }
    }
}

/// False where the definition has to be tried again.
async fn register(engine: &Engine, yaml: &str, file_name: &str) -> anyhow::Result<bool> {
    match engine.register(yaml, file_name).await {
        Ok(registered) => {
            for warning in &registered.warnings {
                tracing::warn!(file = file_name, line = warning.line, "{}", warning.message);
            }
            let (name, version) = (&registered.row.name, registered.row.version);
            tracing::info!(definition = %name, version, "definition registered");
            Ok(true)
        }
        Err(error @ (RegisterError::Descriptors { .. } | RegisterError::Log(_))) => {
            tracing::warn!(file = file_name, %error, "a definition waits for its participants");
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_beside_definitions_are_no_definitions() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yaml", "a.test.yaml", "b.test.yml", "notes.md"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = files_of(folder.path()).unwrap();
        assert_eq!(found, ["a.yaml", "b.yml"].map(|name| folder.path().join(name)));
    }
}
