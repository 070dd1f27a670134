//! The folder of definitions: registered at the start, and read again while the node runs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;

use crate::{definition::ScenarioFile, definitions::RegisterError, engine::Engine};

/// How often the folder is looked into, and a definition is tried again whose participants
/// cannot be asked.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Registers every definition of a folder, side by side, and goes on to look into it until the
/// node stops. One that is refused is said, and does not keep the node from driving what is
/// stored, unless it is refused at the start and `strict`. One whose participants cannot be
/// asked is tried again until they can.
pub(super) async fn register_all(
    engine: &Engine,
    folder: &Path,
    strict: bool,
) -> anyhow::Result<()> {
    let found = read_all(folder).with_context(|| {
        format!(
            "definitions: the folder {} cannot be read; in a configuration file its path is beside \
             the file",
            folder.display()
        )
    })?;
    let mut known = Known::default();
    // At the start nobody writes to it any more.
    known.look(found.clone());
    for (file, done) in register_each(engine, known.look(found).register).await {
        match done {
            Err(error) if strict => return Err(error),
            done => settle(engine, &mut known, file, done),
        }
    }
    let again = look_again(engine.clone(), folder.to_owned(), known);
    engine.shared.tasks.spawn(again);
    Ok(())
}

/// Registers what changed in the folder, for as long as the node runs.
async fn look_again(engine: Engine, folder: PathBuf, mut known: Known) {
    let shared = Arc::clone(&engine.shared);
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shared.stopping() => return,
        }
        let folder = folder.clone();
        // Beside the threads that drive sagas: a folder may be on a network.
        let found = match tokio::task::spawn_blocking(move || read_all(&folder)).await {
            Ok(Ok(found)) => found,
            // While its volume is exchanged, say. What is registered is stored.
            Ok(Err(error)) => {
                tracing::debug!(%error, "the folder of definitions cannot be read");
                continue;
            }
            Err(died) => std::panic::resume_unwind(died.into_panic()),
        };
        let look = known.look(found);
        for file in look.gone {
            shared.definitions.take_back(&file.display().to_string());
        }
        for (file, done) in register_each(&engine, look.register).await {
            settle(&engine, &mut known, file, done);
        }
    }
}

/// What is in a file, or why it cannot be read.
type Text = Result<Arc<str>, Arc<str>>;

/// The files of the folder as they were when it was last looked into.
#[derive(Debug, Default)]
struct Known {
    files: BTreeMap<PathBuf, Seen>,
}

#[derive(Debug)]
struct Seen {
    text: Text,
    /// It is stored, or was refused: nothing more is to be done with this text.
    is_settled: bool,
}

/// What a look into the folder gives to do.
#[derive(Debug, Default)]
struct Look {
    register: Vec<(PathBuf, Text)>,
    gone: Vec<PathBuf>,
}

impl Known {
    /// Compares the folder with how it was. A text is taken when it was the same twice: half of
    /// a file that is being written may be a definition too, and what is stored never changes.
    fn look(&mut self, found: BTreeMap<PathBuf, Text>) -> Look {
        let mut look = Look::default();
        self.files.retain(|file, _| {
            let is_there = found.contains_key(file);
            if !is_there {
                look.gone.push(file.clone());
            }
            is_there
        });
        for (file, text) in found {
            match self.files.get(&file) {
                Some(seen) if seen.text == text => {
                    if !seen.is_settled {
                        look.register.push((file, text));
                    }
                }
                _ => {
                    self.files.insert(file, Seen { text, is_settled: false });
                }
            }
        }
        look
    }

    fn settle(&mut self, file: &Path) {
        if let Some(seen) = self.files.get_mut(file) {
            seen.is_settled = true;
        }
    }
}

/// Every definition of a folder.
fn read_all(folder: &Path) -> std::io::Result<BTreeMap<PathBuf, Text>> {
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file);
        (file, text.map(Arc::from).map_err(|error| error.to_string().into()))
    };
    Ok(files_of(folder)?.into_iter().map(read).collect())
}

type Done = (PathBuf, anyhow::Result<Registration>);

/// What became of a definition that is not refused.
#[derive(Clone, Copy, Debug)]
enum Registration {
    Stored,
    /// Its participants or the log cannot be asked: it is tried again.
    Waits,
}

async fn register_each(engine: &Engine, files: Vec<(PathBuf, Text)>) -> Vec<Done> {
    let registering = files.into_iter().map(async |(file, text)| {
        let name = file.display().to_string();
        let done = match text {
            Ok(yaml) => register(engine, &yaml, &name).await,
            Err(why) => Err(anyhow::anyhow!("definitions: {name} cannot be read: {why}")),
        };
        (file, done)
    });
    futures::future::join_all(registering).await
}

/// Remembers what became of a file, and says loudly where it is not what this node runs.
fn settle(engine: &Engine, known: &mut Known, file: PathBuf, done: anyhow::Result<Registration>) {
    let definitions = &engine.shared.definitions;
    let name = file.display().to_string();
    match done {
        Ok(Registration::Waits) => return,
        Ok(Registration::Stored) => definitions.take_back(&name),
        Err(error) => {
            let why = format!("{error:#}");
            tracing::error!(
                file = name,
                why,
                "a definition is refused; sagas and starts go by what is stored; correct the \
                 file, or count its version up"
            );
            let first = why.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            definitions.refuse(&name, first.trim());
        }
    }
    known.settle(&file);
}

async fn register(engine: &Engine, yaml: &str, file_name: &str) -> anyhow::Result<Registration> {
    match engine.register(yaml, file_name).await {
        Ok(registered) => {
            for warning in &registered.warnings {
                tracing::warn!(file = file_name, line = warning.line, "{}", warning.message);
            }
            let (name, version) = (&registered.row.name, registered.row.version);
            tracing::info!(definition = %name, version, "definition registered");
            Ok(Registration::Stored)
        }
        Err(error @ (RegisterError::Descriptors { .. } | RegisterError::Log(_))) => {
            tracing::warn!(file = file_name, %error, "a definition waits for its participants");
            Ok(Registration::Waits)
        }
        Err(error) => Err(error.into()),
    }
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

    fn folder(files: &[(&str, &str)]) -> BTreeMap<PathBuf, Text> {
        files.iter().map(|(file, text)| (PathBuf::from(file), Ok((*text).into()))).collect()
    }

    fn names(files: Vec<(PathBuf, Text)>) -> Vec<String> {
        files.into_iter().map(|(file, _)| file.display().to_string()).collect()
    }

    #[test]
    fn a_text_is_taken_once_and_only_when_nobody_writes_to_it_any_more() {
        let mut known = Known::default();
        let half = folder(&[("a", "half")]);
        let whole = folder(&[("a", "half and more")]);
        assert!(known.look(half).register.is_empty());
        assert!(known.look(whole.clone()).register.is_empty(), "it has just changed");
        assert_eq!(names(known.look(whole.clone()).register), ["a"]);
        assert_eq!(names(known.look(whole.clone()).register), ["a"], "its participants are away");
        known.settle(Path::new("a"));
        assert!(known.look(whole).register.is_empty(), "it is stored");
        let other = folder(&[("a", "other"), ("b", "new")]);
        assert!(known.look(other.clone()).register.is_empty());
        assert_eq!(names(known.look(other).register), ["a", "b"]);
        assert_eq!(known.look(folder(&[("b", "new")])).gone, [PathBuf::from("a")]);
        let back = folder(&[("a", "other"), ("b", "new")]);
        known.look(back.clone());
        assert_eq!(names(known.look(back).register), ["a", "b"], "a is as if it were new");
    }
}
