//! A filter as a condition of a statement. Whatever came from outside is bound.

use std::fmt::Write as _;

use uuid::Uuid;

use crate::rows::to_i64;
use crate::store::Status;
use crate::store::{CausePart, Compare, Filter, NumberColumn, TextColumn, TextTest};

/// A value that is bound to a statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bind {
    Text(String),
    Number(i64),
    Id(Uuid),
}

/// A statement with what is bound to it, in the order of the numbers in its text.
#[derive(Debug, Default)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) binds: Vec<Bind>,
}

impl Statement {
    pub(super) fn say(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(super) fn bind(&mut self, value: Bind) -> &mut Self {
        self.binds.push(value);
        let _ = write!(self.text, "${}", self.binds.len());
        self
    }
}

/// Says that a filter holds, in brackets where it needs them.
pub(super) fn holds(statement: &mut Statement, filter: &Filter) {
    match filter {
        Filter::Every(all) => joined(statement, all, " and ", "true"),
        Filter::Any(any) => joined(statement, any, " or ", "false"),
        Filter::Not(not) => {
            statement.say("not (");
            holds(statement, not);
            statement.say(")");
        }
        Filter::Status(status) => {
            said(statement.say("status = "), *status);
        }
        Filter::Stuck => {
            statement.say("stuck_reason is not null");
        }
        filter if has_nul(filter) => {
            statement.say("false");
        }
        Filter::Text { column, test: TextTest::Is(text) } => {
            statement.say(column.name()).say(" = ").bind(Bind::Text(text.clone()));
        }
        Filter::Text { column, test: TextTest::BeginsWith(text) } => {
            statement.say("substr(").say(column.name()).say(", 1, ");
            chars(statement, text).say(") = ").bind(Bind::Text(text.clone()));
        }
        Filter::Number { column, compare, than } => {
            let (name, sign) = (column.name(), compare.sign());
            statement.say("coalesce(").say(name).say(sign);
            statement.bind(Bind::Number(to_i64(*than))).say(", false)");
        }
        Filter::Cause { part, is } => cause(statement, *part, is),
        Filter::Label { name, value } => {
            statement.say("exists (select 1 from saga_label as label where label.name = ");
            statement.bind(Bind::Text(name.clone())).say(" and label.value = ");
            statement.bind(Bind::Text(value.clone()));
            statement.say(" and label.saga_id = saga.saga_id)");
        }
    }
}

/// Whether it is about a text that no database holds, and that PostgreSQL refuses to look for.
fn has_nul(filter: &Filter) -> bool {
    match filter {
        Filter::Text { test: TextTest::Is(text) | TextTest::BeginsWith(text), .. }
        | Filter::Cause { is: text, .. } => text.contains('\0'),
        Filter::Label { name, value } => name.contains('\0') || value.contains('\0'),
        _ => false,
    }
}

fn joined(statement: &mut Statement, filters: &[Filter], by: &str, none: &str) {
    if filters.is_empty() {
        statement.say(none);
        return;
    }
    for (at, filter) in filters.iter().enumerate() {
        statement.say(if at == 0 { "(" } else { by });
        holds(statement, filter);
    }
    statement.say(")");
}

/// A cause is stored as three words, a line each; none of them holds a line break.
fn cause(statement: &mut Statement, part: CausePart, is: &str) {
    match part {
        CausePart::Participant => {
            let begin = format!("{is}\n");
            statement.say("substr(coalesce(cause, ''), 1, ");
            chars(statement, &begin).say(") = ").bind(Bind::Text(begin));
        }
        CausePart::Method => {
            let middle = Bind::Text(format!("\n{is}\n"));
            statement.say("replace(coalesce(cause, ''), ").bind(middle);
            statement.say(", '') <> coalesce(cause, '')");
        }
        CausePart::Code => {
            let end = format!("\n{is}");
            statement.say("substr(coalesce(cause, ''), length(coalesce(cause, '')) + 1 - ");
            chars(statement, &end).say(") = ").bind(Bind::Text(end));
        }
    }
}

/// How many characters a text has, as `substr` of either database takes it.
fn chars<'s>(statement: &'s mut Statement, text: &str) -> &'s mut Statement {
    let chars = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    statement.say("cast(").bind(Bind::Number(chars)).say(" as integer)")
}

impl TextColumn {
    fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::BusinessKey => "business_key",
            Self::Definition => "definition",
            Self::StuckReason => "coalesce(stuck_reason, '')",
            Self::StuckStep => "coalesce(stuck_step, '')",
            Self::TurnedBack => "coalesce(turned_back, '')",
            Self::WaitingOn => "coalesce(waiting_on, '')",
        }
    }
}

impl NumberColumn {
    fn name(self) -> &'static str {
        match self {
            Self::DefinitionVersion => "definition_version",
            Self::StartedAtMs => "started_at_ms",
            Self::EndedAtMs => "ended_at_ms",
        }
    }
}

impl Compare {
    fn sign(self) -> &'static str {
        match self {
            Self::Equal => " = ",
            Self::Less => " < ",
            Self::LessOrEqual => " <= ",
            Self::Greater => " > ",
            Self::GreaterOrEqual => " >= ",
        }
    }
}

/// A status as a part of the text: the planner knows it when it chooses.
pub(super) fn said(statement: &mut Statement, status: Status) -> &mut Statement {
    let _ = write!(statement.text, "{}", status.stored());
    statement
}
