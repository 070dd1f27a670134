//! The keys of one mapping: known ones are taken out, the rest is reported.

use super::keys::{Kind, Shape};
use crate::{
    finding::{Findings, Span},
    yaml::{Node, NodeValue, Spanned},
};

/// The longest duration that may be written: 10 years.
const DURATION_MS_MAX: u64 = 10 * 365 * 24 * 3_600_000;

/// Names that a remedy lists at most.
const NAMES_MAX: usize = 20;

/// The keys of one mapping.
pub(super) struct Fields<'a> {
    what: &'static str,
    span: Span,
    entries: &'a [(Spanned<String>, Node)],
    /// What is said of its keys, where they are keys of the language.
    shape: Option<&'static Shape>,
}

impl<'a> Fields<'a> {
    /// The keys of `node`. Keys that are not `known` are errors, so that a typing mistake
    /// cannot pass for a default.
    pub(super) fn read(
        node: &'a Node,
        what: &'static str,
        known: &[&str],
        findings: &mut Findings,
    ) -> Option<Self> {
        let entries = map(node, what, findings)?;
        for (key, _) in entries {
            if !known.contains(&key.value.as_str()) {
                let message = format!("{what} has no key `{}`", key.value);
                findings.error("unknown-key", key.span, message, suggest(&key.value, known));
            }
        }
        let span = entries.first().map_or(node.span, |(key, _)| key.span);
        Some(Self { what, span, entries, shape: None })
    }

    /// As [`read`](Self::read), of a mapping of the language.
    pub(super) fn of(
        node: &'a Node,
        what: &'static str,
        shape: &'static Shape,
        findings: &mut Findings,
    ) -> Option<Self> {
        let fields = Self::read(node, what, &shape.names(), findings)?;
        Some(Self { shape: Some(shape), ..fields })
    }

    /// Whether a key is read as what it is said to be.
    fn is_said(&self, key: &str, is: impl FnOnce(Kind, bool) -> bool) -> bool {
        let said = self.shape.and_then(|it| it.keys.iter().find(|it| it.name == key));
        said.is_none_or(|it| is(it.of, it.is_required))
    }

    /// Where findings about missing keys point at.
    pub(super) fn place(&mut self, span: Span) {
        self.span = span;
    }

    /// Where the key stands.
    pub(super) fn key_span(&self, key: &str) -> Span {
        let found = self.entries.iter().find(|(it, _)| it.value == key);
        found.map_or(self.span, |(it, _)| it.span)
    }

    /// Where the mapping begins.
    pub(super) fn first_span(&self) -> Span {
        self.span
    }

    /// The value of a key that may be absent.
    pub(super) fn optional(&self, key: &str) -> Option<&'a Node> {
        let (_, node) = self.entries.iter().find(|(it, _)| it.value == key)?;
        Some(node)
    }

    /// The value of a key that must be there.
    pub(super) fn required(&self, key: &str, findings: &mut Findings) -> Option<&'a Node> {
        debug_assert!(self.is_said(key, |_, is_required| is_required), "{key} may be absent");
        let node = self.optional(key);
        if node.is_none() {
            let message = format!("{} needs `{key}`", self.what);
            findings.error("shape", self.span, message, format!("add `{key}: ...`"));
        }
        node
    }

    /// The text of a key that must be there.
    pub(super) fn text(&self, key: &str, findings: &mut Findings) -> Option<Spanned<String>> {
        debug_assert!(self.is_said(key, |of, _| of.is_scalar()), "{key} is a text");
        scalar(self.required(key, findings)?, key, findings)
    }

    /// The text of a key that may be absent.
    pub(super) fn optional_text(
        &self,
        key: &str,
        findings: &mut Findings,
    ) -> Option<Spanned<String>> {
        debug_assert!(self.is_said(key, |of, _| of.is_scalar()), "{key} is a text");
        scalar(self.optional(key)?, key, findings)
    }

    /// A duration that may be absent, in milliseconds.
    pub(super) fn optional_duration(
        &self,
        key: &str,
        findings: &mut Findings,
    ) -> Option<Spanned<u64>> {
        debug_assert!(self.is_said(key, |of, _| matches!(of, Kind::Duration)), "{key} is a span");
        let text = self.optional_text(key, findings)?;
        let duration_ms = duration_ms(&text.value);
        if duration_ms.is_none() {
            let message = format!("{key} `{}` is not a duration", text.value);
            findings.error("shape", text.span, message, "write it as 100ms, 2s, 5m, 1h or 1d");
        }
        Some(Spanned { value: duration_ms?, span: text.span })
    }

    /// `true` or `false`; `false` where it is absent.
    pub(super) fn flag(&self, key: &str, findings: &mut Findings) -> bool {
        debug_assert!(self.is_said(key, |of, _| matches!(of, Kind::Flag)), "{key} is a flag");
        let Some(text) = self.optional_text(key, findings) else {
            return false;
        };
        match text.value.as_str() {
            "true" => true,
            "false" => false,
            other => {
                let message = format!("{key} is `{other}`");
                findings.error("shape", text.span, message, "write true or false");
                false
            }
        }
    }
}

/// The entries of a mapping.
pub(super) fn map<'a>(
    node: &'a Node,
    what: &str,
    findings: &mut Findings,
) -> Option<&'a [(Spanned<String>, Node)]> {
    match &node.value {
        NodeValue::Map(entries) => Some(entries),
        _ => {
            findings.error(
                "shape",
                node.span,
                format!("{what}: a mapping is expected here"),
                "write `key: value` lines",
            );
            None
        }
    }
}

/// The items of a sequence.
pub(super) fn list<'a>(node: &'a Node, what: &str, findings: &mut Findings) -> Option<&'a [Node]> {
    match &node.value {
        NodeValue::List(items) => Some(items),
        _ => {
            let message = format!("{what}: a list is expected here");
            findings.error("shape", node.span, message, "write `[a, b]`, or `- ` lines");
            None
        }
    }
}

/// The text of a scalar.
pub(super) fn scalar(node: &Node, what: &str, findings: &mut Findings) -> Option<Spanned<String>> {
    match &node.value {
        NodeValue::Scalar(text) => Some(Spanned { value: text.clone(), span: node.span }),
        _ => {
            let message = format!("{what}: text or a number is expected here");
            findings.error("shape", node.span, message, format!("write `{what}: ...` on one line"));
            None
        }
    }
}

/// What to do about a name that is not one of `known`.
#[must_use]
pub fn suggest(name: &str, known: &[&str]) -> String {
    let near = known.iter().map(|it| (distance(name, it), it)).min();
    match near {
        Some((distance, near)) if distance <= 2.max(name.len() / 3) => {
            format!("did you mean `{near}`?")
        }
        _ if known.is_empty() => "remove it".to_owned(),
        _ if NAMES_MAX < known.len() => {
            let some = known[..NAMES_MAX].join(", ");
            format!("known here: {some} and {} more", known.len() - NAMES_MAX)
        }
        _ => format!("known here: {}", known.join(", ")),
    }
}

/// Edits between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// A duration such as `100ms`, in milliseconds.
pub(super) fn duration_ms(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let duration_ms = number.parse::<u64>().ok()?.checked_mul(unit_ms)?;
    (0 < duration_ms && duration_ms <= DURATION_MS_MAX).then_some(duration_ms)
}
