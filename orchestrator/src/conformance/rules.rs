//! What each rule does to the step under test, and what it expects.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    conformance::{Judged, Miss, Rule, case::Case},
    participants::probe::{Answer, Inquiry, Meaning, Told},
};

/// How far a fencing inquiry follows its original, in each race.
const BEHIND_MS: [u64; 8] = [1, 1, 2, 3, 5, 8, 13, 21];

/// Races of an original and an inquiry.
#[expect(clippy::cast_possible_truncation, reason = "the list is short")]
pub(super) const RACES: u32 = BEHIND_MS.len() as u32;

pub(super) async fn judge(rule: Rule, case: &mut Case<'_>, round: u32) -> Judged {
    match rule {
        Rule::DuplicateSameReply => duplicate_same_reply(case).await,
        Rule::OtherBody => other_body(case).await,
        Rule::LateOriginal => late_original(case).await,
        Rule::UndoFirst => undo_first(case).await,
        Rule::UndoTwice => undo_twice(case).await,
        Rule::ResolveAbsent => resolve_absent(case).await,
        Rule::ResolveApplied => resolve_applied(case).await,
        Rule::ResolveInFlight => resolve_in_flight(case, round).await,
        Rule::ResolveRejected => resolve_rejected(case).await,
        Rule::UndoOfARejection => undo_of_a_rejection(case).await,
        Rule::NoOpId => no_op_id(case).await,
    }
}

async fn duplicate_same_reply(case: &mut Case<'_>) -> Judged {
    let first = applied(case).await?;
    same_reply("the second call", &first, &act(case).await?)
}

async fn other_body(case: &mut Case<'_>) -> Judged {
    applied(case).await?;
    let before = case.resolve(Inquiry::Peek).await;
    let Some(answer) = case.act_otherwise().await.map_err(Miss::Unfit)? else {
        let why = "its request does not depend on `{n}` or on the saga, so there is no other one";
        return Err(Miss::NotTried(why.to_owned()));
    };
    refused("another request", &answer, "ALREADY_EXISTS", "OP_ID_REUSED")?;
    let after = case.resolve(Inquiry::Peek).await;
    if before != after {
        let seen = format!("another request was refused, and then PEEK told {after}");
        return Err(broken(seen, format!("as before: {before}")));
    }
    Ok(())
}

async fn late_original(case: &mut Case<'_>) -> Judged {
    expect_told(Inquiry::Fence, &case.resolve(Inquiry::Fence).await, &Told::Fenced)?;
    for late in ["the late original", "the late original, repeated,"] {
        refused(late, &act(case).await?, "FAILED_PRECONDITION", "OP_FENCED")?;
    }
    Ok(())
}

async fn undo_first(case: &mut Case<'_>) -> Judged {
    undone("the compensation of what never came", undo(case).await?)?;
    refused("the original", &act(case).await?, "FAILED_PRECONDITION", "OP_FENCED")
}

async fn undo_twice(case: &mut Case<'_>) -> Judged {
    applied(case).await?;
    let first = undone("the first compensation", undo(case).await?)?;
    same_reply("the second compensation", &first, &undo(case).await?)
}

async fn resolve_absent(case: &mut Case<'_>) -> Judged {
    for _ in 0..2 {
        expect_told(Inquiry::Peek, &case.resolve(Inquiry::Peek).await, &Told::Absent)?;
    }
    match act(case).await? {
        Answer::Reply(_) => Ok(()),
        answer if answer.is("FAILED_PRECONDITION", "OP_FENCED") => {
            let seen = format!("after PEEK the original was answered {answer}");
            Err(broken(seen, "applied: PEEK only looks".to_owned()))
        }
        answer => Err(unfit(&answer)),
    }
}

async fn resolve_applied(case: &mut Case<'_>) -> Judged {
    let first = applied(case).await?;
    for inquiry in [Inquiry::Peek, Inquiry::Fence] {
        match case.resolve(inquiry).await {
            Told::Applied(reply) if reply == first => {}
            Told::Applied(reply) => {
                let seen = format!("{inquiry} told another reply: {}", difference(&first, &reply));
                return Err(broken(seen, "the reply of the call, byte for byte".to_owned()));
            }
            told => {
                let expected = "applied, with the reply of the call".to_owned();
                return Err(broken(format!("{inquiry} told {told}"), expected));
            }
        }
    }
    Ok(())
}

