//! Filters of lists: conditions in the syntax of CEL, as `sagactl help filters` explains them,
//! on what the index of sagas holds. There is no text of a database in here.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use saga_log::{
    CausePart, Compare, Filter, NumberColumn, Status as RowStatus, TextColumn, TextTest,
};
use saga_proto::saga::v1::SagaState;

/// Operations one upon the other at most.
const DEPTH_MAX: usize = 64;

/// What can be asked about a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    State,
    Ended,
    Text(TextColumn),
    /// Of a saga that needs a person, or waits.
    LiveText(TextColumn),
    Cause(CausePart),
    Label(String),
    Version,
    Time(NumberColumn),
    Age,
}

/// The fields by name, as an error lists them.
const FIELDS: [(&str, Field); 16] = [
    ("state", Field::State),
    ("ended", Field::Ended),
    ("definition", Field::Text(TextColumn::Definition)),
    ("version", Field::Version),
    // A word of CEL by itself.
    ("saga.namespace", Field::Text(TextColumn::Namespace)),
    ("business_key", Field::Text(TextColumn::BusinessKey)),
    ("started_at", Field::Time(NumberColumn::StartedAtMs)),
    ("ended_at", Field::Time(NumberColumn::EndedAtMs)),
    ("age", Field::Age),
    ("turned_back", Field::Text(TextColumn::TurnedBack)),
    ("waiting_on", Field::LiveText(TextColumn::WaitingOn)),
    ("stuck.reason", Field::LiveText(TextColumn::StuckReason)),
    ("stuck.step", Field::LiveText(TextColumn::StuckStep)),
    ("cause.participant", Field::Cause(CausePart::Participant)),
    ("cause.method", Field::Cause(CausePart::Method)),
    ("cause.code", Field::Cause(CausePart::Code)),
];

/// A value to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Constant {
    Text(String),
    Number(u64),
    /// A point in time, in milliseconds since the Unix epoch.
    Time(u64),
    /// A span, in milliseconds.
    Span(u64),
}

/// The filter that `text` says. Nothing means any saga.
///
/// # Errors
///
/// What is wrong with it, and what would be right.
pub(super) fn filter(text: &str, now_ms: u64) -> Result<Filter, String> {
    if text.trim().is_empty() {
        return Ok(Filter::default());
    }
    let parsed = crate::definition::syntax_of(text);
    let parsed = parsed.map_err(|(message, remedy)| format!("{message}; {remedy}"))?;
    Reader { now_ms }.condition(&parsed.expr, 0)
}

/// The sagas in this state.
pub(super) fn in_state(state: SagaState) -> Filter {
    let not_stuck =
        |status| Filter::Every(vec![Filter::Status(status), Filter::Not(Box::new(Filter::Stuck))]);
    match state {
        SagaState::Unspecified => Filter::default(),
        SagaState::Running => not_stuck(RowStatus::Running),
        SagaState::Compensating => not_stuck(RowStatus::Compensating),
        SagaState::Stuck => live(Filter::Stuck),
        SagaState::Completed => Filter::Status(RowStatus::Completed),
        SagaState::Compensated => Filter::Status(RowStatus::Compensated),
        SagaState::Closed => Filter::Status(RowStatus::Closed),
    }
}

/// Of sagas that have not ended.
fn live(filter: Filter) -> Filter {
    let is_live = [RowStatus::Running, RowStatus::Compensating].map(Filter::Status);
    Filter::Every(vec![Filter::Any(is_live.into()), filter])
}

fn ended() -> Filter {
    let endings = [RowStatus::Completed, RowStatus::Compensated, RowStatus::Closed];
    Filter::Any(endings.map(Filter::Status).into())
}

struct Reader {
    now_ms: u64,
}

impl Reader {
    fn condition(&self, expr: &Expr, depth: usize) -> Result<Filter, String> {
        if depth == DEPTH_MAX {
            return Err(format!(
                "more than {DEPTH_MAX} operations one upon the other; ask for less"
            ));
        }
        match expr {
            Expr::Literal(LiteralValue::Boolean(said)) => {
                Ok(if *said.inner() { Filter::default() } else { Filter::Any(Vec::new()) })
            }
            Expr::Call(call) => self.call(call, depth),
            other => match field(other)? {
                Field::Ended => Ok(ended()),
                _ => Err(format!("`{}` is no condition; compare it with something", said(other))),
            },
        }
    }

