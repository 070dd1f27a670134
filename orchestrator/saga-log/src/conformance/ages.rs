//! How old sagas are: what participants may forget depends on it.

use std::sync::Arc;

use super::sample::{ended, running, saga, start, step_to, stuck, write_new};
use crate::store::{AgeRow, Append, IndexChange, Standing, Status, Store};

fn started(n: u64, at_ms: u64, standing: Standing) -> Append {
    let mut append = start(n, standing);
    if let IndexChange::Create(new) = &mut append.index {
        new.started_at_ms = at_ms;
    }
    append
}

/// Whatever its id says, and whatever it waits for.
pub async fn the_oldest_open_saga_is_told(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    assert_eq!(second.oldest_open_ms().await.expect("oldest_open_ms"), None);
    let compensating = Standing { status: Status::Compensating, ..running(None) };
    let batch = [
        started(1, 50, ended(Status::Completed)),
        started(2, 90, running(None)),
        started(3, 70, stuck("OUTCOME_UNKNOWN", "pay", 5)),
        started(4, 80, compensating),
    ];
    write_new(&*first, &batch).await;
    assert_eq!(second.oldest_open_ms().await.expect("oldest_open_ms"), Some(70));
    write_new(&*first, &[step_to(3, 2, ended(Status::Closed))]).await;
    assert_eq!(second.oldest_open_ms().await.expect("oldest_open_ms"), Some(80));
    let rest = [step_to(2, 2, ended(Status::Completed)), step_to(4, 2, ended(Status::Compensated))];
    write_new(&*first, &rest).await;
    assert_eq!(second.oldest_open_ms().await.expect("oldest_open_ms"), None);
}

pub async fn ages_come_in_pages_by_id(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let standing =
        |n: u64| if n.is_multiple_of(2) { running(None) } else { ended(Status::Compensated) };
    let starts: Vec<Append> = (0..7).map(|n| started(n, 100 - n, standing(n))).collect();
    write_new(&*first, &starts).await;
    let expected: Vec<AgeRow> = (0..7)
        .map(|n| AgeRow {
            saga: saga(n),
            started_at_ms: 100 - n,
            ended_at_ms: (n % 2 == 1).then_some(9_000),
        })
        .collect();
    for rows_max in [1, 3, 7, 100] {
        let (mut ages, mut after) = (Vec::new(), None);
        loop {
            let page = second.ages(after, rows_max).await.expect("ages");
            assert!(page.len() <= rows_max as usize);
            let Some(last) = page.last() else { break };
            after = Some(last.saga);
            ages.extend(page);
        }
        assert_eq!(ages, expected);
    }
}
