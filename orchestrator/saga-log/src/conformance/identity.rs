//! Which log this is, how far it is known to be durable, and its epochs.

use std::sync::Arc;

use crate::store::{EpochRow, Store};

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
    let epoch = |actor: &str| EpochRow {
        epoch: 4,
        began_at_ms: 9,
        actor: actor.to_owned(),
        reason: "restored".to_owned(),
        mark_at_ms: 7,
        behind_ms: 1_500,
    };
    let (ours, theirs) = (epoch("ann"), epoch("bob"));
    let (we, they) = tokio::join!(first.begin_epoch(1, &ours), second.begin_epoch(1, &theirs));
    let kept = match (we.expect("begin"), they.expect("begin")) {
        (true, false) => ours,
        (false, true) => theirs,
        both => panic!("{both:?}"),
    };
    assert_eq!(first.identity().await.expect("identity").epoch, 4);
    let epochs = second.epochs().await.expect("epochs");
    assert_eq!(epochs.iter().map(|row| row.epoch).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(epochs[1], kept);
    // Too late, whatever number it takes.
    assert!(!first.begin_epoch(1, &EpochRow { epoch: 5, ..epoch("ann") }).await.expect("begin"));
}
