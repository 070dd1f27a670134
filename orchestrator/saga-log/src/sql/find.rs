//! Finds sagas by a filter, on both databases. A statement is made of the texts of this file;
//! whatever came from outside is bound.
//!
//! Every look leads along ranges of an index that are sorted by saga id, so that a page is the
//! end of its ranges and the next one goes on from there. Where a part of the filter is not in
//! the index, so many of its entries are looked at and no more, and the answer says where that
//! ended: what no index serves takes many looks, and none of them takes long.

use std::fmt::Write as _;

use saga_core::SagaId;
use uuid::Uuid;

use super::condition::{Bind, Statement, holds, said};
use super::saga_columns;
use crate::store::{Filter, ListQuery, Status, TextColumn, TextTest};

/// Larger than every saga id: a UUID of version 7 never starts with a byte of ones.
const BEFORE_ALL: Uuid = Uuid::max();

/// A range of an index whose entries are sorted by saga id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range<'f> {
    All,
    Stuck,
    Status(Status),
    Definition(&'f str, Status),
    Label(&'f str, &'f str),
}

/// The ranges that a look leads along, and what is to be asked of each saga there.
#[derive(Debug)]
pub(crate) struct Find<'f> {
    /// Whether the database is told which index a range is of. SQLite has no numbers to go by.
    names_index: bool,
    query: &'f ListQuery,
    ranges: Vec<Range<'f>>,
    rest: Vec<&'f Filter>,
}

