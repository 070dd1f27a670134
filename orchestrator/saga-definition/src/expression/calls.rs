//! Types of operators, functions and map literals.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, operators};

use prost_reflect::Value;

use super::{
    Arithmetic, Comparison, Function, Ir, RecordField,
    check::{Checker, Flaw, Typed, flaw},
    names::by_name,
    text_calls::{check_matches, check_text_function},
    time,
};
use crate::{file::suggest, value_type::Type};

/// The functions, for suggestions.
const FUNCTIONS: [&str; 29] = [
    "op",
    "has",
    "size",
    "string",
    "int",
    "uint",
    "double",
    "bytes",
    "timestamp",
    "duration",
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "lowerAscii",
    "upperAscii",
    "trim",
    "replace",
    "substring",
    "join",
    "split",
    "format",
    "flatten",
    "sum",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
];

impl Checker<'_> {
    pub(super) fn check_call(&mut self, call: &CallExpr) -> Result<Typed, Flaw> {
        if call.func_name == "op" && call.target.is_none() {
            return self.check_op(&call.args);
        }
        if let ("format", Some(pattern), [values]) =
            (call.func_name.as_str(), &call.target, call.args.as_slice())
        {
            return self.check_format(&pattern.expr, &values.expr);
        }
        // The receiver of `a.f(b)` is the first argument of `f(a, b)`.
        let mut args = Vec::with_capacity(call.args.len() + 1);
        for arg in call.target.iter().map(|it| &**it).chain(&call.args) {
            args.push(self.check(&arg.expr)?);
        }
        if call.func_name.chars().all(|c| c.is_ascii_alphabetic() || c == '_')
            && call.func_name.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            return self.check_function(&call.func_name, call.target.is_some(), args);
        }
        let typed = check_operator(&call.func_name, self.keyed(&call.func_name, with_names(args)))?;
        self.check_failure_step(&typed.0)?;
        Ok(typed)
    }

    /// `failure.step` is compared with names of steps. Another name would never be equal.
    fn check_failure_step(&self, ir: &Ir) -> Result<(), Flaw> {
        let names = match ir {
            Ir::Compare(_, a, b) => match (&**a, &**b) {
                (Ir::FailureStep, name) | (name, Ir::FailureStep) => std::slice::from_ref(name),
                _ => return Ok(()),
            },
            Ir::In(item, all) => match (&**item, &**all) {
                (Ir::FailureStep, Ir::List(names)) => names.as_slice(),
                _ => return Ok(()),
            },
            _ => return Ok(()),
        };
        names.iter().try_for_each(|name| match name {
            Ir::Literal(Value::String(name)) if !name.is_empty() => self.step(name).map(|_| ()),
            _ => Ok(()),
        })
    }

    /// A double that is looked for among the keys of a map is found as the whole number that it
    /// is. Up to level 5 it was never found.
    fn keyed(&self, operator: &str, mut args: Vec<Typed>) -> Vec<Typed> {
        let is_double = |of: &Type| matches!(of, Type::Double);
        let sought = match (operator, args.as_slice()) {
            (operators::IN, [(_, of), (_, Type::Map(..))]) if is_double(of) => 0,
            (operators::INDEX, [(_, Type::Map(..)), (_, of)]) if is_double(of) => 1,
            _ => return args,
        };
        if 6 <= self.scope.level {
            let (key, of) = args.remove(sought);
            args.insert(sought, (Ir::Call(Function::ToKey, vec![key]), of));
        }
        args
    }

    fn check_op(&mut self, args: &[IdedExpr]) -> Result<Typed, Flaw> {
        match args {
            [IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }] => {
                Ok((Ir::Operation(self.operation(name.inner())?), Type::String))
            }
            _ => {
                let remedy = "write op(\"step_name\")";
                Err(flaw("expression-type", "op takes the name of one step, in quotes", remedy))
            }
        }
    }

    /// A map literal: a record where its keys are constant names, which becomes a message or a
    /// map as its place wants; else a map.
    pub(super) fn check_map(&mut self, map: &MapExpr) -> Result<Typed, Flaw> {
        let mut entries = Vec::with_capacity(map.entries.len());
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                return Err(flaw("expression-type", "not a map entry", "write \"field\": value"));
            };
            let key = match &entry.key.expr {
                Expr::Literal(LiteralValue::String(name)) => Ok(name.inner().to_owned()),
                computed => Err(self.check(computed)?),
            };
            entries.push((key, self.check(&entry.value.expr)?));
        }
        if entries.iter().all(|(key, _)| key.is_ok()) {
            let named = entries.into_iter().filter_map(|(key, value)| Some((key.ok()?, value)));
            return self.record(named);
        }
        let (mut made, mut key_of, mut value_of) = (Vec::new(), Type::Never, Type::Never);
        for (key, (value, of)) in entries {
            let (key, key_type) = key.map_or_else(
                |typed| typed,
                |name| (Ir::Literal(Value::String(name)), Type::String),
            );
            let unlike = || {
                let remedy = "make all keys of one type, and all values of one type";
                flaw("expression-type", "the entries of a map are of several types", remedy)
            };
            key_of = key_of.unified(&key_type).ok_or_else(unlike)?;
            value_of = value_of.unified(&of).ok_or_else(unlike)?;
            made.push((key, value));
        }
        if !matches!(key_of, Type::String | Type::Int | Type::UInt | Type::Bool) {
            let message = format!("a {key_of} is no key of a map");
            return Err(flaw("expression-type", message, "take a text, a whole number or a bool"));
        }
        Ok((Ir::Entries(made), Type::Map(Box::new(key_of), Box::new(value_of))))
    }

    fn record(&self, entries: impl Iterator<Item = (String, Typed)>) -> Result<Typed, Flaw> {
        let mut fields: Vec<RecordField> = Vec::new();
        let mut types: Vec<(String, Type)> = Vec::new();
        for (name, (value, of)) in entries {
            if types.iter().any(|(other, _)| *other == name) {
                let message = format!("key `{name}` is given twice");
                return Err(flaw("expression-type", message, "keep one of them"));
            }
            // Up to level 2, a field that was not set was sent as its default.
            let copies_absence = 3 <= self.scope.level;
            fields.push(RecordField { name: name.clone(), value, copies_absence });
            types.push((name, of));
        }
        Ok((Ir::Record(fields), Type::Record(types)))
    }
}

