//! The programs of the workspace, as Cargo built them.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process,
    sync::LazyLock,
};

use tokio::process::Command;

/// Set by `tests/run`, which has built everything before the first test begins.
const BUILT: &str = "AMENDS_TEST_PROGRAMS_BUILT";

/// Set by `tests/run`, which makes an environment with what the tests need.
const PYTHON: &str = "AMENDS_TEST_PYTHON";

/// Set by nextest: the same for all tests of a run, each of which is a process.
const RUN_ID: &str = "NEXTEST_RUN_ID";

/// The packages whose programs the tests run.
const PACKAGES: [&str; 7] = [
    "orchestrator",
    "sagactl",
    "inventory-svc",
    "order-svc",
    "payment-svc",
    "saga-demo",
    "shipping",
];

/// Where the programs are, newly built.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    // This test is <target>/<profile>/deps/<name>.
    let test = env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap().to_owned();
    if env::var_os(BUILT).is_none() {
        build_once(&folder);
    }
    folder
});

/// The program of this name, with the profile that the test was built with.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = FOLDER.join(name);
    assert!(path.exists(), "{} is missing; run `cargo build --bins`", path.display());
    path
}

/// A command of the program of this name, which knows nothing of the environment of the
/// test: variables are configuration.
#[must_use]
pub fn command(name: &str) -> Command {
    let mut command = Command::new(program(name));
    for (variable, _) in env::vars_os() {
        let text = variable.to_string_lossy();
        if ["AMENDS_", "SAGACTL_", "RUST_"].iter().any(|it| text.starts_with(it)) {
            command.env_remove(&variable);
        }
    }
    command
}

/// The Python of the tests, with the packages of `tests/python/requirements.txt`.
#[must_use]
pub fn python() -> OsString {
    env::var_os(PYTHON).unwrap_or_else(|| panic!("no Python: run tests/run, or set {PYTHON}"))
}

/// The folder of the programs.
#[must_use]
pub fn folder() -> &'static Path {
    &FOLDER
}

/// The root of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn build_once(folder: &Path) {
    let stamp = folder.join("tests-programs-built");
    let run = env::var(RUN_ID).ok();
    if run.is_some() && fs::read_to_string(&stamp).ok() == run {
        return;
    }
    let profile = match folder.file_name().and_then(|it| it.to_str()).unwrap() {
        "debug" => "dev",
        other => other,
    };
    let mut build = process::Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build
        .current_dir(repository())
        .args(["build", "--quiet", "--bins", "--profile", profile, "--target-dir"])
        .arg(folder.parent().unwrap());
    // With the test's own package the features are those that it was built with, and
    // nothing is built a second time.
    for package in PACKAGES.iter().chain(&["saga-tests"]) {
        build.args(["--package", package]);
    }
    let output = build.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the programs cannot be built:\n{said}");
    if let Some(run) = run {
        fs::write(stamp, run).unwrap();
    }
}
