//! What each rule does to the step under test, and what it expects of the answers. A rule
//! that counts effects says from where on, and how many there are to be: see `Case::mark`.

pub(super) mod judged;

use std::time::Duration;

use bytes::Bytes;

use crate::{
    conformance::{Judged, Miss, Rule, case::Case},
    participants::probe::{Answer, Inquiry, Meaning, Refusal, Told},
};
use judged::{
    act, applied, broken, difference, expect_told, made, refused, rejected, same_reply, undo,
    undone, unfit,
};

/// How far an inquiry or a compensation follows its original, in each race.
const BEHIND_MS: [u64; 8] = [1, 1, 2, 3, 5, 8, 13, 21];

/// Races of an original with what follows it.
#[expect(clippy::cast_possible_truncation, reason = "the list is short")]
pub(super) const RACES: u32 = BEHIND_MS.len() as u32;

/// Equal calls at one moment, and how often there are so many.
const CROWD: usize = 6;
pub(super) const CROWDS: u32 = 3;

/// Repeats of one request with a map: an encoder without an order has many.
const MAP_REPEATS: u32 = 16;

pub(super) async fn judge(rule: Rule, case: &mut Case<'_>, round: u32) -> Judged {
    match rule {
        Rule::Duplicate => duplicate(case).await,
        Rule::AtOnce => at_once(case).await,
        Rule::MapRepeats => map_repeats(case).await,
        Rule::OtherBody => other_body(case).await,
        Rule::LateOriginal => late_original(case).await,
        Rule::UndoFirst => undo_first(case).await,
        Rule::Undo => undo_once(case).await,
        Rule::UndoTwice => undo_twice(case).await,
        Rule::UndoAtOnce => undo_at_once(case).await,
        Rule::SecondUndo => second_undo(case).await,
        Rule::RepeatAfterUndo => repeat_after_undo(case).await,
        Rule::UndoInFlight => undo_in_flight(case, round).await,
        Rule::ResolveAbsent => resolve_absent(case).await,
        Rule::ResolveApplied => {
            let first = applied(case).await?;
            resolve_applied(case, &first).await
        }
        Rule::ResolveReversed => resolve_reversed(case).await,
        Rule::ResolveInFlight => resolve_in_flight(case, round).await,
        Rule::ResolveRejected => resolve_rejected(case).await,
        Rule::RefusalRepeated => refusal_repeated(case).await,
        Rule::UndoOfARejection => undo_of_a_rejection(case).await,
        Rule::NoOpId => no_op_id(case).await,
        Rule::RestartApplied | Rule::RestartFenced | Rule::RestartUndone => {
            Err(Miss::NotTried("no restart was asked for".to_owned()))
        }
    }
}

async fn duplicate(case: &mut Case<'_>) -> Judged {
    let first = applied(case).await?;
    case.mark(0).await;
    same_reply("the second call", &first, &act(case).await?)
}

async fn at_once(case: &mut Case<'_>) -> Judged {
    case.mark(1).await;
    let answers = case.act_at_once(CROWD).await.map_err(Miss::Unfit)?;
    let Some(first) = answers.iter().find_map(Answer::reply) else {
        case.expect(0);
        return Err(answers.first().map_or_else(|| Miss::Unfit("no call".to_owned()), unfit));
    };
    let what = format!("one of {CROWD} equal calls at once");
    answers.iter().try_for_each(|answer| same_reply(&what, first, answer))
}

async fn map_repeats(case: &mut Case<'_>) -> Judged {
    let first = applied(case).await?;
    case.mark(0).await;
    let Some(other) = case.act_reordered().await.map_err(Miss::Unfit)? else {
        let why = "its request has no map of two or more entries with this input";
        return Err(Miss::NotTried(why.to_owned()));
    };
    for _ in 0..MAP_REPEATS {
        same_reply("a repeat of the same bytes", &first, &act(case).await?)?;
    }
    // Other bytes are another request, or the same: a participant may see it either way.
    if other.is("ALREADY_EXISTS", "OP_ID_REUSED") {
        return Ok(());
    }
    same_reply("the request with its entries in another order", &first, &other)
}

