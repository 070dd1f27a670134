//! The macros over lists. The parser has expanded them to folds; here the fold is
//! recognised and becomes a loop that builds its result in place.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};

use super::{
    Ir, Loop, LoopKind,
    check::{Checker, Flaw, Typed, flaw},
};
use crate::value_type::Type;

/// Loops inside one another at most.
const LOOPS_MAX: usize = 3;

/// A recognised macro.
struct Macro<'a> {
    kind: LoopKind,
    condition: Option<&'a Expr>,
    body: &'a Expr,
}

impl Checker<'_> {
    pub(super) fn check_loop(&mut self, fold: &ComprehensionExpr) -> Result<Typed, Flaw> {
        let Some(Macro { kind, condition, body }) = recognise(fold) else {
            let remedy = "use all, exists, exists_one, map or filter";
            return Err(flaw("expression-type", "this macro is not supported", remedy));
        };
        if self.locals.len() == LOOPS_MAX {
            let message = format!("more than {LOOPS_MAX} loops inside one another");
            let remedy = "compute it in the participant";
            return Err(flaw("expression-too-large", message, remedy));
        }
        let (over, of) = self.check(&fold.iter_range.expr)?;
        let element = match of {
            Type::List(element) => element,
            // Over the keys, in their order.
            Type::Map(key, _) => key,
            Type::Record(_) => Box::new(Type::String),
            of => {
                let message = format!("cannot loop over a {of}");
                return Err(flaw("expression-type", message, "loop over a repeated field"));
            }
        };
        let local = self.locals.len();
        self.locals.push((fold.iter_var.clone(), (*element).clone()));
        let inner = self.check_body(condition, body);
        self.locals.pop();
        let (condition, (body, body_of)) = inner?;
        if kind != LoopKind::Map {
            expect_bool(&body_of)?;
        }
        let of = match kind {
            LoopKind::Map => Type::List(Box::new(body_of)),
            LoopKind::Filter => Type::List(element),
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Type::Bool,
        };
        Ok((Ir::Loop(Box::new(Loop { over, local, kind, condition, body })), of))
    }

    fn check_body(
        &mut self,
        condition: Option<&Expr>,
        body: &Expr,
    ) -> Result<(Option<Ir>, Typed), Flaw> {
        let condition = match condition.map(|it| self.check(it)).transpose()? {
            None => None,
            Some((ir, of)) => {
                expect_bool(&of)?;
                Some(ir)
            }
        };
        Ok((condition, self.check(body)?))
    }
}

fn expect_bool(of: &Type) -> Result<(), Flaw> {
    if *of == Type::Bool {
        return Ok(());
    }
    let message = format!("the condition of the loop is a {of}");
    Err(flaw("expression-type", message, "make it true or false"))
}

/// Finds out which macro a fold was.
fn recognise(fold: &ComprehensionExpr) -> Option<Macro<'_>> {
    if fold.iter_var2.is_some() {
        return None;
    }
    let accumulator = |it: &IdedExpr| matches!(&it.expr, Expr::Ident(n) if *n == fold.accu_var);
    match (&fold.accu_init.expr, &fold.loop_step.expr) {
        (Expr::Literal(LiteralValue::Boolean(_)), Expr::Call(CallExpr { func_name, args, .. })) => {
            let kind = match func_name.as_str() {
                operators::LOGICAL_AND => LoopKind::All,
                operators::LOGICAL_OR => LoopKind::Exists,
                _ => return None,
            };
            let [first, body] = args.as_slice() else { return None };
            accumulator(first).then_some(Macro { kind, condition: None, body: &body.expr })
        }
        (Expr::Literal(LiteralValue::Int(_)), Expr::Call(CallExpr { func_name, args, .. })) => {
            let [body, _, last] = args.as_slice() else { return None };
            let one = func_name == operators::CONDITIONAL && accumulator(last);
            one.then_some(Macro { kind: LoopKind::ExistsOne, condition: None, body: &body.expr })
        }
        (Expr::List(_), Expr::Call(step)) if step.func_name == operators::CONDITIONAL => {
            let [condition, appended, last] = step.args.as_slice() else { return None };
            let body = appended_element(&appended.expr, accumulator)?;
            if !accumulator(last) {
                return None;
            }
            // `filter(v, c)` appends the variable itself; `map(v, c, v)` is the same.
            if matches!(body, Expr::Ident(name) if *name == fold.iter_var) {
                let body = &condition.expr;
                return Some(Macro { kind: LoopKind::Filter, condition: None, body });
            }
            Some(Macro { kind: LoopKind::Map, condition: Some(&condition.expr), body })
        }
        (Expr::List(_), step) => {
            let body = appended_element(step, accumulator)?;
            Some(Macro { kind: LoopKind::Map, condition: None, body })
        }
        _ => None,
    }
}

/// The `x` of `accumulator + [x]`.
fn appended_element(step: &Expr, accumulator: impl Fn(&IdedExpr) -> bool) -> Option<&Expr> {
    let Expr::Call(CallExpr { func_name, args, .. }) = step else { return None };
    let [first, second] = args.as_slice() else { return None };
    let Expr::List(list) = &second.expr else { return None };
    let [element] = list.elements.as_slice() else { return None };
    (func_name == operators::ADD && accumulator(first)).then_some(&element.expr)
}
