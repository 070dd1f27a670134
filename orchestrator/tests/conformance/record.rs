//! What a participant records, and what it reads and sends.

use std::time::Duration;

use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt};

/// How long a participant that does not hold its operations waits for somebody to meet.
pub(crate) const IN_FLIGHT: Duration = Duration::from_millis(120);

/// What is recorded of an operation.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    Applied { body: Vec<u8>, reply: Vec<u8> },
    Reversed { body: Vec<u8>, reply: Vec<u8> },
    Rejected { body: Vec<u8>, repeats: u32 },
    Fenced,
}

/// Long enough for all that come at once to have found nothing.
pub(crate) async fn crowd() {
    // In vain: nobody comes.
    let _ = tokio::time::timeout(IN_FLIGHT, std::future::pending::<()>()).await;
}

pub(crate) fn op_id(metadata: &MetadataMap) -> Option<String> {
    Some(metadata.get("saga-op-id")?.to_str().unwrap().to_owned())
}

pub(crate) fn refusal(code: Code, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "test", []);
    Status::with_error_details(code, "refused by the test", details)
}
