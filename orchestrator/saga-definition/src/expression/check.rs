//! From text to a typed expression: every name, field, function and type is resolved.

use cel::common::ast::{Expr, LiteralValue, SelectExpr};
use prost_reflect::{MessageDescriptor, Value};
use saga_core::{Definition, StepIndex, StepKind, StepSet};

use super::{Expression, Ir, Reads, path::path, reserved, syntax::parsed, time::timestamp_type};
use crate::{file::suggest, finding::Findings, value_type::Type, yaml::Spanned};

/// Depth of the syntax tree at most: checking and evaluating are recursive too. A chain of
/// operators is as deep as it is long.
const DEPTH_MAX: usize = 64;

/// What is known of a saga itself.
const SAGA_FIELDS: [&str; 4] = ["id", "business_key", "namespace", "started_at"];

/// What an expression may refer to.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    /// The input type. `None`: it is not known, which is reported elsewhere.
    pub(crate) input: Option<&'a MessageDescriptor>,
    /// The steps, with the type of their reply where it is known.
    pub(crate) steps: &'a [(String, Option<MessageDescriptor>)],
    /// Steps whose replies may be read here.
    pub(crate) readable: StepSet,
    /// How the steps come to be applied.
    pub(crate) core: &'a Definition,
    /// What else may be read here.
    pub(crate) place: Place<'a>,
    /// The language level.
    pub(crate) level: u32,
}

/// Where an expression stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// Before or in an action, or in a label.
    Forward,
    /// In a compensation: it may ask what turned the saga back.
    Compensation,
    /// In the `accept` of a wait: it may read the signal, of this type where it is known.
    Accept(Option<&'a MessageDescriptor>),
    /// In `refused_when` of a call: it may read the reply.
    Reply(&'a MessageDescriptor),
}

/// What is wrong with an expression.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) rule: &'static str,
    pub(super) message: String,
    pub(super) remedy: String,
}

pub(super) fn flaw(
    rule: &'static str,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Flaw {
    Flaw { rule, message: message.into(), remedy: remedy.into() }
}

/// A part of an expression and its type.
pub(super) type Typed = (Ir, Type);

/// Compiles an expression. Returns `None` with a finding where it is wrong.
pub(crate) fn compile(
    text: &Spanned<String>,
    scope: &Scope<'_>,
    findings: &mut Findings,
) -> Option<Expression> {
    match compile_text(&text.value, scope) {
        Ok((root, of, reads)) => Some(Expression { root, of, reads, span: text.span }),
        // Somebody else reported why a type is not known.
        Err(Flaw { rule: "unknown-type", .. }) => None,
        Err(Flaw { rule, message, remedy }) => {
            let shown: String = text.value.chars().take(60).collect();
            let dots = if shown.len() < text.value.len() { "..." } else { "" };
            findings.error(rule, text.span, format!("`{shown}{dots}`: {message}"), remedy);
            None
        }
    }
}

fn compile_text(text: &str, scope: &Scope<'_>) -> Result<(Ir, Type, Reads), Flaw> {
    let parsed = path(text).map_or_else(|| parsed(text).map(|it| it.expr), Ok)?;
    let mut checker = Checker { scope, reads: Reads::default(), locals: Vec::new(), depth: 0 };
    let (root, of) = checker.check(&parsed)?;
    Ok((root, of, checker.reads))
}

pub(super) struct Checker<'a> {
    pub(super) scope: &'a Scope<'a>,
    reads: Reads,
    /// Variables of the loops around, outermost first.
    pub(super) locals: Vec<(String, Type)>,
    depth: usize,
}

