//! An expression as a person would write it: for what is said about it, and to see that two
//! parts are the same one. Two that are written alike have the same value at the same place.

use prost_reflect::Value;

use super::{Arithmetic, Comparison, Function, Ir, Loop, LoopKind};

/// An expression as text. `own` is how the signal or the reply is called that is judged.
pub(crate) fn written(ir: &Ir, steps: &[String], own: Option<&str>) -> String {
    Writer { steps, own }.text(ir)
}

/// How the comparison is written that holds where this one does not. `None`: it is none that has
/// such a one for every value.
pub(super) fn negation(ir: &Ir, steps: &[String], own: Option<&str>) -> Option<String> {
    let writer = Writer { steps, own };
    match ir {
        Ir::Compare(Comparison::Equal, a, b) => Some(writer.infix(a, "!=", b)),
        Ir::Compare(Comparison::NotEqual, a, b) => Some(writer.infix(a, "==", b)),
        _ => None,
    }
}

struct Writer<'a> {
    steps: &'a [String],
    own: Option<&'a str>,
}

impl Writer<'_> {
    fn text(&self, ir: &Ir) -> String {
        match ir {
            Ir::Literal(value) => literal(value),
            Ir::Input => "input".to_owned(),
            Ir::Reply(step) => format!("steps.{}.reply", self.step(step.at())),
            Ir::HasReply(step) => format!("has(steps.{}.reply)", self.step(step.at())),
            Ir::SagaId => "saga.id".to_owned(),
            Ir::BusinessKey => "saga.business_key".to_owned(),
            Ir::Namespace => "saga.namespace".to_owned(),
            Ir::StartedAt => "saga.started_at".to_owned(),
            Ir::Operation(step) => format!("op(\"{}\")", self.step(step.at())),
            Ir::FailureStep => "failure.step".to_owned(),
            Ir::FailureReason => "failure.reason".to_owned(),
            Ir::Signal => self.own.unwrap_or("signal").to_owned(),
            Ir::OwnReply => self.own.unwrap_or("reply").to_owned(),
            Ir::Local(depth) => local(*depth),
            Ir::Select(of, field) => format!("{}.{}", self.inner(of), field.name()),
            Ir::Has(of, field) => format!("has({}.{})", self.inner(of), field.name()),
            Ir::Index(of, index) => format!("{}[{}]", self.inner(of), self.text(index)),
            Ir::Not(of) => format!("!{}", self.inner(of)),
            Ir::Negate(of) => format!("-{}", self.inner(of)),
            Ir::And(a, b) => self.infix(a, "&&", b),
            Ir::Or(a, b) => self.infix(a, "||", b),
            Ir::Choose(test, then, other) => {
                let [test, then, other] = [test, then, other].map(|it| self.inner(it));
                format!("{test} ? {then} : {other}")
            }
            Ir::Arithmetic(operator, a, b) => self.infix(a, arithmetic(*operator), b),
            Ir::Compare(operator, a, b) => self.infix(a, comparison(*operator), b),
            Ir::In(item, all) => self.infix(item, "in", all),
            Ir::Call(Function::ToKey, args) => self.all(args),
            Ir::Call(function, args) => self.call(*function, args),
            Ir::List(items) => format!("[{}]", self.all(items)),
            Ir::Record(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|it| format!("'{}': {}", it.name, self.text(&it.value)));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
            }
            Ir::Entries(entries) => {
                let entries = entries.iter();
                let entries = entries.map(|(a, b)| format!("{}: {}", self.text(a), self.text(b)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
            Ir::EnumName(of, _) => format!("string({})", self.text(of)),
            Ir::Matches(of, pattern) => format!("{}.matches({pattern:?})", self.inner(of)),
            Ir::Loop(it) => self.fold(it),
        }
    }

    fn step(&self, at: usize) -> &str {
        self.steps.get(at).map_or("?", String::as_str)
    }

    /// A part of an expression, in brackets where an operator would tear it apart.
    fn inner(&self, ir: &Ir) -> String {
        let is_torn = matches!(
            ir,
            Ir::And(..)
                | Ir::Or(..)
                | Ir::Choose(..)
                | Ir::Arithmetic(..)
                | Ir::Compare(..)
                | Ir::In(..)
                | Ir::Not(_)
                | Ir::Negate(_)
        );
        let text = self.text(ir);
        if is_torn { format!("({text})") } else { text }
    }

    fn infix(&self, a: &Ir, operator: &str, b: &Ir) -> String {
        format!("{} {operator} {}", self.inner(a), self.inner(b))
    }

    fn all(&self, items: &[Ir]) -> String {
        items.iter().map(|it| self.text(it)).collect::<Vec<_>>().join(", ")
    }

    fn call(&self, function: Function, args: &[Ir]) -> String {
        let (name, is_method) = function_name(function);
        match args.split_first() {
            Some((of, rest)) if is_method => {
                format!("{}.{name}({})", self.inner(of), self.all(rest))
            }
            _ => format!("{name}({})", self.all(args)),
        }
    }

    fn fold(&self, it: &Loop) -> String {
        let (over, body) = (self.inner(&it.over), self.text(&it.body));
        let name = match it.kind {
            LoopKind::All => "all",
            LoopKind::Exists => "exists",
            LoopKind::ExistsOne => "exists_one",
            LoopKind::Map => "map",
            LoopKind::Filter => "filter",
        };
        let condition = it.condition.as_ref().map(|it| format!("{}, ", self.text(it)));
        format!("{over}.{name}({}, {}{body})", local(it.local), condition.unwrap_or_default())
    }
}

/// The variable of the loop at this depth.
fn local(depth: usize) -> String {
    ["it", "other", "third"].get(depth).map_or_else(|| format!("it{depth}"), |it| (*it).to_owned())
}

fn literal(value: &Value) -> String {
    match value {
        Value::Bool(it) => it.to_string(),
        Value::String(it) => format!("{it:?}"),
        Value::Bytes(it) => format!("b{it:?}"),
        Value::U64(it) => format!("{it}u"),
        Value::F64(it) => format!("{it:?}"),
        Value::I64(it) => it.to_string(),
        Value::EnumNumber(it) => it.to_string(),
        other => format!("{other}"),
    }
}

fn arithmetic(operator: Arithmetic) -> &'static str {
    match operator {
        Arithmetic::Add => "+",
        Arithmetic::Subtract => "-",
        Arithmetic::Multiply => "*",
        Arithmetic::Divide => "/",
        Arithmetic::Modulo => "%",
    }
}

