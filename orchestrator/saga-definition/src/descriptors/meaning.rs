//! Whether two types mean the same, wherever they are declared: a value of one may then stand
//! for a value of the other.

use std::collections::HashSet;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

/// How two types of one name contradict each other. `None`: what both know means the same to
/// both. Either may know more: whatever the other does not know is kept as it came.
pub(crate) fn contradiction(a: &MessageDescriptor, b: &MessageDescriptor) -> Option<String> {
    if a == b {
        return None;
    }
    let mut seen = HashSet::new();
    let mut open = vec![(a.clone(), b.clone())];
    while let Some((a, b)) = open.pop() {
        if a.full_name() != b.full_name() {
            return Some(format!("{} is not {}", a.full_name(), b.full_name()));
        }
        if a == b || !seen.insert(a.full_name().to_owned()) {
            continue;
        }
        for field in a.fields() {
            if let Some(other) = b.get_field_by_name(field.name())
                && other.number() != field.number()
            {
                let (name, at, other) = (field.full_name(), field.number(), other.number());
                return Some(format!("{name} is field {at} in one and {other} in the other"));
            }
            let Some(other) = b.get_field(field.number()) else { continue };
            match compared(&field, &other) {
                Ok(inner) => open.extend(inner),
                Err(difference) => return Some(difference),
            }
        }
    }
    None
}

/// A field that `now` has no more, and `then` has. `None`: there is none.
pub(crate) fn loss(then: &MessageDescriptor, now: &MessageDescriptor) -> Option<String> {
    let mut seen = HashSet::new();
    let mut open = vec![(then.clone(), now.clone())];
    while let Some((then, now)) = open.pop() {
        if then == now || !seen.insert(then.full_name().to_owned()) {
            continue;
        }
        for field in then.fields() {
            let Some(other) = now.get_field(field.number()) else {
                return Some(format!("{} is not there any more", field.full_name()));
            };
            if let (Kind::Message(then), Kind::Message(now)) = (field.kind(), other.kind()) {
                open.push((then, now));
            }
        }
    }
    None
}

/// The messages of two fields of one number, where they hold some.
fn compared(
    a: &FieldDescriptor,
    b: &FieldDescriptor,
) -> Result<Option<(MessageDescriptor, MessageDescriptor)>, String> {
    if a.name() != b.name() {
        let (number, a, b) = (a.number(), a.full_name(), b.name());
        return Err(format!("field {number} is {a} in one and {b} in the other"));
    }
    let same_shape =
        a.is_list() == b.is_list() && a.is_map() == b.is_map() && a.is_group() == b.is_group();
    let differ = || {
        Err(format!("{} is {:?} in one and {:?} in the other", a.full_name(), a.kind(), b.kind()))
    };
    if !same_shape {
        return Err(format!("{} is repeated in one and single in the other", a.full_name()));
    }
    match (a.kind(), b.kind()) {
        (Kind::Message(of_a), Kind::Message(of_b)) => Ok(Some((of_a, of_b))),
        (Kind::Enum(of_a), Kind::Enum(of_b)) => match enum_contradiction(&of_a, &of_b) {
            Some(difference) => Err(difference),
            None => Ok(None),
        },
        (kind_a, kind_b) if kind_a == kind_b => Ok(None),
        _ => differ(),
    }
}

/// How two enums of one name contradict each other.
pub(crate) fn enum_contradiction(a: &EnumDescriptor, b: &EnumDescriptor) -> Option<String> {
    if a == b {
        return None;
    }
    if a.full_name() != b.full_name() {
        return Some(format!("{} is not {}", a.full_name(), b.full_name()));
    }
    a.values().find_map(|value| {
        let other = b.get_value_by_name(value.name())?;
        (other.number() != value.number()).then(|| {
            let (name, at, other) = (value.full_name(), value.number(), other.number());
            format!("{name} is {at} in one and {other} in the other")
        })
    })
}
