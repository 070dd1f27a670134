//! The operator's command line of the saga engine.

use std::process::ExitCode;

fn main() -> ExitCode {
    sagactl::run(std::env::args_os())
}
