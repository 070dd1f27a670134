//! What follows from a condition that holds, or does not.

use prost_reflect::Value;

use super::{
    Arithmetic, Comparison, Function, Ir, LoopKind,
    facts::Facts,
    failing::Judge,
    patterns::of_matching,
    shape::{Range, Shape, TextShape, cut_off},
    written::negation,
};

impl Judge<'_> {
    /// Adds what follows where `ir` is `truth`.
    pub(crate) fn learn<'p>(&mut self, facts: &mut Facts<'p>, ir: &'p Ir, truth: bool) {
        if !self.spend() {
            return;
        }
        let text = self.text(ir);
        match (ir, truth) {
            (Ir::Not(of), _) => self.learn(facts, of, !truth),
            (Ir::And(a, b), true) | (Ir::Or(a, b), false) => {
                self.learn(facts, a, truth);
                self.learn(facts, b, truth);
            }
            (Ir::And(a, b), false) | (Ir::Or(a, b), true) => self.learn_one(facts, a, b, truth),
            (Ir::Choose(test, then, other), _) => {
                let is = |shape: Shape| shape == Shape::Bool(Some(!truth));
                if is(self.quiet(other, facts)) {
                    self.learn(facts, test, true);
                    self.learn(facts, then, truth);
                } else if is(self.quiet(then, facts)) {
                    self.learn(facts, test, false);
                    self.learn(facts, other, truth);
                }
            }
            (Ir::Compare(operator, a, b), _) => {
                self.learn_compared(facts, *operator, [a, b], truth)
            }
            (Ir::Has(of, field), _) => {
                let part = format!("{}.{}", self.text(of), field.name());
                if field.is_list() || field.is_map() {
                    let size = if truth { Range::of(1, Range::SIZE.max) } else { Range::one(0) };
                    facts.learn_range(format!("size({part})"), size);
                } else if truth
                    && !field.supports_presence()
                    && let Some(range) = Range::of_kind(&field.kind())
                {
                    facts.learn_range(part, Range { is_nonzero: true, ..range });
                }
            }
            (Ir::HasReply(step), true) => facts.learn_reply(*step),
            (Ir::In(item, all), true) => {
                self.learn_values(facts, item);
                self.learn_values(facts, all);
                facts.truths.insert(format!("{} in {}", self.text(item), self.text(all)), true);
                self.learn_size(facts, all, Range::of(1, Range::SIZE.max));
                if let Ir::List(items) = &**all {
                    let shapes = items.iter().map(|it| self.quiet(it, facts));
                    if let Some(shape) =
                        shapes.collect::<Vec<_>>().into_iter().reduce(Shape::either)
                    {
                        self.learn_shape(facts, item, &shape);
                    }
                }
            }
            (Ir::Matches(of, pattern), true) => {
                let of = self.text(of);
                facts.learn_text(of, of_matching(pattern.as_str()));
            }
            (Ir::Loop(it), true) => match it.kind {
                LoopKind::All => facts.each.push((self.text(&it.over), it.local, &it.body)),
                LoopKind::Exists | LoopKind::ExistsOne => {
                    self.learn_size(facts, &it.over, Range::of(1, Range::SIZE.max));
                }
                LoopKind::Map | LoopKind::Filter => {}
            },
            _ => {}
        }
        facts.truths.insert(text, truth);
        if let Some(text) = negation(ir, self.steps, self.own.as_deref()) {
            facts.truths.insert(text, !truth);
        }
    }

    fn learn_compared<'p>(
        &mut self,
        facts: &mut Facts<'p>,
        operator: Comparison,
        [a, b]: [&'p Ir; 2],
        truth: bool,
    ) {
        self.learn_values(facts, a);
        self.learn_values(facts, b);
        self.learn_order(facts, operator, [a, b], truth);
        let equal = if truth { Comparison::Equal } else { Comparison::NotEqual };
        if operator == equal {
            self.learn_literal(facts, a, b);
            self.learn_literal(facts, b, a);
        }
    }

    /// One of both is so: what follows from either, or from the one that can be.
    fn learn_one<'p>(&mut self, facts: &mut Facts<'p>, a: &'p Ir, b: &'p Ir, truth: bool) {
        let never = Shape::Bool(Some(!truth));
        if self.quiet(a, facts) == never {
            return self.learn(facts, b, truth);
        }
        if self.quiet(b, facts) == never {
            return self.learn(facts, a, truth);
        }
        let [one, other] = [a, b].map(|it| {
            let mut inside = Facts::inside(facts);
            self.learn(&mut inside, it, truth);
            inside.into_learned()
        });
        facts.learn_either(one, other);
    }

    fn learn_order(
        &mut self,
        facts: &mut Facts<'_>,
        operator: Comparison,
        [a, b]: [&Ir; 2],
        truth: bool,
    ) {
        let shapes = [self.quiet(a, facts), self.quiet(b, facts)];
        let operator = if truth { operator } else { opposite(operator) };
        match &shapes {
            [Shape::Text(_), Shape::Text(_)] => self.learn_text_order(facts, operator, [a, b]),
            [Shape::Bool(_), Shape::Bool(Some(is))] => {
                let truth = (operator == Comparison::Equal) == *is;
                let text = self.text(a);
                facts.truths.insert(text, truth);
            }
            // What is no number compares false with all: the opposite tells nothing.
            [Shape::Real, _] | [_, Shape::Real] if truth => {
                self.learn_real(facts, operator, a, b);
                self.learn_real(facts, turned(operator), b, a);
            }
            [Shape::List(_) | Shape::Map { .. }, _] => {
                if let Some(items) = literal_size(b) {
                    let sizes = match operator {
                        Comparison::Equal => Range::one(items),
                        _ if items == 0 => Range::of(1, Range::SIZE.max),
                        _ => return,
                    };
                    self.learn_size(facts, a, sizes);
                }
            }
            [one, other] => {
                let (Some(of_a), Some(of_b)) = (one.range(), other.range()) else { return };
                let texts = [self.text(a), self.text(b)];
                let [text_a, text_b] = texts;
                match operator {
                    Comparison::Less => facts.truths.insert(format!("{text_a} < {text_b}"), true),
                    Comparison::Greater => {
                        facts.truths.insert(format!("{text_b} < {text_a}"), true)
                    }
                    _ => None,
                };
                facts.learn_range(text_a, bounded(of_a, operator, of_b));
                facts.learn_range(text_b, bounded(of_b, turned(operator), of_a));
            }
        }
    }

    /// What is cut off a number with a fraction, where that is compared with a literal.
    fn learn_real(&self, facts: &mut Facts<'_>, operator: Comparison, part: &Ir, literal: &Ir) {
        let Ir::Literal(literal) = literal else { return };
        let Some(cut) = cut_off(literal) else { return };
        let range = match operator {
            Comparison::Equal => Range::one(cut),
            Comparison::Less | Comparison::LessOrEqual => Range::of(i128::MIN, cut),
            Comparison::Greater | Comparison::GreaterOrEqual => Range::of(cut, i128::MAX),
            Comparison::NotEqual => return,
        };
        let text = self.text(part);
        for whole in ["int", "uint"] {
            facts.learn_range(format!("{whole}({text})"), range);
        }
    }

    /// A part is what it is written as.
    fn learn_literal<'p>(&self, facts: &mut Facts<'p>, part: &Ir, literal: &'p Ir) {
        if let Ir::Literal(value) = literal {
            facts.literals.insert(self.text(part), value);
        }
    }

    fn learn_text_order(&mut self, facts: &mut Facts<'_>, operator: Comparison, sides: [&Ir; 2]) {
        for (of, by) in [(sides[0], sides[1]), (sides[1], sides[0])] {
            let Shape::Text(shape) = self.quiet(by, facts) else { continue };
            let known = match operator {
                Comparison::Equal => shape,
                Comparison::NotEqual if shape.chars == Range::one(0) => {
                    TextShape { chars: Range::of(1, Range::SIZE.max), ..TextShape::ANY }
                }
                _ => continue,
            };
            facts.learn_text(self.text(of), known);
        }
    }

    fn learn_shape(&mut self, facts: &mut Facts<'_>, of: &Ir, shape: &Shape) {
        let text = self.text(of);
        match shape {
            Shape::Text(shape) => facts.learn_text(text, *shape),
            shape => {
                if let Some(range) = shape.range() {
                    facts.learn_range(text, range);
                }
            }
        }
    }

    fn learn_size(&mut self, facts: &mut Facts<'_>, of: &Ir, size: Range) {
        facts.learn_range(format!("size({})", self.text(of)), size);
    }

    /// Everything in it that could have failed has had a value.
    pub(crate) fn learn_values(&mut self, facts: &mut Facts<'_>, ir: &Ir) {
        let mut inner: Vec<&Ir> = Vec::new();
        match ir {
            Ir::Index(a, b) => {
                facts.learn_value(self.text(ir));
                // There is such an element: so there is one.
                self.learn_size(facts, a, Range::of(1, Range::SIZE.max));
                inner.extend([&**a, &**b]);
            }
            Ir::Arithmetic(operator, a, b) => {
                facts.learn_value(self.text(ir));
                if matches!(operator, Arithmetic::Divide | Arithmetic::Modulo)
                    && let Some(range) = self.quiet(b, facts).range()
                {
                    let text = self.text(b);
                    facts.learn_range(text, Range { is_nonzero: true, ..range });
                }
                inner.extend([&**a, &**b]);
            }
            Ir::Call(function, args) => {
                facts.learn_value(self.text(ir));
                if let (Function::ToInt | Function::ToUInt, [of]) = (function, args.as_slice())
                    && let Shape::Text(_) = self.quiet(of, facts)
                {
                    let number = Some(match function {
                        Function::ToInt => Range::I64,
                        _ => Range::U64,
                    });
                    facts.learn_text(self.text(of), TextShape { number, ..TextShape::ANY });
                }
                inner.extend(args);
            }
            Ir::Negate(of) => {
                facts.learn_value(self.text(ir));
                inner.push(of);
            }
            Ir::Entries(entries) => {
                facts.learn_value(self.text(ir));
                inner.extend(entries.iter().flat_map(|(key, value)| [key, value]));
            }
            Ir::Reply(step) => facts.learn_reply(*step),
            Ir::Select(of, _) | Ir::Has(of, _) | Ir::Not(of) => inner.push(of),
            Ir::EnumName(of, _) | Ir::Matches(of, _) | Ir::Choose(of, _, _) => inner.push(of),
            Ir::Compare(_, a, b) | Ir::In(a, b) => inner.extend([&**a, &**b]),
            Ir::List(items) => inner.extend(items),
            Ir::Record(fields) => inner.extend(fields.iter().map(|it| &it.value)),
            Ir::Loop(it) => inner.push(&it.over),
            _ => {}
        }
        if self.spend() {
            inner.into_iter().for_each(|it| self.learn_values(facts, it));
        }
    }
}

