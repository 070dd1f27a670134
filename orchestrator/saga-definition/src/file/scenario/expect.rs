//! What must follow in a scenario.

use super::{CallName, json, texts};
use crate::{
    file::{
        fields::{self, Fields},
        suggest,
    },
    finding::Findings,
    yaml::{Node, NodeValue},
};

/// What must follow. What is not said may be anything.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    pub fate: Option<Fate>,
    /// The reason code of what turned the saga back, or of what needs a person.
    pub reason: Option<String>,
    /// All calls that left, in order, each once however often it was tried.
    pub calls: Option<Vec<ExpectedCall>>,
    /// The steps whose effect stands in the end.
    pub stands: Option<Vec<String>>,
    /// The steps that were undone.
    pub undone: Option<Vec<String>>,
    /// From the start to the end.
    pub within_ms: Option<u64>,
}

/// A call that must leave.
#[derive(Clone, Debug)]
pub struct ExpectedCall {
    pub call: CallName,
    /// Fields of its request, in proto-JSON; the others may be anything.
    pub request: Option<String>,
}

/// Where a saga is in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Completed,
    Compensated,
    Stuck,
    /// For a signal, or an answer that does not come.
    Waiting,
}

impl Fate {
    const ALL: [Self; 4] = [Self::Completed, Self::Compensated, Self::Stuck, Self::Waiting];

    /// `completed`, `compensated`, `stuck` or `waiting`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::Stuck => "stuck",
            Self::Waiting => "waiting",
        }
    }
}

pub(super) fn read(node: &Node, findings: &mut Findings) -> Option<Expect> {
    let known = ["ending", "reason", "calls", "stands", "undone", "within"];
    let fields = Fields::read(node, "expect", &known, findings)?;
    let fate = fields.optional_text("ending", findings).and_then(|it| {
        let found = Fate::ALL.into_iter().find(|fate| fate.as_str() == it.value);
        if found.is_none() {
            let remedy = suggest(&it.value, &Fate::ALL.map(Fate::as_str));
            findings.error("shape", it.span, format!("`{}` is no ending", it.value), remedy);
        }
        found
    });
    Some(Expect {
        fate,
        reason: fields.optional_text("reason", findings).map(|it| it.value),
        calls: fields.optional("calls").map(|it| calls(it, findings)),
        stands: fields.optional("stands").map(|it| texts(it, "stands", findings)),
        undone: fields.optional("undone").map(|it| texts(it, "undone", findings)),
        within_ms: fields.optional_duration("within", findings).map(|it| it.value),
    })
}

fn calls(node: &Node, findings: &mut Findings) -> Vec<ExpectedCall> {
    let items = fields::list(node, "calls", findings).unwrap_or(&[]);
    let mut made = Vec::with_capacity(items.len());
    for item in items {
        match &item.value {
            NodeValue::Scalar(name) => {
                made.push(ExpectedCall { call: CallName::read(name), request: None });
            }
            NodeValue::Map(entries) if entries.len() == 1 => {
                let (name, request) = &entries[0];
                let request = Some(json(request).to_string());
                made.push(ExpectedCall { call: CallName::read(&name.value), request });
            }
            _ => {
                let remedy = "write the step, `undo STEP`, or `STEP: { field: value }` for a part \
                              of its request";
                findings.error("shape", item.span, "no call", remedy);
            }
        }
    }
    made
}
