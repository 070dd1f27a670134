//! The input of a saga: what a client sends is checked before anything is accepted.

mod exact;
mod json;

use prost_reflect::{
    DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage,
    Value,
};
use serde_json::Value as Json;

use crate::{InputError, canonical, file::suggest};

/// Messages inside one another at most, entries of maps and contents of `Any` counted. The
/// readers of protobuf give up at 100, and a request may put an input 32 deep; in JSON, where
/// each may stand in a list, it is within the 128 of the parser. So what is accepted can be
/// read by everybody who gets it later.
const NESTING_MAX: usize = 60;

/// The bytes of an input in proto-JSON.
///
/// # Errors
///
/// [`InputError`] names the field: unknown, of a wrong type, or out of range.
pub fn from_json(of: &MessageDescriptor, json: &str) -> Result<bytes::Bytes, InputError> {
    let written = json::parse(json).map_err(|error| {
        if error.to_string().starts_with("recursion limit") {
            return too_deep();
        }
        wrong("", format!("not JSON: {error}"), "send one JSON object")
    })?;
    let exact = exact::message(of, &written, "")?;
    let message = deserialize(of, &exact).map_err(|error| blame(of, &exact, "", &error, 0))?;
    refuse(&message)?;
    Ok(canonical::encode(&message))
}

fn deserialize(of: &MessageDescriptor, json: &Json) -> Result<DynamicMessage, String> {
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    DynamicMessage::deserialize_with_options(of.clone(), json, &options)
        .map_err(|error| error.to_string())
}

fn wrong(field: &str, message: impl Into<String>, remedy: impl Into<String>) -> InputError {
    InputError { field: field.to_owned(), message: message.into(), remedy: remedy.into() }
}

/// Finds the field that is to blame for `error`: the innermost one that cannot be read by
/// itself.
fn blame(of: &MessageDescriptor, json: &Json, path: &str, error: &str, depth: usize) -> InputError {
    let Json::Object(entries) = json else {
        let remedy = format!("send a {}", of.full_name());
        // The library says what came in words of its own.
        let came = match json {
            Json::Null => "null".to_owned(),
            Json::Bool(_) => "true or false".to_owned(),
            Json::Number(_) => "a number".to_owned(),
            Json::String(_) => "a text".to_owned(),
            Json::Array(_) => "a list".to_owned(),
            Json::Object(_) => error.to_owned(),
        };
        return wrong(path, format!("{came}, where a JSON object is expected"), remedy);
    };
    for (key, value) in entries {
        let inner_path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let field = of.get_field_by_json_name(key).or_else(|| of.get_field_by_name(key));
        let Some(field) = field else {
            let known: Vec<String> = of.fields().map(|it| it.name().to_owned()).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let message = format!("{} has no such field", of.full_name());
            return wrong(&inner_path, message, suggest(key, &known));
        };
        let alone = Json::Object(std::iter::once((key.clone(), value.clone())).collect());
        if let Err(error) = deserialize(of, &alone) {
            return blame_value(&field, value, &inner_path, &error, depth);
        }
    }
    wrong(path, error, format!("send a {}", of.full_name()))
}

fn blame_value(
    field: &FieldDescriptor,
    value: &Json,
    path: &str,
    error: &str,
    depth: usize,
) -> InputError {
    let of = crate::value_type::Type::of_field(field);
    let here = || wrong(path, error, format!("send a {of}"));
    let Kind::Message(message) = field.kind() else { return here() };
    // Well-known types have forms of their own.
    let ordinary = !message.full_name().starts_with("google.protobuf.");
    if depth == NESTING_MAX || field.is_map() || !ordinary {
        return here();
    }
    match value {
        Json::Array(items) if field.is_list() => {
            for (index, item) in items.iter().enumerate() {
                if let Err(error) = deserialize(&message, item) {
                    return blame(&message, item, &format!("{path}[{index}]"), &error, depth + 1);
                }
            }
            here()
        }
        Json::Object(_) if !field.is_list() => match deserialize(&message, value) {
            Err(error) => blame(&message, value, path, &error, depth + 1),
            Ok(_) => here(),
        },
        _ => here(),
    }
}

