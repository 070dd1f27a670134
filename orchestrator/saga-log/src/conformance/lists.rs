//! What people ask for: pages of sagas, and what holds them up.

use std::sync::Arc;

use saga_core::{NodeId, SagaId};
use uuid::Uuid;

use super::sample::{ended, held_up, running, saga, start, step_to, stuck, write_new};
use crate::store::{
    Append, Filter, Held, HeldQuery, IndexChange, ListQuery, Standing, Status, Store, TextColumn,
};

const ALIVE: NodeId = NodeId(Uuid::from_u128(0xa));

pub(super) async fn all_pages(store: &dyn Store, query: &ListQuery) -> Vec<SagaId> {
    let mut query = query.clone();
    let mut listed = Vec::new();
    loop {
        let page = store.list(&query).await.expect("list");
        assert!(page.rows.len() <= query.rows_max as usize);
        listed.extend(page.rows.iter().map(|row| row.saga));
        let Some(next) = page.next else {
            return listed;
        };
        assert!(query.before.is_none_or(|before| next < before), "a page that goes nowhere");
        query.before = Some(next);
    }
}

pub(super) fn of_definition(mut append: Append, definition: &str) -> Append {
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
    assert_eq!(second.list(&none).await.expect("list").rows, []);
}

/// What tells the groups of a list from one another, and what is in them.
type Seen = (String, String, u64, u64, Option<u64>, Vec<(String, u64)>, Vec<SagaId>);

async fn groups(store: &dyn Store, held: Held, examples_max: u32) -> Vec<Seen> {
    groups_of(store, HeldQuery { held, filter: Filter::default(), examples_max }).await
}

async fn groups_of(store: &dyn Store, query: HeldQuery) -> Vec<Seen> {
    let groups = store.cause_groups(&query).await.expect("cause_groups");
    let seen = groups.into_iter().map(|group| {
        let cause = format!("{} {}", group.cause.participant, group.cause.code);
        let places = group.places.into_iter();
        let places = places.map(|it| (format!("{} {}", it.definition, it.step), it.sagas));
        let examples = group.examples.iter().map(|row| row.saga).collect();
        let (reason, sagas, since_ms) = (group.reason, group.sagas, group.since_ms);
        (reason, cause, sagas, since_ms, group.wake_at_ms, places.collect(), examples)
    });
    seen.collect()
}

fn seen(
    [reason, cause]: [&str; 2],
    (sagas, since_ms, wake_at_ms): (u64, u64, Option<u64>),
    places: &[(&str, u64)],
    examples: &[u64],
) -> Seen {
    let places = places.iter().map(|(place, sagas)| ((*place).to_owned(), *sagas)).collect();
    let examples = examples.iter().map(|n| saga(*n)).collect();
    (reason.to_owned(), cause.to_owned(), sagas, since_ms, wake_at_ms, places, examples)
}

/// By what holds them up, whatever they are: an outage is one group.
pub async fn stuck_sagas_are_grouped_by_cause(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    assert_eq!(groups(&*second, Held::Stuck, 3).await, []);
    let mut batch = vec![start(90, running(None)), start(91, ended(Status::Completed))];
    let mut closed = stuck("no-reply", "ship", 1);
    closed.ended_at_ms = Some(2);
    batch.push(start(92, closed));
    for n in 1..=5 {
        let stuck = stuck("no-reply", "ship", 100 - n);
        batch.push(start(n, held_up(stuck, "post", "TIMED_OUT", 100 - n)));
    }
    for n in 6..=8 {
        let stuck = stuck("undo-refused", "ship", n);
        batch.push(start(n, held_up(stuck, "post", "TIMED_OUT", n)));
    }
    let other_step = held_up(stuck("no-reply", "pay", 9), "post", "TIMED_OUT", 9);
    batch.push(of_definition(start(9, other_step), "another"));
    let other_code = held_up(stuck("no-reply", "ship", 10), "post", "UNAVAILABLE", 10);
    batch.push(start(10, other_code));
    // A program of before has not said what holds it up.
    batch.push(start(11, stuck("no-reply", "ship", 11)));
    write_new(&*first, &batch).await;

    let expected = [
        seen(
            ["no-reply", "post TIMED_OUT"],
            (6, 9, None),
            &[("place-order ship", 5), ("another pay", 1)],
            &[9, 5],
        ),
        seen(["undo-refused", "post TIMED_OUT"], (3, 6, None), &[("place-order ship", 3)], &[6, 7]),
        seen(["no-reply", " "], (1, 11, None), &[("place-order ship", 1)], &[11]),
        seen(["no-reply", "post UNAVAILABLE"], (1, 10, None), &[("place-order ship", 1)], &[10]),
    ];
    assert_eq!(groups(&*second, Held::Stuck, 2).await, expected);
    let counts = groups(&*second, Held::Stuck, 0).await;
    assert_eq!(counts.len(), 4);
    assert!(counts.iter().all(|(.., examples)| examples.is_empty()));
    assert_eq!(groups(&*second, Held::Waiting, 2).await, []);
}

