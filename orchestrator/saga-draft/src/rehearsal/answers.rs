//! What the calls of a scenario meet.

use bytes::Bytes;
use saga_core::{Direction, NotDone, Outcome, Resolution, StepIndex, UnknownCause, Word};
use saga_definition::{Answer, CallName, CompiledDefinition};

use super::{Unplayable, step_named};

/// How long an answer takes that comes.
pub(super) const ANSWER_MS: u64 = 1;

type Call = (StepIndex, Direction);

/// What is said at one call.
enum Line {
    Applied(Bytes),
    Refused(String),
    Unknown,
    /// It was done by an earlier attempt, whose reply is on record.
    Found(Bytes),
    /// No attempt did anything, and none will: known once it is asked.
    Fenced,
    Down {
        for_ms: u64,
    },
    Nothing,
}

/// The lines of one call, and how far they were said.
struct Part {
    call: Call,
    lines: Vec<Line>,
    said: usize,
    /// When the first attempt left.
    since_ms: Option<u64>,
}

/// What every call says. One that is not in it is done, and replies nothing.
pub(super) struct Script {
    parts: Vec<Part>,
}

impl Script {
    pub(super) fn read(
        definition: &CompiledDefinition,
        answers: &[(CallName, Vec<Answer>)],
    ) -> Result<Self, Unplayable> {
        let mut parts = Vec::with_capacity(answers.len());
        for (name, answers) in answers {
            let call = call_named(definition, name)?;
            let lines: Result<Vec<Line>, _> =
                answers.iter().map(|it| line(definition, name, call, it)).collect();
            parts.push(Part { call, lines: lines?, said: 0, since_ms: None });
        }
        Ok(Self { parts })
    }

    /// After how long an attempt has which outcome. `None`: it stays out.
    pub(super) fn call(
        &mut self,
        call: Call,
        now_ms: u64,
        timeout_ms: u64,
    ) -> Option<(u64, Outcome)> {
        let done = Outcome::Applied { reply: Bytes::new() };
        let Some(part) = self.parts.iter_mut().find(|it| it.call == call) else {
            return Some((ANSWER_MS, done));
        };
        let since_ms = *part.since_ms.get_or_insert(now_ms);
        part.skip_what_is_over(since_ms, now_ms);
        let outcome = match part.say() {
            None => done,
            Some(Line::Applied(reply) | Line::Found(reply)) => {
                Outcome::Applied { reply: reply.clone() }
            }
            Some(Line::Refused(reason)) => Outcome::Rejected {
                reason: reason.clone(),
                message: String::new(),
                word: Word::OnRecord,
            },
            Some(Line::Unknown | Line::Fenced) => {
                let (cause, message) = (UnknownCause::TimedOut, String::new());
                return Some((timeout_ms, Outcome::Unknown { cause, message }));
            }
            Some(Line::Down { .. }) => Outcome::NotDone {
                cause: NotDone::NotSent,
                message: String::new(),
                retry_after_ms: None,
            },
            Some(Line::Nothing) => return None,
        };
        Some((ANSWER_MS, outcome))
    }

    /// What an inquiry learns. One that nothing is said to is not answered.
    pub(super) fn inquiry(&mut self, call: Call, now_ms: u64) -> Resolution {
        let unanswered = || Resolution::Unanswered { message: String::new() };
        let Some(part) = self.parts.iter_mut().find(|it| it.call == call) else {
            return unanswered();
        };
        let since_ms = *part.since_ms.get_or_insert(now_ms);
        part.skip_what_is_over(since_ms, now_ms);
        match part.say() {
            Some(Line::Applied(reply) | Line::Found(reply)) => {
                Resolution::Applied { reply: reply.clone() }
            }
            Some(Line::Refused(reason)) => {
                Resolution::Rejected { reason: reason.clone(), message: String::new() }
            }
            Some(Line::Fenced) => Resolution::Fenced,
            Some(Line::Unknown | Line::Down { .. } | Line::Nothing) | None => unanswered(),
        }
    }
}

impl Part {
    /// Goes behind an outage that is over.
    fn skip_what_is_over(&mut self, since_ms: u64, now_ms: u64) {
        while let Some(Line::Down { for_ms }) = self.lines.get(self.said)
            && since_ms.saturating_add(*for_ms) <= now_ms
        {
            self.said += 1;
        }
    }

    /// The next line. The last one is said again and again.
    fn say(&mut self) -> Option<&Line> {
        let at = self.said;
        let stays = matches!(self.lines.get(at), Some(Line::Down { .. }));
        if !stays && at + 1 < self.lines.len() {
            self.said += 1;
        }
        self.lines.get(at)
    }
}

fn line(
    definition: &CompiledDefinition,
    name: &CallName,
    (step, direction): Call,
    answer: &Answer,
) -> Result<Line, Unplayable> {
    let reply = |json: &str| match direction {
        Direction::Forward => {
            definition.encode_reply_json(step, json).map_err(|error| Unplayable::NotOfItsType {
                of: format!("the reply of {name}"),
                message: error.to_string(),
            })
        }
        // Nobody reads what a compensation replies.
        Direction::Backward => Ok(Bytes::new()),
    };
    Ok(match answer {
        Answer::Ok(json) => Line::Applied(reply(json)?),
        Answer::Applied(json) => Line::Found(reply(json)?),
        Answer::Refused(reason) => Line::Refused(reason.clone()),
        Answer::Unknown => Line::Unknown,
        Answer::NeverApplied => Line::Fenced,
        Answer::Down { for_ms } => Line::Down { for_ms: *for_ms },
        Answer::Nothing => Line::Nothing,
    })
}

/// The call of that name.
pub(super) fn call_named(
    definition: &CompiledDefinition,
    name: &CallName,
) -> Result<Call, Unplayable> {
    let step = step_named(definition, &name.step)?;
    let direction = if name.is_undo { Direction::Backward } else { Direction::Forward };
    match definition.call(step, direction) {
        Some(_) => Ok((step, direction)),
        None => Err(Unplayable::NoSuch { what: format!("call `{name}`") }),
    }
}
