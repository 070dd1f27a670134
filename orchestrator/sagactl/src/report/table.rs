//! Tables without borders that fit the terminal. The first cell of a row begins with a mark.
//! What does not fit is clipped in its cell, and stands once, in full, below the table.

use comfy_table::{ContentArrangement, Table, presets};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::look::{Look, Mark};

/// One row: its mark, and its cells.
pub(crate) type Row = (Mark, Vec<String>);

/// Columns between two cells.
const GAP: usize = 2;
/// Columns before the first cell: the mark and a blank.
const INDENT: usize = 2;
/// The narrowest that a column is made.
const CELL_MIN: usize = 8;
/// Clipped texts that are shown in full below a table.
const NOTES_MAX: usize = 10;

/// A table, with a line end after each row. The mark stands before the first cell, so that
/// painting it cannot shift a column.
pub(crate) fn table(header: &[&str], rows: &[Row], look: &Look) -> String {
    let widths = fitting(natural(header, rows), look.width);
    let cells = |cells: &[String]| -> Vec<String> {
        cells.iter().zip(&widths).map(|(cell, width)| clipped(cell, *width, look)).collect()
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for (_, row) in rows {
        table.add_row(cells(row));
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
    text.push_str(&notes(header, rows, &widths, look));
    text
}

/// What each column would like to have.
fn natural(header: &[&str], rows: &[Row]) -> Vec<usize> {
    let column = |number: usize| {
        let cells = rows.iter().filter_map(|(_, cells)| cells.get(number));
        let widest = cells.map(|cell| cell.width()).max().unwrap_or(0);
        widest.max(header[number].width())
    };
    (0..header.len()).map(column).collect()
}

/// The widths that fit into `width`: the widest columns give way, as far as each stays
/// readable.
fn fitting(mut widths: Vec<usize>, width: Option<usize>) -> Vec<usize> {
    let Some(width) = width else { return widths };
    let gaps = INDENT + GAP * widths.len().saturating_sub(1);
    loop {
        let taken = gaps + widths.iter().sum::<usize>();
        let widest = widths.iter_mut().max_by_key(|it| **it);
        match widest {
            Some(widest) if width < taken && CELL_MIN < *widest => {
                *widest = widest.saturating_sub(1);
            }
            _ => return widths,
        }
    }
}

/// The texts that were clipped, each once, under the name of their column.
fn notes(header: &[&str], rows: &[Row], widths: &[usize], look: &Look) -> String {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (_, cells) in rows {
        for ((title, cell), width) in header.iter().zip(cells).zip(widths) {
            let note = (*title, cell.as_str());
            if *width < cell.width() && !seen.contains(&note) {
                seen.push(note);
            }
        }
    }
    if seen.is_empty() {
        return String::new();
    }
    let mut text = "\n".to_owned();
    let indent = INDENT + GAP + seen.iter().map(|(title, _)| title.width()).max().unwrap_or(0);
    let width = look.room(indent);
    for (title, cell) in seen.iter().take(NOTES_MAX) {
        let padding = " ".repeat(indent - INDENT - title.width());
        let cell = wrapped(cell, width, indent);
        text.push_str(&format!("  {}{padding}{cell}\n", look.heading(title)));
    }
    if let Some(more) = seen.len().checked_sub(NOTES_MAX).filter(|it| 0 < *it) {
        text.push_str(&format!("  and {more} more in full: add -o json\n"));
    }
    text
}

/// Text broken between words into lines of at most `width` columns, and a word only where it
/// is longer than a line; lines after the first are indented.
pub(crate) fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let mut lines = String::new();
    let mut filled = 0;
    for word in text.split_whitespace().flat_map(|word| pieces(word, width)) {
        let length = word.width();
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

/// The word, in parts that fit a line.
fn pieces(mut word: &str, width: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    while width < word.width() {
        // A character that is wider than the line still has to stand somewhere.
        let first = word.chars().next().map_or(0, char::len_utf8);
        let (piece, rest) = word.split_at(end_of(word, width).max(first));
        pieces.push(piece);
        word = rest;
    }
    if !word.is_empty() {
        pieces.push(word);
    }
    pieces
}

/// The beginning of a text that is wider than `width` columns, which it fills.
fn clipped(text: &str, width: usize, look: &Look) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let more = look.more();
    let end = end_of(text, width.saturating_sub(more.width()));
    format!("{}{more}", text[..end].trim_end())
}

/// Where the part of `text` ends that fits into `width` columns, in bytes.
fn end_of(text: &str, width: usize) -> usize {
    let mut filled = 0;
    for (at, it) in text.char_indices() {
        filled += it.width().unwrap_or(0);
        if width < filled {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::report::example::look;

    fn narrow(width: usize) -> Look {
        Look { width: Some(width), ..look() }
    }

    fn rows() -> Vec<Row> {
        let long = "connection refused by the payment service, which was not there";
        let row =
            |key: &str| (Mark::Moving, vec![key.to_owned(), long.to_owned(), "3s".to_owned()]);
        vec![row("order/1"), row("order/2")]
    }

    #[test]
    fn a_table_fits_the_terminal_and_says_once_in_full_what_it_clipped() {
        assert_snapshot!(table(&["SAGA", "WHY", "AGE"], &rows(), &narrow(40)), @"
          SAGA     WHY                       AGE
        ▸ order/1  connection refused by t…  3s
        ▸ order/2  connection refused by t…  3s

          WHY  connection refused by the payment
               service, which was not there
        ");
        let wide = table(&["SAGA", "WHY", "AGE"], &rows(), &look());
        assert_eq!(wide.lines().count(), 3, "nobody is narrow: {wide}");
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_whatever_stands_in_it() {
        let texts = ["x".repeat(500), "카트".repeat(90), "why ".repeat(120), String::new()];
        let row =
            |text: &String| (Mark::Good, vec![text.clone(), "applied".to_owned(), text.clone()]);
        let rows: Vec<Row> = texts.iter().map(row).collect();
        for width in [40, 80, 132] {
            let text = table(&["A", "B", "C"], &rows, &narrow(width));
            let longest = text.lines().map(UnicodeWidthStr::width).max();
            assert!(longest <= Some(width), "{longest:?} of {width}\n{text}");
        }
    }

    #[test]
    fn a_wrapped_text_keeps_every_letter() {
        for text in ["x".repeat(30), "one two three".to_owned(), "카트카트카트".to_owned()] {
            let lines = wrapped(&text, 7, 2);
            let letters =
                |it: &str| it.chars().filter(|it| !it.is_whitespace()).collect::<String>();
            assert_eq!(letters(&lines), letters(&text));
            assert!(lines.lines().all(|line| line.trim_start().width() <= 7), "{lines}");
        }
        assert_eq!(wrapped("카", 1, 0), "카");
    }
}
