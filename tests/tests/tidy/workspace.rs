//! The files and the crates of the workspace.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use crate::source::Source;

static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let scan = |it: PathBuf| {
        let text = fs::read_to_string(root().join(&it)).unwrap();
        Source::scan(it.to_str().unwrap().to_owned(), text)
    };
    files(&["rs"]).into_iter().map(scan).collect()
});

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Files with one of these extensions, relative to the root, in order.
pub(crate) fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    let wanted = |it: &PathBuf| {
        it.extension().is_some_and(|it| extensions.iter().any(|wanted| it == *wanted))
    };
    let mut files: Vec<PathBuf> = files.into_iter().filter(wanted).collect();
    files.sort();
    files
}

/// All Rust files.
pub(crate) fn sources() -> &'static [Source] {
    &SOURCES
}

/// All Rust files that are built into a program of ours, without their tests.
pub(crate) fn product() -> Vec<Source> {
    let tests: BTreeSet<String> = sources().iter().flat_map(Source::test_modules).collect();
    let is_tested = |it: &&Source| !tests.iter().any(|test| it.path.starts_with(test.as_str()));
    let product: Vec<Source> =
        sources().iter().filter(is_tested).filter_map(Source::product).collect();
    assert!(!product.is_empty(), "no product code was found");
    product
}

/// What each crate of the workspace needs to be built, without what only its tests need.
pub(crate) fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |it: &serde_json::Value| it.as_str().unwrap().to_owned();
    let needed = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        dependencies.filter(|it| it["kind"] != "dev").map(|it| text(&it["name"])).collect()
    };
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(|it| (text(&it["name"]), needed(it))).collect()
}

/// Everything but what is built, fetched or hidden.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let skipped = name.starts_with('.') || name.starts_with("target") || name == "node_modules";
        if skipped || name == "__pycache__" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), files);
        } else {
            files.push(entry.path().strip_prefix(root()).unwrap().to_owned());
        }
    }
}