/// Who may see one namespace sees nothing of the others, neither in counts nor in examples.
pub async fn groups_are_of_the_sagas_that_are_meant(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let of = |n, namespace: &str, standing: Standing| {
        let mut append = start(n, standing);
        if let IndexChange::Create(new) = &mut append.index {
            new.namespace = namespace.to_owned();
        }
        append
    };
    let needs = |n| held_up(stuck("no-reply", "ship", n), "post", "UNAVAILABLE", n);
    let waits = |n| held_up(running(None), "post", "NOT_SENT", n);
    let batch = [
        of(1, "", needs(1)),
        of(2, "eu", needs(2)),
        of(3, "eu", needs(3)),
        of(4, "us", waits(4)),
        of(5, "eu", waits(5)),
    ];
    write_new(&*first, &batch).await;
    let within = |held, namespaces: &[&str]| {
        let own = namespaces.iter().map(|it| Filter::is(TextColumn::Namespace, it));
        HeldQuery { held, filter: Filter::Any(own.collect()), examples_max: 9 }
    };
    let found = async |held, namespaces: &[&str]| {
        let groups = groups_of(&*second, within(held, namespaces)).await.into_iter();
        groups.map(|group| (group.2, group.6)).collect::<Vec<_>>()
    };
    assert_eq!(found(Held::Stuck, &["eu"]).await, [(2, vec![saga(2), saga(3)])]);
    assert_eq!(found(Held::Stuck, &["", "eu"]).await, [(3, vec![saga(1), saga(2), saga(3)])]);
    assert_eq!(found(Held::Waiting, &["eu"]).await, [(1, vec![saga(5)])]);
    assert_eq!(found(Held::Waiting, &["'; drop table saga --"]).await, []);
    assert_eq!(found(Held::Stuck, &[]).await, []);
}

/// Before anybody is needed, with when the first of them moves.
pub async fn waiting_sagas_are_grouped_by_cause(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let waits = |n, wake_at_ms| {
        let parked = Standing { wake_at_ms: Some(wake_at_ms), ..running(None) };
        start(n, held_up(parked, "post", "NOT_SENT", 10 * n))
    };
    let driven = held_up(running(Some(ALIVE)), "post", "NOT_SENT", 5);
    let stuck = held_up(stuck("no-reply", "ship", 1), "post", "NOT_SENT", 1);
    let over = held_up(ended(Status::Completed), "post", "NOT_SENT", 1);
    let batch = [
        waits(1, 7_000),
        waits(2, 6_000),
        of_definition(waits(3, 8_000), "another"),
        start(4, driven),
        start(5, stuck),
        start(6, over),
        start(7, running(None)),
    ];
    write_new(&*first, &batch).await;
    let places = [("place-order ", 3), ("another ", 1)];
    let expected = seen(["", "post NOT_SENT"], (4, 5, Some(6_000)), &places, &[4, 1]);
    assert_eq!(groups(&*second, Held::Waiting, 2).await, [expected]);

    // Who goes on waits no more.
    write_new(&*first, &[step_to(2, 2, running(Some(ALIVE)))]).await;
    let left = groups(&*second, Held::Waiting, 1).await;
    assert_eq!((left[0].2, left[0].4), (3, Some(7_000)));
}
