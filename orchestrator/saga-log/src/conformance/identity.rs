//! Which log this is, how far it is known to be durable, and its epochs.

use std::sync::Arc;

use super::sample::{append_ids, running, start, step, write, write_new};
use crate::store::{Append, EpochRow, Store, Written};

pub async fn a_log_has_one_identity(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let identity = first.identity().await.expect("identity");
    assert_eq!(second.identity().await.expect("identity"), identity);
    assert_eq!((identity.epoch, identity.mark_at_ms), (1, 0));
    assert!(!identity.log_id.is_nil());
}

pub async fn the_mark_never_moves_back(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    for (now_ms, mark_at_ms) in [(5_000, 5_000), (7_000, 7_000), (6_000, 7_000)] {
        first.mark(now_ms).await.expect("mark");
        assert_eq!(second.identity().await.expect("identity").mark_at_ms, mark_at_ms);
    }
}

pub async fn of_two_that_begin_an_epoch_one_does(first: Arc<dyn Store>, second: Arc<dyn Store>) {
    let (ours, theirs) = (epoch(4, "ann"), epoch(4, "bob"));
    let (we, they) = tokio::join!(first.begin_epoch(1, &ours), second.begin_epoch(1, &theirs));
    let kept = match (we.expect("begin"), they.expect("begin")) {
        (true, false) => ours,
        (false, true) => theirs,
        both => panic!("{both:?}"),
    };
    let identity = first.identity().await.expect("identity");
    assert_eq!((identity.epoch, identity.began_at_ms, identity.behind_ms), (4, 9, 1_500));
    let epochs = second.epochs().await.expect("epochs");
    assert_eq!(epochs.iter().map(|row| row.epoch).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(epochs[1], kept);
    // Too late, whatever number it takes.
    assert!(!first.begin_epoch(1, &epoch(5, "ann")).await.expect("begin"));
}

/// A node that has not heard of the loss may hold a row whose predecessor is still there, while
/// all that others have written behind it is gone.
pub async fn what_was_decided_before_a_loss_is_not_written_behind_it(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    write_new(&*first, &[start(1, running(None)), start(2, running(None))]).await;
    let before = step(1, 2);
    assert!(second.begin_epoch(1, &epoch(2, "ann")).await.expect("begin"));
    let of_client = Append { log_epoch: 0, ..step(2, 2) };
    let batch = [before.clone(), of_client];
    assert_eq!(write(&*first, &batch).await, [Written::Missing, Written::Done]);
    assert_eq!(append_ids(&*first, 1).await.len(), 1);
    let told = Append { log_epoch: 2, ..before };
    write_new(&*first, std::slice::from_ref(&told)).await;
    // What is there is there, whoever asks.
    assert!(second.begin_epoch(2, &epoch(3, "ann")).await.expect("begin"));
    write_new(&*first, &[told]).await;
}

fn epoch(epoch: u64, actor: &str) -> EpochRow {
    EpochRow {
        epoch,
        began_at_ms: 9,
        request_id: "r-1".to_owned(),
        actor: actor.to_owned(),
        reason: "restored".to_owned(),
        mark_at_ms: 7,
        behind_ms: 1_500,
    }
}
