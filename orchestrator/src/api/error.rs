//! Errors as clients see them: a code, a stable reason, what is wrong and what to do.

use std::{collections::HashMap, time::Duration};

use saga_log::DefinitionRow;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    api::{DOMAIN, reason::retry},
    definition::{InputError, Report, clipped},
    definitions::{DefinitionError, RegisterError},
    engine::{ReachError, StartError},
};

/// What clients take of an error is 8 KiB for many of them, all of it together and in base64;
/// one that is larger arrives as another error.
const MESSAGE_CHARS_MAX: usize = 500;
const VIOLATIONS_MAX: usize = 20;
const VIOLATION_BYTES_MAX: usize = 3_000;

/// Characters of what a client gave, where an error names it.
const ECHO_CHARS_MAX: usize = 100;

/// What a client gave, as an error names it.
pub(super) fn echo(given: &str) -> String {
    clipped(given, ECHO_CHARS_MAX)
}

/// The details of every error: its reason, and whether the request may be sent again.
pub(crate) fn details(reason: &str, metadata: HashMap<String, String>) -> ErrorDetails {
    retry(reason).details(reason, DOMAIN, metadata)
}

/// A defect of ours. What was done until then is in the log.
pub(crate) fn crashed(message: &str) -> Status {
    status(Code::Internal, "INTERNAL_FAULT", message)
}

/// A status with a reason code and, where known, the field it is about.
pub(crate) fn status(code: Code, reason: &str, message: impl Into<String>) -> Status {
    told(code, reason, message, [])
}

/// The same, with the values of its sentence as metadata.
pub(super) fn told<const N: usize>(
    code: Code,
    reason: &str,
    message: impl Into<String>,
    values: [(&str, String); N],
) -> Status {
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), echo(&value)));
    let details = details(reason, values.collect());
    Status::with_error_details(code, clipped(&message.into(), MESSAGE_CHARS_MAX), details)
}

/// An argument that is not acceptable, with what would be.
pub(super) fn invalid(reason: &str, field: &str, message: impl Into<String>) -> Status {
    let (field, message) = (echo(field), clipped(&message.into(), MESSAGE_CHARS_MAX));
    let mut details = details(reason, HashMap::new());
    details.add_bad_request_violation(&field, &message);
    Status::with_error_details(Code::InvalidArgument, format!("{field}: {message}"), details)
}

/// A refusal because of load: nothing was done, and asking again makes sense.
fn later(reason: &str, message: &str, after: Duration) -> Status {
    let mut details = details(reason, HashMap::new());
    details.set_retry_info(Some(after));
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// Others were quicker at every try: nothing was done, and asking again makes sense.
pub(super) fn contended(what: &str) -> Status {
    status(Code::Aborted, "CONTENDED", format!("{what}; nothing was done, try again"))
}

/// The log could not be asked or written.
pub(super) fn log_unavailable(message: &str) -> Status {
    status(Code::Unavailable, "LOG_UNAVAILABLE", message)
}

impl From<StartError> for Status {
    fn from(error: StartError) -> Self {
        match error {
            StartError::KeyReused { business_key, other } => key_reused(&business_key, &other),
            StartError::Retired { name, version } => status(
                Code::FailedPrecondition,
                "DEFINITION_RETIRED",
                format!(
                    "definition {name} version {version} is retired by a newer one; nothing was \
                     accepted: leave definition_version out, and give the input of the newest"
                ),
            ),
            StartError::Overloaded => later(
                "OVERLOADED",
                "this node drives as many sagas as it may; nothing was accepted, try again later",
                Duration::from_millis(500),
            ),
            StartError::Stopping => status(
                Code::Unavailable,
                "STOPPING",
                "this node is stopping; nothing was accepted, try another one",
            ),
            StartError::WentBack { behind_ms } => status(
                Code::Unavailable,
                "LOG_WENT_BACK",
                format!(
                    "the log is {behind_ms} ms behind what participants have heard of it, as after \
                     a restore; nothing was accepted, an operator has to acknowledge it"
                ),
            ),
            StartError::TooLarge { bytes, bytes_max } => invalid(
                "INPUT_TOO_LARGE",
                "input",
                format!("{bytes} bytes with the first request, at most {bytes_max}; send less"),
            ),
            StartError::Unknown => log_unavailable(
                "the log did not answer in time; the saga may have been accepted, \
                 try again with the same business key",
            ),
            StartError::LogUnavailable => log_unavailable(
                "the log cannot be written now; nothing was accepted, try again later",
            ),
            StartError::Refused(_) => status(
                Code::Internal,
                "LOG_REFUSES",
                "the log refuses this saga's row, or holds a damaged one under its business key; \
                 nothing was accepted, and the server's log says why",
            ),
        }
    }
}

fn key_reused(business_key: &str, other: &saga_log::SagaRow) -> Status {
    let metadata = HashMap::from([
        ("business_key".to_owned(), business_key.to_owned()),
        ("saga_id".to_owned(), other.saga.to_string()),
        ("definition".to_owned(), other.definition.clone()),
        ("definition_version".to_owned(), other.definition_version.to_string()),
    ]);
    let details = details("BUSINESS_KEY_REUSED", metadata);
    let message = format!(
        "business key {business_key} belongs to saga {} of {} version {}, which was started with \
         another definition or input; use another key, or repeat the request as it was",
        other.saga, other.definition, other.definition_version
    );
    Status::with_error_details(Code::AlreadyExists, message, details)
}

impl From<DefinitionError> for Status {
    fn from(error: DefinitionError) -> Self {
        match error {
            DefinitionError::NotRegistered { name, version } => {
                let version =
                    if version == 0 { String::new() } else { format!(" version {version}") };
                status(
                    Code::NotFound,
                    "DEFINITION_NOT_FOUND",
                    format!(
                        "definition {}{version} is not registered; \
                         see `sagactl definition list`, or register it",
                        echo(&name)
                    ),
                )
            }
            DefinitionError::Log { .. } => log_unavailable("the log cannot be asked; try again"),
            DefinitionError::Unusable { .. } => {
                status(Code::FailedPrecondition, "DEFINITION_UNUSABLE", error.to_string())
            }
        }
    }
}

impl From<RegisterError> for Status {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Invalid(report) => definition_invalid(&report),
            RegisterError::VersionReused { name, version } => status(
                Code::AlreadyExists,
                "DEFINITION_VERSION_REUSED",
                format!(
                    "{name} version {version} is stored with other contents and never changes; \
                     register yours as version {}",
                    version.saturating_add(1)
                ),
            ),
            RegisterError::Descriptors { .. } => {
                status(Code::Unavailable, "DESCRIPTORS_UNAVAILABLE", error.to_string())
            }
            RegisterError::ParticipantUnknown { .. } => {
                status(Code::InvalidArgument, "PARTICIPANT_UNKNOWN", error.to_string())
            }
            RegisterError::Log(_) => log_unavailable(
                "the log cannot be written; register it again, with the same request id",
            ),
            RegisterError::RequestIdReused { name, version } => told(
                Code::AlreadyExists,
                "REQUEST_ID_REUSED",
                format!(
                    "the request id is that of {name} version {version}, which was registered \
                     with other contents, by somebody else or for another reason; take another \
                     one; nothing was done"
                ),
                [("definition", name), ("definition_version", version.to_string())],
            ),
            RegisterError::MovedOn { name, expected, newest } => {
                definition_moved_on(&name, expected, newest.as_deref())
            }
        }
    }
}

