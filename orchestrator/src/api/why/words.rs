//! Words that the sentences have in common.

use saga_core::{By, NotDone, Outcome, StepPhase, StepSet, phase::Tries};

pub(super) fn is_or_are(steps: StepSet) -> &'static str {
    if steps.iter().count() == 1 { "is" } else { "are" }
}

/// A sentence that does not begin with the name of a step begins with a capital letter.
pub(super) fn capital(told: String) -> String {
    for (small, large) in [("nobody knows ", "Nobody knows "), ("the timer of ", "The timer of ")] {
        if let Some(rest) = told.strip_prefix(small) {
            return format!("{large}{rest}");
        }
    }
    told
}

pub(super) fn who(by: &By) -> &str {
    if by.actor.is_empty() { "somebody" } else { &by.actor }
}

/// `: "looked"`, where a reason was given.
pub(super) fn reason(by: &By) -> String {
    if by.reason.is_empty() { String::new() } else { format!(": \"{}\"", by.reason) }
}

pub(super) fn tries(phase: StepPhase) -> Tries {
    match phase {
        StepPhase::InFlight { tries, .. }
        | StepPhase::Inquiring { tries }
        | StepPhase::Open { tries, .. } => tries,
        _ => Tries::default(),
    }
}

/// `340 ms`, `6.8 s`, `5 min`, `2 h`.
pub(super) fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// `1 attempt`, `2 attempts`.
pub(super) fn count(number: u32, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Whether this is the code of a call that never left.
pub(super) fn is_not_sent(code: &str) -> bool {
    let (cause, message) = (NotDone::NotSent, String::new());
    Outcome::NotDone { cause, message, retry_after_ms: None }.reason() == code
}
