//! Tables without borders. The first cell of a row begins with a mark.

use comfy_table::{ContentArrangement, Table, presets};

use crate::look::{Look, Mark};

/// One row: its mark, and its cells.
pub(crate) type Row = (Mark, Vec<String>);

/// A table, with a line end after each row. The mark stands before the first cell, so that
/// painting it cannot shift a column.
pub(crate) fn table(header: &[&str], rows: &[Row], look: &Look) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for (_, cells) in rows {
        table.add_row(cells);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for (number, line) in table.lines().enumerate() {
        let line = line.trim_end();
        match number.checked_sub(1).and_then(|it| rows.get(it)) {
            None => text.push_str(&format!("  {}", look.heading(line))),
            Some((mark, _)) => {
                let sign = look.paint(*mark, look.sign(*mark));
                text.push_str(&format!("{sign} {line}"));
            }
        }
        text.push('\n');
    }
    text
}

/// Text broken between words into lines of at most `width` characters; those after the
/// first are indented.
pub(crate) fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let mut lines = String::new();
    let mut filled = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if filled == 0 {
            filled = length;
        } else if filled + 1 + length <= width {
            lines.push(' ');
            filled += 1 + length;
        } else {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            filled = length;
        }
        lines.push_str(word);
    }
    lines
}

/// The beginning of a text that is longer than `width` characters.
pub(crate) fn clipped(text: &str, width: usize, look: &Look) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut clipped: String = text.chars().take(width).collect();
    clipped.push_str(look.more());
    clipped
}
