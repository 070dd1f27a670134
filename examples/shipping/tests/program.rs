//! The program, as it is built. What it does is tested in `tests/tests/it/kit.rs`.

use std::process::Command;

#[test]
fn it_has_the_commands_of_every_service() {
    let help = Command::new(env!("CARGO_BIN_EXE_shipping")).arg("--help").output().unwrap();
    let said = String::from_utf8(help.stdout).unwrap();
    for word in ["Ships what was bought.", "serve", "migrate"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}
