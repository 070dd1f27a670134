//! What went wrong, for the person who typed the command.

use std::{fmt, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    cli::Output,
    exit::Exit,
    look::plain,
    pages,
    reply::{line, pretty},
    yaml::yaml,
};

/// A command that did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// How the process ends.
    pub(crate) exit: Exit,
    /// What could not be done.
    pub(crate) what: String,
    /// The server's status code and reason code, as in `NOT_FOUND/SAGA_NOT_FOUND`.
    pub(crate) code: Option<String>,
    /// Why. Empty: `what` says it all.
    pub(crate) why: String,
    /// What to do, one line each.
    pub(crate) remedies: Vec<String>,
}

impl Failure {
    /// A command line that cannot be meant. Nothing was asked of the server.
    pub(crate) fn usage(what: impl Into<String>, remedy: &str) -> Self {
        Self {
            exit: Exit::Usage,
            what: what.into(),
            code: None,
            why: String::new(),
            remedies: vec![remedy.to_owned()],
        }
    }

    /// The server's refusal of `doing`, an infinitive as in "cancel order/10042".
    pub(crate) fn refused(doing: &str, status: &Status) -> Self {
        let reason = reason(status);
        let message = plain(status.message());
        let mut why = message.clone();
        // A server may have put the only violation into its message.
        for violation in bad_fields(status).into_iter().filter(|it| *it != message) {
            why.push('\n');
            why.push_str(&violation);
        }
        let mut remedies = Vec::new();
        if let Some(retry) = status.get_details_retry_info()
            && let Some(delay) = retry.retry_delay
        {
            remedies.push(format!("again in {}", spelled(delay)));
        }
        if let Some(page) = reason.as_deref().and_then(pages::page) {
            remedies.extend(page.remedy().map(str::to_owned));
            remedies.push(format!("sagactl help {}", page.topic));
        }
        if remedies.is_empty() && status.code() == Code::Unimplemented {
            remedies.push("sagactl server info; the server may be older than sagactl".to_owned());
        }
        let status_name = code_name(status.code());
        let code = match &reason {
            Some(reason) => format!("{status_name}/{reason}"),
            None => status_name.to_owned(),
        };
        Self {
            exit: exit_of(status.code()),
            what: format!("cannot {doing}"),
            code: Some(code),
            why,
            remedies,
        }
    }

    /// The connection broke before `doing` was answered. A change may have been made all the
    /// same.
    pub(crate) fn cut_off(doing: &str, mut why: String, is_change: bool) -> Self {
        if is_change {
            why.push_str("; the server may have done it all the same");
        }
        Self {
            exit: Exit::Unavailable,
            what: format!("cannot {doing}"),
            code: Some("UNAVAILABLE".to_owned()),
            why,
            remedies: vec!["sagactl server health".to_owned()],
        }
    }

    /// No answer to `doing` came within `timeout`. A change may have been made all the same.
    pub(crate) fn timed_out(doing: &str, timeout: Duration, is_change: bool) -> Self {
        let mut why = format!("no answer came within {}", spelled(timeout));
        if is_change {
            why.push_str("; the server may have done it all the same");
        }
        Self {
            exit: Exit::Unavailable,
            what: format!("cannot {doing}"),
            code: Some("DEADLINE_EXCEEDED".to_owned()),
            why,
            remedies: vec!["sagactl server health, and a longer --timeout".to_owned()],
        }
    }

    /// The server may have done it; only the same request finds out.
    pub(crate) fn repeatable(mut self, request_id: &str) -> Self {
        if self.exit == Exit::Unavailable {
            self.remedies.push(format!("the same command with --request-id {request_id}"));
        }
        self
    }

    /// As it is told where replies are written as `output`.
    pub(crate) fn shown(&self, output: Output) -> String {
        let (status, reason) = match self.code.as_deref().map(|it| it.split_once('/')) {
            Some(Some((status, reason))) => (status, reason),
            Some(None) => (self.code.as_deref().unwrap_or_default(), ""),
            None => ("", ""),
        };
        let error = serde_json::json!({
            "error": {
                "message": self.what,
                "why": self.why,
                "status": status,
                "reason": reason,
                "remedies": self.remedies,
                "exit": self.exit as u8,
            }
        });
        match output {
            Output::Table | Output::Id => self.to_string(),
            Output::Json => pretty(&error),
            Output::Jsonl => line(&error),
            Output::Yaml => yaml(&error).trim_end().to_owned(),
        }
    }

    /// The same, with remedies that can be pasted: they are about the saga that is typed so.
    pub(crate) fn about(mut self, saga: &str) -> Self {
        for remedy in &mut self.remedies {
            *remedy = named(remedy, saga);
        }
        self
    }
}