fn definition_moved_on(name: &str, expected: u32, newest: Option<&DefinitionRow>) -> Status {
    let (version, now) = match newest {
        None => (0, "none is stored".to_owned()),
        Some(row) => {
            let by = match row.asked.actor.as_str() {
                "" => String::new(),
                actor => format!(", registered by {}", echo(actor)),
            };
            (row.version, format!("it is version {} now{by}", row.version))
        }
    };
    let message = format!(
        "the newest {name} was version {expected} when it was looked at, and {now}; look again; \
         nothing was done"
    );
    let values = [("expected_version", expected.to_string()), ("version", version.to_string())];
    told(Code::Aborted, "DEFINITION_MOVED_ON", message, values)
}

/// The first findings as violations of their own, so that a client that shows no report still
/// sees line and remedy. As many as fit into a trailer; the check has all of them.
fn definition_invalid(report: &Report) -> Status {
    let mut details = details("DEFINITION_INVALID", HashMap::new());
    let (mut told, mut bytes) = (0, 0);
    for finding in report.findings.iter().take(VIOLATIONS_MAX) {
        let what = clipped(&format!("{}; {}", finding.message, finding.remedy), MESSAGE_CHARS_MAX);
        bytes += what.len();
        if VIOLATION_BYTES_MAX < bytes {
            break;
        }
        details.add_bad_request_violation(format!("yaml:{}", finding.line), what);
        told += 1;
    }
    let more = match report.findings.len() + report.more - told {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!("{report}; see the violations{more}, or sagactl definition check");
    Status::with_error_details(Code::InvalidArgument, message, details)
}

impl From<ReachError> for Status {
    fn from(error: ReachError) -> Self {
        match error {
            ReachError::NotFound => {
                status(Code::NotFound, "SAGA_NOT_FOUND", "no saga has this id or business key")
            }
            ReachError::Log(_) | ReachError::Append(_) => log_unavailable(
                "the log cannot be asked or written now; try again, and what changes something \
                     with the same request id",
            ),
            ReachError::Unreadable(source) => {
                status(Code::DataLoss, "SAGA_UNREADABLE", source.to_string())
            }
            ReachError::DoesNotFit => status(
                Code::FailedPrecondition,
                "SAGA_ENDED",
                "the saga has ended or has moved on; look at it again",
            ),
            ReachError::Contended => contended("the saga moved on at every try"),
        }
    }
}

/// An input that does not fit the definition.
pub(super) fn input_invalid(error: &InputError) -> Status {
    let field = if error.field.is_empty() { "input" } else { &error.field };
    invalid("INPUT_INVALID", field, format!("{}; {}", error.message, error.remedy))
}