/// Checks an input in protobuf bytes.
pub(crate) fn from_bytes(
    of: &MessageDescriptor,
    type_name: &str,
    bytes: &[u8],
) -> Result<bytes::Bytes, InputError> {
    let name = type_name.rsplit_once('/').map_or(type_name, |(_, name)| name);
    if name != of.full_name() {
        let message = format!("the input is a {name}");
        return Err(wrong("", message, format!("send a {}", of.full_name())));
    }
    let message = DynamicMessage::decode(of.clone(), bytes).map_err(|error| {
        let remedy = format!("send the bytes of a {}", of.full_name());
        wrong("", format!("the bytes cannot be read: {error}"), remedy)
    })?;
    refuse(&message)?;
    Ok(canonical::encode(&message))
}

/// Refuses what is nested too deep, and fields that the type does not have.
fn refuse(message: &DynamicMessage) -> Result<(), InputError> {
    if is_deeper(message, NESTING_MAX) {
        return Err(too_deep());
    }
    refuse_unknown(message, "")?;
    refuse_incomplete(message, "")
}

fn too_deep() -> InputError {
    let text = format!("more than {NESTING_MAX} messages inside one another");
    wrong("", text, "send a flatter one")
}

/// Whether more than so many messages are inside one another.
pub(crate) fn is_deeper(message: &DynamicMessage, levels: usize) -> bool {
    if levels == 0 {
        return true;
    }
    if let Some(inner) = canonical::unpacked(message) {
        return is_deeper(&inner, levels - 1);
    }
    let deeper = |value: &Value, levels| value.as_message().is_some_and(|it| is_deeper(it, levels));
    let extensions = message.extensions().map(|(_, value)| value);
    message.fields().map(|(_, value)| value).chain(extensions).any(|value| match value {
        Value::List(items) => items.iter().any(|it| deeper(it, levels - 1)),
        // The entry is a message too.
        Value::Map(entries) => entries.values().any(|it| deeper(it, levels.saturating_sub(2))),
        value => deeper(value, levels - 1),
    })
}

/// Refuses a message without a field that its type requires: whoever reads it would.
fn refuse_incomplete(message: &DynamicMessage, path: &str) -> Result<(), InputError> {
    let of = message.descriptor();
    let is_set = |name: &str| message.has_field_by_name(name);
    if let Some(name) = crate::request::missing(&of, is_set) {
        let field = if path.is_empty() { name } else { format!("{path}.{name}") };
        return Err(wrong(&field, format!("{} requires it", of.full_name()), "give it"));
    }
    for (field, value) in message.fields() {
        let inner = match path {
            "" => field.name().to_owned(),
            path => format!("{path}.{}", field.name()),
        };
        let inside =
            |it: &Value| it.as_message().map_or(Ok(()), |it| refuse_incomplete(it, &inner));
        match value {
            Value::List(items) => items.iter().try_for_each(inside)?,
            Value::Map(entries) => entries.values().try_for_each(inside)?,
            value => inside(value)?,
        }
    }
    Ok(())
}

/// Refuses fields that the type does not have. What is in an `Any` is its receiver's.
fn refuse_unknown(message: &DynamicMessage, path: &str) -> Result<(), InputError> {
    if let Some(unknown) = message.unknown_fields().next() {
        let of = message.descriptor();
        let text = format!("{} has no field number {}", of.full_name(), unknown.number());
        let remedy = "build the client with the definition's version of the type";
        return Err(wrong(path, text, remedy));
    }
    for (field, value) in message.fields() {
        let inner = if path.is_empty() {
            field.name().to_owned()
        } else {
            format!("{path}.{}", field.name())
        };
        match value {
            Value::Message(it) => refuse_unknown(it, &inner)?,
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Value::Message(it) = item {
                        refuse_unknown(it, &format!("{inner}[{index}]"))?;
                    }
                }
            }
            Value::Map(entries) => {
                for item in entries.values() {
                    if let Value::Message(it) = item {
                        refuse_unknown(it, &inner)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}
