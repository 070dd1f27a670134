//! Whether an expression may have no value, given what is known at its place: it is evaluated
//! on what its values are known to be, without any saga's data.

use super::{
    Arithmetic, Comparison, Function, Ir, Loop, LoopKind,
    facts::Facts,
    learning::decided,
    shape::{Range, Shape, TextShape},
    written::written,
};
use prost_reflect::Value;
use saga_core::StepIndex;

/// Parts that are looked at for one expression at most. What is more involved is not judged safe.
const PARTS_MAX: u32 = 100_000;

/// How it comes that an expression has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Danger {
    /// A step has no reply.
    NoReply(StepIndex),
    /// Its data is not as it takes it for.
    Data,
    /// Only with numbers of 16 digits and more.
    HugeNumber,
}

/// Why an expression may have no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) danger: Danger,
    pub(crate) why: String,
    /// The condition that mends it. Empty: there is none in the language.
    pub(crate) guard: String,
}

/// Looks through expressions.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    pub(super) steps: &'a [String],
    /// How the signal or the reply that is judged is read later.
    pub(crate) own: Option<String>,
    locals: Vec<Shape>,
    flaws: Vec<Flaw>,
    parts: u32,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(steps: &'a [String]) -> Self {
        Self { steps, own: None, locals: Vec::new(), flaws: Vec::new(), parts: 0 }
    }

    /// What was found since the last time.
    pub(crate) fn take(&mut self) -> Vec<Flaw> {
        self.parts = 0;
        std::mem::take(&mut self.flaws)
    }

    pub(super) fn text(&self, ir: &Ir) -> String {
        written(ir, self.steps, self.own.as_deref())
    }

    pub(super) fn spend(&mut self) -> bool {
        self.parts += 1;
        self.parts < PARTS_MAX
    }

    /// What a value is known to be, without a word about how it may fail.
    pub(super) fn quiet(&mut self, ir: &Ir, facts: &Facts<'_>) -> Shape {
        let found = self.flaws.len();
        let shape = self.look(ir, facts);
        self.flaws.truncate(found);
        shape
    }

    /// Finds out how `ir` may fail.
    pub(crate) fn judge(&mut self, ir: &Ir, facts: &Facts<'_>) {
        self.look(ir, facts);
    }

    /// Whether this condition surely holds.
    pub(crate) fn is_true(&mut self, ir: &Ir, facts: &Facts<'_>) -> bool {
        self.is(ir, true, facts)
    }

    /// Whether this condition surely has a value, and does not hold.
    pub(crate) fn is_false(&mut self, ir: &Ir, facts: &Facts<'_>) -> bool {
        self.is(ir, false, facts)
    }

    /// Whether this surely has a value.
    pub(crate) fn has_value(&mut self, ir: &Ir, facts: &Facts<'_>) -> bool {
        let found = self.flaws.len();
        self.look(ir, facts);
        let has = self.flaws.len() == found;
        self.flaws.truncate(found);
        has
    }

    fn is(&mut self, ir: &Ir, truth: bool, facts: &Facts<'_>) -> bool {
        let found = self.flaws.len();
        let is = self.look(ir, facts) == Shape::Bool(Some(truth)) && self.flaws.len() == found;
        self.flaws.truncate(found);
        is
    }

    /// Adds a flaw, unless this part is known to have had a value.
    pub(super) fn flaw(&mut self, flaw: Flaw, part: &str, facts: &Facts<'_>) {
        if !facts.is_valued(part) {
            self.flaws.push(flaw);
        }
    }

    /// Finds out how `ir` may fail, and what it is known to be otherwise.
    pub(super) fn look(&mut self, ir: &Ir, facts: &Facts<'_>) -> Shape {
        if !self.spend() {
            let why = "it is too involved to be judged".to_owned();
            self.flaws.push(Flaw { danger: Danger::Data, why, guard: String::new() });
            return Shape::Other;
        }
        let shape = self.look_at(ir, facts);
        match shape {
            Shape::Whole { range, is_unsigned } if range.min != range.max => {
                let known = facts.range(&self.text(ir));
                let range = known.map_or(range, |it| it.both(range));
                Shape::Whole { range, is_unsigned }
            }
            Shape::Bool(None) => Shape::Bool(facts.truth(&self.text(ir))),
            Shape::Text(shape) if shape.chars.min != shape.chars.max => {
                let text = self.text(ir);
                let shape = facts.text(&text).map_or(shape, |it| it.both(shape));
                let size = facts.range(&format!("size({text})"));
                let chars = size.map_or(shape.chars, |it| it.both(shape.chars));
                Shape::Text(TextShape { chars, ..shape })
            }
            shape => shape,
        }
    }

    fn look_at(&mut self, ir: &Ir, facts: &Facts<'_>) -> Shape {
        match ir {
            Ir::Literal(value) => Shape::of_value(value),
            Ir::Input | Ir::Signal | Ir::OwnReply | Ir::StartedAt => Shape::Other,
            Ir::Reply(step) => {
                self.look_at_reply(*step, facts);
                Shape::Other
            }
            Ir::HasReply(step) => Shape::Bool(facts.has_reply(*step).then_some(true)),
            Ir::SagaId | Ir::Operation(_) => Shape::Text(TextShape::printable(36)),
            Ir::FailureStep => Shape::Text(TextShape::printable(64)),
            Ir::BusinessKey | Ir::Namespace | Ir::FailureReason => Shape::Text(TextShape::ANY),
            Ir::Local(depth) => self.locals.get(*depth).cloned().unwrap_or(Shape::Other),
            Ir::Select(of, field) => {
                self.look(of, facts);
                Shape::of_field(field)
            }
            Ir::Has(of, _) | Ir::Matches(of, _) => {
                self.look(of, facts);
                Shape::Bool(None)
            }
            Ir::EnumName(of, _) => {
                self.look(of, facts);
                Shape::Text(TextShape::printable(64))
            }
            Ir::Index(of, index) => self.look_at_index(ir, of, index, facts),
            Ir::Not(of) => match self.look(of, facts) {
                Shape::Bool(is) => Shape::Bool(is.map(|it| !it)),
                other => other,
            },
            Ir::And(a, b) => self.either(a, b, false, facts),
            Ir::Or(a, b) => self.either(a, b, true, facts),
            Ir::Choose(test, then, other) => self.choose([test, then, other], facts),
            Ir::Negate(of) => self.negated(ir, of, facts),
            Ir::Arithmetic(operator, a, b) => self.compute(ir, *operator, [a, b], facts),
            Ir::Compare(operator, a, b) => self.compare(*operator, a, b, facts),
            Ir::In(item, all) => {
                self.look(item, facts);
                self.look(all, facts);
                Shape::Bool(None)
            }
            Ir::Call(function, args) => self.call(ir, *function, args, facts),
            Ir::List(items) => {
                let shapes: Vec<Shape> = items.iter().map(|it| self.look(it, facts)).collect();
                let one = shapes.into_iter().reduce(Shape::either);
                Shape::List(Box::new(one.unwrap_or(Shape::Other)))
            }
            Ir::Record(fields) => {
                let shapes: Vec<Shape> =
                    fields.iter().map(|it| self.look(&it.value, facts)).collect();
                let value = shapes.into_iter().reduce(Shape::either).unwrap_or(Shape::Other);
                let key = Box::new(Shape::Text(TextShape::ANY));
                Shape::Map { key, value: Box::new(value) }
            }
            Ir::Entries(entries) => self.look_at_entries(ir, entries, facts),
            Ir::Loop(it) => self.run(it, facts),
        }
    }

    fn look_at_reply(&mut self, step: StepIndex, facts: &Facts<'_>) {
        if facts.has_reply(step) {
            return;
        }
        let name = self.steps.get(step.at()).map_or("?", String::as_str);
        let why = format!("step {name} may have no reply");
        let guard = format!("has(steps.{name}.reply)");
        self.flaws.push(Flaw { danger: Danger::NoReply(step), why, guard });
    }

    fn choose(&mut self, [test, then, other]: [&Ir; 3], facts: &Facts<'_>) -> Shape {
        let is = self.look(test, facts);
        let mut branch = |ir: &Ir, truth: bool| {
            let mut inside = Facts::inside(facts);
            self.learn(&mut inside, test, truth);
            self.look(ir, &inside)
        };
        match is {
            Shape::Bool(Some(true)) => branch(then, true),
            Shape::Bool(Some(false)) => branch(other, false),
            _ => {
                let one = branch(then, true);
                one.either(branch(other, false))
            }
        }
    }

    /// `&&` and `||`: what either side decides alone holds, whatever becomes of the other. So
    /// the failure of one side counts only where the other does not decide.
    fn either(&mut self, a: &Ir, b: &Ir, decisive: bool, facts: &Facts<'_>) -> Shape {
        let found = self.flaws.len();
        let right = self.look(b, facts);
        let right_fails = found < self.flaws.len();
        self.flaws.truncate(found);
        let mut beside_b = Facts::inside(facts);
        if !right_fails {
            self.learn(&mut beside_b, b, !decisive);
        }
        let left = self.look(a, &beside_b);
        let left_fails = found < self.flaws.len();
        let decided = Shape::Bool(Some(decisive));
        if right == decided && !right_fails || left == decided && !left_fails {
            self.flaws.truncate(found);
            return decided;
        }
        if right_fails {
            let mut beside_a = Facts::inside(facts);
            if !left_fails {
                self.learn(&mut beside_a, a, !decisive);
            }
            self.look(b, &beside_a);
        }
        match (left, right) {
            (Shape::Bool(Some(_)), Shape::Bool(Some(_))) => Shape::Bool(Some(!decisive)),
            _ => Shape::Bool(None),
        }
    }

    fn compare(&mut self, operator: Comparison, a: &Ir, b: &Ir, facts: &Facts<'_>) -> Shape {
        let sides = [self.look(a, facts), self.look(b, facts)];
        if let Comparison::Equal | Comparison::NotEqual = operator
            && let Some(equal) = self.is_known(a, b, facts)
        {
            return Shape::Bool(Some((operator == Comparison::Equal) == equal));
        }
        if let [Shape::Text(a), Shape::Text(b)] = &sides
            && let Comparison::Equal | Comparison::NotEqual = operator
            && decided(Comparison::Equal, a.chars, b.chars) == Some(false)
        {
            return Shape::Bool(Some(operator == Comparison::NotEqual));
        }
        let [a, b] = sides;
        Shape::Bool(a.range().zip(b.range()).and_then(|(a, b)| decided(operator, a, b)))
    }

    /// Whether one of both is known to be what the other is written as.
    fn is_known(&self, a: &Ir, b: &Ir, facts: &Facts<'_>) -> Option<bool> {
        let of = |part: &Ir, literal: &Ir| {
            let Ir::Literal(literal) = literal else { return None };
            match (facts.literal(&self.text(part))?, literal) {
                // Numbers of several kinds are equal by value: their ranges know.
                (Value::String(is), Value::String(it)) => Some(is == it),
                (Value::EnumNumber(is), Value::EnumNumber(it)) => Some(is == it),
                _ => None,
            }
        };
        of(a, b).or_else(|| of(b, a))
    }

    fn run(&mut self, it: &Loop, facts: &Facts<'_>) -> Shape {
        let over = self.look(&it.over, facts);
        let element = match &over {
            Shape::List(element) => (**element).clone(),
            Shape::Map { key, .. } => (**key).clone(),
            _ => Shape::Other,
        };
        self.inside_loop(it, element, facts, |judge, inside| {
            let body = judge.look(&it.body, inside);
            match it.kind {
                LoopKind::Map => Shape::List(Box::new(body)),
                LoopKind::Filter => match over {
                    Shape::Map { key, .. } => Shape::List(key),
                    list => list,
                },
                LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Shape::Bool(None),
            }
        })
    }

    /// Goes into the body of a loop, with what is known of its elements.
    pub(super) fn inside_loop<T>(
        &mut self,
        it: &Loop,
        element: Shape,
        facts: &Facts<'_>,
        look: impl FnOnce(&mut Self, &Facts<'_>) -> T,
    ) -> T {
        self.locals.truncate(it.local);
        self.locals.push(element);
        let mut inside = Facts::inside(facts);
        let over = self.text(&it.over);
        for holds in facts.each_of(&over, it.local) {
            self.learn(&mut inside, holds, true);
        }
        if let Ir::Loop(inner) = &it.over
            && inner.kind == LoopKind::Filter
            && inner.local == it.local
        {
            self.learn(&mut inside, &inner.body, true);
        }
        if let Some(condition) = &it.condition {
            self.look(condition, &inside);
            self.learn(&mut inside, condition, true);
        }
        let made = look(self, &inside);
        self.locals.truncate(it.local);
        made
    }

    /// How many elements or characters there are.
    pub(super) fn size(&mut self, of: &Ir, facts: &Facts<'_>) -> Range {
        let made = match of {
            Ir::List(items) => Range::one(items.len() as i128),
            Ir::Record(fields) => Range::of(0, fields.len() as i128),
            Ir::Entries(entries) => Range::one(entries.len() as i128),
            Ir::Loop(it) if it.kind == LoopKind::Map && it.condition.is_none() => {
                self.size(&it.over, facts)
            }
            Ir::Arithmetic(Arithmetic::Add, a, b) => {
                let [a, b] = [a, b].map(|it| self.size(it, facts));
                Range::of(a.min + b.min, a.max + b.max)
            }
            Ir::Call(Function::ToBytes, args) if args.len() == 1 => {
                // A character is one byte or more.
                Range::of(self.size(&args[0], facts).min, Range::SIZE.max)
            }
            _ => match self.quiet(of, facts) {
                Shape::Text(text) => text.chars,
                _ => Range::SIZE,
            },
        };
        let known = facts.range(&format!("size({})", self.text(of)));
        known.map_or(made, |it| it.both(made))
    }
}
