//! Messages that stand for plain values: the wrappers, and `Struct` with its `Value` and
//! `ListValue`; and `Any`, which stands for any message.

use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value};

use crate::{canonical, value_type::Type};

/// What a message stands for.
enum Plain {
    /// A wrapper around its field `value`.
    Wrapper,
    /// Any JSON value, object or list.
    Json,
    Object,
    List,
    /// Any message.
    Any,
}

fn plain(of: &MessageDescriptor) -> Option<Plain> {
    Some(match of.full_name().strip_prefix("google.protobuf.")? {
        "Value" => Plain::Json,
        "Struct" => Plain::Object,
        "ListValue" => Plain::List,
        "Any" => Plain::Any,
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value"
        | "UInt32Value" | "BoolValue" | "StringValue" | "BytesValue" => Plain::Wrapper,
        _ => return None,
    })
}

/// Whether a mapping that is written for it is an object of JSON.
pub(crate) fn is_object(of: &MessageDescriptor) -> bool {
    matches!(plain(of), Some(Plain::Object | Plain::Json))
}

/// The field that a wrapper wraps.
fn wrapped(of: &MessageDescriptor) -> Option<Type> {
    of.get_field_by_name("value").map(|field| Type::of_field(&field))
}

/// Whether a plain value of this type may stand for the message.
pub(crate) fn fits(is: &Type, message: &MessageDescriptor) -> bool {
    match plain(message) {
        Some(Plain::Wrapper) => match (is, wrapped(message)) {
            (Type::Message(_) | Type::Record(_) | Type::List(_) | Type::Map(..), _) => false,
            (is, Some(wanted)) => is.fits_one(&wanted).is_ok(),
            _ => false,
        },
        Some(Plain::Json) => is_json(is),
        // `fields` alone is the message as it is declared.
        Some(Plain::Object) => match is {
            Type::Record(fields) => fields.iter().all(|(name, of)| name != "fields" && is_json(of)),
            Type::Map(key, of) => **key == Type::String && is_json(of),
            _ => false,
        },
        Some(Plain::List) => matches!(is, Type::List(of) if is_json(of)),
        Some(Plain::Any) => {
            matches!(is, Type::Message(of) if of.full_name() != message.full_name())
        }
        None => false,
    }
}

fn is_json(is: &Type) -> bool {
    match is {
        Type::Never | Type::Bool | Type::Int | Type::UInt | Type::Double | Type::String => true,
        Type::List(of) => is_json(of),
        Type::Map(key, of) => **key == Type::String && is_json(of),
        Type::Record(fields) => fields.iter().all(|(_, of)| is_json(of)),
        Type::Message(of) => plain(of).is_some_and(|it| !matches!(it, Plain::Wrapper | Plain::Any)),
        Type::Bytes | Type::Enum(_) => false,
    }
}

/// Whether this value stands for the message, and is not the message itself or its fields.
pub(crate) fn stands_for(value: &Value, of: &MessageDescriptor) -> bool {
    match (plain(of), value) {
        (None, _) | (_, Value::Bytes(_) | Value::EnumNumber(_)) => {
            matches!((plain(of), value), (Some(Plain::Wrapper), Value::Bytes(_)))
        }
        (_, Value::Message(it)) => it.descriptor().full_name() != of.full_name(),
        // Its fields, one by one.
        (Some(Plain::Any), _) => false,
        (Some(Plain::Wrapper), Value::Map(_)) => false,
        (_, Value::Map(fields)) => {
            let declared = ["fields", "values", "null_value", "number_value", "string_value"];
            let declared = declared.iter().chain(&["bool_value", "struct_value", "list_value"]);
            !declared.into_iter().any(|it| fields.contains_key(&MapKey::String((*it).to_owned())))
        }
        _ => true,
    }
}

/// The message that a plain value stands for. `None`: it stands for none, or a number has no
/// place in it.
pub(crate) fn message(value: &Value, of: &MessageDescriptor) -> Option<DynamicMessage> {
    let mut made = DynamicMessage::new(of.clone());
    match (plain(of)?, value) {
        (Plain::Object, Value::Map(entries)) => {
            let inner = json_type(of, "fields")?;
            let fields = entries
                .iter()
                .map(|(key, value)| Some((key.clone(), Value::Message(json(value, &inner)?))));
            made.set_field_by_name("fields", Value::Map(fields.collect::<Option<_>>()?));
        }
        (Plain::List, Value::List(items)) => {
            let inner = json_type(of, "values")?;
            let items = items.iter().map(|it| Some(Value::Message(json(it, &inner)?)));
            made.set_field_by_name("values", Value::List(items.collect::<Option<_>>()?));
        }
        (Plain::Json, value) => return json(value, of),
        (Plain::Any, Value::Message(it)) => {
            let url = format!("type.googleapis.com/{}", it.descriptor().full_name());
            made.set_field_by_name("type_url", Value::String(url));
            made.set_field_by_name("value", Value::Bytes(canonical::encode(it)));
        }
        _ => return None,
    }
    Some(made)
}

/// The type of the values in a `Struct` or a `ListValue`.
fn json_type(of: &MessageDescriptor, field: &str) -> Option<MessageDescriptor> {
    let field = of.get_field_by_name(field)?;
    match (field.kind(), field.is_map()) {
        (Kind::Message(entry), true) => match entry.map_entry_value_field().kind() {
            Kind::Message(of) => Some(of),
            _ => None,
        },
        (Kind::Message(of), false) => Some(of),
        _ => None,
    }
}

fn json(value: &Value, of: &MessageDescriptor) -> Option<DynamicMessage> {
    let mut made = DynamicMessage::new(of.clone());
    let inner = |name: &str| match of.get_field_by_name(name)?.kind() {
        Kind::Message(of) => message(value, &of),
        _ => None,
    };
    let (name, value) = match value {
        Value::Bool(_) => ("bool_value", value.clone()),
        Value::String(_) => ("string_value", value.clone()),
        Value::Map(_) => ("struct_value", Value::Message(inner("struct_value")?)),
        Value::List(_) => ("list_value", Value::Message(inner("list_value")?)),
        Value::Message(it) if it.descriptor().full_name() == of.full_name() => {
            return Some(it.clone());
        }
        number => ("number_value", Value::F64(double(number)?)),
    };
    made.set_field_by_name(name, value);
    Some(made)
}

/// A number as JSON has it, where it is exact.
pub(crate) fn double(value: &Value) -> Option<f64> {
    /// Above, not every whole number is a double.
    const EXACT_MAX: i128 = 1 << 53;

    let whole = match value {
        Value::F32(it) => return Some((*it).into()),
        Value::F64(it) => return Some(*it),
        Value::I32(it) => i128::from(*it),
        Value::I64(it) => i128::from(*it),
        Value::U32(it) => i128::from(*it),
        Value::U64(it) => i128::from(*it),
        _ => return None,
    };
    #[expect(clippy::cast_precision_loss, reason = "it is exact up to this bound")]
    (whole.abs() <= EXACT_MAX).then_some(whole as f64)
}
