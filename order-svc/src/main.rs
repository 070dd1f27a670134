//! `order-svc serve` and `order-svc migrate`.

use std::process::ExitCode;

fn main() -> ExitCode {
    saga_participant::serve::main::<order_svc::Orders>()
}
