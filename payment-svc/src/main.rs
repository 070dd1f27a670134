//! `payment-svc serve`, `payment-svc migrate`, and `payment-svc simulator`.

use std::process::ExitCode;

use payment_svc::{PaymentService, simulator};

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|it| it == "simulator") {
        return simulator::main();
    }
    saga_participant::serve::main::<PaymentService>()
}
