//! The log of one saga: order, one winner per version, and repetition.

use std::sync::Arc;

use bytes::Bytes;
use saga_core::NodeId;
use uuid::Uuid;

use super::sample::{
    append_ids, behind, ended, rival, running, saga, standing, start, step, step_to, write,
    write_new,
};
use crate::store::{Append, LogRow, Status, Store, Written};

pub async fn an_append_is_loaded_as_it_was_written(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let writer = NodeId(Uuid::from_u128(42));
    let events = Bytes::from(every_byte);
    let append = Append { writer, events, at_ms: i64::MAX as u64, ..start(1, running(None)) };
    write_new(&*first, std::slice::from_ref(&append)).await;
    let Append { version, append_id, at_ms, events, .. } = append;
    let row = LogRow { version, writer, append_id, at_ms, events };
    assert_eq!(second.load(saga(1), 0, 10).await.expect("load"), [row]);
    assert_eq!(second.load(saga(2), 0, 10).await.expect("load"), []);
}

pub async fn a_log_is_loaded_in_pages_and_in_order(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    write_new(&*first, &[start(1, running(None)), start(2, running(None))]).await;
    for version in 2..=25 {
        write_new(&*first, &[step(2, version), step(1, version)]).await;
    }
    let mut versions = Vec::new();
    loop {
        let after = versions.last().copied().unwrap_or(0);
        let page = second.load(saga(1), after, 10).await.expect("load");
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 10);
        versions.extend(page.iter().map(|row| row.version));
    }
    assert_eq!(versions, (1..=25).collect::<Vec<u64>>());
}

pub async fn of_two_appends_of_one_version_one_wins(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let start = start(1, running(None));
    let (ours, theirs) = (step(1, 2), rival(step(1, 2)));
    write_new(&*first, std::slice::from_ref(&start)).await;
    write_new(&*first, std::slice::from_ref(&ours)).await;
    assert_eq!(write(&*second, &[theirs]).await, [Written::Superseded]);
    assert_eq!(append_ids(&*first, 1).await, [start.append_id, ours.append_id]);
}

pub async fn of_many_concurrent_appends_of_one_version_one_wins(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    const SAGAS: u64 = 8;
    const ROUNDS: u64 = 12;
    let starts: Vec<Append> = (0..SAGAS).map(|n| start(n, running(None))).collect();
    write_new(&*first, &starts).await;
    let mut last = starts;
    for version in 2..2 + ROUNDS {
        // The same sagas, in opposite orders.
        let next = || (0..).zip(&last).map(|(n, last)| rival(behind(step(n, version), last)));
        let ours: Vec<Append> = next().collect();
        let mut theirs: Vec<Append> = next().collect();
        theirs.reverse();
        let (wrote, they_wrote) = tokio::join!(
            tokio::spawn({
                let (store, batch) = (first.clone(), ours.clone());
                async move { write(&*store, &batch).await }
            }),
            tokio::spawn({
                let (store, batch) = (second.clone(), theirs.clone());
                async move { write(&*store, &batch).await }
            }),
        );
        let (wrote, they_wrote) = (wrote.expect("no panic"), they_wrote.expect("no panic"));
        for n in 0..SAGAS {
            let at = usize::try_from(n).expect("small");
            let against = ours.len() - 1 - at;
            let winner = match (&wrote[at], &they_wrote[against]) {
                (Written::Done, Written::Superseded) => &ours[at],
                (Written::Superseded, Written::Done) => &theirs[against],
                both => panic!("saga {n}, version {version}: {both:?}"),
            };
            assert_eq!(append_ids(&*first, n).await.last(), Some(&winner.append_id));
            last[at] = winner.clone();
        }
    }
}

pub async fn a_superseded_append_does_not_touch_its_batch(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    let starts: Vec<Append> = (1..=3).map(|n| start(n, running(None))).collect();
    write_new(&*first, &starts).await;
    write_new(&*second, &[rival(step(2, 2))]).await;
    let batch =
        [step_to(3, 2, ended(Status::Completed)), step(2, 2), step(1, 2), start(4, running(None))];
    let written = write(&*first, &batch).await;
    assert_eq!(written, [Written::Done, Written::Superseded, Written::Done, Written::Done]);
    for n in [1, 3] {
        assert_eq!(append_ids(&*second, n).await.len(), 2);
    }
    assert_eq!(append_ids(&*second, 4).await, [batch[3].append_id]);
    assert_eq!(standing(&*second, 3).await, ended(Status::Completed));
}

pub async fn an_append_whose_row_before_is_gone_is_not_written(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    write_new(&*first, &[start(1, running(None))]).await;
    // As after a failover that lost the last row, and two that lost the start.
    let batch = [step_to(1, 3, ended(Status::Completed)), step(2, 2), step_to(3, 2, running(None))];
    assert_eq!(write(&*second, &batch).await, vec![Written::Missing; 3]);
    assert_eq!(standing(&*first, 1).await, running(None));
    assert_eq!(append_ids(&*first, 1).await.len(), 1);
    assert_eq!(append_ids(&*first, 2).await.len(), 0);
    assert_eq!(second.saga(saga(3)).await.expect("saga"), None);
}

