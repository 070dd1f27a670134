//! What is known of a value before there is one: bounds of numbers, what a text can be read as.

use prost_reflect::{FieldDescriptor, Kind, Value};

use super::operators::{real, whole};

/// Whole numbers between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) min: i128,
    pub(super) max: i128,
    /// Whether 0 is not one of them although it lies between the bounds.
    pub(super) is_nonzero: bool,
}

impl Range {
    pub(super) const I64: Self = Self::of(i64::MIN as i128, i64::MAX as i128);
    pub(super) const U64: Self = Self::of(0, u64::MAX as i128);
    /// Of anything that there can be in a message: it has less than 2 GB.
    pub(super) const SIZE: Self = Self::of(0, i32::MAX as i128);

    pub(super) const fn of(min: i128, max: i128) -> Self {
        Self { min, max, is_nonzero: false }
    }

    pub(super) const fn one(it: i128) -> Self {
        Self::of(it, it)
    }

    /// What whole numbers of this kind of field lie between.
    pub(super) fn of_kind(kind: &Kind) -> Option<Self> {
        Some(match kind {
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Enum(_) => {
                Self::of(i32::MIN.into(), i32::MAX.into())
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Self::I64,
            Kind::Uint32 | Kind::Fixed32 => Self::of(0, u32::MAX.into()),
            Kind::Uint64 | Kind::Fixed64 => Self::U64,
            _ => return None,
        })
    }

    pub(super) fn is_within(self, other: Self) -> bool {
        other.min <= self.min && self.max <= other.max
    }

    pub(super) fn may_be_zero(self) -> bool {
        self.min <= 0 && 0 <= self.max && !self.is_nonzero
    }

    /// The numbers of both.
    pub(super) fn both(self, other: Self) -> Self {
        let is_nonzero = self.is_nonzero || other.is_nonzero;
        let (mut min, mut max) = (self.min.max(other.min), self.max.min(other.max));
        if is_nonzero && min == 0 {
            min = 1;
        }
        if is_nonzero && max == 0 {
            max = -1;
        }
        // What contradicts itself is never evaluated.
        Self { min: min.min(max), max: max.max(min), is_nonzero }
    }

    /// The numbers of either.
    pub(super) fn either(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            is_nonzero: !self.may_be_zero() && !other.may_be_zero(),
        }
    }
}

/// What is known of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextShape {
    /// The whole numbers that it is read as. `None`: it may be none.
    pub(super) number: Option<Range>,
    /// Whether it is printable ASCII.
    pub(super) is_printable: bool,
    /// Characters.
    pub(super) chars: Range,
}

impl TextShape {
    pub(super) const ANY: Self = Self { number: None, is_printable: false, chars: Range::SIZE };

    pub(super) fn of(text: &str) -> Self {
        Self {
            number: text.parse().ok().map(Range::one),
            is_printable: text.chars().all(|c| matches!(c, ' '..='~')),
            chars: Range::one(text.chars().count() as i128),
        }
    }

    pub(super) fn printable(chars_max: i128) -> Self {
        Self { number: None, is_printable: true, chars: Range::of(0, chars_max) }
    }

    /// What is known by both.
    pub(super) fn both(self, other: Self) -> Self {
        Self {
            number: match (self.number, other.number) {
                (Some(a), Some(b)) => Some(a.both(b)),
                (a, b) => a.or(b),
            },
            is_printable: self.is_printable || other.is_printable,
            chars: self.chars.both(other.chars),
        }
    }

    fn either(self, other: Self) -> Self {
        Self {
            number: self.number.zip(other.number).map(|(a, b)| a.either(b)),
            is_printable: self.is_printable && other.is_printable,
            chars: self.chars.either(other.chars),
        }
    }

    /// One behind the other.
    pub(super) fn joined(self, other: Self) -> Self {
        let chars = Range::of(self.chars.min + other.chars.min, self.chars.max + other.chars.max);
        Self { number: None, is_printable: self.is_printable && other.is_printable, chars }
    }
}

/// What is known of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Bool(Option<bool>),
    Whole {
        range: Range,
        is_unsigned: bool,
    },
    /// With a fraction.
    Real,
    Text(TextShape),
    Bytes,
    /// A value of an enum.
    Enum,
    /// Of such elements.
    List(Box<Shape>),
    Map {
        key: Box<Shape>,
        value: Box<Shape>,
    },
    /// A message, or of no matter.
    Other,
}

/// What is left of a number where its fraction is cut off. `None`: it is none, or a huge one.
pub(super) fn cut_off(number: &Value) -> Option<i128> {
    let real = match number {
        Value::F64(it) => *it,
        Value::F32(it) => (*it).into(),
        whole => return super::operators::whole(whole),
    };
    #[expect(clippy::cast_possible_truncation, reason = "far below 128 bits")]
    (real.abs() < 1e30).then(|| real.trunc() as i128)
}

impl Shape {
    pub(super) fn of_field(field: &FieldDescriptor) -> Self {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let [key, value] = [entry.map_entry_key_field(), entry.map_entry_value_field()]
                    .map(|it| Box::new(Self::of_kind(&it.kind())));
                Self::Map { key, value }
            }
            kind if field.is_list() => Self::List(Box::new(Self::of_kind(&kind))),
            kind => Self::of_kind(&kind),
        }
    }

    fn of_kind(kind: &Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool(None),
            Kind::Float | Kind::Double => Self::Real,
            Kind::String => Self::Text(TextShape::ANY),
            Kind::Bytes => Self::Bytes,
            Kind::Enum(_) => Self::Enum,
            kind => Range::of_kind(kind)
                .map_or(Self::Other, |range| Self::Whole { range, is_unsigned: 0 <= range.min }),
        }
    }

    pub(super) fn of_value(value: &Value) -> Self {
        match value {
            Value::Bool(it) => Self::Bool(Some(*it)),
            Value::String(it) => Self::Text(TextShape::of(it)),
            Value::Bytes(_) => Self::Bytes,
            Value::EnumNumber(_) => Self::Enum,
            value => match (whole(value), real(value)) {
                (Some(it), _) => {
                    let is_unsigned = matches!(value, Value::U64(_) | Value::U32(_));
                    Self::Whole { range: Range::one(it), is_unsigned }
                }
                (None, Some(_)) => Self::Real,
                (None, None) => Self::Other,
            },
        }
    }

    /// The whole numbers that it may be.
    pub(super) fn range(&self) -> Option<Range> {
        match self {
            Self::Whole { range, .. } => Some(*range),
            Self::Enum => Some(Range::of(i32::MIN.into(), i32::MAX.into())),
            _ => None,
        }
    }

    /// What holds for both of two values.
    pub(super) fn either(self, other: Self) -> Self {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Self::Bool(a.filter(|it| Some(*it) == b)),
            (Self::Whole { range, is_unsigned }, Self::Whole { range: other, .. }) => {
                Self::Whole { range: range.either(other), is_unsigned }
            }
            (Self::Text(a), Self::Text(b)) => Self::Text(a.either(b)),
            (Self::List(a), Self::List(b)) => Self::List(Box::new(a.either(*b))),
            (Self::Map { key, value }, Self::Map { key: other_key, value: other }) => Self::Map {
                key: Box::new(key.either(*other_key)),
                value: Box::new(value.either(*other)),
            },
            (a, b) if a == b => a,
            _ => Self::Other,
        }
    }
}
