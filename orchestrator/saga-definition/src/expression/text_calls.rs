//! Types of the functions of texts and lists.

use cel::common::ast::{Expr, LiteralValue};
use prost_reflect::Value;
use regex::RegexBuilder;

use super::{
    Function, Ir,
    calls::no_overload,
    check::{Checker, Flaw, Typed, flaw},
    re2,
};
use crate::value_type::Type;

/// Bytes that a pattern may take when it is made ready.
const PATTERN_BYTES_MAX: usize = 256 * 1024;

impl Checker<'_> {
    /// `'%s: %d'.format([text, number])`: its values may be of several types, and the pattern
    /// says which.
    pub(super) fn check_format(&mut self, pattern: &Expr, values: &Expr) -> Result<Typed, Flaw> {
        let remedy = "write '%s: %d'.format([text, number]): %s for texts, numbers and bools, %d for \
                      whole numbers";
        let (Expr::Literal(LiteralValue::String(pattern)), Expr::List(list)) = (pattern, values)
        else {
            let message = "format takes a pattern in quotes and a list of values";
            return Err(flaw("expression-type", message, remedy));
        };
        let pattern = pattern.inner();
        let mut wanted = Vec::new();
        let mut rest = pattern.chars();
        while let Some(c) = rest.next() {
            match (c, (c == '%').then(|| rest.next()).flatten()) {
                ('%', Some('%')) => {}
                ('%', Some(clause @ ('s' | 'd'))) => wanted.push(clause),
                ('%', other) => {
                    let shown = other.map_or(String::new(), |it| it.to_string());
                    let message = format!("there is no clause `%{shown}`");
                    return Err(flaw("expression-type", message, remedy));
                }
                _ => {}
            }
        }
        if wanted.len() != list.elements.len() {
            let (clauses, values) = (wanted.len(), list.elements.len());
            let message = format!("{values} values are given to {clauses} clauses");
            return Err(flaw("expression-type", message, remedy));
        }
        let mut values = Vec::with_capacity(wanted.len());
        for (clause, element) in wanted.into_iter().zip(&list.elements) {
            let (value, of) = self.check(&element.expr)?;
            let fits = match of {
                Type::Int | Type::UInt => true,
                Type::Bool | Type::Double | Type::String => clause == 's',
                _ => false,
            };
            if !fits {
                let message = format!("a {of} is none of `%{clause}`");
                return Err(flaw("expression-type", message, remedy));
            }
            values.push(value);
        }
        let pattern = Ir::Literal(Value::String(pattern.to_owned()));
        Ok((Ir::Call(Function::Format, vec![pattern, Ir::List(values)]), Type::String))
    }
}

/// The functions of texts and lists.
pub(super) fn check_text_function(
    name: &str,
    receiver: bool,
    types: &[&Type],
) -> Option<(Function, Type)> {
    use Type::{Double, Int, List, String, UInt};

    let texts = |of: &Type| matches!(of, String | Type::Never);
    Some(match (name, receiver, types) {
        ("lowerAscii", true, [String]) => (Function::LowerAscii, String),
        ("upperAscii", true, [String]) => (Function::UpperAscii, String),
        ("trim", true, [String]) => (Function::Trim, String),
        ("replace", true, [String, String, String]) => (Function::Replace, String),
        ("substring", true, [String, Int] | [String, Int, Int]) => (Function::Substring, String),
        ("join", true, [List(of)] | [List(of), String]) if texts(of) => (Function::Join, String),
        ("split", true, [String, String]) => (Function::Split, List(Box::new(String))),
        ("flatten", true, [List(of)]) => match &**of {
            List(of) => (Function::Flatten, List(of.clone())),
            _ => return None,
        },
        ("sum", true, [List(of)]) if matches!(**of, Int | UInt | Double) => {
            (Function::Sum, (**of).clone())
        }
        _ => return None,
    })
}

/// A pattern is known when the definition is checked: it is made ready once.
pub(super) fn check_matches(args: Vec<Typed>, level: u32) -> Result<Typed, Flaw> {
    let types: Vec<&Type> = args.iter().map(|(_, of)| of).collect();
    let [Type::String, Type::String] = types.as_slice() else {
        return Err(no_overload("matches", &types));
    };
    let mut args = args.into_iter().map(|(ir, _)| ir);
    let (Some(text), Some(Ir::Literal(Value::String(pattern)))) = (args.next(), args.next()) else {
        let remedy = "write the pattern in quotes";
        return Err(flaw("expression-type", "a pattern must be constant", remedy));
    };
    // Up to level 5 it was the pattern of the library that reads it.
    let read = if 6 <= level { re2::translated(&pattern) } else { pattern.clone() };
    let made = RegexBuilder::new(&read).size_limit(PATTERN_BYTES_MAX).build();
    let made = made.map_err(|error| {
        let message = format!("`{pattern}` is no pattern: {error}");
        flaw("expression-type", message, "write it in the syntax of RE2")
    })?;
    Ok((Ir::Matches(Box::new(text), Box::new(made)), Type::Bool))
}
