//! Types of expressions, and what fits into which protobuf field.

use std::fmt;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};

use crate::{
    descriptors::{contradiction, enum_contradiction},
    known,
    request::missing,
};

/// What an expression evaluates to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    /// The element of an empty list: fits everything.
    Never,
    Bool,
    /// 64 bits with sign; also narrower fields.
    Int,
    /// 64 bits without sign; also narrower fields.
    UInt,
    Double,
    String,
    Bytes,
    Enum(EnumDescriptor),
    Message(MessageDescriptor),
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    /// A map literal with constant names: becomes a message.
    Record(Vec<(String, Type)>),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("nothing"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::UInt => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Enum(of) => f.write_str(of.full_name()),
            Self::Message(of) => f.write_str(of.full_name()),
            Self::List(of) => write!(f, "list({of})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Record(fields) => {
                f.write_str("{")?;
                for (index, (name, of)) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{name}: {of}")?;
                }
                f.write_str("}")
            }
        }
    }
}

impl Type {
    /// What reading `field` gives.
    pub(crate) fn of_field(field: &FieldDescriptor) -> Self {
        if field.is_map()
            && let Kind::Message(entry) = field.kind()
        {
            let key = Self::of_kind(&entry.map_entry_key_field().kind());
            let value = Self::of_kind(&entry.map_entry_value_field().kind());
            return Self::Map(Box::new(key), Box::new(value));
        }
        let one = Self::of_kind(&field.kind());
        if field.is_list() { Self::List(Box::new(one)) } else { one }
    }

    fn of_kind(kind: &Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool,
            Kind::Int32
            | Kind::Int64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Sfixed32
            | Kind::Sfixed64 => Self::Int,
            Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => Self::UInt,
            Kind::Float | Kind::Double => Self::Double,
            Kind::String => Self::String,
            Kind::Bytes => Self::Bytes,
            Kind::Enum(of) => Self::Enum(of.clone()),
            Kind::Message(of) => Self::Message(of.clone()),
        }
    }

    /// The one type that both have, where there is one.
    pub(crate) fn unified(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Never, it) | (it, Self::Never) => Some(it.clone()),
            (Self::List(a), Self::List(b)) => Some(Self::List(Box::new(a.unified(b)?))),
            (Self::Map(a, of_a), Self::Map(b, of_b)) => {
                Some(Self::Map(Box::new(a.unified(b)?), Box::new(of_a.unified(of_b)?)))
            }
            (a, b) if a == b => Some(a.clone()),
            _ => None,
        }
    }

    /// Whether a value of this type may be written to `field`. Ranges are checked when
    /// the value is known.
    ///
    /// # Errors
    ///
    /// Says what is wrong and what to do.
    pub(crate) fn fits(&self, field: &FieldDescriptor) -> Result<(), Misfit> {
        let wanted = Self::of_field(field);
        match (self, &wanted) {
            (Self::List(one), Self::List(element)) => {
                one.fits_one(element).map_err(|it| match &**one {
                    Self::List(inner) if inner.fits_one(element).is_ok() => Misfit {
                        message: format!("it is a {self}, the field is a {wanted}"),
                        remedy: "write `.flatten()` behind it".to_owned(),
                    },
                    _ => it,
                })
            }
            (Self::Map(key, value), Self::Map(key_wanted, value_wanted)) => {
                key.fits_one(key_wanted)?;
                value.fits_one(value_wanted)
            }
            (Self::Record(entries), Self::Map(key, value)) if **key == Self::String => {
                entries.iter().try_for_each(|(_, of)| of.fits_one(value))
            }
            (_, Self::List(_) | Self::Map(..)) => Err(misfit(self, &wanted)),
            (one, wanted) => one.fits_one(wanted),
        }
    }

    pub(crate) fn fits_one(&self, wanted: &Self) -> Result<(), Misfit> {
        match (self, wanted) {
            (Self::Never, _) => Ok(()),
            (a, b) if a == b => Ok(()),
            // Two participants may each declare the type: by their own pools.
            (Self::Message(a), Self::Message(b)) if a.full_name() == b.full_name() => {
                same_meaning(contradiction(a, b), wanted)
            }
            (Self::Enum(a), Self::Enum(b)) if a.full_name() == b.full_name() => {
                same_meaning(enum_contradiction(a, b), wanted)
            }
            // Checked when the value is known: no bit is lost, or the request is refused.
            (Self::Int, Self::UInt | Self::Enum(_)) | (Self::UInt, Self::Int) => Ok(()),
            (Self::Enum(_), Self::Int) => Ok(()),
            // A double holds every whole number up to 2^53; one that it does not is refused.
            (Self::Int | Self::UInt, Self::Double) => Ok(()),
            (Self::String, Self::Bytes) => Ok(()),
            (_, Self::Message(message)) if known::fits(self, message) => Ok(()),
            (Self::Record(fields), Self::Message(message)) => record_fits(fields, message),
            _ => Err(misfit(self, wanted)),
        }
    }
}