fn check_operator(name: &str, args: Vec<Typed>) -> Result<Typed, Flaw> {
    let mut values = Vec::with_capacity(args.len());
    let mut types = Vec::with_capacity(args.len());
    for (value, of) in args {
        values.push(Box::new(value));
        types.push(of);
    }
    let mut values = values.into_iter();
    match (values.next(), values.next(), values.next(), types.as_slice()) {
        (Some(one), None, None, [of]) => check_unary(name, one, of),
        (Some(left), Some(right), None, [left_of, right_of]) => {
            check_binary(name, (left, left_of), (right, right_of))
        }
        (Some(test), Some(then), Some(other), [Type::Bool, then_of, other_of]) => {
            let of = then_of.unified(other_of).ok_or_else(|| {
                let message = format!("the branches are {then_of} and {other_of}");
                flaw("expression-type", message, "make both of one type")
            })?;
            Ok((Ir::Choose(test, then, other), of))
        }
        _ => Err(no_overload(name, &types.iter().collect::<Vec<_>>())),
    }
}

fn check_unary(name: &str, value: Box<Ir>, of: &Type) -> Result<Typed, Flaw> {
    match (name, of) {
        (operators::LOGICAL_NOT, Type::Bool) => Ok((Ir::Not(value), Type::Bool)),
        (operators::NEGATE, Type::Int | Type::Double) => Ok((Ir::Negate(value), of.clone())),
        _ => Err(no_overload(name, &[of])),
    }
}

type Side<'a> = (Box<Ir>, &'a Type);

