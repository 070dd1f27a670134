//! Types of operators, functions and map literals.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr, operators};

use prost_reflect::Value;

use super::{
    Arithmetic, Comparison, Function, Ir,
    check::{Checker, Flaw, Typed, flaw},
};
use crate::{file::suggest, value_type::Type};

/// The functions, for suggestions.
const FUNCTIONS: [&str; 15] = [
    "op",
    "has",
    "size",
    "string",
    "int",
    "uint",
    "double",
    "startsWith",
    "endsWith",
    "contains",
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
        // The receiver of `a.f(b)` is the first argument of `f(a, b)`.
        let mut args = Vec::with_capacity(call.args.len() + 1);
        for arg in call.target.iter().map(|it| &**it).chain(&call.args) {
            args.push(self.check(&arg.expr)?);
        }
        if call.func_name.chars().all(|c| c.is_ascii_alphabetic() || c == '_')
            && call.func_name.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            return check_function(&call.func_name, call.target.is_some(), args);
        }
        let typed = check_operator(&call.func_name, args)?;
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

    pub(super) fn check_record(&mut self, map: &MapExpr) -> Result<Typed, Flaw> {
        let mut values = Vec::with_capacity(map.entries.len());
        let mut types: Vec<(String, Type)> = Vec::with_capacity(map.entries.len());
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                return Err(flaw("expression-type", "not a map entry", "write \"field\": value"));
            };
            let Expr::Literal(LiteralValue::String(name)) = &entry.key.expr else {
                let remedy = "write {\"field\": value}: each key is the name of a field";
                return Err(flaw("expression-type", "keys of a map must be text literals", remedy));
            };
            let name = name.inner().to_owned();
            if types.iter().any(|(other, _)| *other == name) {
                let message = format!("key `{name}` is given twice");
                return Err(flaw("expression-type", message, "keep one of them"));
            }
            let (ir, of) = self.check(&entry.value.expr)?;
            values.push((name.clone(), ir));
            types.push((name, of));
        }
        Ok((Ir::Record(values), Type::Record(types)))
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
        let of = of.ok_or_else(|| no_overload(name, &[left_of, right_of]))?;
        return Ok((Ir::Arithmetic(operator, left, right), of));
    }
    if let Some(operator) = comparison(name) {
        let ordering = !matches!(operator, Comparison::Equal | Comparison::NotEqual);
        let unordered = matches!(left_of, Type::Bool | Type::Enum(_));
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
        (operators::IN, item, Type::Map(key, _)) if *item == **key => {
            Ok((Ir::In(left, right), Type::Bool))
        }
        (operators::INDEX, Type::List(of), Type::Int | Type::UInt) => {
            Ok((Ir::Index(left, right), (**of).clone()))
        }
        (operators::INDEX, Type::Map(key, of), index) if *index == **key => {
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

/// Whether two values can be compared: scalars of one type, and whole numbers.
fn comparable(left: &Type, right: &Type) -> bool {
    let whole = |it: &Type| matches!(it, Type::Int | Type::UInt | Type::Enum(_));
    match (left, right) {
        (Type::Enum(a), Type::Enum(b)) => a == b,
        (Type::Bool | Type::Double | Type::String | Type::Bytes, _) => left == right,
        _ => whole(left) && whole(right),
    }
}

fn no_overload(name: &str, types: &[&Type]) -> Flaw {
    let types: Vec<String> = types.iter().map(|of| of.to_string()).collect();
    let message =
        format!("`{}` does not take ({})", name.trim_matches(['_', '@']), types.join(", "));
    let remedy = "convert with int(..), uint(..), double(..) or string(..); compare single fields, \
                  not messages";
    flaw("expression-type", message, remedy)
}

fn check_function(name: &str, receiver: bool, args: Vec<Typed>) -> Result<Typed, Flaw> {
    use Type::{Bool, Bytes, Double, Enum, Int, List, Map, String, UInt};

    let types: Vec<&Type> = args.iter().map(|(_, of)| of).collect();
    let (function, of) = match (name, receiver, types.as_slice()) {
        ("size", _, [String | Bytes | List(_) | Map(..)]) => (Function::Size, Int),
        ("string", false, [Bool | Int | UInt | Double | String | Enum(_)]) => {
            (Function::ToString, String)
        }
        ("int", false, [Int | UInt | Double | String | Enum(_)]) => (Function::ToInt, Int),
        ("uint", false, [Int | UInt | Double | String]) => (Function::ToUInt, UInt),
        ("double", false, [Int | UInt | Double | String]) => (Function::ToDouble, Double),
        ("startsWith", true, [String, String]) => (Function::StartsWith, Bool),
        ("endsWith", true, [String, String]) => (Function::EndsWith, Bool),
        ("contains", true, [String, String]) => (Function::Contains, Bool),
        _ if FUNCTIONS.contains(&name) => return Err(no_overload(name, &types)),
        _ => {
            let message = format!("there is no function `{name}`");
            return Err(flaw("unknown-function", message, suggest(name, &FUNCTIONS)));
        }
    };
    Ok((Ir::Call(function, args.into_iter().map(|(ir, _)| ir).collect()), of))
}
