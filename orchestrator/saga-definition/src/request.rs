//! Requests: a mapping from fields to expressions, checked against the request type. What is
//! expected of a reply is such a mapping too.

mod echo;
mod json;
mod required;
mod told;
mod values;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

pub(crate) use echo::Difference;
use json::{is_json, json_like};
pub(crate) use required::missing;
use values::{check_constant, enum_literal, fits, literal, misplaced, named};

use crate::{
    expression::{self, EvalError, Expression, Frame, Ir, Reads, Scope, coerce, coerce_message},
    file::suggest,
    finding::{Findings, Span},
    value_type::{Misfit, Type},
    yaml::{Node, NodeValue, Spanned},
};

/// A message that is made from expressions.
#[derive(Debug)]
pub(crate) struct MessageTemplate {
    message: MessageDescriptor,
    /// The whole message: `request: input`.
    whole: Option<Box<Expression>>,
    fields: Vec<(FieldDescriptor, Template)>,
}

impl MessageTemplate {
    /// The type of the message.
    pub(crate) fn message(&self) -> &MessageDescriptor {
        &self.message
    }

    /// Whether it says nothing of the message.
    pub(crate) fn is_empty(&self) -> bool {
        self.whole.is_none() && self.fields.is_empty()
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
    pub(crate) line: u32,
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
        return Some(MessageTemplate { message: message.clone(), whole: None, fields: Vec::new() });
    };
    if let (NodeValue::Scalar(text), "request") = (&request.value, what) {
        let text = Spanned { value: text.clone(), span: request.span };
        return compile_whole(&text, message, scope, findings);
    }
    let NodeValue::Map(entries) = &request.value else {
        let text = format!("{what}: a mapping from fields to expressions is expected here");
        let remedy = format!("write `{what}: {{ field: expression }}`");
        findings.error("shape", request.span, text, remedy);
        return None;
    };
    compile_message(entries, message, scope, findings)
}

/// A request that is one expression: the input, a reply, or a part of them.
fn compile_whole(
    text: &Spanned<String>,
    message: &MessageDescriptor,
    scope: &Scope<'_>,
    findings: &mut Findings,
) -> Option<MessageTemplate> {
    let wanted = Type::Message(message.clone());
    let made = named(expression::compile(text, scope, findings)?, &wanted);
    if let Err(Misfit { message, remedy }) = made.of.fits_one(&wanted) {
        let message = format!("`{}` is no request of this method: {message}", text.value);
        findings.error("wrong-type", text.span, message, remedy);
    }
    let whole = Some(Box::new(made));
    Some(MessageTemplate { message: message.clone(), whole, fields: Vec::new() })
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
    complete.then(|| MessageTemplate { message: message.clone(), whole: None, fields })
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
            let made = named(expression::compile(&text, scope, findings)?, &Type::of_field(field));
            fits(made.of.fits(field), &text, field, findings);
            check_constant(&made, &text, field, findings);
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
        (NodeValue::Map(entries), Kind::Message(message)) if is_json(entries, &message) => {
            let (root, of, reads) = json_like(node, scope, findings)?;
            let made = Expression { root, of, reads, span: node.span };
            let text = Spanned { value: "{..}".to_owned(), span: node.span };
            fits(made.of.fits_one(&Type::Message(message)), &text, field, findings);
            Some(Template::Expression(made))
        }
        (NodeValue::Map(entries), Kind::Message(message)) => {
            compile_message(entries, &message, scope, findings).map(Template::Message)
        }
        (NodeValue::Scalar(text), kind) => {
            if let Some(number) = enum_literal(text, &kind, false) {
                return Some(literal(number, &kind, node.span));
            }
            let text = Spanned { value: text.clone(), span: node.span };
            let made = expression::compile(&text, scope, findings)?;
            let made = match Type::of_field(field) {
                Type::List(one) => named(made, &one),
                one => named(made, &one),
            };
            fits(Type::List(Box::new(made.of.clone())).fits(field), &text, field, findings);
            check_constant(&made, &text, field, findings);
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

impl MessageTemplate {
    /// Its expressions.
    pub(crate) fn expressions(&self) -> Vec<&Expression> {
        let mut all: Vec<&Expression> = self.whole.iter().map(|it| &**it).collect();
        self.fields.iter().for_each(|(_, template)| template.collect(&mut all));
        all
    }

    /// Its expressions, each with the field that it is for. `None`: it is the whole message.
    pub(crate) fn values(&self) -> Vec<(&Expression, Option<FieldDescriptor>)> {
        let mut all: Vec<_> = self.whole.iter().map(|it| (&**it, None)).collect();
        self.fields.iter().for_each(|(field, template)| template.values(field, &mut all));
        all
    }

    /// What its expressions read, and where.
    pub(crate) fn reads(&self) -> Vec<(Reads, Span)> {
        self.expressions().iter().map(|it| (it.reads, it.span)).collect()
    }

    /// What it copies that may be as large as where it comes from: all but numbers and texts.
    pub(crate) fn copied(&self) -> Reads {
        let copied = |sum: Reads, template: &Template| sum.union(template.copied());
        let whole = self.whole.as_ref().map_or(Reads::default(), |it| it.reads);
        self.fields.iter().map(|(_, template)| template).fold(whole, copied)
    }

    /// The message for the data of one saga.
    pub(crate) fn render(&self, frame: &Frame<'_>) -> Result<DynamicMessage, FieldError> {
        if let Some(whole) = &self.whole {
            let error = |error| FieldError { field: String::new(), line: whole.span.line, error };
            let value = frame.eval(&whole.root).map_err(error)?.into_owned();
            return coerce_message(value, &self.message).map_err(error);
        }
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
    fn collect<'t>(&'t self, all: &mut Vec<&'t Expression>) {
        match self {
            Self::Expression(it) => all.push(it),
            Self::Message(it) => all.extend(it.expressions()),
            Self::List(items) => items.iter().for_each(|it| it.collect(all)),
            Self::Map(entries) => entries.iter().for_each(|(_, it)| it.collect(all)),
        }
    }

    fn values<'t>(
        &'t self,
        field: &FieldDescriptor,
        all: &mut Vec<(&'t Expression, Option<FieldDescriptor>)>,
    ) {
        match self {
            Self::Expression(it) => all.push((it, Some(field.clone()))),
            Self::Message(it) => all.extend(it.values()),
            Self::List(items) => items.iter().for_each(|it| it.values(field, all)),
            Self::Map(entries) => {
                let Kind::Message(entry) = field.kind() else { return };
                let value = entry.map_entry_value_field();
                entries.iter().for_each(|(_, it)| it.values(&value, all));
            }
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