/// Why a value cannot be written to a field.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) message: String,
    pub(crate) remedy: String,
}

fn same_meaning(contradiction: Option<String>, wanted: &Type) -> Result<(), Misfit> {
    let Some(difference) = contradiction else { return Ok(()) };
    Err(Misfit {
        message: format!("two participants mean different things by {wanted}: {difference}"),
        remedy: "give its fields one by one, as a mapping".to_owned(),
    })
}

fn misfit(is: &Type, wanted: &Type) -> Misfit {
    let remedy = match (is, wanted) {
        (Type::Int | Type::UInt | Type::Enum(_), Type::String) => "write string(...)".to_owned(),
        (Type::String, Type::Int) => "write int(...)".to_owned(),
        (Type::String, Type::UInt) => "write uint(...)".to_owned(),
        (Type::List(from), Type::List(_)) if is_message(from) => {
            "convert each element: list.map(it, {\"field\": it.field})".to_owned()
        }
        (_, Type::Message(message)) => format!(
            "give the fields of {} one by one, as a mapping: {}",
            message.full_name(),
            message.fields().map(|it| it.name().to_owned()).collect::<Vec<_>>().join(", "),
        ),
        (Type::Message(_), Type::Bytes) => {
            "bytes hold no message; where this is the value of an Any, give the message itself to \
             the field that holds the Any"
                .to_owned()
        }
        (_, Type::List(_)) => "write a list: [...]".to_owned(),
        _ => format!("give it a {wanted}"),
    };
    Misfit { message: format!("it is a {is}, the field is a {wanted}"), remedy }
}

fn is_message(it: &Type) -> bool {
    matches!(it, Type::Message(_) | Type::Record(_))
}

fn record_fits(fields: &[(String, Type)], message: &MessageDescriptor) -> Result<(), Misfit> {
    let mut oneofs: Vec<(OneofDescriptor, &str)> = Vec::new();
    for (name, value) in fields {
        let Some(field) = message.get_field_by_name(name) else {
            let known: Vec<String> = message.fields().map(|it| it.name().to_owned()).collect();
            return Err(Misfit {
                message: format!("{} has no field `{name}`", message.full_name()),
                remedy: format!("known here: {}", known.join(", ")),
            });
        };
        if let Some(oneof) = field.containing_oneof() {
            // Both may be given, where at most one is set in what they are copied from.
            if let Some((_, other)) = oneofs.iter().find(|(it, _)| *it == oneof)
                && !matches!(value, Type::Message(_))
            {
                return Err(Misfit {
                    message: format!("`{other}` and `{name}` exclude one another"),
                    remedy: "keep one of them".to_owned(),
                });
            }
            oneofs.push((oneof, name));
        }
        value.fits(&field).map_err(|Misfit { message, remedy }| Misfit {
            message: format!("field `{name}`: {message}"),
            remedy,
        })?;
    }
    match missing(message, |name| fields.iter().any(|(it, _)| it == name)) {
        Some(name) => Err(Misfit {
            message: format!("{} requires `{name}`", message.full_name()),
            remedy: format!("give it: \"{name}\": ..."),
        }),
        None => Ok(()),
    }
}
