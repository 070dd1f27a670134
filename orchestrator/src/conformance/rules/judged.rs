//! What an answer has to be.

use bytes::Bytes;

use crate::{
    conformance::{Judged, Miss, case::Case},
    participants::probe::{Answer, Inquiry, Meaning, Refusal, Told},
};

pub(crate) async fn act(case: &mut Case<'_>) -> Result<Answer, Miss> {
    case.act().await.map_err(Miss::Unfit)
}

/// The action, applied for the first time.
pub(crate) async fn applied(case: &mut Case<'_>) -> Result<Bytes, Miss> {
    match act(case).await? {
        Answer::Reply(reply) => Ok(reply),
        answer => Err(unfit(&answer)),
    }
}

/// The action, refused for the first time.
pub(crate) async fn rejected(case: &mut Case<'_>) -> Result<Refusal, Miss> {
    match act(case).await? {
        Answer::Status(status) if status.meaning == Meaning::Refused => Ok(status),
        answer => {
            let why = format!("the step does not refuse the refused input: {answer}");
            Err(Miss::NotTried(why))
        }
    }
}

pub(crate) async fn undo(case: &mut Case<'_>) -> Result<Answer, Miss> {
    made(case.undo().await)
}

/// What a compensation was answered, where it is one at all.
pub(crate) fn made<T>(answer: Result<Option<T>, String>) -> Result<T, Miss> {
    let skipped = "the `when` of its compensation is false for this input";
    answer.map_err(Miss::NotTried)?.ok_or_else(|| Miss::NotTried(skipped.to_owned()))
}

pub(crate) fn unfit(answer: &Answer) -> Miss {
    Miss::Unfit(format!("the step is not applied with this input: {answer}"))
}

pub(crate) fn broken(seen: String, expected: String) -> Miss {
    Miss::Broken { seen, expected }
}

pub(crate) fn undone(what: &str, answer: Answer) -> Result<Bytes, Miss> {
    match answer {
        Answer::Reply(reply) => Ok(reply),
        answer => Err(broken(format!("{what} was answered {answer}"), "OK".to_owned())),
    }
}

pub(crate) fn refused(what: &str, answer: &Answer, code: &str, reason: &str) -> Judged {
    // Whoever finds it on record would take it for an answer to the operation itself.
    if matches!(answer, Answer::Status(it) if it.recorded) && answer.is(code, reason) {
        let seen = format!("{what} was refused with {reason} and `saga-refusal: recorded`");
        return Err(broken(
            seen,
            "that trailer only where the operation itself was refused".to_owned(),
        ));
    }
    if answer.is(code, reason) {
        return Ok(());
    }
    Err(broken(format!("{what} was answered {answer}"), format!("{code}/{reason}")))
}

pub(crate) fn expect_told(inquiry: Inquiry, told: &Told, expected: &Told) -> Judged {
    if told == expected {
        return Ok(());
    }
    Err(broken(format!("{inquiry} told {told}"), expected.to_string()))
}

pub(crate) fn same_reply(what: &str, first: &Bytes, answer: &Answer) -> Judged {
    let expected = "the reply of the first one, byte for byte".to_owned();
    match answer {
        Answer::Reply(again) if again == first => Ok(()),
        Answer::Reply(again) => {
            let seen = format!("{what} had another reply: {}", difference(first, again));
            Err(broken(seen, expected))
        }
        answer => Err(broken(format!("{what} was answered {answer}"), expected)),
    }
}

/// Where two replies differ.
pub(crate) fn difference(first: &Bytes, other: &Bytes) -> String {
    let at = first.iter().zip(other).take_while(|(one, two)| one == two).count();
    format!("{} bytes and {} bytes, different from byte {at} on", first.len(), other.len())
}
