//! What a client does with a request that was refused, for each reason code of the engine.

use saga_serve::Retry::{self, Never, Safe, SameKey};

/// Every reason code that a status of the engine carries, by name. Those of what is refused in
/// front of a method are in `saga-serve`.
const REASONS: [(&str, Retry); 64] = [
    ("ACTOR_MISSING", Never),
    ("BEGIN_MISSING", Never),
    ("BUSINESS_KEY_INVALID", Never),
    ("BUSINESS_KEY_MISSING", Never),
    ("BUSINESS_KEY_REUSED", Never),
    ("CONTENDED", Safe),
    ("CREDENTIALS_MISSING", Never),
    ("DEFINITION_INVALID", Never),
    ("DEFINITION_MISSING", Never),
    ("DEFINITION_MOVED_ON", Never),
    ("DEFINITION_NOT_FOUND", Never),
    ("DEFINITION_RETIRED", Never),
    ("DEFINITION_TOO_LARGE", Never),
    ("DEFINITION_UNUSABLE", Never),
    ("DEFINITION_VERSION_REUSED", Never),
    ("DESCRIPTORS_UNAVAILABLE", Safe),
    ("DURATION_INVALID", Never),
    ("ENUM_VALUE_UNKNOWN", Never),
    ("EXAMPLES_INVALID", Never),
    ("FIELD_TOO_LONG", Never),
    ("FILTER_INVALID", Never),
    ("INPUT_INVALID", Never),
    ("INPUT_TOO_LARGE", Never),
    ("INTERNAL_FAULT", SameKey),
    ("LIMIT_INVALID", Never),
    ("LOG_MOVED_ON", Never),
    ("LOG_REFUSES", SameKey),
    ("LOG_UNAVAILABLE", SameKey),
    ("LOG_WENT_BACK", Safe),
    ("NOTHING_CHECKED", Never),
    ("NOTHING_TO_ACKNOWLEDGE", Never),
    ("NOTHING_TO_RENEW", Never),
    ("NOTHING_TO_RETRY", Never),
    ("NOTHING_TO_SETTLE", Never),
    ("NO_STEP_OF_PARTICIPANT", Never),
    ("OBSERVE_INVALID", Never),
    ("OUTCOME_MISSING", Never),
    ("OVERLOADED", Safe),
    ("PAGE_SIZE_INVALID", Never),
    ("PAGE_TOKEN_INVALID", Never),
    ("PARTICIPANT_MOVED_ON", Never),
    ("PARTICIPANT_NOT_CONFIGURED", Never),
    ("PARTICIPANT_UNKNOWN", Never),
    ("REASON_MISSING", Never),
    ("REASON_TOO_LONG", Never),
    ("REPLY_INVALID", Never),
    ("REQUEST_ID_MISSING", Never),
    ("REQUEST_ID_REUSED", Never),
    ("ROLE_MISSING", Never),
    ("SAGA_ENDED", Never),
    ("SAGA_ID_INVALID", Never),
    ("SAGA_MOVED_ON", Never),
    ("SAGA_NAME_MISSING", Never),
    ("SAGA_NOT_FOUND", Never),
    ("SAGA_UNREADABLE", Never),
    ("SIGNAL_ALREADY_GIVEN", Never),
    ("SIGNAL_INVALID", Never),
    ("SIGNAL_TOO_LARGE", Never),
    ("SIGNAL_TOO_LATE", Never),
    ("SIGNAL_UNKNOWN", Never),
    ("STEP_NOT_FOUND", Never),
    ("STOPPING", Safe),
    ("TOKEN_REFUSED", Never),
    ("TOO_MANY_LOGINS", Safe),
];

/// Whether a request that was refused for this reason may be sent again.
pub(crate) fn retry(reason: &str) -> Retry {
    let known = REASONS.iter().find(|(code, _)| *code == reason);
    debug_assert!(known.is_some(), "{reason} is not in the table of reason codes");
    // Nothing is lost by asking a person.
    known.map_or(Never, |(_, retry)| *retry)
}
