//! Lists, maps and the macros over them.

use std::{borrow::Cow, collections::HashMap};

use prost_reflect::{MapKey, Value};

use super::{
    Ir, Loop, LoopKind, RecordField,
    eval::{EvalError, Frame, Locals, has, truth},
    operators::{entry, keys_in_order, map_key, whole},
};

impl Frame<'_> {
    pub(super) fn record<'f>(
        &'f self,
        fields: &'f [RecordField],
        locals: &mut Locals<'f>,
    ) -> Result<Value, EvalError> {
        let mut made = HashMap::with_capacity(fields.len());
        for RecordField { name, value, copies_absence } in fields {
            if *copies_absence && self.is_absent(value, locals)? {
                continue;
            }
            let value = self.owned(self.value(value, locals)?)?;
            made.insert(MapKey::String(name.clone()), value);
        }
        Ok(Value::Map(made))
    }

    /// Whether a value is a field that can be absent, and is.
    pub(super) fn is_absent<'f>(
        &'f self,
        ir: &'f Ir,
        locals: &mut Locals<'f>,
    ) -> Result<bool, EvalError> {
        match ir {
            Ir::Select(of, field) if field.supports_presence() => {
                Ok(!has(&*self.value(of, locals)?, field)?)
            }
            Ir::Choose(test, then, other) => {
                let branch = if self.test(test, locals)? { then } else { other };
                self.is_absent(branch, locals)
            }
            _ => Ok(false),
        }
    }

    pub(super) fn entries<'f>(
        &'f self,
        entries: &'f [(Ir, Ir)],
        locals: &mut Locals<'f>,
    ) -> Result<Value, EvalError> {
        let mut made = HashMap::with_capacity(entries.len());
        for (key, value) in entries {
            let key = map_key(&*self.value(key, locals)?)?;
            let value = self.owned(self.value(value, locals)?)?;
            if made.insert(key, value).is_some() {
                return Err(EvalError::KeyTwice);
            }
        }
        Ok(Value::Map(made))
    }

    pub(super) fn run<'f>(
        &'f self,
        it: &'f Loop,
        locals: &mut Locals<'f>,
    ) -> Result<Value, EvalError> {
        let items: Box<dyn Iterator<Item = Cow<'f, Value>> + 'f> =
            match self.value(&it.over, locals)? {
                Cow::Borrowed(Value::List(items)) => Box::new(items.iter().map(Cow::Borrowed)),
                Cow::Owned(Value::List(items)) => Box::new(items.into_iter().map(Cow::Owned)),
                // In the order of the keys: the same request each time.
                map if matches!(*map, Value::Map(_)) => {
                    Box::new(keys_in_order(&map).into_iter().map(Cow::Owned))
                }
                _ => return Err(EvalError::WrongType),
            };
        let mut kept = Vec::new();
        let mut matches = 0_usize;
        // What `all` and `exists` say if nothing decides them.
        let mut undecided = None;
        for item in items {
            self.spend(1)?;
            locals.truncate(it.local);
            locals.push(item);
            if let Some(condition) = &it.condition
                && !self.test(condition, locals)?
            {
                continue;
            }
            let body = match self.value(&it.body, locals) {
                Err(error)
                    if error != EvalError::OutOfFuel
                        && matches!(it.kind, LoopKind::All | LoopKind::Exists) =>
                {
                    undecided.get_or_insert(error);
                    continue;
                }
                body => body?,
            };
            // The body may have left the variables of its own loops.
            locals.truncate(it.local + 1);
            match it.kind {
                LoopKind::Map => kept.push(self.owned(body)?),
                LoopKind::All if !truth(&body)? => return Ok(Value::Bool(false)),
                LoopKind::Exists if truth(&body)? => return Ok(Value::Bool(true)),
                LoopKind::ExistsOne if truth(&body)? => matches += 1,
                LoopKind::Filter if truth(&body)? => {
                    let item = locals.pop().ok_or(EvalError::WrongType)?;
                    kept.push(self.owned(item)?);
                }
                LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne | LoopKind::Filter => {}
            }
        }
        locals.truncate(it.local);
        if let Some(error) = undecided {
            return Err(error);
        }
        Ok(match it.kind {
            LoopKind::Map | LoopKind::Filter => Value::List(kept),
            LoopKind::All => Value::Bool(true),
            LoopKind::Exists => Value::Bool(false),
            LoopKind::ExistsOne => Value::Bool(matches == 1),
        })
    }

    pub(super) fn index<'f>(
        &self,
        of: Cow<'f, Value>,
        index: &Value,
    ) -> Result<Cow<'f, Value>, EvalError> {
        if let Value::Map(_) = &*of {
            return element(of, |of| match of {
                Value::Map(map) => entry(map, index).ok_or(EvalError::NoSuchKey),
                _ => Err(EvalError::WrongType),
            });
        }
        let index = whole(index).ok_or(EvalError::WrongType)?;
        element(of, |of| {
            let Value::List(items) = of else { return Err(EvalError::WrongType) };
            let found = usize::try_from(index).ok().and_then(|it| items.get(it));
            found.ok_or(EvalError::OutOfBounds { index, len: items.len() })
        })
    }
}

/// A part of a value, borrowed where the whole is.
fn element<'f>(
    of: Cow<'f, Value>,
    pick: impl for<'v> Fn(&'v Value) -> Result<&'v Value, EvalError>,
) -> Result<Cow<'f, Value>, EvalError> {
    match of {
        Cow::Borrowed(of) => pick(of).map(Cow::Borrowed),
        Cow::Owned(of) => pick(&of).cloned().map(Cow::Owned),
    }
}