fn comparison(operator: Comparison) -> &'static str {
    match operator {
        Comparison::Equal => "==",
        Comparison::NotEqual => "!=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

/// The name of a function, and whether it is written behind its first argument.
fn function_name(function: Function) -> (&'static str, bool) {
    match function {
        Function::Size => ("size", false),
        Function::ToString => ("string", false),
        Function::ToInt => ("int", false),
        Function::ToUInt => ("uint", false),
        Function::ToDouble => ("double", false),
        Function::ToBytes => ("bytes", false),
        Function::ToTimestamp | Function::ToTimestampLoosely => ("timestamp", false),
        // It is not written.
        Function::ToKey => ("", false),
        Function::ToDuration => ("duration", false),
        Function::LowerAscii => ("lowerAscii", true),
        Function::UpperAscii => ("upperAscii", true),
        Function::Trim => ("trim", true),
        Function::Replace => ("replace", true),
        Function::Substring => ("substring", true),
        Function::Join => ("join", true),
        Function::Split => ("split", true),
        Function::Format => ("format", true),
        Function::Flatten => ("flatten", true),
        Function::Sum => ("sum", true),
        Function::StartsWith => ("startsWith", true),
        Function::EndsWith => ("endsWith", true),
        Function::Contains => ("contains", true),
    }
}
