//! What changes from one definition to another.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};

use crate::look::{Look, Mark, plain};

/// One thing that a definition says otherwise than another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// As in `steps.pay.action.timeout`.
    pub(crate) path: String,
    /// `None`: it was not said.
    pub(crate) old: Option<String>,
    /// `None`: it is said no more.
    pub(crate) new: Option<String>,
}

/// What is said otherwise, in the order of the new one; what is said no more comes last.
pub(crate) fn between(old: &[(String, String)], new: &[(String, String)]) -> Vec<Change> {
    let was: BTreeMap<&str, &str> = old.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let is: BTreeMap<&str, &str> = new.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let changed = new.iter().filter_map(|(path, text)| {
        let before = was.get(path.as_str()).map(|it| (*it).to_owned());
        (before.as_deref() != Some(text)).then(|| Change {
            path: path.clone(),
            old: before,
            new: Some(text.clone()),
        })
    });
    let gone = old.iter().filter(|(path, _)| !is.contains_key(path.as_str()));
    let gone =
        gone.map(|(path, text)| Change { path: path.clone(), old: Some(text.clone()), new: None });
    changed.chain(gone).collect()
}

/// For people.
pub(crate) fn report([old, new]: &[String; 2], changes: &[Change], look: &Look) -> String {
    let mut text = format!("{}\n", look.heading(&format!("{old} -> {new}")));
    if changes.is_empty() {
        text.push_str("new sagas run as before\n");
    }
    for Change { path, old, new } in changes {
        let (mark, line) = match (old, new) {
            (Some(old), Some(new)) => (Mark::Waiting, format!("{path}: {old} -> {new}")),
            (None, Some(new)) => (Mark::Good, format!("{path}: {new}")),
            (old, None) => (Mark::Refused, format!("{path}: {}", old.as_deref().unwrap_or(""))),
        };
        let sign = match (old, new) {
            (Some(_), Some(_)) => "~",
            (None, Some(_)) => "+",
            _ => "-",
        };
        let _ = writeln!(text, "  {} {}", look.paint(mark, sign), plain(&line));
    }
    text
}

/// For programs.
pub(crate) fn value([old, new]: &[String; 2], changes: &[Change]) -> Value {
    let changes: Vec<Value> =
        changes.iter().map(|it| json!({ "path": it.path, "old": it.old, "new": it.new })).collect();
    json!({ "old": old, "new": new, "changes": changes })
}
