//! Errors as statuses, which fit into a client's headers.
//!
//! A status travels in headers, its message percent-encoded and its details in base64. A
//! client that takes 8 KiB of them, as those of gRPC's C core do, reads a longer one as
//! RESOURCE_EXHAUSTED: "try again". So every status of the kit leaves a kilobyte of these
//! for the other headers, and what a caller sent or an operation tells is cut for that.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use super::Refusal;
use crate::operation::{RECORDED, REFUSAL_KEY};

/// Message and details of a status together, as they are on the wire.
const STATUS_BYTES_MAX: usize = 7 << 10;

/// A message with its copy in the details. With the bounds below: 6,700 bytes.
const MESSAGE_BYTES_MAX: usize = 2_800;
const METADATA_BYTES_MAX: usize = 2_048;
const VIOLATION_BYTES_MAX: usize = 256;
const REASON_BYTES_MAX: usize = 64;
const DOMAIN_BYTES_MAX: usize = 128;

/// In an `ErrorInfo`: how many facts were too long to be sent.
const LEFT_OUT_KEY: &str = "left_out";

impl Refusal {
    /// As a status, with its `ErrorInfo`.
    pub(crate) fn status(&self, domain: &str) -> Status {
        let metadata = self.metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        status(self.code.into(), self.reason, domain, &self.message, metadata.collect())
    }

    /// As the status of an operation that is refused for good.
    pub(crate) fn recorded_status(&self, domain: &str) -> Status {
        recorded(self.status(domain))
    }
}

/// Says of a refusal that the operation log has it: this operation has done nothing, in
/// this try and in every other.
pub(crate) fn recorded(mut status: Status) -> Status {
    status.metadata_mut().insert(REFUSAL_KEY, MetadataValue::from_static(RECORDED));
    status
}

pub(super) fn invalid_status(
    domain: &str,
    reason: &str,
    field: &str,
    value: &str,
    remedy: &str,
) -> Status {
    let message = format!("{field} is {value:?}: {remedy}");
    let metadata = HashMap::from([
        ("field".to_owned(), field.to_owned()),
        ("value".to_owned(), value.to_owned()),
        ("remedy".to_owned(), remedy.to_owned()),
    ]);
    let mut details = ErrorDetails::with_error_info(reason, domain, metadata);
    details.add_bad_request_violation(field, remedy);
    fitting(Status::with_error_details(Code::InvalidArgument, message, details))
}

pub(super) fn retry_status(
    code: Code,
    reason: &str,
    domain: &str,
    message: &str,
    retry_after_ms: u64,
) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, domain, HashMap::new());
    details.set_retry_info(Some(Duration::from_millis(retry_after_ms)));
    fitting(Status::with_error_details(code, message, details))
}

pub(super) fn status(
    code: Code,
    reason: &str,
    domain: &str,
    message: &str,
    metadata: HashMap<String, String>,
) -> Status {
    let details = ErrorDetails::with_error_info(reason, domain, metadata);
    fitting(Status::with_error_details(code, message, details))
}

/// `status` as it is where it fits; else with its texts cut, and without the longest facts
/// of its `ErrorInfo`: half a fact would be a wrong one.
pub(crate) fn fitting(status: Status) -> Status {
    if wire_bytes(&status) <= STATUS_BYTES_MAX {
        return status;
    }
    let told = status.get_error_details();
    let mut details = ErrorDetails::new();
    if let Some(info) = told.error_info() {
        details.set_error_info(
            prefix(&info.reason, REASON_BYTES_MAX, char::len_utf8),
            prefix(&info.domain, DOMAIN_BYTES_MAX, char::len_utf8),
            fitting_metadata(&info.metadata),
        );
    }
    if let Some(violation) = told.bad_request().and_then(|it| it.field_violations.first()) {
        let FieldViolation { field, description, .. } = violation;
        details.add_bad_request_violation(
            prefix(field, VIOLATION_BYTES_MAX, char::len_utf8),
            prefix(description, VIOLATION_BYTES_MAX, char::len_utf8),
        );
    }
    if let Some(retry) = told.retry_info() {
        details.set_retry_info(retry.retry_delay);
    }
    let message = prefix(status.message(), MESSAGE_BYTES_MAX, message_bytes);
    Status::with_error_details(status.code(), message, details)
}

