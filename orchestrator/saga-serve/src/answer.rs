//! Refusals, each with a reason, and reasons for what the libraries refuse without one.

use std::{collections::HashMap, time::Duration};

use http::Response;
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt;

use crate::Retry;

/// Characters of a path that an answer repeats.
const PATH_CHARS_MAX: usize = 100;

/// When a refusal for want of room is worth another try.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a call is refused before it reached its method. Nothing was done, in each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    TooManyCalls,
    TooManyWaiting,
    TooManyLasting,
    TooManyBytes,
    TooLarge { bytes: usize, bytes_max: usize },
    TooSlow,
    CutOff,
    Stopping,
}

impl Refusal {
    /// Every word of [`limit`](Self::limit).
    pub(crate) const LIMITS: [&str; 8] = [
        "calls_max",
        "requests_under_way",
        "lasting_streams",
        "requests_bytes_max",
        "request_bytes_max",
        "request_timeout_ms",
        "cut_off",
        "stopping",
    ];

    /// What the call was over, in one word: a key of the configuration where there is one.
    pub(crate) fn limit(self) -> &'static str {
        let at = match self {
            Self::TooManyCalls => 0,
            Self::TooManyWaiting => 1,
            Self::TooManyLasting => 2,
            Self::TooManyBytes => 3,
            Self::TooLarge { .. } => 4,
            Self::TooSlow => 5,
            Self::CutOff => 6,
            Self::Stopping => 7,
        };
        Self::LIMITS[at]
    }

    pub(crate) fn status(self, domain: &str) -> Status {
        let busy = |message: &str| {
            let mut details = Retry::Safe.details("OVERLOADED", domain, HashMap::new());
            details.set_retry_info(Some(RETRY_AFTER));
            Status::with_error_details(Code::ResourceExhausted, message, details)
        };
        match self {
            Self::TooManyCalls => busy(
                "the server has as many calls open as it may; nothing was done, try again later",
            ),
            Self::TooManyWaiting => busy(
                "too many requests of this connection are on their way; nothing was done, send \
                 each as a whole, and try again",
            ),
            Self::TooManyLasting => {
                busy("this connection has too many such streams open; nothing was done, close some")
            }
            Self::TooManyBytes => busy(
                "the requests that the server holds are as large as they may be; nothing was \
                 done, try again later",
            ),
            Self::TooLarge { bytes, bytes_max } => {
                let message = format!(
                    "the request has {bytes} bytes, at most {bytes_max}; nothing was done, send less"
                );
                named(Code::InvalidArgument, ("REQUEST_TOO_LARGE", Retry::Never), domain, &message)
            }
            Self::TooSlow => named(
                Code::DeadlineExceeded,
                ("REQUEST_TOO_SLOW", Retry::Safe),
                domain,
                "the request did not arrive in time; nothing was done, send it again",
            ),
            Self::CutOff => named(
                Code::InvalidArgument,
                ("REQUEST_UNDECODABLE", Retry::Never),
                domain,
                "the request ends before its message does; nothing was done",
            ),
            Self::Stopping => named(
                Code::Unavailable,
                ("STOPPING", Retry::Safe),
                domain,
                "the server is stopping; nothing was done, try another one",
            ),
        }
    }
}

fn named(code: Code, (reason, retry): (&str, Retry), domain: &str, message: &str) -> Status {
    let details = retry.details(reason, domain, HashMap::new());
    Status::with_error_details(code, message, details)
}

/// A reason for what was refused in front of a method: the method is unknown, or the message
/// is none of its type. What a method answers has reasons of its own.
pub(crate) fn with_reason(response: Response<Body>, path: &str, domain: &str) -> Response<Body> {
    // An error without a message is in the headers.
    if !response.headers().contains_key(Status::GRPC_STATUS) {
        return response;
    }
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    if !status.details().is_empty() {
        return response;
    }
    let path: String = path.chars().take(PATH_CHARS_MAX).collect();
    let undecodable =
        ["failed to decode", "Missing request message", "protocol error", "Error decomp"];
    match status.code() {
        Code::Unimplemented if status.message().is_empty() => {
            let message =
                format!("this server has no method {path}; reflection lists those it has");
            named(Code::Unimplemented, ("METHOD_UNKNOWN", Retry::Never), domain, &message)
                .into_http()
        }
        Code::Internal if undecodable.iter().any(|it| status.message().starts_with(it)) => {
            let message = format!(
                "the request is not one of {path}, and nothing was done: {}",
                status.message().chars().take(2 * PATH_CHARS_MAX).collect::<String>()
            );
            named(Code::InvalidArgument, ("REQUEST_UNDECODABLE", Retry::Never), domain, &message)
                .into_http()
        }
        _ => response,
    }
}
