//! From the value of an expression to the value of a field.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::{eval::EvalError, operators::whole};

/// The value as `field` holds it. Types were checked; ranges are checked here.
///
/// # Errors
///
/// [`EvalError::OutOfRange`], where a number does not fit.
pub(crate) fn coerce(value: Value, field: &FieldDescriptor) -> Result<Value, EvalError> {
    if field.is_map() {
        return Ok(value);
    }
    let kind = field.kind();
    match value {
        Value::List(items) if field.is_list() => {
            let items: Result<_, _> = items.into_iter().map(|it| coerce_one(it, &kind)).collect();
            Ok(Value::List(items?))
        }
        one => coerce_one(one, &kind),
    }
}

fn coerce_one(value: Value, kind: &Kind) -> Result<Value, EvalError> {
    if let (Value::Map(_), Kind::Message(message)) = (&value, kind) {
        return record(value, message);
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
        _ => value,
    })
}

/// A map literal as a message.
fn record(value: Value, message: &MessageDescriptor) -> Result<Value, EvalError> {
    let Value::Map(fields) = value else { return Err(EvalError::WrongType) };
    let mut made = DynamicMessage::new(message.clone());
    for (name, value) in fields {
        let MapKey::String(name) = name else { return Err(EvalError::WrongType) };
        let field = message.get_field_by_name(&name).ok_or(EvalError::WrongType)?;
        let value = coerce(value, &field)?;
        made.try_set_field(&field, value).map_err(|_| EvalError::WrongType)?;
    }
    Ok(Value::Message(made))
}