/// The shortest facts, as many as there is room for.
fn fitting_metadata(told: &HashMap<String, String>) -> HashMap<String, String> {
    let bytes = |(key, value): &(&String, &String)| key.len() + value.len() + 16;
    let mut facts: Vec<_> = told.iter().collect();
    facts.sort_by_key(|it| (bytes(it), it.0.clone()));
    let mut room = METADATA_BYTES_MAX;
    let mut metadata = HashMap::new();
    for fact @ (key, value) in facts {
        let Some(rest) = room.checked_sub(bytes(&fact)) else { break };
        room = rest;
        metadata.insert(key.clone(), value.clone());
    }
    let left_out = told.len() - metadata.len();
    if 0 < left_out {
        metadata.insert(LEFT_OUT_KEY.to_owned(), left_out.to_string());
    }
    metadata
}

/// What message and details of a status take on the wire, rather more than less.
fn wire_bytes(status: &Status) -> usize {
    let message: usize = status.message().chars().map(percent_bytes).sum();
    message + base64_bytes(status.details().len())
}

fn base64_bytes(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// A character of a message: percent-encoded in a header of its own, and in the details.
fn message_bytes(it: char) -> usize {
    percent_bytes(it) + (it.len_utf8() * 4).div_ceil(3)
}

fn percent_bytes(it: char) -> usize {
    if it.is_ascii_alphanumeric() { 1 } else { 3 * it.len_utf8() }
}

/// The beginning of `text` whose characters take at most `bytes_max` together.
fn prefix(text: &str, bytes_max: usize, bytes: impl Fn(char) -> usize) -> &str {
    let mut room = bytes_max;
    for (at, it) in text.char_indices() {
        let Some(rest) = room.checked_sub(bytes(it)) else {
            return &text[..at];
        };
        room = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{OperationError, RefusalCode};

    /// What is sent of a status, as a client's limit counts it.
    fn sent_bytes(status: &Status) -> usize {
        let response = status.clone().into_http::<tonic::body::Body>();
        let entry = |it: (&http::HeaderName, &http::HeaderValue)| it.0.as_str().len() + it.1.len();
        response.headers().iter().map(|it| entry(it) + 32).sum()
    }

    fn statuses(long: &str) -> [Status; 3] {
        let metadata = vec![("a", long.to_owned()), ("b", long.to_owned()), ("c", "1".to_owned())];
        let message = long.to_owned();
        let code = RefusalCode::NotFound;
        let refusal = Refusal { code, reason: "NO_ORDER", message, metadata };
        let invalid = OperationError::Invalid {
            reason: "FIELD_INVALID",
            field: long.to_owned(),
            value: long.to_owned(),
            remedy: long.to_owned(),
        };
        let conflict = OperationError::Conflict {
            reason: "STOCK_CONFLICT",
            message: long.to_owned(),
            retry_after_ms: 7,
        };
        let domain = "domain.test";
        [refusal.recorded_status(domain), invalid.status(domain), conflict.status(domain)]
    }

    #[test]
    fn every_status_fits_and_keeps_its_code_and_reason() {
        for text in ["x", " ", "주문을 찾을 수 없습니다 ", "\u{0}\n", "\u{1f600}"] {
            for length in [0, 1, 50, 200, 500, 1_000, 3_000, 100_000] {
                let [refusal, invalid, conflict] = statuses(&text.repeat(length));
                for (status, reason) in [
                    (&refusal, "NO_ORDER"),
                    (&invalid, "FIELD_INVALID"),
                    (&conflict, "STOCK_CONFLICT"),
                ] {
                    let sent = sent_bytes(status);
                    assert!(sent <= (8 << 10) - 512, "{sent} bytes: {length} times {text:?}");
                    assert_eq!(status.get_details_error_info().unwrap().reason, reason);
                }
                assert_eq!(refusal.get_details_error_info().unwrap().metadata["c"], "1");
                assert_eq!(invalid.code(), Code::InvalidArgument);
                assert!(conflict.get_details_retry_info().is_some());
            }
        }
    }

    #[test]
    fn what_fits_is_sent_as_it_is() {
        let metadata = vec![("items", "A".repeat(1_900))];
        let message = "상품이 없습니다".to_owned();
        let code = RefusalCode::NotFound;
        let refusal = Refusal { code, reason: "NONE", message, metadata };
        let status = refusal.status("domain.test");
        assert_eq!(status.message(), refusal.message);
        assert_eq!(status.get_details_error_info().unwrap().metadata["items"].len(), 1_900);
    }
}
