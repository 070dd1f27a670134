//! Sagas are found by filters: on every store as the filter itself says, in pages of any size,
//! however far one look reaches.

use std::sync::Arc;

use super::lists::{all_pages, of_definition};
use super::sample::{ended, held_up, running, start, step_to, stuck, write_new};
use crate::store::{
    Append, CausePart, Compare, Filter, IndexChange, Labels, ListQuery, NumberColumn, SagaRow,
    Standing, Status, Store, TextColumn, TextTest,
};

/// Sagas of every kind, the oldest first, as they stand afterwards.
async fn sagas(store: &dyn Store) -> Vec<(SagaRow, Vec<(String, String)>)> {
    let mut sagas = Vec::new();
    for n in 1..=40_u64 {
        let definition = ["place-order", "refund", "o'brien \\ \"%_\" 주문"]
            [usize::try_from(n % 3).unwrap_or(0)];
        let mut append = of_definition(start(n, running(None)), definition);
        let IndexChange::Create(new) = &mut append.index else { unreachable!("a start") };
        new.definition_version = u32::try_from(n % 4 + 1).unwrap_or(1);
        if n % 5 == 0 {
            new.namespace = "other".to_owned();
        }
        if n % 4 == 0 {
            new.labels.push(("region".to_owned(), "eu'; drop table saga; --".to_owned()));
        }
        let labels = new.labels.clone();
        write_new(store, std::slice::from_ref(&append)).await;
        if let Some(standing) = standing(n) {
            write_new(store, &[step_to(n, 2, standing)]).await;
        }
        let row = store.saga(append.saga).await.expect("saga").expect("it was started");
        sagas.push((row, labels));
    }
    sagas
}

fn standing(n: u64) -> Option<Standing> {
    let parked = Standing { waiting_on: Some("signal approval".to_owned()), ..running(None) };
    let turned = Some("STEP_REJECTED".to_owned());
    match n % 8 {
        1 => Some(ended(Status::Completed)),
        2 => Some(stuck("OUTCOME_UNKNOWN", "pay", n)),
        3 => Some(held_up(parked, "payment", "UNAVAILABLE", n)),
        4 => Some(Standing { turned_back: turned, ..ended(Status::Compensated) }),
        5 => Some(Standing { turned_back: turned, status: Status::Compensating, ..running(None) }),
        6 => Some(held_up(stuck("NO_METHOD", "ship", n), "post", "UNIMPLEMENTED", n)),
        7 => Some(ended(Status::Closed)),
        _ => None,
    }
}

fn label(name: &str, value: &str) -> Filter {
    Filter::Label { name: name.to_owned(), value: value.to_owned() }
}

fn begins_with(column: TextColumn, text: &str) -> Filter {
    Filter::Text { column, test: TextTest::BeginsWith(text.to_owned()) }
}

fn cause(part: CausePart, is: &str) -> Filter {
    Filter::Cause { part, is: is.to_owned() }
}

fn number(column: NumberColumn, compare: Compare, than: u64) -> Filter {
    Filter::Number { column, compare, than }
}