async fn other_body(case: &mut Case<'_>) -> Judged {
    applied(case).await?;
    case.mark(0).await;
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
    case.mark(0).await;
    expect_told(Inquiry::Fence, &case.resolve(Inquiry::Fence).await, &Told::Fenced)?;
    for late in ["the late original", "the late original, repeated,"] {
        refused(late, &act(case).await?, "FAILED_PRECONDITION", "OP_FENCED")?;
    }
    Ok(())
}

async fn undo_first(case: &mut Case<'_>) -> Judged {
    case.mark(0).await;
    undone("the compensation of what never came", undo(case).await?)?;
    refused("the original", &act(case).await?, "FAILED_PRECONDITION", "OP_FENCED")
}

async fn undo_once(case: &mut Case<'_>) -> Judged {
    case.mark(1).await;
    applied(case).await?;
    let answer = undo(case).await?;
    case.expect(0);
    undone("the compensation", answer).map(drop)
}

async fn undo_twice(case: &mut Case<'_>) -> Judged {
    applied(case).await?;
    let first = undone("the first compensation", undo(case).await?)?;
    case.mark(0).await;
    same_reply("the second compensation", &first, &undo(case).await?)
}

async fn undo_at_once(case: &mut Case<'_>) -> Judged {
    // From before the effect: several undos may take back more than there was.
    case.mark(1).await;
    applied(case).await?;
    let answers = made(case.undo_at_once(CROWD).await)?;
    case.expect(0);
    let Some(first) = answers.iter().find_map(Answer::reply) else {
        let seen = answers.first().map(ToString::to_string).unwrap_or_default();
        return Err(broken(format!("a compensation was answered {seen}"), "OK".to_owned()));
    };
    let what = format!("one of {CROWD} equal compensations at once");
    answers.iter().try_for_each(|answer| same_reply(&what, first, answer))
}

async fn second_undo(case: &mut Case<'_>) -> Judged {
    applied(case).await?;
    undone("the first compensation", undo(case).await?)?;
    case.mark(0).await;
    reversed_once(case).await
}

/// What was undone is not undone again.
pub(super) async fn reversed_once(case: &mut Case<'_>) -> Judged {
    let answer = made(case.undo_under_another_id().await)?;
    // It is on record under its own id, as any refusal, so the trailer may be there.
    if answer.is("FAILED_PRECONDITION", "ALREADY_REVERSED") {
        return Ok(());
    }
    let seen = format!("a compensation under another id was answered {answer}");
    Err(broken(seen, "FAILED_PRECONDITION/ALREADY_REVERSED".to_owned()))
}

async fn repeat_after_undo(case: &mut Case<'_>) -> Judged {
    let first = applied(case).await?;
    undone("the compensation", undo(case).await?)?;
    case.mark(0).await;
    repeated_after_undo(case, &first).await
}

/// A participant that was written before there was OP_REVERSED answers with the stored
/// reply. The contract allows it: nothing is done again.
pub(super) async fn repeated_after_undo(case: &mut Case<'_>, first: &Bytes) -> Judged {
    match act(case).await? {
        Answer::Reply(again) if again == first => {
            "it answers a repeat of what was undone with the stored reply, where OP_REVERSED would \
             tell a log that lost the undo"
                .clone_into(&mut case.note);
            Ok(())
        }
        answer => refused(
            "the original, after its compensation,",
            &answer,
            "FAILED_PRECONDITION",
            "OP_REVERSED",
        ),
    }
}

