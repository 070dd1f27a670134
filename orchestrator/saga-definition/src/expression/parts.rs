//! The parts of an expression that can fail: elements, numbers, and texts that are read.

use prost_reflect::Value;

use super::{
    Arithmetic, Function, Ir,
    facts::Facts,
    failing::{Danger, Flaw, Judge},
    shape::{Range, Shape, TextShape, cut_off},
};

/// A number of so many digits is read whatever it is.
const NUMBER: &str = "^-?[0-9]{1,18}$";

impl Judge<'_> {
    pub(super) fn look_at_index(
        &mut self,
        ir: &Ir,
        of: &Ir,
        index: &Ir,
        facts: &Facts<'_>,
    ) -> Shape {
        let (shape, at) = (self.look(of, facts), self.look(index, facts));
        let (whole, text) = (self.text(of), self.text(index));
        match shape {
            Shape::Map { value, .. } => {
                let is_named = |name: &str| match of {
                    Ir::Record(fields) => fields.iter().any(|it| it.name == name),
                    _ => false,
                };
                let literal = matches!(index, Ir::Literal(Value::String(name)) if is_named(name));
                let guard = format!("{text} in {whole}");
                if !literal && facts.truth(&guard) != Some(true) {
                    let why = format!("`{whole}` may have no such key");
                    self.data_flaw(ir, why, guard, facts);
                }
                *value
            }
            Shape::List(element) => {
                let size = self.size(of, facts);
                let is_inside = match at.range() {
                    Some(at) if at.min < 0 => false,
                    Some(at) if at.max < size.min => true,
                    _ => facts.truth(&format!("{text} < size({whole})")) == Some(true),
                };
                if !is_inside && !self.is_from_the_end(of, index, size, facts) {
                    let guard = match at.range() {
                        Some(at) if at.min == at.max => format!("size({whole}) > {}", at.min),
                        Some(at) if 0 <= at.min => format!("{text} < size({whole})"),
                        _ => format!("{text} >= 0 && {text} < size({whole})"),
                    };
                    let why = format!("`{whole}` may have no such element");
                    self.data_flaw(ir, why, guard, facts);
                }
                *element
            }
            _ => Shape::Other,
        }
    }

    /// `list[size(list) - 1]`.
    fn is_from_the_end(&mut self, of: &Ir, index: &Ir, size: Range, facts: &Facts<'_>) -> bool {
        let Ir::Arithmetic(Arithmetic::Subtract, all, back) = index else { return false };
        let back = self.quiet(back, facts).range();
        self.text(all) == format!("size({})", self.text(of))
            && back.is_some_and(|back| 1 <= back.min && back.max <= size.min)
    }

    fn data_flaw(&mut self, ir: &Ir, why: String, guard: String, facts: &Facts<'_>) {
        let part = self.text(ir);
        self.flaw(Flaw { danger: Danger::Data, why, guard }, &part, facts);
    }

    fn huge(&mut self, ir: &Ir, facts: &Facts<'_>) {
        let part = self.text(ir);
        let why = format!("`{part}` may be a number of more than 64 bits");
        let guard = String::new();
        self.flaw(Flaw { danger: Danger::HugeNumber, why, guard }, &part, facts);
    }

    /// A whole number of 64 bits, with a word about it where it may be larger.
    fn whole(&mut self, ir: &Ir, range: Range, is_unsigned: bool, facts: &Facts<'_>) -> Shape {
        let bounds = if is_unsigned { Range::U64 } else { Range::I64 };
        if !range.is_within(bounds) {
            // Below zero is no matter of size.
            if is_unsigned && range.min < 0 {
                let part = self.text(ir);
                let why = format!("`{part}` may be below zero, and is of an unsigned type");
                let guard = match ir {
                    Ir::Arithmetic(_, a, b) => format!("{} >= {}", self.text(a), self.text(b)),
                    _ => format!("{part} >= 0"),
                };
                self.flaw(Flaw { danger: Danger::Data, why, guard }, &part, facts);
            } else {
                self.huge(ir, facts);
            }
        }
        Shape::Whole { range: range.both(bounds), is_unsigned }
    }

    pub(super) fn negated(&mut self, ir: &Ir, of: &Ir, facts: &Facts<'_>) -> Shape {
        match self.look(of, facts) {
            Shape::Whole { range, .. } => {
                let turned = Range { min: -range.max, max: -range.min, ..range };
                self.whole(ir, turned, false, facts)
            }
            other => other,
        }
    }

    pub(super) fn compute(
        &mut self,
        ir: &Ir,
        operator: Arithmetic,
        [left, right]: [&Ir; 2],
        facts: &Facts<'_>,
    ) -> Shape {
        let (a, b) = (self.look(left, facts), self.look(right, facts));
        let (x, y, is_unsigned) = match (a, b) {
            (Shape::Whole { range: x, is_unsigned }, Shape::Whole { range: y, .. }) => {
                (x, y, is_unsigned)
            }
            (Shape::Text(a), Shape::Text(b)) => return Shape::Text(a.joined(b)),
            (a @ Shape::List(_), b) => return a.either(b),
            // Points in time and spans: the year 9999 is far.
            (Shape::Other, _) => {
                self.huge(ir, facts);
                return Shape::Other;
            }
            (other, _) => return other,
        };
        if matches!(operator, Arithmetic::Divide | Arithmetic::Modulo) && y.may_be_zero() {
            let by = self.text(right);
            let why = format!("it divides by `{by}`, which may be 0");
            self.data_flaw(ir, why, format!("{by} != 0"), facts);
        }
        // The least number has no room for what it is modulo -1, as a machine of 64 bits has it.
        let least = i128::from(i64::MIN);
        if operator == Arithmetic::Modulo && x.min <= least && y.min <= -1 && -1 <= y.max {
            self.huge(ir, facts);
        }
        let corners = |of: fn(i128, i128) -> i128| {
            let all = [of(x.min, y.min), of(x.min, y.max), of(x.max, y.min), of(x.max, y.max)];
            Range::of(all.into_iter().min().unwrap_or(0), all.into_iter().max().unwrap_or(0))
        };
        let made = match operator {
            Arithmetic::Add => Range::of(x.min + y.min, x.max + y.max),
            Arithmetic::Subtract => Range::of(x.min - y.max, x.max - y.min),
            Arithmetic::Multiply => corners(i128::saturating_mul),
            // No farther from zero than what is divided; with its sign changed perhaps.
            Arithmetic::Divide if 0 <= y.min => Range::of(x.min.min(0), x.max.max(0)),
            Arithmetic::Divide => {
                let most = x.min.abs().max(x.max.abs());
                Range::of(-most, most)
            }
            Arithmetic::Modulo => {
                let most = (y.min.abs().max(y.max.abs()) - 1).max(0);
                Range::of(if x.min < 0 { -most } else { 0 }, if 0 < x.max { most } else { 0 })
            }
        };
        self.whole(ir, made, is_unsigned, facts)
    }

    pub(super) fn look_at_entries(
        &mut self,
        ir: &Ir,
        entries: &[(Ir, Ir)],
        facts: &Facts<'_>,
    ) -> Shape {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (key, value) in entries {
            keys.push(self.look(key, facts));
            values.push(self.look(value, facts));
        }
        let literal = |key: &Ir| matches!(key, Ir::Literal(_));
        let distinct = entries.iter().all(|(key, _)| literal(key))
            && entries.iter().enumerate().all(|(at, (key, _))| {
                entries[..at].iter().all(|(other, _)| self.text(other) != self.text(key))
            });
        if 1 < entries.len() && !distinct {
            let why = "two of its keys may be the same".to_owned();
            let guard = match entries {
                [(a, _), (b, _)] => format!("{} != {}", self.text(a), self.text(b)),
                _ => String::new(),
            };
            let known = !guard.is_empty() && facts.truth(&guard) == Some(true);
            if !known {
                self.data_flaw(ir, why, guard, facts);
            }
        }
        let joined = |all: Vec<Shape>| {
            Box::new(all.into_iter().reduce(Shape::either).unwrap_or(Shape::Other))
        };
        Shape::Map { key: joined(keys), value: joined(values) }
    }

    pub(super) fn call(
        &mut self,
        ir: &Ir,
        function: Function,
        args: &[Ir],
        facts: &Facts<'_>,
    ) -> Shape {
        let shapes: Vec<Shape> = args.iter().map(|it| self.look(it, facts)).collect();
        let Some((first, of)) = shapes.first().zip(args.first()) else { return Shape::Other };
        match function {
            Function::Size => {
                let range = self.size(of, facts);
                Shape::Whole { range, is_unsigned: false }
            }
            Function::ToInt => self.read_whole(ir, of, first, false, facts),
            Function::ToUInt => self.read_whole(ir, of, first, true, facts),
            Function::ToDouble => {
                if matches!(first, Shape::Text(text) if text.number.is_none()) {
                    self.unreadable(ir, of, "a number", NUMBER, facts);
                }
                Shape::Real
            }
            Function::ToString => self.read_text(ir, of, first, facts),
            Function::ToBytes => Shape::Bytes,
            Function::ToKey => Shape::Other,
            Function::ToTimestamp | Function::ToTimestampLoosely | Function::ToDuration => {
                // A constant was read when the definition was checked.
                if !matches!(of, Ir::Literal(_)) {
                    let what = match function {
                        Function::ToDuration => "a span of time",
                        _ => "a point in time",
                    };
                    self.unreadable(ir, of, what, "", facts);
                }
                Shape::Other
            }
            Function::Substring => {
                self.substring(ir, of, &args[1..], facts);
                Shape::Text(TextShape::ANY)
            }
            Function::Sum => self.sum(ir, of, first, facts),
            Function::Split => Shape::List(Box::new(Shape::Text(TextShape::ANY))),
            Function::Flatten => match first {
                Shape::List(inner) => (**inner).clone(),
                _ => Shape::Other,
            },
            Function::LowerAscii | Function::UpperAscii => match first {
                Shape::Text(text) => Shape::Text(*text),
                _ => Shape::Text(TextShape::ANY),
            },
            Function::Trim | Function::Replace | Function::Join | Function::Format => {
                Shape::Text(TextShape::ANY)
            }
            Function::StartsWith | Function::EndsWith | Function::Contains => Shape::Bool(None),
        }
    }

    fn unreadable(&mut self, ir: &Ir, of: &Ir, what: &str, pattern: &str, facts: &Facts<'_>) {
        let text = self.text(of);
        let guard = match pattern {
            "" => String::new(),
            pattern => format!("{text}.matches('{pattern}')"),
        };
        self.data_flaw(ir, format!("`{text}` may not be {what}"), guard, facts);
    }

    fn read_whole(
        &mut self,
        ir: &Ir,
        of: &Ir,
        from: &Shape,
        is_unsigned: bool,
        facts: &Facts<'_>,
    ) -> Shape {
        let bounds = if is_unsigned { Range::U64 } else { Range::I64 };
        let range = match from {
            Shape::Text(text) => text.number.filter(|it| it.is_within(bounds)).or_else(|| {
                let pattern = if is_unsigned { "^[0-9]{1,18}$" } else { NUMBER };
                self.unreadable(ir, of, "a number", pattern, facts);
                None
            }),
            Shape::Real => {
                let literal = if let Ir::Literal(value) = of { cut_off(value) } else { None };
                let known = literal.map(Range::one).or_else(|| facts.range(&self.text(ir)));
                self.read_real(ir, of, known, bounds, facts);
                known.map(|it| it.both(bounds))
            }
            Shape::Other => None,
            other => other.range(),
        };
        self.whole(ir, range.unwrap_or(bounds), is_unsigned, facts)
    }

    /// A fraction is cut off. What is no number, or a huge one, has no place.
    fn read_real(
        &mut self,
        ir: &Ir,
        of: &Ir,
        known: Option<Range>,
        bounds: Range,
        facts: &Facts<'_>,
    ) {
        // A double has no place for the last of each: it would stand for one more.
        let is_within = |it: &Range| bounds.min <= it.min && it.max < bounds.max;
        if !known.as_ref().is_some_and(is_within) {
            let text = self.text(of);
            let why = format!("`{text}` may be no number of 64 bits");
            let most = if bounds.min < 0 { "9e18" } else { "18e18" };
            let least = if bounds.min < 0 { "-9e18" } else { "0" };
            let guard = format!("{text} >= {least} && {text} <= {most}");
            self.data_flaw(ir, why, guard, facts);
        }
    }

    fn read_text(&mut self, ir: &Ir, of: &Ir, from: &Shape, facts: &Facts<'_>) -> Shape {
        Shape::Text(match from {
            Shape::Text(text) => *text,
            Shape::Bytes => {
                if !matches!(of, Ir::Literal(_)) {
                    self.unreadable(ir, of, "UTF-8", "", facts);
                }
                TextShape::ANY
            }
            other => TextShape { number: other.range(), ..TextShape::printable(40) },
        })
    }

    fn substring(&mut self, ir: &Ir, of: &Ir, places: &[Ir], facts: &Facts<'_>) {
        let size = self.size(of, facts);
        let ranges: Vec<Option<Range>> =
            places.iter().map(|it| self.quiet(it, facts).range()).collect();
        let text = self.text(of);
        let is_end = |judge: &Self, place: &Ir| judge.text(place) == format!("size({text})");
        let is_inside = match (ranges.as_slice(), places) {
            ([Some(from)], _) => 0 <= from.min && from.max <= size.min,
            ([Some(from), _], [_, to]) if is_end(self, to) => 0 <= from.min && from.max <= size.min,
            ([Some(from), Some(to)], _) => {
                0 <= from.min && from.max <= to.min && to.max <= size.min
            }
            _ => false,
        };
        if !is_inside {
            let last = places.last().map_or(String::new(), |it| self.text(it));
            let why = format!("`{text}` may be shorter");
            self.data_flaw(ir, why, format!("size({text}) >= {last}"), facts);
        }
    }

    fn sum(&mut self, ir: &Ir, of: &Ir, from: &Shape, facts: &Facts<'_>) -> Shape {
        let Shape::List(element) = from else { return Shape::Other };
        let Shape::Whole { range, is_unsigned } = **element else { return (**element).clone() };
        let size = self.size(of, facts).max;
        let range =
            Range::of(range.min.min(0).saturating_mul(size), range.max.max(0).saturating_mul(size));
        self.whole(ir, range, is_unsigned, facts)
    }
}
