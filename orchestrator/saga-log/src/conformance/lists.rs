//! What people ask for: pages of sagas, and what is stuck.

use std::sync::Arc;

use saga_core::SagaId;

use super::sample::{ended, running, saga, start, step_to, stuck, write_new};
use crate::store::{Append, IndexChange, ListQuery, Standing, Status, Store};

async fn all_pages(store: &dyn Store, query: &ListQuery) -> Vec<SagaId> {
    let mut query = query.clone();
    let mut listed = Vec::new();
    loop {
        let page = store.list(&query).await.expect("list");
        assert!(page.len() <= query.rows_max as usize);
        let Some(last) = page.last() else {
            return listed;
        };
        query.before = Some(last.saga);
        listed.extend(page.iter().map(|row| row.saga));
    }
}

fn of_definition(mut append: Append, definition: &str) -> Append {
    if let IndexChange::Create(new) = &mut append.index {
        new.definition = definition.to_owned();
    }
    append
}

pub async fn pages_have_no_gaps_and_no_repeats(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    const SAGAS: u64 = 53;
    let starts: Vec<Append> = (0..SAGAS).map(|n| start(n, running(None))).collect();
    write_new(&*first, &starts).await;
    let newest_first: Vec<SagaId> = (0..SAGAS).rev().map(saga).collect();
    for rows_max in [1, 7, 53, 1_000] {
        let query = ListQuery { rows_max, ..ListQuery::default() };
        assert_eq!(all_pages(&*second, &query).await, newest_first);
    }
    let none = ListQuery::default();
    assert_eq!(second.list(&none).await.expect("list"), []);
}

pub async fn filters_select(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    for n in 1..=24 {
        let definition = if n % 2 == 0 { "even" } else { "odd" };
        let append = of_definition(start(n, running(None)), definition);
        write_new(&*first, &[append]).await;
        match n % 4 {
            1 => write_new(&*first, &[step_to(n, 2, ended(Status::Completed))]).await,
            2 => write_new(&*first, &[step_to(n, 2, stuck("no-reply", "ship", n))]).await,
            _ => {}
        }
    }
    let by = |select: fn(u64) -> bool| -> Vec<SagaId> {
        (1..=24).rev().filter(|n| select(*n)).map(saga).collect()
    };
    let all = ListQuery { rows_max: 5, ..ListQuery::default() };
    let (completed, running) = (Some(Status::Completed), Some(Status::Running));
    let even = Some("even".to_owned());
    let cases = [
        (ListQuery { status: completed, ..all.clone() }, by(|n| n % 4 == 1)),
        (ListQuery { status: Some(Status::Closed), ..all.clone() }, vec![]),
        (ListQuery { stuck: Some(true), ..all.clone() }, by(|n| n % 4 == 2)),
        (ListQuery { stuck: Some(false), ..all.clone() }, by(|n| n % 4 != 2)),
        (ListQuery { definition: even.clone(), ..all.clone() }, by(|n| n % 2 == 0)),
        (ListQuery { definition: Some("none".to_owned()), ..all.clone() }, vec![]),
        (
            ListQuery { status: running, stuck: Some(false), definition: even, ..all.clone() },
            by(|n| n % 4 == 0),
        ),
        (ListQuery { status: running, stuck: Some(true), ..all.clone() }, by(|n| n % 4 == 2)),
        (ListQuery { status: completed, stuck: Some(true), ..all }, vec![]),
    ];
    for (query, expected) in cases {
        assert_eq!(all_pages(&*second, &query).await, expected, "{query:?}");
    }
}

pub async fn sagas_of_one_definition_are_listed_across_statuses(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    let sagas: Vec<(u64, Status)> = (0..).zip(Status::ALL.repeat(4)).collect();
    for (n, status) in sagas.iter().copied() {
        let standing = Standing { status, ..running(None) };
        let starts = [
            of_definition(start(n, standing.clone()), "wanted"),
            of_definition(start(100 + n, standing), "other"),
        ];
        write_new(&*first, &starts).await;
    }
    let statuses = Status::ALL.map(Some);
    for status in [None].into_iter().chain(statuses) {
        let newest_first: Vec<SagaId> = sagas
            .iter()
            .rev()
            .filter(|(_, its)| status.is_none_or(|status| *its == status))
            .map(|(n, _)| saga(*n))
            .collect();
        for rows_max in [1, 3, 1_000] {
            let definition = Some("wanted".to_owned());
            let query = ListQuery { rows_max, definition, status, ..ListQuery::default() };
            assert_eq!(all_pages(&*second, &query).await, newest_first, "{query:?}");
        }
    }
}

pub async fn stuck_sagas_are_grouped_by_cause(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    assert_eq!(second.stuck_groups(3).await.expect("stuck_groups"), []);
    let mut batch = vec![start(90, running(None)), start(91, ended(Status::Completed))];
    let mut closed = stuck("no-reply", "ship", 1);
    closed.ended_at_ms = Some(2);
    batch.push(start(92, closed));
    for n in 1..=5 {
        batch.push(start(n, stuck("no-reply", "ship", 100 - n)));
    }
    for n in 6..=8 {
        batch.push(start(n, stuck("undo-refused", "ship", n)));
    }
    batch.push(start(9, stuck("no-reply", "pay", 9)));
    batch.push(of_definition(start(10, stuck("no-reply", "ship", 10)), "another"));
    write_new(&*first, &batch).await;

    let groups = second.stuck_groups(2).await.expect("stuck_groups");
    let seen: Vec<_> = groups
        .iter()
        .map(|group| {
            let examples: Vec<SagaId> = group.examples.iter().map(|row| row.saga).collect();
            let cause = [&*group.reason, &*group.definition, &*group.step];
            (cause, group.sagas, group.since_ms, examples)
        })
        .collect();
    let expected = [
        (["no-reply", "place-order", "ship"], 5, 95, vec![saga(5), saga(4)]),
        (["undo-refused", "place-order", "ship"], 3, 6, vec![saga(6), saga(7)]),
        (["no-reply", "another", "ship"], 1, 10, vec![saga(10)]),
        (["no-reply", "place-order", "pay"], 1, 9, vec![saga(9)]),
    ];
    assert_eq!(seen, expected);

    let counts = second.stuck_groups(0).await.expect("stuck_groups");
    assert_eq!(counts.len(), 4);
    assert!(counts.iter().all(|group| group.examples.is_empty()));
}
