//! What a reply means beside what was seen of it on the wire: the definition judges it.
//!
//! A reply that cannot be read, or that answers something else, says that something was done, but
//! not what (F27, F28): whether a call brought it or an inquiry. One that was too large to be kept
//! says as little, wherever the definition has to look at it: it may be the one that says no.

use std::borrow::Cow;

use saga_core::{Direction, Event, Outcome, Resolution, StepIndex, UnknownCause, Word};
use saga_definition::ReplyMeaning;

use crate::known::Known;

/// What is said of a refusal that came as a reply.
const SAID_NO: &str = "the reply says no, by `refused_when` of the definition";

/// The fact, as the definition judges what was replied.
pub(crate) fn judged<'f>(known: &Known<'_>, fact: &'f Event) -> Cow<'f, Event> {
    let judged = match *fact {
        Event::Answered { step, direction, attempt, ref outcome, at_ms } => {
            outcome_of(known, step, direction, outcome).map(|outcome| Event::Answered {
                step,
                direction,
                attempt,
                outcome,
                at_ms,
            })
        }
        Event::Resolved { step, inquiry, ref resolution, at_ms }
            if !known.state.may_be_undone_unseen(step) =>
        {
            resolution_of(known, step, resolution).map(|resolution| Event::Resolved {
                step,
                inquiry,
                resolution,
                at_ms,
            })
        }
        _ => None,
    };
    judged.map_or(Cow::Borrowed(fact), Cow::Owned)
}

/// What a call came to. `None`: what was seen.
fn outcome_of(
    known: &Known<'_>,
    step: StepIndex,
    direction: Direction,
    outcome: &Outcome,
) -> Option<Outcome> {
    let definition = known.subject.definition;
    let bad = |message| Some(Outcome::Unknown { cause: UnknownCause::BadReply, message });
    match outcome {
        Outcome::Applied { reply } => match definition.check_reply(step, direction, reply, known) {
            Ok(ReplyMeaning::Done) => None,
            Ok(ReplyMeaning::Refused { reason }) => {
                let (message, word) = (SAID_NO.to_owned(), Word::OfAttempt);
                Some(Outcome::Rejected { reason, message, word })
            }
            Err(error) => bad(error.to_string()),
        },
        Outcome::AppliedUnread { message } if definition.judges_replies(step, direction) => {
            bad(unjudged(message))
        }
        _ => None,
    }
}

/// What an inquiry about the action learned. `None`: what was seen.
fn resolution_of(
    known: &Known<'_>,
    step: StepIndex,
    resolution: &Resolution,
) -> Option<Resolution> {
    let definition = known.subject.definition;
    let unanswered = |message| Some(Resolution::Unanswered { message });
    match resolution {
        Resolution::Applied { reply } => {
            match definition.check_reply(step, Direction::Forward, reply, known) {
                Ok(ReplyMeaning::Done) => None,
                // On record: the participant keeps this answer for the operation.
                Ok(ReplyMeaning::Refused { reason }) => {
                    Some(Resolution::Rejected { reason, message: SAID_NO.to_owned() })
                }
                Err(error) => unanswered(error.to_string()),
            }
        }
        Resolution::AppliedUnread { message }
            if definition.judges_replies(step, Direction::Forward) =>
        {
            unanswered(unjudged(message))
        }
        _ => None,
    }
}

fn unjudged(message: &str) -> String {
    format!("{message}: `expect` or `refused_when` of the definition cannot judge it")
}