/// Conditions of every kind, met by some, by all or by no saga.
fn simple() -> Vec<Filter> {
    use Compare::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    let mut filters = vec![
        Filter::default(),
        Filter::Any(vec![]),
        Filter::Stuck,
        label("customer", "c-1"),
        label("region", "eu'; drop table saga; --"),
        label("region", "c-1"),
        label("nul\0", "c-1"),
        Filter::is(TextColumn::Namespace, "other"),
        Filter::is(TextColumn::BusinessKey, "order-7"),
        Filter::is(TextColumn::Definition, "refund"),
        Filter::is(TextColumn::Definition, "o'brien \\ \"%_\" 주문"),
        Filter::is(TextColumn::Definition, "refund\0"),
        Filter::is(TextColumn::StuckReason, "OUTCOME_UNKNOWN"),
        Filter::is(TextColumn::StuckStep, "ship"),
        Filter::is(TextColumn::TurnedBack, "STEP_REJECTED"),
        Filter::is(TextColumn::TurnedBack, ""),
        Filter::is(TextColumn::WaitingOn, "signal approval"),
        begins_with(TextColumn::BusinessKey, "order-1"),
        begins_with(TextColumn::BusinessKey, "order-_"),
        begins_with(TextColumn::Definition, "o'brien \\ \"%_\" 주"),
        begins_with(TextColumn::WaitingOn, ""),
        begins_with(TextColumn::WaitingOn, "\0"),
        cause(CausePart::Participant, "payment"),
        cause(CausePart::Participant, "pay"),
        cause(CausePart::Method, "shop.v1.Shop/Do"),
        cause(CausePart::Method, "Shop/Do"),
        cause(CausePart::Code, "UNIMPLEMENTED"),
        cause(CausePart::Code, "IMPLEMENTED"),
        cause(CausePart::Code, ""),
        number(NumberColumn::EndedAtMs, Greater, 0),
        number(NumberColumn::EndedAtMs, Less, 9_000),
    ];
    filters.extend(Status::ALL.map(Filter::Status));
    for compare in [Equal, Greater, GreaterOrEqual, Less, LessOrEqual] {
        filters.push(number(NumberColumn::DefinitionVersion, compare, 2));
        filters.push(number(NumberColumn::StartedAtMs, compare, 920));
    }
    filters
}

/// Alone, turned around, and with one another.
fn filters() -> Vec<Filter> {
    let simple = simple();
    let not = |filter: &Filter| Filter::Not(Box::new(filter.clone()));
    let mut filters = simple.clone();
    filters.extend(simple.iter().map(not));
    for (at, one) in simple.iter().enumerate() {
        // Each with three others, so that in the end each kind has met each.
        for other in simple.iter().cycle().skip(at * 7 + 3).step_by(5).take(3) {
            filters.push(Filter::Every(vec![one.clone(), other.clone()]));
            filters.push(Filter::Any(vec![one.clone(), other.clone()]));
            let inner = Filter::Any(vec![not(other), Filter::Stuck]);
            filters.push(Filter::Every(vec![one.clone(), Filter::Every(vec![inner])]));
        }
    }
    filters
}

async fn counted(store: &dyn Store, query: &ListQuery) -> u64 {
    let (mut query, mut sagas) = (query.clone(), 0);
    loop {
        let count = store.count(&query).await.expect("count");
        sagas += count.sagas;
        let Some(next) = count.next else {
            return sagas;
        };
        query.before = Some(next);
    }
}

pub async fn a_filter_finds_what_it_says(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let sagas = sagas(&*first).await;
    let mut found_any = 0;
    for (at, filter) in filters().into_iter().enumerate() {
        let holds = |(row, labels): &&(SagaRow, Vec<(String, String)>)| {
            let labels: &Labels = labels;
            filter.holds(row, labels)
        };
        let expected: Vec<_> = sagas.iter().rev().filter(holds).map(|(row, _)| row.saga).collect();
        found_any += usize::from(!expected.is_empty());
        let (rows_max, looks_max) = [(1, 1_000), (3, 1), (100, 7), (4, 5)][at % 4];
        let query = ListQuery { rows_max, looks_max, filter: filter.clone(), before: None };
        assert_eq!(all_pages(&*second, &query).await, expected, "{query:?}");
        assert_eq!(counted(&*second, &query).await, expected.len() as u64, "{query:?}");
    }
    assert!(100 < found_any, "only {found_any} filters found a saga");
}

pub async fn a_start_that_loses_its_key_has_no_labels(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    let with = |n: u64, value: &str| {
        let mut append: Append = super::sample::start_with_key(n, "order", running(None));
        let IndexChange::Create(new) = &mut append.index else { unreachable!("a start") };
        new.labels = vec![("by".to_owned(), value.to_owned())];
        append
    };
    let winner = with(1, "first");
    // Written again, as after a commit whose outcome nobody knows.
    for _ in 0..2 {
        write_new(&*first, std::slice::from_ref(&winner)).await;
    }
    first.write(&[start(7, running(None)), with(2, "second")]).await.expect("write");
    for (value, expected) in [("first", vec![winner.saga]), ("second", vec![])] {
        let filter = label("by", value);
        let query = ListQuery { rows_max: 9, looks_max: 9, filter, before: None };
        assert_eq!(all_pages(&*second, &query).await, expected);
    }
}
