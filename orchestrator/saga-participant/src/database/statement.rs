//! Finds statements that would end a transaction or play with its marks.
//!
//! An operation's changes and its row in the operation log are one transaction, which the
//! kit ends and nobody else. What gets past this page, such as a conflict clause that rolls
//! back, is found where the operation is recorded.

use super::Sql;

/// What differs between the two databases in how a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Comments within comments, dollar quotes, backslashes in `e'..'`.
    Postgres,
    /// Names in backticks and brackets.
    Sqlite,
}

const CONTROL: [&str; 9] =
    ["begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "prepare"];

/// Refuses a text of which one statement controls the transaction.
pub(super) fn refuse_control(sql: Sql, dialect: Dialect) -> Result<(), sqlx::Error> {
    let text = match dialect {
        Dialect::Postgres => sql.postgres,
        Dialect::Sqlite => sql.sqlite,
    };
    match control(text, dialect) {
        None => Ok(()),
        Some(word) => {
            tracing::error!(statement = word, "an operation may not control its transaction");
            let message = format!("{word}: the transaction is begun and ended by the kit");
            Err(sqlx::Error::InvalidArgument(message))
        }
    }
}

/// The first word of the first statement in `text` that controls a transaction.
fn control(text: &str, dialect: Dialect) -> Option<&str> {
    let mut rest = text;
    let mut first = true;
    // In the statement `create`, of a trigger or function that holds statements itself.
    let (mut creates, mut body) = (false, false);
    while let Some(token) = next_token(&mut rest, dialect) {
        let is = |word: &str| token.eq_ignore_ascii_case(word);
        match (first, token) {
            (_, ";") => first = true,
            (true, _) if body && is("end") => (first, body) = (false, false),
            (true, _) => {
                if CONTROL.iter().any(|word| is(word)) {
                    return Some(token);
                }
                first = false;
                creates = !body && is("create");
            }
            (false, _) => body |= creates && is("begin"),
        }
        if first && !body {
            creates = false;
        }
    }
    None
}

/// The next word, quoted text or other character; blanks and comments are passed over.
fn next_token<'a>(rest: &mut &'a str, dialect: Dialect) -> Option<&'a str> {
    loop {
        // SQLite reads a byte order mark as a blank.
        let blank = |it: char| it.is_ascii_whitespace() || it == '\u{b}' || it == '\u{feff}';
        *rest = rest.trim_start_matches(blank);
        if let Some(comment) = rest.strip_prefix("--") {
            *rest = comment.find('\n').map_or("", |end| &comment[end..]);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            *rest = behind_comment(comment, dialect);
        } else {
            break;
        }
    }
    let length = token_length(rest, dialect)?;
    let (token, behind) = rest.split_at(length);
    *rest = behind;
    Some(token)
}

fn behind_comment(comment: &str, dialect: Dialect) -> &str {
    let (mut depth, mut at) = (1, 0);
    while 0 < depth {
        let Some(found) = comment[at..].find(['*', '/']) else { return "" };
        at += found;
        match &comment.as_bytes()[at..] {
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            [b'/', b'*', ..] if dialect == Dialect::Postgres => (depth, at) = (depth + 1, at + 2),
            _ => at += 1,
        }
    }
    &comment[at..]
}

fn token_length(text: &str, dialect: Dialect) -> Option<usize> {
    let first = text.chars().next()?;
    let quoted = |from: usize, close: char| {
        text[from..].find(close).map_or(text.len(), |end| from + end + close.len_utf8())
    };
    Some(match first {
        // A doubled quote ends one text and begins the next; as tokens they are as good.
        '\'' | '"' => quoted(1, first),
        '`' if dialect == Dialect::Sqlite => quoted(1, '`'),
        '[' if dialect == Dialect::Sqlite => quoted(1, ']'),
        '$' if dialect == Dialect::Postgres => dollar_length(text),
        'e' | 'E' if dialect == Dialect::Postgres && text[1..].starts_with('\'') => {
            escaped_length(text)
        }
        _ if is_word(first) => text.find(|it| !is_word(it)).unwrap_or(text.len()),
        _ => first.len_utf8(),
    })
}

fn is_word(it: char) -> bool {
    it.is_ascii_alphanumeric() || it == '_' || it == '$' || (!it.is_ascii() && it != '\u{feff}')
}

/// `$tag$ .. $tag$`, or else the number of an argument.
fn dollar_length(text: &str) -> usize {
    let tag = text[1..].find('$').map(|end| &text[..end + 2]);
    match tag.filter(|tag| tag[1..tag.len() - 1].chars().all(|it| is_word(it) && it != '$')) {
        Some(tag) if !tag[1..].starts_with(|it: char| it.is_ascii_digit()) => {
            text[tag.len()..].find(tag).map_or(text.len(), |end| tag.len() + end + tag.len())
        }
        _ => 1 + text[1..].find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len() - 1),
    }
}

/// `e'..'`, in which a backslash takes the next character with it.
fn escaped_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(2);
    while let Some((at, it)) = characters.next() {
        match it {
            '\\' => drop(characters.next()),
            '\'' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{
        Dialect::{Postgres, Sqlite},
        *,
    };

    #[test]
    fn control_is_found_however_it_is_written() {
        for dialect in [Postgres, Sqlite] {
            for text in [
                "commit",
                "COMMIT;",
                " \n\t-- a comment\n RollBack to savepoint effect",
                "/* x */ -- y\n/**/end",
                "select 1; select ';'; commit",
                "insert into t values ('it''s; fine'); savepoint s",
                "release effect",
                ";;begin immediate",
                "\u{feff}commit",
                "select \"a;b\" from t;abort",
                "create trigger t after update on a begin update b set c = 1; end; commit",
                "create table end_of_day (commit_at bigint); start transaction",
                "prepare transaction 'x'",
            ] {
                assert!(control(text, dialect).is_some(), "{dialect:?}: {text}");
            }
        }
        assert_eq!(control("/* /* */ commit /* */ */", Sqlite), Some("commit"));
        assert_eq!(control("select $$;$$; commit", Postgres), Some("commit"));
        assert_eq!(control("select e'\\';'; commit", Postgres), Some("commit"));
        assert_eq!(control("select '\\'; commit", Postgres), Some("commit"));
        assert_eq!(control("select $1; commit", Postgres), Some("commit"));
        assert_eq!(control("select a$b$c; commit; select a$b$c", Postgres), Some("commit"));
        assert_eq!(control("select [;], `;`; commit", Sqlite), Some("commit"));
    }

    #[test]
    fn what_only_looks_like_control_is_let_through() {
        for dialect in [Postgres, Sqlite] {
            for text in [
                "",
                "select 'x; commit'",
                "select 1 -- ; commit",
                "select 1 /* ; commit */",
                "update t set commit_at = case when a then 1 else 2 end",
                "create trigger t after update on a begin
                    update b set c = case when d then 1 end; delete from e; end; select 1",
                "select \"; rollback\" from t",
                "commitment",
            ] {
                assert_eq!(control(text, dialect), None, "{dialect:?}: {text}");
            }
        }
        assert_eq!(control("/* /* */ ; commit */ select 1", Postgres), None);
        assert_eq!(control("do $x$ begin; commit; end $x$", Postgres), None);
        assert_eq!(control("select e'\\'; commit'", Postgres), None);
        assert_eq!(control("select [; commit], `; commit`", Sqlite), None);
    }
}