impl Checker<'_> {
    pub(super) fn check(&mut self, expr: &Expr) -> Result<Typed, Flaw> {
        if self.depth == DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} operations one upon the other");
            let remedy = "compute it in the participant";
            return Err(flaw("expression-too-large", message, remedy));
        }
        self.depth += 1;
        let typed = self.check_node(expr);
        self.depth -= 1;
        typed
    }

    fn check_node(&mut self, expr: &Expr) -> Result<Typed, Flaw> {
        match expr {
            Expr::Literal(literal) => check_literal(literal),
            Expr::Ident(name) => self.check_name(name),
            Expr::Select(select) => self.check_select(select),
            Expr::Call(call) => self.check_call(call),
            Expr::Comprehension(fold) => self.check_loop(fold),
            Expr::List(list) => {
                let mut items = Vec::with_capacity(list.elements.len());
                let mut of = Type::Never;
                for element in &list.elements {
                    let (ir, element) = self.check(&element.expr)?;
                    of = of.unified(&element).ok_or_else(|| {
                        let message = format!("a list of {of} and {element}");
                        flaw("expression-type", message, "make all elements of one type")
                    })?;
                    items.push(ir);
                }
                Ok((Ir::List(items), Type::List(Box::new(of))))
            }
            Expr::Map(map) => self.check_map(map),
            Expr::Struct(literal) => {
                let message = format!("`{}{{..}}` is not supported", literal.type_name);
                let remedy = "write a plain map: {\"field\": value}";
                Err(flaw("expression-type", message, remedy))
            }
            Expr::Unspecified => {
                Err(flaw("expression-syntax", "an empty expression", "complete it"))
            }
        }
    }

    fn check_name(&mut self, name: &str) -> Result<Typed, Flaw> {
        if let Some(depth) = self.locals.iter().rposition(|(local, _)| local == name) {
            return Ok((Ir::Local(depth), self.locals[depth].1.clone()));
        }
        match name {
            "input" => {
                self.reads.input = true;
                let of = self.scope.input.cloned().ok_or_else(unknown_type)?;
                Ok((Ir::Input, Type::Message(of)))
            }
            "steps" => {
                let remedy = "write steps.<name>.reply.<field>";
                Err(flaw("expression-type", "`steps` is not a value", remedy))
            }
            "saga" => {
                let remedy = "write saga.id, saga.business_key, saga.namespace or saga.started_at";
                Err(flaw("expression-type", "`saga` is not a value", remedy))
            }
            "failure" => Err(self.failure_is_no_value()),
            "signal" => self.check_signal(),
            "reply" => match self.scope.place {
                Place::Reply(of) => Ok((Ir::OwnReply, Type::Message(of.clone()))),
                _ => {
                    let remedy = "read a reply in `refused_when`, and behind its step as \
                                  steps.<name>.reply";
                    Err(flaw("unknown-variable", "there is no `reply` here", remedy))
                }
            },
            _ => {
                let mut known = vec!["input", "steps", "saga"];
                known.extend(self.locals.iter().map(|(local, _)| local.as_str()));
                let near = suggest(name, &known);
                let remedy = format!("{near}; for text, write quotes: \"'{name}'\"");
                Err(flaw("unknown-variable", format!("there is no variable `{name}`"), remedy))
            }
        }
    }

    fn check_select(&mut self, select: &SelectExpr) -> Result<Typed, Flaw> {
        if let Some(special) = self.check_special(select)? {
            return Ok(special);
        }
        let (operand, of) = self.check(&select.operand.expr)?;
        let name = reserved::shown(&select.field);
        if let Type::Map(key, value) = &of
            && **key == Type::String
        {
            let key = Box::new(Ir::Literal(Value::String(name.to_owned())));
            return Ok(match select.test {
                true => (Ir::In(key, Box::new(operand)), Type::Bool),
                false => (Ir::Index(Box::new(operand), key), (**value).clone()),
            });
        }
        let Type::Message(message) = &of else {
            let message = format!("a {of} has no field `{name}`");
            return Err(flaw("unknown-field", message, "select fields of messages only"));
        };
        let field = message.get_field_by_name(name).ok_or_else(|| {
            let known: Vec<String> = message.fields().map(|it| it.name().to_owned()).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let text = format!("{} has no field `{name}`", message.full_name());
            flaw("unknown-field", text, suggest(name, &known))
        })?;
        if select.test {
            return Ok((Ir::Has(Box::new(operand), field), Type::Bool));
        }
        let of = Type::of_field(&field);
        Ok((Ir::Select(Box::new(operand), field), of))
    }

    fn failure_is_no_value(&self) -> Flaw {
        if matches!(self.scope.place, Place::Compensation) {
            let remedy = "write failure.step or failure.reason";
            return flaw("expression-type", "`failure` is not a value", remedy);
        }
        let remedy = "read it in a compensation: only there something has failed";
        flaw("unknown-variable", "there is no `failure` here", remedy)
    }

    fn check_signal(&self) -> Result<Typed, Flaw> {
        match self.scope.place {
            Place::Accept(of) => {
                let of = of.cloned().ok_or_else(unknown_type)?;
                Ok((Ir::Signal, Type::Message(of)))
            }
            Place::Forward | Place::Compensation | Place::Reply(_) => {
                let remedy = "read a signal in `accept`, and behind its step as steps.<name>.reply";
                Err(flaw("unknown-variable", "there is no `signal` here", remedy))
            }
        }
    }

    /// What [`SAGA_FIELDS`] name, `failure.step`, `failure.reason` and `steps.<name>.reply`.
    fn check_special(&mut self, select: &SelectExpr) -> Result<Option<Typed>, Flaw> {
        let is_root = |expr: &Expr, name: &str| {
            let shadowed = self.locals.iter().any(|(local, _)| local == name);
            matches!(expr, Expr::Ident(root) if root == name) && !shadowed
        };
        if is_root(&select.operand.expr, "saga") {
            return match select.field.as_str() {
                "id" => Ok(Some((Ir::SagaId, Type::String))),
                "business_key" => Ok(Some((Ir::BusinessKey, Type::String))),
                "namespace" => Ok(Some((Ir::Namespace, Type::String))),
                "started_at" => Ok(Some((Ir::StartedAt, Type::Message(timestamp_type())))),
                other => {
                    let message = format!("a saga has no `{other}`");
                    Err(flaw("unknown-field", message, suggest(other, &SAGA_FIELDS)))
                }
            };
        }
        if is_root(&select.operand.expr, "failure") {
            return match (self.scope.place, select.field.as_str()) {
                (Place::Compensation, "step") => Ok(Some((Ir::FailureStep, Type::String))),
                (Place::Compensation, "reason") => Ok(Some((Ir::FailureReason, Type::String))),
                (Place::Compensation, other) => {
                    let message = format!("a failure has no `{other}`");
                    Err(flaw("unknown-field", message, suggest(other, &["step", "reason"])))
                }
                _ => Err(self.failure_is_no_value()),
            };
        }
        if is_root(&select.operand.expr, "steps") {
            self.step(&select.field)?;
            let message = format!("`steps.{}` is not a value", select.field);
            let remedy = format!("write steps.{}.reply.<field>", select.field);
            return Err(flaw("expression-type", message, remedy));
        }
        match &select.operand.expr {
            Expr::Select(inner) if is_root(&inner.operand.expr, "steps") => {
                self.check_reply(&inner.field, select).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn check_reply(&mut self, step: &str, select: &SelectExpr) -> Result<Typed, Flaw> {
        let (index, reply) = self.step(step)?;
        if select.field != "reply" {
            let message = format!("a step has no `{}`", select.field);
            return Err(flaw("unknown-field", message, "write steps.<name>.reply"));
        }
        if self.scope.core.step(index).kind == StepKind::Given {
            let message = format!("step {step} has no action, and so no reply");
            let remedy = "read what the client brought along from the input";
            return Err(flaw("no-reply", message, remedy));
        }
        if !self.scope.readable.contains(index) {
            let message = format!("step {step} need not have run when this is evaluated");
            let remedy = format!("add {step} to `after` of this step, or read something else");
            return Err(flaw("unreachable-reply", message, remedy));
        }
        if select.test {
            self.reads.asks = self.reads.asks.with(index);
            return Ok((Ir::HasReply(index), Type::Bool));
        }
        self.reads.replies = self.reads.replies.with(index);
        let of = reply.ok_or_else(unknown_type)?;
        Ok((Ir::Reply(index), Type::Message(of)))
    }

    /// The step of that name, which has an operation id.
    pub(super) fn operation(&self, name: &str) -> Result<StepIndex, Flaw> {
        let (step, _) = self.step(name)?;
        let why = match self.scope.core.step(step).kind {
            StepKind::Call => return Ok(step),
            StepKind::Wait { .. } => "waits and calls nothing",
            StepKind::Given => "has no action",
        };
        let message = format!("step {name} {why}: it has no operation id");
        let remedy = "name the step whose effect it is; for a given one, its id is in the input";
        Err(flaw("no-operation", message, remedy))
    }

    /// The step of that name, and the type of its reply.
    pub(super) fn step(&self, name: &str) -> Result<(StepIndex, Option<MessageDescriptor>), Flaw> {
        let position = self.scope.steps.iter().position(|(step, _)| step == name);
        if let Some(position) = position
            && let Ok(index) = u8::try_from(position)
        {
            return Ok((StepIndex(index), self.scope.steps[position].1.clone()));
        }
        let known: Vec<&str> = self.scope.steps.iter().map(|(it, _)| it.as_str()).collect();
        Err(flaw("unknown-step", format!("there is no step `{name}`"), suggest(name, &known)))
    }
}

fn unknown_type() -> Flaw {
    flaw("unknown-type", "its type is not known", "correct the call or the input type first")
}

fn check_literal(literal: &LiteralValue) -> Result<Typed, Flaw> {
    Ok(match literal {
        LiteralValue::Boolean(it) => (Ir::Literal(Value::Bool(*it.inner())), Type::Bool),
        LiteralValue::Int(it) => (Ir::Literal(Value::I64(*it.inner())), Type::Int),
        LiteralValue::UInt(it) => (Ir::Literal(Value::U64(*it.inner())), Type::UInt),
        LiteralValue::Double(it) => (Ir::Literal(Value::F64(*it.inner())), Type::Double),
        LiteralValue::String(it) => {
            (Ir::Literal(Value::String(it.inner().to_owned())), Type::String)
        }
        LiteralValue::Bytes(it) => {
            let bytes = bytes::Bytes::copy_from_slice(it.inner());
            (Ir::Literal(Value::Bytes(bytes)), Type::Bytes)
        }
        LiteralValue::Null => {
            let remedy = "leave the field out; ask with has(...) whether one is set";
            return Err(flaw("expression-type", "null is not a value here", remedy));
        }
    })
}