fn check_binary(name: &str, left: Side<'_>, right: Side<'_>) -> Result<Typed, Flaw> {
    let ((left, left_of), (right, right_of)) = (left, right);
    if let Some(operator) = arithmetic(name) {
        let of = left_of.unified(right_of).filter(|of| can_compute(operator, of));
        let of = time::computed_type(operator, left_of, right_of).or(of);
        let of = of.ok_or_else(|| no_overload(name, &[left_of, right_of]))?;
        return Ok((Ir::Arithmetic(operator, left, right), of));
    }
    if let Some(operator) = comparison(name) {
        let ordering = !matches!(operator, Comparison::Equal | Comparison::NotEqual);
        let unordered = matches!(
            left_of,
            Type::Enum(_) | Type::List(_) | Type::Map(..) | Type::Record(_) | Type::Never
        );
        if !comparable(left_of, right_of) || (ordering && unordered) {
            return Err(no_overload(name, &[left_of, right_of]));
        }
        return Ok((Ir::Compare(operator, left, right), Type::Bool));
    }
    match (name, left_of, right_of) {
        (operators::LOGICAL_AND, Type::Bool, Type::Bool) => Ok((Ir::And(left, right), Type::Bool)),
        (operators::LOGICAL_OR, Type::Bool, Type::Bool) => Ok((Ir::Or(left, right), Type::Bool)),
        (operators::IN, item, Type::List(of)) if comparable(item, of) => {
            Ok((Ir::In(left, right), Type::Bool))
        }
        (operators::IN, item, Type::Map(key, _)) if comparable(item, key) => {
            Ok((Ir::In(left, right), Type::Bool))
        }
        (operators::IN, Type::String, Type::Record(_)) => Ok((Ir::In(left, right), Type::Bool)),
        (operators::INDEX, Type::Record(types), Type::String) => {
            let of = types.iter().try_fold(Type::Never, |sum, (_, of)| sum.unified(of));
            of.map(|of| (Ir::Index(left, right), of))
                .ok_or_else(|| no_overload(name, &[left_of, right_of]))
        }
        (operators::INDEX, Type::List(of), Type::Int | Type::UInt) => {
            Ok((Ir::Index(left, right), (**of).clone()))
        }
        (operators::INDEX, Type::Map(key, of), index) if comparable(index, key) => {
            Ok((Ir::Index(left, right), (**of).clone()))
        }
        _ => Err(no_overload(name, &[left_of, right_of])),
    }
}

