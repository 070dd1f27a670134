//! Fields whose names are words of the syntax: `input.in`, and `input.`in`` as CEL writes it.
//! The parser takes neither, so it is given another name, which is put back behind it.

use std::borrow::Cow;

/// Words that cannot stand behind a dot for the parser.
const WORDS: [&str; 4] = ["in", "true", "false", "null"];

/// Begins a name that was put in place of such a word. No field of protobuf is called so.
const MARK: &str = "__word_";

/// The text with a name that the parser takes for every such field.
pub(super) fn hidden(text: &str) -> Cow<'_, str> {
    if !text.contains('`') && !WORDS.iter().any(|word| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let mut made = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '"' | '\'' => quoted(rest),
            '.' => {
                let name = rest[1..].trim_start();
                if let Some((name, behind)) = escaped(name).or_else(|| word(name)) {
                    made.push('.');
                    made.push_str(MARK);
                    made.push_str(name);
                    rest = behind;
                    continue;
                }
                1
            }
            c => c.len_utf8(),
        };
        let (these, behind) = rest.split_at(taken);
        made.push_str(these);
        rest = behind;
    }
    Cow::Owned(made)
}

/// The name that stood in the text.
pub(super) fn shown(name: &str) -> &str {
    name.strip_prefix(MARK).unwrap_or(name)
}

fn escaped(text: &str) -> Option<(&str, &str)> {
    let (name, behind) = text.strip_prefix('`')?.split_once('`')?;
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain.then_some((name, behind))
}

fn word(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, behind) = text.split_at(end);
    WORDS.contains(&name).then_some((name, behind))
}

/// Bytes of the text in quotes that begins here.
fn quoted(text: &str) -> usize {
    let quote = &text[..1];
    let triple = quote.repeat(3);
    let (open, close) = if text.starts_with(&triple) { (3, triple.as_str()) } else { (1, quote) };
    let mut at = open;
    while let Some(rest) = text.get(at..) {
        if rest.starts_with(close) {
            return at + close.len();
        }
        match rest.chars().next() {
            None => break,
            Some('\\') => at += 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            Some(c) => at += c.len_utf8(),
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_behind_a_dot_are_names_and_others_stay() {
        for (text, made) in [
            ("input.in", "input.__word_in"),
            ("a.`in`.b", "a.__word_in.b"),
            ("has(a . true)", "has(a .__word_true)"),
            ("a.into in b", "a.into in b"),
            ("'x.in' + \"y\\\".in\" + a.null", "'x.in' + \"y\\\".in\" + a.__word_null"),
            ("\"\"\"a\".in\"\"\" == b.false", "\"\"\"a\".in\"\"\" == b.__word_false"),
        ] {
            assert_eq!(hidden(text), made);
        }
    }
}