/// `error:`, `why:` and `try:`, aligned; later lines of each are indented.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        let mut label = "why:   ";
        for line in self.why.lines() {
            write!(f, "\n{label}{line}")?;
            label = "       ";
        }
        label = "try:   ";
        for remedy in &self.remedies {
            write!(f, "\n{label}{remedy}")?;
            label = "       ";
        }
        Ok(())
    }
}

/// A remedy about one saga: pages write `NAME` for what is typed for it.
pub(crate) fn named(remedy: &str, saga: &str) -> String {
    let words = remedy.split(' ').map(|word| match word.strip_prefix("NAME") {
        Some(rest) if rest.chars().all(|it| it.is_ascii_punctuation()) => format!("{saga}{rest}"),
        _ => word.to_owned(),
    });
    words.collect::<Vec<String>>().join(" ")
}

/// `2 s`, or `250 ms` where it is no whole number of seconds.
pub(crate) fn spelled(span: Duration) -> String {
    if span.subsec_nanos() == 0 {
        format!("{} s", span.as_secs())
    } else {
        format!("{} ms", span.as_micros().div_ceil(1_000))
    }
}

/// The stable reason code of a status, where the server sent one that can be one.
pub(crate) fn reason(status: &Status) -> Option<String> {
    let reason = status.get_details_error_info()?.reason;
    let in_code = |it: char| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_';
    (!reason.is_empty() && reason.chars().all(in_code)).then_some(reason)
}

fn bad_fields(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|it| it.field_violations);
    let line = |field: &str, description: &str| {
        if field.is_empty() {
            plain(description)
        } else {
            format!("{}: {}", plain(field), plain(description))
        }
    };
    violations.unwrap_or_default().iter().map(|it| line(&it.field, &it.description)).collect()
}

fn exit_of(code: Code) -> Exit {
    match code {
        Code::Ok => Exit::Ok,
        Code::Unauthenticated | Code::PermissionDenied => Exit::Unauthorized,
        Code::NotFound => Exit::NotFound,
        Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => Exit::Conflict,
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Cancelled => {
            Exit::Unavailable
        }
        Code::Unknown
        | Code::InvalidArgument
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => Exit::Error,
    }
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn an_error_says_what_why_and_what_to_do() {
        let details = ErrorDetails::with_error_info("SAGA_NOT_FOUND", "saga.v1", []);
        let status =
            Status::with_error_details(Code::NotFound, "no saga has this business key", details);
        assert_snapshot!(Failure::refused("cancel order/10042", &status), @"
        error: cannot cancel order/10042 (NOT_FOUND/SAGA_NOT_FOUND)
        why:   no saga has this business key
        try:   sagactl saga list
               sagactl help SAGA_NOT_FOUND
        ");
    }

    #[test]
    fn an_error_shows_the_fields_that_are_wrong() {
        let mut details = ErrorDetails::with_error_info("INPUT_INVALID", "saga.v1", []);
        details.add_bad_request_violation("lines[0].quantity", "is not a number");
        let status = Status::with_error_details(
            Code::InvalidArgument,
            "the input does not fit shop.order.v1.PlaceOrderInput",
            details,
        );
        assert_snapshot!(Failure::refused("start order/10042", &status), @"
        error: cannot start order/10042 (INVALID_ARGUMENT/INPUT_INVALID)
        why:   the input does not fit shop.order.v1.PlaceOrderInput
               lines[0].quantity: is not a number
        try:   correct the field; `sagactl definition get NAME` shows the input's type after `input:`
               sagactl help INPUT_INVALID
        ");
    }

    #[test]
    fn control_characters_of_the_server_are_escaped() {
        let details = ErrorDetails::with_error_info("\x1b[2J", "saga.v1", []);
        let status = Status::with_error_details(Code::Internal, "\x1b]0;owned\x07", details);
        let shown = Failure::refused("list sagas", &status).to_string();
        assert!(!shown.contains(['\x1b', '\x07']), "{shown:?}");
    }

    #[test]
    fn every_status_code_has_an_exit_code() {
        let exits: String = (0..=16).map(|it| format!("{}\n", line(Code::from_i32(it)))).collect();
        assert_snapshot!(exits, @"
        OK Ok
        CANCELLED Unavailable
        UNKNOWN Error
        INVALID_ARGUMENT Error
        DEADLINE_EXCEEDED Unavailable
        NOT_FOUND NotFound
        ALREADY_EXISTS Conflict
        PERMISSION_DENIED Unauthorized
        RESOURCE_EXHAUSTED Unavailable
        FAILED_PRECONDITION Conflict
        ABORTED Conflict
        OUT_OF_RANGE Error
        UNIMPLEMENTED Error
        INTERNAL Error
        UNAVAILABLE Unavailable
        DATA_LOSS Error
        UNAUTHENTICATED Unauthorized
        ");
    }

    fn line(code: Code) -> String {
        format!("{} {:?}", code_name(code), exit_of(code))
    }
}
