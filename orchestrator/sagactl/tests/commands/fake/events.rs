//! The log of every saga of the fake.

use saga_proto::saga::v1::{Saga, SagaEvent};

/// `looks`: how often somebody has looked at a log that goes on.
pub(super) fn of(saga: &Saga, looks: impl FnOnce() -> usize) -> Vec<SagaEvent> {
    let event = |kind: &str, step: &str, outcome: &str| SagaEvent {
        version: 1,
        kind: kind.to_owned(),
        step: step.to_owned(),
        direction: "forward".to_owned(),
        attempt: 1,
        outcome: outcome.to_owned(),
        ..SagaEvent::default()
    };
    let mut rows = vec![
        event("Intended", "reserve_stock", ""),
        event("Answered", "reserve_stock", "applied"),
        event("Intended", "verify_payment", ""),
        event("Answered", "verify_payment", "unknown"),
        event("Resolved", "verify_payment", "unanswered"),
    ];
    if saga.business_key == "closed" {
        rows.push(event("Ended", "", ""));
        rows.iter_mut().zip(1..).for_each(|(row, version)| row.version = version);
        // It goes on while somebody looks.
        rows.truncate(2 + 2 * looks());
    }
    rows
}
