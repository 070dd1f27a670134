//! What is written as JSON for a `google.protobuf.Struct`.

use prost_reflect::MessageDescriptor;

use crate::{
    expression::{self, Ir, Reads, RecordField, Scope},
    finding::Findings,
    known,
    value_type::Type,
    yaml::{Node, NodeValue, Spanned},
};

/// Whether a mapping is an object of JSON: it is for a `Struct`, and not in its declared form.
pub(super) fn is_json(entries: &[(Spanned<String>, Node)], message: &MessageDescriptor) -> bool {
    let declared = |key: &str| message.get_field_by_name(key).is_some();
    known::is_object(message) && !entries.iter().any(|(key, _)| declared(&key.value))
}

/// What is written as JSON, with expressions in place of its values.
pub(super) fn json_like(
    node: &Node,
    scope: &Scope<'_>,
    findings: &mut Findings,
) -> Option<(Ir, Type, Reads)> {
    match &node.value {
        NodeValue::Null => None,
        NodeValue::Scalar(text) => {
            let text = Spanned { value: text.clone(), span: node.span };
            let made = expression::compile(&text, scope, findings)?;
            Some((made.root, made.of, made.reads))
        }
        NodeValue::List(items) => {
            let (mut values, mut of, mut reads) = (Vec::new(), Type::Never, Reads::default());
            for item in items {
                let (value, item_of, item_reads) = json_like(item, scope, findings)?;
                let Some(unified) = of.unified(&item_of) else {
                    let message = format!("a list of {of} and {item_of}");
                    findings.error("wrong-type", item.span, message, "make its values of one type");
                    return None;
                };
                of = unified;
                reads = reads.union(item_reads);
                values.push(value);
            }
            Some((Ir::List(values), Type::List(Box::new(of)), reads))
        }
        NodeValue::Map(entries) => {
            let (mut fields, mut types, mut reads) = (Vec::new(), Vec::new(), Reads::default());
            for (key, node) in entries {
                let (value, of, inner) = json_like(node, scope, findings)?;
                let name = key.value.clone();
                types.push((name.clone(), of));
                fields.push(RecordField { name, value, copies_absence: true });
                reads = reads.union(inner);
            }
            Some((Ir::Record(fields), Type::Record(types), reads))
        }
    }
}
