//! The commands of README.md, as somebody would copy them.
//!
//! A block that begins with ```` ```sh run ```` is run in a copy of the environment, in an
//! empty folder that has the repository's files. `cargo demo` is the demo that is built
//! already, and the workspace's programs are found by their names.

use std::{env, fs, os::unix::fs::symlink, time::Duration};

use saga_tests::programs::{folder, program, repository};
use tokio::{process::Command, time::timeout};

/// How long the commands of a block may take.
const BLOCK_WITHIN: Duration = Duration::from_secs(300);

/// Comes before each block.
const PRELUDE: &str = r#"
set -eu
cargo() {
    if [ "$1" = demo ]; then shift; "$DEMO" "$@"; else command cargo "$@"; fi
}
"#;

#[tokio::test]
async fn every_command_of_the_readme_works() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    assert!(readme.contains("tests/run"), "README.md does not say how to run the tests");
    assert!(readme.contains("cargo demo"), "README.md does not say how to see it");
    let blocks = blocks(&readme);
    assert!(!blocks.is_empty(), "README.md has no block that begins with ```sh run");
    let demo = program("saga-demo");
    let path = env::join_paths(
        [folder().to_owned()].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap())),
    );
    let path = path.unwrap();

    for block in blocks {
        assert!(!block.contains("tests/run"), "tests/run would run itself; mark it `sh`");
        let work = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(repository()).unwrap() {
            let entry = entry.unwrap();
            // What a run leaves behind belongs to this one only.
            if entry.file_name() != ".saga" {
                symlink(entry.path(), work.path().join(entry.file_name())).unwrap();
            }
        }
        let mut shell = Command::new("bash");
        shell
            .args(["-c", &format!("{PRELUDE}{block}")])
            .env("DEMO", &demo)
            .env("PATH", &path)
            .current_dir(work.path())
            .kill_on_drop(true);
        let output = timeout(BLOCK_WITHIN, shell.output()).await;
        let output = output.unwrap_or_else(|_| panic!("not within {BLOCK_WITHIN:?}:\n{block}"));
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}:\n{block}\n{said}", output.status);
    }
}

/// The blocks that are marked to be run.
fn blocks(readme: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "```sh run" {
            let block: Vec<&str> = lines.by_ref().take_while(|it| it.trim() != "```").collect();
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

#[test]
fn only_marked_blocks_are_run() {
    let readme = "a\n```sh run\none\ntwo\n```\n```sh\nthree\n```\n```sh run\nfour\n```\n";
    assert_eq!(blocks(readme), ["one\ntwo", "four"]);
}
