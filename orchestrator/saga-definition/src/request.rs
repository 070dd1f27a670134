//! Requests: a mapping from fields to expressions, checked against the request type. What is
//! expected of a reply is such a mapping too.

mod echo;

use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

pub(crate) use echo::Difference;

use crate::{
    expression::{self, EvalError, Expression, Frame, Ir, Reads, Scope, coerce},
    file::suggest,
    finding::{Findings, Span},
    value_type::{Misfit, Type},
    yaml::{Node, NodeValue, Spanned},
};

/// A message that is made from expressions.
#[derive(Debug)]
pub(crate) struct MessageTemplate {
    message: MessageDescriptor,
    fields: Vec<(FieldDescriptor, Template)>,
}

impl MessageTemplate {
    /// The type of the message.
    pub(crate) fn message(&self) -> &MessageDescriptor {
        &self.message
    }
}

/// One value of a message.
#[derive(Debug)]
enum Template {
    /// `field: expression`.
    Expression(Expression),
    /// `field: { ... }` on a message field.
    Message(MessageTemplate),
    /// `field: [ ... ]` on a repeated field.
    List(Vec<Template>),
    /// `field: { ... }` on a map field.
    Map(Vec<(MapKey, Template)>),
}

/// Where a rendering went wrong.
#[derive(Debug)]
pub(crate) struct FieldError {
    /// Path of the field.
    pub(crate) field: String,
    /// Line of the expression.
    pub(crate) line: u32,
    /// What happened.
    pub(crate) error: EvalError,
}

/// Compiles what stands under `what`: a request, or what is expected of a reply. Returns
/// `None` where it has errors.
pub(crate) fn compile(
    what: &str,
    request: Option<&Node>,
    message: &MessageDescriptor,
    scope: &Scope<'_>,
    findings: &mut Findings,
) -> Option<MessageTemplate> {
    let Some(request) = request else {
        return Some(MessageTemplate { message: message.clone(), fields: Vec::new() });
    };
    let NodeValue::Map(entries) = &request.value else {
        let text = format!("{what}: a mapping from fields to expressions is expected here");
        let remedy = format!("write `{what}: {{ field: expression }}`");
        findings.error("shape", request.span, text, remedy);
        return None;
    };
    compile_message(entries, message, scope, findings)
}

fn compile_message(
    entries: &[(Spanned<String>, Node)],
    message: &MessageDescriptor,
    scope: &Scope<'_>,
    findings: &mut Findings,
) -> Option<MessageTemplate> {
    let mut fields: Vec<(FieldDescriptor, Template)> = Vec::with_capacity(entries.len());
    let mut complete = true;
    for (key, node) in entries {
        let Some(field) = message.get_field_by_name(&key.value) else {
            let known: Vec<String> = message.fields().map(|it| it.name().to_owned()).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let text = format!("{} has no field `{}`", message.full_name(), key.value);
            findings.error("unknown-field", key.span, text, suggest(&key.value, &known));
            complete = false;
            continue;
        };
        if let Some(oneof) = field.containing_oneof()
            && let Some((other, _)) =
                fields.iter().find(|(it, _)| it.containing_oneof().as_ref() == Some(&oneof))
        {
            let text = format!(
                "`{}` and `{}` exclude one another: both are in oneof `{}`",
                other.name(),
                field.name(),
                oneof.name()
            );
            findings.error("wrong-type", key.span, text, "keep one of them");
        }
        match compile_field(node, &field, scope, findings) {
            Some(template) => fields.push((field, template)),
            None => complete = false,
        }
    }
    complete.then(|| MessageTemplate { message: message.clone(), fields })
}

fn compile_field(
    node: &Node,
    field: &FieldDescriptor,
    scope: &Scope<'_>,
    findings: &mut Findings,
) -> Option<Template> {
    match (&node.value, field.kind()) {
        (NodeValue::Map(entries), Kind::Message(entry)) if field.is_map() => {
            compile_map(entries, &entry, scope, findings)
        }
        (NodeValue::List(items), _) if field.is_list() => {
            let items: Vec<Option<Template>> =
                items.iter().map(|it| compile_one(it, field, scope, findings)).collect();
            items.into_iter().collect::<Option<Vec<_>>>().map(Template::List)
        }
        (NodeValue::Scalar(text), kind) => {
            if let Some(number) = enum_literal(text, &kind, field.is_list()) {
                return Some(literal(number, &kind, node.span));
            }
            let text = Spanned { value: text.clone(), span: node.span };
            let made = named(expression::compile(&text, scope, findings)?, &kind);
            fits(made.of.fits(field), &text, field, findings);
            Some(Template::Expression(made))
        }
        _ if field.is_list() || field.is_map() => {
            misplaced(node, field, findings);
            None
        }
        _ => compile_one(node, field, scope, findings),
    }
}

