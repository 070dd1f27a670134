//! Plain paths, `input.order.lines`: what most expressions are. They are read without the parser,
//! which takes a thousand times as long.

use cel::common::ast::{Expr, IdedExpr, SelectExpr};

use super::EXPRESSION_BYTES_MAX;

/// What a path may begin with. Variables of loops stand within larger expressions.
const ROOTS: [&str; 6] = ["input", "steps", "saga", "failure", "signal", "reply"];

/// The expression that a plain path is, as the parser would read it. `None`: it is none.
pub(super) fn path(text: &str) -> Option<Expr> {
    // What is larger is refused, and never nested so deep.
    if EXPRESSION_BYTES_MAX < text.len() {
        return None;
    }
    let mut names = text.trim().split('.');
    let root = names.next().filter(|it| ROOTS.contains(it))?;
    let mut made = Expr::Ident(root.to_owned());
    for name in names {
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins || !name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_') {
            return None;
        }
        let operand = Box::new(IdedExpr { id: 0, expr: made });
        made = Expr::Select(SelectExpr { operand, field: name.to_owned(), test: false });
    }
    Some(made)
}