fn arithmetic(name: &str) -> Option<Arithmetic> {
    Some(match name {
        operators::ADD => Arithmetic::Add,
        operators::SUBSTRACT => Arithmetic::Subtract,
        operators::MULTIPLY => Arithmetic::Multiply,
        operators::DIVIDE => Arithmetic::Divide,
        operators::MODULO => Arithmetic::Modulo,
        _ => return None,
    })
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        operators::EQUALS => Comparison::Equal,
        operators::NOT_EQUALS => Comparison::NotEqual,
        operators::LESS => Comparison::Less,
        operators::LESS_EQUALS => Comparison::LessOrEqual,
        operators::GREATER => Comparison::Greater,
        operators::GREATER_EQUALS => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn can_compute(operator: Arithmetic, of: &Type) -> bool {
    match of {
        Type::Int | Type::UInt => true,
        Type::Double => operator != Arithmetic::Modulo,
        Type::String | Type::Bytes | Type::List(_) => operator == Arithmetic::Add,
        _ => false,
    }
}

/// Whether two values can be compared: scalars of one type, numbers, points in time and spans;
/// lists and maps of such for equality.
fn comparable(left: &Type, right: &Type) -> bool {
    let number = |it: &Type| matches!(it, Type::Int | Type::UInt | Type::Enum(_) | Type::Double);
    match (left, right) {
        (Type::Never, _) | (_, Type::Never) => true,
        (Type::Enum(a), Type::Enum(b)) => a.full_name() == b.full_name(),
        (Type::Bool | Type::String | Type::Bytes, _) => left == right,
        (Type::List(a), Type::List(b)) => comparable(a, b),
        (Type::Map(a, of_a), Type::Map(b, of_b)) => comparable(a, b) && comparable(of_a, of_b),
        (Type::Record(a), Type::Record(b)) => {
            let types = a.iter().zip(b);
            types.into_iter().all(|((_, a), (_, b))| comparable(a, b))
        }
        (Type::Message(_), Type::Message(_)) => {
            time::is_timestamp(left) && time::is_timestamp(right)
                || time::is_duration(left) && time::is_duration(right)
        }
        _ => number(left) && number(right),
    }
}

pub(super) fn no_overload(name: &str, types: &[&Type]) -> Flaw {
    let types: Vec<String> = types.iter().map(|of| of.to_string()).collect();
    let message =
        format!("`{}` does not take ({})", name.trim_matches(['_', '@']), types.join(", "));
    let remedy = "convert with int(..), uint(..), double(..) or string(..); compare single fields, \
                  not messages";
    flaw("expression-type", message, remedy)
}

impl Checker<'_> {
    fn check_function(
        &self,
        name: &str,
        receiver: bool,
        mut args: Vec<Typed>,
    ) -> Result<Typed, Flaw> {
        use Type::{Bool, Bytes, Double, Enum, Int, List, Map, Record, String, UInt};

        if name == "matches" {
            return check_matches(args, self.scope.level);
        }
        // Up to level 2, it was the number.
        if let ("string", [(_, Enum(_))], true) = (name, args.as_slice(), 3 <= self.scope.level)
            && let Some((value, Enum(of))) = args.pop()
        {
            return Ok((Ir::EnumName(Box::new(value), of), String));
        }
        let types: Vec<&Type> = args.iter().map(|(_, of)| of).collect();
        let (function, of) = match (name, receiver, types.as_slice()) {
            ("size", _, [String | Bytes | List(_) | Map(..) | Record(_)]) => (Function::Size, Int),
            ("string", false, [Bool | Int | UInt | Double | String | Bytes | Enum(_)]) => {
                (Function::ToString, String)
            }
            ("int", false, [of]) if time::is_timestamp(of) => (Function::ToInt, Int),
            ("int", false, [Int | UInt | Double | String | Enum(_)]) => (Function::ToInt, Int),
            ("uint", false, [Int | UInt | Double | String]) => (Function::ToUInt, UInt),
            ("double", false, [Int | UInt | Double | String]) => (Function::ToDouble, Double),
            ("bytes", false, [String | Bytes]) => (Function::ToBytes, Bytes),
            ("timestamp", false, [String]) => {
                let is_strict = 6 <= self.scope.level;
                let read =
                    if is_strict { Function::ToTimestamp } else { Function::ToTimestampLoosely };
                (read, Type::Message(time::timestamp_type()))
            }
            ("duration", false, [String]) => {
                (Function::ToDuration, Type::Message(time::duration_type()))
            }
            ("startsWith", true, [String, String]) => (Function::StartsWith, Bool),
            ("endsWith", true, [String, String]) => (Function::EndsWith, Bool),
            ("contains", true, [String, String]) => (Function::Contains, Bool),
            _ => match check_text_function(name, receiver, &types) {
                Some(known) => known,
                None if FUNCTIONS.contains(&name) => return Err(no_overload(name, &types)),
                None => {
                    let message = format!("there is no function `{name}`");
                    return Err(flaw("unknown-function", message, suggest(name, &FUNCTIONS)));
                }
            },
        };
        Ok((Ir::Call(function, args.into_iter().map(|(ir, _)| ir).collect()), of))
    }
}

/// Names of enum values where an enum is on the other side: `status == 'PAID'`.
fn with_names(mut args: Vec<Typed>) -> Vec<Typed> {
    let wanted = args.iter().find_map(|(_, of)| match of {
        Type::Enum(_) => Some(of.clone()),
        Type::List(of) if matches!(**of, Type::Enum(_)) => Some((**of).clone()),
        _ => None,
    });
    let Some(wanted) = wanted else { return args };
    for (ir, of) in &mut args {
        let list = Type::List(Box::new(wanted.clone()));
        let target = if matches!(of, Type::List(_)) { &list } else { &wanted };
        *of = by_name(ir, of.clone(), target);
    }
    args
}
