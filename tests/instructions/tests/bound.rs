//! What the engine itself costs must not grow unnoticed. Times say nothing on a machine
//! that does other things; instructions, counted by callgrind, are the same in every run.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// Instructions for one saga of three steps at most: 5 % more than were counted when this
/// was recorded. Who makes the core cheaper lowers them.
const BOUNDS: [(&str, u64); 4] =
    [("complete", 14_073), ("turn-back", 23_881), ("encode", 12_519), ("take-over", 20_652)];

/// The work for one saga is what so many more sagas take, so the start of the program is
/// not in it.
const SAGAS: [u64; 2] = [100, 600];

#[test]
fn one_saga_takes_no_more_instructions_than_recorded() {
    let program = optimised_program();
    let mut too_many = Vec::new();
    for (work, bound) in BOUNDS {
        let [few, many] = SAGAS.map(|sagas| instructions(&program, work, sagas));
        let counted = (many - few) / (SAGAS[1] - SAGAS[0]);
        println!("{work}: {counted} instructions per saga, {bound} are allowed");
        assert!(1_000 < counted, "{work} does nothing: {counted} instructions");
        if bound < counted {
            too_many.push((work, counted, bound));
        }
    }
    assert!(too_many.is_empty(), "more instructions than are allowed: {too_many:?}");
}

/// The program as it is shipped, not as tests are built.
fn optimised_program() -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", "demo", "--bin", "saga-instructions"])
        // What was built before would decide what is inlined, by some 7 %.
        .env("CARGO_INCREMENTAL", "0")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo is there");
    assert!(built.success(), "the program was not built");
    // The tests run from `<target>/<profile>/deps`.
    let test = env::current_exe().expect("the test has a path");
    let target = test.ancestors().nth(3).expect("the test is in the target folder");
    target.join("demo/saga-instructions")
}

fn instructions(program: &Path, work: &str, sagas: u64) -> u64 {
    let counted = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([work, &sagas.to_string()])
        .output()
        .expect("valgrind is there; tests/run installs it");
    let said = String::from_utf8_lossy(&counted.stderr);
    assert!(counted.status.success(), "{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let (_, collected) = collected.unwrap_or_else(|| panic!("nothing was counted: {said}"));
    collected.trim().parse().expect("callgrind prints a number")
}