/// One element of a repeated field, or the value of a single one.
fn compile_one(
    node: &Node,
    field: &FieldDescriptor,
    scope: &Scope<'_>,
    findings: &mut Findings,
) -> Option<Template> {
    match (&node.value, field.kind()) {
        (NodeValue::Map(entries), Kind::Message(message)) => {
            compile_message(entries, &message, scope, findings).map(Template::Message)
        }
        (NodeValue::Scalar(text), kind) => {
            if let Some(number) = enum_literal(text, &kind, false) {
                return Some(literal(number, &kind, node.span));
            }
            let text = Spanned { value: text.clone(), span: node.span };
            let made = named(expression::compile(&text, scope, findings)?, &kind);
            fits(Type::List(Box::new(made.of.clone())).fits(field), &text, field, findings);
            Some(Template::Expression(made))
        }
        _ => {
            misplaced(node, field, findings);
            None
        }
    }
}

fn compile_map(
    entries: &[(Spanned<String>, Node)],
    entry: &MessageDescriptor,
    scope: &Scope<'_>,
    findings: &mut Findings,
) -> Option<Template> {
    let value_field = entry.map_entry_value_field();
    let mut values = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        let map_key = read_key(&key.value, &entry.map_entry_key_field().kind());
        if map_key.is_none() {
            let text = format!("`{}` is not a key of this map", key.value);
            findings.error("wrong-type", key.span, text, "write a key of the map's key type");
        }
        let value = compile_field(node, &value_field, scope, findings);
        values.push(map_key.zip(value));
    }
    values.into_iter().collect::<Option<Vec<_>>>().map(Template::Map)
}