pub async fn two_histories_never_mix(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    // The log lost what the first node had written behind the start, and the second one went
    // on from there, as many rows as there had been.
    let rows = [start(1, running(None)), rival(step(1, 2)), rival(step(1, 3))];
    let [begun, second_row, third_row] = &rows;
    let theirs =
        [second_row.clone(), behind(third_row.clone(), second_row), behind(step(1, 4), third_row)];
    write_new(&*second, std::slice::from_ref(begun)).await;
    write_new(&*second, &theirs[..2]).await;
    // Version 4 is free, and what it was decided on is not what is in the log.
    let late = step_to(1, 4, ended(Status::Compensated));
    assert_eq!(write(&*first, &[late]).await, [Written::Foreign]);
    assert_eq!(standing(&*first, 1).await, running(None));
    // Nor is it where the version is taken.
    assert_eq!(write(&*first, &[rival(step(1, 3))]).await, [Written::Foreign]);
    write_new(&*second, &theirs[2..]).await;
    assert_eq!(append_ids(&*first, 1).await.len(), 4);
}

pub async fn what_builds_on_an_append_that_was_not_written_is_not_written(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    write_new(&*first, &[start(1, running(None))]).await;
    write_new(&*second, &[rival(step(1, 2))]).await;
    // Version 3 is free, but what it was decided on is not what is in the log.
    let written = write(&*first, &[step(1, 2), step(1, 3), step(2, 2), step(2, 3)]).await;
    let missing = Written::Missing;
    assert_eq!(written, [Written::Superseded, Written::Foreign, missing.clone(), missing]);
    assert_eq!(append_ids(&*first, 1).await.len(), 2);
}

pub async fn a_batch_may_hold_two_appends_of_one_saga(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    let parked = running(None);
    let batch = [
        step_to(1, 3, ended(Status::Completed)),
        step_to(1, 2, parked.clone()),
        start(2, parked.clone()),
        start(1, parked),
    ];
    write_new(&*first, &batch).await;
    let ids = [batch[3].append_id, batch[1].append_id, batch[0].append_id];
    assert_eq!(append_ids(&*second, 1).await, ids);
    assert_eq!(standing(&*second, 1).await, ended(Status::Completed));
}

pub async fn a_batch_that_is_written_again_changes_nothing(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    write_new(&*first, &[start(1, running(None)), start(2, running(None))]).await;
    let batch = [start(3, running(None)), step(1, 2), step_to(2, 2, ended(Status::Completed))];
    write_new(&*first, &batch).await;
    for store in [&first, &second] {
        write_new(&**store, &batch).await;
    }
    for n in 1..=3 {
        let rows = if n == 3 { 1 } else { 2 };
        assert_eq!(append_ids(&*first, n).await.len(), rows);
    }
}

pub async fn a_batch_that_was_partly_written_is_completed(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    let batch: Vec<Append> = (0..20).map(|n| start(n, running(None))).collect();
    write_new(&*first, &batch[3..9]).await;
    write_new(&*second, &batch).await;
    let ends: Vec<Append> = (0..20).map(|n| step_to(n, 2, ended(Status::Completed))).collect();
    write_new(&*first, &ends[5..7]).await;
    write_new(&*second, &ends).await;
    for n in 0..20 {
        assert_eq!(append_ids(&*first, n).await.len(), 2);
        assert_eq!(standing(&*first, n).await, ended(Status::Completed));
    }
}

pub async fn a_repeated_change_does_not_undo_a_later_one(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    write_new(&*first, &[start(1, running(None))]).await;
    let parks = step_to(1, 2, running(None));
    write_new(&*first, std::slice::from_ref(&parks)).await;
    write_new(&*second, &[step_to(1, 3, ended(Status::Compensated))]).await;
    // The first node never heard that its append was done, and repeats it.
    write_new(&*first, &[parks]).await;
    assert_eq!(standing(&*second, 1).await, ended(Status::Compensated));
}

pub async fn a_superseded_append_does_not_change_the_index(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    write_new(&*first, &[start(1, running(None))]).await;
    write_new(&*second, &[step_to(1, 2, ended(Status::Completed))]).await;
    let late = rival(step_to(1, 2, running(None)));
    assert_eq!(write(&*first, &[late]).await, [Written::Superseded]);
    assert_eq!(standing(&*first, 1).await, ended(Status::Completed));
}

pub async fn large_and_empty_batches_are_written(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    const SAGAS: u64 = 700;
    write_new(&*first, &[]).await;
    let starts: Vec<Append> = (0..SAGAS).map(|n| start(n, running(None))).collect();
    write_new(&*first, &starts).await;
    let megabyte = Bytes::from(vec![0x5a; 1_024 * 1_024]);
    let mut steps: Vec<Append> = (0..SAGAS)
        .map(|n| if n % 2 == 0 { step(n, 2) } else { step_to(n, 2, ended(Status::Completed)) })
        .collect();
    steps[0].events = megabyte.clone();
    write_new(&*second, &steps).await;
    let rows = first.load(saga(0), 1, 1).await.expect("load");
    assert_eq!(rows[0].events, megabyte);
    for n in [1, 2, 63, 64, 65, SAGAS - 1] {
        assert_eq!(append_ids(&*first, n).await.len(), 2);
    }
}