async fn undo_in_flight(case: &mut Case<'_>, round: u32) -> Judged {
    case.mark(0).await;
    let (answer, compensated) = made(case.race_undo(behind(round)).await)?;
    undone("the compensation", compensated)?;
    match &answer {
        Answer::Reply(_) => Ok(()),
        answer if answer.is("FAILED_PRECONDITION", "OP_REVERSED") => Ok(()),
        answer => refused("the original", answer, "FAILED_PRECONDITION", "OP_FENCED"),
    }
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

pub(super) async fn resolve_applied(case: &Case<'_>, first: &Bytes) -> Judged {
    for inquiry in [Inquiry::Peek, Inquiry::Fence] {
        match case.resolve(inquiry).await {
            Told::Applied(reply) => told_reply(inquiry, first, &reply)?,
            told => {
                let expected = "applied, with the reply of the call".to_owned();
                return Err(broken(format!("{inquiry} told {told}"), expected));
            }
        }
    }
    Ok(())
}

fn told_reply(inquiry: Inquiry, first: &Bytes, reply: &Bytes) -> Judged {
    if reply == first {
        return Ok(());
    }
    let seen = format!("{inquiry} told another reply: {}", difference(first, reply));
    Err(broken(seen, "the reply of the call, byte for byte".to_owned()))
}

async fn resolve_reversed(case: &mut Case<'_>) -> Judged {
    let first = applied(case).await?;
    undone("the compensation", undo(case).await?)?;
    for inquiry in [Inquiry::Peek, Inquiry::Fence] {
        match case.resolve(inquiry).await {
            Told::Reversed(reply) => told_reply(inquiry, &first, &reply)?,
            Told::Applied(reply) => {
                told_reply(inquiry, &first, &reply)?;
                "an inquiry about what was undone tells `applied`, where `reversed` would tell a \
                 log that lost the undo"
                    .clone_into(&mut case.note);
            }
            told => {
                let seen = format!("after the compensation {inquiry} told {told}");
                let expected = "reversed, with the reply of the call".to_owned();
                return Err(broken(seen, expected));
            }
        }
    }
    Ok(())
}

async fn resolve_in_flight(case: &mut Case<'_>, round: u32) -> Judged {
    case.mark(0).await;
    let (answer, told) = case.race(behind(round)).await.map_err(Miss::Unfit)?;
    if matches!(told, Told::Applied(_)) {
        case.expect(1);
    }
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

fn behind(round: u32) -> Duration {
    Duration::from_millis(BEHIND_MS[round as usize % BEHIND_MS.len()])
}

async fn resolve_rejected(case: &mut Case<'_>) -> Judged {
    let Refusal { reason, .. } = rejected(case).await?;
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

async fn refusal_repeated(case: &mut Case<'_>) -> Judged {
    case.mark(0).await;
    let first = rejected(case).await?;
    let again = refused_again("the second call", &first, act(case).await?)?;
    if !(first.recorded && again.recorded) {
        "its refusals carry no `saga-refusal: recorded`, so where an earlier attempt is in doubt \
         they end no doubt: an inquiry does"
            .clone_into(&mut case.note);
    }
    Ok(())
}

fn refused_again(what: &str, first: &Refusal, answer: Answer) -> Result<Refusal, Miss> {
    match answer {
        Answer::Status(it)
            if it.meaning == Meaning::Refused
                && (it.code, &it.reason) == (first.code, &first.reason) =>
        {
            Ok(it)
        }
        answer => {
            let seen = format!("{what} was answered {answer}");
            let Refusal { code, reason, .. } = first;
            Err(broken(seen, format!("the refusal that it had before: {code}/{reason}")))
        }
    }
}

async fn undo_of_a_rejection(case: &mut Case<'_>) -> Judged {
    case.mark(0).await;
    let first = rejected(case).await?;
    undone("the compensation of what was refused", undo(case).await?)?;
    refused_again("after its compensation the call", &first, act(case).await?).map(drop)
}

async fn no_op_id(case: &mut Case<'_>) -> Judged {
    let expected = "INVALID_ARGUMENT/OP_ID_MISSING";
    case.mark(0).await;
    let answer = case.act_without_id().await.map_err(Miss::Unfit)?;
    let definite = match &answer {
        Answer::Status(it) => matches!(it.meaning, Meaning::Refused | Meaning::Fault),
        Answer::Reply(_) | Answer::Silent { .. } => false,
    };
    if !definite {
        let seen = format!("the call without an operation id was answered {answer}");
        return Err(broken(seen, expected.to_owned()));
    }
    // One more effect than the call without an id is to have.
    case.expect(1);
    match act(case).await? {
        Answer::Reply(_) => Ok(()),
        answer => {
            case.expect(0);
            let seen = format!("it was refused, but the call with its id was answered {answer}");
            Err(broken(seen, format!("{expected}, and nothing done")))
        }
    }
}