fn read_key(text: &str, kind: &Kind) -> Option<MapKey> {
    Some(match kind {
        Kind::String => MapKey::String(text.to_owned()),
        Kind::Bool => MapKey::Bool(text.parse().ok()?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => MapKey::I32(text.parse().ok()?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(text.parse().ok()?),
        Kind::Uint32 | Kind::Fixed32 => MapKey::U32(text.parse().ok()?),
        Kind::Uint64 | Kind::Fixed64 => MapKey::U64(text.parse().ok()?),
        _ => return None,
    })
}

/// `NAME`, `'NAME'` or `"NAME"` on an enum field: the number of that value.
fn enum_literal(text: &str, kind: &Kind, is_list: bool) -> Option<i32> {
    let Kind::Enum(of) = kind else { return None };
    let name = text.trim_matches(['\'', '"']);
    (!is_list).then(|| of.get_value_by_name(name)).flatten().map(|it| it.number())
}

/// The expression with numbers in place of the names of enum values: `a ? 'X' : 'Y'` on an
/// enum field. As it was where it chooses anything but names of that enum.
fn named(mut made: Expression, kind: &Kind) -> Expression {
    fn is_named(ir: &Ir, of: &EnumDescriptor) -> bool {
        match ir {
            Ir::Literal(Value::String(name)) => of.get_value_by_name(name).is_some(),
            Ir::Choose(_, yes, no) => is_named(yes, of) && is_named(no, of),
            _ => false,
        }
    }
    fn name(ir: &mut Ir, of: &EnumDescriptor) {
        match ir {
            Ir::Literal(value) => {
                let number = value.as_str().and_then(|name| of.get_value_by_name(name));
                *value = Value::EnumNumber(number.map_or(0, |it| it.number()));
            }
            Ir::Choose(_, yes, no) => {
                name(yes, of);
                name(no, of);
            }
            _ => {}
        }
    }
    if let Kind::Enum(of) = kind
        && is_named(&made.root, of)
    {
        name(&mut made.root, of);
        made.of = Type::Enum(of.clone());
    }
    made
}

fn literal(number: i32, kind: &Kind, span: Span) -> Template {
    let of = match kind {
        Kind::Enum(of) => Type::Enum(of.clone()),
        _ => Type::Int,
    };
    let root = Ir::Literal(Value::EnumNumber(number));
    Template::Expression(Expression { root, of, reads: Reads::default(), span })
}

/// Reports a value that does not fit. It is a rule: a value that fits none the less where a
/// stored definition is run is written, and one that does not is an error of that saga.
fn fits(
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

fn misplaced(node: &Node, field: &FieldDescriptor, findings: &mut Findings) {
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

impl MessageTemplate {
    /// What its expressions read, and where.
    pub(crate) fn reads(&self) -> Vec<(Reads, Span)> {
        let mut all = Vec::new();
        for (_, template) in &self.fields {
            template.collect_reads(&mut all);
        }
        all
    }

    /// What it copies that may be as large as where it comes from: all but numbers and texts.
    pub(crate) fn copied(&self) -> Reads {
        let copied = |sum: Reads, template: &Template| sum.union(template.copied());
        self.fields.iter().map(|(_, template)| template).fold(Reads::default(), copied)
    }

    /// The message for the data of one saga.
    pub(crate) fn render(&self, frame: &Frame<'_>) -> Result<DynamicMessage, FieldError> {
        let mut made = DynamicMessage::new(self.message.clone());
        for (field, template) in &self.fields {
            let value = template.render(field, frame).map_err(|error| FieldError {
                field: prefixed(field.name(), &error.field),
                ..error
            })?;
            let Some(value) = value else { continue };
            made.try_set_field(field, value).map_err(|_| FieldError {
                field: field.name().to_owned(),
                line: 0,
                error: EvalError::WrongType,
            })?;
        }
        Ok(made)
    }
}

fn prefixed(name: &str, inner: &str) -> String {
    if inner.is_empty() { name.to_owned() } else { format!("{name}.{inner}") }
}

impl Template {
    fn collect_reads(&self, all: &mut Vec<(Reads, Span)>) {
        match self {
            Self::Expression(it) => all.push((it.reads, it.span)),
            Self::Message(it) => all.extend(it.reads()),
            Self::List(items) => items.iter().for_each(|it| it.collect_reads(all)),
            Self::Map(entries) => entries.iter().for_each(|(_, it)| it.collect_reads(all)),
        }
    }

    fn copied(&self) -> Reads {
        let sum = |sum: Reads, it: &Self| sum.union(it.copied());
        match self {
            Self::Expression(it) => match it.of {
                Type::List(_) | Type::Map(..) | Type::Message(_) | Type::Bytes => it.reads,
                _ => Reads::default(),
            },
            Self::Message(it) => it.copied(),
            Self::List(items) => items.iter().fold(Reads::default(), sum),
            Self::Map(entries) => entries.iter().map(|(_, it)| it).fold(Reads::default(), sum),
        }
    }

    /// The value for `field`. `None`: leave it unset.
    fn render(
        &self,
        field: &FieldDescriptor,
        frame: &Frame<'_>,
    ) -> Result<Option<Value>, FieldError> {
        match self {
            Self::Expression(it) => evaluate(it, field, frame).map_err(|error| FieldError {
                field: String::new(),
                line: it.span.line,
                error,
            }),
            Self::Message(it) => Ok(Some(Value::Message(it.render(frame)?))),
            Self::List(items) => {
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    values.extend(item.render(field, frame)?);
                }
                Ok(Some(Value::List(values)))
            }
            Self::Map(entries) => {
                let Kind::Message(entry) = field.kind() else { return Ok(None) };
                let value_field = entry.map_entry_value_field();
                let mut values = std::collections::HashMap::with_capacity(entries.len());
                for (key, template) in entries {
                    if let Some(value) = template.render(&value_field, frame)? {
                        values.insert(key.clone(), value);
                    }
                }
                Ok(Some(Value::Map(values)))
            }
        }
    }
}

fn evaluate(
    it: &Expression,
    field: &FieldDescriptor,
    frame: &Frame<'_>,
) -> Result<Option<Value>, EvalError> {
    // A path to something that is not set leaves the field unset: absence is copied too.
    if let Ir::Select(of, source) = &it.root
        && source.supports_presence()
        && let Value::Message(message) = &*frame.eval(of)?
        && !message.has_field(source)
    {
        return Ok(None);
    }
    coerce(frame.eval_owned(&it.root)?, field).map(Some)
}
