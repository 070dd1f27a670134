//! What comes from outside in a scenario: answers, signals, a cancel.

use super::{CallName, json};
use crate::{
    file::fields::{self, Fields},
    file::suggest,
    finding::Findings,
    yaml::{Node, NodeValue},
};

/// What an attempt of a call meets, or an inquiry about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done; this is the reply, in proto-JSON.
    Ok(String),
    /// The participant refuses, for this reason, and has it on record.
    Refused(String),
    /// No answer comes within its timeout.
    Unknown,
    /// An earlier attempt did it, as an inquiry or another attempt learns; this is the reply, in
    /// proto-JSON.
    Applied(String),
    /// To an inquiry: it was not done, and never will be.
    NeverApplied,
    /// Nobody answers for so long, from the first attempt on: nothing reaches the participant.
    Down { for_ms: u64 },
    /// The call stays out.
    Nothing,
}

/// A signal that is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub signal: String,
    /// In proto-JSON.
    pub payload: String,
    /// From the start of the saga.
    pub after_ms: u64,
}

/// When the client asks the saga to turn back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// While the first call of this step's action is out.
    At {
        step: String,
    },
    After {
        after_ms: u64,
    },
}

const ANSWERS: [&str; 7] =
    ["ok", "refused", "unknown", "applied", "never_applied", "down", "nothing"];

pub(super) fn by_call(node: &Node, findings: &mut Findings) -> Vec<(CallName, Vec<Answer>)> {
    let entries = fields::map(node, "answers", findings).unwrap_or(&[]);
    let mut made = Vec::with_capacity(entries.len());
    for (name, node) in entries {
        let answers = match &node.value {
            NodeValue::List(items) => items.iter().filter_map(|it| answer(it, findings)).collect(),
            _ => answer(node, findings).into_iter().collect(),
        };
        made.push((CallName::read(&name.value), answers));
    }
    made
}

fn answer(node: &Node, findings: &mut Findings) -> Option<Answer> {
    let entry = match &node.value {
        NodeValue::Map(entries) if entries.len() == 1 => Some((&entries[0].0.value, &entries[0].1)),
        NodeValue::Scalar(word) => Some((word, node)),
        _ => None,
    };
    let word = entry.map_or("", |(word, _)| word.as_str());
    let given = entry.map(|(_, given)| given).filter(|it| !std::ptr::eq(*it, node));
    let reply = || given.map_or_else(|| "{}".to_owned(), |it| json(it).to_string());
    match (word, given) {
        ("ok", _) => Some(Answer::Ok(reply())),
        ("applied", _) => Some(Answer::Applied(reply())),
        ("unknown", None) => Some(Answer::Unknown),
        ("never_applied", None) => Some(Answer::NeverApplied),
        ("nothing", None) => Some(Answer::Nothing),
        ("refused", Some(reason)) => {
            Some(Answer::Refused(fields::scalar(reason, "refused", findings)?.value))
        }
        ("down", Some(span)) => {
            let text = fields::scalar(span, "down", findings)?;
            let for_ms = fields::duration_ms(&text.value);
            if for_ms.is_none() {
                let message = format!("down `{}` is not a duration", text.value);
                findings.error("shape", text.span, message, "write it as 30s, 10m or 1h");
            }
            Some(Answer::Down { for_ms: for_ms? })
        }
        _ => {
            let message = "no answer that a call can have".to_owned();
            let remedy = match ANSWERS.contains(&word) {
                true => "write `ok: {..}`, `refused: REASON`, `unknown`, `applied: {..}`, \
                         `never_applied`, `down: 10m` or `nothing`; or a list of them, for one \
                         attempt or inquiry after the other"
                    .to_owned(),
                false => suggest(word, &ANSWERS),
            };
            findings.error("shape", node.span, message, remedy);
            None
        }
    }
}

pub(super) fn signals(node: &Node, findings: &mut Findings) -> Vec<Sent> {
    let items = fields::list(node, "signals", findings).unwrap_or(&[]);
    items.iter().filter_map(|it| signal(it, findings)).collect()
}

fn signal(node: &Node, findings: &mut Findings) -> Option<Sent> {
    let fields = Fields::read(node, "a signal", &["signal", "payload", "after"], findings)?;
    let signal = fields.text("signal", findings)?.value;
    let payload =
        fields.optional("payload").map_or_else(|| "{}".to_owned(), |it| json(it).to_string());
    let after_ms = fields.optional_duration("after", findings).map_or(0, |it| it.value);
    Some(Sent { signal, payload, after_ms })
}

pub(super) fn cancel(node: &Node, findings: &mut Findings) -> Option<Cancel> {
    let fields = Fields::read(node, "a cancel", &["at", "after"], findings)?;
    let after = fields.optional_duration("after", findings);
    let at = fields.optional_text("at", findings);
    match (at, after) {
        (Some(step), None) => Some(Cancel::At { step: step.value }),
        (None, Some(after)) => Some(Cancel::After { after_ms: after.value }),
        _ => {
            let remedy = "write `at: STEP`, while that step's call is out, or `after: 10s`";
            findings.error("shape", node.span, "when is it cancelled?", remedy);
            None
        }
    }
}
