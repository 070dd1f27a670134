//! A new service to begin with: the kit's example in Rust, or the wallet of `participants.md` in
//! Python, under another name. Both run in the tests of the project.

use std::{fs, path::Path};

use crate::{
    cli::{Language, ServiceNew},
    exit::Exit,
    failure::Failure,
    session::Session,
};

/// A file: its path in the new folder, and its text.
type File = (String, String);

/// What the new service is called where.
struct Names {
    kebab: String,
    snake: String,
    pascal: String,
    screaming: String,
    package: String,
}

pub(super) fn write(session: &Session, arguments: &ServiceNew) -> Result<Exit, Failure> {
    let names = Names::of(&arguments.name, arguments.package.as_deref())?;
    let folder = arguments.into.join(&names.kebab);
    let files = match arguments.lang {
        Language::Rust => rust(&names, &kit_at(arguments.kit.as_deref().unwrap_or(Path::new("")))?),
        Language::Python => python(&names),
    };
    make(&folder, &files)?;
    let shown = folder.display();
    let paths: String = files.iter().map(|(path, _)| format!("  {shown}/{path}\n")).collect();
    session.write(&format!("wrote\n{paths}{shown}/README.md says how to run it.\n"))?;
    Ok(Exit::Ok)
}

/// The whole path of the kit, wherever it is named from.
fn kit_at(named: &Path) -> Result<String, Failure> {
    let remedy = "name the folder orchestrator/saga-participant of a checkout of Amends";
    let failed =
        |what: String| Failure::usage(format!("--kit {}: {what}", named.display()), remedy);
    let kit = fs::canonicalize(named).map_err(|it| failed(it.to_string()))?;
    let manifest = fs::read_to_string(kit.join("Cargo.toml")).unwrap_or_default();
    if !manifest.contains("name = \"saga-participant\"") {
        return Err(failed("the kit is not there".to_owned()));
    }
    Ok(kit.display().to_string())
}

/// Nothing is written over: whoever is there stays as it is.
fn make(folder: &Path, files: &[File]) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        let what = format!("cannot write {}: {error}", path.display());
        Failure::usage(what, "choose another name, or another folder with --into")
    };
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(|it| failed(parent, it))?;
    }
    fs::create_dir(folder).map_err(|it| failed(folder, it))?;
    for (path, text) in files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|it| failed(parent, it))?;
        fs::write(&path, text).map_err(|it| failed(&path, it))?;
    }
    Ok(())
}

impl Names {
    fn of(name: &str, package: Option<&str>) -> Result<Self, Failure> {
        let is_word = |word: &str| {
            word.starts_with(|it: char| it.is_ascii_lowercase())
                && word.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
        };
        if 40 < name.len() || !name.split('-').all(is_word) {
            let what = format!("{name:?} is no name of a service");
            return Err(Failure::usage(
                what,
                "write small letters and digits, as in stock-keeping",
            ));
        }
        let snake = name.replace('-', "_");
        let package = package.map_or_else(|| format!("{snake}.v1"), str::to_owned);
        let is_part = |part: &str| part.split('_').all(is_word);
        if !package.split('.').all(is_part) {
            let what = format!("{package:?} is no package of a contract");
            return Err(Failure::usage(what, "write words with dots, as in acme.shipping.v1"));
        }
        let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
        let pascal = name.split('-').map(capital).collect();
        let screaming = snake.to_uppercase();
        Ok(Self { kebab: name.to_owned(), snake, pascal, screaming, package })
    }
}

fn rust(names: &Names, kit: &str) -> Vec<File> {
    let Names { kebab, snake, pascal, screaming, package } = names;
    let contract = format!("{}/{snake}", package.replace('.', "/"));
    let renamed = |text: &str| {
        text.replace("acme/shipping/v1/shipping", &contract)
            .replace("acme.shipping.v1", package)
            .replace("shipping.example", &format!("{kebab}.example"))
            .replace(
                "NAME: &'static str = \"shipping\"",
                &format!("NAME: &'static str = \"{kebab}\""),
            )
            .replace("shipping/", &format!("{kebab}/"))
            .replace("Shipping", pascal)
            .replace("SHIPPING", screaming)
            .replace("shipping", snake)
    };
    let kit = kit.replace('\\', "\\\\").replace('"', "\\\"");
    let manifest = include_str!("begin/Cargo.toml.txt").replace("NAME", kebab).replace("KIT", &kit);
    let readme = include_str!("begin/rust.md").replace("NAME", kebab).replace("PACKAGE", package);
    vec![
        ("Cargo.toml".to_owned(), manifest),
        ("README.md".to_owned(), readme),
        ("build.rs".to_owned(), renamed(include_str!("../../../../../examples/shipping/build.rs"))),
        (
            format!("proto/{contract}.proto"),
            renamed(include_str!(
                "../../../../../examples/shipping/proto/acme/shipping/v1/shipping.proto"
            )),
        ),
        (
            "src/main.rs".to_owned(),
            renamed(include_str!("../../../../../examples/shipping/src/main.rs")),
        ),
        (
            "src/tables.sql".to_owned(),
            include_str!("../../../../../examples/shipping/src/tables.sql").to_owned(),
        ),
        (
            "ship.yaml".to_owned(),
            renamed(include_str!("../../../../../examples/shipping/ship.yaml")),
        ),
    ]
}

fn python(names: &Names) -> Vec<File> {
    let Names { kebab, snake, pascal, package, .. } = names;
    let renamed = |text: &str| {
        text.replace("acme.wallet.v1", package)
            .replace("wallet.acme.example", &format!("{kebab}.example"))
            .replace("Wallet", pascal)
            .replace("wallet", snake)
    };
    let readme = include_str!("begin/python.md").replace("NAME", kebab).replace("MODULE", snake);
    let participant = include_str!("../../../../../tests/participants/python/participant.py");
    let contract = include_str!("../../../../../tests/participants/python/wallet.proto");
    vec![
        ("README.md".to_owned(), readme),
        ("requirements.txt".to_owned(), include_str!("begin/requirements.txt").to_owned()),
        ("participant.py".to_owned(), renamed(participant)),
        (format!("{snake}.proto"), renamed(contract)),
        (
            "saga/participant/v1/participant.proto".to_owned(),
            include_str!("../../../../../proto/saga/participant/v1/participant.proto").to_owned(),
        ),
    ]
}