async fn resolve_in_flight(case: &mut Case<'_>, round: u32) -> Judged {
    let behind_ms = BEHIND_MS[round as usize % BEHIND_MS.len()];
    let raced = case.race(Duration::from_millis(behind_ms)).await;
    let (answer, told) = raced.map_err(Miss::Unfit)?;
    let agree = match (&told, &answer) {
        (Told::Applied(stored), Answer::Reply(reply)) => stored == reply,
        (Told::Fenced, answer) => answer.is("FAILED_PRECONDITION", "OP_FENCED"),
        (Told::Rejected { reason }, Answer::Status(status)) => *reason == status.reason,
        _ => false,
    };
    if agree {
        return Ok(());
    }
    let seen = format!("FENCE told {told}; the original was answered {answer}");
    Err(broken(seen, "applied and the same reply, or fenced and OP_FENCED".to_owned()))
}

async fn resolve_rejected(case: &mut Case<'_>) -> Judged {
    let reason = rejected(case).await?;
    for inquiry in [Inquiry::Peek, Inquiry::Fence] {
        let told = case.resolve(inquiry).await;
        // A refusal by a code that the definition declares may have no reason to repeat.
        let repeated = matches!(&told, Told::Rejected { reason: told }
            if reason.is_empty() || *told == reason);
        if !repeated {
            let seen = format!("{inquiry} told {told}");
            return Err(broken(seen, format!("rejected: {reason}")));
        }
    }
    Ok(())
}

async fn undo_of_a_rejection(case: &mut Case<'_>) -> Judged {
    let reason = rejected(case).await?;
    undone("the compensation of what was refused", undo(case).await?)?;
    match act(case).await? {
        Answer::Status(it) if it.meaning == Meaning::Refused && it.reason == reason => Ok(()),
        answer => {
            let seen = format!("after its compensation the call was answered {answer}");
            Err(broken(seen, format!("the refusal that it had before: {reason}")))
        }
    }
}

async fn no_op_id(case: &mut Case<'_>) -> Judged {
    let expected = "INVALID_ARGUMENT/OP_ID_MISSING, and nothing done";
    let answer = case.act_without_id().await.map_err(Miss::Unfit)?;
    let definite = match &answer {
        Answer::Status(it) => matches!(it.meaning, Meaning::Refused | Meaning::Fault),
        Answer::Reply(_) | Answer::Silent { .. } => false,
    };
    if !definite {
        let seen = format!("the call without an operation id was answered {answer}");
        return Err(broken(seen, expected.to_owned()));
    }
    match act(case).await? {
        Answer::Reply(_) => Ok(()),
        answer => {
            let seen = format!("it was refused, but the call with its id was answered {answer}");
            Err(broken(seen, expected.to_owned()))
        }
    }
}

async fn act(case: &mut Case<'_>) -> Result<Answer, Miss> {
    case.act().await.map_err(Miss::Unfit)
}

/// The action, applied for the first time.
async fn applied(case: &mut Case<'_>) -> Result<Bytes, Miss> {
    match act(case).await? {
        Answer::Reply(reply) => Ok(reply),
        answer => Err(unfit(&answer)),
    }
}

/// The action, refused for the first time: the reason.
async fn rejected(case: &mut Case<'_>) -> Result<String, Miss> {
    match act(case).await? {
        Answer::Status(status) if status.meaning == Meaning::Refused => Ok(status.reason),
        answer => {
            let why = format!("the step does not refuse the refused input: {answer}");
            Err(Miss::NotTried(why))
        }
    }
}

async fn undo(case: &mut Case<'_>) -> Result<Answer, Miss> {
    let skipped = "the `when` of its compensation is false for this input";
    let answer = case.undo().await.map_err(Miss::NotTried)?;
    answer.ok_or_else(|| Miss::NotTried(skipped.to_owned()))
}

fn unfit(answer: &Answer) -> Miss {
    Miss::Unfit(format!("the step is not applied with this input: {answer}"))
}

fn broken(seen: String, expected: String) -> Miss {
    Miss::Broken { seen, expected }
}

fn undone(what: &str, answer: Answer) -> Result<Bytes, Miss> {
    match answer {
        Answer::Reply(reply) => Ok(reply),
        answer => Err(broken(format!("{what} was answered {answer}"), "OK".to_owned())),
    }
}

fn refused(what: &str, answer: &Answer, code: &str, reason: &str) -> Judged {
    if answer.is(code, reason) {
        return Ok(());
    }
    Err(broken(format!("{what} was answered {answer}"), format!("{code}/{reason}")))
}

fn expect_told(inquiry: Inquiry, told: &Told, expected: &Told) -> Judged {
    if told == expected {
        return Ok(());
    }
    Err(broken(format!("{inquiry} told {told}"), expected.to_string()))
}

fn same_reply(what: &str, first: &Bytes, answer: &Answer) -> Judged {
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
fn difference(first: &Bytes, other: &Bytes) -> String {
    let at = first.iter().zip(other).take_while(|(one, two)| one == two).count();
    format!("{} bytes and {} bytes, different from byte {at} on", first.len(), other.len())
}
