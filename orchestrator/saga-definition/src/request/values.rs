//! Values of fields: what fits into which, and what is said where it does not.

use prost_reflect::{FieldDescriptor, Kind, Value};

use super::Template;
use crate::{
    expression::{self, Expression, Ir, Reads},
    finding::{Findings, Span},
    value_type::{Misfit, Type},
    yaml::{Node, NodeValue, Spanned},
};

/// `NAME`, `'NAME'` or `"NAME"` on an enum field: the number of that value.
pub(super) fn enum_literal(text: &str, kind: &Kind, is_list: bool) -> Option<i32> {
    let Kind::Enum(of) = kind else { return None };
    let name = text.trim_matches(['\'', '"']);
    (!is_list).then(|| of.get_value_by_name(name)).flatten().map(|it| it.number())
}

/// The expression with numbers in place of the names of enum values.
pub(super) fn named(mut made: Expression, wanted: &Type) -> Expression {
    made.of = expression::by_name(&mut made.root, made.of, wanted);
    made
}

/// Reports an expression of which a part never has a value that fits: no saga that gets there
/// could send it.
pub(super) fn check_constant(
    made: &Expression,
    text: &Spanned<String>,
    field: &FieldDescriptor,
    findings: &mut Findings,
) {
    let Some(error) = expression::never_fits(&made.root, field) else { return };
    let message = format!("`{}` never fits field `{}`: {error}", text.value, field.name());
    findings.error("wrong-type", text.span, message, "write a value that the field can hold");
}

pub(super) fn literal(number: i32, kind: &Kind, span: Span) -> Template {
    let of = match kind {
        Kind::Enum(of) => Type::Enum(of.clone()),
        _ => Type::Int,
    };
    let root = Ir::Literal(Value::EnumNumber(number));
    Template::Expression(Expression { root, of, reads: Reads::default(), span })
}

/// Reports a value that does not fit. It is a rule: a value that fits none the less where a
/// stored definition is run is written, and one that does not is an error of that saga.
pub(super) fn fits(
    outcome: Result<(), Misfit>,
    text: &Spanned<String>,
    field: &FieldDescriptor,
    findings: &mut Findings,
) {
    let Err(Misfit { message, mut remedy }) = outcome else { return };
    if let Kind::Enum(of) = field.kind() {
        let names: Vec<String> = of.values().map(|it| it.name().to_owned()).collect();
        remedy = format!("write one of {}", names.join(", "));
    }
    let message = format!("`{}` does not fit field `{}`: {message}", text.value, field.name());
    findings.error("wrong-type", text.span, message, remedy);
}

pub(super) fn misplaced(node: &Node, field: &FieldDescriptor, findings: &mut Findings) {
    let of = Type::of_field(field);
    let is = match node.value {
        NodeValue::Null => "nothing",
        NodeValue::Scalar(_) => "an expression",
        NodeValue::List(_) => "a list",
        NodeValue::Map(_) => "a mapping",
    };
    let message = format!("field `{}` is a {of}, and {is} is given", field.name());
    findings.error("wrong-type", node.span, message, format!("give it an expression of type {of}"));
}
