//! From the value of an expression to the value of a field.

use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value,
};

use crate::known;

use super::{
    eval::EvalError,
    operators::{map_key, whole},
};

/// The value as `field` holds it. Types were checked; ranges are checked here.
///
/// # Errors
///
/// [`EvalError::OutOfRange`], where a number does not fit.
pub(crate) fn coerce(value: Value, field: &FieldDescriptor) -> Result<Value, EvalError> {
    let kind = field.kind();
    if let (true, Kind::Message(entry)) = (field.is_map(), &kind) {
        return coerce_map(value, entry);
    }
    match value {
        Value::List(items) if field.is_list() => {
            let items: Result<_, _> = items.into_iter().map(|it| coerce_one(it, &kind)).collect();
            Ok(Value::List(items?))
        }
        one => coerce_one(one, &kind),
    }
}

/// The value as a whole message.
///
/// # Errors
///
/// [`EvalError`], where it is none.
pub(crate) fn coerce_message(
    value: Value,
    of: &MessageDescriptor,
) -> Result<DynamicMessage, EvalError> {
    match coerce_one(value, &Kind::Message(of.clone()))? {
        Value::Message(made) => Ok(made),
        _ => Err(EvalError::WrongType),
    }
}

fn coerce_map(value: Value, entry: &MessageDescriptor) -> Result<Value, EvalError> {
    let Value::Map(entries) = value else { return Err(EvalError::WrongType) };
    let (key_kind, value_kind) =
        (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
    let entries = entries.into_iter().map(|(key, value)| {
        let key = coerce_one(Value::from(key), &key_kind)?;
        Ok((map_key(&key)?, coerce_one(value, &value_kind)?))
    });
    Ok(Value::Map(entries.collect::<Result<_, EvalError>>()?))
}

fn coerce_one(value: Value, kind: &Kind) -> Result<Value, EvalError> {
    if let Kind::Message(message) = kind
        && let Some(made) = plain(&value, message)?
    {
        return Ok(Value::Message(made));
    }
    if let (Value::Map(_), Kind::Message(message)) = (&value, kind) {
        return record(value, message);
    }
    if let (Value::Message(made), Kind::Message(wanted)) = (&value, kind)
        && made.descriptor() != *wanted
    {
        // Of another participant's pool: the same by its bytes.
        let moved = DynamicMessage::decode(wanted.clone(), made.encode_to_vec().as_slice());
        return moved.map(Value::Message).map_err(|_| EvalError::WrongType);
    }
    match (&value, kind) {
        (Value::String(text), Kind::Bytes) => {
            return Ok(Value::Bytes(text.clone().into_bytes().into()));
        }
        (Value::F64(it), Kind::Float) => return float(*it),
        (Value::F32(it), Kind::Double) => return Ok(Value::F64((*it).into())),
        // A value that came with its enum: an open one has values without names.
        (Value::EnumNumber(_), Kind::Enum(_)) => return Ok(value),
        _ => {}
    }
    let Some(number) = whole(&value) else { return Ok(value) };
    let out_of_range = |wanted| EvalError::OutOfRange { value: number, wanted };
    Ok(match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            Value::I32(i32::try_from(number).map_err(|_| out_of_range("int32"))?)
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            Value::I64(i64::try_from(number).map_err(|_| out_of_range("int64"))?)
        }
        Kind::Uint32 | Kind::Fixed32 => {
            Value::U32(u32::try_from(number).map_err(|_| out_of_range("uint32"))?)
        }
        Kind::Uint64 | Kind::Fixed64 => {
            Value::U64(u64::try_from(number).map_err(|_| out_of_range("uint64"))?)
        }
        Kind::Enum(of) => {
            let number32 = i32::try_from(number).map_err(|_| out_of_range("enum"))?;
            of.get_value(number32).ok_or_else(|| out_of_range("enum"))?;
            Value::EnumNumber(number32)
        }
        Kind::Double | Kind::Float => {
            let made = known::double(&value).ok_or_else(|| out_of_range("double"))?;
            return coerce_one(Value::F64(made), kind);
        }
        _ => value,
    })
}

/// A double as a float, where it has a place there.
fn float(it: f64) -> Result<Value, EvalError> {
    #[expect(clippy::cast_possible_truncation, reason = "what overflows is refused")]
    let made = it as f32;
    if made.is_infinite() && it.is_finite() {
        Err(EvalError::Overflow)
    } else {
        Ok(Value::F32(made))
    }
}

/// The message that a plain value stands for. `None`: it is no such value.
fn plain(value: &Value, of: &MessageDescriptor) -> Result<Option<DynamicMessage>, EvalError> {
    if !known::stands_for(value, of) {
        return Ok(None);
    }
    if let Some(made) = known::message(value, of) {
        return Ok(Some(made));
    }
    let mut made = DynamicMessage::new(of.clone());
    let field = of.get_field_by_name("value").ok_or(EvalError::WrongType)?;
    made.try_set_field(&field, coerce_one(value.clone(), &field.kind())?)
        .map_err(|_| EvalError::WrongType)?;
    Ok(Some(made))
}

/// A map literal as a message.
fn record(value: Value, message: &MessageDescriptor) -> Result<Value, EvalError> {
    let Value::Map(fields) = value else { return Err(EvalError::WrongType) };
    let mut made = DynamicMessage::new(message.clone());
    for (name, value) in fields {
        let MapKey::String(name) = name else { return Err(EvalError::WrongType) };
        let field = message.get_field_by_name(&name).ok_or(EvalError::WrongType)?;
        // Two of one oneof: which would be left depends on nothing that is written.
        if let Some(oneof) = field.containing_oneof()
            && let Some(other) = oneof.fields().find(|it| made.has_field(it))
        {
            return Err(EvalError::Excluded(other.name().to_owned(), name));
        }
        let value = coerce(value, &field)?;
        made.try_set_field(&field, value).map_err(|_| EvalError::WrongType)?;
    }
    Ok(Value::Message(made))
}