    fn call(&self, call: &CallExpr, depth: usize) -> Result<Filter, String> {
        let all = |filters: &[IdedExpr]| -> Result<Vec<Filter>, String> {
            filters.iter().map(|it| self.condition(&it.expr, depth + 1)).collect()
        };
        let not = |filter| Filter::Not(Box::new(filter));
        match (call.func_name.as_str(), &call.target, call.args.as_slice()) {
            (operators::LOGICAL_AND, None, both) => all(both).map(Filter::Every),
            (operators::LOGICAL_OR, None, both) => all(both).map(Filter::Any),
            (operators::LOGICAL_NOT, None, [one]) => self.condition(&one.expr, depth + 1).map(not),
            (operators::EQUALS, None, [left, right]) => self.equal(left, right),
            (operators::NOT_EQUALS, None, [left, right]) => self.equal(left, right).map(not),
            (operators::IN, None, [left, right]) => {
                let field = field(&left.expr)?;
                let Expr::List(list) = &right.expr else {
                    return Err(format!("`{}` is no list, as in ['A', 'B']", said(&right.expr)));
                };
                let each =
                    list.elements.iter().map(|it| self.is(&field, &self.constant(&it.expr)?));
                each.collect::<Result<_, _>>().map(Filter::Any)
            }
            ("startsWith", Some(text), [prefix]) => {
                let (asked, with) = (field(&text.expr)?, self.constant(&prefix.expr)?);
                match (&asked, with) {
                    (Field::Text(column), Constant::Text(text)) => {
                        Ok(Filter::Text { column: *column, test: TextTest::BeginsWith(text) })
                    }
                    (Field::LiveText(column), Constant::Text(text)) => {
                        Ok(live(Filter::Text { column: *column, test: TextTest::BeginsWith(text) }))
                    }
                    _ => Err(format!("`{}` is compared with == or in", said(&text.expr))),
                }
            }
            (sign, None, [left, right]) => match compare(sign) {
                Some(compare) => self.compared(left, right, compare),
                None => Err(unknown(call)),
            },
            _ => Err(unknown(call)),
        }
    }

    fn equal(&self, left: &IdedExpr, right: &IdedExpr) -> Result<Filter, String> {
        let (asked, with) = sides(left, right);
        let field = field(&asked.expr)?;
        if let (Field::Ended, Expr::Literal(LiteralValue::Boolean(said))) = (&field, &with.expr) {
            return Ok(if *said.inner() { ended() } else { Filter::Not(Box::new(ended())) });
        }
        self.is(&field, &self.constant(&with.expr)?)
    }

    fn is(&self, field: &Field, with: &Constant) -> Result<Filter, String> {
        match (field, with) {
            (Field::State, Constant::Text(name)) => {
                let state = SagaState::from_str_name(&format!("SAGA_STATE_{name}"));
                let state = state.filter(|it| *it != SagaState::Unspecified);
                state.map(in_state).ok_or_else(|| {
                    let states = "RUNNING, COMPENSATING, STUCK, COMPLETED, COMPENSATED and CLOSED";
                    format!("there is no state {name:?}; the states are {states}")
                })
            }
            (Field::Text(column), Constant::Text(text)) => Ok(Filter::is(*column, text)),
            // Of what has ended, nothing is left of it.
            (Field::LiveText(column), Constant::Text(text)) if text.is_empty() => {
                let something = Filter::Not(Box::new(Filter::is(*column, text)));
                Ok(Filter::Not(Box::new(live(something))))
            }
            (Field::LiveText(column), Constant::Text(text)) => Ok(live(Filter::is(*column, text))),
            (Field::Cause(_), Constant::Text(is)) if is.is_empty() => {
                Err("a cause is not looked for by an empty text; compare it with a name, as in \
                     cause.participant == 'payment'"
                    .to_owned())
            }
            (Field::Cause(part), Constant::Text(is)) => {
                Ok(live(Filter::Cause { part: *part, is: is.clone() }))
            }
            (Field::Label(name), Constant::Text(value)) => {
                Ok(Filter::Label { name: name.clone(), value: value.clone() })
            }
            _ => self.ordered(field, with, Compare::Equal),
        }
    }

    fn compared(
        &self,
        left: &IdedExpr,
        right: &IdedExpr,
        compare: Compare,
    ) -> Result<Filter, String> {
        let (asked, with) = sides(left, right);
        let compare = if std::ptr::eq(asked, left) { compare } else { turned(compare) };
        self.ordered(&field(&asked.expr)?, &self.constant(&with.expr)?, compare)
    }

    fn ordered(&self, field: &Field, with: &Constant, compare: Compare) -> Result<Filter, String> {
        let number = |column, compare, than| Ok(Filter::Number { column, compare, than });
        match (field, with) {
            (Field::Version, Constant::Number(than)) => {
                number(NumberColumn::DefinitionVersion, compare, *than)
            }
            (Field::Time(column), Constant::Time(than)) => number(*column, compare, *than),
            // The older, the earlier it was started.
            (Field::Age, Constant::Span(age)) => {
                let started = self.now_ms.saturating_sub(*age);
                number(NumberColumn::StartedAtMs, turned(compare), started)
            }
            (Field::Version, _) => Err("version is a whole number, as in version >= 3".to_owned()),
            (Field::Age, _) => Err("age is a span, as in age > duration('1h')".to_owned()),
            (Field::Time(_), _) => {
                let time = "started_at and ended_at are times, as in \
                            started_at > timestamp('2026-01-02T15:04:05Z')";
                Err(time.to_owned())
            }
            (Field::Ended, _) => Err("ended stands by itself, as in !ended".to_owned()),
            _ => {
                Err("a text is compared with a text by ==, != or in, and by startsWith".to_owned())
            }
        }
    }

