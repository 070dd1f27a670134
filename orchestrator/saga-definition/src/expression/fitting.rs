//! Whether a value may not fit where it is put: into a field, or into a header.

use prost_reflect::{FieldDescriptor, Kind};

use super::{
    Ir, LoopKind, RecordField,
    facts::Facts,
    failing::{Danger, Flaw, Judge},
    shape::{Range, Shape},
};

/// Above, not every whole number is a double.
const DOUBLE_MAX: i128 = 1 << 53;

/// Characters of a header at most.
const HEADER_CHARS_MAX: i128 = 256;

impl Judge<'_> {
    /// Finds out how the value of `ir` may not fit into `field`.
    pub(crate) fn fit(&mut self, ir: &Ir, field: &FieldDescriptor, facts: &Facts<'_>) {
        if !self.spend() {
            return;
        }
        match (ir, field.kind()) {
            (Ir::Choose(test, then, other), _) => {
                let is = self.quiet(test, facts);
                for (branch, truth) in [(then, true), (other, false)] {
                    if is == Shape::Bool(Some(!truth)) {
                        continue;
                    }
                    let mut inside = Facts::inside(facts);
                    self.learn(&mut inside, test, truth);
                    self.fit(branch, field, &inside);
                }
            }
            (Ir::List(items), _) => items.iter().for_each(|it| self.fit(it, field, facts)),
            (Ir::Loop(it), _) if it.kind == LoopKind::Map => {
                let element = match self.quiet(&it.over, facts) {
                    Shape::List(element) => *element,
                    Shape::Map { key, .. } => *key,
                    _ => Shape::Other,
                };
                self.inside_loop(it, element, facts, |judge, inside| {
                    judge.fit(&it.body, field, inside);
                });
            }
            (Ir::Record(fields), Kind::Message(of)) if field.is_map() => {
                let value = of.map_entry_value_field();
                fields.iter().for_each(|it| self.fit(&it.value, &value, facts));
            }
            (Ir::Record(fields), Kind::Message(of)) => {
                self.fit_oneofs(fields, field, facts);
                for it in fields {
                    if let Some(inner) = of.get_field_by_name(&it.name) {
                        self.fit(&it.value, &inner, facts);
                    }
                }
            }
            _ => {
                let shape = self.quiet(ir, facts);
                self.fit_shape(ir, &shape, &wanted(field), facts);
            }
        }
    }

    /// Two members of a oneof may be given where at most one is set: both copied from those of
    /// one oneof of one message.
    fn fit_oneofs(&mut self, given: &[RecordField], field: &FieldDescriptor, facts: &Facts<'_>) {
        let Kind::Message(of) = field.kind() else { return };
        let member = |it: &RecordField| of.get_field_by_name(&it.name)?.containing_oneof();
        for (at, it) in given.iter().enumerate() {
            let Some(oneof) = member(it) else { continue };
            for other in given[..at].iter().filter(|it| member(it).as_ref() == Some(&oneof)) {
                let alternative = match (&it.value, &other.value) {
                    (Ir::Select(a, a_field), Ir::Select(b, b_field)) => {
                        self.text(a) == self.text(b)
                            && a_field.containing_oneof().is_some()
                            && a_field.containing_oneof() == b_field.containing_oneof()
                    }
                    _ => false,
                };
                if !alternative {
                    let why = format!("`{}` and `{}` exclude one another", other.name, it.name);
                    let flaw = Flaw { danger: Danger::Data, why, guard: String::new() };
                    let part = self.text(&it.value);
                    self.flaw(flaw, &part, facts);
                }
            }
        }
    }

    fn fit_shape(&mut self, ir: &Ir, shape: &Shape, kind: &Kind, facts: &Facts<'_>) {
        let range = match shape {
            Shape::List(element) => return self.fit_shape(ir, element, kind, facts),
            Shape::Map { value, .. } => return self.fit_shape(ir, value, kind, facts),
            Shape::Whole { range, .. } => *range,
            // A value of an enum goes into its own as it is, and into every number.
            Shape::Enum if !matches!(kind, Kind::Enum(_)) => {
                Range::of(i32::MIN.into(), i32::MAX.into())
            }
            _ => return,
        };
        let is_one = range.min == range.max;
        let bounds = match kind {
            Kind::Enum(of) if is_one => {
                let named = i32::try_from(range.min).is_ok_and(|it| of.get_value(it).is_some());
                if named {
                    return;
                }
                Range::one(0)
            }
            Kind::Enum(_) => Range::one(0),
            Kind::Double | Kind::Float => Range::of(-DOUBLE_MAX, DOUBLE_MAX),
            kind => match Range::of_kind(kind) {
                Some(bounds) => bounds,
                None => return,
            },
        };
        if range.is_within(bounds) && !matches!(kind, Kind::Enum(_)) {
            return;
        }
        let part = self.text(ir);
        let mut guards = Vec::new();
        if range.min < bounds.min {
            guards.push(format!("{part} >= {}", bounds.min));
        }
        if bounds.max < range.max {
            guards.push(format!("{part} <= {}", bounds.max));
        }
        let is_huge = DOUBLE_MAX <= bounds.max && (range.min >= bounds.min || bounds.min < 0);
        let (danger, guard) = match kind {
            Kind::Enum(_) => (Danger::Data, String::new()),
            _ if is_huge => (Danger::HugeNumber, guards.join(" && ")),
            _ => (Danger::Data, guards.join(" && ")),
        };
        let why = format!("`{part}` may not fit into its field ({})", name_of(kind));
        self.flaw(Flaw { danger, why, guard }, &fitting(&part, kind), facts);
    }

    /// Everything in a value that was sent had a value, and fitted.
    pub(crate) fn learn_sent(
        &mut self,
        facts: &mut Facts<'_>,
        ir: &Ir,
        field: Option<&FieldDescriptor>,
    ) {
        self.learn_values(facts, ir);
        let fits_by_type = |field: &FieldDescriptor| match ir {
            Ir::Select(_, source) => source.kind() == field.kind(),
            _ => false,
        };
        if let Some(field) = field.filter(|it| !fits_by_type(it)) {
            let part = fitting(&self.text(ir), &wanted(field));
            facts.learn_value(part);
            if let Ir::Record(fields) = ir
                && let Kind::Message(of) = field.kind()
            {
                for it in fields {
                    let inner = of.get_field_by_name(&it.name);
                    self.learn_sent(facts, &it.value, inner.as_ref());
                }
            }
        }
    }

    /// Finds out how the value of `ir` may be none of a header.
    pub(crate) fn fit_header(&mut self, ir: &Ir, facts: &Facts<'_>) {
        let Shape::Text(text) = self.quiet(ir, facts) else { return };
        if text.is_printable && text.chars.max <= HEADER_CHARS_MAX {
            return;
        }
        let part = self.text(ir);
        let why = format!("`{part}` may be no header: {HEADER_CHARS_MAX} printable characters");
        let guard = format!("{part}.matches('^[ -~]{{0,{HEADER_CHARS_MAX}}}$')");
        let flaw = Flaw { danger: Danger::Data, why, guard };
        self.flaw(flaw, &format!("{part} in a header"), facts);
    }

    /// It was sent as a header.
    pub(crate) fn learn_header(&mut self, facts: &mut Facts<'_>, ir: &Ir) {
        self.learn_values(facts, ir);
        let part = self.text(ir);
        facts.learn_value(format!("{part} in a header"));
    }
}

/// What a field holds: of a map, its values; of a wrapper, what it wraps.
fn wanted(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        Kind::Message(of) => {
            let is_wrapper = of.full_name().starts_with("google.protobuf.")
                && of.full_name().ends_with("Value")
                && of.full_name() != "google.protobuf.Value";
            let inner = of.get_field_by_name("value").filter(|_| is_wrapper);
            inner.map_or(Kind::Message(of), |it| it.kind())
        }
        kind => kind,
    }
}

/// How it is noted that a value fitted.
fn fitting(part: &str, kind: &Kind) -> String {
    format!("{part} as {}", name_of(kind))
}

fn name_of(kind: &Kind) -> String {
    match kind {
        Kind::Enum(of) => of.full_name().to_owned(),
        Kind::Message(of) => of.full_name().to_owned(),
        kind => format!("{kind:?}").to_lowercase(),
    }
}
