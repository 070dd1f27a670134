//! Values of enums by their names.

use prost_reflect::{EnumDescriptor, Value};

use super::{Ir, LoopKind, RecordField, eval::EvalError};
use crate::value_type::Type;

/// The value with numbers in place of the names of enum values, where `wanted` holds enums and
/// names are given: `'PAID'`, `a ? 'PAID' : 'OPEN'`, and lists and map literals of such. Gives
/// its type. Whatever chooses anything but names stays as it was.
pub(crate) fn by_name(ir: &mut Ir, of: Type, wanted: &Type) -> Type {
    match (wanted, of) {
        (Type::Enum(kind), Type::String) if is_named(ir, kind) => {
            name(ir, kind);
            wanted.clone()
        }
        (Type::List(element), Type::List(of)) => Type::List(Box::new(in_list(ir, *of, element))),
        (Type::Message(message), Type::Record(types)) => {
            let Ir::Record(fields) = ir else { return Type::Record(types) };
            let named = types.into_iter().zip(fields).map(|((name, of), field)| {
                let wanted = message.get_field_by_name(&name).map(|it| Type::of_field(&it));
                let of = match wanted {
                    Some(wanted) => by_name(&mut field.value, of, &wanted),
                    None => of,
                };
                (name, of)
            });
            Type::Record(named.collect())
        }
        (Type::Map(_, value), Type::Record(types)) => {
            let Ir::Record(fields) = ir else { return Type::Record(types) };
            let named = types.into_iter().zip(fields);
            let named = named
                .map(|((name, of), RecordField { value: ir, .. })| (name, by_name(ir, of, value)));
            Type::Record(named.collect())
        }
        (_, of) => of,
    }
}

fn in_list(ir: &mut Ir, of: Type, wanted: &Type) -> Type {
    match ir {
        Ir::List(items) => {
            let named: Vec<Type> =
                items.iter_mut().map(|item| by_name(item, of.clone(), wanted)).collect();
            match named.first() {
                Some(first) if named.iter().all(|it| it == first) => first.clone(),
                _ => of,
            }
        }
        Ir::Loop(it) if it.kind == LoopKind::Map => by_name(&mut it.body, of, wanted),
        _ => of,
    }
}

/// Whether this is nothing but names of values of `of`.
pub(super) fn is_named(ir: &Ir, of: &EnumDescriptor) -> bool {
    match ir {
        Ir::Literal(Value::String(name)) => of.get_value_by_name(name).is_some(),
        Ir::Choose(_, yes, no) => is_named(yes, of) && is_named(no, of),
        _ => false,
    }
}

pub(super) fn name(ir: &mut Ir, of: &EnumDescriptor) {
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

/// The name of a value; its number where it has none, as an open enum may.
pub(super) fn name_of(value: &Value, of: &EnumDescriptor) -> Result<Value, EvalError> {
    let number = value.as_enum_number().ok_or(EvalError::WrongType)?;
    let name = of.get_value(number).map(|it| it.name().to_owned());
    Ok(Value::String(name.unwrap_or_else(|| number.to_string())))
}
