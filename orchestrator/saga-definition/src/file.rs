//! A definition as it stands in the file: shape, names and numbers are checked, what
//! they refer to is not.

mod fields;
mod headers;
pub(crate) mod keys;
mod reasons;
mod retry;
mod scenario;
mod step;
mod wait;

use crate::{
    finding::{Findings, Span},
    yaml::{Node, Spanned},
};

use fields::Fields;
pub use fields::suggest;
pub use scenario::{
    Answer, CallName, Cancel, Expect, ExpectedCall, Fate, Scenario, ScenarioFile, Sent,
};
pub(crate) use step::{ActionFile, CallFile, CompensationFile, REFUSAL_CODES, StepFile};
pub(crate) use wait::WaitFile;

/// Bytes of a definition at most (X09).
pub(crate) const DEFINITION_BYTES_MAX: usize = 256 * 1024;

/// Labels at most.
const LABELS_MAX: usize = 16;

/// A definition as it stands in the file.
#[derive(Debug)]
pub(crate) struct DefinitionFile {
    pub(crate) name: Spanned<String>,
    pub(crate) version: u32,
    /// Versions up to this one are started no more. 0: none.
    pub(crate) retires: u32,
    /// Full name of the input type.
    pub(crate) input: Spanned<String>,
    pub(crate) deadline_ms: Option<Spanned<u64>>,
    pub(crate) labels: Vec<(Spanned<String>, Spanned<String>)>,
    pub(crate) steps: Vec<StepFile>,
}

/// Reads the shape of a definition. Returns `None` where something essential is missing
/// or wrong; the findings say what.
pub(crate) fn read(root: &Node, findings: &mut Findings) -> Option<DefinitionFile> {
    let top = Span { offset: 0, len: 0, line: 1, column: 1 };
    let mut fields = Fields::of(root, "a definition", &keys::DEFINITION, findings)?;
    fields.place(top);

    if let Some(kind) = fields.text("kind", findings)
        && kind.value != "Saga"
    {
        let message = format!("kind is `{}`", kind.value);
        findings.error("shape", kind.span, message, "write `kind: Saga`");
    }
    let name = fields.text("name", findings);
    if let Some(name) = &name
        && !is_name(&name.value, "-_")
    {
        let remedy = "begin with a small letter; go on with small letters, digits, `-` and `_`; \
                      64 at most";
        findings.error("name", name.span, format!("`{}` is not a name", name.value), remedy);
    }
    let version = fields.text("version", findings).and_then(|it| {
        read_version("version", &it, "write `version: 1`, then 2, 3, ...", findings)
    });
    let retires = read_retires(&fields, version, findings);
    let input = fields.text("input", findings);
    let deadline_ms = fields.optional_duration("deadline", findings);
    let labels = fields.optional("labels").map(|node| read_labels(node, findings));
    let steps = fields.required("steps", findings).and_then(|node| step::read(node, findings));
    Some(DefinitionFile {
        name: name?,
        version: version?,
        retires,
        input: input?,
        deadline_ms,
        labels: labels.unwrap_or_default(),
        steps: steps?,
    })
}

/// A whole number from 1. One that is written in another way is reported, and taken for what it
/// says: it is another text, and yet the same version.
fn read_version(
    key: &str,
    text: &Spanned<String>,
    remedy: &str,
    findings: &mut Findings,
) -> Option<u32> {
    let number = text.value.parse::<u32>().ok().filter(|it| 1 <= *it);
    let wrong = match number {
        None => "is not a whole number from 1",
        Some(number) if number.to_string() != text.value.trim() => "is not written as a number is",
        Some(_) => return number,
    };
    let message = format!("{key} `{}` {wrong}", text.value);
    findings.error("shape", text.span, message, remedy);
    number
}

/// The versions before this one that are started no more. 0: none.
fn read_retires(fields: &Fields<'_>, version: Option<u32>, findings: &mut Findings) -> u32 {
    let Some(text) = fields.optional_text("retires", findings) else {
        return 0;
    };
    let remedy = "write the number of an earlier version: it and all before it are started no more";
    let retires = read_version("retires", &text, remedy, findings).unwrap_or(0);
    if version.is_some_and(|version| version <= retires) {
        let message = format!("retires `{retires}` is not a version before this one");
        findings.error("shape", text.span, message, remedy);
        return 0;
    }
    retires
}

fn read_labels(node: &Node, findings: &mut Findings) -> Vec<(Spanned<String>, Spanned<String>)> {
    let entries = fields::map(node, "labels", findings).unwrap_or(&[]);
    if LABELS_MAX < entries.len() {
        let message = format!("{} labels; at most {LABELS_MAX} are allowed", entries.len());
        findings.error("shape", node.span, message, "keep those that you search by");
    }
    let mut labels = Vec::new();
    for (key, value) in entries {
        if !is_name(&key.value, "-_") {
            let message = format!("`{}` is not a label name", key.value);
            let remedy = "small letters, digits, `-` and `_`, beginning with a letter";
            findings.error("name", key.span, message, remedy);
        }
        if let Some(text) = fields::scalar(value, &key.value, findings) {
            labels.push((key.clone(), text));
        }
    }
    labels
}

/// Whether `text` is `[a-z][a-z0-9]*` with `others` allowed behind the first character,
/// 64 characters at most.
pub(crate) fn is_name(text: &str, others: &str) -> bool {
    let tail_ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || others.contains(c);
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(tail_ok)
}
