//! From text to the syntax tree, as far as a recursive parser can be trusted with it.

use cel::{common::ast::IdedExpr, parser::Parser};

use super::{
    EXPRESSION_BYTES_MAX,
    check::{Flaw, flaw},
    reserved,
};

/// Brackets and prefix operators inside one another at most: the parser is recursive.
const NESTING_MAX: usize = 24;

/// What an expression says, before any name in it is known: for others who read conditions in
/// this syntax.
///
/// # Errors
///
/// What is wrong, and the remedy: it is too large, or no expression.
pub fn syntax_of(text: &str) -> Result<IdedExpr, (String, String)> {
    parsed(text).map_err(|flaw| (flaw.message, flaw.remedy))
}

pub(super) fn parsed(text: &str) -> Result<IdedExpr, Flaw> {
    if EXPRESSION_BYTES_MAX < text.len() {
        let message = format!("{} bytes; at most {EXPRESSION_BYTES_MAX} are allowed", text.len());
        return Err(flaw("expression-too-large", message, "compute it in the participant"));
    }
    if NESTING_MAX < nesting(text) {
        let message = format!("nested more than {NESTING_MAX} deep");
        return Err(flaw("expression-too-large", message, "compute it in the participant"));
    }
    Parser::new().parse(&reserved::hidden(text)).map_err(|errors| {
        let first = errors.errors.first();
        let message = first.map_or("no expression", |it| it.msg.as_str());
        // What the parser's grammar would rather have seen helps nobody.
        let message = message.split(" expecting ").next().unwrap_or(message);
        let remedy = "the syntax is that of CEL; text stands in quotes: \"'text'\"";
        flaw("expression-syntax", format!("not an expression: {message}"), remedy)
    })
}

/// How deep a recursive parser would go at most: brackets, runs of prefix operators, and
/// conditionals. Counts inside of text too: a bound, not a measure.
fn nesting(text: &str) -> usize {
    let (mut open, mut deepest, mut run, mut longest, mut choices) = (0_usize, 0, 0, 0, 0);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            '?' => choices += 1,
            _ => {}
        }
        run = match c {
            '!' | '-' => run + 1,
            ' ' => run,
            _ => 0,
        };
        deepest = deepest.max(open);
        longest = longest.max(run);
    }
    deepest.max(longest).max(choices)
}
