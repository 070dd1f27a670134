//! `inventory-svc serve` and `inventory-svc migrate`.

use std::process::ExitCode;

fn main() -> ExitCode {
    saga_participant::serve::main::<inventory_svc::Inventory>()
}