/// The size of a literal list.
fn literal_size(ir: &Ir) -> Option<i128> {
    match ir {
        Ir::List(items) => Some(items.len() as i128),
        Ir::Literal(Value::List(items)) => Some(items.len() as i128),
        _ => None,
    }
}

/// What holds where this does not.
fn opposite(operator: Comparison) -> Comparison {
    match operator {
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
    }
}

/// The same with its sides changed.
fn turned(operator: Comparison) -> Comparison {
    match operator {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => same,
    }
}

/// The numbers of `a` that stand so to one of `b`.
fn bounded(a: Range, operator: Comparison, b: Range) -> Range {
    match operator {
        Comparison::Equal => a.both(b),
        Comparison::Less => a.both(Range::of(i128::MIN, b.max.saturating_sub(1))),
        Comparison::LessOrEqual => a.both(Range::of(i128::MIN, b.max)),
        Comparison::Greater => a.both(Range::of(b.min.saturating_add(1), i128::MAX)),
        Comparison::GreaterOrEqual => a.both(Range::of(b.min, i128::MAX)),
        Comparison::NotEqual if b.min != b.max => a,
        Comparison::NotEqual => {
            let without = Range {
                min: if a.min == b.min { a.min + 1 } else { a.min },
                max: if a.max == b.min { a.max - 1 } else { a.max },
                is_nonzero: a.is_nonzero || b.min == 0,
            };
            a.both(without)
        }
    }
}

/// What `ir` compares is judged as a whole: which truth it has.
pub(super) fn decided(operator: Comparison, a: Range, b: Range) -> Option<bool> {
    let one = a.min == a.max && b.min == b.max;
    match operator {
        Comparison::Equal if one => Some(a.min == b.min),
        Comparison::Equal if a.max < b.min || b.max < a.min => Some(false),
        Comparison::NotEqual => decided(Comparison::Equal, a, b).map(|it| !it),
        Comparison::Less if a.max < b.min => Some(true),
        Comparison::Less if b.max <= a.min => Some(false),
        Comparison::LessOrEqual => decided(Comparison::Less, b, a).map(|it| !it),
        Comparison::Greater => decided(Comparison::Less, b, a),
        Comparison::GreaterOrEqual => decided(Comparison::Less, a, b).map(|it| !it),
        _ => None,
    }
}
