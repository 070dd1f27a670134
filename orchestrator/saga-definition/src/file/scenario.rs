//! Scenarios beside a definition: what a saga is started with, what each call answers, and what
//! must follow. Only their shape is read here; whoever plays them knows the definition.

use serde_json::Value as Json;

use super::fields::{self, Fields};
use crate::{
    Report,
    finding::Findings,
    yaml::{self, Node, NodeValue},
};

mod answers;
mod expect;

pub use answers::{Answer, Cancel, Sent};
pub use expect::{Expect, ExpectedCall, Fate};

/// A file of scenarios.
#[derive(Clone, Debug)]
pub struct ScenarioFile {
    /// The definition, as a path from this file. `None`: the file of the same name.
    pub definition: Option<String>,
    /// Where the participants' types are, as paths from this file.
    pub types: Vec<String>,
    pub scenarios: Vec<Scenario>,
}

/// One course of one saga.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: String,
    /// Line in the file, from 1.
    pub line: u32,
    /// The business key.
    pub key: String,
    /// The input, in proto-JSON.
    pub input: String,
    /// By call: what its attempts and inquiries answer, in order.
    pub answers: Vec<(CallName, Vec<Answer>)>,
    pub signals: Vec<Sent>,
    pub cancel: Option<Cancel>,
    pub expect: Expect,
}

/// A call of a step: `reserve_stock`, or `undo reserve_stock` for its compensation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallName {
    pub step: String,
    pub is_undo: bool,
}

impl CallName {
    fn read(text: &str) -> Self {
        match text.trim().strip_prefix("undo ") {
            Some(step) => Self { step: step.trim().to_owned(), is_undo: true },
            None => Self { step: text.trim().to_owned(), is_undo: false },
        }
    }
}

impl std::fmt::Display for CallName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", if self.is_undo { "undo " } else { "" }, self.step)
    }
}

impl ScenarioFile {
    /// Whether a file of this name holds scenarios, and no definition.
    #[must_use]
    pub fn is_named(file_name: &str) -> bool {
        file_name.ends_with(".test.yaml") || file_name.ends_with(".test.yml")
    }

    /// Reads a file of scenarios.
    ///
    /// # Errors
    ///
    /// [`Report`] with everything that is wrong with its shape, and where.
    pub fn read(yaml: &str, file_name: &str) -> Result<Self, Report> {
        let mut findings = Findings::default();
        let made = yaml::parse(yaml, &mut findings).and_then(|root| file(&root, &mut findings));
        match made {
            Some(made) if !findings.has_errors() => Ok(made),
            _ => Err(findings.into_report(file_name, yaml)),
        }
    }
}

fn file(root: &Node, findings: &mut Findings) -> Option<ScenarioFile> {
    let fields =
        Fields::read(root, "a file of scenarios", &["definition", "types", "scenarios"], findings)?;
    let definition = fields.optional_text("definition", findings).map(|it| it.value);
    let types = fields.optional("types").map(|it| texts(it, "types", findings));
    let scenarios = fields.required("scenarios", findings)?;
    let scenarios = fields::list(scenarios, "scenarios", findings)?;
    let scenarios = scenarios.iter().filter_map(|it| scenario(it, findings)).collect();
    Some(ScenarioFile { definition, types: types.unwrap_or_default(), scenarios })
}

fn scenario(node: &Node, findings: &mut Findings) -> Option<Scenario> {
    let known = ["name", "key", "input", "answers", "signals", "cancel", "expect"];
    let fields = Fields::read(node, "a scenario", &known, findings)?;
    let name = fields.text("name", findings)?;
    let key = fields.optional_text("key", findings).map_or(name.value.clone(), |it| it.value);
    let input = fields.optional("input").map_or_else(|| "{}".to_owned(), |it| json(it).to_string());
    let answers = fields.optional("answers").map(|it| answers::by_call(it, findings));
    let signals = fields.optional("signals").map(|it| answers::signals(it, findings));
    let cancel = fields.optional("cancel").and_then(|it| answers::cancel(it, findings));
    let expect = fields.required("expect", findings).and_then(|it| expect::read(it, findings))?;
    Some(Scenario {
        name: name.value,
        line: name.span.line,
        key,
        input,
        answers: answers.unwrap_or_default(),
        signals: signals.unwrap_or_default(),
        cancel,
        expect,
    })
}

fn texts(node: &Node, what: &str, findings: &mut Findings) -> Vec<String> {
    let items = fields::list(node, what, findings).unwrap_or(&[]);
    items.iter().filter_map(|it| Some(fields::scalar(it, what, findings)?.value)).collect()
}

/// What is written as YAML, as JSON: what has no quotes and looks like a number or a truth is
/// one.
fn json(node: &Node) -> Json {
    match &node.value {
        NodeValue::Null => Json::Null,
        NodeValue::Scalar(text) if node.is_plain => plain(text),
        NodeValue::Scalar(text) => Json::String(text.clone()),
        NodeValue::List(items) => Json::Array(items.iter().map(json).collect()),
        NodeValue::Map(entries) => {
            Json::Object(entries.iter().map(|(key, it)| (key.value.clone(), json(it))).collect())
        }
    }
}

fn plain(text: &str) -> Json {
    let number = text.starts_with(|it: char| it.is_ascii_digit() || it == '-');
    match serde_json::from_str(text) {
        Ok(it @ Json::Bool(_)) => it,
        Ok(it @ Json::Number(_)) if number => it,
        _ => Json::String(text.to_owned()),
    }
}