impl<'f> Find<'f> {
    /// `None`: nothing can be found, whatever there is.
    pub(crate) fn of(query: &'f ListQuery, names_index: bool) -> Option<Self> {
        let conjuncts = query.filter.conjuncts();
        let statuses = query.filter.statuses();
        let label = conjuncts.iter().find_map(|it| match it {
            Filter::Label { name, value } => Some(Range::Label(name, value)),
            _ => None,
        });
        let definition = conjuncts.iter().find_map(|it| match it {
            Filter::Text { column: TextColumn::Definition, test: TextTest::Is(name) } => Some(name),
            _ => None,
        });
        let ranges: Vec<Range<'f>> = match (label, definition) {
            (Some(label), _) => vec![label],
            (None, _) if conjuncts.contains(&&Filter::Stuck) => vec![Range::Stuck],
            (None, Some(name)) => {
                statuses.iter().map(|status| Range::Definition(name, *status)).collect()
            }
            (None, None) if statuses.len() == Status::ALL.len() => vec![Range::All],
            (None, None) => statuses.iter().map(|status| Range::Status(*status)).collect(),
        };
        let lead = *ranges.first()?;
        if ranges.iter().any(|range| range.texts().iter().any(|text| text.contains('\0'))) {
            return None; // No such text is stored, and PostgreSQL refuses to look.
        }
        let rest = conjuncts.into_iter().filter(|it| !lead.holds_of_all(it)).collect();
        Some(Self { names_index, query, ranges, rest })
    }

    /// Whether whatever the ranges lead to is meant.
    pub(crate) fn is_exact(&self) -> bool {
        self.rest.is_empty()
    }

    /// Where the entries end that are looked at: the last of them, if there are so many.
    pub(crate) fn end(&self) -> Statement {
        let looks = i64::from(self.query.looks_max.max(1));
        let mut statement = Statement::default();
        statement.say("/* find: end */ select saga_id from (");
        self.each_range(&mut statement, |statement, range| {
            statement.say("select saga_id from ").say(self.table(range)).say(" where ");
            self.within(statement, range, None);
            statement.say(" order by saga_id desc limit ").bind(Bind::Number(looks));
        });
        statement.say(") as walked order by saga_id desc limit 1 offset ");
        statement.bind(Bind::Number(looks - 1));
        statement
    }

    /// The sagas that are meant, newest first, down to `end`.
    pub(crate) fn page(&self, end: Option<SagaId>) -> Statement {
        let limit = Bind::Number(i64::from(self.query.rows_max));
        let mut statement = Statement::default();
        statement.say("/* find: page */ select * from (");
        self.each_range(&mut statement, |statement, range| {
            statement.say(concat!("select ", saga_columns!(), " from "));
            statement.say(self.looked_up_in(range)).say(" where ");
            self.meant(statement, range, end, Some(limit.clone()));
            statement.say(" order by saga_id desc limit ").bind(limit.clone());
        });
        statement.say(") as page order by saga_id desc limit ").bind(limit.clone());
        statement
    }

    /// How many sagas are meant, down to `end`.
    pub(crate) fn count(&self, end: Option<SagaId>) -> Statement {
        let mut statement = Statement::default();
        statement.say("/* find: count */ select count(*) from (");
        self.each_range(&mut statement, |statement, range| {
            statement.say("select saga_id from ").say(self.looked_up_in(range)).say(" where ");
            self.meant(statement, range, end, None);
        });
        statement.say(") as meant");
        statement
    }

    /// Where the entries of a range are.
    fn table(&self, range: Range<'_>) -> &'static str {
        match range {
            Range::Label(..) => "saga_label",
            Range::Definition(..) if self.names_index => "saga indexed by saga_definition",
            _ => "saga",
        }
    }

    /// Where the sagas of a range are.
    fn looked_up_in(&self, range: Range<'_>) -> &'static str {
        if matches!(range, Range::Label(..)) { "saga" } else { self.table(range) }
    }

    /// One select for each range, each with a limit of its own.
    fn each_range(
        &self,
        statement: &mut Statement,
        mut select: impl FnMut(&mut Statement, Range<'f>),
    ) {
        for (at, range) in self.ranges.iter().enumerate() {
            let all = if at == 0 { "select * from (" } else { " union all select * from (" };
            statement.say(all);
            select(statement, *range);
            let _ = write!(statement.text, ") as range_{at}");
        }
    }

    /// The sagas of a range that are meant. Those with a label are named by its index, so that
    /// no more of them are looked at than are in the range: the newest, where only so many are
    /// wanted and each is meant.
    fn meant(
        &self,
        statement: &mut Statement,
        range: Range<'f>,
        end: Option<SagaId>,
        newest: Option<Bind>,
    ) {
        if let Range::Label(..) = range {
            statement.say("saga_id in (select saga_id from saga_label where ");
            self.within(statement, range, end);
            if let Some(newest) = newest.filter(|_| self.is_exact()) {
                statement.say(" order by saga_id desc limit ").bind(newest);
            }
            statement.say(")");
        } else {
            self.within(statement, range, end);
        }
        for filter in &self.rest {
            statement.say(" and ");
            holds(statement, filter);
        }
    }

    /// The entries of a range between `end` and where the page before has ended.
    fn within(&self, statement: &mut Statement, range: Range<'f>, end: Option<SagaId>) {
        let before = self.query.before.map_or(BEFORE_ALL, |saga| saga.0);
        range.begins(statement);
        statement.say("saga_id < ").bind(Bind::Id(before));
        if let Some(end) = end {
            statement.say(" and saga_id >= ").bind(Bind::Id(end.0));
        }
    }
}

impl Range<'_> {
    /// Whether a condition holds for whatever is in the range.
    fn holds_of_all(self, filter: &Filter) -> bool {
        match (self, filter) {
            (Self::Stuck, Filter::Stuck) => true,
            (Self::Label(name, value), Filter::Label { name: n, value: v }) => {
                (name, value) == (n, v)
            }
            (Self::Definition(name, _), Filter::Text { column, test: TextTest::Is(is) }) => {
                *column == TextColumn::Definition && name == is
            }
            // The ranges are those of the statuses that all of the filter allows.
            (Self::Status(_) | Self::Definition(..), filter) => is_of_statuses(filter),
            _ => false,
        }
    }

    fn texts(&self) -> [&str; 2] {
        match self {
            Self::Definition(name, _) => [name, ""],
            Self::Label(name, value) => [name, value],
            Self::All | Self::Stuck | Self::Status(_) => ["", ""],
        }
    }

    fn begins(self, statement: &mut Statement) {
        match self {
            Self::All => statement,
            Self::Stuck => statement.say("stuck_reason is not null and "),
            Self::Status(status) => said(statement.say("status = "), status).say(" and "),
            Self::Definition(name, status) => {
                statement.say("definition = ").bind(Bind::Text(name.to_owned()));
                said(statement.say(" and status = "), status).say(" and ")
            }
            Self::Label(name, value) => {
                statement.say("name = ").bind(Bind::Text(name.to_owned()));
                statement.say(" and value = ").bind(Bind::Text(value.to_owned())).say(" and ")
            }
        };
    }
}

/// Whether the status alone decides it.
fn is_of_statuses(filter: &Filter) -> bool {
    match filter {
        Filter::Status(_) => true,
        Filter::Every(all) | Filter::Any(all) => all.iter().all(is_of_statuses),
        Filter::Not(not) => matches!(**not, Filter::Status(_)),
        _ => false,
    }
}

/// Binds what is bound to a statement.
macro_rules! bound {
    ($query:expr, $binds:expr) => {{
        let mut query = $query;
        for bind in $binds {
            query = match bind {
                $crate::sql::condition::Bind::Text(text) => query.bind(text),
                $crate::sql::condition::Bind::Number(number) => query.bind(number),
                $crate::sql::condition::Bind::Id(id) => query.bind(id),
            };
        }
        query
    }};
}
pub(crate) use bound;

/// Writes the functions of a store of [`sql_store`](super::sql_store) that find sagas. Their
/// statements differ from filter to filter, so none is kept prepared; the planner sees what is
/// bound.
macro_rules! sql_finds {
    ($Store:ty, $Connection:ty) => {
        impl $Store {
            async fn found(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
                let rows_max = query.rows_max;
                let query = query.clone();
                let found = self.read("list", move |connection| {
                    async move {
                        let Some(find) = $crate::sql::find::Find::of(&query, Self::NAMES_INDEX)
                        else {
                            return Ok((Vec::new(), None));
                        };
                        let exact = find.is_exact();
                        let end = if exact { None } else { end(connection, &find).await? };
                        let page = find.page(end);
                        let text = sqlx::AssertSqlSafe(page.text);
                        let page = bound!(sqlx::query_as(text).persistent(false), page.binds);
                        let records: Vec<SagaRecord> = page.fetch_all(connection).await?;
                        Ok((records, end))
                    }
                    .boxed()
                });
                let (records, end) = found.await?;
                let rows = records.into_iter().map(|record| record.row("list"));
                Ok(ListPage::of(rows.collect::<Result<_, _>>()?, rows_max, end))
            }

            async fn counted(&self, query: &ListQuery) -> Result<Count, StoreError> {
                let query = query.clone();
                let counted = self.read("count", move |connection| {
                    async move {
                        let Some(find) = $crate::sql::find::Find::of(&query, Self::NAMES_INDEX)
                        else {
                            return Ok(Count::default());
                        };
                        let next = end(connection, &find).await?;
                        let count = find.count(next);
                        let text = sqlx::AssertSqlSafe(count.text);
                        let count = bound!(sqlx::query_scalar(text).persistent(false), count.binds);
                        let sagas: i64 = count.fetch_one(connection).await?;
                        Ok(Count { sagas: sagas.unsigned_abs(), next })
                    }
                    .boxed()
                });
                counted.await
            }
        }

        async fn end(
            connection: &mut $Connection,
            find: &$crate::sql::find::Find<'_>,
        ) -> Result<Option<SagaId>, sqlx::Error> {
            let end = find.end();
            let text = sqlx::AssertSqlSafe(end.text);
            let end = bound!(sqlx::query_scalar(text).persistent(false), end.binds);
            let end: Option<uuid::Uuid> = end.fetch_optional(connection).await?;
            Ok(end.map(SagaId))
        }
    };
}
pub(crate) use sql_finds;
