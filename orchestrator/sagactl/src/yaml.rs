//! Replies as YAML: the same fields and values as their JSON.

use serde_json::Value;

/// A block of YAML, with a line end after each line. Texts are in double quotes wherever
/// they could be read as anything else, so that nothing changes its type.
pub(crate) fn yaml(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => object(fields, 0, "", &mut text),
        Value::Array(items) if !items.is_empty() => array(items, 0, &mut text),
        scalar => text.push_str(&format!("{}\n", flat(scalar))),
    }
    text
}

/// The fields, a line each or more. The first line begins with `first` instead of the indent.
fn object(fields: &serde_json::Map<String, Value>, indent: usize, first: &str, text: &mut String) {
    for (number, (name, value)) in fields.iter().enumerate() {
        match number {
            0 if !first.is_empty() => text.push_str(first),
            _ => text.push_str(&" ".repeat(indent)),
        }
        text.push_str(&quoted(name));
        text.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                object(inner, indent + 2, "", text);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                array(items, indent, text);
            }
            scalar => text.push_str(&format!(" {}\n", flat(scalar))),
        }
    }
}

fn array(items: &[Value], indent: usize, text: &mut String) {
    let dash = format!("{}- ", " ".repeat(indent));
    for item in items {
        match item {
            Value::Object(fields) if !fields.is_empty() => object(fields, indent + 2, &dash, text),
            // JSON is YAML too; lists of lists are rare.
            other => text.push_str(&format!("{dash}{}\n", flat(other))),
        }
    }
}

/// A value on one line.
fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => crate::reply::line(other),
    }
}

/// A text as it stands where nothing else could be read in it, else in double quotes.
fn quoted(text: &str) -> String {
    let begins = text.starts_with(|it: char| it.is_ascii_alphabetic());
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.' | '/');
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|it| text.eq_ignore_ascii_case(it));
    if begins && text.chars().all(is_plain) && !is_word {
        return text.to_owned();
    }
    crate::reply::line(&text)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_keeps_every_type() {
        let value = json!({
            "sagas": [
                {"key": "no", "version": "7", "steps": [], "started": "2026-01-02T18:19:00Z"},
                {"why": "two\nlines: \u{9b}", "done": true, "stuck": {"reason": "A_B"}},
            ],
            "names": ["a", "1e3", ""],
            "none": null,
        });
        assert_snapshot!(yaml(&value), @r#"
        names:
        - a
        - "1e3"
        - ""
        none: null
        sagas:
        - key: "no"
          started: "2026-01-02T18:19:00Z"
          steps: []
          version: "7"
        - done: true
          stuck:
            reason: A_B
          why: "two\nlines: \u009b"
        "#);
        assert_eq!(yaml(&json!({})), "{}\n");
    }
}