    fn constant(&self, expr: &Expr) -> Result<Constant, String> {
        let wrong = || {
            format!(
                "`{}` is nothing to compare with; write 'TEXT', a whole number, \
            duration('1h') or timestamp('..')",
                said(expr)
            )
        };
        match expr {
            Expr::Literal(LiteralValue::String(text)) => {
                Ok(Constant::Text(text.inner().to_owned()))
            }
            Expr::Literal(LiteralValue::Int(number)) => {
                u64::try_from(*number.inner()).map(Constant::Number).map_err(|_| wrong())
            }
            Expr::Literal(LiteralValue::UInt(number)) => Ok(Constant::Number(*number.inner())),
            Expr::Call(CallExpr { func_name, target: None, args }) => {
                let [IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), .. }] =
                    args.as_slice()
                else {
                    return Err(wrong());
                };
                let made = match func_name.as_str() {
                    "duration" => millis(func_name, text.inner()).map(Constant::Span),
                    "timestamp" => millis(func_name, text.inner()).map(Constant::Time),
                    _ => None,
                };
                made.ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

/// The milliseconds of a span or a time, as definitions read them. `None`: it is none, or before
/// 1970.
fn millis(function: &str, text: &str) -> Option<u64> {
    let text = serde_json::to_string(text).ok()?;
    let value = crate::definition::constant(&format!("{function}({text})")).ok()?;
    let message = value.as_message()?;
    let seconds = message.get_field_by_number(1)?.as_i64()?;
    let nanos = message.get_field_by_number(2)?.as_i32()?;
    let millis = i128::from(seconds) * 1_000 + i128::from(nanos) / 1_000_000;
    u64::try_from(millis).ok()
}

/// What is asked about, and what it is compared with: whichever way round it was written.
fn sides<'e>(left: &'e IdedExpr, right: &'e IdedExpr) -> (&'e IdedExpr, &'e IdedExpr) {
    let is_field = |it: &IdedExpr| field(&it.expr).is_ok();
    if !is_field(left) && is_field(right) { (right, left) } else { (left, right) }
}

fn field(expr: &Expr) -> Result<Field, String> {
    let name = said(expr);
    if let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == name) {
        return Ok(field.clone());
    }
    match expr {
        Expr::Select(select) if said(&select.operand.expr) == "labels" && !select.test => {
            Ok(Field::Label(select.field.clone()))
        }
        Expr::Call(CallExpr { func_name, target: None, args }) if func_name == operators::INDEX => {
            match args.as_slice() {
                [of, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }]
                    if said(&of.expr) == "labels" =>
                {
                    Ok(Field::Label(name.inner().to_owned()))
                }
                _ => Err(no_field(&name)),
            }
        }
        _ => Err(no_field(&name)),
    }
}

fn no_field(name: &str) -> String {
    let fields = FIELDS.map(|(name, _)| name).join(", ");
    format!("sagas are not found by `{name}`, but by {fields} and labels['NAME']")
}

fn unknown(call: &CallExpr) -> String {
    format!(
        "`{}` is not among ==, !=, <, <=, >, >=, in, &&, ||, ! and startsWith",
        call.func_name.trim_matches('_')
    )
}

fn compare(sign: &str) -> Option<Compare> {
    match sign {
        operators::LESS => Some(Compare::Less),
        operators::LESS_EQUALS => Some(Compare::LessOrEqual),
        operators::GREATER => Some(Compare::Greater),
        operators::GREATER_EQUALS => Some(Compare::GreaterOrEqual),
        _ => None,
    }
}

/// The same comparison with its sides changed.
fn turned(compare: Compare) -> Compare {
    match compare {
        Compare::Equal => Compare::Equal,
        Compare::Less => Compare::Greater,
        Compare::LessOrEqual => Compare::GreaterOrEqual,
        Compare::Greater => Compare::Less,
        Compare::GreaterOrEqual => Compare::LessOrEqual,
    }
}

/// A name as it was written, or the kind of what is none.
fn said(expr: &Expr) -> String {
    match expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) => format!("{}.{}", said(&select.operand.expr), select.field),
        Expr::Literal(LiteralValue::String(text)) => format!("{:?}", text.inner()),
        Expr::Literal(LiteralValue::Int(number)) => number.inner().to_string(),
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [of, index] => format!("{}[{}]", said(&of.expr), said(&index.expr)),
            _ => call.func_name.clone(),
        },
        Expr::Call(call) => format!("{}(..)", call.func_name),
        Expr::List(_) => "[..]".to_owned(),
        _ => "..".to_owned(),
    }
}
