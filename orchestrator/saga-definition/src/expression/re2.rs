//! Patterns in the syntax of RE2, for a library that has more: classes of Perl are those of ASCII
//! there, and a class has no other classes in it to be joined or cut with.

use std::{iter::Peekable, str::Chars};

/// The same pattern, as the library reads it.
pub(super) fn translated(pattern: &str) -> String {
    let mut made = String::with_capacity(pattern.len());
    let mut rest = pattern.chars().peekable();
    while let Some(it) = rest.next() {
        match it {
            '\\' => escape(&mut rest, false, &mut made),
            '[' => class(&mut rest, &mut made),
            _ => made.push(it),
        }
    }
    made
}

/// A class of Perl, written out: by itself, or as a part of another class.
fn perl(name: char, is_part: bool) -> Option<String> {
    let class = match name.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => r"\t\n\f\r ",
        _ => return None,
    };
    Some(match (name.is_ascii_uppercase(), is_part) {
        (true, _) => format!("[^{class}]"),
        (false, true) => class.to_owned(),
        (false, false) => format!("[{class}]"),
    })
}

/// What is behind a `\`.
fn escape(rest: &mut Peekable<Chars<'_>>, is_part: bool, made: &mut String) {
    match rest.next() {
        Some('Q') if !is_part => quoted(rest, made),
        Some('b') if !is_part => made.push_str(r"(?-u:\b)"),
        Some(name) => match perl(name, is_part) {
            Some(class) => made.push_str(&class),
            None => made.extend(['\\', name]),
        },
        None => made.push('\\'),
    }
}

/// What comes up to `\E` stands for itself.
fn quoted(rest: &mut Peekable<Chars<'_>>, made: &mut String) {
    while let Some(it) = rest.next() {
        if it == '\\' && rest.peek() == Some(&'E') {
            rest.next();
            return;
        }
        made.push_str(&regex_syntax::escape(it.encode_utf8(&mut [0; 4])));
    }
}

/// A class, from behind its `[`.
fn class(rest: &mut Peekable<Chars<'_>>, made: &mut String) {
    made.push('[');
    made.extend(rest.next_if_eq(&'^'));
    // The first one ends nothing.
    if rest.next_if_eq(&']').is_some() {
        made.push_str(r"\]");
    }
    while let Some(it) = rest.next() {
        match it {
            ']' => return made.push(']'),
            '[' if rest.peek() == Some(&':') => {
                made.push('[');
                while let Some(it) = rest.next() {
                    made.push(it);
                    if it == ':' && rest.peek() == Some(&']') {
                        made.extend(rest.next());
                        break;
                    }
                }
            }
            '[' | '&' | '~' => made.extend(['\\', it]),
            '\\' => escape(rest, true, made),
            _ => made.push(it),
        }
    }
}
